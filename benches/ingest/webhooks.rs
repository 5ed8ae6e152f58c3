//! A realistic mix of webhooks, signed before any time is taken.

use relinkd::demo::signer::Signer;
use serde_json::{Value, json};

/// The name of the key that signs.
pub const KID: &str = "6c5516e1-92dc-479e-a8ff-5a51992e0001";

/// Every so many-th Item is broken at Plaid; only those are said to be.
pub const BROKEN_EVERY: usize = 10;

/// A webhook as it goes over the wire, and as the bare verification takes it.
pub struct Signed {
    /// The whole request.
    pub request: Vec<u8>,
    /// The value of `Plaid-Verification`.
    pub token: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The id of an Item by its number.
pub fn item_id(item: usize) -> String {
    format!("eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBF{item:06}")
}

/// Signed webhooks, all different, spread over the Items.
pub fn signed(signer: &Signer, count: usize, items: usize, iat: i64) -> Vec<Signed> {
    (0..count)
        .map(|number| {
            // Plaid's bodies are indented by two.
            let body = serde_json::to_vec_pretty(&body(number, items)).expect("a JSON value");
            let token = signer.sign(&body, iat);
            let head = format!(
                "POST /plaid/webhook HTTP/1.1\r\nhost: repair.example.com\r\ncontent-type: application/json\r\n\
                 user-agent: bench\r\nplaid-verification: {token}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            Signed { request: [head.as_bytes(), &body].concat(), token, body }
        })
        .collect()
}

/// Of a hundred webhooks 90 tell of new transactions, 4 of other products' news, and 6 of the health of an Item.
fn body(number: usize, items: usize) -> Value {
    // A step that shares no factor with the numbers of Items, so that neighbours are far apart.
    let item = number * 7919 % items;
    let broken = item - item % BROKEN_EVERY;
    let sound = broken + 1;
    let of = |item: usize, webhook_type: &str, code: &str| json!({ "environment": "sandbox", "item_id": item_id(item), "webhook_code": code, "webhook_type": webhook_type });
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    match number % 100 {
        0..90 => {
            let body = of(item, "TRANSACTIONS", "SYNC_UPDATES_AVAILABLE");
            with(with(body, "historical_update_complete", true.into()), "initial_update_complete", true.into())
        }
        90..94 => with(of(item, "HOLDINGS", "DEFAULT_UPDATE"), "new_holdings", (number % 7).into()),
        94..97 => with(of(broken, "ITEM", "ERROR"), "error", login_required()),
        97 => with(of(sound, "ITEM", "LOGIN_REPAIRED"), "error", Value::Null),
        98 => with(of(sound, "ITEM", "PENDING_DISCONNECT"), "reason", "INSTITUTION_MIGRATION".into()),
        _ => with(of(sound, "ITEM", "NEW_ACCOUNTS_AVAILABLE"), "error", Value::Null),
    }
}

/// Plaid's error object of a login that is broken.
pub fn login_required() -> Value {
    json!({
        "display_message": "The login details of this item have changed.",
        "error_code": "ITEM_LOGIN_REQUIRED",
        "error_message": "the login details of this item have changed (credentials, MFA, or required user action)",
        "error_type": "ITEM_ERROR",
        "status": 400,
    })
}
