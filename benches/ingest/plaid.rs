//! Plaid, as far as the daemon asks it here: the verification key, and how an Item is.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::webhooks::{BROKEN_EVERY, item_id, login_required};

/// What every Item's access token begins with; its number follows.
pub const TOKEN: &str = "access-sandbox-";

/// A Plaid that answers as long as this lives.
pub struct Plaid {
    /// Its address.
    pub url: String,
    _runtime: tokio::runtime::Runtime,
}

/// Starts it on a thread of its own.
pub fn start(jwk: &str) -> anyhow::Result<Plaid> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let key: Arc<Value> = Arc::new(serde_json::from_str(jwk)?);
    let routes = Router::new()
        .route("/webhook_verification_key/get", post(key_get))
        .route("/item/get", post(item_get))
        .with_state(key);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    runtime.spawn(async move { axum::serve(listener, routes).await });
    Ok(Plaid { url, _runtime: runtime })
}

async fn key_get(State(key): State<Arc<Value>>) -> Json<Value> {
    Json(json!({ "key": *key, "request_id": "request" }))
}

async fn item_get(Json(request): Json<Value>) -> Json<Value> {
    let number = request["access_token"].as_str().and_then(|token| token.strip_prefix(TOKEN)?.parse::<usize>().ok());
    let number = number.unwrap_or_default();
    let error = if number.is_multiple_of(BROKEN_EVERY) { login_required() } else { Value::Null };
    Json(json!({
        "item": {
            "item_id": item_id(number), "institution_id": "ins_109508", "institution_name": "First Platypus Bank",
            "webhook": "https://repair.example.com/plaid/webhook", "error": error, "consent_expiration_time": null,
        },
        "status": null,
        "request_id": "request",
    }))
}

/// How many rows the inbox has, once the daemon has stopped. None if there is no store.
pub fn count_inbox(directory: &str) -> anyhow::Result<u64> {
    let path = std::path::Path::new(directory).join(crate::servers::STORE);
    if !path.exists() {
        return Ok(0);
    }
    let connection = rusqlite::Connection::open(path).context("the store does not open")?;
    let rows: i64 = connection.query_row("select count(*) from inbox", [], |row| row.get(0))?;
    Ok(u64::try_from(rows)?)
}
