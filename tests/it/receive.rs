//! The webhook's endpoint over HTTP, on the real daemon: which answer for what, and what is kept.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use relinkd::config;
use relinkd::daemon::Daemon;
use relinkd::demo::signer::Signer;
use relinkd::domain::item::State;
use relinkd::engine::clock::Clock;
use relinkd::store::{Age, Receipt, WebhookFilter};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::process::{IDLE_MAX, LIMIT, configuration};
use crate::signature::{BODY, KID, hostile};
use crate::small_plaid::SmallPlaid;
use crate::store::item_id;

const SIGNATURE: &str = "plaid-verification";

/// The daemon gives itself nine seconds for a webhook, and ten for a request's head. What took longer than this was cut
/// by that, and shows nothing.
const ENOUGH: Duration = Duration::from_secs(8);

/// A daemon in this process, with a Plaid that has one key.
struct World {
    plaid: SmallPlaid,
    signer: Signer,
    daemon: Daemon,
    clock: Clock,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

async fn daemon(plaid: &SmallPlaid, clock: &Clock, folder: &Path) -> anyhow::Result<Daemon> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let text = configuration(&plaid.url, any, any).replace("[plaid]", "trusted_proxies = [\"127.0.0.1\"]\n[plaid]");
    let config = config::from_text(&text, "relinkd.toml", std::iter::empty(), folder).expect("a configuration");
    Daemon::start(config, clock.clone()).await
}

impl World {
    async fn new() -> Self {
        let (plaid, signer, clock) = (SmallPlaid::start().await, Signer::new(KID), Clock::system());
        plaid.knows(&signer);
        let folder = tempfile::tempdir().expect("a folder");
        let daemon = daemon(&plaid, &clock, folder.path()).await.expect("it starts");
        let http = reqwest::Client::builder().pool_idle_timeout(IDLE_MAX).build().expect("a client");
        Self { plaid, signer, daemon, clock, folder, http }
    }

