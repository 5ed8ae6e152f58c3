//! The one place where time, ids and chance come in. Tests and the demo move the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use uuid::{NoContext, Uuid};

use crate::domain::ids::{LetterId, SessionId};

/// The longest sleep. Appointments are made on the wall clock, which can be set: so look at it again now and then.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// The wall clock, and how far it is moved.
#[derive(Clone)]
pub struct Clock(Arc<Moved>);

struct Moved {
    started: Instant,
    ahead_ms: AtomicI64,
    asleep_ms: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Moved {
            started: Instant::now(),
            ahead_ms: AtomicI64::new(0),
            asleep_ms: AtomicI64::new(0),
            moved: Notify::new(),
        }))
    }

    /// Now, in whole milliseconds: what the store keeps is what was decided with.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let system = Timestamp::now().as_millisecond();
        let ahead = self.0.ahead_ms.load(Ordering::SeqCst).saturating_add(self.0.asleep_ms.load(Ordering::SeqCst));
        let moved = system.saturating_add(ahead);
        Timestamp::from_millisecond(moved).unwrap_or(Timestamp::MAX)
    }

    /// How long this clock has run. Setting the system's clock does not change it; moving this one does.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        let ahead = Duration::from_millis(u64::try_from(self.0.ahead_ms.load(Ordering::SeqCst)).unwrap_or(0));
        self.0.started.elapsed() + ahead
    }

    /// Moves the clock on.
    pub fn advance(&self, by: SignedDuration) {
        self.0.ahead_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Has the machine sleep: the wall clock goes on, and nothing else does.
    pub fn sleep_machine(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.asleep_ms.fetch_add(millis, Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Waits until a moment, or a little less: the caller looks at the clock again.
    pub async fn sleep_towards(&self, moment: Option<Timestamp>) {
        let moved = self.0.moved.notified();
        let wait = match moment {
            None => SLEEP_MAX,
            Some(moment) => {
                let millis = moment.as_millisecond().saturating_sub(self.now().as_millisecond());
                Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(SLEEP_MAX)
            }
        };
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// A new id, in the order of time.
    #[must_use]
    pub fn new_uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or(0);
        let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1000, nanos))
    }

    /// The id of a new letter.
    #[must_use]
    pub fn new_letter(&self) -> LetterId {
        LetterId(self.new_uuid())
    }

    /// The id of a new press.
    #[must_use]
    pub fn new_session(&self) -> SessionId {
        SessionId(self.new_uuid())
    }

    /// Random bytes.
    ///
    /// # Panics
    /// If the system gives none: then nothing that must not be guessed may be made.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        SystemRandom::new().fill(&mut bytes).expect("the system gives randomness");
        bytes
    }

    /// When to try again after so many attempts: `first` doubling up to `most`, less up to a quarter by chance, so that what
    /// failed together does not come back together.
    #[must_use]
    pub fn retry_at(&self, attempts: u32, first: SignedDuration, most: SignedDuration) -> Timestamp {
        let doubled = first.as_millis().saturating_mul(1 << attempts.min(20)).min(most.as_millis());
        let millis = i64::try_from(doubled).unwrap_or(i64::MAX);
        let chance = i64::from(u16::from_le_bytes(self.random()));
        let less = millis / 4 * chance / i64::from(u16::MAX);
        self.now().checked_add(SignedDuration::from_millis(millis - less)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_up_to_a_limit() {
        let clock = Clock::system();
        for attempts in 0..40 {
            let before = clock.now();
            let at = clock.retry_at(attempts, SignedDuration::from_secs(2), SignedDuration::from_mins(15));
            let wait = at.duration_since(before);
            let full = (2_i64 << attempts.min(20)).min(15 * 60);
            assert!(wait <= SignedDuration::from_secs(full + 1), "{attempts}: {wait}");
            assert!(wait >= SignedDuration::from_millis(full * 740), "{attempts}: {wait}");
        }
    }

    #[test]
    fn ids_are_in_the_order_of_the_moved_clock() {
        let clock = Clock::system();
        let first = clock.new_uuid();
        clock.advance(SignedDuration::from_hours(1));
        assert!(clock.new_uuid() > first);
    }
}
