//! The API of the private listener: register Items and users, look at them, act on them.
//!
//! Over the network every request has a key (`Authorization: Bearer KEY`) with a scope: `read` for GET, `write` for
//! everything; over the control socket whoever may open the socket may do everything. PUT answers
//! 201 or 200 with the resource; lists are `{"data": […], "next_cursor": …}`; times are RFC 3339 in UTC; errors are
//! [`problem`] documents.

mod catch_up;
mod events;
mod explain;
mod import;
mod items;
mod letters;
mod lists;
pub mod problem;
mod release;
mod snooze;
mod suppressions;
mod users;
mod view;
mod webhooks;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};

use crate::config::{ApiKey, Scope};
use crate::engine::Engine;
use crate::mail::report::REPORT_BYTES_MAX;
pub use import::ROWS_MAX as IMPORT_ROWS_MAX;
use problem::Problem;

/// The largest body.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Who may use the routes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever has a key.
    WithKey,
    /// Everybody who is heard: the socket's mode decides who is.
    Open,
}

/// The routes.
pub(super) fn routes(engine: Engine, access: Access) -> Router<Engine> {
    let routes = Router::new()
        .route("/v1/items", get(items::list))
        .route("/v1/items/{item_id}", put(items::register).get(items::show).delete(items::remove))
        .route("/v1/items/{item_id}/journal", get(items::journal))
        .route("/v1/items/{item_id}/observe", post(items::observe))
        .route("/v1/items/{item_id}/adopt", post(items::adopt))
        .route("/v1/items/{item_id}/snooze", post(items::snooze))
        .route("/v1/items/{item_id}/resume", post(items::resume))
        .route("/v1/items/{item_id}/repair-link", post(items::repair_link))
        .route("/v1/items/{item_id}/link-token", post(items::link_token))
        .route("/v1/users", get(users::list))
        .route("/v1/users/{user_id}/stop", post(users::stop))
        .route("/v1/users/{user_id}/snooze", post(users::snooze))
        .route("/v1/users/{user_id}/resume", post(users::resume))
        .route("/v1/users/{user_id}", put(users::register).get(users::show).delete(users::erase))
        .route("/v1/items/{item_id}/explain", get(explain::explain))
        .route("/v1/letters", get(letters::list))
        .route("/v1/letters/plan", get(letters::plan))
        .route("/v1/letters/{letter_id}", get(letters::show))
        .route("/v1/suppressions", get(suppressions::list).post(suppressions::add).delete(suppressions::remove))
        .route("/v1/suppressions/{suppression_id}", delete(suppressions::remove_by_id))
        .route("/v1/pause", get(suppressions::show_pause))
        .route("/v1/pause/end", post(suppressions::end_pause))
        .route("/v1/bounces", post(suppressions::take_report).layer(DefaultBodyLimit::max(REPORT_BYTES_MAX)))
        .route("/v1/letters/release", get(release::show).put(release::plan).delete(release::stop))
        .route("/v1/import/items", post(import::items).layer(DefaultBodyLimit::max(import::BYTES_MAX)))
        .route("/v1/import/users", post(import::users).layer(DefaultBodyLimit::max(import::BYTES_MAX)))
        .route("/v1/webhooks", get(webhooks::list))
        .route("/v1/webhooks/catch-up", post(catch_up::catch_up))
        .route("/v1/webhooks/{webhook_id}", get(webhooks::show))
        .route("/v1/webhooks/{webhook_id}/replay", post(webhooks::replay))
        .route("/v1/events", get(events::list))
        .route("/v1/keys", get(lists::keys))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let guarded = match access {
        Access::WithKey => routes.route_layer(from_fn_with_state(engine, with_key)),
        Access::Open => routes,
    };
    guarded.fallback(async || Problem::unknown("address"))
}

async fn with_key(State(engine): State<Engine>, request: Request, next: Next) -> Response {
    let keys = &engine.config.api_keys;
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(scope) = given.and_then(|given| scope_of(keys, given)) else {
        let detail = "give a key of [[api.keys]]: Authorization: Bearer KEY";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "no_key", detail);
        return ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response();
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if scope == Scope::Read && !reads {
        let detail = "this key may only read: its scope in [[api.keys]] is \"read\"";
        return Problem::new(StatusCode::FORBIDDEN, "scope", detail).into_response();
    }
    next.run(request).await
}

/// What a key may do. Looks at every key, so that time does not tell which one was nearly right.
fn scope_of(keys: &[ApiKey], given: &str) -> Option<Scope> {
    let given = digest(&SHA256, given.as_bytes());
    keys.iter().fold(None, |found, key| {
        if verify_slices_are_equal(given.as_ref(), &key.sha256).is_ok() { Some(key.scope) } else { found }
    })
}
