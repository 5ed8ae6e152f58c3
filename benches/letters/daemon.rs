//! The daemon, as `relinkd serve` runs it, in a process of its own; and what its store says from outside.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use relinkd::config::{self, Config};
use relinkd::daemon::Daemon;
use relinkd::engine::clock::Clock;
use rusqlite::Connection;
use serde_json::json;

use crate::child::{next_order, say};

/// The store's file in the temporary folder.
const STORE: &str = "relinkd.db";

/// Who may use the API.
pub const API_KEY: &str = "letters-key-letters-key-letters-key-01";

/// Serves until it is told to stop.
pub fn run(directory: &str, plaid: &str, smtp: &str, calls_per_minute: &str) -> anyhow::Result<()> {
    // As in production, but nobody reads it: writing the log is part of the work.
    tracing_subscriber::fmt().with_env_filter("info").with_ansi(false).with_writer(std::io::sink).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut config = configuration(directory, plaid, smtp)?;
    // A file may not say so many.
    config.plaid.calls_per_minute = calls_per_minute.parse()?;
    let daemon = runtime.block_on(Daemon::start(config, Clock::system()))?;
    say(&json!({ "address": daemon.private_address().to_string() }))?;
    // "stop" is the only order.
    next_order()?;
    runtime.block_on(daemon.stop());
    drop(runtime);
    say(&json!({ "stopped": true }))
}

/// Letters leave at any hour, and do not wait for logins that heal by themselves. The cap of their mailbox provider is out of reach, but counted.
fn configuration(directory: &str, plaid: &str, smtp: &str) -> anyhow::Result<Config> {
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
data_key = "bGV0dGVycy1kYXRhLWtleS1sZXR0ZXJzLWRhdGEta2U="
[mail]
from = "Example <hello@example.com>"
smtp_url = "smtp://{smtp}"
daily_caps = ["example.com 1000000"]
[[api.keys]]
name = "letters"
key = "{API_KEY}"
scope = "write"
[reminders]
login_required = ["1s", "3d", "7d", "14d"]
send_window = "* * * * * *"
"#
    );
    config::from_text(&text, "relinkd.toml", std::iter::empty(), Path::new(directory))
        .map_err(|faults| anyhow::anyhow!("{faults}"))
}

/// Begins a pause of all letters beside the running daemon, as if too many had come back: only the operator ends it.
pub fn pause(directory: &Path) -> anyhow::Result<()> {
    let store = open(directory)?;
    store
        .execute("insert into pauses (why, note, since) values ('bounces', 'until all letters are composed', 0)", [])?;
    Ok(())
}

/// Waits until so many letters are composed.
pub async fn wait_for_composed(directory: &Path, letters: usize, patience: Duration) -> anyhow::Result<()> {
    let (store, begun) = (open(directory)?, Instant::now());
    loop {
        let composed: i64 = store.query_row("select count(*) from letters", [], |row| row.get(0))?;
        if usize::try_from(composed)? == letters {
            return Ok(());
        }
        ensure!(begun.elapsed() < patience, "{composed} letters of {letters} are composed in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether the stopped store has so many letters, each accepted once, and knows that a body went out for each.
pub fn check(directory: &Path, letters: usize) -> anyhow::Result<()> {
    let counted =
        "select count(*), count(distinct user_id), count(*) filter (where status = 'accepted' and attempts = 1
                     and uncertain = 0 and address_hmac is not null) from letters";
    let counts: (i64, i64, i64) =
        open(directory)?.query_row(counted, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let letters = i64::try_from(letters)?;
    ensure!(
        counts == (letters, letters, letters),
        "of {letters} letters the store has {} to {} users, {} of them accepted at the first attempt",
        counts.0,
        counts.1,
        counts.2
    );
    Ok(())
}

fn open(directory: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(directory.join(STORE)).context("the store does not open")?;
    connection.busy_timeout(Duration::from_secs(60))?;
    Ok(connection)
}
