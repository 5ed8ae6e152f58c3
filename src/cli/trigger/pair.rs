//! Which webhooks there are to trigger: what relinkd acts on, and what Plaid documents beside.

use std::fmt::Write as _;
use std::str::FromStr;

use crate::plaid::pairs::PAIRS;

/// What relinkd acts on: type, code, what it tells, and the fields that are worth setting.
const ACTED_ON: [(&str, &str, &str, &str); 9] = [
    ("ITEM", "ERROR", "the login broke, or another error", "error.error_code error.error_code_reason"),
    ("ITEM", "LOGIN_REPAIRED", "the user repaired the login elsewhere", ""),
    ("ITEM", "NEW_ACCOUNTS_AVAILABLE", "there are accounts to share", ""),
    ("ITEM", "PENDING_DISCONNECT", "the bank cuts the connection (US, Canada)", "disconnect_time reason"),
    ("ITEM", "PENDING_EXPIRATION", "the consent ends (Europe)", "consent_expiration_time"),
    ("ITEM", "USER_ACCOUNT_REVOKED", "one account is shared no more", "account_id"),
    ("ITEM", "USER_PERMISSION_REVOKED", "the user withdrew the permission", ""),
    ("ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED", "Plaid took a new webhook address", "new_webhook_url"),
    ("LINK", "SESSION_FINISHED", "a Link session ended", "status link_token"),
];

/// Type and code of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub(super) webhook_type: String,
    pub(super) code: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_uppercase();
        match text.split_once('/') {
            Some((webhook_type, code)) if !webhook_type.is_empty() && !code.is_empty() && !code.contains('/') => {
                Ok(Self { webhook_type: webhook_type.to_owned(), code: code.to_owned() })
            }
            _ => {
                let meant = nearest(&text).map(|pair| format!("; did you mean {pair}?")).unwrap_or_default();
                Err(format!("is not of the form TYPE/CODE, such as ITEM/ERROR{meant}"))
            }
        }
    }
}

impl Pair {
    /// Whether Plaid documents it.
    pub(super) fn is_documented(&self) -> bool {
        PAIRS.iter().any(|(webhook_type, code)| self.webhook_type == *webhook_type && self.code == *code)
    }

    /// Why a pair that is not documented is not sent.
    pub(super) fn unknown(&self) -> String {
        let name = self.to_string();
        let meant = nearest(&name).map(|pair| format!(" Did you mean {pair}?")).unwrap_or_default();
        format!(
            "{name} is no webhook that Plaid documents.{meant} --list shows them all; --undocumented sends it as it is."
        )
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.webhook_type, self.code)
    }
}

/// The documented pair that a text was meant to be, if one is near. The type may be missing.
fn nearest(text: &str) -> Option<String> {
    let near = |pair: &str| {
        let code = pair.split_once('/').map_or(pair, |(_, code)| code);
        strsim::normalized_damerau_levenshtein(text, pair).max(strsim::normalized_damerau_levenshtein(text, code))
    };
    let all = PAIRS.iter().map(|(webhook_type, code)| format!("{webhook_type}/{code}"));
    let best = all.map(|pair| (near(&pair), pair)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(near, _)| *near > 0.7).map(|(_, pair)| pair)
}

/// What `--list` prints.
pub(super) fn list() -> String {
    let mut text =
        String::from("relinkd acts on these. The words in brackets are fields worth setting with --set:\n\n");
    for (webhook_type, code, tells, fields) in ACTED_ON {
        let fields = if fields.is_empty() { String::new() } else { format!("  [{fields}]") };
        let _ = writeln!(text, "  {:<34}{tells}{fields}", format!("{webhook_type}/{code}"));
    }
    text.push_str("\nThese are kept, and apply only what their `error` says, if they have one:\n\n");
    let rest = PAIRS.iter().filter(|pair| !ACTED_ON.iter().any(|(kind, code, ..)| (*kind, *code) == **pair));
    for (webhook_type, code) in rest {
        let _ = writeln!(text, "  {webhook_type}/{code}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_relinkd_acts_on_is_documented() {
        for (webhook_type, code, ..) in ACTED_ON {
            assert!(PAIRS.contains(&(webhook_type, code)), "{webhook_type}/{code}");
        }
    }

    #[test]
    fn a_pair_that_was_nearly_right_is_named() {
        assert_eq!("item/error".parse::<Pair>().map(|pair| pair.is_documented()), Ok(true));
        let without_type = "PENDING_EXPIRATION".parse::<Pair>();
        insta::assert_snapshot!(without_type.expect_err("no type"), @"is not of the form TYPE/CODE, such as ITEM/ERROR; did you mean ITEM/PENDING_EXPIRATION?");
        insta::assert_snapshot!("nonsense".parse::<Pair>().expect_err("no type"), @"is not of the form TYPE/CODE, such as ITEM/ERROR");
        let misspelt: Pair = "ITEM/PENDING_EXPIRY".parse().expect("a pair");
        assert!(!misspelt.is_documented());
        insta::assert_snapshot!(misspelt.unknown(), @"ITEM/PENDING_EXPIRY is no webhook that Plaid documents. Did you mean ITEM/PENDING_EXPIRATION? --list shows them all; --undocumented sends it as it is.");
    }

    #[test]
    fn the_list_names_each_documented_pair_once() {
        let list = list();
        for (webhook_type, code) in PAIRS {
            let name = format!("{webhook_type}/{code}");
            assert_eq!(list.split_whitespace().filter(|word| *word == name).count(), 1, "{name}");
        }
        let acted_on = list.split("\nThese").next().unwrap_or_default();
        insta::assert_snapshot!(acted_on, @"
        relinkd acts on these. The words in brackets are fields worth setting with --set:

          ITEM/ERROR                        the login broke, or another error  [error.error_code error.error_code_reason]
          ITEM/LOGIN_REPAIRED               the user repaired the login elsewhere
          ITEM/NEW_ACCOUNTS_AVAILABLE       there are accounts to share
          ITEM/PENDING_DISCONNECT           the bank cuts the connection (US, Canada)  [disconnect_time reason]
          ITEM/PENDING_EXPIRATION           the consent ends (Europe)  [consent_expiration_time]
          ITEM/USER_ACCOUNT_REVOKED         one account is shared no more  [account_id]
          ITEM/USER_PERMISSION_REVOKED      the user withdrew the permission
          ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED  Plaid took a new webhook address  [new_webhook_url]
          LINK/SESSION_FINISHED             a Link session ended  [status link_token]
        ");
    }
}
