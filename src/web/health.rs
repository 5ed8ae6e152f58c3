//! `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::engine::Engine;
use crate::engine::status::Health;
use crate::store::{Backlog, Outgoing};

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// What `/readyz` says.
#[derive(Serialize)]
pub(super) struct Readiness {
    /// Whether webhooks can be committed.
    ready: bool,
    /// Why not.
    store: Option<String>,
    /// The daemon's time.
    at: Timestamp,
    /// What waits in the inbox.
    inbox: Option<Backlog>,
    /// The letters that wait, and the last one that left.
    letters: Option<Outgoing>,
    /// How the outside does. Faults there do not make us unready.
    #[serde(flatten)]
    outside: Health,
}

/// 200 as long as webhooks can be committed, and 503 otherwise.
pub(super) async fn ready(State(engine): State<Engine>) -> (StatusCode, Json<Readiness>) {
    let at = engine.clock.now();
    let probe = engine.store.probe(at).await;
    let inbox = engine.store.backlog().await.ok();
    let letters = engine.store.outgoing().await.ok();
    let status = if probe.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let store = probe.err().map(|error| error.to_string());
    (status, Json(Readiness { ready: store.is_none(), store, at, inbox, letters, outside: engine.status.health() }))
}
