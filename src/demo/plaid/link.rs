//! Link: the script that an application's page loads, the page inside its frame, Hosted Link, and what they change.
//!
//! A success here really repairs the Item. The page asks [`start`] and [`finish`] over HTTP; tests may call them directly.
//! At OAuth banks the way leads through the bank's own page: [`super::link_bank`].

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::link_bank;
use super::link_token::{self, End, LinkToken, Session};
use super::truth::{Bank, Item};
use super::webhooks::{self, Parcel};
use super::words::{PlaidError, Trouble};
use super::world::{State, World};
use crate::demo::serve::{self, Frames};

/// Where Plaid keeps the script on its own host.
pub(super) const SCRIPT_PATH: &str = "/link/v2/stable/link-initialize.js";

/// What Link says of a wrong password.
pub(super) const WRONG_PASSWORD: &str = "INVALID_CREDENTIALS";

/// The routes of Link.
pub(super) fn routes() -> Router<Arc<World>> {
    let page = || async { serve::page(include_str!("pages/link.html"), Frames::Anywhere, "'self'") };
    Router::new()
        .route(SCRIPT_PATH, get(script))
        .route("/link/session/{link_token}", get(page))
        .route("/link/hosted/{id}", get(page))
        .route("/link/link.js", get(|| async { serve::asset(serve::SCRIPT, include_str!("pages/link.js")) }))
        .route("/link/link.css", get(|| async { serve::asset(serve::STYLE, include_str!("pages/link.css")) }))
        .route("/link/api/start", post(post_start))
        .route("/link/api/fail", post(post_fail))
        .route("/link/api/finish", post(post_finish))
}

async fn script() -> Response {
    let mut response = serve::asset(serve::SCRIPT, include_str!("pages/link-initialize.js"));
    let cross = header::HeaderValue::from_static("cross-origin");
    response.headers_mut().insert("cross-origin-resource-policy", cross);
    response
}

/// How a page names the session that it belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Through the SDK in an application's page.
    LinkToken(String),
    /// Through the address of Hosted Link.
    Hosted(String),
}

/// What Link shows first.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The token that opened it.
    pub link_token: String,
    /// Plaid's `link_session_id`.
    pub link_session_id: String,
    /// Who asks.
    pub client_name: String,
    /// The language that was asked for.
    pub language: String,
    /// The bank's name.
    pub bank: String,
    /// The bank's `institution_id`.
    pub institution_id: String,
    /// Whether the bank is down: then nobody can log in.
    pub bank_down: bool,
    /// Whether accounts are chosen.
    pub choose_accounts: bool,
    /// The accounts to choose from; empty without a choice.
    pub accounts: Vec<Value>,
    /// Whether this is Hosted Link.
    pub hosted: bool,
    /// Whether the login is at the bank's own page.
    pub oauth: bool,
    /// Whether the bank's page can lead back in the same window.
    pub redirects: bool,
    /// Back from the bank's page: what was decided there.
    pub returned: Option<bool>,
}

/// What the person did.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Logged in. `accounts` are the ids that were ticked, where there was a choice; `None` ticks all.
    Success {
        /// The ids.
        #[serde(default)]
        accounts: Option<Vec<String>>,
    },
    /// Left, with the code of the last error that was shown, if there was one.
    Exit {
        /// Plaid's `error_code`.
        #[serde(default)]
        error_code: Option<String>,
    },
}

/// What Link hands to the application's page, and where Hosted Link goes then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finished {
    /// The first argument of `onSuccess`.
    pub public_token: Option<String>,
    /// The first argument of `onExit`.
    pub error: Value,
    /// The second argument of either.
    pub metadata: Value,
    /// `completion_redirect_uri`.
    pub redirect: Option<String>,
}

/// Opens a session.
///
/// Opens a session, or goes on with the one that went to the bank's page under this `oauth_state_id`.
///
/// # Errors
/// `INVALID_LINK_TOKEN` when the token is unknown, expired or used.
pub(super) fn start(world: &World, door: &Door, oauth_state_id: Option<&str>) -> Result<View, PlaidError> {
    let now = world.now();
    let mut state = world.lock();
    let found = match door {
        Door::LinkToken(token) => state.links.get(token),
        Door::Hosted(id) => {
            state.links.values().find(|link| link.hosted.as_ref().is_some_and(|hosted| hosted.id == *id))
        }
    };
    let link = found.filter(|link| link.opens(now)).ok_or_else(PlaidError::invalid_link_token)?.clone();
    let (item, bank) = item_of(&state, &link)?;
    let (link_session_id, returned) = match oauth_state_id {
        Some(state_id) => {
            let (session, allowed) = link_bank::decision(&link, state_id)?;
            (session, Some(allowed))
        }
        None => (state.uuid(), None),
    };
    // At most OAuth banks the choice appears whatever was asked for.
    let choose_accounts = link.choose_accounts || bank.oauth;
    let view = View {
        link_token: link.token.clone(),
        link_session_id,
        client_name: link.client_name.clone(),
        language: link.language.clone(),
        bank: bank.name.clone(),
        institution_id: bank.id.clone(),
        bank_down: bank.down,
        choose_accounts,
        accounts: if choose_accounts { choice(&item) } else { Vec::new() },
        hosted: link.hosted.is_some(),
        oauth: bank.oauth,
        redirects: link.hosted.is_some() || link.redirect_uri.is_some(),
        returned,
    };
    if returned.is_none() {
        let events = vec![event(&mut state, "TRANSITION_VIEW", &bank, None, now)];
        let id = view.link_session_id.clone();
        let session = Session { id, started_at: now, finished_at: None, events, end: None, detour: None };
        link_mut(&mut state, &link.token)?.sessions.push(session);
    }
    drop(state);
    world.changed();
    Ok(view)
}

