//! `/v1/suppressions`, `/v1/pause`, `/v1/bounces`: addresses that take no letters, what holds all letters back, what came back.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lists::{Page, limit};
use super::problem::{Body, Problem};
use super::users::user_id;
use crate::domain::contact::EmailAddress;
use crate::domain::event::NoLetters;
use crate::engine::Engine;
use crate::engine::returned::Taken;
use crate::store::{Pause, Suppression, SuppressionView, Teller, Whose};

/// The longest note, in characters.
const NOTE_CHARS_MAX: usize = 200;

/// Which suppressions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Suppressions, newest first.
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<SuppressionView>>, Problem> {
    let limit = limit(query.limit)?;
    let after = match query.cursor {
        None => None,
        Some(id) => {
            let gone = || Problem::invalid("cursor names a suppression that is not there any more: begin again");
            Some(engine.store.suppression(id).await?.ok_or_else(gone)?)
        }
    };
    let found = engine.store.suppressions(after, limit).await?;
    Ok(Json(Page::new(found, limit, |view| view.suppression_id.clone())))
}

/// Which address: its own, or the one that a user has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichBody {
    email: Option<String>,
    user_id: Option<String>,
    note: Option<String>,
}

impl WhichBody {
    fn whose(&self) -> Result<Whose, Problem> {
        match (&self.email, &self.user_id) {
            (Some(email), None) => {
                let address = EmailAddress::parse(email).map_err(|error| Problem::invalid(format!("email {error}")))?;
                Ok(Whose::Address(address))
            }
            (None, Some(user)) => Ok(Whose::User(user_id(user)?)),
            (Some(_), Some(_)) | (None, None) => Err(Problem::invalid("give either email or user_id")),
        }
    }
}

/// Lets an address take no letters.
pub(super) async fn add(
    State(engine): State<Engine>,
    Body(body): Body<WhichBody>,
) -> Result<(StatusCode, Json<SuppressionView>), Problem> {
    let note = body.note.as_deref().and_then(|note| crate::domain::plain::one_line(note, NOTE_CHARS_MAX));
    let suppression = Suppression { reason: NoLetters::Operator, source: Teller::Api, note };
    let added = engine.store.suppress(body.whose()?, suppression, engine.rule()).await?;
    let (view, is_new) = added.ok_or_else(|| Problem::unknown("user with an address"))?;
    tracing::info!(suppression = view.suppression_id, "an address takes no letters, by the API");
    engine.wake();
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}

/// Lets the address of a body take letters again.
pub(super) async fn remove(State(engine): State<Engine>, Body(body): Body<WhichBody>) -> Result<StatusCode, Problem> {
    take_away(&engine, body.whose()?).await
}

/// Lets the address of an id take letters again.
pub(super) async fn remove_by_id(State(engine): State<Engine>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    take_away(&engine, Whose::Id(id)).await
}

async fn take_away(engine: &Engine, whose: Whose) -> Result<StatusCode, Problem> {
    if !engine.store.unsuppress(whose, engine.clock.now()).await? {
        return Err(Problem::unknown("suppression"));
    }
    tracing::info!("an address takes letters again, by the API");
    engine.wake();
    Ok(StatusCode::NO_CONTENT)
}

/// The pause that is not over.
#[derive(Serialize)]
pub(super) struct PauseView {
    /// Nothing while letters leave.
    pause: Option<Pause>,
}

pub(super) async fn show_pause(State(engine): State<Engine>) -> Result<Json<PauseView>, Problem> {
    Ok(Json(PauseView { pause: engine.store.pause().await? }))
}

/// How a pause ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndBody {
    /// Whether the addresses take letters again that were found gone among the letters which brought the pause about.
    #[serde(default)]
    lift: bool,
}

/// Ends the pause.
pub(super) async fn end_pause(State(engine): State<Engine>, Body(body): Body<EndBody>) -> Result<Json<Value>, Problem> {
    let ended = engine.end_pause(body.lift).await?;
    let (pause, lifted) = ended.ok_or_else(|| Problem::unknown("pause"))?;
    Ok(Json(json!({ "pause": pause, "lifted": lifted })))
}

/// To which address a report came.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BounceQuery {
    sent_to: Option<String>,
}

/// Takes a report of failed delivery or of abuse: the mail as it came.
pub(super) async fn take_report(
    State(engine): State<Engine>,
    Query(query): Query<BounceQuery>,
    raw: Bytes,
) -> Result<Json<Value>, Problem> {
    let result = match engine.take_report(&raw, query.sent_to.as_deref()).await? {
        Taken::Noted(back) => back.name(),
        Taken::NotOurs => "not_ours",
    };
    Ok(Json(json!({ "result": result })))
}
