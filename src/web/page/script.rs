//! What `page.js` reads: with the page, and with the answer to the press.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::words::{self, Words, fill};
use super::{LinkMode, View};

/// Which of the pages that have a script this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// A press opens Link.
    Repair,
    /// The way back from the bank. Whoever comes back has pressed before.
    WayBack,
}

/// What the script says only once Link was opened. It comes with the answer to the press, so that the page is small.
pub(super) const WORDS_OF_LINK: [&str; 14] = [
    "blocked",
    "checking",
    "credentials",
    "hosted",
    "left",
    "limit",
    "locked",
    "new_password",
    "not_shared",
    "open",
    "other_login",
    "setup",
    "slow",
    "still_broken",
];

/// What to say when Link ends with an error: by its `error_code`, else by its `error_type`, else `failed`.
///
/// Plaid's pages of errors: <https://plaid.com/docs/errors/item/>, `/institution/`, `/invalid-input/`, `/rate-limit-exceeded/`.
pub(super) const ERRORS_OF_LINK: [(&str, &[&str]); 13] = [
    (
        "credentials",
        &["INVALID_CREDENTIALS", "INVALID_MFA", "INVALID_OTP", "INVALID_PHONE_NUMBER", "INVALID_SEND_METHOD"],
    ),
    ("left", &["INSUFFICIENT_CREDENTIALS", "USER_INPUT_TIMEOUT"]),
    ("locked", &["ITEM_LOCKED"]),
    ("new_password", &["PASSWORD_RESET_REQUIRED"]),
    ("setup", &["USER_SETUP_REQUIRED"]),
    ("not_shared", &["ACCESS_NOT_GRANTED", "NO_ACCOUNTS", "NO_AUTH_ACCOUNTS", "INVALID_ACCOUNT_ID"]),
    ("other_login", &["INVALID_UPDATED_USERNAME"]),
    (
        "anew",
        &[
            "ITEM_NOT_SUPPORTED",
            "MFA_NOT_SUPPORTED",
            "ITEM_NOT_FOUND",
            "USER_PERMISSION_REVOKED",
            "NO_INVESTMENT_ACCOUNTS",
            "NO_INVESTMENT_AUTH_ACCOUNTS",
            "NO_LIABILITY_ACCOUNTS",
            "PRODUCT_NOT_ENABLED",
            "PRODUCTS_NOT_SUPPORTED",
            "INSTITUTION_NO_LONGER_SUPPORTED",
        ],
    ),
    (
        "ours",
        &[
            "UNSUPPORTED_RESPONSE",
            "UNAUTHORIZED_INSTITUTION",
            "INSTITUTION_REGISTRATION_REQUIRED",
            "INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT",
            "MANUAL_VERIFICATION_REQUIRED",
            // Types.
            "INVALID_INPUT",
            "INVALID_REQUEST",
        ],
    ),
    ("plaid_down", &["PRODUCT_NOT_READY", "API_ERROR"]),
    ("bank_down", &["INSTITUTION_ERROR"]),
    ("limit", &["RATE_LIMIT_EXCEEDED"]),
    ("failed", &["INVALID_LINK_TOKEN"]),
];

/// What belongs to a Link token, beside it in the answer to the press.
#[derive(Serialize)]
pub struct OfLink {
    /// What the page says while Link is open and when it ends.
    words: Value,
    /// Which of these words it says for an error that ended Link.
    errors: Value,
}

impl OfLink {
    /// In the language of the view.
    #[must_use]
    pub fn new(view: &View<'_>) -> Self {
        let said = words_where(view, words::of(view.language), |key| WORDS_OF_LINK.contains(&key));
        Self { words: said, errors: errors() }
    }
}

/// As JSON that cannot end the script element around it.
pub(super) fn data(view: &View<'_>, words: &'static Words, page: Shown, mode: &LinkMode) -> String {
    let link_script = match mode {
        LinkMode::Embedded { script, .. } => Some(script.as_str()),
        LinkMode::Hosted { .. } => None,
    };
    let mut data = json!({ "brand": view.brand.name, "link_script": link_script });
    match page {
        Shown::Repair => {
            data["page"] = json!("repair");
            data["words"] = words_where(view, words, |key| !WORDS_OF_LINK.contains(&key));
        }
        Shown::WayBack => {
            data["page"] = json!("back");
            data["finishing"] = json!(words.back.finishing);
            data["words"] = words_where(view, words, |_| true);
            data["errors"] = errors();
        }
    }
    data.to_string().replace('<', "\\u003c")
}

fn errors() -> Value {
    let of_word = |(word, codes): (&'static str, &'static [&str])| codes.iter().map(move |code| (*code, json!(word)));
    ERRORS_OF_LINK.into_iter().flat_map(of_word).collect()
}

fn words_where(view: &View<'_>, words: &'static Words, wanted: impl Fn(&str) -> bool) -> Value {
    let say = |text: &String| fill(text, &[("brand", &view.brand.name)]);
    let wanted = words.script.iter().filter(|(key, _)| wanted(key.as_str()));
    wanted.map(|(key, text)| (key.clone(), say(text).into())).collect::<Map<_, _>>().into()
}