fn choice(item: &Item) -> Vec<Value> {
    let row = |account, shared: bool| {
        let mut row = link_token::account_in_link(account);
        row["shared"] = json!(shared);
        row
    };
    item.shared.iter().map(|a| row(a, true)).chain(item.unshared.iter().map(|a| row(a, false))).collect()
}

pub(super) fn item_of(state: &State, link: &LinkToken) -> Result<(Item, Bank), PlaidError> {
    let item =
        state.items.get(&link.item_id).filter(|item| !item.removed).ok_or_else(PlaidError::invalid_link_token)?;
    Ok((item.clone(), state.bank_of(item)))
}

pub(super) fn link_mut<'a>(state: &'a mut State, token: &str) -> Result<&'a mut LinkToken, PlaidError> {
    state.links.get_mut(token).ok_or_else(PlaidError::invalid_link_token)
}

/// A session that is open: of a token that opens, and not ended yet.
pub(super) fn session_mut<'a>(link: &'a mut LinkToken, id: &str) -> Result<&'a mut Session, PlaidError> {
    let session = link.sessions.iter_mut().find(|session| session.id == id && session.finished_at.is_none());
    session.ok_or_else(PlaidError::invalid_link_token)
}

fn event(state: &mut State, name: &str, bank: &Bank, error: Option<&PlaidError>, now: Timestamp) -> Value {
    let mut metadata = json!({ "institution_id": bank.id, "institution_name": bank.name, "request_id": state.id(15) });
    if let Some(error) = error {
        metadata["error_type"] = json!(error.error_type);
        metadata["error_code"] = json!(error.error_code);
        metadata["error_message"] = json!(error.message);
    }
    json!({ "event_id": state.uuid(), "event_name": name, "event_metadata": metadata, "timestamp": now })
}

/// Notes an error, and answers what Link shows. Too many wrong passwords use the token up.
pub(super) fn fail(world: &World, token: &str, session_id: &str, code: &str) -> Result<Value, PlaidError> {
    let now = world.now();
    let error = Trouble::new(code).refusal();
    let mut state = world.lock();
    let link = link_mut(&mut state, token)?.clone();
    let (_, bank) = item_of(&state, &link)?;
    let noted = event(&mut state, "ERROR", &bank, Some(&error), now);
    let request_id = state.id(15);
    let link = link_mut(&mut state, token)?;
    if !link.opens(now) {
        return Err(PlaidError::invalid_link_token());
    }
    link.wrong_passwords += u32::from(code == WRONG_PASSWORD);
    link.used = link.wrong_passwords >= link_token::WRONG_PASSWORDS_MAX;
    session_mut(link, session_id)?.events.push(noted);
    Ok(error.body(&request_id))
}

/// Ends a session: a success changes the truth, and Hosted Link sends its webhook.
pub(super) fn finish(
    world: &Arc<World>,
    token: &str,
    session_id: &str,
    outcome: &Outcome,
) -> Result<Finished, PlaidError> {
    let now = world.now();
    let mut state = world.lock();
    let link = link_mut(&mut state, token)?.clone();
    let (item, bank) = item_of(&state, &link)?;
    session_mut(link_mut(&mut state, token)?, session_id)?;
    let (end, finished) = match outcome {
        Outcome::Success { accounts } => {
            if bank.down || !link.opens(now) {
                return Err(if bank.down {
                    Trouble::new("INSTITUTION_DOWN").refusal()
                } else {
                    PlaidError::invalid_link_token()
                });
            }
            let chosen = (link.choose_accounts || bank.oauth).then(|| ticked(&item, accounts.as_deref()));
            succeed(world, &mut state, &link, session_id, chosen.as_deref())
        }
        Outcome::Exit { error_code } => leave(&mut state, session_id, &bank, error_code.as_deref()),
    };
    let name = match outcome {
        Outcome::Success { .. } => "HANDOFF",
        Outcome::Exit { .. } => "EXIT",
    };
    let noted = event(&mut state, name, &bank, None, now);
    let session = session_mut(link_mut(&mut state, token)?, session_id)?;
    session.events.push(noted);
    session.finished_at = Some(now);
    session.end = Some(end);
    drop(state);
    world.changed();
    let redirect = link.hosted.as_ref().and_then(|hosted| hosted.completion_redirect_uri.clone());
    if link.hosted.is_some() {
        tell_finished(world, &item, token, session_id, finished.public_token.as_deref());
    }
    Ok(Finished { redirect, ..finished })
}

