//! What is sealed is nowhere in plain bytes of the files, and what is erased is nowhere at all.

use std::path::Path;

use relinkd::domain::contact::{EmailAddress, PersonName};
use relinkd::domain::ids::{SessionId, UserId};
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::{Age, NewProfile, Session, Store};
use rusqlite::Connection;
use uuid::Uuid;

use super::{Place, at, item_id, register};

/// All bytes of the store, its log and its index. By another process: closing a file of the store in this one would end
/// SQLite's locks on it.
fn bytes(folder: &Path) -> Vec<u8> {
    let files = ["relinkd.db", "relinkd.db-wal", "relinkd.db-shm"].map(|name| folder.join(name));
    let there = files.iter().filter(|file| file.exists());
    std::process::Command::new("cat").args(there).output().expect("cat is there").stdout
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    assert!(part.len() >= 6, "too short to mean anything");
    bytes.windows(part.len()).any(|window| window == part)
}

async fn put(store: &Store, user: &str, email: &str) {
    let profile = NewProfile {
        id: UserId::parse(user).expect("an id"),
        email: Some(EmailAddress::parse(email).expect("an address")),
        name: PersonName::parse("Canary Personname"),
        locale: None,
        time_zone: None,
    };
    store.put_user(profile, at(0)).await.expect("written");
}

#[tokio::test]
async fn tokens_addresses_and_bodies_are_nowhere_in_plain_bytes() {
    let place = Place::new();
    let store = place.open(at(0));
    put(&store, "user-1", "canary-address@example.com").await;
    register(&store, "item-1", "user-1", at(0)).await;
    let webhook = store.seal_webhook(at(0), at(0), Age::Fresh, [1; 32], b"{\"canary-body\": true}");
    store.append_webhook(webhook).await.expect("it is on disk");
    let session = Session {
        id: SessionId(Uuid::from_u128(1)),
        item: item_id("item-1"),
        link_token: "link-sandbox-canary".to_owned(),
        hosted_url: Some("https://hosted.example/canary".to_owned()),
        opened_at: at(0),
        expires_at: at(1800),
        finished: false,
    };
    store.open_session(session, rule(&Policy::default(), at(0))).await.expect("kept");
    let canaries = [
        "access-sandbox-item-1",
        "canary-address",
        "Canary Personname",
        "canary-body",
        "link-sandbox-canary",
        "hosted.example",
    ];
    let nowhere = |when: &str| {
        // While the store closes, the log moves into the file: whoever reads one after the other may see neither.
        let began = std::time::Instant::now();
        let mut bytes = bytes(place.folder.path());
        while !holds(&bytes, b"item-1") {
            assert!(began.elapsed().as_secs() < 60, "{when}: what is not secret is found, so the search works");
            bytes = self::bytes(place.folder.path());
        }
        for canary in canaries {
            assert!(!holds(&bytes, canary.as_bytes()), "{when}: {canary}");
        }
    };
    nowhere("open");
    let token = store.access_token(item_id("item-1")).await.expect("it reads").expect("it is there");
    assert_eq!(secrecy::ExposeSecret::expose_secret(&token), "access-sandbox-item-1");
    store.close().await;
    drop(store);
    nowhere("closed");
}

/// What stands in the row of a user and its Item, sealed.
fn sealed(path: &Path, user: &str) -> Vec<Vec<u8>> {
    let raw = Connection::open(path).expect("a database");
    let contact = raw.query_row("select contact, address_hmac from users where user_id = ?1", [user], |row| {
        Ok(vec![row.get::<_, Vec<u8>>(0)?, row.get(1)?])
    });
    let mut parts = contact.expect("a row");
    let token = "select access_token from items where user_id = ?1";
    parts.push(raw.query_row(token, [user], |row| row.get(0)).expect("a row"));
    parts
}

#[tokio::test]
async fn of_an_erased_user_not_even_the_sealed_bytes_are_left() {
    let place = Place::new();
    let mut store = place.open(at(0));
    // Enough of them that pages split, and rows that move about when they are written again.
    let mut gone = Vec::new();
    for round in 0..3 {
        for n in 0..120 {
            put(&store, &format!("user-{n}"), &format!("{}user-{n}@example.com", "x".repeat(round * 8))).await;
            if round == 0 {
                register(&store, &format!("item-{n}"), &format!("user-{n}"), at(0)).await;
            }
        }
        gone.extend(sealed(&place.path(), "user-60"));
        store.close().await;
        drop(store);
        store = place.open(at(1));
    }
    let kept = sealed(&place.path(), "user-61");
    let erase = async |id: &str| {
        let id = UserId::parse(id).expect("an id");
        store.erase_user(id, rule(&Policy::default(), at(10))).await.expect("erased")
    };
    assert!(erase("user-60").await);
    let bytes = bytes(place.folder.path());
    assert!(kept.iter().all(|part| holds(&bytes, part)), "what is kept is found, so the search works");
    let left = gone.iter().filter(|part| holds(&bytes, part)).count();
    assert_eq!(left, 0, "of {} parts", gone.len());
    assert!(!erase("user-60").await, "there is nothing left to erase");
    assert!(store.user(UserId::parse("user-60").expect("an id")).await.expect("it reads").is_none());
    assert!(store.item(item_id("item-60")).await.expect("it reads").expect("its id is kept").item.removed.is_some());
    assert!(store.access_token(item_id("item-60")).await.expect("it reads").is_none());
}

#[tokio::test]
async fn an_erasure_that_cannot_be_finished_says_so() {
    let place = Place::new();
    let store = place.open(at(0));
    put(&store, "user-1", "canary-address@example.com").await;
    // Somebody reads for a long time, so the log cannot be emptied.
    let reader = Connection::open(place.path()).expect("a database");
    reader.execute_batch("begin").expect("SQL");
    let users: i64 = reader.query_row("select count(*) from users", [], |row| row.get(0)).expect("SQL");
    assert_eq!(users, 1);
    let id = UserId::parse("user-1").expect("an id");
    let erased = store.erase_user(id, rule(&Policy::default(), at(10))).await;
    assert!(erased.is_err_and(|error| error.to_string().contains("log")));
    let id = || UserId::parse("user-1").expect("an id");
    assert!(store.user(id()).await.expect("it reads").is_none(), "the row is empty all the same");
    drop(reader);
    let again = store.erase_user(id(), rule(&Policy::default(), at(11))).await;
    assert!(!again.expect("now the log can be emptied"), "there is no such user any more");
    let log = std::fs::metadata(place.path().with_extension("db-wal")).expect("a log").len();
    assert_eq!(log, 0);
}
