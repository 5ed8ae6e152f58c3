//! What is done in the background, a few rows a step: sealing anew after a new `data_key`, and deleting what nobody needs
//! any more.
//!
//! Each step is short, and between two of them whatever waits for the store's writer goes first: webhooks before all. A crash
//! loses nothing but the step; how far it came stands in the store.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::schedule::REST;
use crate::config::Retention;
use crate::store::{Cutoffs, Purge, SealingAnew, StoreError};

/// How many rows one step looks at: some milliseconds of the writer's time.
const ROWS: u32 = 200;

/// How long to rest after a step. The writer has nine tenths of its time for others.
const PAUSE: Duration = Duration::from_millis(20);

/// How many pauses to wait at most while others want the writer: or a busy daemon would never come to an end.
const PAUSES_MAX: u32 = 5;

/// How long breaks are counted: longer than the outage breaker looks back, which reads them all each time.
const BREAKS: SignedDuration = SignedDuration::from_hours(24);

/// How often progress is told in the log.
const TELL_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Seals anew what another key sealed, and ends. At most starts there is nothing to do.
pub async fn seal_anew(engine: Engine) {
    let mut told_at = Timestamp::MIN;
    loop {
        match engine.store.seal_anew(ROWS, engine.clock.now()).await {
            Ok(SealingAnew::Nothing) => return,
            Ok(SealingAnew::Finished) => return tell_finished(&engine).await,
            Ok(SealingAnew::Left(rows)) => {
                let now = engine.clock.now();
                if now.duration_since(told_at) >= TELL_EVERY {
                    told_at = now;
                    tracing::info!(rows, "data_key is another one: {rows} rows are left to be sealed anew");
                }
                if breathe(&engine).await.is_stopped() {
                    return;
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!("store: {error}");
                if rest(&engine, REST).await.is_stopped() {
                    return;
                }
            }
        }
    }
}

/// Deletes what is older than `[retention]` says, and ends. A second one waits for the first; what a crash leaves is found the
/// next time.
pub(super) async fn purge(engine: Engine) {
    let _turn = engine.purging.lock().await;
    let began = engine.clock.now();
    let mut purge = Purge::new(cutoffs(&engine.config.retention, began));
    loop {
        match engine.store.purge(purge.clone(), ROWS).await {
            Ok((done, true)) => {
                let (rows, took) = (done.deleted(), engine.clock.now().duration_since(began).as_secs());
                tracing::info!(rows, took_secs = took, "purged: {rows} rows were old and not needed any more");
                return;
            }
            Ok((further, false)) => {
                purge = further;
                if breathe(&engine).await.is_stopped() {
                    return;
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!("store: {error}");
                if rest(&engine, REST).await.is_stopped() {
                    return;
                }
            }
        }
    }
}

fn cutoffs(retention: &Retention, now: Timestamp) -> Cutoffs {
    let before = |age| now.checked_sub(age).unwrap_or(Timestamp::MIN);
    Cutoffs {
        bodies: before(retention.webhook_bodies),
        webhooks: before(retention.webhooks),
        journal: before(retention.journal),
        letters: before(retention.letters),
        sessions: before(retention.sessions),
        events: before(retention.events),
        breaks: before(BREAKS),
    }
}

async fn tell_finished(engine: &Engine) {
    let keys = engine.store.data_keys().await.unwrap_or_default();
    for key in keys.iter().filter(|key| key.can_be_removed).map(|key| key.key_id) {
        tracing::info!(%key, "nothing is sealed with data key {key} any more: it can be removed from [store] data_keys_old");
    }
}

/// Whether to go on.
#[must_use]
enum Rested {
    Rested,
    Stopped,
}

impl Rested {
    fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }
}

/// Lets others use the store.
async fn breathe(engine: &Engine) -> Rested {
    for _ in 0..PAUSES_MAX {
        let rested = rest(engine, PAUSE).await;
        if rested.is_stopped() || !engine.store.is_pressed() {
            return rested;
        }
    }
    Rested::Rested
}

async fn rest(engine: &Engine, pause: Duration) -> Rested {
    tokio::select! {
        () = tokio::time::sleep(pause) => Rested::Rested,
        () = engine.stop.cancelled() => Rested::Stopped,
    }
}
