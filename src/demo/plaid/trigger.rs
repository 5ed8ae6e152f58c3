//! Webhooks on demand: any pair of type and code, rightly signed or not, and the truth behind it.
//!
//! Unlike [`super::Act`], which makes something happen and says what Plaid would say about it, this begins with the words.
//! By default the truth is made to agree with them, so that who asks afterwards hears the same; a trigger that lies says
//! the words only. What is said to be forged is always a lie: a forger changes nothing at Plaid.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};

use super::truth::{Act, Item};
use super::webhooks::{self, Parcel, Sent, SignOptions, Signature};
use super::words::Trouble;
use super::world::State;
use super::{FakePlaid, NOTICE};
use crate::domain::ladder::parse_duration;

/// How much older the signature of a webhook is that was overtaken, in seconds: still fresh, and plainly the older one.
const OVERTAKEN_SECS: i64 = 60;

/// A webhook to be said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trigger {
    /// Plaid's `webhook_type`.
    pub webhook_type: String,
    /// Plaid's `webhook_code`.
    pub webhook_code: String,
    /// The Item that it is about. May be left out where there is only one.
    pub item_id: Option<String>,
    /// Where to, if the Item has no address.
    pub url: Option<String>,
    /// Fields of the body, by name; `error.error_code` is a field of a field. A time may be `+6d` from now.
    pub set: BTreeMap<String, Value>,
    /// Whether the truth stays as it is.
    pub lie: bool,
    /// Whether a repair that came later arrives first.
    pub overtaken: bool,
    /// How it is signed, and how often it is sent.
    pub sign: SignOptions,
}

/// What was said, and what is so now.
#[derive(Clone, Debug)]
pub struct Triggered {
    /// The Item that it was about, if it is one of this Plaid's.
    pub item: Option<Item>,
    /// What was made true.
    pub truth: Option<String>,
    /// The webhooks, in the order in which they were sent.
    pub sent: Vec<Sent>,
}

/// Why a trigger was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum TriggerError {
    /// No Item is named, and there is not exactly one.
    #[error("the Item has to be named")]
    WhichItem,
    /// There is no such Item, or it was removed.
    #[error("no such Item")]
    UnknownItem,
    /// A webhook about a Link session, and the Item has had none.
    #[error("the Item has had no Link session")]
    NoSession,
    /// There is no address to send it to, or one that is not on this machine.
    #[error("the Item's webhook address is not on this machine")]
    NotHere,
    /// Only what a repair ends can be overtaken by one.
    #[error("a repair does not end what such a webhook tells of")]
    NoRepair,
}

/// What becomes true.
enum Change {
    Act(Act),
    UpdateMode,
}

/// What is to be sent, once the truth has changed.
struct Plan {
    item: Option<Item>,
    truth: Option<String>,
    parcels: Vec<Parcel>,
}

impl FakePlaid {
    /// Says a webhook, and makes the truth agree unless it is to be a lie. Answers when the first tries are over.
    ///
    /// # Errors
    /// [`TriggerError`]; then nothing was said and nothing changed.
    pub async fn trigger(&self, trigger: &Trigger) -> Result<Triggered, TriggerError> {
        let now = self.world.now();
        let environment = &self.world.options.environment;
        let Plan { item, truth, parcels } = plan(&mut self.world.lock(), trigger, environment, now)?;
        self.world.changed();
        let mut sent = Vec::new();
        for parcel in parcels {
            sent.push(webhooks::send(&self.world, parcel).await);
        }
        Ok(Triggered { item, truth, sent })
    }
}

fn plan(state: &mut State, trigger: &Trigger, environment: &str, now: Timestamp) -> Result<Plan, TriggerError> {
    if trigger.overtaken && !is_ended_by_repair(trigger) {
        return Err(TriggerError::NoRepair);
    }
    let item = subject(state, trigger)?;
    let of_item = item.as_ref().and_then(|item| item.webhook.clone());
    let url = of_item.or_else(|| trigger.url.clone()).filter(|url| is_here(url)).ok_or(TriggerError::NotHere)?;
    let mut body = words(state, trigger, item.as_ref(), environment, now)?;
    for (name, value) in &trigger.set {
        set(&mut body, name, moment(name, value, now));
    }
    let forged = trigger.sign.signature != Signature::Good;
    let change = item.as_ref().filter(|_| !trigger.lie && !forged).and_then(|item| change(&body, item));
    let truth = item.as_ref().zip(change).map(|(item, change)| apply(state, &item.id, &change, trigger.overtaken, now));
    let item_id = item.as_ref().map(|item| item.id.clone()).or_else(|| trigger.item_id.clone());
    let parcel = |body, sign| Parcel { item_id: item_id.clone(), url: Some(url.clone()), body, sign, lost: false };
    let parcels = if trigger.overtaken {
        let repaired = about_item("LOGIN_REPAIRED", &body["item_id"], environment);
        let older = SignOptions { iat_offset_secs: -OVERTAKEN_SECS, ..trigger.sign };
        let overtaken =
            if trigger.webhook_code == "LOGIN_REPAIRED" { broken(&body["item_id"], environment) } else { body };
        vec![parcel(repaired, trigger.sign), parcel(overtaken, older)]
    } else {
        vec![parcel(body, trigger.sign)]
    };
    Ok(Plan { item, truth, parcels })
}

