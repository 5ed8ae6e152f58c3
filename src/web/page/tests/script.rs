//! The script: its words, and what it says when Link ends with an error.

use super::*;
use crate::web::page::script::{ERRORS_OF_LINK, WORDS_OF_LINK};

/// What the page says for each error that ends Link.
fn errors_of_link() -> serde_json::Value {
    serde_json::to_value(seen(OfLink::new)).unwrap()["errors"].take()
}

#[test]
fn the_script_and_its_words_agree() {
    let script = template::script();
    let words = &words::of(Language::English).script;
    assert!(script.contains("errors[error.error_code] || errors[error.error_type] || 'failed'"));
    let of_errors = ERRORS_OF_LINK.map(|(word, _)| word);
    for key in words.keys() {
        let uses = [format!("'{key}'"), format!("words.{key}")];
        let used = uses.iter().any(|use_| script.contains(use_)) || of_errors.contains(&key.as_str());
        assert!(used, "{key} is never said");
    }
    for (before, after) in [("say('", "'"), ("words.", ";"), ("return '", "'")] {
        for part in script.split(before).skip(1) {
            let key: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            assert!(words.contains_key(&key), "{before}{key}{after} has no words");
        }
    }
    for (open, close) in [("TO_APP = [", ']'), ("NOT_AGAIN = [", ']'), ("say({", '}')] {
        let table = script.split_once(open).unwrap().1.split_once(close).unwrap().0;
        for said in table.split('\'').skip(1).step_by(2) {
            assert!(words.contains_key(said), "{said} has no words");
        }
    }
}

#[test]
fn each_class_of_errors_has_words_and_no_code_has_two() {
    let errors = errors_of_link();
    let words = &words::of(Language::English).script;
    for (code, said) in errors.as_object().unwrap() {
        assert!(words.contains_key(said.as_str().unwrap()), "{code}: {said}");
    }
    let all: Vec<&str> = ERRORS_OF_LINK.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
    assert_eq!(errors.as_object().unwrap().len(), all.len(), "{all:?}");
}

#[test]
fn the_page_and_the_answer_to_the_press_have_every_word_of_the_script_once() {
    let page = seen(|view| repair(view, &broken(vec![bank(None, What::LoginRequired)], embedded())));
    let later = serde_json::to_value(seen(OfLink::new)).unwrap()["words"].take();
    let data = page.html().split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let (now, later) = (data["words"].as_object().unwrap(), later.as_object().unwrap());
    for key in words::of(Language::English).script.keys() {
        assert!(now.contains_key(key) != later.contains_key(key), "{key}");
    }
    assert_eq!(later.len(), WORDS_OF_LINK.len(), "each is a word of the script");
    // What can be said before Link opens, or without it.
    let script = template::script();
    let start = script.split_once("async function start").unwrap().1.split_once("async function openLink").unwrap().0;
    let said = start.split("job.say(").skip(1).filter_map(|rest| rest.split_once(");").map(|(said, _)| said));
    let said: Vec<&str> = said.flat_map(|said| said.split('\'').skip(1).step_by(2)).collect();
    assert!(said.len() > 5 && said.iter().all(|key| now.contains_key(*key)), "{said:?}");
}

#[test]
fn each_error_that_ends_link_has_its_next_step() {
    let errors = errors_of_link();
    // As the script does it.
    let said_of = |code: &str, kind: &str| {
        let said = errors.get(code).or_else(|| errors.get(kind));
        said.and_then(serde_json::Value::as_str).unwrap_or("failed").to_owned()
    };
    for (kind, said, codes) in [
        (
            "ITEM_ERROR",
            "credentials",
            &["INVALID_CREDENTIALS", "INVALID_MFA", "INVALID_OTP", "INVALID_PHONE_NUMBER", "INVALID_SEND_METHOD"][..],
        ),
        ("ITEM_ERROR", "left", &["INSUFFICIENT_CREDENTIALS", "USER_INPUT_TIMEOUT"]),
        ("ITEM_ERROR", "failed", &["INSTANT_MATCH_FAILED", "A_CODE_OF_TOMORROW"]),
        ("INVALID_INPUT", "failed", &["INVALID_LINK_TOKEN"]),
        ("ITEM_ERROR", "locked", &["ITEM_LOCKED"]),
        ("ITEM_ERROR", "new_password", &["PASSWORD_RESET_REQUIRED"]),
        ("ITEM_ERROR", "setup", &["USER_SETUP_REQUIRED"]),
        ("ITEM_ERROR", "not_shared", &["ACCESS_NOT_GRANTED", "NO_ACCOUNTS", "NO_AUTH_ACCOUNTS"]),
        ("INVALID_INPUT", "not_shared", &["INVALID_ACCOUNT_ID"]),
        ("ITEM_ERROR", "other_login", &["INVALID_UPDATED_USERNAME"]),
        (
            "ITEM_ERROR",
            "anew",
            &[
                "ITEM_NOT_FOUND",
                "ITEM_NOT_SUPPORTED",
                "MFA_NOT_SUPPORTED",
                "NO_INVESTMENT_ACCOUNTS",
                "NO_INVESTMENT_AUTH_ACCOUNTS",
                "NO_LIABILITY_ACCOUNTS",
                "PRODUCT_NOT_ENABLED",
                "PRODUCTS_NOT_SUPPORTED",
            ],
        ),
        ("INVALID_INPUT", "anew", &["USER_PERMISSION_REVOKED"]),
        ("INSTITUTION_ERROR", "anew", &["INSTITUTION_NO_LONGER_SUPPORTED"]),
        (
            "INSTITUTION_ERROR",
            "bank_down",
            &["INSTITUTION_DOWN", "INSTITUTION_NOT_RESPONDING", "INSTITUTION_NOT_AVAILABLE"],
        ),
        ("ITEM_ERROR", "plaid_down", &["PRODUCT_NOT_READY"]),
        ("API_ERROR", "plaid_down", &["INTERNAL_SERVER_ERROR", "PLANNED_MAINTENANCE"]),
        ("RATE_LIMIT_EXCEEDED", "limit", &["RATE_LIMIT", "INSTITUTION_RATE_LIMIT"]),
        (
            "INSTITUTION_ERROR",
            "ours",
            &[
                "UNSUPPORTED_RESPONSE",
                "UNAUTHORIZED_INSTITUTION",
                "INSTITUTION_REGISTRATION_REQUIRED",
                "INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT",
            ],
        ),
        ("ITEM_ERROR", "ours", &["MANUAL_VERIFICATION_REQUIRED"]),
        ("INVALID_INPUT", "ours", &["ADDITIONAL_CONSENT_REQUIRED", "INVALID_API_KEYS", "INVALID_LINK_CUSTOMIZATION"]),
        ("INVALID_REQUEST", "ours", &["MISSING_FIELDS", "UNKNOWN_FIELDS", "INVALID_FIELD"]),
    ] {
        for code in codes {
            assert_eq!(said_of(code, kind), said, "{code}");
        }
    }
}
