//! When letters that come back are an alarm, and how long a pause lasts. Pure figures and rules.

use jiff::SignedDuration;

/// How many of the last letters are looked at, and how many there have to be at least.
pub const WINDOW: u32 = 200;

/// More that came back or were refused than so many in a hundred are an alarm. Mail providers begin to refuse a sender at about
/// five.
const PERCENT_MAX: u32 = 3;

/// The first wait before one letter tries whether the sender is believed again, doubling ...
const TRY_FIRST: SignedDuration = SignedDuration::from_mins(5);

/// ... up to this.
const TRY_MOST: SignedDuration = SignedDuration::from_hours(4);

/// Whether it is an alarm that so many among so many letters came back or were refused.
#[must_use]
pub fn are_an_alarm(bounced: u32, letters: u32) -> bool {
    letters >= WINDOW && bounced.saturating_mul(100) > letters.saturating_mul(PERCENT_MAX)
}

/// How long all letters wait after the sender was found at fault so many times in a row.
#[must_use]
pub fn wait_before_try(tries: u32) -> SignedDuration {
    let doubled = TRY_FIRST.as_secs().saturating_mul(1 << tries.saturating_sub(1).min(20));
    SignedDuration::from_secs(doubled.min(TRY_MOST.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_in_a_hundred_of_two_hundred_are_an_alarm() {
        assert!(!are_an_alarm(200, 199), "too few letters to say");
        assert!(!are_an_alarm(6, 200));
        assert!(are_an_alarm(7, 200));
        assert!(!are_an_alarm(30, 1000));
        assert!(are_an_alarm(31, 1000));
    }

    #[test]
    fn the_wait_doubles_up_to_four_hours() {
        let minutes = |tries| wait_before_try(tries).as_mins();
        assert_eq!([0, 1, 2, 3, 6, 7, 100].map(minutes), [5, 5, 10, 20, 160, 240, 240]);
    }
}
