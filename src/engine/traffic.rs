//! How many calls Plaid gets from us, and from whom: one budget for all, people first, and what to leave alone for a while.
//!
//! Bookkeeping only: no clock, no network. `engine::call` asks here before each call and tells how it went.
//!
//! | what Plaid says | what is done |
//! |---|---|
//! | an answer, or a refusal that is one | all goes on |
//! | 429 with `Retry-After` | nobody but people calls for that long |
//! | 429 without | nobody but people calls for 2 s, doubling to 64 s while it goes on |
//! | no connection, no answer in time, 5xx, a cut or unreadable body | from the fifth in a row on, about as many Items: the same, without `Retry-After` |
//! | the client id or the secret is wrong | nobody calls, but one probe a minute |

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::domain::ids::ItemId;
use crate::plaid::client::CallError;

/// How many calls about one Item Plaid allows in a minute: `/item/get` and `/accounts/get` in Production
/// (<https://plaid.com/docs/errors/rate-limit-exceeded/>).
const ITEM_CALLS_MAX: usize = 15;

const MINUTE: Duration = Duration::from_secs(60);

/// How many Items' calls are noted before those of more than a minute ago are looked for and forgotten.
const ITEMS_REMEMBERED: usize = 4096;

/// From the how-manieth failure in a row on Plaid is left alone.
const FAILURES_TOLERATED: u32 = 5;

/// How long at first, doubling ...
const PAUSE_FIRST: Duration = Duration::from_secs(2);
/// ... up to this.
const PAUSE_MOST: Duration = Duration::from_secs(64);

/// With wrong keys: how often it is tried whether they were put right.
const PROBE_EVERY: Duration = MINUTE;

/// On whose behalf Plaid is called. The order is the precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody waits: at the repair page, at the API; or Plaid waits for its webhook's 200.
    Person,
    /// A letter that is to leave.
    Letter,
    /// What a webhook, a deadline or the sweep wants to know.
    Routine,
}

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Leave {
    /// Now. It is counted.
    Go,
    /// Not before this time has passed.
    Wait {
        /// How long.
        wait: Duration,
        /// Why.
        why: Bar,
    },
}

/// Why a call may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Plaid refuses the client id or the secret.
    Keys,
    /// Plaid is left alone for a while.
    Pause,
    /// About this Item it was asked too often.
    Item,
    /// The budget is used up: the next call's share comes within moments.
    Budget,
}

impl Bar {
    /// The same in words, for the log and the operator.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Keys => "Plaid refuses the client id or the secret ([plaid])",
            Self::Pause => "Plaid is out of order or asks for fewer calls",
            Self::Item => "Plaid was asked about this Item too often within a minute",
            Self::Budget => "the calls to Plaid of this minute are used up ([plaid] calls_per_minute)",
        }
    }
}

/// The calls of the last minute, and what they met. Times are of a clock that never goes back.
pub struct Traffic {
    budget: Bucket,
    items: HashMap<ItemId, VecDeque<Duration>>,
    /// From how many Items on old calls are forgotten next.
    forget_from: usize,
    /// Nobody but people calls before then.
    paused_until: Duration,
    /// Failures in a row. What fails about one Item alone, however often, is one: it says nothing about Plaid.
    failures: u32,
    /// The Items about which they were.
    failed_about: HashSet<ItemId>,
    /// 429s in a row.
    limited: u32,
    /// Plaid refuses our keys: when to try again.
    probe_at: Option<Duration>,
}

