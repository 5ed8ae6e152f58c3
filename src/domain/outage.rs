//! The outage breaker: when several logins break at one bank at once, it is the bank's fault, and letters about it wait.
//!
//! They wait six hours from the outage's beginning, however long bursts go on: what is broken for longer is news to its user,
//! and whether the bank is still down Plaid's institution status says better. A burst within six hours of another is the same
//! outage.

use jiff::{SignedDuration, Timestamp};

use super::item::{Item, Kind, Login, Token};

/// How long letters wait for a bank, from the outage's beginning; and how long it has to be calm until a burst is another
/// outage.
pub const HOLD: SignedDuration = SignedDuration::from_hours(6);

/// Breaks within so many minutes are looked at together.
pub const BURST_MINUTES: i64 = 10;

/// The fewest breaks that can be a burst.
pub const BURST_MIN: i64 = 2;

/// More than so many are one, unless the bank is so large ...
const MANY: i64 = 20;

/// ... that they are no more than one in so many of its Items.
const MANY_OF: i64 = 20;

/// Fewer are one if they are at least one in so many. Of Items that break four times a year, two of twenty break within ten
/// minutes by chance once in eight years, and then their users read of it some hours later.
const FEW_OF: i64 = 10;

/// Whether a step is a break that counts.
///
/// What was broken already when it came to be known here does not, at an import or with the first answer to a token; nor an
/// Item with a newer one in its place, which breaks with it; nor a login that broke less than [`BURST_MINUTES`] ago and only
/// seemed to work in between.
#[must_use]
pub fn is_break(before: &Item, after: &Item, now: Timestamp) -> bool {
    let breaks = before.open(Kind::LoginRequired).is_none() && after.open(Kind::LoginRequired).is_some();
    let is_news = before.token == Token::Proven && after.held_since().is_none() && after.superseded_by.is_none();
    let again = match &before.login {
        Login::Mended { episode, .. } => {
            now.duration_since(episode.what.broken_at) < SignedDuration::from_mins(BURST_MINUTES)
        }
        Login::Sound | Login::Broken(_) => false,
    };
    breaks && is_news && !again
}

/// Whether so many breaks within [`BURST_MINUTES`] are an outage of a bank with so many Items.
#[must_use]
pub const fn is_burst(broken: i64, items: i64) -> bool {
    (broken >= BURST_MIN && items <= broken * FEW_OF) || (broken > MANY && items < broken * MANY_OF)
}

/// How many Items make no burst of so many breaks, however many more there are.
#[must_use]
pub const fn items_that_matter(broken: i64) -> i64 {
    broken * MANY_OF
}

/// Bursts at one bank without six hours of calm between them. Moments are in minutes since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    began: i64,
    newest: i64,
}

impl Outage {
    /// A bank's first burst.
    #[must_use]
    pub const fn begins(minute: i64) -> Self {
        Self { began: minute, newest: minute }
    }

    /// One more burst at the bank, later than those before.
    #[must_use]
    pub const fn goes_on(self, minute: i64) -> Self {
        let began = if minute - self.newest > HOLD.as_mins() { minute } else { self.began };
        Self { began, newest: minute }
    }

    /// The first minute in which letters do not wait any more.
    #[must_use]
    pub const fn holds_until(self) -> i64 {
        self.began + 1 + HOLD.as_mins()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_much_of_a_small_bank_and_many_of_a_large_one() {
        for (broken, items_at_most) in [(2, 20), (3, 30), (19, 190), (20, 200), (21, 419), (100, 1999)] {
            assert!(is_burst(broken, broken) && is_burst(broken, items_at_most), "{broken}");
            assert!(!is_burst(broken, items_at_most + 1), "{broken} of {}", items_at_most + 1);
        }
        for items in 0..1000 {
            assert!(!is_burst(0, items) && !is_burst(1, items), "one login of {items} is no outage");
            // Where nothing is a burst, more Items change nothing.
            for broken in 2..50 {
                let most = items_that_matter(broken);
                assert!(items < most || !is_burst(broken, items) || is_burst(broken, most), "{broken} of {items}");
            }
        }
    }

    #[test]
    fn more_breaks_are_no_less_of_a_burst() {
        for items in 1..3000 {
            let first = (1..=items).find(|broken| is_burst(*broken, items));
            let Some(first) = first else { continue };
            assert!((first..=items).all(|broken| is_burst(broken, items)), "{items}");
        }
    }

    #[test]
    fn an_outage_holds_for_six_hours_and_begins_anew_after_six_of_calm() {
        let mut outage = Outage::begins(0);
        for minute in (10..=1440).step_by(10) {
            outage = outage.goes_on(minute);
            assert_eq!(outage.holds_until(), 361);
        }
        outage = outage.goes_on(1440 + 361);
        assert_eq!(outage.holds_until(), 1440 + 361 + 361);
    }
}
