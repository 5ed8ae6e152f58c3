//! How long there are to be no letters: until a moment, or for a while. The same for an Item and for a user.

use jiff::Timestamp;
use serde::Deserialize;

use super::problem::Problem;
use crate::domain::ladder::parse_duration;

/// How long there are to be no letters. One of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnoozeBody {
    until: Option<Timestamp>,
    /// A duration such as "3d", from now on.
    r#for: Option<String>,
}

impl SnoozeBody {
    /// When letters are written again.
    pub(super) fn ends(&self, now: Timestamp) -> Result<Timestamp, Problem> {
        let until = match (self.until, &self.r#for) {
            (Some(until), None) => until,
            (None, Some(duration)) => {
                let wait = parse_duration(duration).map_err(|error| Problem::invalid(format!("for {error}")))?;
                now.checked_add(wait).map_err(|_| Problem::invalid("for is longer than time lasts"))?
            }
            (None, None) => return Err(Problem::invalid("give until, a time, or for, a duration such as \"3d\"")),
            (Some(_), Some(_)) => return Err(Problem::invalid("give either until or for, not both")),
        };
        if until > now { Ok(until) } else { Err(Problem::invalid("until is in the past")) }
    }
}
