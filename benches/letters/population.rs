//! Who is written to: users with one Item each, spread over banks.

use serde_json::{Value, json};

/// How many banks there are. Before a letter Plaid is asked about its bank too, once in some minutes, and allows 400 of these
/// questions a minute.
pub const BANKS: usize = 300;

/// What every access token begins with; the Item's number follows.
pub const TOKEN: &str = "access-sandbox-";

/// The languages that are on by default.
const LOCALES: [&str; 3] = ["en", "es", "fr"];

/// As long as Plaid's.
pub fn item_id(number: usize) -> String {
    format!("eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBF{number:06}")
}

pub fn bank_id(number: usize) -> String {
    format!("ins_{}", number % BANKS)
}

/// No name ends at a mailbox provider that somebody has.
pub fn email(number: usize) -> String {
    format!("person-{number}@example.com")
}

pub fn item(number: usize) -> Value {
    json!({
        "item_id": item_id(number),
        "access_token": format!("{TOKEN}{number}"),
        "user_id": format!("user-{number}"),
        "institution_id": bank_id(number),
        "institution_name": format!("Bank {}", bank_id(number)),
    })
}

pub fn user(number: usize) -> Value {
    let locale = LOCALES[number % LOCALES.len()];
    json!({
        "user_id": format!("user-{number}"),
        "email": email(number),
        "name": format!("Person {number}"),
        "locale": locale,
        "time_zone": "America/New_York",
    })
}
