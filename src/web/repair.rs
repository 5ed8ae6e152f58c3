//! The repair page: what the link of a letter opens. `page` says what the page's script and these handlers agree on.
//!
//! GET changes nothing and calls nobody. A press is a POST, and works without script too: then Plaid's own page opens.

use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, Json};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::browser;
use super::browser_language::BrowserLanguage;
use super::page::{self, Bank, Brand, LinkMode, Nonce, OfLink, Page, RepairPage, Trouble, View, What};
use crate::config;
use crate::domain::ids::ItemId;
use crate::domain::item::{Deadline, Item, Login, State as ItemState, Token};
use crate::engine::repair::{self, Claimed, Press};
use crate::engine::{Engine, paper};
use crate::store::{Profile, Purpose, StoreError};

/// How long a bank that was repaired is shown, ticked, beside those that are still open: as long as a person may take.
const SHOWN_DONE: SignedDuration = SignedDuration::from_hours(2);

/// Whom a link opens the page for, and what there is to repair.
struct Visit {
    profile: Option<Profile>,
    items: Vec<Item>,
    path: String,
}

pub(super) async fn show(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    asked: BrowserLanguage,
    headers: HeaderMap,
) -> Page {
    match visit(&engine, &token).await {
        Ok(Some(visit)) => {
            let mode = link_mode(&engine, browser::is_in_app(&headers));
            let page = overview(&visit, mode, engine.clock.now());
            with_view(&engine, visit.profile.as_ref(), asked, |view| page::repair(view, &page))
        }
        Ok(None) => no_longer(&engine, &token, asked),
        Err(error) => failed(&engine, asked, &error),
    }
}

/// The page at which the bank leads back. It knows nobody; the script of the page goes on with what its browser began.
pub(super) async fn way_back(State(engine): State<Engine>, asked: BrowserLanguage) -> Page {
    let mode = link_mode(&engine, false);
    with_view(&engine, None, asked, |view| page::way_back(view, &mode))
}

/// What a press says.
#[derive(Deserialize)]
struct PressBody {
    item_id: Option<ItemId>,
    #[serde(default)]
    renew: bool,
}

pub(super) async fn press(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    asked: BrowserLanguage,
    request: Request,
) -> Response {
    let is_form = is_form(&request);
    // A browser without script can only go to Plaid's own page, and one without pop-ups had better.
    let mode = if is_form || browser::is_in_app(request.headers()) {
        config::LinkMode::Hosted
    } else {
        engine.config.plaid.link_mode
    };
    let body = if is_form {
        Form::<PressBody>::from_request(request, &()).await.map(|Form(body)| body).ok()
    } else {
        Json::<PressBody>::from_request(request, &()).await.map(|Json(body)| body).ok()
    };
    let Some(body) = body else { return StatusCode::BAD_REQUEST.into_response() };
    let visit = match visit(&engine, &token).await {
        Ok(Some(visit)) => visit,
        Ok(None) => return gone(&engine, &token, asked, is_form),
        Err(error) => return failed(&engine, asked, &error).into_response(),
    };
    let Some(item) = chosen(&visit, body.item_id.as_ref()) else { return gone(&engine, &token, asked, is_form) };
    let press = match settled(item) {
        Some(press) => Ok(press),
        None => engine.press(&item.id, mode, body.renew).await,
    };
    match press {
        Ok(press) if is_form => form_answer(&engine, &visit, asked, item, press),
        Ok(press) => json_answer(&engine, &visit, asked, press),
        Err(error) => failed(&engine, asked, &error).into_response(),
    }
}

/// What is clear without asking Plaid, on a page that may have been opened long ago.
fn settled(item: &Item) -> Option<Press> {
    if item.removed.is_some() {
        return Some(Press::Gone);
    }
    match item.token {
        // A repair would break the newer connection, which is the one that counts.
        _ if item.superseded_by.is_some() => Some(Press::Works),
        Token::Foreign | Token::Refused => Some(Press::Ours),
        Token::Unproven | Token::Proven => None,
    }
}

/// Link opens in the page.
#[derive(Serialize)]
struct Opened {
    link_token: String,
    #[serde(flatten)]
    of_link: OfLink,
}

