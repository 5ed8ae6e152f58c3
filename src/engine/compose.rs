//! Looks at the users whose time has come, and writes their letters' rows.

use super::Engine;
use super::apply::tell;
use crate::domain::compose::Composition;
use crate::store::StoreError;

/// How many users one round looks at.
const BATCH: u32 = 128;

impl Engine {
    /// Composes for the users that are due. Says whether more may be due.
    pub(super) async fn compose_due(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let users = self.store.due_users(now, BATCH).await?;
        if users.is_empty() {
            return Ok(false);
        }
        let held = self.store.held_banks(now).await?;
        let more = users.len() == BATCH as usize;
        // All are queued before any is awaited, so that they share a commit.
        let composing = users.into_iter().map(|user| {
            let composer = self.composer(now, held.clone());
            self.store.compose(user, composer, self.rule())
        });
        for composed in futures_util::future::join_all(composing).await {
            let composed = composed?;
            if let Composition::Write(lines) = &composed.composition {
                tracing::info!(lines = lines.len(), "a letter is composed");
            }
            tell(&composed.told);
        }
        Ok(more)
    }
}
