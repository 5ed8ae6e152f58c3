//! Ladders: when the reminders of one episode are due.
//!
//! A ladder is a list of durations. It counts *up* from a moment (the break of a login) or *down* to one (the end of a
//! consent). A rung that is already past when its condition opens is due at once, and of several past ones only the latest
//! counts: catching up after a week of downtime is one letter, not five.

use jiff::{SignedDuration, Timestamp};

/// The most rungs that a ladder may have. More than a handful of letters about one thing is no help to anybody.
pub const RUNGS_MAX: usize = 12;

/// The longest duration that a rung may have.
pub const RUNG_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Why a list of durations is no ladder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// More than [`RUNGS_MAX`].
    #[error("has {0} rungs; at most {RUNGS_MAX} are allowed")]
    TooMany(usize),
    /// A ladder that counts up has a rung that is not later than the one before.
    #[error("counts up, so each duration has to be longer than the one before")]
    NotAscending,
    /// A ladder that counts down has a rung that is not later than the one before.
    #[error("counts down to a deadline, so each duration has to be shorter than the one before")]
    NotDescending,
    /// A ladder that counts down names the deadline itself. What is so then is a question for Plaid: a connection that ended
    /// is a login that is broken, with a ladder of its own.
    #[error("names the deadline itself (0s): from then on the login is broken, and login_required counts; take it out")]
    AtDeadline,
    /// Longer than [`RUNG_MAX`], or negative.
    #[error("has a duration outside 0s to 366d")]
    OutOfRange,
}

/// When the reminders of an episode are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    direction: Direction,
    rungs: Vec<SignedDuration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Where an episode stands on its ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Standing {
    /// This rung is due now.
    Due {
        /// The rung, from 0.
        rung: u8,
    },
    /// The next rung is in the future.
    Next {
        /// When it is due.
        at: Timestamp,
    },
    /// No rung is left.
    Ended,
}

impl Ladder {
    /// A ladder that counts up from a moment: each duration longer than the one before.
    ///
    /// # Errors
    /// [`LadderError`] names the rule that the list breaks.
    pub fn up(rungs: Vec<SignedDuration>) -> Result<Self, LadderError> {
        if rungs.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(LadderError::NotAscending);
        }
        Self::checked(Direction::Up, rungs)
    }

    /// A ladder that counts down to a deadline: each duration shorter than the one before.
    ///
    /// # Errors
    /// [`LadderError`] names the rule that the list breaks.
    pub fn down(rungs: Vec<SignedDuration>) -> Result<Self, LadderError> {
        if rungs.windows(2).any(|pair| pair[0] <= pair[1]) {
            return Err(LadderError::NotDescending);
        }
        if rungs.last().is_some_and(SignedDuration::is_zero) {
            return Err(LadderError::AtDeadline);
        }
        Self::checked(Direction::Down, rungs)
    }

    fn checked(direction: Direction, rungs: Vec<SignedDuration>) -> Result<Self, LadderError> {
        if rungs.len() > RUNGS_MAX {
            return Err(LadderError::TooMany(rungs.len()));
        }
        if rungs.iter().any(|rung| rung.is_negative() || *rung > RUNG_MAX) {
            return Err(LadderError::OutOfRange);
        }
        Ok(Self { direction, rungs })
    }

    /// How many rungs there are.
    #[must_use]
    pub fn len(&self) -> u8 {
        u8::try_from(self.rungs.len()).unwrap_or(u8::MAX)
    }

    /// Whether there is no rung at all: no letters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// The first rung's duration. For a ladder that counts up it is the wait for self-healing.
    #[must_use]
    pub fn first(&self) -> Option<SignedDuration> {
        self.rungs.first().copied()
    }

    /// Where an episode stands: counted from (or down to) `anchor`, with `passed` rungs behind, and nothing due before
    /// `floor`.
    pub fn standing(&self, anchor: Timestamp, passed: u8, floor: Timestamp, now: Timestamp) -> Standing {
        let times = self.rungs.iter().map(|rung| self.at(anchor, *rung).max(floor));
        let mut ahead = (0_u8..).zip(times).skip(usize::from(passed)).peekable();
        let mut due = None;
        while let Some((rung, at)) = ahead.peek().copied() {
            if at > now {
                break;
            }
            due = Some(rung);
            ahead.next();
        }
        match (due, ahead.next()) {
            (Some(rung), _) => Standing::Due { rung },
            (None, Some((_, at))) => Standing::Next { at },
            (None, None) => Standing::Ended,
        }
    }

    fn at(&self, anchor: Timestamp, rung: SignedDuration) -> Timestamp {
        let moved = match self.direction {
            Direction::Up => anchor.checked_add(rung),
            Direction::Down => anchor.checked_sub(rung),
        };
        // Only an anchor at the edge of time can overflow; such a rung is never due.
        moved.unwrap_or(Timestamp::MAX)
    }
}

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no duration: write a whole number and s, m, h or d, such as \"30m\" or \"3d\"")]
pub struct DurationError;