impl Traffic {
    /// Bookkeeping for so many calls a minute.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self {
            budget: Bucket::new(per_minute),
            items: HashMap::new(),
            forget_from: ITEMS_REMEMBERED,
            paused_until: Duration::ZERO,
            failures: 0,
            failed_about: HashSet::new(),
            limited: 0,
            probe_at: None,
        }
    }

    /// Asks for leave for one call, and takes it if it is given.
    pub fn take(&mut self, caller: Caller, item: Option<&ItemId>, now: Duration) -> Leave {
        if let Some(leave) = self.barred(caller, now) {
            return leave;
        }
        if let Some(wait) = item.and_then(|item| self.item_wait(item, now)) {
            return Leave::Wait { wait, why: Bar::Item };
        }
        let wait = self.budget.wait(caller, now);
        if wait > Duration::ZERO {
            return Leave::Wait { wait, why: Bar::Budget };
        }
        self.budget.take(now);
        if let Some(item) = item {
            self.count(item, now);
        }
        if let Some(probe_at) = &mut self.probe_at {
            *probe_at = now + PROBE_EVERY;
        }
        Leave::Go
    }

    /// How many routine calls would be given leave now.
    #[must_use]
    pub fn room(&mut self, now: Duration) -> u32 {
        match self.barred(Caller::Routine, now) {
            Some(_) => 0,
            // One of many is enough to hear whether it is over.
            None if self.probe_at.is_some() || self.failures >= FAILURES_TOLERATED || self.limited > 0 => {
                self.budget.room(Caller::Routine, now).min(1)
            }
            None => self.budget.room(Caller::Routine, now),
        }
    }

    /// How long until there is room for a routine call.
    #[must_use]
    pub fn room_after(&mut self, now: Duration) -> Duration {
        match self.barred(Caller::Routine, now) {
            Some(Leave::Wait { wait, .. }) => wait,
            Some(Leave::Go) | None => self.budget.wait(Caller::Routine, now),
        }
    }

    /// When to try whether the keys were put right; nothing while they are not known to be wrong.
    #[must_use]
    pub fn probe_after(&self, now: Duration) -> Option<Duration> {
        self.probe_at.map(|at| at.saturating_sub(now))
    }

    /// Plaid answered, be it with a refusal. A pause that it asked for goes on: the answer may be one to people.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.failed_about.clear();
        self.limited = 0;
        self.probe_at = None;
    }

    /// Plaid did not answer, about an Item or in general.
    pub fn failed(&mut self, error: &CallError, item: Option<&ItemId>, now: Duration) {
        match error {
            CallError::Refused(_) => self.answered(),
            CallError::Credentials(_) => {
                self.probe_at = Some(now + PROBE_EVERY);
            }
            CallError::RateLimited { retry_after } => {
                let wait = retry_after.unwrap_or_else(|| doubled(self.limited));
                self.limited += 1;
                self.paused_until = self.paused_until.max(now + wait);
            }
            CallError::Unreachable { .. }
            | CallError::TimedOut
            | CallError::PlaidDown { .. }
            | CallError::Unreadable { .. } => {
                if item.is_none_or(|item| self.failed_about.insert(item.clone())) {
                    self.failures += 1;
                }
                if let Some(beyond) = self.failures.checked_sub(FAILURES_TOLERATED) {
                    self.paused_until = self.paused_until.max(now + doubled(beyond));
                }
            }
        }
    }

    fn barred(&self, caller: Caller, now: Duration) -> Option<Leave> {
        if let Some(wait) = self.probe_after(now).filter(|wait| *wait > Duration::ZERO) {
            return Some(Leave::Wait { wait, why: Bar::Keys });
        }
        let wait = self.paused_until.saturating_sub(now);
        let waits = match caller {
            Caller::Person => false,
            Caller::Letter | Caller::Routine => wait > Duration::ZERO,
        };
        waits.then_some(Leave::Wait { wait, why: Bar::Pause })
    }

    fn item_wait(&self, item: &ItemId, now: Duration) -> Option<Duration> {
        let calls = self.items.get(item)?;
        let oldest_that_counts = calls.len().checked_sub(ITEM_CALLS_MAX).and_then(|at| calls.get(at))?;
        Some((*oldest_that_counts + MINUTE).saturating_sub(now)).filter(|wait| *wait > Duration::ZERO)
    }

    fn count(&mut self, item: &ItemId, now: Duration) {
        let is_old = |at: &Duration| now.saturating_sub(*at) >= MINUTE;
        if self.items.len() >= self.forget_from {
            self.items.retain(|_, calls| calls.back().is_some_and(|last| !is_old(last)));
            // Not at the next call again: with very many in a minute each would look at all.
            self.forget_from = self.items.len() + ITEMS_REMEMBERED;
        }
        let calls = self.items.entry(item.clone()).or_default();
        while calls.front().is_some_and(is_old) {
            calls.pop_front();
        }
        calls.push_back(now);
    }
}

fn doubled(times: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << times.min(10)).min(PAUSE_MOST)
}

/// A bucket from which each call takes one drop. It fills with time, and holds a twentieth of a minute's calls: what fills it
/// in a minute and what it holds are together what is allowed in any minute.
struct Bucket {
    /// Drops are counted in parts, so that a millisecond's share is a whole number.
    level: u64,
    full: u64,
    parts_per_ms: u64,
    filled_at: Duration,
}

