//! Plaid's verification keys: cached by id, kept in the store, fetched when a webhook names a new one.
//!
//! The rules: a known key's webhook never waits behind a forged one. Many waiters share one fetch. Ids that Plaid does not
//! know are remembered, and how many are looked up in a minute is limited, with a share that only Plaid's published
//! addresses can use, so that forged ids cannot use up what a real rotation needs. An id that could not be looked up is not
//! called forged: Plaid is to try again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use jiff::{SignedDuration, Timestamp};

use super::Engine;
use crate::plaid::client::KeyCallError;
use crate::plaid::signature::Key;
use crate::store::StoredKey;

/// How often Plaid is asked whether a key still lives.
const RECHECK: SignedDuration = SignedDuration::from_hours(1);

/// How long an id that Plaid does not know is remembered as such.
const UNKNOWN_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// How many such ids are remembered. Beyond that the oldest go.
const UNKNOWN_MAX: usize = 1024;

/// How many ids are looked up in a minute for anybody ...
const LOOKUPS_OF_ANYBODY: u32 = 5;
/// ... and how many more for requests from Plaid's published addresses.
const LOOKUPS_OF_PLAID: u32 = 5;

/// Where Plaid's webhooks come from (D:webhooks in Plaid's documentation). They may change, so nothing is refused for
/// coming from elsewhere.
const PLAIDS_ADDRESSES: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(52, 21, 26, 131)),
    IpAddr::V4(Ipv4Addr::new(52, 21, 47, 157)),
    IpAddr::V4(Ipv4Addr::new(52, 41, 247, 19)),
    IpAddr::V4(Ipv4Addr::new(52, 88, 82, 239)),
];

/// What is known about a key id.
#[derive(Clone)]
#[must_use]
pub enum Lookup {
    /// Plaid's key.
    Known(Arc<Key>),
    /// Plaid has no such key: a forgery.
    Unknown,
    /// It could not be looked up: try again later.
    Unavailable,
}

/// The keys that are known, and how looking up goes.
pub struct Keys {
    known: RwLock<HashMap<String, Known>>,
    misses: Mutex<Misses>,
}

#[derive(Clone)]
struct Known {
    key: Arc<Key>,
    checked_at: Timestamp,
}

/// An answer of Plaid's that many may wait for.
type Fetch = Shared<BoxFuture<'static, Lookup>>;

#[derive(Default)]
struct Misses {
    /// Ids that Plaid does not know, and when it said so.
    unknown: HashMap<String, Timestamp>,
    /// Fetches under way: whoever comes meanwhile waits for the same.
    under_way: HashMap<String, Fetch>,
    anybody: Budget,
    plaid: Budget,
}

/// So many lookups a minute, counted per minute of the clock.
#[derive(Default)]
struct Budget {
    minute: i64,
    used: u32,
}

impl Budget {
    fn take(&mut self, most: u32, now: Timestamp) -> bool {
        let minute = now.as_second().div_euclid(60);
        if self.minute != minute {
            *self = Self { minute, used: 0 };
        }
        self.used += 1;
        self.used <= most
    }
}

impl Keys {
    /// Begins with the keys that were kept. Each is checked again when it is used next.
    #[must_use]
    pub fn new(stored: Vec<StoredKey>, now: Timestamp) -> Self {
        let known = stored
            .into_iter()
            .filter_map(|stored| match Key::parse(&stored.jwk, &stored.kid) {
                Ok(key) => Some((stored.kid, Known { key: Arc::new(key), checked_at: stored.fetched_at.min(now) })),
                Err(error) => {
                    tracing::warn!("a kept verification key does not read: {error}");
                    None
                }
            })
            .collect();
        Self { known: RwLock::new(known), misses: Mutex::default() }
    }

    fn known(&self, kid: &str) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    fn keep(&self, key: Arc<Key>, now: Timestamp) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.kid().to_owned(), Known { key, checked_at: now });
    }

    /// Marks a key as checked, so that one request of many begins the check.
    fn claim_check(&self, kid: &str, seen: Timestamp, now: Timestamp) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(kid) {
            Some(entry) if entry.checked_at == seen => {
                entry.checked_at = now;
                true
            }
            Some(_) | None => false,
        }
    }

    fn forget(&self, kid: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(kid);
    }

    /// A new key has come, so others may have retired: check each when it is used next.
    fn doubt_all_but(&self, kid: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (_, entry) in known.iter_mut().filter(|(other, _)| *other != kid) {
            entry.checked_at = Timestamp::UNIX_EPOCH;
        }
    }

    fn misses(&self) -> MutexGuard<'_, Misses> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Misses {
    fn remember_unknown(&mut self, kid: &str, now: Timestamp) {
        self.unknown.retain(|_, since| now.duration_since(*since) < UNKNOWN_LIFE);
        while self.unknown.len() >= UNKNOWN_MAX {
            let oldest = self.unknown.iter().min_by_key(|(_, since)| **since).map(|(kid, _)| kid.clone());
            let Some(oldest) = oldest else { break };
            self.unknown.remove(&oldest);
        }
        self.unknown.insert(kid.to_owned(), now);
    }

    fn is_unknown(&self, kid: &str, now: Timestamp) -> bool {
        self.unknown.get(kid).is_some_and(|since| now.duration_since(*since) < UNKNOWN_LIFE)
    }

    fn may_look_up(&mut self, from: Option<IpAddr>, now: Timestamp) -> bool {
        let is_plaids = from.is_some_and(|from| PLAIDS_ADDRESSES.contains(&from.to_canonical()));
        is_plaids && self.plaid.take(LOOKUPS_OF_PLAID, now) || self.anybody.take(LOOKUPS_OF_ANYBODY, now)
    }
}

