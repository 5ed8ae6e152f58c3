//! A Plaid on loopback that is just large enough for the daemon: verification keys, and how Items are.
//!
//! An access token is `access-sandbox-` and the Item's id, so that no registration of the token is needed here.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use relinkd::demo::signer::Signer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What every token of an Item begins with.
pub const TOKEN_PREFIX: &str = "access-sandbox-";

/// How it behaves; what it was asked.
#[derive(Default)]
pub struct Inner {
    keys: Mutex<HashMap<String, Value>>,
    broken: Mutex<HashSet<String>>,
    /// Every call is answered 500.
    pub down: AtomicBool,
    /// No call is answered before it is let go.
    pub silent: AtomicBool,
    /// When every Item's consent ends, in Plaid's words.
    pub consent_ends: Mutex<Option<String>>,
    /// How many keys it was asked for.
    pub key_fetches: AtomicUsize,
    observed: Mutex<HashMap<String, usize>>,
}

/// A running Plaid. It ends with the last handle.
pub struct SmallPlaid {
    pub url: String,
    pub inner: Arc<Inner>,
    _tasks: JoinSet<()>,
}

impl SmallPlaid {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let routes = Router::new()
            .route("/webhook_verification_key/get", post(key))
            .route("/item/get", post(item))
            .route("/accounts/get", post(accounts))
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.expect("served") });
        Self { url, inner, _tasks: tasks }
    }

    /// Plaid has this key from now on.
    pub fn knows(&self, signer: &Signer) {
        self.inner.keys.lock().expect("no panic").insert(signer.kid().to_owned(), signer.jwk(1_700_000_000, None));
    }

    /// The user of this Item has to log in again.
    pub fn breaks(&self, item: &str) {
        self.inner.broken.lock().expect("no panic").insert(item.to_owned());
    }

    /// How often it was asked about an Item.
    pub fn asked_about(&self, item: &str) -> usize {
        self.inner.observed.lock().expect("no panic").get(item).copied().unwrap_or(0)
    }

    /// How often it was asked for a key.
    pub fn key_fetches(&self) -> usize {
        self.inner.key_fetches.load(Ordering::SeqCst)
    }
}

async fn key(State(inner): State<Arc<Inner>>, body: String) -> Response {
    inner.key_fetches.fetch_add(1, Ordering::SeqCst);
    if let Some(fault) = fault(&inner).await {
        return fault;
    }
    let kid = text(&body, "key_id");
    match inner.keys.lock().expect("no panic").get(&kid) {
        Some(jwk) => answer(StatusCode::OK, &json!({ "key": jwk, "request_id": "r" })),
        None => error("INVALID_INPUT", "INVALID_WEBHOOK_VERIFICATION_KEY_ID"),
    }
}

async fn item(State(inner): State<Arc<Inner>>, body: String) -> Response {
    let token = text(&body, "access_token");
    let Some(id) = token.strip_prefix(TOKEN_PREFIX).map(str::to_owned) else {
        return error("INVALID_INPUT", "INVALID_ACCESS_TOKEN");
    };
    *inner.observed.lock().expect("no panic").entry(id.clone()).or_default() += 1;
    if let Some(fault) = fault(&inner).await {
        return fault;
    }
    let broken = inner.broken.lock().expect("no panic").contains(&id);
    let error = broken.then(login_required);
    let item = json!({ "item_id": id, "institution_id": "ins_1", "institution_name": "Example Bank", "webhook": "",
        "error": error, "consent_expiration_time": *inner.consent_ends.lock().expect("no panic") });
    answer(StatusCode::OK, &json!({ "item": item, "status": null, "request_id": "r" }))
}

async fn accounts(State(inner): State<Arc<Inner>>, body: String) -> Response {
    let token = text(&body, "access_token");
    let Some(id) = token.strip_prefix(TOKEN_PREFIX) else {
        return error("INVALID_INPUT", "INVALID_ACCESS_TOKEN");
    };
    if let Some(fault) = fault(&inner).await {
        return fault;
    }
    let account = json!({ "account_id": format!("account-of-{id}"), "name": "Checking", "mask": "0000" });
    let item = json!({ "item_id": id, "institution_id": "ins_1" });
    answer(StatusCode::OK, &json!({ "accounts": [account], "item": item, "request_id": "r" }))
}

/// What stands in place of an answer, if Plaid does not do well.
async fn fault(inner: &Inner) -> Option<Response> {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    while inner.silent.load(Ordering::SeqCst) {
        pause.tick().await;
    }
    inner.down.load(Ordering::SeqCst).then(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The error of a login that the user has to repair.
pub fn login_required() -> Value {
    json!({ "error_type": "ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED", "error_message": "…", "display_message": null })
}

fn error(error_type: &str, code: &str) -> Response {
    let body = json!({ "error_type": error_type, "error_code": code, "error_message": "…", "request_id": "r" });
    answer(StatusCode::BAD_REQUEST, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn text(body: &str, name: &str) -> String {
    let body: Value = serde_json::from_str(body).expect("requests are JSON");
    body[name].as_str().unwrap_or_default().to_owned()
}
