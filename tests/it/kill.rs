//! A webhook that was answered 200 is on disk, whatever becomes of the process; and what the process says when it ends.
//!
//! `TEST_KILLS` asks for more kills at random moments than the usual 20, `TEST_KILL_POINTS` for more system
//! calls at which the process is killed than the usual 40.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relinkd::demo::signer::{Signer, sha256_hex};
use relinkd::engine::clock::Clock;
use reqwest::Method;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::{self, BINARY, LIMIT, Site, terminate, wait};
use crate::small_plaid::{SmallPlaid, login_required};

/// How many Items there are. At Plaid, those with even numbers are broken.
const ITEMS: usize = 40;

/// How many connections send at once.
const CONNECTIONS: usize = 6;

/// A 503 that took so long is the daemon's word that its disk stands still: Plaid is to repeat the webhook, and nothing
/// is lost. One that comes sooner has another reason.
const SLOW: Duration = Duration::from_secs(8);

fn item(number: usize) -> String {
    format!("item-{number:02}")
}

/// Senders of signed webhooks, and what they know to be answered.
pub struct Traffic {
    signer: Signer,
    url: String,
    /// The SHA-256 of each body that was answered 200, and its serial number.
    answered: Mutex<HashMap<String, usize>>,
    count: AtomicUsize,
    /// Answers that are neither 200, nor a broken connection, nor a slow disk's 503; and how long each took.
    refused: Mutex<Vec<(u16, Duration)>>,
    /// No two bodies are alike, so that each row can be told from each other.
    serial: AtomicUsize,
    /// Which meaning is next.
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Traffic {
    pub fn new(site: &Site, signer: Signer) -> Arc<Self> {
        Arc::new(Self {
            signer,
            url: format!("http://{}/plaid/webhook", site.public),
            answered: Mutex::default(),
            count: AtomicUsize::new(0),
            refused: Mutex::default(),
            serial: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Sends over several connections until told to stop.
    pub fn begin(self: &Arc<Self>) -> JoinSet<()> {
        let mut senders = JoinSet::new();
        for _ in 0..CONNECTIONS {
            senders.spawn(Arc::clone(self).send_on());
        }
        senders
    }

    async fn send_on(self: Arc<Self>) {
        let http = reqwest::Client::new();
        while !self.stop.load(Ordering::SeqCst) {
            let meaning = self.next.fetch_add(1, Ordering::SeqCst);
            // Plaid would send the same body again; here each attempt has its own, or "exactly once" could not be seen.
            while !self.send(&http, meaning).await && !self.stop.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    async fn send(&self, http: &reqwest::Client, meaning: usize) -> bool {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let body = webhook(meaning, serial).to_string();
        let signature = self.signer.sign(body.as_bytes(), Clock::system().now().as_second());
        let hash = sha256_hex(body.as_bytes());
        let begun = Instant::now();
        let sent = http.post(&self.url).header("plaid-verification", signature).body(body).send().await;
        match sent.map(|answer| answer.status().as_u16()) {
            Ok(200) => {
                self.answered.lock().expect("no panic").insert(hash, meaning);
                self.count.fetch_add(1, Ordering::SeqCst);
                true
            }
            Ok(503) if begun.elapsed() >= SLOW => false,
            Ok(other) => {
                self.refused.lock().expect("no panic").push((other, begun.elapsed()));
                false
            }
            Err(_) => false,
        }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// No webhook was refused for another reason than a disk that stands still.
    pub fn assert_none_is_refused(&self) {
        let refused = self.refused.lock().expect("no panic");
        assert!(refused.is_empty(), "answers other than 200, and how long they took: {refused:?}");
    }

    pub async fn until(&self, count: usize) {
        let begun = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(1));
        while self.count() < count {
            assert!(begun.elapsed() < LIMIT, "only {} of {count} webhooks were answered", self.count());
            pause.tick().await;
        }
    }

    pub async fn end(&self, senders: JoinSet<()>) {
        self.stop.store(true, Ordering::SeqCst);
        tokio::time::timeout(LIMIT, senders.join_all()).await.expect("the senders end");
    }

    /// What Plaid's truth and the answered webhooks make of an Item.
    fn state(&self, number: usize) -> &'static str {
        let accounts = self.answered.lock().expect("no panic").values().any(|meaning| {
            webhook(*meaning, 0)["webhook_code"] == "NEW_ACCOUNTS_AVAILABLE" && meaning % ITEMS == number
        });
        match (number % 2, accounts) {
            (0, _) => "login_required",
            (_, true) => "new_accounts",
            (_, false) => "healthy",
        }
    }
}

/// A webhook of any kind: known and unknown Items, breaks, repairs, and what says nothing.
fn webhook(meaning: usize, serial: usize) -> Value {
    let (number, turn) = (meaning % ITEMS, meaning / ITEMS);
    let base = |kind: &str, code: &str| {
        json!({ "webhook_type": kind, "webhook_code": code, "item_id": item(number), "environment": "sandbox",
            "serial": serial })
    };
    match (number % 4 + turn) % 5 {
        0 => {
            let mut body = base("ITEM", "ERROR");
            body["error"] = login_required();
            body
        }
        1 => base("ITEM", "LOGIN_REPAIRED"),
        2 if number % 4 == 3 => base("ITEM", "NEW_ACCOUNTS_AVAILABLE"),
        2 | 3 => base("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE"),
        _ => {
            let mut body = base("ITEM", "ERROR");
            body["item_id"] = json!(format!("stranger-{number}"));
            body["error"] = login_required();
            body
        }
    }
}

async fn plaid(signer: &Signer) -> SmallPlaid {
    let plaid = SmallPlaid::start().await;
    plaid.knows(signer);
    for number in (0..ITEMS).step_by(2) {
        plaid.breaks(&item(number));
    }
    plaid
}

async fn register_all(site: &Site) {
    for number in 0..ITEMS {
        site.register(&item(number), &format!("user-{number}")).await;
    }
}

/// The rows of the inbox by the SHA-256 of their bodies: how often, and what became of them. Only once no daemon runs.
fn rows(site: &Site) -> HashMap<String, Vec<String>> {
    let store = Connection::open_with_flags(site.store(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a store");
    let mut statement = store.prepare("select lower(hex(body_sha256)), status from inbox").expect("SQL");
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let mut rows: HashMap<String, Vec<String>> = HashMap::new();
    for row in found {
        let (hash, status): (String, String) = row.expect("a row");
        rows.entry(hash).or_default().push(status);
    }
    let sound: String = store.query_row("pragma integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(sound, "ok");
    rows
}

/// Each webhook that was answered 200 is there once, and none is there twice.
pub fn assert_nothing_is_lost(traffic: &Traffic, site: &Site, when: &str) {
    let rows = rows(site);
    let answered = traffic.answered.lock().expect("no panic");
    let lost = answered.keys().filter(|hash| !rows.contains_key(*hash)).count();
    let doubled = rows.values().filter(|row| row.len() > 1).count();
    assert_eq!((lost, doubled), (0, 0), "{when}: lost, doubled of {} answered", answered.len());
}

async fn all_is_read(site: &Site) {
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        let answer = site.http.get(format!("http://{}/readyz", site.private)).send().await.expect("it answers");
        let ready: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        if ready["inbox"]["unread"] == 0 {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{ready}");
        pause.tick().await;
    }
}

async fn states_are_right(site: &Site, traffic: &Traffic) {
    let expected: Vec<(String, &str)> = (0..ITEMS).map(|number| (item(number), traffic.state(number))).collect();
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        let page = site.api(Method::GET, "/v1/items?limit=1000", None).await;
        let items = page["data"].as_array().expect("a list");
        let text = |item: &Value, name: &str| item[name].as_str().expect("text").to_owned();
        let states: Vec<(String, String)> =
            items.iter().map(|item| (text(item, "item_id"), text(item, "state"))).collect();
        if states.iter().map(|(id, state)| (id.clone(), state.as_str())).eq(expected.iter().cloned()) {
            return;
        }
        // Nothing is asked for up to a minute about an Item that was asked about 15 times, and under load these are.
        assert!(begun.elapsed() < LIMIT * 6, "{states:?}\n{}", site.said());
        pause.tick().await;
    }
}

fn asked_for(variable: &str, usual: usize) -> usize {
    let asked = std::env::var_os(variable).and_then(|value| value.to_str()?.parse().ok());
    asked.unwrap_or(usual)
}

/// Some number below `below`, another one each time.
fn any(below: usize) -> usize {
    usize::from_le_bytes(Clock::system().random()) % below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_moment_loses_no_answered_webhook() {
    let signer = Signer::new("key-1");
    let plaid = plaid(&signer).await;
    let site = Site::new(&plaid.url);
    let mut daemon = site.serve().await;
    register_all(&site).await;
    let traffic = Traffic::new(&site, signer);
    let senders = traffic.begin();
    for _ in 0..asked_for("TEST_KILLS", 20) {
        traffic.until(traffic.count() + 1 + any(100)).await;
        // The moment itself is what is tested: anywhere within the next commit or two.
        tokio::time::sleep(Duration::from_micros(any(4_000) as u64)).await;
        daemon.start_kill().expect("it runs");
        wait(&mut daemon).await;
        daemon = site.serve().await;
    }
    traffic.until(1_000).await;
    traffic.end(senders).await;
    traffic.assert_none_is_refused();
    all_is_read(&site).await;
    states_are_right(&site, &traffic).await;
    assert!(terminate(&mut daemon).await.success());
    assert_nothing_is_lost(&traffic, &site, "at the end");
    let statuses: HashSet<String> = rows(&site).into_values().flatten().collect();
    assert_eq!(statuses, ["applied", "noted", "parked"].map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_while_webhooks_come_loses_none_and_ends_with_0() {
    let signer = Signer::new("key-1");
    let plaid = plaid(&signer).await;
    let site = Site::new(&plaid.url);
    let mut daemon = site.serve().await;
    register_all(&site).await;
    let traffic = Traffic::new(&site, signer);
    let senders = traffic.begin();
    for _ in 0..4 {
        traffic.until(traffic.count() + 50 + any(100)).await;
        let status = terminate(&mut daemon).await;
        assert_eq!(status.code(), Some(0), "{}", site.said());
        assert_nothing_is_lost(&traffic, &site, "after SIGTERM");
        daemon = site.serve().await;
    }
    // It gives itself eight seconds, which a disk that stands still may take from one of them.
    assert!(site.said().matches("did not end in time").count() <= 1, "{}", site.said());
    traffic.end(senders).await;
    terminate(&mut daemon).await;
    assert_nothing_is_lost(&traffic, &site, "at the end");
}

/// The system calls by which SQLite writes.
const CALLS: &str = "pwrite64,fdatasync,ftruncate";

/// A daemon under strace that is killed at its `when`-th write or sync in any of its threads.
struct Traced {
    strace: tokio::process::Child,
}

impl Traced {
    fn start(site: &Site, when: usize) -> Self {
        let mut command = tokio::process::Command::new("strace");
        let inject = format!("inject={CALLS}:signal=KILL:when={when}");
        let trace = format!("trace={CALLS}");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, BINARY, "serve", "--config"]);
        command.arg(site.config());
        site.quiet(&mut command);
        Self { strace: command.spawn().expect("strace starts") }
    }
}

impl Drop for Traced {
    /// What strace lets go would go on by itself.
    fn drop(&mut self) {
        let Some(pid) = self.strace.id() else { return };
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = std::process::Command::new("kill").args(["-KILL", child]).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_or_sync_loses_no_answered_webhook() {
    if !process::has("strace") {
        assert!(std::env::var_os("TEST_REQUIRE_STRACE").is_none(), "there is no strace");
        process::say("SKIPPED: there is no strace, so nothing is killed at its system calls");
        return;
    }
    let points = asked_for("TEST_KILL_POINTS", 40);
    // Making a store takes about 80 calls. Each of these points has a store of its own.
    let making = points / 4;
    for point in 0..making {
        let (plaid, site, traffic) = stage().await;
        let senders = traffic.begin();
        kill_at(&site, 1 + point * 80 / making).await;
        assert_all_is_well(&site, &traffic, senders).await;
        drop(plaid);
    }
    // The others go through one store, with Items and a known key.
    let (plaid, site, traffic) = stage().await;
    let mut daemon = site.serve().await;
    register_all(&site).await;
    let senders = traffic.begin();
    traffic.until(1).await;
    terminate(&mut daemon).await;
    let before = traffic.count();
    let mut point = 0;
    // A kill tries something only where webhooks were answered before it; several of them share a write.
    while point < points - making || traffic.count() < before + points {
        point += 1;
        assert!(point <= 8 * points, "too few webhooks were answered between the kills, so nothing was tested");
        kill_at(&site, 2 * point).await;
    }
    assert_all_is_well(&site, &traffic, senders).await;
    drop(plaid);
}

async fn stage() -> (SmallPlaid, Site, Arc<Traffic>) {
    let signer = Signer::new("key-1");
    let plaid = plaid(&signer).await;
    let site = Site::new(&plaid.url);
    let traffic = Traffic::new(&site, signer);
    (plaid, site, traffic)
}

async fn kill_at(site: &Site, when: usize) {
    let mut traced = Traced::start(site, when);
    let status = wait(&mut traced.strace).await;
    assert!(!status.success(), "{when}: it was not killed: {}", site.said());
}

/// A daemon on what the kills have left takes webhooks, and has all that were answered before.
async fn assert_all_is_well(site: &Site, traffic: &Traffic, senders: JoinSet<()>) {
    let mut daemon = site.serve().await;
    traffic.until(traffic.count() + 10).await;
    traffic.end(senders).await;
    traffic.assert_none_is_refused();
    all_is_read(site).await;
    assert!(terminate(&mut daemon).await.success());
    assert_nothing_is_lost(traffic, site, "after the kills");
}

#[tokio::test]
async fn a_second_daemon_on_the_same_store_ends_at_once_and_says_why() {
    let plaid = SmallPlaid::start().await;
    let site = Site::new(&plaid.url);
    let mut first = site.serve().await;
    let other = site.folder.path().join("other.toml");
    let text = process::configuration(&plaid.url, process::free_address(), process::free_address());
    std::fs::write(&other, text).expect("written");
    // Well below a second by itself; the limit is for a machine that does other things.
    let second = tokio::process::Command::new(BINARY).args(["serve", "--config"]).arg(&other).output();
    let second = tokio::time::timeout(Duration::from_secs(25), second).await.expect("it does not wait for the first");
    let second = second.expect("it starts");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).expect("text");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("is in use by another relinkd: stop that one first"), "{said}");
    assert!(site.http.get(format!("http://{}/healthz", site.private)).send().await.is_ok(), "the first goes on");
    assert!(terminate(&mut first).await.success());
}

#[tokio::test]
async fn commands_end_with_the_code_that_scripts_rely_on() {
    let site = Site::new("http://127.0.0.1:9");
    let run = async |words: &[&str]| {
        let output = tokio::process::Command::new(BINARY).args(words).arg("--config").arg(site.config()).output().await;
        let output = output.expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let config = site.config().display().to_string();
    assert_eq!(run(&["check"]).await, (Some(0), format!("{config}: configuration is valid\n"), String::new()));
    let valid = std::fs::read_to_string(site.config()).expect("text");
    std::fs::write(site.config(), valid.replace("smtp_url", "smtp_ulr")).expect("written");
    let fault = "mail.smtp_ulr: is no key of [mail]; did you mean smtp_url?";
    for command in ["check", "serve"] {
        let (code, stdout, stderr) = run(&[command]).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command}: {stderr}");
        assert!(stderr.contains(&config) && stderr.contains(fault), "{command}: {stderr}");
        assert!(stderr.ends_with('\n'), "{command}: {stderr}");
        assert!(!stderr.contains("secret-of-the-test"), "{command}: {stderr}");
    }
    assert!(!site.store().exists(), "a configuration with faults opens nothing");
    std::fs::remove_file(site.config()).expect("it was there");
    for command in ["check", "serve"] {
        let (code, _, stderr) = run(&[command]).await;
        assert_eq!(code, Some(2), "{command}");
        assert!(stderr.contains("cannot be read"), "{command}: {stderr}");
    }
    let (code, _, stderr) = run(&["sevre"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("serve"), "{stderr}");
}
