//! Looks at the users whose time has come, and writes their letters' rows.

use jiff::SignedDuration;

use super::Engine;
use super::apply::tell;
use crate::domain::compose::Composition;
use crate::store::StoreError;

/// How many users one round looks at.
const BATCH: u32 = 128;

/// When to try again with a user whose rows cannot be used: nobody else waits for it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Composes for the users that are due. Says whether more may be due.
    pub(super) async fn compose_due(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let users = self.store.due_users(now, BATCH).await?;
        if users.is_empty() {
            return Ok(false);
        }
        let mut held = self.store.held_banks(now).await?;
        held.extend(self.banks.down(now));
        let more = users.len() == BATCH as usize;
        // All are queued before any is awaited, so that they share a commit.
        let composing = users.into_iter().map(async |user| {
            let composer = self.composer(now, held.clone());
            (user.clone(), self.store.compose(user, composer, self.rule()).await)
        });
        for (user, composed) in futures_util::future::join_all(composing).await {
            let composed = match composed {
                Ok(composed) => composed,
                Err(error) if error.is_of_one_row() => {
                    tracing::error!(%user, "user {user}: no letter can be composed: {error}");
                    self.store.look_again(user, self.after(LOOK_AGAIN)).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Composition::Write(lines) = &composed.composition {
                tracing::info!(lines = lines.len(), "a letter is composed");
            }
            tell(&composed.told);
        }
        Ok(more)
    }
}
