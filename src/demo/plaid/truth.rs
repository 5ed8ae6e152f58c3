//! The truth about Items: what the fake Plaid knows, and how it changes by acts and by time.
//!
//! No network and no clock: acts and times come in. What an act makes Plaid say in a webhook is [`super::webhooks`].

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;

use super::words::Trouble;

/// How long a consent lasts that was given anew, as in most of Europe.
pub const CONSENT: SignedDuration = SignedDuration::from_hours(180 * 24);

/// How long before the end of a consent or a connection Plaid says so.
pub const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A bank of the demo.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Bank {
    /// Plaid's `institution_id`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its country: decides which webhook tells of an ending consent.
    #[serde(default = "us")]
    pub country: String,
    /// Whether its customers log in at the bank's own page, which shows a choice of accounts whatever was asked for.
    #[serde(default)]
    pub oauth: bool,
    /// Whether it is down.
    #[serde(default)]
    pub down: bool,
}

fn us() -> String {
    "US".to_owned()
}

impl Bank {
    /// A bank in the United States without OAuth.
    #[must_use]
    pub fn new(id: &str, name: &str) -> Self {
        Self { id: id.to_owned(), name: name.to_owned(), country: us(), oauth: false, down: false }
    }
}

/// One account at a bank.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Plaid's `account_id`; left empty, one is made.
    #[serde(default)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its last digits.
    pub mask: Option<String>,
    /// Plaid's type, such as `depository`.
    pub kind: String,
    /// Plaid's subtype, such as `checking`.
    pub subtype: String,
    /// The same for every Item that shares the account; few banks have it.
    #[serde(default)]
    pub persistent_id: Option<String>,
}

impl Account {
    /// A depository account without an id.
    #[must_use]
    pub fn new(name: &str, mask: &str, subtype: &str) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
            mask: Some(mask.to_owned()),
            kind: "depository".to_owned(),
            subtype: subtype.to_owned(),
            persistent_id: None,
        }
    }
}

/// An Item to be made.
#[derive(Clone, Debug, Deserialize)]
pub struct NewItem {
    /// Its id; made where none is given.
    #[serde(default)]
    pub id: Option<String>,
    /// Its access token; made where none is given.
    #[serde(default)]
    pub access_token: Option<SecretString>,
    /// Whose it is, for the stage page only.
    pub user: String,
    /// Its bank; becomes known if it is not yet.
    pub bank: Bank,
    /// Where Plaid sends its webhooks.
    #[serde(default)]
    pub webhook: Option<String>,
    /// When the consent ends.
    #[serde(default)]
    pub consent_ends_at: Option<Timestamp>,
    /// The accounts that are shared; a checking and a savings account where none is given.
    #[serde(default)]
    pub accounts: Vec<Account>,
}

impl NewItem {
    /// A healthy Item of a user at a bank, with two accounts.
    #[must_use]
    pub fn new(user: &str, bank: Bank) -> Self {
        Self {
            id: None,
            access_token: None,
            user: user.to_owned(),
            bank,
            webhook: None,
            consent_ends_at: None,
            accounts: Vec::new(),
        }
    }
}

/// A connection that the bank will cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Plaid's `reason`.
    pub reason: String,
    /// When it happens, said or not.
    pub at: Timestamp,
}

/// One login at one bank, as it really is.
#[derive(Clone, Debug)]
pub struct Item {
    /// Plaid's `item_id`.
    pub id: String,
    /// Opens this Item and no other.
    pub access_token: SecretString,
    /// Whose it is.
    pub user: String,
    /// The bank's `institution_id`.
    pub bank: String,
    /// Where Plaid sends its webhooks.
    pub webhook: Option<String>,
    /// What is wrong with it, the bank's own outages aside.
    pub trouble: Option<Trouble>,
    /// When the consent ends.
    pub consent_ends_at: Option<Timestamp>,
    /// A cut that was announced.
    pub disconnect: Option<Disconnect>,
    /// The accounts that the application may see.
    pub shared: Vec<Account>,
    /// The accounts that are there and not shared.
    pub unshared: Vec<Account>,
    /// Whether it is gone for good.
    pub removed: bool,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// The last webhook that Plaid believes to have sent: when, and its code.
    pub last_webhook: Option<(Timestamp, String)>,
    /// When the bank's data was last read.
    pub last_success: Timestamp,
    /// When reading the bank's data last went wrong.
    pub last_failure: Option<Timestamp>,
}

