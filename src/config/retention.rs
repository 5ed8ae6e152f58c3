//! `[retention]`: how long what happened is kept.

use jiff::SignedDuration;

use super::reminders::duration;
use super::section::{Section, Wrong};
use crate::domain::ladder::parse_duration;

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count * 24)
}

/// The shortest time for webhooks: a late one is compared with those of the last 24 hours.
const WEBHOOKS_MIN: SignedDuration = days(2);

/// The shortest time for the rest: caps look at 31 days of letters, and their links work for 30.
const HISTORY_MIN: SignedDuration = days(31);

/// The shortest time for events: an application that stood still for days finds those that it missed.
const EVENTS_MIN: SignedDuration = days(7);

/// How long what happened is kept. What is still needed is kept for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The bodies of webhooks, sealed bank data. Webhooks of Items that are not registered wait for so long.
    pub webhook_bodies: SignedDuration,
    /// What came in, and what became of it.
    pub webhooks: SignedDuration,
    /// The steps that explain no letter.
    pub journal: SignedDuration,
    /// Letters, with their links, and with the episodes and steps that explain them.
    pub letters: SignedDuration,
    /// Presses of the repair button.
    pub sessions: SignedDuration,
    /// What the application was told.
    pub events: SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            webhook_bodies: days(30),
            webhooks: days(90),
            journal: days(90),
            letters: days(730),
            sessions: days(90),
            events: days(90),
        }
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Retention {
    let default = Retention::default();
    let mut time = |key, least, usual| section.optional(key, |text| at_least(text, least)).unwrap_or(usual);
    let retention = Retention {
        webhook_bodies: time("webhook_bodies", WEBHOOKS_MIN, default.webhook_bodies),
        webhooks: time("webhooks", WEBHOOKS_MIN, default.webhooks),
        journal: time("journal", HISTORY_MIN, default.journal),
        letters: time("letters", HISTORY_MIN, default.letters),
        sessions: time("sessions", HISTORY_MIN, default.sessions),
        events: time("events", EVENTS_MIN, default.events),
    };
    if retention.webhooks < retention.webhook_bodies {
        section.fault("webhooks", "is shorter than webhook_bodies; a webhook is kept as long as its body");
    }
    retention
}

fn at_least(text: &str, least: SignedDuration) -> Result<SignedDuration, Wrong> {
    let time = parse_duration(text).map_err(duration)?;
    if time < least {
        return Err(format!("is shorter than {}d", least.as_hours() / 24).as_str().into());
    }
    Ok(time)
}
