//! `/v1/letters`: what was written to whom, what became of it, and what will be written.

use axum::Json;
use axum::extract::{Path, Query, State};
use jiff::SignedDuration;
use serde::Deserialize;
use uuid::Uuid;

use super::items::item_id;
use super::lists::{Page, limit};
use super::problem::Problem;
use super::users::user_id;
use crate::domain::ids::UserId;
use crate::domain::ladder::parse_duration;
use crate::engine::Engine;
use crate::engine::plan::{PREVIEW, UserPlan};
use crate::store::{LetterFilter, LetterView};

/// How far ahead a plan looks if nothing is said.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Which letters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LettersQuery {
    user_id: Option<String>,
    item_id: Option<String>,
    status: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Letters, newest first.
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<LettersQuery>,
) -> Result<Json<Page<LetterView>>, Problem> {
    let filter = LetterFilter {
        user: query.user_id.as_deref().map(user_id).transpose()?,
        item: query.item_id.as_deref().map(item_id).transpose()?,
        status: query.status,
    };
    let limit = limit(query.limit)?;
    let letters = engine.store.letters(filter, query.cursor, limit).await?;
    Ok(Json(Page::new(letters, limit, |letter| letter.letter_id.clone())))
}

pub(super) async fn show(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<LetterView>, Problem> {
    let id = Uuid::parse_str(&id).map_err(|_| Problem::unknown("letter"))?;
    let letter = engine.store.letter(id.to_string()).await?.ok_or_else(|| Problem::unknown("letter"))?;
    Ok(Json(letter))
}

/// Whose plan, and how far ahead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanQuery {
    next: Option<String>,
    user_id: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Who will be written to, when and about what; and who not, and why not. If nothing happens and Plaid agrees.
pub(super) async fn plan(
    State(engine): State<Engine>,
    Query(query): Query<PlanQuery>,
) -> Result<Json<Page<UserPlan>>, Problem> {
    let parse = |text| parse_duration(text).map_err(|error| Problem::invalid(format!("next {error}")));
    let ahead = query.next.as_deref().map(parse).transpose()?.unwrap_or(AHEAD);
    if ahead > PREVIEW {
        return Err(Problem::invalid("next is more than 30 days ahead"));
    }
    let limit = limit(query.limit)?;
    let users: Vec<UserId> = match query.user_id.as_deref() {
        Some(user) => vec![user_id(user)?],
        None => engine.store.users_concerned(query.cursor.unwrap_or_default(), limit).await?,
    };
    let is_about_one = query.user_id.is_some();
    let page = Page::new(users, limit, ToString::to_string);
    let mut plans = Vec::new();
    for user in page.entries() {
        plans.extend(engine.plan(user.clone(), ahead).await?);
    }
    if is_about_one && plans.is_empty() {
        return Err(Problem::unknown("user"));
    }
    Ok(Json(page.of(plans)))
}
