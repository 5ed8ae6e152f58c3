//! The times of day at which a letter may leave: a cron expression, read in the user's own time zone.
//!
//! The `cron` crate goes wrong where clocks are set back (`next` can lie in the past), so the expression is evaluated on the
//! wall clock *as if it were UTC*, and the result is mapped back by the time zone: an hour that does not exist shifts
//! forward, an hour that comes twice counts once.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeZone as _, Timelike, Utc};
use cron::Schedule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

/// Why a text is no send window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A crontab line without the seconds that this dialect begins with.
    #[error("has 5 fields; this cron begins with seconds: write \"* {0}\"")]
    SecondsMissing(String),
    /// The cron crate does not understand it.
    #[error(
        "is no cron expression of 6 or 7 fields (second minute hour day month weekday [year], weekdays as names): {0}"
    )]
    Unreadable(String),
    /// It never matches, like 30 February.
    #[error("never matches")]
    Never,
}

/// The times at which a letter may leave.
#[derive(Clone, Debug)]
pub struct SendWindow {
    text: String,
    schedule: Schedule,
}

impl PartialEq for SendWindow {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SendWindow {}

impl fmt::Display for SendWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl SendWindow {
    /// Parses a cron expression whose matches are the seconds at which a letter may leave.
    ///
    /// # Errors
    /// [`WindowError`] says what is wrong and, where it can, what to write.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        if text.split_whitespace().count() == 5 {
            return Err(WindowError::SecondsMissing(text.trim().to_owned()));
        }
        let schedule = Schedule::from_str(text).map_err(|error| WindowError::Unreadable(error.to_string()))?;
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("a date that exists");
        if schedule.after(&start).next().is_none() {
            return Err(WindowError::Never);
        }
        Ok(Self { text: text.to_owned(), schedule })
    }

    /// The first moment from `now` on at which a letter may leave: `now` itself while the window is open.
    ///
    /// Nothing if it never opens again (an expression with years in the past).
    #[must_use]
    pub fn opens_at(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let wall = as_if_utc(zone.to_datetime(now))?;
        if self.schedule.includes(wall) {
            return Some(now);
        }
        let next = from_utc(self.schedule.after(&wall).next()?)?;
        let opens = zone.to_ambiguous_timestamp(next).compatible().ok()?;
        // Where clocks are set back, the wall clock's next match can be an instant that is already past.
        Some(opens.max(now + SignedDuration::from_secs(1)))
    }
}

fn as_if_utc(wall: civil::DateTime) -> Option<DateTime<Utc>> {
    let field = |value: i8| u32::try_from(value).ok();
    Utc.with_ymd_and_hms(
        i32::from(wall.year()),
        field(wall.month())?,
        field(wall.day())?,
        field(wall.hour())?,
        field(wall.minute())?,
        field(wall.second())?,
    )
    .single()
}

fn from_utc(wall: DateTime<Utc>) -> Option<civil::DateTime> {
    let field = |value: u32| i8::try_from(value).ok();
    civil::DateTime::new(
        i16::try_from(wall.year()).ok()?,
        field(wall.month())?,
        field(wall.day())?,
        field(wall.hour())?,
        field(wall.minute())?,
        field(wall.second())?,
        0,
    )
    .ok()
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

    #[test]
    fn errors_say_what_to_write() {
        assert_eq!(SendWindow::parse("* 9-17 * * *"), Err(WindowError::SecondsMissing("* 9-17 * * *".to_owned())));
        assert_eq!(SendWindow::parse("0 0 9 30 2 *"), Err(WindowError::Never));
        assert!(matches!(SendWindow::parse("sometimes"), Err(WindowError::Unreadable(_))));
    }
}