/// Something that happens to an Item.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// The login stops working, with Plaid's code and perhaps its OAuth reason. `NO_ACCOUNTS` also takes the accounts away.
    BreakLogin {
        /// Plaid's `error_code`.
        #[serde(default = "login_required")]
        code: String,
        /// Plaid's `error_code_reason`.
        #[serde(default)]
        reason: Option<String>,
    },
    /// The consent ends at this time. A webhook goes out when that is within seven days.
    ConsentEnds {
        /// When.
        at: Timestamp,
    },
    /// The bank cuts the connection: in seven days when no time is said.
    Disconnect {
        /// Plaid's `reason`: `INSTITUTION_MIGRATION` or `INSTITUTION_TOKEN_EXPIRATION`.
        #[serde(default = "migration")]
        reason: String,
        /// The `disconnect_time` of the webhook, which may be missing.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// The user opened an account at the bank.
    NewAccount,
    /// The user withdrew the permission for the whole Item.
    Revoke,
    /// The user withdrew the permission for the first shared account.
    RevokeAccount,
    /// The accounts are gone, and Plaid says so nowhere but where it is asked for accounts.
    LoseAccounts,
    /// The bank goes down, for all its Items.
    BankDown,
    /// The bank is back.
    BankUp,
    /// The Item is removed without a word.
    Remove,
    /// The user repaired the login in another application.
    RepairElsewhere,
}

fn login_required() -> String {
    "ITEM_LOGIN_REQUIRED".to_owned()
}

fn migration() -> String {
    "INSTITUTION_MIGRATION".to_owned()
}

impl Item {
    /// What is wrong with the Item in the eyes of Plaid, its bank's outage included.
    #[must_use]
    pub fn trouble_seen(&self, bank_down: bool) -> Option<Trouble> {
        match (&self.trouble, bank_down) {
            (Some(trouble), _) => Some(trouble.clone()),
            (None, true) => Some(Trouble::new("INSTITUTION_DOWN")),
            (None, false) => None,
        }
    }

    /// Lets the time do its work: a consent or a connection that has ended breaks the login. Says whether it did so now.
    pub fn settle(&mut self, now: Timestamp) -> bool {
        if self.removed || self.trouble.is_some() {
            return false;
        }
        let reason = if self.consent_ends_at.is_some_and(|at| at <= now) {
            "OAUTH_CONSENT_EXPIRED"
        } else if self.disconnect.as_ref().is_some_and(|cut| cut.at <= now) {
            "OAUTH_INVALID_TOKEN"
        } else {
            return false;
        };
        self.fail(Trouble::because("ITEM_LOGIN_REQUIRED", reason), now);
        true
    }

    /// Breaks the Item.
    pub fn fail(&mut self, trouble: Trouble, now: Timestamp) {
        if trouble.code == "NO_ACCOUNTS" {
            self.unshared.append(&mut self.shared);
        }
        self.trouble = Some(trouble);
        self.last_failure = Some(now);
    }

