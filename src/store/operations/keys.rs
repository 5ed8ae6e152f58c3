//! Sealing anew with the present key, step by step.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use super::Result;
use crate::store::data_keys::DataKeyView;
use crate::store::{Store, data_keys, sealing};

/// How many rows are counted at once. Only read, so it may be more than are sealed anew at once.
const COUNTED_AT_ONCE: u32 = 2000;

/// How sealing anew stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealingAnew {
    /// About so many rows are left.
    Left(u64),
    /// Everything is sealed with the present key, since this step.
    Finished,
    /// There was nothing to do.
    Nothing,
}

impl Store {
    /// Seals some more rows with the present key that another one sealed. After a crash it goes on where it was.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn seal_anew(&self, rows: u32, now: Timestamp) -> Result<SealingAnew> {
        let inner = Arc::clone(&self.inner);
        let look = move |connection: &Connection| {
            let keys = data_keys::to_empty(connection, &inner.sealer)?;
            Ok((keys.is_empty(), sealing::progress(connection)?.is_some()))
        };
        match self.threads.read(look).await? {
            (true, _) => return Ok(SealingAnew::Nothing),
            (false, false) => return self.count_sealed().await,
            (false, true) => {}
        }
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            // It was there a moment ago, and nobody else takes it away.
            let Some(progress) = sealing::progress(connection)? else { return Ok(SealingAnew::Nothing) };
            if let Some(progress) = sealing::step(connection, &inner.sealer, progress, rows)? {
                return Ok(SealingAnew::Left(progress.total()));
            }
            data_keys::all_emptied(connection, &inner.sealer, now)?;
            sealing::forget_place(connection)?;
            Ok(SealingAnew::Finished)
        };
        // The log still holds what was there before. It is emptied when the daemon stops, which it does for the old key to go.
        self.threads.write(operation).await
    }

    async fn count_sealed(&self) -> Result<SealingAnew> {
        let mut count = sealing::Count::new(self.inner.sealer.key_id());
        let mut more = true;
        while more {
            let step = move |connection: &Connection| {
                let more = count.step(connection, COUNTED_AT_ONCE)?;
                Ok((count, more))
            };
            (count, more) = self.threads.read(step).await?;
        }
        self.threads
            .write(move |connection| {
                count.keep(connection)?;
                Ok(SealingAnew::Left(sealing::progress(connection)?.map_or(0, |progress| progress.total())))
            })
            .await
    }

    /// The keys that something here may be sealed with, and those that are configured.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn data_keys(&self) -> Result<Vec<DataKeyView>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| data_keys::list(connection, &inner.sealer)).await
    }

    /// Whether writes wait for the writer: then what is in no hurry lets them go first.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.threads.is_pressed()
    }
}
