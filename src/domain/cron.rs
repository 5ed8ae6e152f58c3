//! A cron expression, read on the wall clock of a time zone.
//!
//! The `cron` crate goes wrong where clocks are set back (`next` can lie in the past), so the expression is evaluated on the
//! wall clock *as if it were UTC*, and the result is mapped back by the time zone: an hour that does not exist shifts
//! forward, an hour that comes twice counts once.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeZone as _, Timelike, Utc};
use cron::Schedule;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

/// How many matches are skipped at most to find one that is not past: those of a repeated hour, if each second matches.
const PAST_MATCHES_MAX: usize = 2 * 60 * 60;

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// A crontab line without the seconds that this dialect begins with.
    #[error("has 5 fields; this cron begins with seconds")]
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

/// A cron expression: seconds first, weekdays as names.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    schedule: Schedule,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// Parses an expression of 6 or 7 fields.
    ///
    /// # Errors
    /// [`CronError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.split_whitespace().count() == 5 {
            return Err(CronError::SecondsMissing(text.trim().to_owned()));
        }
        let schedule = Schedule::from_str(text).map_err(|error| CronError::Unreadable(error.to_string()))?;
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("a date that exists");
        if schedule.after(&start).next().is_none() {
            return Err(CronError::Never);
        }
        Ok(Self { text: text.to_owned(), schedule })
    }

    /// Whether the second of a moment matches.
    #[must_use]
    pub fn matches(&self, moment: Timestamp, zone: &TimeZone) -> bool {
        as_if_utc(zone.to_datetime(moment)).is_some_and(|wall| self.schedule.includes(wall))
    }

    /// The first match later than a moment. Nothing if there is none (an expression with years in the past).
    ///
    /// While an hour is repeated because clocks are set back, there is none: each reading of the clock counts once.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let wall = as_if_utc(zone.to_datetime(moment))?;
        let matches = self.schedule.after(&wall).take(PAST_MATCHES_MAX);
        let instants = matches.filter_map(|next| zone.to_ambiguous_timestamp(from_utc(next)?).compatible().ok());
        instants.into_iter().find(|at| *at > moment)
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

    /// Every match between two moments.
    fn all(text: &str, name: &str, from: &str, until: &str) -> Vec<String> {
        let (cron, zone) = (Cron::parse(text).expect("an expression"), zone(name));
        let next = |at: &Timestamp| cron.next_after(*at, &zone);
        let matches = std::iter::successors(next(&time(from)), next);
        matches.take_while(|at| *at < time(until)).map(|at| at.to_string()).collect()
    }

    #[test]
    fn a_daily_appointment_is_kept_once_a_day_in_every_week_of_the_year() {
        let night = "0 30 1 * * *";
        let fold = all(night, "America/New_York", "2026-10-31T12:00:00Z", "2026-11-03T12:00:00Z");
        assert_eq!(fold, ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z", "2026-11-03T06:30:00Z"]);
        let gap = all("0 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(gap, ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
        assert_eq!(all(night, "Europe/Berlin", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").len(), 365);
    }

    #[test]
    fn matches_never_go_back_while_clocks_are_set_back() {
        let cron = Cron::parse("* * * * * *").expect("an expression");
        let new_york = zone("America/New_York");
        let second_pass = time("2026-11-01T06:00:00Z");
        assert_eq!(cron.next_after(second_pass, &new_york), Some(time("2026-11-01T07:00:00Z")));
        assert!(cron.matches(second_pass, &new_york));
        let quarters = all("0 */15 * * * *", "America/New_York", "2026-11-01T04:50:00Z", "2026-11-01T07:20:00Z");
        assert_eq!(quarters.len(), 6, "05:00 to 05:45, then 07:00 and 07:15: {quarters:?}");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        assert_eq!(Cron::parse("* 9-17 * * *"), Err(CronError::SecondsMissing("* 9-17 * * *".to_owned())));
        assert_eq!(Cron::parse("0 0 9 30 2 *"), Err(CronError::Never));
        assert!(matches!(Cron::parse("sometimes"), Err(CronError::Unreadable(_))));
    }
}
