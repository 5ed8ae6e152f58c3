//! `/v1/items`: register, look, act.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lists::{Page, limit, number};
use super::problem::{Body, Problem};
use super::snooze::SnoozeBody;
use super::users::user_id;
use super::view::ItemView;
use crate::config::CountryCode;
use crate::domain::event::Event;
use crate::domain::ids::{Institution, InstitutionId, ItemId};
use crate::domain::item::{Item, RemovalReason, State as ItemState};
use crate::engine::repair::Press;
use crate::engine::{Caller, Engine};
use crate::store::{ItemFilter, JournalRow, NewItem};
use crate::web::repair::claimed_name;

/// The longest access token, in bytes. Plaid promises no length; the limit only keeps mistakes small.
const TOKEN_BYTES_MAX: usize = 1024;

/// An Item as the application registers it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemBody {
    pub(super) access_token: SecretString,
    pub(super) user_id: String,
    pub(super) institution_id: Option<String>,
    pub(super) institution_name: Option<String>,
    pub(super) country_codes: Option<Vec<String>>,
}

pub(super) fn item_id(text: &str) -> Result<ItemId, Problem> {
    ItemId::parse(text).map_err(|error| Problem::invalid(format!("item_id {error}")))
}

fn view(engine: &Engine, item: &Item) -> Json<ItemView> {
    Json(ItemView::of(item, engine.clock.now(), &engine.config.reminders))
}

pub(super) async fn known(engine: &Engine, id: &str) -> Result<Item, Problem> {
    let record = engine.store.item(item_id(id)?).await?.ok_or_else(|| Problem::unknown("Item"))?;
    Ok(record.item)
}

/// An Item as the application registers it, if it can be used.
pub(super) fn new_item(id: &str, body: ItemBody) -> Result<NewItem, Problem> {
    let token = body.access_token.expose_secret();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::invalid("access_token is empty, too long or holds a space"));
    }
    Ok(NewItem {
        id: item_id(id)?,
        user: user_id(&body.user_id)?,
        access_token: token.to_owned(),
        institution: institution(body.institution_id, body.institution_name)?,
        country_codes: body.country_codes.map(country_codes).transpose()?,
    })
}

/// Registers an Item, or writes what changed. Its token is proven by asking Plaid before anybody is written to.
pub(super) async fn register(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Body(body): Body<ItemBody>,
) -> Result<(StatusCode, Json<ItemView>), Problem> {
    let new = new_item(&id, body)?;
    let registered = engine.store.register(new, engine.rule()).await?;
    engine.wake();
    if registered.unparked > 0 {
        tracing::info!(
            item = id,
            webhooks = registered.unparked,
            "Item {id}: webhooks that came before it are applied now"
        );
    }
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, view(&engine, &registered.record.item)))
}

fn institution(id: Option<String>, name: Option<String>) -> Result<Option<Institution>, Problem> {
    let Some(id) = id else {
        return match name {
            None => Ok(None),
            Some(_) => Err(Problem::invalid("institution_name needs institution_id beside it")),
        };
    };
    let id = InstitutionId::parse(id).map_err(|error| Problem::invalid(format!("institution_id {error}")))?;
    Ok(Some(Institution { id, name }))
}

fn country_codes(codes: Vec<String>) -> Result<Vec<String>, Problem> {
    match codes.iter().find(|code| CountryCode::of(code).is_none()) {
        None => Ok(codes),
        Some(_) => Err(Problem::invalid(
            "country_codes holds one that Plaid does not serve: two capital letters such as \"US\"",
        )),
    }
}

pub(super) async fn show(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<ItemView>, Problem> {
    Ok(view(&engine, &known(&engine, &id).await?))
}

/// Which Items.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemsQuery {
    state: Option<String>,
    user_id: Option<String>,
    institution_id: Option<String>,
    /// Only those whose webhooks Plaid sends elsewhere, or nowhere.
    #[serde(default)]
    astray: bool,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Items in the order of their ids. Removed ones only if asked for by state.
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Page<ItemView>>, Problem> {
    let named = |name: String| ItemState::named(&name).ok_or_else(|| Problem::invalid("state is none of the states"));
    let bank =
        |id: String| InstitutionId::parse(id).map_err(|error| Problem::invalid(format!("institution_id {error}")));
    let filter = ItemFilter {
        state: query.state.map(named).transpose()?,
        user: query.user_id.as_deref().map(user_id).transpose()?,
        institution: query.institution_id.map(bank).transpose()?,
        astray: query.astray,
    };
    let limit = limit(query.limit)?;
    let items = engine.store.items(filter, query.cursor, limit).await?;
    let (now, policy) = (engine.clock.now(), &engine.config.reminders);
    let page = Page::new(items, limit, |item| item.id.to_string());
    Ok(Json(page.map(|item| ItemView::of(item, now, policy))))
}

/// Whether Plaid is told too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveQuery {
    #[serde(default)]
    at_plaid: bool,
}

