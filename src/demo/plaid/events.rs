//! `/beta/webhook_events/list`: the record of what was sent and of what became of it, for seven days.
//!
//! Not in Plaid's OpenAPI file; the fields are those of Plaid's client libraries. `TRANSACTIONS` webhooks are left out, as
//! Plaid leaves them out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::endpoints::{Ask, Done};
use super::webhooks::Sent;
use super::words::PlaidError;
use super::world::State;

/// How long a webhook is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most that one answer has.
const COUNT_MAX: u64 = 100;

/// The fields that the endpoint takes.
pub(super) const FIELDS: &[&str] =
    &["cursor", "start_time", "count", "webhook_types", "webhook_codes", "item_ids", "delivery_statuses"];

/// A page of what was sent, oldest first.
pub(super) fn list(state: &State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    let oldest = ask.now - KEPT;
    let count = match ask.body.get("count") {
        None | Some(Value::Null) => COUNT_MAX,
        Some(count) => count
            .as_u64()
            .filter(|count| (1..=COUNT_MAX).contains(count))
            .ok_or_else(|| PlaidError::invalid_field("count must be between 1 and 100"))?,
    };
    let (behind, since) = match ask.body.get("cursor").and_then(Value::as_str) {
        Some(cursor) => (behind(cursor, oldest)?, oldest),
        None => (0, start(ask, oldest)?),
    };
    let mut there = state.sent.iter().filter(|sent| {
        let listed = sent.url.is_some() && !sent.what.starts_with("TRANSACTIONS/");
        listed && sent.number > behind && sent.at >= since && is_wanted(ask.body, sent)
    });
    let page: Vec<&Sent> = there.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
    let cursor = match page.last() {
        Some(last) => json!(format!("{}.{}", last.number, last.at.as_millisecond())),
        None => ask.body.get("cursor").cloned().unwrap_or_else(|| json!(format!("0.{}", ask.now.as_millisecond()))),
    };
    let events: Vec<Value> = page.into_iter().map(|sent| event(sent, &ask.options.retries)).collect();
    let has_more = there.next().is_some();
    let body = json!({
        "webhook_events": events, "has_more": has_more, "next_cursor": cursor, "request_id": ask.request_id,
    });
    Ok(body.into())
}

/// A cursor is the number of the last webhook that was listed, and when it was sent.
fn behind(cursor: &str, oldest: Timestamp) -> Result<u64, PlaidError> {
    let parts = cursor.split_once('.').and_then(|(number, at)| Some((number.parse().ok()?, at.parse().ok()?)));
    let (number, at): (u64, i64) = parts.ok_or_else(|| PlaidError::invalid_field("cursor is not valid"))?;
    if at < oldest.as_millisecond() {
        let message = "the cursor is older than 7 days";
        return Err(PlaidError::new("INVALID_INPUT", "WEBHOOK_EVENTS_CURSOR_EXPIRED", message));
    }
    Ok(number)
}

fn start(ask: &Ask<'_>, oldest: Timestamp) -> Result<Timestamp, PlaidError> {
    let Some(start) = ask.body.get("start_time").filter(|start| !start.is_null()) else { return Ok(oldest) };
    let start: Option<Timestamp> = start.as_str().and_then(|text| text.parse().ok());
    let start = start.ok_or_else(|| PlaidError::invalid_field("start_time is not a time"))?;
    if start < oldest {
        let message = "start_time must be within the last 7 days";
        return Err(PlaidError::new("INVALID_INPUT", "WEBHOOK_EVENTS_START_TIME_OUT_OF_RANGE", message));
    }
    Ok(start)
}

/// Whether every filter that is given has a value that matches.
fn is_wanted(body: &Map<String, Value>, sent: &Sent) -> bool {
    let (webhook_type, code) = sent.what.split_once('/').unwrap_or_default();
    let facts =
        [("webhook_types", Some(webhook_type)), ("webhook_codes", Some(code)), ("item_ids", sent.item_id.as_deref())];
    facts.into_iter().chain([("delivery_statuses", Some(status(sent, &[])))]).all(|(filter, fact)| {
        let wanted = body.get(filter).and_then(Value::as_array).filter(|wanted| !wanted.is_empty());
        wanted.is_none_or(|wanted| fact.is_some_and(|fact| wanted.contains(&json!(fact))))
    })
}

fn status(sent: &Sent, retries: &[Duration]) -> &'static str {
    let taken = sent.tries.iter().any(|tried| tried.status.is_some_and(|status| (200..300).contains(&status)));
    if taken {
        "DELIVERED"
    } else if !sent.lost && sent.tries.len() <= retries.len() {
        "PENDING"
    } else {
        "FAILED"
    }
}

fn event(sent: &Sent, retries: &[Duration]) -> Value {
    let (webhook_type, code) = sent.what.split_once('/').unwrap_or_default();
    let last = sent.tries.last();
    json!({
        "webhook_message_id": format!("wm-{:08}", sent.number),
        "webhook_type": webhook_type,
        "webhook_code": code,
        "item_id": sent.item_id.as_ref().filter(|_| webhook_type != "LINK"),
        "sent_time": sent.at,
        "payload": serde_json::from_str::<Value>(&sent.body).unwrap_or(Value::Null),
        "destination_url": sent.url,
        "delivery_status": status(sent, retries),
        "last_http_status_code": last.and_then(|last| last.status),
        "attempt_count": sent.tries.len().max(1),
        "last_attempt_time": last.map_or(sent.at, |last| last.at),
    })
}
