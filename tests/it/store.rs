//! The store's operations on real files.

mod accounts;
mod breaker;
mod import;
mod inbox;
mod items;
mod keys;
mod letters;
mod opening;
mod outbox;
mod pauses;
mod purge;
mod secrets;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::event::{Event, Health, Observation};
use relinkd::domain::ids::{ItemId, UserId};
use relinkd::domain::ladder::Ladder;
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::seal::Sealer;
use relinkd::store::{NewItem, Registered, Store};

use crate::core_support::any_hour;

/// The data key of the tests.
pub const KEY: [u8; 32] = *b"canary-data-key-0123456789abcdef";

/// So many seconds into the tests' time.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000).expect("a time") + SignedDuration::from_secs(seconds)
}

pub fn item_id(text: &str) -> ItemId {
    ItemId::parse(text).expect("an id")
}

/// Plaid answers a question that was asked then.
pub fn answered(item: &str, asked: i64, health: Health) -> Event {
    Event::Observed(Observation {
        asked_at: at(asked),
        item: Some(item_id(item)),
        created_at: None,
        health,
        consent_expires_at: None,
        webhooks_go: None,
        institution: None,
    })
}

/// Letters leave at any hour, and at once.
pub fn at_once() -> Policy {
    let login_required = Ladder::up(vec![SignedDuration::ZERO]).expect("a ladder");
    Policy { login_required, ..any_hour().clone() }
}

/// A login breaks a moment after Plaid took the Item's token.
pub async fn break_login(store: &Store, item: &str, second: i64) {
    let events = vec![answered(item, second, Health::Good), inbox::broken()];
    let rule = rule(&Policy::default(), at(second));
    store.step(item_id(item), events, "test".to_owned(), rule).await.expect("a step");
}

/// A folder for one store.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("relinkd.db")
    }

    pub fn open(&self, now: Timestamp) -> Store {
        Store::open(&self.path(), Sealer::new(&KEY, &[]), now).expect("it opens")
    }
}

/// Registers an Item with a token of its own.
pub async fn register(store: &Store, item: &str, user: &str, now: Timestamp) -> Registered {
    let new = NewItem {
        id: item_id(item),
        user: UserId::parse(user).expect("an id"),
        access_token: format!("access-sandbox-{item}"),
        institution: None,
        country_codes: None,
    };
    store.register(new, rule(&Policy::default(), now)).await.expect("it is registered")
}
