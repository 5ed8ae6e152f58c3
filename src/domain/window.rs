//! The times of day at which a letter may leave: a cron expression, read in the user's own time zone.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::cron::{Cron, CronError};

/// The times at which a letter may leave: the seconds that a cron expression matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendWindow(Cron);

impl fmt::Display for SendWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SendWindow {
    /// Parses a cron expression whose matches are the seconds at which a letter may leave.
    ///
    /// # Errors
    /// [`CronError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        Cron::parse(text).map(Self)
    }

    /// For how long, up to `most`, the window is open after it has opened first from `from` on.
    #[must_use]
    pub fn open_for(&self, from: Timestamp, most: SignedDuration) -> SignedDuration {
        let Some(opens) = self.opens_at(from, &TimeZone::UTC) else { return SignedDuration::ZERO };
        let seconds = (1..most.as_secs()).find(|second| {
            let moment = opens + SignedDuration::from_secs(*second);
            !self.0.matches(moment, &TimeZone::UTC)
        });
        seconds.map_or(most, SignedDuration::from_secs)
    }

    /// The first moment from `now` on at which a letter may leave: `now` itself while the window is open.
    ///
    /// Nothing if it never opens again (an expression with years in the past).
    #[must_use]
    pub fn opens_at(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.0.matches(now, zone) {
            return Some(now);
        }
        // A second at the least, so that nobody comes back within the same one.
        self.0.next_after(now, zone).map(|opens| opens.max(now + SignedDuration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone of the database")
    }

    fn daytime() -> SendWindow {
        SendWindow::parse("* * 9-17 * * *").expect("a window")
    }

    #[test]
    fn open_by_day_and_shut_by_night_in_the_users_zone() {
        let berlin = zone("Europe/Berlin");
        let noon = time("2026-11-23T12:00:00Z");
        assert_eq!(daytime().opens_at(noon, &berlin), Some(noon));
        assert_eq!(daytime().opens_at(time("2026-11-23T17:00:00Z"), &berlin), Some(time("2026-11-24T08:00:00Z")));
        assert_eq!(daytime().opens_at(time("2026-11-23T07:59:59Z"), &berlin), Some(time("2026-11-23T08:00:00Z")));
        let tokyo = zone("Asia/Tokyo");
        assert_eq!(daytime().opens_at(noon, &tokyo), Some(time("2026-11-24T00:00:00Z")));
    }

    #[test]
    fn how_long_it_is_open() {
        let open_for = |text: &str| {
            let window = SendWindow::parse(text).expect("a window");
            window.open_for(time("2026-01-01T00:00:00Z"), SignedDuration::from_mins(15)).as_secs()
        };
        assert_eq!(open_for("* * 9-17 * * *"), 900);
        assert_eq!(open_for("* * * * * *"), 900);
        assert_eq!(open_for("* 0-9 9 * * *"), 600);
        assert_eq!(open_for("0 * 9-17 * * *"), 1);
        assert_eq!(open_for("0 0 9 * * *"), 1);
        assert_eq!(open_for("*/10 * * * * *"), 1);
    }

    #[test]
    fn an_hour_that_does_not_exist_shifts_forward() {
        let window = SendWindow::parse("0 30 2 * * *").expect("a window");
        let before = time("2026-03-29T00:00:00Z");
        assert_eq!(window.opens_at(before, &zone("Europe/Berlin")), Some(time("2026-03-29T01:30:00Z")));
    }

    #[test]
    fn never_in_the_past_while_clocks_are_set_back() {
        let new_york = zone("America/New_York");
        let window = SendWindow::parse("0 */15 * * * *").expect("a window");
        let start = time("2026-11-01T04:00:00Z");
        for minute in 0..180 {
            let now = start + SignedDuration::from_mins(minute) + SignedDuration::from_secs(7);
            let opens = window.opens_at(now, &new_york).expect("always again");
            assert!(opens > now, "{now} -> {opens}");
            assert!(opens < now + SignedDuration::from_mins(80), "{now} -> {opens}");
        }
    }
}