/// Forgets an Item here; with `?at_plaid=true` it is removed at Plaid first.
pub(super) async fn remove(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Query(query): Query<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    let item = known(&engine, &id).await?;
    if item.state() == ItemState::Removed {
        return Err(Problem::unknown("Item"));
    }
    if query.at_plaid
        && let Some(token) = engine.store.access_token(item.id.clone()).await?
    {
        match engine.call(Caller::Person, None, engine.plaid.item_remove(&token)).await {
            Err(error) if error.code() != Some("ITEM_NOT_FOUND") => {
                return Err(plaid_failed(&format!("the Item is not removed: {error}")));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let gone = Event::Removed { why: RemovalReason::Application };
    engine.step(&item.id, vec![gone], "api").await?;
    Ok(StatusCode::NO_CONTENT)
}

fn plaid_failed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "plaid", detail)
}

/// Where the journal goes on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

/// What happened to an Item, oldest first.
pub(super) async fn journal(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Query(query): Query<JournalQuery>,
) -> Result<Json<Page<JournalRow>>, Problem> {
    let item = known(&engine, &id).await?;
    let limit = limit(query.limit)?;
    let rows = engine.store.journal(item.id, number(query.cursor.as_deref())?, limit).await?;
    Ok(Json(Page::new(rows, limit, |row| row.id.to_string())))
}

/// What is known about the Item before it is observed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObserveBody {
    /// The application ran update mode itself, with a Link token of ours, and it went well.
    #[serde(default)]
    update_mode_finished: bool,
}

/// Asks Plaid now.
pub(super) async fn observe(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Body(body): Body<ObserveBody>,
) -> Result<Json<ItemView>, Problem> {
    let item = known(&engine, &id).await?;
    if body.update_mode_finished {
        let claimed = engine.claim(&item.id).await?;
        tracing::info!(
            item = id,
            state = claimed_name(claimed),
            "Item {id}: the application says that update mode went well"
        );
    } else {
        engine.observe_for_api(&item.id).await?.map_err(|why| plaid_failed(&why))?;
    }
    Ok(view(&engine, &known(&engine, &id).await?))
}

/// Has Plaid send the Item's webhooks here.
pub(super) async fn adopt(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<ItemView>, Problem> {
    let item = known(&engine, &id).await?;
    engine.adopt(&item.id).await?.map_err(|why| plaid_failed(&why))?;
    Ok(view(&engine, &known(&engine, &id).await?))
}

pub(super) async fn snooze(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Body(body): Body<SnoozeBody>,
) -> Result<Json<ItemView>, Problem> {
    let until = body.ends(engine.clock.now())?;
    act(&engine, &id, Event::Snoozed { until }).await
}

pub(super) async fn resume(State(engine): State<Engine>, Path(id): Path<String>) -> Result<Json<ItemView>, Problem> {
    act(&engine, &id, Event::Resumed).await
}

async fn act(engine: &Engine, id: &str, event: Event) -> Result<Json<ItemView>, Problem> {
    let item = engine.step(&item_id(id)?, vec![event], "api").await?.ok_or_else(|| Problem::unknown("Item"))?;
    Ok(view(engine, &item))
}

/// A link to the repair page.
#[derive(Serialize)]
pub(super) struct RepairLink {
    url: String,
    expires_at: Timestamp,
}

/// A link to the repair page of the Item's user, for the application's own messages.
pub(super) async fn repair_link(
    State(engine): State<Engine>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RepairLink>), Problem> {
    let item = known(&engine, &id).await?;
    let now = engine.clock.now();
    let link = engine.store.create_link(item.user, now).await?;
    let expires_at = now.checked_add(crate::store::LINK_LIFE).unwrap_or(Timestamp::MAX);
    Ok((StatusCode::CREATED, Json(RepairLink { url: engine.repair_url(&link), expires_at })))
}

/// A Link token in update mode, for Plaid's SDK inside the application.
pub(super) async fn link_token(
    State(engine): State<Engine>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let item = known(&engine, &id).await?;
    let conflict = |detail: &str| Err(Problem::new(StatusCode::CONFLICT, "nothing_to_repair", detail));
    match engine.press(&item.id, engine.config.plaid.link_mode, false).await? {
        Press::Open { link_token, hosted_url, expires_at } => {
            let body = json!({ "link_token": link_token, "hosted_link_url": hosted_url, "expires_at": expires_at });
            Ok((StatusCode::CREATED, Json(body)))
        }
        Press::Works => conflict("Plaid says that the Item works"),
        Press::Gone => conflict("the Item is gone: the user has to link the bank anew"),
        Press::Unknown => Err(Problem::unknown("Item")),
        Press::TooMany { .. } => Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many",
            "too many Link tokens for this Item within an hour",
        )),
        Press::PlaidDown => Err(plaid_failed("Plaid gives no Link token; the log and /readyz say why")),
        Press::BankDown => Err(plaid_failed("the bank is down")),
        Press::LinkAnew => conflict("update mode cannot repair the Item: the user has to link the bank anew"),
        Press::Ours => Err(plaid_failed("Plaid refuses until you act: the Item's journal and the log name the code")),
    }
}
