//! `/v1/webhooks`: what came in, what became of it, and applying it once more.

use axum::Json;
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::items::item_id;
use super::lists::{Page, limit, number};
use super::problem::{Body, Problem};
use crate::engine::Engine;
use crate::engine::plan::Preview;
use crate::store::{Receipt, WebhookFilter};

/// What a webhook can have become.
const STATUSES: [&str; 4] = ["new", "applied", "parked", "noted"];

/// How secrets of Plaid's begin: each goes on with the environment and a UUID.
const SECRETS: [&str; 4] = ["access-", "public-", "link-", "processor-"];

/// Which webhooks, and in which order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhooksQuery {
    item_id: Option<String>,
    status: Option<String>,
    since: Option<Timestamp>,
    order: Option<Order>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Oldest,
    Newest,
}

/// Webhooks as received and what became of them, oldest first unless asked otherwise. Without their bodies.
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<WebhooksQuery>,
) -> Result<Json<Page<Receipt>>, Problem> {
    if query.status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(Problem::invalid(format!("status is none of {}", STATUSES.join(", "))));
    }
    let filter = WebhookFilter {
        item: query.item_id.as_deref().map(item_id).transpose()?,
        status: query.status,
        since: query.since,
        newest_first: query.order == Some(Order::Newest),
    };
    let limit = limit(query.limit)?;
    let after = query.cursor.as_deref().map(|cursor| number(Some(cursor))).transpose()?;
    let receipts = engine.store.receipts(filter, after, limit).await?;
    Ok(Json(Page::new(receipts, limit, |receipt| receipt.id.to_string())))
}

/// A webhook with what it says.
#[derive(Serialize)]
pub(super) struct WebhookView {
    #[serde(flatten)]
    receipt: Receipt,
    /// The body as JSON, with tokens masked; a text if it is none; nothing if no key opens it.
    body: Option<Value>,
}

pub(super) async fn show(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<WebhookView>, Problem> {
    let (receipt, unread) = engine.store.webhook(webhook_id(&id)?).await?.ok_or_else(|| Problem::unknown("webhook"))?;
    let body = unread.body.map(|body| {
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        masked(serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    });
    Ok(Json(WebhookView { receipt, body }))
}

/// Whether to do it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayBody {
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// Applies a webhook once more, or says what that would do. What was applied before only has Plaid asked.
pub(super) async fn replay(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Body(body): Body<ReplayBody>,
) -> Result<Json<Preview>, Problem> {
    let preview = engine.replay(webhook_id(&id)?, body.dry_run).await?;
    preview.map(Json).ok_or_else(|| Problem::unknown("webhook"))
}

fn webhook_id(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::unknown("webhook"))
}

/// The same value without the secrets in its texts.
fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_secrets(&text)),
        Value::Array(list) => list.into_iter().map(masked).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, masked(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A text without what begins as a secret of Plaid's does: from there on to the end of the word.
fn without_secrets(text: &str) -> String {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut shown = String::new();
    let mut rest = text;
    while let Some((at, prefix)) = SECRETS.iter().filter_map(|prefix| Some((rest.find(prefix)?, *prefix))).min() {
        let from = at + prefix.len();
        let word = rest[from..].find(|c| !is_inside(c)).unwrap_or(rest.len() - from);
        shown.push_str(&rest[..from]);
        // A word such as "link-up" is no token.
        shown.push_str(if word > 20 { "…" } else { &rest[from..from + word] });
        rest = &rest[from + word..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_masked_wherever_they_stand() {
        let token = "access-sandbox-de3ce8ef-33f8-452c-a685-8671031fc0f6";
        let body = json!({
            "item_id": "item-1", "public_tokens": ["public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d"],
            "link_token": "link-production-c0e2c4ee-a763-4df5-bfe9-46a46bce993d",
            "error": { "error_message": format!("the token \"{token}\" is wrong, do link-up again") }, "count": 2,
        });
        assert_eq!(
            masked(body),
            json!({
                "item_id": "item-1", "public_tokens": ["public-…"], "link_token": "link-…",
                "error": { "error_message": "the token \"access-…\" is wrong, do link-up again" }, "count": 2,
            })
        );
        assert_eq!(masked(json!(format!("{{\"broken\": \"{token}"))), json!("{\"broken\": \"access-…"));
    }
}
