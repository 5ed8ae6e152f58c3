//! `[reminders]`: when letters leave.

use jiff::{SignedDuration, Timestamp};

use super::schedule::cron;
use super::section::{Section, Wrong};
use crate::domain::ladder::{DurationError, Ladder, LadderError, parse_duration};
use crate::domain::policy::Policy;
use crate::domain::window::SendWindow;

/// The longest gap between two letters to a user. More would be no reminder.
const USER_GAP_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The shortest window. A mail server may take minutes to take a letter, and all users of a time zone share one.
const WINDOW_MIN: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn read(section: &mut Section<'_, '_>) -> Policy {
    let default = Policy::default();
    let login_required = ladder(section, "login_required", Ladder::up);
    let pending_expiration = ladder(section, "pending_expiration", Ladder::down);
    let new_accounts = ladder(section, "new_accounts", Ladder::up);
    let revoked = ladder(section, "revoked", Ladder::up);
    if revoked.as_ref().is_some_and(|ladder| ladder.len() > 1) {
        section.fault("revoked", "has several durations; a user who withdrew permission gets one letter at most");
    }
    Policy {
        login_required: login_required.unwrap_or(default.login_required),
        pending_expiration: pending_expiration.unwrap_or(default.pending_expiration),
        new_accounts: new_accounts.unwrap_or(default.new_accounts),
        revoked: revoked.unwrap_or(default.revoked),
        send_window: section.optional("send_window", send_window).unwrap_or(default.send_window),
        user_gap: section.optional("user_gap", user_gap).unwrap_or(default.user_gap),
        superseding: default.superseding,
    }
}

fn ladder(
    section: &mut Section<'_, '_>,
    key: &str,
    make: impl Fn(Vec<SignedDuration>) -> Result<Ladder, LadderError>,
) -> Option<Ladder> {
    let rungs = section.list(key, |text| parse_duration(text).map_err(duration))?;
    match make(rungs) {
        Ok(ladder) => Some(ladder),
        Err(error) => {
            section.fault(key, error);
            None
        }
    }
}

pub(super) fn duration(error: DurationError) -> Wrong {
    Wrong::with_remedy(error, "Write: \"0s\", \"30m\", \"12h\" or \"3d\".")
}

fn send_window(text: &str) -> Result<SendWindow, Wrong> {
    let window = SendWindow::parse(text).map_err(|error| cron(error, "*"))?;
    let open = window.open_for(Timestamp::UNIX_EPOCH, WINDOW_MIN);
    if open == WINDOW_MIN {
        return Ok(window);
    }
    let (seconds, minutes) = (open.as_secs(), WINDOW_MIN.as_mins());
    Err(Wrong::with_remedy(
        format!("opens for {seconds} s only, and letters need {minutes} minutes or more to leave"),
        "Write: \"* * 9-17 * * *\" for every second from 09:00 to 17:59.",
    ))
}

fn user_gap(text: &str) -> Result<SignedDuration, Wrong> {
    let gap = parse_duration(text).map_err(duration)?;
    if gap > USER_GAP_MAX {
        return Err("is longer than 30d".into());
    }
    Ok(gap)
}
