//! The repair page: what the link of a letter opens. `page` says what the page's script and these handlers agree on.
//!
//! GET changes nothing and calls nobody. A press is a POST.

use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::json;

use super::page::{self, Bank, Brand, LinkMode, Nonce, Page, RepairPage, Trouble, View, What};
use crate::config;
use crate::domain::compose::is_addressable;
use crate::domain::ids::ItemId;
use crate::domain::item::{Deadline, Item, State as ItemState};
use crate::engine::Engine;
use crate::engine::repair::{Claimed, Press};
use crate::store::{Profile, Purpose, StoreError};

/// Whom a link opens the page for, and what there is to repair.
struct Visit {
    profile: Option<Profile>,
    items: Vec<Item>,
    path: String,
}

pub(super) async fn show(State(engine): State<Engine>, Path(token): Path<String>) -> Page {
    match visit(&engine, &token).await {
        Ok(Some(visit)) => {
            let page = overview(&engine, &visit);
            with_view(&engine, visit.profile.as_ref(), |view| page::repair(view, &page))
        }
        Ok(None) => no_longer(&engine),
        Err(error) => failed(&engine, &error),
    }
}

/// The page at which the bank leads back. It knows nobody; the script of the page goes on with what its browser began.
pub(super) async fn way_back(State(engine): State<Engine>) -> Page {
    with_view(&engine, None, |view| page::way_back(view, &link_mode(&engine)))
}

/// What a press says.
#[derive(Deserialize)]
struct PressBody {
    item_id: Option<ItemId>,
    #[serde(default)]
    renew: bool,
}

pub(super) async fn press(State(engine): State<Engine>, Path(token): Path<String>, request: Request) -> Response {
    let is_form = is_form(&request);
    let body = if is_form {
        Form::<PressBody>::from_request(request, &()).await.map(|Form(body)| body).ok()
    } else {
        Json::<PressBody>::from_request(request, &()).await.map(|Json(body)| body).ok()
    };
    let Some(body) = body else { return StatusCode::BAD_REQUEST.into_response() };
    let visit = match visit(&engine, &token).await {
        Ok(Some(visit)) => visit,
        Ok(None) => return gone(&engine, is_form),
        Err(error) => return failed(&engine, &error).into_response(),
    };
    let Some(item) = chosen(&visit, body.item_id.as_ref()) else { return gone(&engine, is_form) };
    // A browser without script can only go to Plaid's own page.
    let mode = if is_form { config::LinkMode::Hosted } else { engine.config.plaid.link_mode };
    match engine.press(&item.id, mode, body.renew).await {
        Ok(press) if is_form => form_answer(&engine, &visit, item, press),
        Ok(press) => json_answer(press),
        Err(error) => failed(&engine, &error).into_response(),
    }
}

fn json_answer(press: Press) -> Response {
    match press {
        Press::Open { hosted_url: Some(url), .. } => Json(json!({ "hosted_link_url": url })).into_response(),
        Press::Open { link_token, hosted_url: None, .. } => Json(json!({ "link_token": link_token })).into_response(),
        Press::Works => (StatusCode::CONFLICT, Json(json!({ "state": "works" }))).into_response(),
        Press::Gone | Press::Unknown => StatusCode::GONE.into_response(),
        Press::TooMany { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after.as_secs().to_string())]).into_response()
        }
        Press::PlaidDown => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "trouble": "plaid" }))).into_response(),
        Press::BankDown => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "trouble": "bank" }))).into_response(),
    }
}

fn form_answer(engine: &Engine, visit: &Visit, item: &Item, press: Press) -> Response {
    let bank = bank_name(item);
    let path = visit.path.clone();
    let page = match press {
        Press::Open { hosted_url: Some(url), .. } => return Redirect::to(&url).into_response(),
        Press::Open { hosted_url: None, .. } | Press::PlaidDown => RepairPage::Trouble { what: Trouble::Plaid, path },
        Press::Works => RepairPage::Works { banks: vec![bank] },
        Press::Gone => RepairPage::Gone { bank },
        Press::Unknown => RepairPage::NoLonger,
        Press::TooMany { .. } => RepairPage::Trouble { what: Trouble::Busy, path },
        Press::BankDown => RepairPage::Trouble { what: Trouble::Bank { name: bank }, path },
    };
    with_view(engine, visit.profile.as_ref(), |view| page::repair(view, &page)).into_response()
}

/// What the page says when Link is done. Link's own session id is not needed: Plaid is asked about the Item.
#[derive(Deserialize)]
pub(super) struct DoneBody {
    item_id: ItemId,
}

