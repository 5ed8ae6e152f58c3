//! The inbox: what is appended is read, applied, parked within bounds, or noted; and nothing is lost on the way.

use std::sync::Arc;

use relinkd::domain::event::{Event, Fault};
use relinkd::domain::ids::{ItemId, SessionId};
use relinkd::domain::item::{Cure, State};
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::seal::Sealer;
use relinkd::store::{
    Age, Known, Meaning, PARKED_MAX, PARKED_PER_ITEM_MAX, Session, Store, Unless, Verdict, WebhookFilter,
};
use uuid::Uuid;

use super::{KEY, Place, at, item_id, register};

pub fn broken() -> Event {
    Event::LoginRequired(Fault { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None, cure: Cure::LogIn })
}

async fn append(store: &Store, body: &str) {
    let webhook = store.seal_webhook(at(0), at(0), Age::Fresh, [1; 32], body.as_bytes());
    store.append_webhook(webhook).await.expect("it is on disk");
}

fn says(item: &str, events: Vec<Event>) -> Meaning {
    Meaning::Item { item: item_id(item), events, unless: None }
}

/// Reads all that waits and settles it, each by what `means` says of its body.
async fn settle(store: &Store, means: impl Fn(&str) -> Meaning) -> usize {
    let unread = store.unread_webhooks(1000).await.expect("it reads");
    let verdicts: Vec<Verdict> = unread
        .iter()
        .map(|webhook| {
            let body = String::from_utf8(webhook.body.clone().expect("it opens")).expect("text");
            Verdict { id: webhook.id, webhook_type: None, webhook_code: None, meaning: means(&body) }
        })
        .collect();
    let count = verdicts.len();
    store.settle_webhooks(verdicts, Arc::new(rule(&Policy::default(), at(1)))).await.expect("settled");
    count
}

/// How many webhooks have each status.
async fn statuses(store: &Store, status: &str) -> usize {
    let receipts = store.receipts(WebhookFilter::default(), None, 100_000).await.expect("it reads");
    receipts.iter().filter(|receipt| receipt.status == status).count()
}

async fn state(store: &Store, item: &str) -> State {
    store.item(item_id(item)).await.expect("it reads").expect("it is there").item.state()
}

async fn causes(store: &Store, item: &str) -> Vec<String> {
    let journal = store.journal(item_id(item), 0, 100).await.expect("it reads");
    journal.into_iter().map(|row| row.cause).collect()
}

#[tokio::test]
async fn what_came_before_the_registration_is_applied_after_it_in_order() {
    let place = Place::new();
    let store = place.open(at(0));
    for body in ["broken", "repaired", "broken", "accounts"] {
        append(&store, body).await;
    }
    let means = |body: &str| match body {
        "broken" => says("item-1", vec![broken()]),
        "repaired" => says("item-1", vec![Event::LoginRepaired]),
        _ => says("item-2", vec![Event::NewAccounts]),
    };
    assert_eq!(settle(&store, means).await, 4);
    assert_eq!(store.backlog().await.expect("it reads").parked, 4);
    let registered = register(&store, "item-1", "user-1", at(1)).await;
    assert_eq!(registered.unparked, 3, "the other Item's stays");
    assert_eq!(settle(&store, means).await, 3);
    assert_eq!(causes(&store, "item-1").await, ["api", "webhook 1", "webhook 2", "webhook 3"]);
    assert_eq!(state(&store, "item-1").await, State::LoginRequired);
    assert_eq!(register(&store, "item-1", "user-1", at(2)).await.unparked, 0, "a second registration finds none");
}

#[tokio::test]
async fn parked_webhooks_are_bounded_for_an_item_and_in_all() {
    let place = Place::new();
    let store = place.open(at(0));
    let per_item = usize::try_from(PARKED_PER_ITEM_MAX).expect("small");
    for _ in 0..per_item + 5 {
        append(&store, "item-1").await;
    }
    settle(&store, |item| says(item, vec![broken()])).await;
    assert_eq!((statuses(&store, "parked").await, statuses(&store, "noted").await), (per_item, 5));
    // Nearly as many as there may be, by hand.
    let raw = rusqlite::Connection::open(place.path()).expect("a database");
    let made = raw.execute(
        "insert into inbox (id, received_at, signed_at, age, body_sha256, body, status, item_id)
         with recursive n (n) as (select 1 union all select n + 1 from n where n < ?1)
         select 1000000 + n, 0, 0, 'fresh', x'00', x'00', 'parked', 'stranger-' || n from n",
        [PARKED_MAX - PARKED_PER_ITEM_MAX - 1],
    );
    assert_eq!(made.expect("SQL"), usize::try_from(PARKED_MAX - PARKED_PER_ITEM_MAX - 1).expect("small"));
    append(&store, "item-2").await;
    append(&store, "item-3").await;
    settle(&store, |item| says(item, vec![broken()])).await;
    let backlog = store.backlog().await.expect("it reads");
    assert_eq!((backlog.parked, backlog.unread), (PARKED_MAX, 0));
    assert_eq!(statuses(&store, "noted").await, 6, "the last one found no place");
}