/// Parses `0s`, `30m`, `12h`, `3d`. A day is 24 hours.
///
/// # Errors
/// [`DurationError`] if the text is anything else.
pub fn parse_duration(text: &str) -> Result<SignedDuration, DurationError> {
    let unit = text.chars().last().ok_or(DurationError)?;
    let secs_per_unit: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(DurationError),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DurationError);
    }
    let count: i64 = digits.parse().map_err(|_| DurationError)?;
    count.checked_mul(secs_per_unit).map(SignedDuration::from_secs).ok_or(DurationError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(list: &[i64]) -> Vec<SignedDuration> {
        list.iter().map(|m| SignedDuration::from_mins(*m)).collect()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn counts_up_one_rung_after_the_other() {
        let ladder = Ladder::up(minutes(&[30, 60, 90])).expect("ascending");
        assert_eq!(ladder.standing(at(0), 0, at(0), at(29)), Standing::Next { at: at(30) });
        assert_eq!(ladder.standing(at(0), 0, at(0), at(30)), Standing::Due { rung: 0 });
        assert_eq!(ladder.standing(at(0), 1, at(0), at(59)), Standing::Next { at: at(60) });
        assert_eq!(ladder.standing(at(0), 3, at(0), at(999)), Standing::Ended);
    }

    #[test]
    fn only_the_latest_of_several_past_rungs_counts() {
        let ladder = Ladder::up(minutes(&[30, 60, 90])).expect("ascending");
        assert_eq!(ladder.standing(at(0), 0, at(0), at(75)), Standing::Due { rung: 1 });
        assert_eq!(ladder.standing(at(0), 1, at(0), at(100)), Standing::Due { rung: 2 });
    }

    #[test]
    fn counts_down_to_a_deadline() {
        let ladder = Ladder::down(minutes(&[70, 10, 1])).expect("descending");
        assert_eq!(ladder.standing(at(100), 0, at(0), at(10)), Standing::Next { at: at(30) });
        assert_eq!(ladder.standing(at(100), 0, at(0), at(30)), Standing::Due { rung: 0 });
        assert_eq!(ladder.standing(at(100), 1, at(0), at(95)), Standing::Due { rung: 1 });
        assert_eq!(ladder.standing(at(100), 2, at(0), at(98)), Standing::Next { at: at(99) });
    }

    #[test]
    fn nothing_is_due_before_the_floor() {
        let ladder = Ladder::up(minutes(&[30, 60])).expect("ascending");
        assert_eq!(ladder.standing(at(0), 0, at(80), at(70)), Standing::Next { at: at(80) });
        assert_eq!(ladder.standing(at(0), 0, at(80), at(80)), Standing::Due { rung: 1 });
    }

    #[test]
    fn refuses_lists_that_are_no_ladder() {
        assert_eq!(Ladder::up(minutes(&[5, 5])), Err(LadderError::NotAscending));
        assert_eq!(Ladder::down(minutes(&[5, 6])), Err(LadderError::NotDescending));
        assert_eq!(Ladder::down(minutes(&[5, 0])), Err(LadderError::AtDeadline));
        assert_eq!(Ladder::up((1..=13).map(SignedDuration::from_mins).collect()), Err(LadderError::TooMany(13)));
        assert_eq!(Ladder::up(vec![SignedDuration::from_hours(9000)]), Err(LadderError::OutOfRange));
        assert!(Ladder::up(Vec::new()).is_ok_and(|ladder| ladder.is_empty()));
    }

    #[test]
    fn durations_have_one_spelling() {
        assert_eq!(parse_duration("0s"), Ok(SignedDuration::ZERO));
        assert_eq!(parse_duration("30m"), Ok(SignedDuration::from_mins(30)));
        assert_eq!(parse_duration("3d"), Ok(SignedDuration::from_hours(72)));
        for bad in ["", "3", "d", "-1d", "1.5h", "1 d", "1w", "99999999999999999999d", "9223372036854775807d", "3é"] {
            assert_eq!(parse_duration(bad), Err(DurationError), "{bad:?}");
        }
    }
}
