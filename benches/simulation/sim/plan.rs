//! What kind of world is to be lived through, and what came of it.

use jiff::SignedDuration;
use relinkd::domain::ids::ItemId;
use relinkd::domain::item::Item;

/// How rough the world is, in times of a hundred.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub lost: i64,
    pub doubled: i64,
    pub late: i64,
    pub fails: i64,
    pub limited: i64,
}

const ROUGH: Weather = Weather { lost: 15, doubled: 25, late: 15, fails: 6, limited: 2 };

/// A mistake that a world has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    Nothing,
    /// Broken and doubtful Items are left out of the sweep.
    SuspectsLeftOut,
    /// Healthy Items are only asked about after webhooks.
    NobodySwept,
    /// A failed question is not asked again.
    FailuresForgotten,
}

/// What kind of world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub items: usize,
    pub days: i64,
    pub calls_per_minute: u32,
    pub weather: Weather,
    pub planted: Planted,
    /// From which hour on, and for how many, Plaid's API is away and every webhook is lost.
    pub outage: Option<(i64, i64)>,
    /// How long after the last thing that happens the Items are looked at.
    pub quiet: SignedDuration,
}

impl Plan {
    /// Fifty Items, ninety days, rough weather, and three days without Plaid somewhere in between.
    pub fn rough(seed: u64) -> Self {
        Self {
            seed,
            items: 50,
            days: 90,
            calls_per_minute: 1000,
            weather: ROUGH,
            planted: Planted::Nothing,
            outage: Some((24 * (10 + i64::try_from(seed % 40).expect("small")), 72)),
            quiet: SignedDuration::from_hours(30),
        }
    }

    /// A day, then three days without Plaid; after that nothing new happens.
    pub fn outage() -> Self {
        Self { days: 4, outage: Some((24, 72)), quiet: SignedDuration::from_hours(3), ..Self::rough(1) }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Over the Items as they are in the end, and over all that happened.
    pub hash: u64,
    /// Items about which something else is known than what Plaid says, in the end or for longer than [`WRONG_MAX`].
    pub wrong: Vec<(ItemId, &'static str)>,
    pub items: Vec<Item>,
    pub calls: u64,
    pub most_calls_in_a_minute: usize,
    pub webhooks: u64,
    /// How long after the end of the outage the last Item was known to be as it is.
    pub recovered_after: Option<SignedDuration>,
}