const DROP: u64 = 60_000;

impl Bucket {
    fn new(per_minute: u32) -> Self {
        let held = u64::from((per_minute / 20).max(1));
        let full = held * DROP;
        Self {
            level: full,
            full,
            parts_per_ms: u64::from(per_minute).saturating_sub(held).max(1),
            filled_at: Duration::ZERO,
        }
    }

    fn fill(&mut self, now: Duration) {
        let millis = u64::try_from(now.saturating_sub(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        // What is less than a millisecond counts the next time.
        self.filled_at += Duration::from_millis(millis);
        self.level = self.level.saturating_add(millis.saturating_mul(self.parts_per_ms)).min(self.full);
    }

    /// What a caller leaves for those before it.
    fn reserve(&self, caller: Caller) -> u64 {
        match caller {
            Caller::Person => 0,
            Caller::Letter => self.full / DROP / 4 * DROP,
            Caller::Routine => self.full / DROP / 2 * DROP,
        }
    }

    fn wait(&mut self, caller: Caller, now: Duration) -> Duration {
        self.fill(now);
        let missing = (self.reserve(caller) + DROP).saturating_sub(self.level);
        Duration::from_millis(missing.div_ceil(self.parts_per_ms))
    }

    fn room(&mut self, caller: Caller, now: Duration) -> u32 {
        self.fill(now);
        u32::try_from(self.level.saturating_sub(self.reserve(caller)) / DROP).unwrap_or(u32::MAX)
    }

    fn take(&mut self, now: Duration) {
        self.fill(now);
        self.level = self.level.saturating_sub(DROP);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plaid::error::PlaidError;

    const MS: Duration = Duration::from_millis(1);

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn item(name: &str) -> ItemId {
        ItemId::parse(name).expect("an id")
    }

    /// How many calls are given leave at one moment.
    fn burst(traffic: &mut Traffic, caller: Caller, now: Duration) -> usize {
        (0..100_000).take_while(|_| traffic.take(caller, None, now) == Leave::Go).count()
    }

    fn wait(traffic: &mut Traffic, caller: Caller, now: Duration) -> Option<Duration> {
        match traffic.take(caller, None, now) {
            Leave::Go => None,
            Leave::Wait { wait, .. } => Some(wait),
        }
    }

    fn refused(code: &str) -> PlaidError {
        PlaidError {
            error_type: "INVALID_INPUT".to_owned(),
            error_code: code.to_owned(),
            reason: None,
            request_id: None,
        }
    }

    #[test]
    fn people_find_room_when_the_sweep_has_taken_all_of_its_own() {
        let mut traffic = Traffic::new(1000);
        assert_eq!(burst(&mut traffic, Caller::Routine, secs(1)), 25);
        assert_eq!(traffic.room(secs(1)), 0);
        assert_eq!(burst(&mut traffic, Caller::Letter, secs(1)), 13);
        assert_eq!(burst(&mut traffic, Caller::Person, secs(1)), 12);
        let after = traffic.room_after(secs(1));
        assert_eq!(traffic.room(secs(1) + after - MS * 2), 0);
        assert_eq!(traffic.room(secs(1) + after), 1);
    }

    #[test]
    fn an_item_is_asked_about_fifteen_times_a_minute() {
        let mut traffic = Traffic::new(5000);
        let asked =
            (0..100).filter(|n| traffic.take(Caller::Person, Some(&item("a")), secs(n / 5)) == Leave::Go).count();
        assert_eq!(asked, 15);
        assert_eq!(traffic.take(Caller::Person, Some(&item("b")), secs(20)), Leave::Go);
        assert!(
            matches!(traffic.take(Caller::Person, Some(&item("a")), secs(59)), Leave::Wait { wait, .. } if wait == secs(1))
        );
        assert_eq!(traffic.take(Caller::Person, Some(&item("a")), secs(60)), Leave::Go);
    }

    #[test]
    fn calls_about_many_items_are_forgotten() {
        let mut traffic = Traffic::new(5000);
        for n in 0..20_000 {
            traffic.count(&item(&n.to_string()), secs(n / 100));
        }
        assert!(traffic.items.len() <= ITEMS_REMEMBERED + 6000, "{}", traffic.items.len());
    }

    #[test]
    fn a_429_is_honoured_by_all_but_people() {
        let mut traffic = Traffic::new(1000);
        traffic.failed(&CallError::RateLimited { retry_after: Some(secs(30)) }, None, secs(10));
        assert_eq!(wait(&mut traffic, Caller::Routine, secs(10)), Some(secs(30)));
        assert_eq!(wait(&mut traffic, Caller::Letter, secs(39)), Some(secs(1)));
        assert_eq!(wait(&mut traffic, Caller::Person, secs(10)), None);
        assert_eq!(wait(&mut traffic, Caller::Routine, secs(40)), None);
    }

    #[test]
    fn without_retry_after_the_waits_double_until_plaid_answers() {
        let mut traffic = Traffic::new(1000);
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            let now = traffic.paused_until;
            traffic.failed(&CallError::RateLimited { retry_after: None }, None, now);
            assert_eq!(wait(&mut traffic, Caller::Routine, now), Some(secs(expected)));
        }
        traffic.answered();
        let now = traffic.paused_until;
        traffic.failed(&CallError::RateLimited { retry_after: None }, None, now);
        assert_eq!(wait(&mut traffic, Caller::Routine, now), Some(secs(2)), "and begin anew");
    }

    #[test]
    fn a_plaid_that_is_down_is_left_alone_from_the_fifth_failure_on() {
        let mut traffic = Traffic::new(1000);
        for _ in 0..4 {
            traffic.failed(&CallError::TimedOut, None, secs(1));
            assert_eq!(wait(&mut traffic, Caller::Routine, secs(1)), None);
        }
        traffic.failed(&CallError::TimedOut, None, secs(1));
        assert_eq!(wait(&mut traffic, Caller::Routine, secs(1)), Some(secs(2)));
        traffic.failed(&CallError::Refused(refused("ITEM_NOT_FOUND")), None, secs(3));
        traffic.failed(&CallError::TimedOut, None, secs(3));
        assert_eq!(wait(&mut traffic, Caller::Routine, secs(3)), None, "a refusal is an answer");
    }

    #[test]
    fn one_item_that_cannot_be_asked_about_is_no_plaid_that_is_down() {
        let mut traffic = Traffic::new(1000);
        let items: Vec<ItemId> = (0..5).map(|n| ItemId::parse(format!("item-{n}")).expect("an id")).collect();
        for _ in 0..50 {
            traffic.failed(&CallError::TimedOut, Some(&items[0]), secs(1));
        }
        assert_eq!(wait(&mut traffic, Caller::Routine, secs(1)), None);
        for item in &items {
            traffic.failed(&CallError::TimedOut, Some(item), secs(1));
        }
        assert_eq!(wait(&mut traffic, Caller::Routine, secs(1)), Some(secs(2)), "five of them are");
    }

    #[test]
    fn wrong_keys_stop_everybody_but_one_probe_a_minute() {
        let mut traffic = Traffic::new(1000);
        traffic.failed(&CallError::Credentials(refused("INVALID_API_KEYS")), None, secs(0));
        for caller in [Caller::Person, Caller::Letter, Caller::Routine] {
            assert_eq!(wait(&mut traffic, caller, secs(59)), Some(secs(1)));
        }
        let let_through = (0..600).filter(|n| wait(&mut traffic, Caller::Routine, secs(*n)).is_none()).count();
        assert_eq!(let_through, 9, "at 60, 120 … 540 s");
        assert_eq!(traffic.room(secs(600)), 1);
        traffic.answered();
        assert_eq!(burst(&mut traffic, Caller::Person, secs(600)), 50);
    }

    proptest! {
        /// Whoever calls, however often and in whatever order: in no minute more than was allowed.
        #[test]
        fn no_minute_has_more_calls_than_allowed(
            per_minute in 20_u32..600,
            calls in proptest::collection::vec((0_u64..400, 0_u8..3), 1..1500),
        ) {
            let mut traffic = Traffic::new(per_minute);
            let (mut now, mut times) = (Duration::ZERO, Vec::new());
            for (after, who) in calls {
                now += Duration::from_millis(after);
                let caller = [Caller::Person, Caller::Letter, Caller::Routine][usize::from(who)];
                if traffic.take(caller, None, now) == Leave::Go {
                    times.push(now);
                }
            }
            for (from, first) in times.iter().enumerate() {
                let within = times[from..].iter().take_while(|at| **at < *first + MINUTE).count();
                prop_assert!(within <= per_minute as usize, "{within} of {per_minute}");
            }
        }
    }
}
