//! Lets letters about imported Items go, as the operator planned it.

use super::Engine;
use super::apply::tell;
use crate::store::StoreError;

/// How many users one round releases: some ten milliseconds of the one writer.
const BATCH: u32 = 100;

impl Engine {
    /// Releases the next of the day's portion. Says whether more may be due.
    pub(super) async fn release_due(&self) -> Result<bool, StoreError> {
        let candidates = self.store.release_candidates(self.config.mail.channel(), BATCH).await?;
        let released = self.store.release(candidates, self.rule()).await?;
        tell(&released.told);
        let users = released.users;
        if users > 0 {
            tracing::info!(users, "letters to {users} users about imported Items are released");
        }
        match released.plan {
            Some(plan) => Ok(plan.due_at <= self.clock.now()),
            None => {
                tracing::info!("nothing is held any more: the release of letters is over");
                Ok(false)
            }
        }
    }
}
