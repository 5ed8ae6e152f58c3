//! What the tests of the pure core share: moments, Items, answers and a user in few words, and a small source of chance.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::{Circumstances, Composition, Reach, Sent, User, compose};
use relinkd::domain::effect::{Effect, Notice};
use relinkd::domain::event::{Event, Fault, Health, Observation};
use relinkd::domain::ids::{ItemId, UserId};
use relinkd::domain::item::{Cure, Item, Token};
use relinkd::domain::policy::Policy;
use relinkd::domain::step::Step;
use relinkd::domain::transition::transition;
use relinkd::domain::window::SendWindow;

/// A Monday, 09:00 in UTC.
pub fn start() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().expect("a time")
}

pub fn secs(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

pub fn mins(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

pub fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

pub fn item_id(text: &str) -> ItemId {
    ItemId::parse(text).expect("an id")
}

pub fn user_id(text: &str) -> UserId {
    UserId::parse(text).expect("an id")
}

/// The default policy, but letters may leave at any hour.
pub fn any_hour() -> &'static Policy {
    // Parsing a window costs more than a thousand steps.
    static POLICY: LazyLock<Policy> = LazyLock::new(|| {
        let send_window = SendWindow::parse("* * * * * *").expect("a window");
        Policy { send_window, ..Policy::default() }
    });
    &POLICY
}

/// A user with an address, in UTC, with no wishes.
pub fn user(id: &str) -> User {
    User { id: user_id(id), time_zone: TimeZone::UTC, reach: Reach::Address, stopped_at: None, snoozed_until: None }
}

/// An Item whose token is proven, and of which nothing else is known.
pub fn proven(id: &str, user: &str, since: Timestamp) -> Item {
    Item { token: Token::Proven, ..Item::new(item_id(id), user_id(user), None, since) }
}

pub fn fault() -> Fault {
    Fault { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None, cure: Cure::LogIn }
}

pub fn broken() -> Event {
    Event::LoginRequired(fault())
}

/// Plaid's answer about an Item to a question that was asked at a moment.
pub fn answer(item: &Item, asked_at: Timestamp, health: Health) -> Event {
    answer_with_consent(item, asked_at, health, None)
}

pub fn answer_with_consent(item: &Item, asked_at: Timestamp, health: Health, ends: Option<Timestamp>) -> Event {
    Event::Observed(Observation {
        webhooks_go: None,
        asked_at,
        item: Some(item.id.clone()),
        created_at: None,
        health,
        consent_expires_at: ends,
        institution: None,
    })
}

/// Takes a step and keeps only the Item.
pub fn after(item: &Item, event: &Event, now: Timestamp) -> Item {
    step(item, event, now).item
}

pub fn step(item: &Item, event: &Event, now: Timestamp) -> Step {
    transition(item, event, now, any_hour())
}

/// What is composed for the user of the Items, with nothing in the way.
pub fn composed(user: &User, items: &[Item], sent: &[Sent], now: Timestamp) -> Composition {
    compose(user, items, sent, &Circumstances::default(), now, any_hour())
}

/// When the step asks Plaid.
pub fn asks(step: &Step) -> Vec<Timestamp> {
    let ask = |effect: &Effect| match effect {
        Effect::Observe { not_before } => Some(*not_before),
        Effect::AskSession { .. } | Effect::AskAccounts { .. } | Effect::Tell(_) => None,
    };
    step.effects.iter().filter_map(ask).collect()
}

/// What the step tells.
pub fn notices(step: &Step) -> Vec<&Notice> {
    step.effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(notice) => Some(notice),
            Effect::Observe { .. } | Effect::AskSession { .. } | Effect::AskAccounts { .. } => None,
        })
        .collect()
}

/// A number from the environment of the test run; the given one where there is none.
pub fn from_environment(name: &str, otherwise: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test run has no configuration")]
    let text = std::env::var(name);
    text.map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// Chance with a seed: SplitMix64 (Steele, Lea and Flood, 2014). The same seed gives the same numbers for ever.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A whole number of a range, both ends included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.below(u64::try_from(most - least + 1).expect("a range"))).expect("a small number")
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }
}