    /// Stops the daemon and starts it again on the same store. The old one's threads may need a moment to let go of it.
    async fn restarted(self) -> Self {
        self.daemon.stop().await;
        let begun = Instant::now();
        loop {
            match daemon(&self.plaid, &self.clock, self.folder.path()).await {
                Ok(daemon) => return Self { daemon, ..self },
                Err(error) => assert!(begun.elapsed() < LIMIT, "{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Another program's connection to the store.
    fn raw(&self) -> rusqlite::Connection {
        let raw = rusqlite::Connection::open(self.folder.path().join("relinkd.db")).expect("a database");
        raw.busy_timeout(LIMIT).expect("a time limit");
        raw
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn request(&self, headers: HeaderMap, body: impl Into<Vec<u8>>) -> reqwest::RequestBuilder {
        let url = format!("http://{}/plaid/webhook", self.daemon.public_address());
        self.http.post(url).headers(headers).body(body.into()).timeout(LIMIT)
    }

    async fn post(&self, headers: HeaderMap, body: impl Into<Vec<u8>>) -> u16 {
        self.request(headers, body).send().await.expect("an answer").status().as_u16()
    }

    /// Plaid says this, signed so many seconds from now.
    async fn plaid_says_at(&self, body: &[u8], offset: i64) -> u16 {
        self.post(signed(&self.signer.sign(body, self.now() + offset)), body).await
    }

    async fn plaid_says(&self, body: &Value) -> u16 {
        self.plaid_says_at(body.to_string().as_bytes(), 0).await
    }

    async fn register(&self, item: &str) {
        crate::store::register(&self.daemon.engine.store, item, "user-1", self.clock.now()).await;
        self.daemon.engine.wake();
    }

    async fn rows(&self) -> Vec<Receipt> {
        self.daemon.engine.store.receipts(WebhookFilter::default(), None, 10_000).await.expect("it reads")
    }

    /// The rows once all are settled.
    async fn settled(&self) -> Vec<Receipt> {
        wait("all is read", async || self.rows().await.iter().all(|row| row.status != "new")).await;
        self.rows().await
    }

    async fn state(&self, item: &str) -> State {
        let record = self.daemon.engine.store.item(item_id(item)).await.expect("it reads");
        record.expect("it is registered").item.state()
    }
}

/// Waits for a fact.
async fn wait(fact: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "it never came: {fact}");
        pause.tick().await;
    }
}

fn signed(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE, HeaderValue::from_bytes(token.as_bytes()).expect("a header's value"));
    headers
}

fn webhook(code: &str, item: &str) -> Value {
    json!({ "webhook_type": "ITEM", "webhook_code": code, "item_id": item, "environment": "sandbox" })
}

fn notes(rows: &[Receipt]) -> Vec<(&str, Option<&str>)> {
    rows.iter().map(|row| (row.status.as_str(), row.note.as_deref())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_signatures_are_401_and_leave_no_row() {
    let world = World::new().await;
    let mut sent = 0;
    for (name, _, token) in hostile(&world.signer) {
        // HTTP takes white space off a value's ends, and carries no control characters.
        if token.trim() != token || HeaderValue::from_bytes(token.as_bytes()).is_err() {
            continue;
        }
        let answer = world.request(signed(&token), BODY).send().await.map(|answer| answer.status().as_u16());
        if token.len() > 100_000 {
            assert!(!matches!(answer, Ok(200..300)), "{name}: {answer:?}");
        } else {
            assert_eq!(answer.ok(), Some(401), "{name}");
        }
        sent += 1;
    }
    assert!(sent >= 100, "only {sent} kinds");
    let good = world.signer.sign(BODY, world.now());
    let mut twice = signed(&good);
    twice.append(SIGNATURE, HeaderValue::from_str(&good).expect("ASCII"));
    assert_eq!(world.post(twice, BODY).await, 401, "two signatures");
    assert_eq!(world.post(HeaderMap::new(), BODY).await, 401, "none");
    assert_eq!(world.post(signed(&good), [BODY, b" "].concat()).await, 401, "a space more");
    assert_eq!(world.rows().await, []);
    assert_eq!(world.post(signed(&good), BODY).await, 200, "and the right one is taken");
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_is_taken_and_more_is_413() {
    let world = World::new().await;
    assert_eq!(world.plaid_says_at(&vec![b'x'; 1024 * 1024 + 1], 0).await, 413);
    assert_eq!(world.rows().await, []);
    assert_eq!(world.plaid_says_at(&vec![b'x'; 1024 * 1024], 0).await, 200);
    assert_eq!(notes(&world.settled().await), [("noted", Some("not_json"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_plaid_signed_is_kept_and_what_is_not_ours_is_not_applied() {
    let world = World::new().await;
    world.register("item-1").await;
    let mut elsewhere = webhook("NEW_ACCOUNTS_AVAILABLE", "item-1");
    elsewhere["environment"] = json!("production");
    assert_eq!(world.plaid_says(&elsewhere).await, 200);
    assert_eq!(world.plaid_says_at(b"{ no JSON", 0).await, 200);
    assert_eq!(world.plaid_says_at(b"", 0).await, 200);
    assert_eq!(world.plaid_says(&webhook("NEW_ACCOUNTS_AVAILABLE", "stranger")).await, 200);
    assert_eq!(world.plaid_says(&webhook("SOMETHING_NEW", "item-1")).await, 200);
    let rows = world.settled().await;
    let expected = [
        ("noted", Some("is of another environment than [plaid] environment")),
        ("noted", Some("not_json")),
        ("noted", Some("not_json")),
        ("parked", Some("the Item is not registered")),
        ("noted", Some("unknown")),
    ];
    assert_eq!(notes(&rows), expected);
    assert_eq!(world.state("item-1").await, State::Healthy);
    assert_eq!(world.plaid_says(&webhook("NEW_ACCOUNTS_AVAILABLE", "item-1")).await, 200);
    wait("it is applied", async || world.state("item-1").await == State::NewAccounts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_and_early_webhooks_are_200_and_only_make_us_ask() {
    let world = World::new().await;
    world.register("item-1").await;
    for (round, offset) in [-301, 600].into_iter().enumerate() {
        wait("it was asked", async || world.plaid.asked_about("item-1") == round + 1).await;
        // Beyond the time in which nobody can make us ask again.
        world.clock.advance(SignedDuration::from_secs(61));
        let body = webhook("NEW_ACCOUNTS_AVAILABLE", "item-1").to_string();
        assert_eq!(world.plaid_says_at(body.as_bytes(), offset).await, 200, "{offset}");
    }
    wait("it was asked again", async || world.plaid.asked_about("item-1") == 3).await;
    assert_eq!(world.settled().await.len(), 2);
    assert_eq!(world.state("item-1").await, State::Healthy, "neither was believed");
    assert_eq!(world.daemon.engine.status.health().untimely_signatures, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_with_more_digits_than_are_kept_is_still_the_same_when_it_is_heard_again() {
    let world = World::new().await;
    world.register("item-1").await;
    wait("it was asked", async || world.plaid.asked_about("item-1") == 1).await;
    let ends = (world.clock.now() + SignedDuration::from_hours(8 * 24)).strftime("%Y-%m-%dT%H:%M:%S.123456Z");
    let mut notice = webhook("PENDING_EXPIRATION", "item-1");
    notice["consent_expiration_time"] = json!(ends.to_string());
    *world.plaid.inner.consent_ends.lock().expect("no panic") = Some(ends.to_string());
    assert_eq!(world.plaid_says(&notice).await, 200);
    wait("it is applied", async || world.state("item-1").await == State::PendingExpiration).await;
    world.clock.advance(SignedDuration::from_secs(61));
    let mut doubt = webhook("ERROR", "item-1");
    doubt["error"] = Value::Null;
    assert_eq!(world.plaid_says(&doubt).await, 200);
    let asked_at = world.clock.now();
    let observed = async || {
        let record = world.daemon.engine.store.item(item_id("item-1")).await.expect("it reads").expect("registered");
        record.item.observed_at.is_some_and(|at| at >= asked_at - SignedDuration::from_secs(5))
    };
    wait("the answer is applied", observed).await;
    assert_eq!(world.state("item-1").await, State::PendingExpiration, "nobody renewed it");
}

/// What came of a thousand webhooks under unknown keys while Plaid did not answer, if it came soon enough.
struct Forged {
    /// How often Plaid was asked.
    asked: usize,
    /// What the forgers were answered.
    answers: Vec<u16>,
    /// What Plaid was answered meanwhile.
    known: Vec<u16>,
    rows: usize,
}

async fn a_thousand_unknown_keys() -> Option<Forged> {
    let world = World::new().await;
    assert_eq!(world.plaid_says_at(BODY, 0).await, 200, "the key is known");
    let before = world.plaid.key_fetches();
    world.plaid.inner.silent.store(true, Ordering::SeqCst);
    let forge = |n: usize| {
        let mut headers = signed(&Signer::new(&format!("unknown-{n}")).sign(BODY, world.now()));
        if n.is_multiple_of(2) {
            headers.insert("x-forwarded-for", HeaderValue::from_static("52.21.26.131"));
        }
        world.request(headers, BODY)
    };
    // All are signed before the first is sent, so that they come at once.
    let requests: Vec<_> = (0..1_000).map(forge).collect();
    let begun = Instant::now();
    let mut forged = JoinSet::new();
    for request in requests {
        forged.spawn(request.send());
    }
    wait("Plaid is asked", async || world.plaid.key_fetches() > before).await;
    // Who had to wait for Plaid would be told 503.
    let mut known = Vec::new();
    for _ in 0..5 {
        known.push(world.plaid_says_at(BODY, 0).await);
    }
    world.plaid.inner.silent.store(false, Ordering::SeqCst);
    let answers = forged.join_all().await.into_iter();
    let answers = answers.map(|answer| answer.expect("an answer").status().as_u16()).collect();
    let (soon, asked, rows) = (begun.elapsed() < ENOUGH, world.plaid.key_fetches() - before, world.rows().await.len());
    soon.then_some(Forged { asked, answers, known, rows })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_unknown_keys_cost_ten_questions_and_delay_nobody() {
    for _ in 0..5 {
        let Some(Forged { asked, answers, known, rows }) = a_thousand_unknown_keys().await else { continue };
        assert_eq!(known, [200; 5], "a known key's webhook is taken meanwhile");
        let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
        // A new minute may begin meanwhile, with a new budget.
        assert!((5..=20).contains(&asked), "{asked}");
        assert_eq!(count(401), asked, "Plaid knows none of these");
        assert_eq!(count(503), 1_000 - asked, "nobody knows of the others, so Plaid is to try again");
        assert_eq!(rows, 6);
        return;
    }
    panic!("five times it took longer than {ENOUGH:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_remembered() {
    let world = World::new().await;
    let token = Signer::new("unknown").sign(BODY, world.now());
    for _ in 0..20 {
        assert_eq!(world.post(signed(&token), BODY).await, 401);
    }
    assert_eq!(world.plaid.key_fetches(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_before_the_answer_does_not_make_us_ask_again() {
    let world = World::new().await;
    world.plaid.inner.silent.store(true, Ordering::SeqCst);
    let token = Signer::new("unknown").sign(BODY, world.now());
    let head = format!(
        "POST /plaid/webhook HTTP/1.1\r\nHost: x\r\nPlaid-Verification: {token}\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    for _ in 0..20 {
        let mut stream = tokio::net::TcpStream::connect(world.daemon.public_address()).await.expect("it listens");
        stream.write_all(&[head.as_bytes(), BODY].concat()).await.expect("sent");
        wait("Plaid is asked", async || world.plaid.key_fetches() > 0).await;
        drop(stream);
    }
    let last = world.request(signed(&token), BODY).send();
    let let_go = async {
        tokio::task::yield_now().await;
        world.plaid.inner.silent.store(false, Ordering::SeqCst);
    };
    let (last, ()) = tokio::join!(last, let_go);
    assert_eq!(last.expect("an answer").status().as_u16(), 401);
    assert_eq!(world.plaid.key_fetches(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_plaid_is_away_a_new_key_is_503_and_a_kept_one_works_after_a_restart() {
    let world = World::new().await;
    world.plaid.inner.down.store(true, Ordering::SeqCst);
    assert_eq!(world.plaid_says_at(BODY, 0).await, 503);
    assert_eq!(world.rows().await, []);
    world.plaid.inner.down.store(false, Ordering::SeqCst);
    assert_eq!(world.plaid_says_at(BODY, 0).await, 200);
    world.plaid.inner.down.store(true, Ordering::SeqCst);
    let world = world.restarted().await;
    assert_eq!(world.plaid_says_at(BODY, 0).await, 200);
    assert_eq!(world.rows().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_refuses_is_503_and_works_again_later() {
    let world = World::new().await;
    let raw = world.raw();
    raw.execute_batch("create trigger fail before insert on inbox begin select raise(rollback, 'as a bad disk'); end")
        .expect("SQL");
    assert_eq!(world.plaid_says_at(BODY, 0).await, 503);
    raw.execute_batch("drop trigger fail").expect("SQL");
    assert_eq!(world.plaid_says_at(BODY, 0).await, 200);
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_429_with_a_time_to_wait() {
    let world = World::new().await;
    assert_eq!(world.plaid_says_at(BODY, 0).await, 200, "the key is known");
    let store = &world.daemon.engine.store;
    // Another program writes, so the writer waits, and its queue fills.
    let raw = world.raw();
    raw.execute_batch("begin immediate").expect("SQL");
    let appending = (0..6_000).map(|_| {
        let webhook = store.seal_webhook(world.clock.now(), world.clock.now(), Age::Fresh, [1; 32], b"x");
        store.append_webhook(webhook)
    });
    let all = futures_util::future::join_all(appending);
    let meanwhile = async {
        tokio::task::yield_now().await;
        let answer = world.request(signed(&world.signer.sign(BODY, world.now())), BODY).send().await;
        raw.execute_batch("rollback").expect("SQL");
        answer.expect("an answer")
    };
    let (_, answer) = tokio::join!(all, meanwhile);
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers().get("retry-after"), Some(&HeaderValue::from_static("10")));
    assert_eq!(world.plaid_says_at(BODY, 0).await, 200, "and then it goes on");
}

/// Whether webhooks are taken while many connections are open that sent half a request; nothing if it took so long that
/// those may have been closed.
async fn beside_half_requests(world: &World) -> Option<bool> {
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = tokio::net::TcpStream::connect(world.daemon.public_address()).await.expect("it listens");
        stream.write_all(b"POST /plaid/webhook HTTP/1.1\r\nHost: x\r\nPlaid-Ver").await.expect("sent");
        slow.push(stream);
    }
    let mut taken = true;
    for _ in 0..3 {
        taken &= world.plaid_says_at(BODY, 0).await == 200;
    }
    // They are still open, and are so for ten seconds: who waits for them would have waited until they are cut.
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(1), slow[299].read(&mut byte)).await;
    (begun.elapsed() < ENOUGH).then_some(taken && read.is_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_on_many_connections_delays_nobody() {
    let world = World::new().await;
    for _ in 0..5 {
        if let Some(delays_nobody) = beside_half_requests(&world).await {
            assert!(delays_nobody, "webhooks are taken, and the others are still open");
            return;
        }
    }
    panic!("five times it took longer than {ENOUGH:?}");
}
