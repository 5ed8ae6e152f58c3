//! All that knows HTTP coming in: Plaid's webhooks, the repair page, the API, health.
//!
//! Two listeners: the public one, which the internet sees, and the private one for the application and the operator. Each
//! handler reads a request, calls the engine or the store, and words the answer; nothing is decided here.

pub mod api;
mod browser;
mod client_address;
mod health;
mod listen;
pub mod page;
mod repair;
mod unsubscribe;
mod webhook;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::engine::Engine;
pub use listen::{Listening, bind, start};

/// The largest webhook. Plaid's are a few kilobytes.
const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;

/// The largest other body on the public side.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// Plaid waits ten seconds for an answer; a late one counts as none.
const WEBHOOK_TIME_MAX: Duration = Duration::from_secs(9);

/// A press asks Plaid twice.
const PAGE_TIME_MAX: Duration = Duration::from_secs(60);

/// What the internet sees.
fn public(engine: Engine) -> Router {
    let webhook = Router::new()
        .route("/plaid/webhook", post(webhook::receive))
        .layer(DefaultBodyLimit::max(WEBHOOK_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, WEBHOOK_TIME_MAX));
    let pages = Router::new()
        .route("/repair/{token}", get(repair::show))
        .route("/repair/{token}/link", post(repair::press))
        .route("/repair/{token}/done", post(repair::done))
        .route("/repair/{token}/fresh", post(repair::send_fresh))
        .route("/repair-return", get(repair::way_back))
        .route("/unsubscribe/{token}", get(unsubscribe::ask).post(unsubscribe::stop))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PAGE_TIME_MAX));
    webhook.merge(pages).fallback(missing).layer(CatchPanicLayer::new()).with_state(engine)
}

/// What the application and the operator see.
fn private(engine: Engine) -> Router {
    api::routes(engine.clone())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .layer(CatchPanicLayer::new())
        .with_state(engine)
}

async fn missing(State(engine): State<Engine>) -> page::Page {
    repair::with_view(&engine, None, page::missing)
}

/// Serves both listeners until they are stopped.
///
/// # Errors
/// A listener that cannot be used.
pub fn serve(
    engine: &Engine,
    public_listener: std::net::TcpListener,
    private_listener: std::net::TcpListener,
) -> std::io::Result<(Listening, Listening)> {
    let public = listen::start(&engine.tasks, public_listener, public(engine.clone()))?;
    let private = listen::start(&engine.tasks, private_listener, private(engine.clone()))?;
    Ok((public, private))
}

/// The peer's address, as axum hands it to handlers.
type Peer = axum::extract::ConnectInfo<SocketAddr>;
