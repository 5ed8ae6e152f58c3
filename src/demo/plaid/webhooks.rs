//! What the fake Plaid says in webhooks, and how it sends them.
//!
//! Bodies are indented by two spaces, as Plaid's are: the signature covers them byte by byte. It tries once unless the
//! options ask for Plaid's retries.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::truth::{Act, Bank, Item, NOTICE};
use super::words::Trouble;
use super::world::World;

/// Plaid's own delays between tries, by its rule: 30 seconds, each four times the last, within 24 hours.
pub const PLAID_RETRIES: [Duration; 6] = [
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(480),
    Duration::from_secs(1_920),
    Duration::from_secs(7_680),
    Duration::from_secs(30_720),
];

/// The longest that Plaid waits because of `Retry-After`, in seconds.
const RETRY_AFTER_SECS_MAX: u64 = 4 * 3600;

/// Whether Plaid's webhook about an act reaches anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It is sent.
    #[default]
    Send,
    /// Plaid believes that it was sent; it arrives nowhere.
    Lose,
}

/// How a webhook is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// As it should be.
    #[default]
    Good,
    /// With one character of the signature changed.
    Broken,
    /// Over another body.
    OtherBody,
    /// Not at all.
    Missing,
}

/// How a webhook is signed and how often it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SignOptions {
    /// Added to `iat`, in seconds: negative makes it stale.
    pub iat_offset_secs: i64,
    /// How it is signed.
    pub signature: Signature,
    /// How many more times the same bytes under the same signature are sent.
    pub duplicates: u32,
}

/// A webhook that was sent or lost.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// Counted from 1.
    pub number: u64,
    /// When it was first sent.
    pub at: Timestamp,
    /// The Item that it is about.
    pub item_id: Option<String>,
    /// Plaid's `webhook_type` and `webhook_code`, as `TYPE/CODE`.
    pub what: String,
    /// Where to; `None` when the Item has no address.
    pub url: Option<String>,
    /// The body as it was sent.
    pub body: String,
    /// Whether it was lost on purpose.
    pub lost: bool,
    /// The tries, in order.
    pub tries: Vec<Try>,
}

/// One try to deliver a webhook.
#[derive(Clone, Debug, Serialize)]
pub struct Try {
    /// When.
    pub at: Timestamp,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// What went wrong where there was no answer.
    pub failure: Option<String>,
    /// `Retry-After` of the answer, in seconds.
    pub retry_after_secs: Option<u64>,
}

impl Sent {
    /// The status of the first try's answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.tries.first().and_then(|first| first.status)
    }
}

/// The webhook that Plaid sends about an act, if it sends one. The truth has changed already.
pub(super) fn about(act: &Act, item: &Item, bank: &Bank, environment: &str, now: Timestamp) -> Option<Value> {
    let mut body = match act {
        Act::BreakLogin { .. } => json!({ "webhook_code": "ERROR", "error": item.trouble.as_ref()?.in_webhook() }),
        Act::BankDown => json!({ "webhook_code": "ERROR", "error": Trouble::new("INSTITUTION_DOWN").in_webhook() }),
        Act::ConsentEnds { at } => ending(*at, bank, now)?,
        Act::Disconnect { reason, at } => disconnect(reason, *at),
        Act::NewAccount => json!({ "webhook_code": "NEW_ACCOUNTS_AVAILABLE", "error": null }),
        Act::Revoke => {
            json!({ "webhook_code": "USER_PERMISSION_REVOKED", "error": item.trouble.as_ref()?.in_webhook() })
        }
        Act::RevokeAccount => {
            let account_id = &item.unshared.last()?.id;
            json!({ "webhook_code": "USER_ACCOUNT_REVOKED", "account_id": account_id })
        }
        Act::RepairElsewhere => json!({ "webhook_code": "LOGIN_REPAIRED" }),
        Act::BankUp | Act::Remove | Act::LoseAccounts => return None,
    };
    body["webhook_type"] = json!("ITEM");
    body["item_id"] = json!(item.id);
    body["environment"] = json!(environment);
    Some(body)
}

/// An ending consent: another webhook in North America than in Europe, and none before its time.
fn ending(at: Timestamp, bank: &Bank, now: Timestamp) -> Option<Value> {
    if at > now + NOTICE {
        return None;
    }
    Some(match bank.country.as_str() {
        "US" | "CA" => disconnect("INSTITUTION_TOKEN_EXPIRATION", Some(at)),
        _ => json!({ "webhook_code": "PENDING_EXPIRATION", "consent_expiration_time": at }),
    })
}

fn disconnect(reason: &str, at: Option<Timestamp>) -> Value {
    let mut body = json!({ "webhook_code": "PENDING_DISCONNECT", "reason": reason });
    if let Some(at) = at {
        body["disconnect_time"] = json!(at);
    }
    body
}

/// A webhook that is ready to go.
pub(super) struct Parcel {
    pub(super) item_id: Option<String>,
    pub(super) url: Option<String>,
    pub(super) body: Value,
    pub(super) sign: SignOptions,
    pub(super) lost: bool,
}