/// Whether the webhook tells of something that a repair ends, or of the repair itself.
fn is_ended_by_repair(trigger: &Trigger) -> bool {
    let ended = ["ERROR", "PENDING_EXPIRATION", "PENDING_DISCONNECT", "LOGIN_REPAIRED"];
    trigger.webhook_type == "ITEM" && ended.contains(&trigger.webhook_code.as_str())
}

/// The Item that a webhook is about. A lie may be about one that is not there.
fn subject(state: &State, trigger: &Trigger) -> Result<Option<Item>, TriggerError> {
    let of_session = trigger.set.get("link_token").and_then(Value::as_str).and_then(|token| state.links.get(token));
    let named = trigger.item_id.as_deref().or_else(|| of_session.map(|link| link.item_id.as_str()));
    let Some(id) = named else {
        let mut there = state.items.values().filter(|item| !item.removed);
        return match (there.next(), there.next()) {
            (Some(only), None) => Ok(Some(only.clone())),
            _ => Err(TriggerError::WhichItem),
        };
    };
    match state.items.get(id).filter(|item| !item.removed) {
        Some(item) => Ok(Some(item.clone())),
        None if trigger.lie => Ok(None),
        None => Err(TriggerError::UnknownItem),
    }
}

/// Whether an address is on this machine: this Plaid has nobody else to talk to.
fn is_here(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The body as Plaid documents it, before anything is set otherwise.
fn words(
    state: &mut State,
    trigger: &Trigger,
    item: Option<&Item>,
    environment: &str,
    now: Timestamp,
) -> Result<Value, TriggerError> {
    let id = json!(item.map(|item| &item.id).or(trigger.item_id.as_ref()));
    if trigger.webhook_type == "LINK" {
        return session(state, trigger, item, environment);
    }
    let mut body = about_item(&trigger.webhook_code, &id, environment);
    body["webhook_type"] = json!(trigger.webhook_type);
    if trigger.webhook_type != "ITEM" {
        return Ok(body);
    }
    let set_code = |otherwise: &str| {
        let code = trigger.set.get("error.error_code").and_then(Value::as_str);
        Trouble::new(code.unwrap_or(otherwise)).in_webhook()
    };
    match trigger.webhook_code.as_str() {
        "ERROR" => body["error"] = set_code("ITEM_LOGIN_REQUIRED"),
        "NEW_ACCOUNTS_AVAILABLE" => body["error"] = Value::Null,
        "PENDING_EXPIRATION" => body["consent_expiration_time"] = json!(now + NOTICE),
        "PENDING_DISCONNECT" => {
            body["reason"] = json!("INSTITUTION_MIGRATION");
            body["disconnect_time"] = json!(now + NOTICE);
        }
        "USER_PERMISSION_REVOKED" => body["error"] = set_code("USER_PERMISSION_REVOKED"),
        "USER_ACCOUNT_REVOKED" => {
            let first = item.and_then(|item| item.shared.first()).map(|account| account.id.clone());
            body["account_id"] = json!(first.unwrap_or_else(|| state.id(32)));
        }
        "WEBHOOK_UPDATE_ACKNOWLEDGED" => {
            body["error"] = Value::Null;
            body["new_webhook_url"] = json!(item.and_then(|item| item.webhook.clone()).or_else(|| trigger.url.clone()));
        }
        _ => {}
    }
    Ok(body)
}

fn about_item(code: &str, id: &Value, environment: &str) -> Value {
    json!({ "webhook_type": "ITEM", "webhook_code": code, "item_id": id, "environment": environment })
}

fn broken(id: &Value, environment: &str) -> Value {
    let mut body = about_item("ERROR", id, environment);
    body["error"] = Trouble::new("ITEM_LOGIN_REQUIRED").in_webhook();
    body
}

/// A webhook about a Link session names no Item, only the token: that of the Item's newest session unless one is set.
fn session(
    state: &mut State,
    trigger: &Trigger,
    item: Option<&Item>,
    environment: &str,
) -> Result<Value, TriggerError> {
    let of_item = state.links.values().filter(|link| item.is_some_and(|item| item.id == link.item_id));
    let newest = of_item.max_by_key(|link| link.expires_at);
    let token = match (trigger.set.get("link_token").and_then(Value::as_str), newest) {
        (Some(token), _) => token.to_owned(),
        (None, Some(link)) => link.token.clone(),
        (None, None) => return Err(TriggerError::NoSession),
    };
    let known = state.links.get(&token).and_then(|link| link.sessions.last()).map(|session| session.id.clone());
    let mut body = json!({
        "webhook_type": "LINK",
        "webhook_code": trigger.webhook_code,
        "link_session_id": known.unwrap_or_else(|| state.uuid()),
        "link_token": token,
        "environment": environment,
    });
    match trigger.webhook_code.as_str() {
        "SESSION_FINISHED" => body["status"] = json!("SUCCESS"),
        "ITEM_ADD_RESULT" => body["public_token"] = json!(format!("public-{environment}-{}", state.uuid())),
        "EVENTS" => body["events"] = json!([]),
        _ => {}
    }
    Ok(body)
}

/// Sets a field; `a.b` is the field `b` of the object `a`, which is made if it is none.
fn set(body: &mut Value, name: &str, value: Value) {
    let mut place = body;
    for part in name.split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[part];
    }
    *place = value;
}

