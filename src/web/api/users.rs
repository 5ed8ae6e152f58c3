//! `/v1/users/{user_id}`: whom letters go to.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::problem::{Body, Problem};
use super::view::UserView;
use crate::domain::contact::{EmailAddress, Locale, PersonName, ZoneName};
use crate::domain::ids::UserId;
use crate::engine::Engine;
use crate::store::NewProfile;

/// What the application says about a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    pub(super) email: String,
    pub(super) name: Option<String>,
    pub(super) locale: Option<String>,
    pub(super) time_zone: Option<String>,
}

pub(super) fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|error| Problem::invalid(format!("user_id {error}")))
}

/// What the application says about a user, if it can be used.
pub(super) fn new_profile(id: &str, body: &UserBody) -> Result<NewProfile, Problem> {
    let locale = body.locale.as_deref().map(Locale::parse).transpose();
    let zone = body.time_zone.as_deref().map(ZoneName::parse).transpose();
    Ok(NewProfile {
        id: user_id(id)?,
        email: EmailAddress::parse(&body.email).map_err(|error| Problem::invalid(format!("email {error}")))?,
        name: body.name.as_deref().and_then(PersonName::parse),
        locale: locale.map_err(|error| Problem::invalid(format!("locale {error}")))?,
        time_zone: zone.map_err(|error| Problem::invalid(format!("time_zone {error}")))?,
    })
}

pub(super) async fn register(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Body(body): Body<UserBody>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let profile = new_profile(&id, &body)?;
    let id = profile.id.clone();
    let created = engine.store.put_user(profile, engine.clock.now()).await?;
    engine.wake();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&engine, id).await?)))
}

pub(super) async fn show(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<UserView>, Problem> {
    Ok(Json(view(&engine, user_id(&id)?).await?))
}

async fn view(engine: &Engine, id: UserId) -> Result<UserView, Problem> {
    let profile = engine.store.user(id).await?.ok_or_else(|| Problem::unknown("user"))?;
    Ok(UserView::of(&profile))
}

/// Erases a user: address, name, links, and the Items' tokens here.
pub(super) async fn erase(State(engine): State<Engine>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match engine.store.erase_user(user_id(&id)?, engine.rule()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::unknown("user")),
    }
}
