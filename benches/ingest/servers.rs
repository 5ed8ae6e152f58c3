//! The two servers: the daemon, and the one that only verifies.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use relinkd::config::{self, Config};
use relinkd::daemon::Daemon;
use relinkd::domain::ids::{ItemId, UserId};
use relinkd::engine::Engine;
use relinkd::engine::clock::Clock;
use relinkd::plaid::signature::{self, Key};
use relinkd::store::NewItem;
use relinkd::web;
use serde_json::json;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::child::{next_order, say};
use crate::plaid::TOKEN;
use crate::webhooks::item_id;

/// The store's file in the temporary folder.
pub const STORE: &str = "relinkd.db";

/// How long the daemon may take to apply what it took. Far more than it needs: beyond it something hangs.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// How long it may take to ask about every Item: at most 5,000 a minute, and beyond twice that something hangs.
const OBSERVE_MAX: Duration = Duration::from_secs(300);

/// The daemon, as `relinkd serve` runs it, on free ports. `stop` stops it; `catch-up` says how many webhooks wait, and
/// how long it took until none did.
pub fn run_whole(items: &str, directory: &str, plaid: &str) -> anyhow::Result<()> {
    // As in production, but nobody reads it: writing the log is part of the work.
    tracing_subscriber::fmt().with_env_filter("info").with_ansi(false).with_writer(std::io::sink).init();
    let runtime = runtime()?;
    let daemon = runtime.block_on(Daemon::start(configuration(directory, plaid)?, Clock::system()))?;
    runtime.block_on(register(&daemon.engine, items.parse()?))?;
    say(&json!({ "address": daemon.public_address().to_string() }))?;
    while let Some(order) = next_order()? {
        match order.as_str() {
            "catch-up" => {
                let begun = Instant::now();
                let behind = runtime.block_on(daemon.engine.store.backlog())?.unread;
                runtime.block_on(catch_up(&daemon.engine))?;
                say(&json!({ "behind": behind, "seconds": begun.elapsed().as_secs_f64() }))?;
            }
            "stop" => {
                runtime.block_on(daemon.stop());
                drop(runtime);
                say(&json!({ "stopped": true }))?;
                return Ok(());
            }
            _ => bail!("no such order: {order}"),
        }
    }
    Ok(())
}

/// As many workers as cores: what `relinkd serve` has.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn configuration(directory: &str, plaid: &str) -> anyhow::Result<Config> {
    let text = format!(
        r#"
[app]
name = "Example"
url = "https://www.example.com"
support_email = "support@example.com"
[server]
public_url = "https://repair.example.com"
public_listen = "127.0.0.1:0"
private_listen = "127.0.0.1:0"
[plaid]
environment = "sandbox"
base_url = "{plaid}"
client_id = "client-id"
secret = "secret"
country_codes = ["US"]
calls_per_minute = 5000
[store]
path = "{STORE}"
data_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
[mail]
from = "Example <hello@example.com>"
smtp_url = "smtp://127.0.0.1:9"
"#
    );
    config::from_text(&text, "relinkd.toml", std::iter::empty(), Path::new(directory))
        .map_err(|faults| anyhow::anyhow!("{faults}"))
}

/// Registers the Items, and waits until Plaid was asked about each.
async fn register(engine: &Engine, items: usize) -> anyhow::Result<()> {
    for number in 0..items {
        let new = NewItem {
            id: ItemId::parse(item_id(number))?,
            user: UserId::parse(format!("user-{number}"))?,
            access_token: format!("{TOKEN}{number}"),
            institution: None,
            country_codes: None,
        };
        let store = engine.store.clone();
        let rule = engine.rule();
        // Nobody waits for one before the next is asked for, so that they share commits.
        engine.tasks.spawn(async move { store.register(new, rule).await.map(drop) });
    }
    engine.wake();
    let begun = Instant::now();
    let (mut observed, mut last) = (0, None);
    while begun.elapsed() < OBSERVE_MAX {
        let page = engine.store.items(relinkd::store::ItemFilter::default(), last.clone(), 500).await?;
        let done = page.iter().take_while(|item| item.observed_at.is_some()).count();
        observed += done;
        if observed == items {
            return Ok(());
        }
        match page.get(done.wrapping_sub(1)) {
            Some(item) => last = Some(item.id.as_str().to_owned()),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    bail!("the Items are not observed in time: {observed} of {items}")
}

async fn catch_up(engine: &Engine) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < CATCH_UP_MAX {
        if engine.store.backlog().await?.unread == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("the steps do not catch up")
}

type Keys = Arc<RwLock<HashMap<String, Arc<Key>>>>;

/// The same listener, the same layers and the same verification as the daemon's, and an answer.
pub fn run_verify(jwk: &str) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let key = Key::parse(jwk, crate::webhooks::KID)?;
    let keys: Keys = Arc::new(RwLock::new(HashMap::from([(key.kid().to_owned(), Arc::new(key))])));
    let routes = Router::new()
        .route("/plaid/webhook", post(verify))
        .layer(DefaultBodyLimit::max(1024 * 1024))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(9)))
        .layer(CatchPanicLayer::new())
        .with_state(keys);
    let listener = runtime.block_on(async { web::bind("127.0.0.1:0".parse()?).context("no free port") })?;
    let address = listener.local_addr()?;
    let tasks = TaskTracker::new();
    let _serving = runtime.block_on(async { web::start(&tasks, listener, routes) })?;
    say(&json!({ "address": address.to_string() }))?;
    // The orders are those of the daemon, so that it can stand in for it as the control.
    while next_order()?.is_some() {
        say(&json!({ "behind": 0, "seconds": 0.0 }))?;
    }
    Ok(())
}

async fn verify(State(keys): State<Keys>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now = Clock::system().now();
    let Some(token) = headers.get("plaid-verification").and_then(|value| value.to_str().ok()) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(token) = signature::peek(token) else { return StatusCode::UNAUTHORIZED };
    let key = keys.read().expect("nobody panics with it").get(token.kid()).cloned();
    let Some(key) = key else { return StatusCode::UNAUTHORIZED };
    match signature::verify(&token, &key, &body, now) {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::UNAUTHORIZED,
    }
}
