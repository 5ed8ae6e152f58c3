//! What kind of year, which mistake is planted in it, and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use relinkd::domain::compose::Line;

/// A mistake that the year has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    Nothing,
    /// Letters leave at any hour.
    WindowIgnored,
    /// Whoever moves keeps the old time zone.
    MoveUnheard,
    /// Who stopped all letters is written to.
    StopIgnored,
    /// Who asked for a pause is written to.
    SnoozeIgnored,
    /// A pause of one Item does not count.
    ItemSnoozeIgnored,
    /// An address that bounced is written to again.
    BounceIgnored,
    /// Plaid is not asked before a letter leaves.
    NotAskedAgain,
    /// Two letters to a user may follow at once.
    GapIgnored,
    /// The mailbox provider gets as many as there are.
    CapIgnored,
    /// An Item is written about without end.
    ItemCapIgnored,
    /// Outages hold nothing.
    BreakerIgnored,
    /// Plaid's word that a bank is down holds nothing.
    StatusIgnored,
    /// The first letter leaves at the break.
    NoWaitForHealing,
    /// While the bank is down, its Items are taken for broken.
    DownTakenForBroken,
    /// A token that opens another Item is taken for proven.
    ForeignMailed,
    /// Who withdrew permission is written to.
    RevokedMailed,
    /// The ladder does not end.
    LadderWithoutEnd,
    /// The ladder has one rung.
    LadderCutShort,
    /// Nobody is told that a ladder ended.
    EndUntold,
    /// One user in twenty is never composed for.
    SomeForgotten,
}

impl Planted {
    pub const ALL: [Self; 20] = [
        Self::WindowIgnored,
        Self::MoveUnheard,
        Self::StopIgnored,
        Self::SnoozeIgnored,
        Self::ItemSnoozeIgnored,
        Self::BounceIgnored,
        Self::NotAskedAgain,
        Self::GapIgnored,
        Self::CapIgnored,
        Self::ItemCapIgnored,
        Self::BreakerIgnored,
        Self::StatusIgnored,
        Self::NoWaitForHealing,
        Self::DownTakenForBroken,
        Self::ForeignMailed,
        Self::RevokedMailed,
        Self::LadderWithoutEnd,
        Self::LadderCutShort,
        Self::EndUntold,
        Self::SomeForgotten,
    ];
}

/// What is claimed of every letter, and of every user who waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// From 09:00 to 18:00 where the user is.
    ByDay,
    /// Not to whoever wants none, or none for a while.
    Wanted,
    /// Not to an address that takes none.
    Reachable,
    /// No two reminders within 24 hours.
    Gap,
    /// A mailbox provider gets no more in a day than its cap.
    ProviderCap,
    /// No more than six about an Item in 30 days.
    ItemCap,
    /// What it says is so at Plaid.
    So,
    /// Plaid was asked right before.
    Asked,
    /// Its user can do something about it, and the token is proven.
    Fixable,
    /// None about an outage of less than six hours.
    Outage,
    /// None about a break that heals within 30 minutes.
    Healed,
    /// No more rungs than there are, and no more after the last.
    Ladder,
    /// Operator and application are told of the last one.
    EndTold,
    /// Whoever can be written to is, in time.
    Written,
}

/// What kind of year.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub users: u32,
    /// Banks with many Items or some, and after them banks with one or a few.
    pub banks: u32,
    pub small_banks: u32,
    pub days: i64,
    /// Letters a day to the largest mailbox provider.
    pub provider_cap: u32,
    pub planted: Planted,
    /// Whether the mail server finds the sender at fault for some hours each month.
    pub server_sulks: bool,
    /// The user whose story is written down.
    pub story_of: Option<u32>,
    /// Whether the year ends with the first thing that is wrong.
    pub stops: bool,
}

impl Plan {
    /// A whole year of so many users.
    pub fn year(seed: u64, users: u32) -> Self {
        Self {
            seed,
            users,
            banks: (users / 50).clamp(8, 1000),
            small_banks: (users / 50).clamp(8, 1000) * 8,
            days: 365,
            provider_cap: (users / 100).max(2),
            planted: Planted::Nothing,
            server_sulks: false,
            story_of: None,
            stops: false,
        }
    }
}

/// Something that is not as claimed.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub at: Timestamp,
    pub user: u32,
    pub claim: Claim,
    pub what: String,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub wrong: Vec<Wrong>,
    /// Letters by what they say, and other things that were counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// How long users of the other mailbox providers waited for the first letter about a broken login, in minutes.
    pub waited: Vec<u32>,
    pub story: Vec<String>,
    /// Every letter of a small year: when it left, to whom, what it said.
    pub letters: Vec<(Timestamp, u32, Vec<Line>)>,
}

impl Outcome {
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn counted(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// So many of a thousand users waited no longer than this, in minutes.
    pub fn waited_at_most(&self, permille: usize) -> u32 {
        let mut waited = self.waited.clone();
        waited.sort_unstable();
        waited.get((waited.len().max(1) - 1) * permille / 1000).copied().unwrap_or(0)
    }
}
