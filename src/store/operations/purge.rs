//! Deleting what nobody needs any more, step by step.

use rusqlite::Connection;

use super::Result;
use crate::store::{Purge, Store, purge};

impl Store {
    /// Looks at some more rows and deletes what is old and not needed. Says whether that was all.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn purge(&self, purge: Purge, rows: u32) -> Result<(Purge, bool)> {
        self.threads.write(move |connection: &Connection| purge::step(connection, purge, rows)).await
    }
}
