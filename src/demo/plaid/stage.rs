//! The stage page, "Plaid of the demo", and the control over HTTP that its buttons use.
//!
//! Every control is a POST of JSON, which a foreign web page cannot send here: its browser would have to ask first. Tokens
//! are masked in all that is shown.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{self, Call, Fault};
use super::trigger::{Trigger, TriggerError};
use super::truth::{Act, Item, NewItem};
use super::webhooks::{Delivery, SignOptions};
use super::world::{State, World};
use super::{ControlError, FakePlaid};
use crate::demo::serve::{self, Frames};
use crate::domain::ladder::{RUNG_MAX, parse_duration};

/// How many webhooks and how many calls the page shows.
const ROWS_SHOWN: usize = 40;

/// The routes of the stage page and of the control.
pub(super) fn routes() -> Router<Arc<World>> {
    let page = || async { serve::page(include_str!("pages/stage.html"), Frames::Never, "'self'") };
    Router::new()
        .route("/", get(page))
        .route("/demo/stage.js", get(|| async { serve::asset(serve::SCRIPT, include_str!("pages/stage.js")) }))
        .route("/demo/stage.css", get(|| async { serve::asset(serve::STYLE, include_str!("pages/stage.css")) }))
        .route("/demo/state.json", get(state_json))
        .route("/demo/items", post(post_item))
        .route("/demo/items/{id}/act", post(post_act))
        .route("/demo/webhooks", post(post_webhook))
        .route("/demo/trigger", post(post_trigger))
        .route("/demo/skip", post(post_skip))
        .route("/demo/key", post(post_key))
        .route("/demo/faults", post(post_fault))
        .route("/demo/faults/clear", post(post_clear))
}

async fn state_json(Shared(world): Shared<Arc<World>>) -> Json<Value> {
    let now = world.now();
    let state = world.lock();
    let mut items: Vec<&Item> = state.items.values().collect();
    items.sort_by_key(|item| (&item.user, &item.bank, &item.id));
    let items: Vec<Value> = items.into_iter().map(|item| item_row(&state, item)).collect();
    let calls: Vec<Value> = state.calls.iter().rev().take(ROWS_SHOWN).map(call_row).collect();
    let sent: Vec<Value> = state.sent.iter().rev().take(ROWS_SHOWN).map(sent_row).collect();
    Json(json!({
        "now": now,
        "can_skip": world.options.skip.is_some(),
        "environment": world.options.environment,
        "items": items,
        "webhooks": sent,
        "webhooks_ever": state.sent_ever,
        "calls": calls,
        "counts": state.counts,
        "faults": state.faults.len(),
    }))
}

fn item_row(state: &State, item: &Item) -> Value {
    let bank = state.bank_of(item);
    let trouble = item.trouble_seen(bank.down);
    json!({
        "id": item.id,
        "user": item.user,
        "bank": bank.name,
        "country": bank.country,
        "bank_down": bank.down,
        "removed": item.removed,
        "code": trouble.as_ref().map(|trouble| trouble.code.clone()),
        "reason": trouble.and_then(|trouble| trouble.reason),
        "consent_ends_at": item.consent_ends_at,
        "disconnect": item.disconnect.as_ref().map(|cut| json!({ "reason": cut.reason, "at": cut.at })),
        "shared": item.shared.len(),
        "unshared": item.unshared.len(),
        "webhook": item.webhook,
    })
}

fn call_row(call: &Call) -> Value {
    json!({
        "number": call.number,
        "at": call.at,
        "path": call.path,
        "item_id": call.item_id,
        "status": call.status,
        "error_code": call.error_code,
        "body": faults::masked(&call.body),
    })
}

/// A webhook as the page shows it: the tokens in a body of Link are masked.
fn sent_row(sent: &super::webhooks::Sent) -> Value {
    let mut row = json!(sent);
    let body = serde_json::from_str::<Value>(&sent.body).map(|body| faults::masked(&body));
    row["body"] = body.unwrap_or(Value::Null);
    row
}