/// A value as it is, but a time that counts from now as a time.
fn moment(name: &str, value: &Value, now: Timestamp) -> Value {
    let text = value.as_str().filter(|_| name.ends_with("_time"));
    let ahead = text.and_then(|text| text.strip_prefix('+')).and_then(|text| parse_duration(text).ok());
    let ago = text.and_then(|text| text.strip_prefix('-')).and_then(|text| parse_duration(text).ok());
    let at = ahead.or_else(|| ago.map(|ago| -ago)).and_then(|by| now.checked_add(by).ok());
    at.map_or_else(|| value.clone(), |at| json!(at))
}

/// What has to become true for these words to be so; nothing where no fact of an Item answers to them.
fn change(body: &Value, item: &Item) -> Option<Change> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = |name: &str| body[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let act = match (body["webhook_type"].as_str()?, body["webhook_code"].as_str()?) {
        ("ITEM", "ERROR") => {
            let error = &body["error"];
            Act::BreakLogin { code: text(&error["error_code"])?, reason: text(&error["error_code_reason"]) }
        }
        ("ITEM", "LOGIN_REPAIRED") => Act::RepairElsewhere,
        ("ITEM", "PENDING_EXPIRATION") => Act::ConsentEnds { at: time("consent_expiration_time")? },
        ("ITEM", "PENDING_DISCONNECT") => {
            Act::Disconnect { reason: text(&body["reason"]).unwrap_or_default(), at: time("disconnect_time") }
        }
        ("ITEM", "NEW_ACCOUNTS_AVAILABLE") => Act::NewAccount,
        ("ITEM", "USER_PERMISSION_REVOKED") => Act::Revoke,
        ("ITEM", "USER_ACCOUNT_REVOKED") => {
            let first = item.shared.first().map(|account| account.id.as_str());
            first.filter(|first| body["account_id"] == **first).map(|_| Act::RevokeAccount)?
        }
        ("LINK", "SESSION_FINISHED") if body["status"] == "SUCCESS" => return Some(Change::UpdateMode),
        _ => return None,
    };
    Some(Change::Act(act))
}

/// Makes it so, and says in words what is so now.
fn apply(state: &mut State, item_id: &str, change: &Change, repaired_after: bool, now: Timestamp) -> String {
    let fresh_id = state.id(32);
    let item = state.items.get_mut(item_id).expect("the Item was found under the same lock");
    match change {
        Change::Act(act) => item.suffer(act, fresh_id, now),
        Change::UpdateMode => item.update_mode(None, now),
    }
    let mut said = match change {
        Change::Act(act) => said(act, now),
        Change::UpdateMode => "update mode went through".to_owned(),
    };
    if repaired_after {
        item.mend(now);
        said.push_str(", and then the user repaired the login elsewhere");
    }
    said
}

fn said(act: &Act, now: Timestamp) -> String {
    match act {
        Act::BreakLogin { code, reason } => match reason {
            Some(reason) => format!("the Item has the error {code} ({reason})"),
            None => format!("the Item has the error {code}"),
        },
        Act::ConsentEnds { at } => format!("the consent ends at {at}"),
        Act::Disconnect { at, .. } => format!("the bank cuts the connection at {}", at.unwrap_or(now + NOTICE)),
        Act::NewAccount => "there is an account that is not shared".to_owned(),
        Act::Revoke => "the user withdrew the permission".to_owned(),
        Act::RevokeAccount => "one account is shared no more".to_owned(),
        Act::LoseAccounts => "no account is there any more".to_owned(),
        Act::BankDown => "the bank is down".to_owned(),
        Act::BankUp => "the bank is up".to_owned(),
        Act::Remove => "the Item is removed".to_owned(),
        Act::RepairElsewhere => "the login works".to_owned(),
    }
}
