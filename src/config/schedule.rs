//! `[schedule]`: when relinkd looks by itself.

use jiff::SignedDuration;

use super::reminders::duration;
use super::section::{Section, Wrong};
use crate::domain::cron::{Cron, CronError};
use crate::domain::ladder::parse_duration;

/// The shortest time between two routine looks at one Item. More often would be no routine, and Plaid allows 15 a minute.
const OBSERVE_EVERY_MIN: SignedDuration = SignedDuration::from_mins(10);

/// The longest. What no webhook tells would stay unknown for longer.
const OBSERVE_EVERY_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When relinkd looks by itself. Cron expressions are read in `[app] time_zone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When a sweep begins: every Item is asked about.
    pub sweep: Cron,
    /// When what nobody needs any more is deleted.
    pub purge: Cron,
    /// At least how often an Item is asked about that is broken, or of which something is doubtful.
    pub observe_broken_every: SignedDuration,
    /// At least how often any other is asked about.
    pub observe_healthy_every: SignedDuration,
}

impl Default for Schedule {
    fn default() -> Self {
        let cron = |text| Cron::parse(text).expect("an expression");
        Self {
            sweep: cron("0 17 3 * * *"),
            purge: cron("0 41 4 * * *"),
            observe_broken_every: SignedDuration::from_hours(6),
            observe_healthy_every: SignedDuration::from_hours(24),
        }
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Schedule {
    let default = Schedule::default();
    let appointment = |text: &str| Cron::parse(text).map_err(|error| cron(error, "0"));
    Schedule {
        sweep: section.optional("sweep", appointment).unwrap_or(default.sweep),
        purge: section.optional("purge", appointment).unwrap_or(default.purge),
        observe_broken_every: section.optional("observe_broken_every", every).unwrap_or(default.observe_broken_every),
        observe_healthy_every: section
            .optional("observe_healthy_every", every)
            .unwrap_or(default.observe_healthy_every),
    }
}

fn every(text: &str) -> Result<SignedDuration, Wrong> {
    let wait = parse_duration(text).map_err(duration)?;
    if !(OBSERVE_EVERY_MIN..=OBSERVE_EVERY_MAX).contains(&wait) {
        return Err("has to be from 10m to 7d".into());
    }
    Ok(wait)
}

/// What is wrong with a cron expression; `seconds` is the field to put in front of a crontab line.
pub(super) fn cron(error: CronError, seconds: &str) -> Wrong {
    match error {
        CronError::SecondsMissing(ref fields) => Wrong::with_value(&error, format!("{seconds} {fields}")),
        // The cron crate's own words are a caret below a copy of the text.
        CronError::Unreadable(_) => {
            "is no cron expression of 6 or 7 fields (second minute hour day month weekday [year], weekdays as names)"
                .into()
        }
        CronError::Never => error.into(),
    }
}