/// An act, and whether its webhook is sent or lost.
#[derive(Deserialize)]
struct ActRequest {
    #[serde(flatten)]
    act: Act,
    #[serde(default)]
    webhook: Delivery,
}

async fn post_act(
    Shared(world): Shared<Arc<World>>,
    Path(id): Path<String>,
    Json(request): Json<ActRequest>,
) -> Response {
    match FakePlaid::of(world).act(&id, request.act, request.webhook).await {
        Ok(sent) => Json(json!({ "webhook": sent.as_ref().map(sent_row) })).into_response(),
        Err(error) => refused(&error),
    }
}

async fn post_item(Shared(world): Shared<Arc<World>>, Json(new): Json<NewItem>) -> Response {
    let item = FakePlaid::of(world).add_item(new);
    (StatusCode::CREATED, Json(json!({ "item_id": item.id }))).into_response()
}

/// A webhook to be sent as it is.
#[derive(Deserialize)]
struct WebhookRequest {
    body: Value,
    /// The Item whose address it goes to.
    #[serde(default)]
    item_id: Option<String>,
    /// Another address.
    #[serde(default)]
    url: Option<String>,
    #[serde(default, flatten)]
    sign: SignOptions,
}

async fn post_webhook(Shared(world): Shared<Arc<World>>, Json(request): Json<WebhookRequest>) -> Response {
    let plaid = FakePlaid::of(world);
    let of_item = || request.item_id.as_deref().and_then(|id| plaid.item(id)).and_then(|item| item.webhook);
    let Some(url) = request.url.clone().or_else(of_item) else {
        return refused(&ControlError::NoAddress);
    };
    let sent = plaid.send_webhook(&url, request.body, request.sign).await;
    Json(json!({ "webhook": sent_row(&sent) })).into_response()
}

async fn post_trigger(Shared(world): Shared<Arc<World>>, Json(trigger): Json<Trigger>) -> Response {
    match FakePlaid::of(Arc::clone(&world)).trigger(&trigger).await {
        Ok(triggered) => {
            let item = triggered.item.map(|item| item_row(&world.lock(), &item));
            let sent: Vec<Value> = triggered.sent.iter().map(sent_row).collect();
            Json(json!({ "item": item, "truth": triggered.truth, "webhooks": sent })).into_response()
        }
        Err(error) => {
            let status = match error {
                TriggerError::UnknownItem => StatusCode::NOT_FOUND,
                TriggerError::WhichItem | TriggerError::NoSession | TriggerError::NotHere | TriggerError::NoRepair => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
            };
            let state = world.lock();
            let there = state.items.values().filter(|item| !item.removed);
            let items: Vec<Value> = there.map(|item| item_row(&state, item)).collect();
            (status, Json(json!({ "error": error, "items": items }))).into_response()
        }
    }
}

/// How much time is to pass: `30m`, `3d`.
#[derive(Deserialize)]
struct SkipRequest {
    time: String,
}

async fn post_skip(Shared(world): Shared<Arc<World>>, Json(request): Json<SkipRequest>) -> Response {
    let (Some(skip), Ok(time)) = (&world.options.skip, parse_duration(&request.time)) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    skip(time.min(RUNG_MAX));
    FakePlaid::of(world).pass_time().await;
    StatusCode::NO_CONTENT.into_response()
}

async fn post_key(Shared(world): Shared<Arc<World>>, Json(_): Json<Value>) -> Response {
    Json(json!({ "kid": FakePlaid::of(world).rotate_key() })).into_response()
}

async fn post_fault(Shared(world): Shared<Arc<World>>, Json(fault): Json<Fault>) -> Response {
    FakePlaid::of(world).fault(fault);
    StatusCode::NO_CONTENT.into_response()
}

async fn post_clear(Shared(world): Shared<Arc<World>>, Json(_): Json<Value>) -> Response {
    FakePlaid::of(world).clear_faults();
    StatusCode::NO_CONTENT.into_response()
}

fn refused(error: &ControlError) -> Response {
    let status = match error {
        ControlError::UnknownItem => StatusCode::NOT_FOUND,
        ControlError::NoAddress => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}
