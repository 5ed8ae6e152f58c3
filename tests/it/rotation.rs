//! A new data key for a daemon that is at work: no webhook is refused, kills on the way lose nothing, and at the end the old
//! key is not needed.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relinkd::demo::signer::Signer;
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::ids::UserId;
use relinkd::engine::clock::Clock;
use relinkd::store::seal::Sealer;
use relinkd::store::{NewProfile, Store};
use reqwest::Method;
use serde_json::Value;

use crate::kill::{Traffic, assert_nothing_is_lost};
use crate::process::{LIMIT, Site, wait};
use crate::small_plaid::SmallPlaid;

/// The key that sites are written with.
const KEY: [u8; 32] = *b"canary-data-key-0123456789abcdef";
const NEW: [u8; 32] = *b"another-data-key-0123456789abcde";

/// How many users there are: enough that sealing them anew takes some kills.
const USERS: usize = 10_000;

/// Writes other keys into the configuration.
fn configure(site: &Site, key: [u8; 32], old: &[[u8; 32]]) {
    let text = std::fs::read_to_string(site.config()).expect("a configuration");
    let old: Vec<String> = old.iter().map(|key| format!("{:?}", STANDARD.encode(key))).collect();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("data_keys_old"))
        .map(|line| match line.starts_with("data_key ") {
            true => format!("data_key = {:?}\ndata_keys_old = [{}]", STANDARD.encode(key), old.join(", ")),
            false => line.to_owned(),
        })
        .collect();
    std::fs::write(site.config(), lines.join("\n")).expect("written");
}

async fn fill(site: &Site) {
    let (store, now) =
        (Store::open(&site.store(), Sealer::new(&KEY, &[]), Clock::system().now()), Clock::system().now());
    let store = store.expect("a new store");
    let put = |n: usize| {
        let email = EmailAddress::parse(&format!("user-{n}@example.com")).expect("an address");
        let id = UserId::parse(format!("user-{n:04}")).expect("an id");
        store.put_user(NewProfile { id, email: Some(email), name: None, locale: None, time_zone: None }, now)
    };
    // Many share a commit; more than these would be more than the writer's queue holds.
    for first in (0..USERS).step_by(1000) {
        let written = futures_util::future::join_all((first..USERS.min(first + 1000)).map(put)).await;
        assert!(written.iter().all(Result::is_ok));
    }
    store.close().await;
}

/// How many users are sealed with the old key still; nothing once it can be removed.
async fn users_left(site: &Site) -> Option<u64> {
    let keys = site.api(Method::GET, "/v1/keys", None).await;
    let old = Sealer::new(&KEY, &[]).key_id().to_string();
    let key = keys["data"].as_array().expect("a list").iter().find(|key| key["key_id"] == old).expect("listed").clone();
    if key["can_be_removed"] == true {
        return None;
    }
    let ready = site.http.get(format!("http://{}/readyz", site.private)).send().await.expect("it answers");
    let ready: Value = serde_json::from_str(&ready.text().await.expect("a body")).expect("JSON");
    let told = &ready["data_keys_to_empty"];
    assert!(told == &Value::Array(Vec::new()) || told[0]["key_id"] == old, "{ready}");
    // Not counted yet, or so many, or no users any more and only webhooks.
    Some(if key["left"].is_null() { USERS as u64 } else { key["left"]["users"].as_u64().unwrap_or(0) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_refuses_no_webhook_and_kills_on_the_way_lose_nothing() {
    let signer = Signer::new("key-1");
    let plaid = SmallPlaid::start().await;
    plaid.knows(&signer);
    let site = Site::new(&plaid.url);
    fill(&site).await;
    let mut daemon = site.serve().await;
    let traffic = Traffic::new(&site, signer);
    let senders = traffic.begin();
    traffic.until(100).await;
    daemon.start_kill().expect("it runs");
    wait(&mut daemon).await;
    configure(&site, NEW, &[KEY]);
    let (mut kills, mut last, begun) = (0, USERS as u64, Instant::now());
    daemon = site.serve().await;
    while let Some(left) = users_left(&site).await {
        assert!(left <= last, "it goes on where it was: {left} after {last}");
        if left < last && kills < 3 {
            daemon.start_kill().expect("it runs");
            wait(&mut daemon).await;
            (kills, last) = (kills + 1, left);
            daemon = site.serve().await;
        }
        assert!(begun.elapsed() < LIMIT + LIMIT, "{left} users are left: {}", site.said());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // How many of three depends on how soon each was seen to have gone on.
    assert!(kills >= 1, "it took long enough to be killed");
    daemon.start_kill().expect("it runs");
    wait(&mut daemon).await;
    configure(&site, NEW, &[]);
    daemon = site.serve().await;
    traffic.until(traffic.count() + 100).await;
    traffic.end(senders).await;
    traffic.assert_none_is_refused();
    let user = site.api(Method::GET, "/v1/users/user-0777", None).await;
    assert_eq!(user["email"], "user-777@example.com");
    daemon.start_kill().expect("it runs");
    wait(&mut daemon).await;
    assert_nothing_is_lost(&traffic, &site, "after a new key");
}