impl Engine {
    /// The key of that id. Only the first request that names a new one waits for Plaid.
    pub async fn verification_key(&self, kid: &str, from: Option<IpAddr>) -> Lookup {
        let now = self.clock.now();
        if let Some(known) = self.keys.known(kid) {
            let stale = now.duration_since(known.checked_at) >= RECHECK;
            if stale && known.key.expired_at().is_none() && self.keys.claim_check(kid, known.checked_at, now) {
                let (engine, kid) = (self.clone(), kid.to_owned());
                self.begin(async move { engine.check_again(&kid).await });
            }
            return Lookup::Known(known.key);
        }
        let fetch = {
            let mut misses = self.keys.misses();
            if misses.is_unknown(kid, now) {
                return Lookup::Unknown;
            }
            match misses.under_way.get(kid).cloned() {
                Some(fetch) => fetch,
                None if misses.may_look_up(from, now) => {
                    let fetch = self.begin_fetch(kid);
                    misses.under_way.insert(kid.to_owned(), fetch.clone());
                    fetch
                }
                None => return Lookup::Unavailable,
            }
        };
        fetch.await
    }

    /// In a task of its own: whoever asked may hang up, and the question must not be asked anew because of that.
    fn begin_fetch(&self, kid: &str) -> Fetch {
        let (engine, kid) = (self.clone(), kid.to_owned());
        let task = self.tasks.spawn(async move {
            let found = engine.fetch(&kid).await;
            engine.keys.misses().under_way.remove(&kid);
            found
        });
        task.map(|found| found.unwrap_or(Lookup::Unavailable)).boxed().shared()
    }

    async fn fetch(&self, kid: &str) -> Lookup {
        let fetched = self.call_for_key(kid).await;
        let now = self.clock.now();
        match fetched {
            Ok(Ok(key)) => {
                let key = Arc::new(key);
                self.keep(&key, now).await;
                self.keys.doubt_all_but(kid);
                tracing::info!("a new verification key of Plaid's is known");
                Lookup::Known(key)
            }
            Ok(Err(KeyCallError::Unknown)) => {
                self.keys.misses().remember_unknown(kid, now);
                Lookup::Unknown
            }
            Ok(Err(error)) => {
                tracing::warn!("a verification key cannot be used: {error}");
                Lookup::Unavailable
            }
            Err(error) => {
                tracing::warn!("a verification key cannot be fetched: {error}");
                Lookup::Unavailable
            }
        }
    }

    /// Asks whether a known key still lives. Until Plaid says otherwise it does.
    async fn check_again(&self, kid: &str) {
        match self.call_for_key(kid).await {
            Ok(Ok(key)) => self.keep(&Arc::new(key), self.clock.now()).await,
            Ok(Err(KeyCallError::Unknown)) => {
                tracing::warn!("a verification key of Plaid's is gone");
                self.keys.forget(kid);
            }
            Ok(Err(error)) => tracing::warn!("a verification key cannot be checked: {error}"),
            Err(error) => tracing::warn!("a verification key cannot be checked: {error}"),
        }
    }

    async fn keep(&self, key: &Arc<Key>, now: Timestamp) {
        self.keys.keep(Arc::clone(key), now);
        let stored = StoredKey { kid: key.kid().to_owned(), jwk: key.json().to_owned(), fetched_at: now };
        if let Err(error) = self.store.put_verification_key(stored).await {
            tracing::error!("a verification key is not kept over a restart: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn forged_ids_cannot_use_up_what_a_rotation_needs() {
        let mut misses = Misses::default();
        let plaid = Some(PLAIDS_ADDRESSES[0]);
        let allowed = (0..1000).filter(|_| misses.may_look_up(None, at(0))).count();
        assert_eq!(allowed, 5);
        assert!(misses.may_look_up(plaid, at(59)));
        let more = (0..1000).filter(|_| misses.may_look_up(plaid, at(59))).count();
        assert_eq!(more, 4, "ten a minute in all");
        assert!(misses.may_look_up(None, at(60)), "and anew in the next minute");
    }

    #[test]
    fn unknown_ids_are_remembered_for_a_while_and_bounded() {
        let mut misses = Misses::default();
        for n in 0..2000 {
            misses.remember_unknown(&n.to_string(), at(n));
        }
        assert!(misses.unknown.len() <= UNKNOWN_MAX);
        assert!(misses.is_unknown("1999", at(2000)));
        assert!(!misses.is_unknown("1999", at(1999 + 300)));
        assert!(!misses.is_unknown("2000", at(2000)));
    }
}