pub(super) async fn done(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    Json(body): Json<DoneBody>,
) -> Response {
    let visit = match visit(&engine, &token).await {
        Ok(Some(visit)) => visit,
        Ok(None) => return StatusCode::GONE.into_response(),
        Err(error) => return failed(&engine, &error).into_response(),
    };
    if !visit.items.iter().any(|item| item.id == body.item_id) {
        return StatusCode::GONE.into_response();
    }
    match engine.claim(&body.item_id).await {
        Ok(claimed) => Json(json!({ "state": claimed_name(claimed) })).into_response(),
        Err(error) => failed(&engine, &error).into_response(),
    }
}

/// The name that the page's script and the API use.
pub(super) fn claimed_name(claimed: Claimed) -> &'static str {
    match claimed {
        Claimed::Works => "works",
        Claimed::Checking => "checking",
        Claimed::Broken => "broken",
    }
}

/// Whom a link opens the page for. Unknown, expired and revoked links look alike.
async fn visit(engine: &Engine, token: &str) -> Result<Option<Visit>, StoreError> {
    let Some(user) = engine.store.open_link(Purpose::Repair, token, engine.clock.now()).await? else {
        return Ok(None);
    };
    let profile = engine.store.user(user.clone()).await?;
    let items = engine.store.items_of(user).await?;
    Ok(Some(Visit { profile, items, path: engine.public_path(&format!("repair/{token}")) }))
}

fn overview(engine: &Engine, visit: &Visit) -> RepairPage {
    let here: Vec<&Item> = visit.items.iter().filter(|item| item.state() != ItemState::Removed).collect();
    let Some(first) = visit.items.first() else { return RepairPage::NoLonger };
    if here.is_empty() {
        return RepairPage::Gone { bank: bank_name(first) };
    }
    let mut broken: Vec<&Item> = here.iter().copied().filter(|item| needs_repair(item)).collect();
    if broken.is_empty() {
        return RepairPage::Works { banks: here.into_iter().map(bank_name).collect() };
    }
    broken.sort_by_key(|item| item.state());
    RepairPage::Broken {
        banks: broken
            .into_iter()
            .map(|item| Bank { item: item.id.clone(), name: bank_name(item), what: what(item) })
            .collect(),
        path: visit.path.clone(),
        mode: link_mode(engine),
    }
}

fn needs_repair(item: &Item) -> bool {
    is_addressable(item) && item.state() != ItemState::Healthy
}

/// The Item of a press: the one that is named, if it is the user's; else the one that needs it most.
fn chosen<'a>(visit: &'a Visit, named: Option<&ItemId>) -> Option<&'a Item> {
    match named {
        Some(named) => visit.items.iter().find(|item| item.id == *named),
        None => visit.items.iter().filter(|item| needs_repair(item)).min_by_key(|item| item.state()),
    }
}

fn what(item: &Item) -> What {
    match item.state() {
        ItemState::Removed | ItemState::Healthy => What::Works,
        ItemState::Revoked => What::AccessWithdrawn,
        ItemState::LoginRequired => What::LoginRequired,
        ItemState::NewAccounts => What::NewAccounts,
        ItemState::PendingExpiration => item.expiry.as_ref().map_or(What::Works, |episode| What::Ends {
            on: match episode.what.deadline {
                Deadline::Known(at) => Some(at),
                Deadline::Assumed(_) => None,
            },
            why: episode.what.why,
        }),
    }
}

fn bank_name(item: &Item) -> Option<String> {
    item.institution.as_ref().and_then(|bank| bank.name.clone())
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn gone(engine: &Engine, is_form: bool) -> Response {
    if is_form { no_longer(engine).into_response() } else { StatusCode::GONE.into_response() }
}

fn no_longer(engine: &Engine) -> Page {
    with_view(engine, None, |view| page::repair(view, &RepairPage::NoLonger))
}

/// Our own fault: logged here, and said to the visitor without the cause.
pub(super) fn failed(engine: &Engine, error: &StoreError) -> Page {
    tracing::error!("a page cannot be shown: {error}");
    with_view(engine, None, page::fault)
}

fn link_mode(engine: &Engine) -> LinkMode {
    let plaid = &engine.config.plaid;
    match plaid.link_mode {
        config::LinkMode::Embedded => {
            LinkMode::Embedded { script: plaid.link_script_url.clone(), api: plaid.base_url.clone() }
        }
        config::LinkMode::Hosted => LinkMode::Hosted { page: engine.hosted_link_origin() },
    }
}

/// Makes a page for a user, or for somebody who is not known.
pub(super) fn with_view(engine: &Engine, profile: Option<&Profile>, make: impl FnOnce(&View<'_>) -> Page) -> Page {
    let app = &engine.config.app;
    let brand =
        Brand { name: app.name.clone(), url: app.url.clone(), support_email: app.support_email.as_str().to_owned() };
    let zone = profile.and_then(|profile| profile.time_zone.as_ref()).unwrap_or(&app.time_zone);
    make(&View {
        brand: &brand,
        language: engine.config.language(profile.and_then(|profile| profile.locale.as_ref())),
        time_zone: zone.zone(),
        nonce: Nonce::new(engine.clock.random()),
    })
}
