//! What `relinkd trigger` says: what was sent, what was answered, and what to look at next.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demo::plaid::{Signature, Trigger, TriggerError};

/// What the demo's Plaid answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    item: Option<ItemRow>,
    truth: Option<String>,
    webhooks: Vec<Sent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ItemRow {
    id: String,
    user: String,
    bank: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    what: String,
    url: Option<String>,
    body: Value,
    tries: Vec<Try>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Try {
    status: Option<u16>,
    failure: Option<String>,
}

/// How the demo's Plaid refuses.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    error: TriggerError,
    items: Vec<ItemRow>,
}

/// The status that the daemon should answer.
fn due(trigger: &Trigger) -> u16 {
    match trigger.sign.signature {
        Signature::Good => 200,
        Signature::Broken | Signature::OtherBody | Signature::Missing => 401,
    }
}

fn is_as_due(answer: &Answer, trigger: &Trigger) -> bool {
    let mut all = answer.webhooks.iter().flat_map(|sent| &sent.tries).map(|tried| tried.status);
    all.all(|status| status == Some(due(trigger)))
}

/// 0 if every answer was the one that was due.
pub(super) fn code(answer: &Answer, trigger: &Trigger) -> ExitCode {
    if is_as_due(answer, trigger) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The answer as one JSON object.
pub(super) fn json(answer: &Answer, trigger: &Trigger) -> String {
    let Answer { item, truth, webhooks } = answer;
    let as_due = is_as_due(answer, trigger);
    json!({ "as_expected": as_due, "item": item, "truth": truth, "webhooks": webhooks }).to_string()
}

/// The answer for people, and the command that shows what became of it.
pub(super) fn text(answer: &Answer, trigger: &Trigger, next: &str) -> String {
    let mut text = String::new();
    match (&answer.item, &trigger.item_id) {
        (Some(ItemRow { id, user, bank }), _) => _ = writeln!(text, "Item {id}: {bank}, of {user}"),
        (None, Some(id)) => _ = writeln!(text, "Item {id}: Plaid knows no such Item"),
        (None, None) => {}
    }
    let truth = answer.truth.as_deref().unwrap_or("nothing has changed: these are only words");
    let _ = writeln!(text, "At Plaid: {truth}.");
    for (index, sent) in answer.webhooks.iter().enumerate() {
        let late = if trigger.overtaken && index > 0 { ", signed a minute ago" } else { signed(trigger) };
        let _ = writeln!(text, "{}{late}, to {}", sent.what, sent.url.as_deref().unwrap_or("nowhere"));
        for tried in &sent.tries {
            let _ = writeln!(text, "  {}", answered(tried, due(trigger)));
        }
    }
    let absent = if due(trigger) == 200 { "" } else { ", where it is not" };
    let _ = writeln!(text, "Next: {next}{absent}");
    text
}

fn signed(trigger: &Trigger) -> &'static str {
    match trigger.sign.signature {
        Signature::Good if trigger.sign.iat_offset_secs < 0 => ", signed ten minutes ago",
        Signature::Good if trigger.sign.iat_offset_secs > 0 => ", signed ten minutes ahead",
        Signature::Good => ", signed",
        Signature::Broken => ", with a wrong signature",
        Signature::OtherBody => ", with the signature of another body",
        Signature::Missing => ", without a signature",
    }
}

fn answered(tried: &Try, due: u16) -> String {
    match (tried.status, &tried.failure) {
        (Some(200), _) if due == 200 => "answered 200: it is on disk".to_owned(),
        (Some(200), _) => format!("answered 200, where {due} is due: this is a fault of relinkd's, please report it"),
        (Some(401), _) if due == 401 => "answered 401, as it should be: nothing is kept".to_owned(),
        (Some(401), _) => {
            "answered 401: the daemon does not trust this Plaid. Its [plaid] base_url has to be the demo's".to_owned()
        }
        (Some(429), _) => "answered 429: too much waits to be committed. Try again".to_owned(),
        (Some(503), _) => "answered 503: the key or the disk cannot be reached; the daemon's log says which".to_owned(),
        (Some(status), _) => format!("answered {status}: what listens there is no relinkd"),
        (None, Some(why)) => format!("not answered: {why}. Is the daemon running?"),
        (None, None) => "not answered. Is the daemon running?".to_owned(),
    }
}

/// Why nothing was sent, and what to write instead.
pub(super) fn refused(refused: &Refused, trigger: &Trigger) -> String {
    match refused.error {
        TriggerError::WhichItem if refused.items.is_empty() => {
            "This Plaid has no Items. Make one there, or add --item ITEM --lie to speak of one that it does not know."
                .to_owned()
        }
        TriggerError::WhichItem => format!("Which Item? Add --item with one of these:\n{}", listed(&refused.items)),
        TriggerError::UnknownItem => {
            let named = trigger.item_id.as_deref().unwrap_or_default();
            format!(
                "Plaid knows no Item {named}. It has these:\n{}To speak of one that it does not know, add --lie.",
                listed(&refused.items)
            )
        }
        TriggerError::NoSession => {
            "This Item has had no Link session. Press the button in a letter first, or name a token: \
                                    --set link_token=TOKEN."
                .to_owned()
        }
        TriggerError::NotHere => {
            "The Item's webhook address is not on this machine, and this Plaid sends nowhere else. \
                                  Give the Item one with /item/webhook/update."
                .to_owned()
        }
        TriggerError::NoRepair => {
            "--out-of-order lets a repair arrive before what it repaired: that is for ITEM/ERROR, \
                                   ITEM/PENDING_EXPIRATION, ITEM/PENDING_DISCONNECT and ITEM/LOGIN_REPAIRED."
                .to_owned()
        }
    }
}

fn listed(items: &[ItemRow]) -> String {
    let rows = items.iter().map(|ItemRow { id, user, bank }| format!("  {id}  {bank}, of {user}\n"));
    rows.collect()
}