fn json_answer(engine: &Engine, visit: &Visit, asked: BrowserLanguage, press: Press) -> Response {
    let works_not = |what: &str| (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "trouble": what }))).into_response();
    match press {
        Press::Open { hosted_url: Some(url), .. } => Json(json!({ "hosted_link_url": url })).into_response(),
        Press::Open { link_token, hosted_url: None, .. } => {
            let of_link = with_view(engine, visit.profile.as_ref(), asked, OfLink::new);
            Json(Opened { link_token, of_link }).into_response()
        }
        Press::Works => (StatusCode::CONFLICT, Json(json!({ "state": "works" }))).into_response(),
        Press::LinkAnew => (StatusCode::CONFLICT, Json(json!({ "state": "anew" }))).into_response(),
        Press::Gone | Press::Unknown => StatusCode::GONE.into_response(),
        Press::TooMany { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after.as_secs().to_string())]).into_response()
        }
        Press::PlaidDown => works_not("plaid"),
        Press::BankDown => works_not("bank"),
        Press::Ours => works_not("ours"),
    }
}

fn form_answer(engine: &Engine, visit: &Visit, asked: BrowserLanguage, item: &Item, press: Press) -> Response {
    let bank = bank_name(item);
    let path = visit.path.clone();
    let page = match press {
        Press::Open { hosted_url: Some(url), .. } => return Redirect::to(&url).into_response(),
        Press::Open { hosted_url: None, .. } | Press::PlaidDown => RepairPage::Trouble { what: Trouble::Plaid, path },
        Press::Works => RepairPage::Works { banks: vec![bank] },
        Press::Gone => RepairPage::Gone { bank },
        Press::LinkAnew => RepairPage::LinkAnew { bank },
        Press::Unknown => RepairPage::NoLonger { path },
        Press::TooMany { .. } => RepairPage::Trouble { what: Trouble::Busy, path },
        Press::BankDown => RepairPage::Trouble { what: Trouble::Bank { name: bank }, path },
        Press::Ours => RepairPage::Trouble { what: Trouble::Ours { name: bank }, path },
    };
    with_view(engine, visit.profile.as_ref(), asked, |view| page::repair(view, &page)).into_response()
}

/// Sends a fresh link to the address on file, and says the same whether the old one was ever ours.
pub(super) async fn send_fresh(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    asked: BrowserLanguage,
) -> Page {
    match engine.send_fresh_link(&token).await {
        Ok(()) => with_view(&engine, None, asked, |view| page::repair(view, &RepairPage::FreshLinkSent)),
        Err(error) => failed(&engine, asked, &error),
    }
}

/// What the page says when Link is done. Link's own session id is not needed: Plaid is asked about the Item.
#[derive(Deserialize)]
pub(super) struct DoneBody {
    item_id: ItemId,
}

pub(super) async fn done(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    asked: BrowserLanguage,
    Json(body): Json<DoneBody>,
) -> Response {
    let visit = match visit(&engine, &token).await {
        Ok(Some(visit)) => visit,
        Ok(None) => return StatusCode::GONE.into_response(),
        Err(error) => return failed(&engine, asked, &error).into_response(),
    };
    if !visit.items.iter().any(|item| item.id == body.item_id) {
        return StatusCode::GONE.into_response();
    }
    match engine.claim(&body.item_id).await {
        Ok(claimed) => Json(json!({ "state": claimed_name(claimed) })).into_response(),
        Err(error) => failed(&engine, asked, &error).into_response(),
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
    Ok(Some(Visit { profile, items, path: path(engine, token) }))
}

fn path(engine: &Engine, token: &str) -> String {
    engine.public_path(&format!("repair/{token}"))
}

/// What a person sees who opens the link, from what is known: nobody is asked.
fn overview(visit: &Visit, mode: LinkMode, now: Timestamp) -> RepairPage {
    let Some(first) = visit.items.first() else { return RepairPage::NoLonger { path: visit.path.clone() } };
    let mut here: Vec<(&Item, What)> =
        visit.items.iter().filter(|item| item.removed.is_none()).map(|item| (item, what(item))).collect();
    if here.is_empty() {
        return RepairPage::Gone { bank: bank_name(first) };
    }
    if here.iter().all(|(_, what)| matches!(what, What::Works | What::Impaired)) {
        return match here.iter().find(|(_, what)| *what == What::Impaired) {
            Some((item, _)) => hindrance(item, visit.path.clone()),
            None => RepairPage::Works { banks: here.into_iter().map(|(item, _)| bank_name(item)).collect() },
        };
    }
    // What is open, the most urgent first; then what was done just now, ticked.
    here.retain(|(item, what)| *what != What::Works || is_just_done(item, now));
    here.sort_by_key(|(item, _)| item.state());
    let bank = |(item, what): (&Item, What)| Bank { item: item.id.clone(), name: bank_name(item), what };
    RepairPage::Broken { banks: here.into_iter().map(bank).collect(), path: visit.path.clone(), mode: Box::new(mode) }
}

fn needs_repair(item: &Item) -> bool {
    !matches!(what(item), What::Works | What::Impaired)
}

fn is_just_done(item: &Item, now: Timestamp) -> bool {
    match &item.login {
        Login::Mended { at, .. } => now.duration_since(*at) < SHOWN_DONE,
        Login::Sound | Login::Broken(_) => false,
    }
}

/// Why nothing can be done here about an Item that its user cannot repair.
fn hindrance(item: &Item, path: String) -> RepairPage {
    let bank = bank_name(item);
    let press = match (item.token, &item.impaired) {
        (Token::Foreign | Token::Refused, _) => Press::Ours,
        (Token::Unproven | Token::Proven, Some(impaired)) => repair::hindrance(&impaired.code),
        (Token::Unproven | Token::Proven, None) => Press::BankDown,
    };
    match press {
        Press::LinkAnew => RepairPage::LinkAnew { bank },
        Press::Gone | Press::Unknown => RepairPage::Gone { bank },
        Press::Ours => RepairPage::Trouble { what: Trouble::Ours { name: bank }, path },
        // What Plaid has to mend, or nobody knows, looks from here as if the bank were down.
        Press::BankDown | Press::PlaidDown | Press::Works | Press::TooMany { .. } | Press::Open { .. } => {
            RepairPage::Trouble { what: Trouble::Bank { name: bank }, path }
        }
    }
}

/// The Item of a press: the one that is named, if it is the user's; else the one that needs it most.
fn chosen<'a>(visit: &'a Visit, named: Option<&ItemId>) -> Option<&'a Item> {
    match named {
        Some(named) => visit.items.iter().find(|item| item.id == *named),
        None => visit.items.iter().filter(|item| needs_repair(item)).min_by_key(|item| item.state()),
    }
}

