//! All that knows SQL: whole operations, each atomic, each on disk when it answers.
//!
//! One thread writes (`writer`), a few connections read. An operation that changes something takes pure functions of the
//! domain that may run twice; a transaction is never handed out, and never held across the network. Secrets are sealed
//! before they reach a row (`seal`). This folder does not know Plaid, mail or HTTP.

mod accounts;
mod columns;
mod data_keys;
mod error;
mod events;
mod inbox;
mod items;
mod letter_outcome;
mod letter_views;
mod letters;
mod links;
mod migrations;
mod open;
mod operations;
mod outbox;
mod pauses;
mod purge;
mod releases;
pub mod seal;
mod sealing;
mod siblings;
mod steps;
mod suppressions;
mod sweep;
mod users;
mod verification_keys;
mod views;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};

pub use accounts::Account;
pub use data_keys::DataKeyView;
pub use error::{OpenError, StoreError};
pub use events::{EventFilter, EventRow, LETTER_DUE};
pub use inbox::{
    Age, Backlog, Known, ListedWebhook, Meaning, NewWebhook, PARKED_MAX, PARKED_PER_ITEM_MAX, Receipt, STRANGERS_MAX,
    Source, Unless, Unread, Verdict, WebhookFilter,
};
pub use letter_outcome::{LetterOutcome, Refusal};
pub use letter_views::{LetterFilter, LetterView, LineView, Outgoing};
pub use letters::{Begun, ClaimedLetter, OnItsWay};
pub use links::{LINK_LIFE, Purpose, Session};
pub use migrations::{SCHEMA, VERSION};
pub use operations::{
    Agenda, Asked, Back, Candidates, Composed, Composer, Departure, IMPORT_ROWS_MAX, Imported, MailReport, Mode,
    NewItem, NewUser, Outlook, Registered, Released, Reported, SealingAnew, Settled, Whose, Written,
};
pub use outbox::{Claimed, Settlement};
pub use pauses::{Pause, PauseReason};
pub use purge::{Cutoffs, Purge};
pub use releases::{Pace, Plan, Waiting};
pub use sealing::Left;
pub use steps::{Decision, JournalRow, Rule, Told};
pub use suppressions::{Suppression, SuppressionView, Teller};
pub use sweep::{Appointment, Floors};
pub use users::{NewProfile, Profile, Wish};
pub use verification_keys::StoredKey;
pub use views::{ItemFilter, ItemRecord};

use seal::Sealer;
use writer::Threads;

/// An open store. Clones share it; it closes when the last is dropped.
#[derive(Clone)]
pub struct Store {
    threads: Threads,
    inner: Arc<Inner>,
}

struct Inner {
    sealer: Sealer,
    /// Numbers are given before the row is written, since a body is sealed for its row.
    last_webhook: AtomicI64,
    last_lease: AtomicI64,
    /// Webhooks that were noted since strangers' were counted last.
    noted: AtomicU64,
    /// Webhooks of strangers that were deleted since start.
    strangers_dropped: AtomicU64,
    /// Held as long as the store is open.
    _lock: std::fs::File,
}

impl Store {
    /// Opens a store, or makes a new one. Leases of an earlier process are void.
    ///
    /// Blocks for as long as the file system takes: call it at start, before anything is served.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(path: &Path, mut sealer: Sealer, now: Timestamp) -> Result<Self, OpenError> {
        let opened = open::open(path, &mut sealer, now)?;
        let store = |error| OpenError::Store { path: path.display().to_string(), error };
        let last = inbox::last_id(&opened.connection).map_err(store)?;
        let threads = Threads::start(opened.connection, path).map_err(store)?;
        let inner = Inner {
            sealer,
            last_webhook: AtomicI64::new(last),
            last_lease: AtomicI64::new(0),
            noted: AtomicU64::new(0),
            strangers_dropped: AtomicU64::new(0),
            _lock: opened.lock,
        };
        Ok(Self { threads, inner: Arc::new(inner) })
    }

    /// Seals a verified webhook for its future row.
    #[must_use]
    pub fn seal_webhook(
        &self,
        received_at: Timestamp,
        signed_at: Timestamp,
        age: Age,
        body_sha256: [u8; 32],
        body: &[u8],
    ) -> NewWebhook {
        let id = self.webhook_ids(1);
        let body = self.inner.sealer.seal(inbox::place(&id.to_string()), body);
        NewWebhook { id, received_at, signed_at, age, body_sha256, body }
    }

    /// Numbers for so many webhooks in a row; the first of them.
    fn webhook_ids(&self, count: usize) -> i64 {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inner.last_webhook.fetch_add(count, Ordering::Relaxed) + 1
    }

    /// Waits until all that was asked for is on disk. The files are closed when the last handle is dropped.
    pub async fn close(&self) {
        let _ = self.threads.write(|_| Ok(())).await;
    }

    fn lease(&self) -> i64 {
        self.inner.last_lease.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Later by a duration; the end of time where there is no later.
fn later(moment: Timestamp, wait: SignedDuration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}
