//! `[plaid]`: which Plaid, and as whom.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use super::address::{is_loopback, origin, page, word};
use super::section::{Section, Wrong};
use crate::domain::ids::InstitutionId;
use crate::domain::policy::Policy;

/// Where a browser gets Plaid Link from, unless told otherwise: <https://plaid.com/docs/link/web/>.
const LINK_SCRIPT_URL: &str = "https://cdn.plaid.com/link/v2/stable/link-initialize.js";

/// The countries whose banks Plaid knows: `CountryCode` of Plaid's OpenAPI file.
const COUNTRIES: [&str; 20] = [
    "US", "GB", "ES", "NL", "FR", "IE", "CA", "DE", "IT", "PL", "DK", "NO", "SE", "EE", "LT", "LV", "PT", "BE", "AT",
    "FI",
];

/// How many calls Plaid allows each client in a minute, at `/item/get`: <https://plaid.com/docs/errors/rate-limit-exceeded/>.
const CALLS_PER_MINUTE_MAX: u32 = 5000;

/// How many of them we take: a fifth, since the application behind us calls Plaid too.
const CALLS_PER_MINUTE: u32 = CALLS_PER_MINUTE_MAX / 5;

/// Which Plaid, and as whom.
#[derive(Clone, Debug)]
pub struct Plaid {
    /// Which of Plaid's worlds. Items cannot move between them.
    pub environment: Environment,
    /// The origin of the API.
    pub base_url: Url,
    /// Where a browser gets Plaid Link from.
    pub link_script_url: Url,
    /// Who asks.
    pub client_id: String,
    /// The proof of it. Never logged.
    pub secret: SecretString,
    /// The countries of the banks, for Link tokens and questions about institutions; at least one.
    pub country_codes: Vec<CountryCode>,
    /// How a user comes to Link.
    pub link_mode: LinkMode,
    /// What a webhook does whose signature is too old.
    pub late_webhooks: LateWebhooks,
    /// How many calls are made in a minute, all together.
    pub calls_per_minute: u32,
    /// Whether a healthy answer is believed only when Plaid also lists the Item's accounts.
    pub probe_accounts: bool,
    /// Banks at which a second Item of the same login kills the first.
    pub superseding_institutions: Vec<InstitutionId>,
    /// What happens to an Item whose webhooks go elsewhere.
    pub webhook_elsewhere: WebhookElsewhere,
}

impl Plaid {
    /// Whether this Plaid is on this machine, and so none of Plaid's own.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        self.base_url.host().is_some_and(|host| is_loopback(&host))
    }
}

/// Plaid's worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Banks that are not real.
    Sandbox,
    /// Real banks.
    Production,
}

impl Environment {
    /// Plaid's word for it, as webhooks carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }

    fn base_url(self) -> &'static str {
        match self {
            Self::Sandbox => "https://sandbox.plaid.com",
            Self::Production => "https://production.plaid.com",
        }
    }
}

/// How a user comes to Link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkMode {
    /// In our own page, by Plaid's script.
    Embedded,
    /// On Plaid's page (Hosted Link), without a script of ours.
    Hosted,
}

/// What a webhook does whose signature is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateWebhooks {
    /// The Item is observed, and nothing else.
    Observe,
    /// What cannot be asked for is applied too.
    Apply,
}

/// What happens to an Item whose webhooks Plaid sends to another address than ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookElsewhere {
    /// It is shown and told.
    Tell,
    /// Plaid is told to send them here.
    Adopt,
}

/// A country whose banks Plaid knows, by its ISO 3166-1 code of two capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountryCode(&'static str);

impl CountryCode {
    /// The country of this code; nothing if Plaid does not know it.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        COUNTRIES.iter().find(|known| **known == code).map(|known| Self(known))
    }

    /// The code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The environment stands apart: what other sections may hold depends on it, even while this one is not whole.
pub(super) fn read(section: &mut Section<'_, '_>) -> (Option<Environment>, Option<Plaid>) {
    let environment = section
        .required("environment", word(&[("sandbox", Environment::Sandbox), ("production", Environment::Production)]));
    (environment, read_rest(section, environment))
}

