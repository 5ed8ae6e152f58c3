//! The daemon, as `relinkd serve` runs it, in a process of its own; and the Plaid that it does not reach.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use relinkd::config::{self, Config};
use relinkd::daemon::Daemon;
use relinkd::domain::compose::Channel;
use relinkd::engine::clock::Clock;
use relinkd::store::seal::Sealer;
use relinkd::store::{Floors, Store};
use serde_json::json;

use crate::child::{next_order, say};

/// The store's file in the temporary folder.
pub const STORE: &str = "relinkd.db";

/// Who may use the API.
pub const API_KEY: &str = "million-key-million-key-million-key-01";

/// 32 bytes, in the configuration as base64.
const DATA_KEY: [u8; 32] = *b"million-data-key-million-data-ke";

/// How often a plan is asked for.
const LOOKS: usize = 50;

/// Serves until it is told to stop.
pub fn run(directory: &str, plaid: &str) -> anyhow::Result<()> {
    // As in production, but nobody reads it: writing the log is part of the work.
    tracing_subscriber::fmt().with_env_filter("info").with_ansi(false).with_writer(std::io::sink).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let daemon = runtime.block_on(Daemon::start(configuration(directory, plaid)?, Clock::system()))?;
    say(&json!({ "address": daemon.private_address().to_string() }))?;
    // "stop" is the only order.
    next_order()?;
    runtime.block_on(daemon.stop());
    drop(runtime);
    say(&json!({ "stopped": true }))
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
[store]
path = "{STORE}"
data_key = "bWlsbGlvbi1kYXRhLWtleS1taWxsaW9uLWRhdGEta2U="
[mail]
from = "Example <hello@example.com>"
smtp_url = "smtp://127.0.0.1:9"
[schedule]
sweep = "0 0 0 1 1 * 2099"
purge = "0 0 0 1 1 * 2099"
[[api.keys]]
name = "million"
key = "{API_KEY}"
scope = "write"
"#
    );
    config::from_text(&text, "relinkd.toml", std::iter::empty(), Path::new(directory))
        .map_err(|faults| anyhow::anyhow!("{faults}"))
}

/// The address of a Plaid at which nobody listens.
pub async fn absent_plaid() -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(format!("http://{}", listener.local_addr()?))
}

/// How large the store's file is once its log is copied into it.
pub fn size_mib(directory: &Path) -> anyhow::Result<u64> {
    let path = directory.join(STORE);
    rusqlite::Connection::open(&path)?.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    Ok(std::fs::metadata(path)?.len() >> 20)
}

/// How many questions the sweep puts at once.
const TURNS: u32 = 120;

/// What the loop and the sweep ask the store for, in milliseconds: the name, the median, the slowest.
pub async fn plans(directory: &Path) -> anyhow::Result<Vec<(&'static str, Vec<f64>)>> {
    let now = Clock::system().now();
    // The daemon's own questions failed and wait for their next attempt: how many of them are due by now is the clock's affair.
    rusqlite::Connection::open(directory.join(STORE))?.execute("delete from outbox", [])?;
    let store = Store::open(&directory.join(STORE), Sealer::new(&DATA_KEY, &[]), now).context("the store")?;
    let mut plans = Vec::new();
    let mut agenda = Vec::new();
    let mut candidates = Vec::new();
    let mut status = Vec::new();
    for _ in 0..LOOKS {
        agenda.push(timed(store.agenda(Channel::Mail)).await?);
        candidates.push(timed(store.release_candidates(Channel::Mail, 100)).await?);
        status.push(timed(store.release_status(Channel::Mail)).await?);
    }
    // Every Item is due, and each plan finds the outbox as full as the ones before have left it.
    let due = Floors { suspects: now, others: now };
    let mut sweeps = Vec::new();
    let mut planned = 0;
    for look in 1..=LOOKS as u32 {
        let begun = Instant::now();
        planned += store.plan_sweep(due, now, look * TURNS).await?;
        sweeps.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    ensure!(
        planned == LOOKS as u32 * TURNS,
        "the sweep planned {planned} questions instead of {}",
        LOOKS as u32 * TURNS
    );
    plans.push(("the loop: when is what due", agenda));
    plans.push(("the sweep: the next 120 questions, on disk", sweeps));
    plans.push(("the release of letters: the next 100 users", candidates));
    plans.push(("the release of letters: how much waits", status));
    store.close().await;
    Ok(plans)
}

async fn timed<T>(look: impl Future<Output = Result<T, relinkd::store::StoreError>>) -> anyhow::Result<f64> {
    let begun = Instant::now();
    look.await?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