fn what(item: &Item) -> What {
    match item.token {
        // The newer connection to the same bank counts.
        _ if item.superseded_by.is_some() => return What::Works,
        Token::Foreign | Token::Refused => return What::Impaired,
        // Of a token that was not tried yet the state is the best that is known; a press asks Plaid.
        Token::Unproven | Token::Proven => {}
    }
    match item.state() {
        ItemState::Healthy if item.impaired.is_some() => What::Impaired,
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

fn gone(engine: &Engine, token: &str, asked: BrowserLanguage, is_form: bool) -> Response {
    if is_form { no_longer(engine, token, asked).into_response() } else { StatusCode::GONE.into_response() }
}

fn no_longer(engine: &Engine, token: &str, asked: BrowserLanguage) -> Page {
    let page = RepairPage::NoLonger { path: path(engine, token) };
    with_view(engine, None, asked, |view| page::repair(view, &page))
}

/// Our own fault: logged here, and said to the visitor without the cause.
pub(super) fn failed(engine: &Engine, asked: BrowserLanguage, error: &StoreError) -> Page {
    tracing::error!("a page cannot be shown: {error}");
    with_view(engine, None, asked, page::fault)
}

/// How a page opens update mode: as configured, but at Plaid's own page where pop-ups cannot be counted on.
fn link_mode(engine: &Engine, is_in_app: bool) -> LinkMode {
    let plaid = &engine.config.plaid;
    let hosted = engine.hosted_link_origin();
    match plaid.link_mode {
        config::LinkMode::Embedded if !is_in_app => {
            LinkMode::Embedded { script: plaid.link_script_url.clone(), api: plaid.base_url.clone(), hosted }
        }
        config::LinkMode::Embedded | config::LinkMode::Hosted => LinkMode::Hosted { page: hosted },
    }
}

/// Makes a page, or a part of one: for a user in their language, for somebody who is not known in the browser's.
pub(super) fn with_view<T>(
    engine: &Engine,
    profile: Option<&Profile>,
    asked: BrowserLanguage,
    make: impl FnOnce(&View<'_>) -> T,
) -> T {
    let app = &engine.config.app;
    let brand = Brand {
        name: app.name.clone(),
        url: app.url.clone(),
        support_email: app.support_email.as_str().to_owned(),
        button: paper::button(&engine.config),
    };
    let zone = profile.and_then(|profile| profile.time_zone.as_ref()).unwrap_or(&app.time_zone);
    make(&View {
        brand: &brand,
        language: profile.map_or(asked.0, |profile| engine.config.language(profile.locale.as_ref())),
        time_zone: zone.zone(),
        nonce: Nonce::new(engine.clock.random()),
    })
}
