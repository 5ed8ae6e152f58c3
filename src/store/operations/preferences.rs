//! What users wish about letters.

use jiff::Timestamp;
use rusqlite::Connection;

use super::Result;
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, UserId};
use crate::store::steps::{Rule, Told};
use crate::store::{Store, Wish, items, steps, users};

impl Store {
    /// Notes what a user wishes about letters. Says whether there is such a user.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn wish(&self, id: UserId, wish: Wish, now: Timestamp) -> Result<bool> {
        self.threads.write(move |connection| users::wish(connection, &id, wish, now)).await
    }

    /// Notes what a user wishes about all letters, and takes the steps by which the wishes about single Items are kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn prefer(
        &self,
        id: UserId,
        wish: Option<Wish>,
        about: Vec<(ItemId, Vec<Event>)>,
        cause: String,
        rule: Rule,
    ) -> Result<Vec<Told>> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            if let Some(wish) = wish {
                users::wish(connection, &id, wish, rule.now)?;
            }
            for (item, events) in &about {
                // What changed hands since the page was opened is not this user's any more.
                let Some(mut item) = items::load(connection, item)?.filter(|item| item.user == id) else { continue };
                for event in events {
                    item = steps::take(connection, &rule, &item, event, &cause, &mut told)?;
                }
            }
            Ok(told)
        };
        self.threads.write(operation).await
    }
}
