//! The mailbox in the browser, and its letters as JSON.
//!
//! A letter's HTML runs no script and loads nothing: it stands in a sandboxed frame, and the page's policy, which such a
//! frame inherits, allows pictures from inside the letter only.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Inbox, Letter};
use crate::demo::serve::{self, Frames};

/// The letter's own styles have to work inside the frame, which inherits this.
const STYLES: &str = "'self' 'unsafe-inline'";

/// The routes of the mailbox.
pub(super) fn routes(inbox: Arc<Inbox>) -> Router {
    let page = || async { serve::page(include_str!("pages/mailbox.html"), Frames::Never, STYLES) };
    Router::new()
        .route("/", get(page))
        .route("/mailbox.js", get(|| async { serve::asset(serve::SCRIPT, include_str!("pages/mailbox.js")) }))
        .route("/mailbox.css", get(|| async { serve::asset(serve::STYLE, include_str!("pages/mailbox.css")) }))
        .route("/letters.json", get(list))
        .route("/letters/{file}", get(one))
        .route("/letters/{number}/unsubscribe", post(unsubscribe))
        .with_state(inbox)
}

/// Which letters are wanted.
#[derive(Deserialize)]
struct Wanted {
    /// Only letters with a higher number.
    #[serde(default)]
    after: u64,
}

async fn list(Shared(inbox): Shared<Arc<Inbox>>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let letters: Vec<Value> =
        inbox.lock().iter().rev().filter(|letter| letter.number > wanted.after).map(summary).collect();
    Json(json!({ "letters": letters }))
}

fn summary(letter: &Letter) -> Value {
    let preview: String =
        letter.text.as_deref().unwrap_or_default().split_whitespace().take(30).collect::<Vec<_>>().join(" ");
    json!({
        "number": letter.number,
        "at": letter.at,
        "from": letter.header("From").unwrap_or(&letter.from),
        "to": letter.to,
        "subject": letter.subject,
        "preview": preview,
    })
}

/// `7.json`, `7.eml` (the bytes as they came).
async fn one(Shared(inbox): Shared<Arc<Inbox>>, Path(file): Path<String>) -> Response {
    let found = file.split_once('.').and_then(|(number, kind)| Some((inbox.letter(number.parse().ok()?)?, kind)));
    match found {
        Some((letter, "json")) => Json(whole(&letter)).into_response(),
        Some((letter, "eml")) => {
            let headers =
                [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (headers, letter.raw).into_response()
        }
        Some(_) | None => (StatusCode::NOT_FOUND, "no such letter\n").into_response(),
    }
}

fn whole(letter: &Letter) -> Value {
    let mut body = summary(letter);
    let headers: Vec<Value> =
        letter.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    body["headers"] = json!(headers);
    body["text"] = json!(letter.text);
    body["html"] = json!(letter.html);
    body["one_click"] = json!(one_click(letter).is_some());
    body
}

/// The address of one-click unsubscription (RFC 8058): an HTTP one, beside the header that says so.
fn one_click(letter: &Letter) -> Option<&str> {
    letter.header("List-Unsubscribe-Post").filter(|value| value.trim() == "List-Unsubscribe=One-Click")?;
    let addresses = letter.header("List-Unsubscribe")?.split(',').map(str::trim);
    let mut addresses = addresses.filter_map(|address| address.strip_prefix('<')?.strip_suffix('>'));
    addresses.find(|address| address.starts_with("https://") || address.starts_with("http://"))
}

/// What a mail program does when its button is pressed: a POST, without following, cookies or a question.
async fn unsubscribe(Shared(inbox): Shared<Arc<Inbox>>, Path(number): Path<u64>, Json(_): Json<Value>) -> Response {
    let refuse = |status, why: &str| (status, Json(json!({ "error": why }))).into_response();
    let Some(letter) = inbox.letter(number) else {
        return refuse(StatusCode::NOT_FOUND, "no such letter");
    };
    let Some(address) = one_click(&letter) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "the letter offers no one-click unsubscription");
    };
    if !is_loopback(address) {
        return refuse(StatusCode::FORBIDDEN, "the demo sends nothing beyond this machine");
    }
    let request = inbox.http.post(address).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match request.body("List-Unsubscribe=One-Click").send().await {
        Ok(response) => Json(json!({ "status": response.status().as_u16() })).into_response(),
        Err(_) => refuse(StatusCode::BAD_GATEWAY, "nobody answered at the letter's address"),
    }
}

fn is_loopback(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