fn ticked(item: &Item, accounts: Option<&[String]>) -> Vec<String> {
    let all = || item.shared.iter().chain(&item.unshared).map(|account| account.id.clone()).collect();
    accounts.map_or_else(all, <[String]>::to_vec)
}

fn succeed(
    world: &World,
    state: &mut State,
    link: &LinkToken,
    session_id: &str,
    chosen: Option<&[String]>,
) -> (End, Finished) {
    let public_token = format!("public-{}-{}", world.options.environment, state.uuid());
    let item = state.items.get_mut(&link.item_id).expect("the session's Item was found");
    item.update_mode(chosen, world.now());
    let accounts: Vec<Value> = item.shared.iter().map(link_token::account_in_link).collect();
    let item = item.clone();
    let institution = link_token::institution_in_link(&state.bank_of(&item));
    if let Some(link) = state.links.get_mut(&link.token) {
        link.used = link.hosted.is_some() || world.options.environment != "sandbox";
    }
    let metadata = json!({
        "institution": institution,
        "accounts": accounts,
        "link_session_id": session_id,
        "transfer_status": null,
    });
    let finished = Finished { public_token: Some(public_token.clone()), error: Value::Null, metadata, redirect: None };
    (End::Success { public_token, accounts, institution }, finished)
}

fn leave(state: &mut State, session_id: &str, bank: &Bank, error_code: Option<&str>) -> (End, Finished) {
    let request_id = state.id(15);
    let error = match error_code {
        None => Value::Null,
        Some("INVALID_LINK_TOKEN") => PlaidError::invalid_link_token().body(&request_id),
        Some(code) => Trouble::new(code).refusal().body(&request_id),
    };
    let metadata = json!({
        "institution": link_token::institution_in_link(bank),
        "status": "requires_credentials",
        "link_session_id": session_id,
        "request_id": request_id,
    });
    let finished = Finished { public_token: None, error: error.clone(), metadata: metadata.clone(), redirect: None };
    (End::Exit { error, metadata }, finished)
}

/// Hosted Link tells the Item's address how a session ended.
fn tell_finished(world: &Arc<World>, item: &Item, token: &str, session_id: &str, public_token: Option<&str>) {
    let mut body = json!({
        "webhook_type": "LINK",
        "webhook_code": "SESSION_FINISHED",
        "status": if public_token.is_some() { "SUCCESS" } else { "EXITED" },
        "link_session_id": session_id,
        "link_token": token,
        "environment": world.options.environment,
    });
    if let Some(public_token) = public_token.filter(|_| world.options.update_mode_results) {
        body["public_tokens"] = json!([public_token]);
    }
    let parcel = Parcel::to(item, body);
    let behind = Arc::clone(world);
    world.tracker.spawn(async move { webhooks::send(&behind, parcel).await });
}

/// A request of the page about its session.
#[derive(Deserialize)]
struct Step {
    link_token: String,
    link_session_id: String,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    error_code: Option<String>,
}

/// How a page opens a session.
#[derive(Deserialize)]
struct Opening {
    door: Door,
    #[serde(default)]
    oauth_state_id: Option<String>,
}

async fn post_start(Shared(world): Shared<Arc<World>>, Json(opening): Json<Opening>) -> Response {
    respond(&world, start(&world, &opening.door, opening.oauth_state_id.as_deref()))
}

async fn post_fail(Shared(world): Shared<Arc<World>>, Json(step): Json<Step>) -> Response {
    let code = step.error_code.as_deref().unwrap_or(WRONG_PASSWORD);
    respond(&world, fail(&world, &step.link_token, &step.link_session_id, code))
}

async fn post_finish(Shared(world): Shared<Arc<World>>, Json(step): Json<Step>) -> Response {
    let outcome = step.outcome.unwrap_or(Outcome::Exit { error_code: None });
    respond(&world, finish(&world, &step.link_token, &step.link_session_id, &outcome))
}

pub(super) fn respond<T: Serialize>(world: &World, result: Result<T, PlaidError>) -> Response {
    match result {
        Ok(body) => Json(body).into_response(),
        Err(error) => {
            let request_id = world.lock().id(15);
            error.answer(&request_id)
        }
    }
}