fn read_rest(section: &mut Section<'_, '_>, environment: Option<Environment>) -> Option<Plaid> {
    let base_url = section.optional("base_url", origin);
    let link_script_url = section.optional("link_script_url", page);
    let client_id = section.required("client_id", credential);
    let secret = section.required_secret("secret", credential).map(SecretString::from);
    let country_codes = read_countries(section);
    let link_mode =
        section.optional("link_mode", word(&[("embedded", LinkMode::Embedded), ("hosted", LinkMode::Hosted)]));
    let late_webhooks =
        section.optional("late_webhooks", word(&[("observe", LateWebhooks::Observe), ("apply", LateWebhooks::Apply)]));
    let calls_per_minute = section.number("calls_per_minute", 1..=CALLS_PER_MINUTE_MAX);
    let probe_accounts = section.flag("probe_accounts");
    let superseding = section.list("superseding_institutions", institution);
    let elsewhere = word(&[("tell", WebhookElsewhere::Tell), ("adopt", WebhookElsewhere::Adopt)]);
    let webhook_elsewhere = section.optional("webhook_elsewhere", elsewhere);
    let environment = environment?;
    let url = |text: &str| Url::parse(text).expect("an address of Plaid's");
    Some(Plaid {
        environment,
        base_url: base_url.unwrap_or_else(|| url(environment.base_url())),
        link_script_url: link_script_url.unwrap_or_else(|| url(LINK_SCRIPT_URL)),
        client_id: client_id?,
        secret: secret?,
        country_codes: country_codes?,
        link_mode: link_mode.unwrap_or(LinkMode::Embedded),
        late_webhooks: late_webhooks.unwrap_or(LateWebhooks::Observe),
        calls_per_minute: calls_per_minute.unwrap_or(CALLS_PER_MINUTE),
        probe_accounts: probe_accounts.unwrap_or(false),
        superseding_institutions: superseding.unwrap_or_else(|| Policy::default().superseding),
        webhook_elsewhere: webhook_elsewhere.unwrap_or(WebhookElsewhere::Tell),
    })
}

fn read_countries(section: &mut Section<'_, '_>) -> Option<Vec<CountryCode>> {
    if !section.has("country_codes") {
        return section.missing("country_codes");
    }
    let codes = section.list("country_codes", country)?;
    if codes.is_empty() {
        section.fault("country_codes", "is empty; at least one country is needed");
        return None;
    }
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        section.fault("country_codes", "names a country twice");
    }
    Some(codes)
}

fn country(text: &str) -> Result<CountryCode, Wrong> {
    CountryCode::of(text).ok_or_else(|| {
        let upper = CountryCode::of(&text.to_ascii_uppercase()).map(|code| code.as_str().to_owned());
        // What people write, and what ISO 3166-1 has.
        let meant = upper.or_else(|| match text {
            "UK" => Some("GB".to_owned()),
            "USA" => Some("US".to_owned()),
            _ => None,
        });

        let problem = "is no country code that Plaid knows";
        match meant {
            Some(code) => Wrong::with_value(problem, code),
            None => Wrong::with_remedy(problem, format!("Write one of {}.", COUNTRIES.join(", "))),
        }
    })
}

fn institution(text: &str) -> Result<InstitutionId, Wrong> {
    InstitutionId::parse(text).map_err(|error| Wrong::with_remedy(error, "Write Plaid's ids of banks: \"ins_56\"."))
}

/// What Plaid's dashboard shows: visible ASCII without spaces.
fn credential(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("holds a space, a line break or another character that no credential of Plaid's has".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::section::Remedy;
    use super::*;

    #[test]
    fn a_country_that_was_nearly_right_is_named() {
        for (text, meant) in [("us", "US"), ("UK", "GB"), ("USA", "US")] {
            let remedy = country(text).expect_err("wrong").remedy;
            assert!(matches!(remedy, Remedy::Value(code) if code == meant), "{text}");
        }
        assert!(matches!(country("ZZ").expect_err("wrong").remedy, Remedy::Sentence(_)));
        assert_eq!(country("NO").ok().map(CountryCode::as_str), Some("NO"));
    }
}
