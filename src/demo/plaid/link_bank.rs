//! The bank's own page, where the customers of OAuth banks log in: a way out of Link and back.
//!
//! Link sends the person there in a window of its own, or in the same one where windows are not to be had. The page leads
//! back with an `oauth_state_id`; Link goes on under the same token. It changes nothing at the bank: that is Link's end.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::link::{item_of, link_mut, respond, session_mut};
use super::link_token::{Detour, LinkToken};
use super::words::PlaidError;
use super::world::{State, World};
use crate::demo::serve::{self, Frames};

/// The routes of the bank.
pub(super) fn routes() -> Router<Arc<World>> {
    let page = || async { serve::page(include_str!("pages/link-bank.html"), Frames::Never, "'self'") };
    Router::new()
        .route("/link/bank/{oauth_state_id}", get(page))
        .route("/link/bank.js", get(|| async { serve::asset(serve::SCRIPT, include_str!("pages/link-bank.js")) }))
        .route("/link/api/bank/leave", post(post_leave))
        .route("/link/api/bank/view", post(post_view))
        .route("/link/api/bank/decide", post(post_decide))
}

/// What was decided at the bank under this `oauth_state_id`, and in which session.
pub(super) fn decision(link: &LinkToken, state_id: &str) -> Result<(String, bool), PlaidError> {
    let session = link.sessions.iter().find(|session| {
        session.finished_at.is_none() && session.detour.as_ref().is_some_and(|detour| detour.state_id == state_id)
    });
    let session = session.ok_or_else(PlaidError::invalid_link_token)?;
    let allowed = session.detour.as_ref().and_then(|detour| detour.allowed);
    Ok((session.id.clone(), allowed.ok_or_else(PlaidError::invalid_link_token)?))
}

/// Where the bank's page is.
#[derive(Serialize)]
struct WayOut {
    oauth_state_id: String,
    url: String,
}

/// Link sends the person to the bank.
fn leave(world: &World, token: &str, session_id: &str) -> Result<WayOut, PlaidError> {
    let now = world.now();
    let mut state = world.lock();
    let state_id = state.uuid();
    let link = link_mut(&mut state, token)?;
    if !link.opens(now) {
        return Err(PlaidError::invalid_link_token());
    }
    session_mut(link, session_id)?.detour = Some(Detour { state_id: state_id.clone(), allowed: None });
    let url = format!("{}/link/bank/{state_id}", world.url());
    Ok(WayOut { oauth_state_id: state_id, url })
}

/// What the bank's page shows.
#[derive(Serialize)]
struct BankView {
    bank: String,
    client_name: String,
}

fn detoured<'a>(state: &'a State, state_id: &str) -> Result<&'a LinkToken, PlaidError> {
    let is_it = |link: &&LinkToken| {
        let mut detours = link.sessions.iter().filter_map(|session| session.detour.as_ref());
        detours.any(|detour| detour.state_id == state_id)
    };
    state.links.values().find(is_it).ok_or_else(PlaidError::invalid_link_token)
}

fn view(world: &World, state_id: &str) -> Result<BankView, PlaidError> {
    let state = world.lock();
    let link = detoured(&state, state_id)?;
    let (_, bank) = item_of(&state, link)?;
    Ok(BankView { bank: bank.name, client_name: link.client_name.clone() })
}

/// Where the bank leads back in the same window; nothing where there is only a window to close.
#[derive(Serialize)]
struct WayBack {
    redirect: Option<String>,
}

fn decide(world: &World, state_id: &str, allow: bool) -> Result<WayBack, PlaidError> {
    let mut state = world.lock();
    let link = detoured(&state, state_id)?.clone();
    let link_now = link_mut(&mut state, &link.token)?;
    for detour in link_now.sessions.iter_mut().filter_map(|session| session.detour.as_mut()) {
        if detour.state_id == state_id {
            detour.allowed = Some(allow);
        }
    }
    let page = match &link.hosted {
        Some(hosted) => Some(format!("{}/link/hosted/{}", world.url(), hosted.id)),
        None => link.redirect_uri.clone(),
    };
    Ok(WayBack { redirect: page.map(|page| format!("{page}?oauth_state_id={state_id}")) })
}

#[derive(Deserialize)]
struct Leaving {
    link_token: String,
    link_session_id: String,
}

async fn post_leave(Shared(world): Shared<Arc<World>>, Json(leaving): Json<Leaving>) -> Response {
    respond(&world, leave(&world, &leaving.link_token, &leaving.link_session_id))
}

#[derive(Deserialize)]
struct AtBank {
    oauth_state_id: String,
    #[serde(default)]
    allow: bool,
}

async fn post_view(Shared(world): Shared<Arc<World>>, Json(at): Json<AtBank>) -> Response {
    respond(&world, view(&world, &at.oauth_state_id))
}

async fn post_decide(Shared(world): Shared<Arc<World>>, Json(at): Json<AtBank>) -> Response {
    respond(&world, decide(&world, &at.oauth_state_id, at.allow))
}
