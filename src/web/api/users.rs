//! `/v1/users`: whom letters go to, and what they wish.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::lists::{Page, limit};
use super::problem::{Body, Problem};
use super::snooze::SnoozeBody;
use super::view::UserView;
use crate::domain::compose::Channel;
use crate::domain::contact::{EmailAddress, Locale, PersonName, ZoneName};
use crate::domain::ids::UserId;
use crate::engine::Engine;
use crate::store::{NewProfile, Wish};

/// What the application says about a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) locale: Option<String>,
    pub(super) time_zone: Option<String>,
}

pub(super) fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|error| Problem::invalid(format!("user_id {error}")))
}

/// What the application says about a user, if it can be used.
pub(super) fn new_profile(id: &str, body: &UserBody, channel: Channel) -> Result<NewProfile, Problem> {
    let email = body.email.as_deref().map(EmailAddress::parse).transpose();
    let email = email.map_err(|error| Problem::invalid(format!("email {error}")))?;
    if email.is_none() && channel == Channel::Mail {
        return Err(Problem::invalid("email is missing; only with [mail] delivery = \"event\" it is not needed"));
    }
    let locale = body.locale.as_deref().map(Locale::parse).transpose();
    let zone = body.time_zone.as_deref().map(ZoneName::parse).transpose();
    Ok(NewProfile {
        id: user_id(id)?,
        email,
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
    let profile = new_profile(&id, &body, engine.config.mail.channel())?;
    let id = profile.id.clone();
    let created = engine.store.put_user(profile, engine.clock.now()).await?;
    engine.wake();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&engine, id).await?)))
}

/// Which users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    email: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Users in the order of their ids; of one address where asked.
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Page<UserView>>, Problem> {
    let parse = |text| EmailAddress::parse(text).map_err(|error| Problem::invalid(format!("email {error}")));
    let email = query.email.as_deref().map(parse).transpose()?;
    let limit = limit(query.limit)?;
    let users = engine.store.users(email, query.cursor, limit).await?;
    let (channel, now) = (engine.config.mail.channel(), engine.clock.now());
    Ok(Json(Page::new(users, limit, |user| user.id.to_string()).map(|user| UserView::of(user, channel, now))))
}

/// The user wants no letters any more.
pub(super) async fn stop(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<UserView>, Problem> {
    wish(&engine, &id, Wish::Stop).await
}

/// No letters for a while. Who wants none at all gets none after it either.
pub(super) async fn snooze(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Body(body): Body<SnoozeBody>,
) -> Result<Json<UserView>, Problem> {
    wish(&engine, &id, Wish::PauseUntil(body.ends(engine.clock.now())?)).await
}

/// The user wants letters again.
pub(super) async fn resume(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<UserView>, Problem> {
    wish(&engine, &id, Wish::Resume).await
}

async fn wish(engine: &Engine, id: &str, wish: Wish) -> Result<Json<UserView>, Problem> {
    let id = user_id(id)?;
    if !engine.store.wish(id.clone(), wish, engine.clock.now()).await? {
        return Err(Problem::unknown("user"));
    }
    engine.wake();
    Ok(Json(view(engine, id).await?))
}

pub(super) async fn show(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<UserView>, Problem> {
    Ok(Json(view(&engine, user_id(&id)?).await?))
}

async fn view(engine: &Engine, id: UserId) -> Result<UserView, Problem> {
    let profile = engine.store.user(id).await?.ok_or_else(|| Problem::unknown("user"))?;
    Ok(UserView::of(&profile, engine.config.mail.channel(), engine.clock.now()))
}

/// Erases a user: address, name, links, and the Items' tokens here.
pub(super) async fn erase(State(engine): State<Engine>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match engine.store.erase_user(user_id(&id)?, engine.rule()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::unknown("user")),
    }
}