impl Parcel {
    /// A webhook to an Item's address, rightly signed, once.
    pub(super) fn to(item: &Item, body: Value) -> Self {
        let (item_id, url) = (Some(item.id.clone()), item.webhook.clone());
        Self { item_id, url, body, sign: SignOptions::default(), lost: false }
    }
}

/// Sends a webhook and answers when its first try is over; retries, if there are any, go on behind.
pub(super) async fn send(world: &Arc<World>, parcel: Parcel) -> Sent {
    let sent = note(world, &parcel);
    let Some(url) = sent.url.clone().filter(|_| !sent.lost) else {
        return sent;
    };
    let sign = parcel.sign;
    let signature = sign_body(world, &sent.body, sign);
    for _ in 0..=sign.duplicates {
        let tried = attempt(world, &url, &sent.body, signature.as_deref()).await;
        add_try(world, sent.number, tried);
    }
    let after = find(world, sent.number).unwrap_or(sent);
    if after.status() != Some(200) && !world.options.retries.is_empty() {
        let (behind, number, body) = (Arc::clone(world), after.number, after.body.clone());
        let first_wait = after.tries.last().and_then(|last| last.retry_after_secs);
        world.tracker.spawn(async move { retry(&behind, number, &url, &body, sign, first_wait).await });
    }
    after
}

/// Writes the webhook into the record, and into the Item as the last one that Plaid sent.
fn note(world: &World, parcel: &Parcel) -> Sent {
    let now = world.now();
    let word = |name: &str| parcel.body.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let (kind, code) = (word("webhook_type"), word("webhook_code"));
    let body = serde_json::to_string_pretty(&parcel.body).expect("a JSON value can be written");
    let mut state = world.lock();
    state.sent_ever += 1;
    let sent = Sent {
        number: state.sent_ever,
        at: now,
        item_id: parcel.item_id.clone(),
        what: format!("{kind}/{code}"),
        url: parcel.url.clone(),
        body,
        lost: parcel.lost,
        tries: Vec::new(),
    };
    let item = parcel.item_id.as_ref().filter(|_| kind != "LINK").and_then(|id| state.items.get_mut(id));
    if let Some(item) = item {
        item.last_webhook = Some((now, code));
    }
    state.record_sent(sent.clone());
    drop(state);
    world.changed();
    sent
}

fn sign_body(world: &World, body: &str, sign: SignOptions) -> Option<String> {
    let iat = world.now().as_second() + sign.iat_offset_secs;
    let state = world.lock();
    let signer = &state.keys.last().expect("there is always a key").signer;
    match sign.signature {
        Signature::Good => Some(signer.sign(body.as_bytes(), iat)),
        Signature::OtherBody => Some(signer.sign(format!("{body} ").as_bytes(), iat)),
        Signature::Missing => None,
        Signature::Broken => {
            let token = signer.sign(body.as_bytes(), iat);
            let (signed, signature) = token.rsplit_once('.')?;
            let other = if signature.starts_with('A') { 'B' } else { 'A' };
            Some(format!("{signed}.{other}{}", &signature[1..]))
        }
    }
}

async fn attempt(world: &World, url: &str, body: &str, signature: Option<&str>) -> Try {
    let at = world.now();
    let mut request = world.http.post(url).header(header::CONTENT_TYPE, "application/json").body(body.to_owned());
    if let Some(signature) = signature {
        request = request.header("Plaid-Verification", signature);
    }
    match request.send().await {
        Ok(response) => {
            let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after_secs = retry_after.and_then(|value| value.parse().ok());
            Try { at, status: Some(response.status().as_u16()), failure: None, retry_after_secs }
        }
        Err(error) => {
            let failure = if error.is_timeout() {
                "no answer in time"
            } else if error.is_connect() {
                "nobody listens there"
            } else {
                "the connection broke"
            };
            Try { at, status: None, failure: Some(failure.to_owned()), retry_after_secs: None }
        }
    }
}

/// Tries again after each delay until it is taken. Each try is signed anew: Plaid does not say whether it does so.
async fn retry(world: &World, number: u64, url: &str, body: &str, sign: SignOptions, mut wait: Option<u64>) {
    for delay in &world.options.retries {
        let delay = wait.map_or(*delay, |seconds| Duration::from_secs(seconds.min(RETRY_AFTER_SECS_MAX)));
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
        let signature = sign_body(world, body, sign);
        let tried = attempt(world, url, body, signature.as_deref()).await;
        let (taken, retry_after) = (tried.status == Some(200), tried.retry_after_secs);
        add_try(world, number, tried);
        if taken {
            return;
        }
        wait = retry_after;
    }
}

fn add_try(world: &World, number: u64, tried: Try) {
    if let Some(sent) = world.lock().sent.iter_mut().rev().find(|sent| sent.number == number) {
        sent.tries.push(tried);
    }
    world.changed();
}

fn find(world: &World, number: u64) -> Option<Sent> {
    world.lock().sent.iter().rev().find(|sent| sent.number == number).cloned()
}
