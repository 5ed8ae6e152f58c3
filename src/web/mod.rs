//! All that knows HTTP coming in: Plaid's webhooks, the repair page, the API, health.
//!
//! Two listeners: the public one, which the internet sees, and the private one for the application and the operator. The
//! control socket serves the routes of the private one to the commands on this machine. Each handler reads a request, calls the engine or the store, and words the answer; nothing is decided here.

pub mod api;
mod browser;
mod browser_language;
mod client_address;
mod control;
mod health;
mod listen;
mod mail_events;
pub mod page;
mod repair;
mod unsubscribe;
pub mod webhook;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::engine::Engine;
use api::Access;
use browser_language::BrowserLanguage;
pub use control::{ControlError, ControlSocket, Controlling};
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
        .route("/unsubscribe/{token}", get(unsubscribe::show).post(unsubscribe::stop))
        .route("/unsubscribe/{token}/preferences", get(unsubscribe::show).post(unsubscribe::save))
        .route("/mail-events/{service}", post(mail_events::receive).layer(DefaultBodyLimit::max(WEBHOOK_BYTES_MAX)))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PAGE_TIME_MAX));
    webhook.merge(pages).fallback(missing).layer(CatchPanicLayer::new()).with_state(engine)
}

/// What the application and the operator see.
fn private(engine: Engine, access: Access) -> Router {
    api::routes(engine.clone(), access)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .layer(CatchPanicLayer::new())
        .with_state(engine)
}

async fn missing(State(engine): State<Engine>, asked: BrowserLanguage) -> page::Page {
    repair::with_view(&engine, None, asked, page::missing)
}

/// What is bound and not served yet.
pub struct Bound {
    /// For Plaid and users.
    pub public: std::net::TcpListener,
    /// For the application and the operator.
    pub private: std::net::TcpListener,
    /// For the commands on this machine.
    pub control: ControlSocket,
}

/// What is served.
pub struct Served {
    /// For Plaid and users.
    pub public: Listening,
    /// For the application and the operator.
    pub private: Listening,
    /// For the commands on this machine.
    pub control: Controlling,
}

impl Served {
    /// Takes no more connections, and lets requests that are under way end within a time.
    pub fn stop(&self, within: Duration) {
        self.public.stop(within);
        self.private.stop(within);
        self.control.stop(within);
    }
}

/// Serves all listeners until they are stopped.
///
/// # Errors
/// A listener that cannot be used.
pub fn serve(engine: &Engine, bound: Bound) -> std::io::Result<Served> {
    Ok(Served {
        public: listen::start(&engine.tasks, bound.public, public(engine.clone()))?,
        private: listen::start(&engine.tasks, bound.private, private(engine.clone(), Access::WithKey))?,
        control: bound.control.start(&engine.tasks, private(engine.clone(), Access::Open))?,
    })
}

/// The peer's address, as axum hands it to handlers.
type Peer = axum::extract::ConnectInfo<SocketAddr>;
