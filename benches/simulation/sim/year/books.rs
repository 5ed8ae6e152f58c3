//! What is true in the year, of users, Items, banks and outages: what Plaid and the users know, not what relinkd believes.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use relinkd::domain::ids::InstitutionId;

use super::super::truth::Truth;
use super::waits::Wait;

/// Where a user's mailbox is. The first has a cap.
pub const DOMAINS: [&str; 5] = ["gmail.com", "googlemail.com", "outlook.com", "yahoo.com", "example.com"];

/// Whether a mailbox is at the provider that has a cap.
pub fn is_capped(domain: usize) -> bool {
    domain < 2
}

pub struct Person {
    /// The first of the user's Items, and how many there are.
    pub items: (u32, u32),
    pub zone: usize,
    pub domain: usize,
    /// How many addresses the user had; none at 0.
    pub address: u32,
    /// The mailbox is no more.
    pub is_dead: bool,
    /// A letter came back from it.
    pub has_bounced: bool,
    pub stopped: bool,
    pub snoozed_until: Timestamp,
    /// How many letters in a hundred lead to a repair.
    pub presses: i64,
    pub reminded_at: Timestamp,
}

pub struct Unit {
    pub person: u32,
    pub bank: u32,
    pub truth: Truth,
    /// The token opens another Item.
    pub foreign: bool,
    /// The application removed it.
    pub forgotten: bool,
    pub snoozed_until: Timestamp,
    /// There are accounts that could be shared.
    pub accounts: bool,
    /// Since when that is known.
    pub accounts_at: Timestamp,
    /// When what is true of it changed last.
    pub changed_at: Timestamp,
    /// When Plaid answered a question about it last.
    pub answered_at: Timestamp,
    pub broke_at: Timestamp,
    pub mended_at: Timestamp,
    pub outage: Option<u32>,
    /// Somebody here knows that it broke.
    pub is_known: bool,
    /// It broke again before anybody here knew that it had healed.
    pub unheard: bool,
    /// Somebody was through update mode.
    pub repaired_at: Timestamp,
    /// Whether the page told how it ended.
    pub session_told: bool,
    /// Reminders since it broke.
    pub reminders: u8,
    /// The last rung was among them.
    pub ended: bool,
    /// Reminders about the login that "it works again" did not answer.
    pub owed: u32,
    /// When letters about it left, within 30 days.
    pub recent: Vec<Timestamp>,
    pub waits: [Wait; 4],
}

pub struct Bank {
    pub id: InstitutionId,
    pub items: Vec<u32>,
    /// The outage that goes on.
    pub outage: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageKind {
    /// Plaid says of many Items that their users have to log in.
    Logins,
    /// Plaid says that the bank is down.
    Down,
}

pub struct Outage {
    pub bank: u32,
    pub kind: OutageKind,
    pub begins: Timestamp,
    pub ends: Timestamp,
    /// How many of a hundred Items fail.
    pub share: i64,
    /// Whether Plaid's institution status says that nobody can log in.
    pub said: bool,
    /// When its breaks came to be known here.
    pub known: Vec<Timestamp>,
    pub letters: u32,
    pub first_letter_to: u32,
}

pub struct Books {
    pub zones: Vec<TimeZone>,
    pub people: Vec<Person>,
    pub units: Vec<Unit>,
    pub banks: Vec<Bank>,
    pub outages: Vec<Outage>,
    /// When relinkd is down.
    pub downtimes: Vec<(Timestamp, Timestamp)>,
    /// How many letters the capped provider got, by day since 1970.
    pub provider_days: std::collections::BTreeMap<i64, u32>,
}

impl Books {
    pub fn is_down(&self, now: Timestamp) -> Option<Timestamp> {
        self.downtimes.iter().find(|(from, until)| *from <= now && now < *until).map(|(_, until)| *until)
    }
}
