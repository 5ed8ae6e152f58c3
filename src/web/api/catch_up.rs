//! `POST /v1/webhooks/catch-up`: fetches the webhooks that Plaid sent and that never came.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;

use super::problem::{Body, Problem};
use crate::engine::Engine;
use crate::engine::catch_up::{CatchUpError, CaughtUp};

/// From when on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatchUpBody {
    /// At most seven days ago; where the list was left if nothing is said.
    since: Option<Timestamp>,
}

pub(super) async fn catch_up(
    State(engine): State<Engine>,
    Body(body): Body<CatchUpBody>,
) -> Result<Json<CaughtUp>, Problem> {
    engine.catch_up(body.since).await.map(Json).map_err(|error| match error {
        CatchUpError::TooOld => {
            Problem::invalid("since: Plaid keeps webhooks for seven days. Give a later time, or none for all that it keeps")
        }
        CatchUpError::NotForUs(code) => Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_webhook_list",
            format!(
                "Plaid does not give this account its list of webhooks ({code}); the list is in beta. What can be asked is \
                 found without it: the sweep asks about every Item"
            ),
        ),
        CatchUpError::NoAnswer(error) => {
            Problem::new(StatusCode::BAD_GATEWAY, "plaid", format!("Plaid's list of webhooks cannot be had: {error}"))
        }
        CatchUpError::Store(error) => error.into(),
    })
}
