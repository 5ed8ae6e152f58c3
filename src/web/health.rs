//! `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::compose::Channel;
use crate::engine::Engine;
use crate::engine::status::Health;
use crate::store::{Backlog, DataKeyView, Outgoing, Pause};

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
    /// Why all letters wait; nothing while they leave.
    letters_paused: Option<Pause>,
    /// The former keys with which something is still sealed: it is being sealed anew.
    data_keys_to_empty: Vec<DataKeyView>,
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
    let letters_paused =
        engine.store.pause().await.ok().flatten().filter(|_| engine.config.mail.channel() == Channel::Mail);
    let letters = engine.store.outgoing().await.ok();
    let mut data_keys_to_empty = engine.store.data_keys().await.unwrap_or_default();
    data_keys_to_empty.retain(|key| !key.seals && key.emptied_at.is_none() && key.since.is_some());
    let status = if probe.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let store = probe.err().map(|error| error.to_string());
    let (ready, outside) = (store.is_none(), engine.status.health());
    let readiness = Readiness { ready, store, at, inbox, letters_paused, letters, data_keys_to_empty, outside };
    (status, Json(readiness))
}