fn session(item: &ItemId) -> Session {
    Session {
        id: SessionId(Uuid::from_u128(5)),
        item: item.clone(),
        link_token: "link-sandbox-1".to_owned(),
        hosted_url: None,
        opened_at: at(0),
        expires_at: at(1800),
        finished: false,
    }
}

#[tokio::test]
async fn a_sessions_webhook_finds_its_item_also_after_the_data_key_changed() {
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    store.open_session(session(&item_id("item-1")), rule(&Policy::default(), at(0))).await.expect("kept");
    store.close().await;
    drop(store);
    let store = Store::open(&place.path(), Sealer::new(&[9; 32], &[KEY]), at(1)).expect("it opens");
    append(&store, "link-sandbox-other").await;
    append(&store, "link-sandbox-1").await;
    settle(&store, |token| Meaning::Session { link_token: token.to_owned(), event: Event::UpdateModeFinished }).await;
    assert_eq!((statuses(&store, "noted").await, statuses(&store, "applied").await), (1, 1));
    let item = store.item(item_id("item-1")).await.expect("it reads").expect("it is there").item;
    assert!(item.claim.is_some(), "{item:?}");
    assert!(store.session(SessionId(Uuid::from_u128(5))).await.expect("it reads").expect("kept").finished);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_applied_does_not_stop_the_others() {
    let place = Place::new();
    let store = place.open(at(0));
    for item in ["item-1", "item-2"] {
        register(&store, item, "user-1", at(0)).await;
        append(&store, item).await;
    }
    let raw = rusqlite::Connection::open(place.path()).expect("a database");
    raw.execute("update items set superseded_by = 'no id' where item_id = 'item-1'", []).expect("SQL");
    assert_eq!(settle(&store, |item| says(item, vec![broken()])).await, 2);
    let receipts = store.receipts(WebhookFilter::default(), None, 10).await.expect("it reads");
    assert_eq!((receipts[0].status.as_str(), receipts[1].status.as_str()), ("noted", "applied"));
    let note = receipts[0].note.as_deref().expect("a note");
    assert!(note.contains("items, row item-1: column superseded_by"), "{note}");
    assert_eq!(state(&store, "item-2").await, State::LoginRequired);
}

#[tokio::test]
async fn a_webhook_that_the_disk_refused_is_applied_later() {
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    append(&store, "item-1").await;
    append(&store, "item-1").await;
    // As on an I/O error: SQLite takes the whole transaction back.
    let raw = rusqlite::Connection::open(place.path()).expect("a database");
    raw.execute_batch(
        "create trigger fail before insert on journal begin select raise(rollback, 'as a bad disk'); end",
    )
    .expect("SQL");
    let verdict = |id| Verdict { id, webhook_type: None, webhook_code: None, meaning: says("item-1", vec![broken()]) };
    let refused = store.settle_webhooks(vec![verdict(1), verdict(2)], Arc::new(rule(&Policy::default(), at(1)))).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(statuses(&store, "new").await, 2, "both still wait");
    raw.execute_batch("drop trigger fail").expect("SQL");
    assert_eq!(settle(&store, |item| says(item, vec![broken()])).await, 2);
    assert_eq!(statuses(&store, "applied").await, 2);
    assert_eq!(state(&store, "item-1").await, State::LoginRequired);
}

#[tokio::test]
async fn the_same_late_webhook_is_applied_once() {
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    let late = async |signed: i64, hash: u8| {
        let webhook = store.seal_webhook(at(1000), at(signed), Age::Late, [hash; 32], b"item-1");
        store.append_webhook(webhook).await.expect("it is on disk");
    };
    for (signed, hash) in [(0, 1), (0, 1), (1, 1), (0, 2)] {
        late(signed, hash).await;
    }
    let means = |item: &str| Meaning::Item {
        item: item_id(item),
        events: vec![Event::NewAccounts],
        unless: Some(Unless { known: Known::SameBytes, then: vec![Event::Suspected] }),
    };
    settle(&store, means).await;
    let journal = store.journal(item_id("item-1"), 0, 100).await.expect("it reads");
    let events: Vec<String> = journal.iter().skip(1).map(|row| row.event.to_string()).collect();
    assert_eq!(events, ["\"new_accounts\"", "\"suspected\"", "\"new_accounts\"", "\"new_accounts\""]);
}

/// Needs to be allowed to mount: a disk so small that it can be filled.
#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_that_is_not_kept_and_room_cures_it() {
    let place = Place::new();
    let disk = place.folder.path().join("disk");
    std::fs::create_dir(&disk).expect("made");
    let mount = |words: &[&str]| {
        let done = std::process::Command::new(words[0]).args(&words[1..]).arg(&disk).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        crate::process::say("SKIPPED: mounting is not allowed here, so no disk can be filled");
        return;
    }
    let _disk = Unmount(disk.clone());
    std::fs::write(disk.join("ballast"), vec![1; 500_000]).expect("room");
    let path = disk.join("relinkd.db");
    let store = Store::open(&path, Sealer::new(&KEY, &[]), at(0)).expect("it opens");
    register(&store, "item-1", "user-1", at(0)).await;
    let body = vec![b'x'; 2_000];
    let one = async || {
        let webhook = store.seal_webhook(at(0), at(0), Age::Fresh, [1; 32], &body);
        store.append_webhook(webhook).await
    };
    let mut kept = 0;
    let refused = loop {
        match one().await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1_000, "the disk is never full");
    };
    assert!(refused.to_string().contains("full") || refused.to_string().contains("disk"), "{refused}");
    assert!(one().await.is_err(), "and still is");
    let step = store.step(item_id("item-1"), vec![broken()], "test".to_owned(), rule(&Policy::default(), at(1))).await;
    assert!(step.is_err(), "nothing else is acknowledged either");
    assert_eq!(state(&store, "item-1").await, State::Healthy);
    assert_eq!(usize::try_from(store.backlog().await.expect("it reads").unread).expect("small"), kept);
    std::fs::remove_file(disk.join("ballast")).expect("it was there");
    one().await.expect("there is room again");
    store
        .step(item_id("item-1"), vec![broken()], "test".to_owned(), rule(&Policy::default(), at(1)))
        .await
        .expect("a step");
    store.close().await;
    drop(store);
    let store = Store::open(&path, Sealer::new(&KEY, &[]), at(2)).expect("it opens");
    assert_eq!(usize::try_from(store.backlog().await.expect("it reads").unread).expect("small"), kept + 1);
    assert_eq!(state(&store, "item-1").await, State::LoginRequired);
    store.close().await;
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // Lazily: the store's threads may still close their files.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn too_many_waiting_webhooks_are_refused_at_once() {
    let place = Place::new();
    let store = place.open(at(0));
    // Somebody else writes, so the writer waits.
    let other = rusqlite::Connection::open(place.path()).expect("a database");
    other.execute_batch("begin immediate").expect("SQL");
    let appending: Vec<_> = (0..6_000_u32)
        .map(|n| {
            let (store, body) = (store.clone(), n.to_string());
            async move {
                let webhook = store.seal_webhook(at(0), at(0), Age::Fresh, [1; 32], body.as_bytes());
                store.append_webhook(webhook).await
            }
        })
        .collect();
    let all = futures_util::future::join_all(appending);
    let let_go = async {
        // All have been asked once when this is, and the refused ones have been told.
        tokio::task::yield_now().await;
        other.execute_batch("rollback").expect("SQL");
    };
    let (answers, ()) = tokio::join!(all, let_go);
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err()).map(ToString::to_string);
    let refused: std::collections::BTreeSet<String> = refused.collect();
    assert!((4_000..5_000).contains(&kept), "{kept}");
    assert_eq!(refused, ["the writer's queue is full".to_owned()].into());
    let backlog = store.backlog().await.expect("it reads");
    assert_eq!(usize::try_from(backlog.unread).expect("small"), kept, "what was said to be kept is");
}
