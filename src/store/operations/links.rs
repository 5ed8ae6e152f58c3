//! Links, presses, verification keys.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use super::Result;
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, SessionId, UserId};
use crate::store::steps::Rule;
use crate::store::verification_keys::StoredKey;
use crate::store::{Purpose, Session, Store, items, links, steps, verification_keys};

impl Store {
    /// Makes a link for a user, to be given to the application.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn create_link(&self, user: UserId, now: Timestamp) -> Result<String> {
        self.threads.write(move |connection| links::create(connection, &user, now)).await
    }

    /// The token that opens a link for one purpose.
    #[must_use]
    pub fn link_token(&self, purpose: Purpose, link_id: &str) -> String {
        self.inner.sealer.link_token(purpose.name(), link_id)
    }

    /// Whose link a token opens. Unknown, expired and revoked look alike. Writes nothing.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open_link(&self, purpose: Purpose, token: &str, now: Timestamp) -> Result<Option<UserId>> {
        let Some(link) = self.inner.sealer.link(purpose.name(), token) else { return Ok(None) };
        let (id, made_before) = (link.id.to_owned(), link.made_before);
        self.threads.read(move |connection| links::user_of(connection, &id, purpose, made_before, now)).await
    }

    /// Whether the link of a token has neither expired nor been revoked: one that stops letters works longer. Writes nothing.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn is_live(&self, purpose: Purpose, token: &str, now: Timestamp) -> Result<bool> {
        let Some(link) = self.inner.sealer.link(purpose.name(), token) else { return Ok(false) };
        let id = link.id.to_owned();
        self.threads.read(move |connection| links::is_live(connection, &id, now)).await
    }

    /// Keeps a press, and takes the step that follows from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open_session(&self, session: Session, rule: Rule) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            links::open_session(connection, &inner.sealer, &session)?;
            if let Some(item) = items::load(connection, &session.item)? {
                let event = Event::UpdateModeStarted { session: session.id };
                steps::take(connection, &rule, &item, &event, "repair page", &mut Vec::new())?;
            }
            Ok(())
        };
        self.threads.write(operation).await
    }

    /// The newest unfinished press for an Item.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn latest_session(&self, item: ItemId) -> Result<Option<Session>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| links::latest_session(connection, &inner.sealer, &item)).await
    }

    /// A press by its id.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| links::session_by_id(connection, &inner.sealer, id)).await
    }

    /// Notes that a session is over.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn finish_session(&self, id: SessionId, now: Timestamp) -> Result<()> {
        self.threads.write(move |connection| links::finish_session(connection, id, now)).await
    }

    /// How many presses there were for an Item since a moment.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn presses_since(&self, item: ItemId, since: Timestamp) -> Result<u32> {
        self.threads.read(move |connection| links::presses_since(connection, &item, since)).await
    }

    /// Plaid's verification keys that were kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn verification_keys(&self) -> Result<Vec<StoredKey>> {
        self.threads.read(verification_keys::all).await
    }

    /// Keeps a verification key.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn put_verification_key(&self, key: StoredKey) -> Result<()> {
        self.threads.write(move |connection| verification_keys::put(connection, &key)).await
    }
}
