//! What the application is told.

use rusqlite::Connection;

use super::Result;
use crate::store::Store;
use crate::store::events::{self, EventFilter, EventRow};

impl Store {
    /// Events in the order of their numbers, after a given one.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn events(&self, filter: EventFilter, after: i64, limit: u32) -> Result<Vec<EventRow>> {
        self.threads.read(move |connection: &Connection| events::list(connection, &filter, after, limit)).await
    }

    /// The number of the newest event; 0 before the first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn newest_event(&self) -> Result<i64> {
        self.threads.read(events::newest).await
    }
}
