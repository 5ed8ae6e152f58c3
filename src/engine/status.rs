//! How the outside does, for `/readyz` and for the operator: Plaid, the mail server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How far our clock and Plaid's may be apart, in seconds. From 300 on every webhook would come late.
const CLOCK_OFF_MAX_SECS: i64 = 60;

/// What was seen of the outside lately.
#[derive(Default)]
pub struct Status {
    plaid_fault: Mutex<Option<String>>,
    mail_fault: Mutex<Option<String>>,
    last_letter_at: Mutex<Option<Timestamp>>,
    last_round_at: Mutex<Option<Timestamp>>,
    refused_signatures: AtomicU64,
    untimely_signatures: AtomicU64,
    missed_webhooks: AtomicU64,
    plaid_clock_ahead_secs: AtomicI64,
}

/// The same, to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Why the last call to Plaid failed.
    pub plaid: Option<String>,
    /// Why the last letter did not leave.
    pub mail: Option<String>,
    /// When the mail server last took a letter.
    pub last_letter_at: Option<Timestamp>,
    /// When the loop last did what was due. It does so at least every half minute.
    pub last_round_at: Option<Timestamp>,
    /// Webhooks that were refused since start, because their signature is missing or wrong.
    pub refused_signatures: u64,
    /// Webhooks since start whose signature is right and was not made just now. When it is often, a clock is wrong.
    pub untimely_signatures: u64,
    /// Webhooks since start of which Plaid says that it sent them, and which never came.
    pub missed_webhooks: u64,
    /// How far Plaid's clock is ahead of ours, in seconds; nothing while that is less than a minute.
    pub plaid_clock_ahead_secs: Option<i64>,
}

impl Status {
    pub(super) fn plaid_answered(&self) {
        *lock(&self.plaid_fault) = None;
    }

    /// Says whether that is news.
    pub(super) fn plaid_failed(&self, why: &str) -> bool {
        let before = lock(&self.plaid_fault).replace(why.to_owned());
        before.as_deref() != Some(why)
    }

    pub(super) fn letter_left(&self, now: Timestamp) {
        *lock(&self.mail_fault) = None;
        *lock(&self.last_letter_at) = Some(now);
    }

    pub(super) fn round_done(&self, now: Timestamp) {
        *lock(&self.last_round_at) = Some(now);
    }

    /// Whether the mail server took a letter within a day.
    pub(super) fn letters_leave(&self, now: Timestamp) -> bool {
        lock(&self.last_letter_at).is_some_and(|at| now.duration_since(at) < SignedDuration::from_hours(24))
    }

    pub(super) fn mail_failed(&self, why: &str) {
        *lock(&self.mail_fault) = Some(why.to_owned());
    }

    /// Counts a webhook whose signature is missing or wrong.
    pub fn signature_refused(&self) {
        self.refused_signatures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a webhook whose signature is right and not of this moment. Says how many there were.
    pub fn signature_untimely(&self) -> u64 {
        self.untimely_signatures.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn webhook_missed(&self) {
        self.missed_webhooks.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how far Plaid's clock is ahead. Says whether it is news that it is far.
    pub(super) fn plaid_clock(&self, ahead_secs: i64) -> bool {
        let before = self.plaid_clock_ahead_secs.swap(ahead_secs, Ordering::Relaxed);
        is_far(ahead_secs) && !is_far(before)
    }

    /// What was seen lately.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            plaid: lock(&self.plaid_fault).clone(),
            mail: lock(&self.mail_fault).clone(),
            last_letter_at: *lock(&self.last_letter_at),
            last_round_at: *lock(&self.last_round_at),
            refused_signatures: self.refused_signatures.load(Ordering::Relaxed),
            untimely_signatures: self.untimely_signatures.load(Ordering::Relaxed),
            missed_webhooks: self.missed_webhooks.load(Ordering::Relaxed),
            plaid_clock_ahead_secs: Some(self.plaid_clock_ahead_secs.load(Ordering::Relaxed)).filter(|s| is_far(*s)),
        }
    }
}

fn is_far(ahead_secs: i64) -> bool {
    ahead_secs.saturating_abs() > CLOCK_OFF_MAX_SECS
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