    /// Lets an act happen to the Item. An outage is the bank's, not the Item's, and changes nothing here. `fresh_id` names
    /// the account that is opened, if one is.
    pub fn suffer(&mut self, act: &Act, fresh_id: String, now: Timestamp) {
        match act {
            Act::BreakLogin { code, reason } => self.fail(Trouble { code: code.clone(), reason: reason.clone() }, now),
            Act::ConsentEnds { at } => self.consent_ends_at = Some(*at),
            Act::Disconnect { reason, at } => {
                self.disconnect = Some(Disconnect { reason: reason.clone(), at: at.unwrap_or(now + NOTICE) });
            }
            Act::NewAccount => {
                let mask = format!("{:04}", 9000 + self.shared.len() + self.unshared.len());
                self.unshared.push(Account { id: fresh_id, ..Account::new("New savings", &mask, "savings") });
            }
            Act::Revoke => self.fail(Trouble::new("USER_PERMISSION_REVOKED"), now),
            Act::RevokeAccount => {
                if !self.shared.is_empty() {
                    self.unshared.push(self.shared.remove(0));
                }
            }
            Act::LoseAccounts => self.unshared.append(&mut self.shared),
            Act::BankDown | Act::BankUp => {}
            Act::Remove => self.removed = true,
            Act::RepairElsewhere => self.mend(now),
        }
    }

    /// The login works again, whoever did it; no account changes hands.
    pub fn mend(&mut self, now: Timestamp) {
        self.trouble = None;
        self.disconnect = None;
        self.last_success = now;
        if self.consent_ends_at.is_some() {
            self.consent_ends_at = Some(now + CONSENT);
        }
    }

    /// Update mode went through. `chosen` are the accounts that the user ticked, where Link showed a choice: they alone are
    /// shared from now on. Without a choice, accounts that were lost do not come back.
    pub fn update_mode(&mut self, chosen: Option<&[String]>, now: Timestamp) {
        if let Some(chosen) = chosen {
            let mut all = std::mem::take(&mut self.shared);
            all.append(&mut self.unshared);
            (self.shared, self.unshared) = all.into_iter().partition(|account| chosen.contains(&account.id));
        }
        self.mend(now);
        if self.shared.is_empty() {
            self.fail(Trouble::new("NO_ACCOUNTS"), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn item() -> Item {
        let mut checking = Account::new("Checking", "0000", "checking");
        checking.id = "acc-1".to_owned();
        Item {
            id: "item-1".to_owned(),
            access_token: "access-sandbox-1".into(),
            user: "user-1".to_owned(),
            bank: "ins_1".to_owned(),
            webhook: None,
            trouble: None,
            consent_ends_at: None,
            disconnect: None,
            shared: vec![checking],
            unshared: Vec::new(),
            removed: false,
            created_at: at(0),
            last_webhook: None,
            last_success: at(0),
            last_failure: None,
        }
    }

    #[test]
    fn a_consent_that_ended_breaks_the_login_once() {
        let mut item = item();
        item.consent_ends_at = Some(at(100));
        assert!(!item.settle(at(99)));
        assert!(item.settle(at(100)));
        assert!(!item.settle(at(101)), "broken already");
        assert_eq!(item.trouble, Some(Trouble::because("ITEM_LOGIN_REQUIRED", "OAUTH_CONSENT_EXPIRED")));
    }

    #[test]
    fn update_mode_renews_the_consent_only_where_there_is_one() {
        let mut item = item();
        item.trouble = Some(Trouble::new("ITEM_LOGIN_REQUIRED"));
        item.update_mode(None, at(50));
        assert_eq!((item.trouble.clone(), item.consent_ends_at), (None, None));
        item.consent_ends_at = Some(at(100));
        item.update_mode(None, at(60));
        assert_eq!(item.consent_ends_at, Some(at(60) + CONSENT));
    }

    #[test]
    fn lost_accounts_come_back_only_by_a_choice() {
        let mut item = item();
        item.fail(Trouble::new("NO_ACCOUNTS"), at(1));
        item.update_mode(None, at(2));
        assert_eq!(item.trouble, Some(Trouble::new("NO_ACCOUNTS")), "nothing was chosen");
        item.update_mode(Some(&["acc-1".to_owned()]), at(3));
        assert_eq!((item.trouble.clone(), item.shared.len()), (None, 1));
    }
}
