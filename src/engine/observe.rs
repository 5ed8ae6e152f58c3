//! Asking Plaid what is so about one Item.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::Engine;
use crate::domain::event::{Event, Observation};
use crate::domain::ids::ItemId;
use crate::plaid::client::CallError;
use crate::store::StoreError;

/// First wait before asking again after a failure, doubling ...
pub(super) const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(2);
/// ... up to this.
pub(super) const RETRY_MOST: SignedDuration = SignedDuration::from_mins(15);

/// With wrong API keys every call fails alike: once a minute is enough to notice that they were put right.
const CREDENTIALS_RETRY: SignedDuration = SignedDuration::from_secs(60);

/// What became of a question.
pub(super) enum Asked {
    /// Plaid answered: this is what the core must know.
    Answered(Event),
    /// Plaid did not answer: ask again then.
    Failed {
        /// When.
        again_at: Timestamp,
        /// Why. Never with a secret in it.
        why: String,
    },
    /// There is no such Item, or it is gone.
    NoItem,
}

impl Engine {
    /// Asks Plaid about an Item, for the `attempts`-th time.
    pub(super) async fn ask(&self, item: &ItemId, attempts: u32) -> Result<Asked, StoreError> {
        let Some(token) = self.store.access_token(item.clone()).await? else { return Ok(Asked::NoItem) };
        let _turn = self.plaid_calls.acquire().await.expect("the semaphore is never closed");
        let asked_at = self.clock.now();
        Ok(self.heard(asked_at, attempts, self.item_get(&token, asked_at).await))
    }

    async fn item_get(&self, token: &SecretString, asked_at: Timestamp) -> Result<Observation, CallError> {
        let mut observation = self.plaid.item_get(token).await?.observation(asked_at);
        if let Some(bank) = observation.institution.as_mut().filter(|bank| bank.name.is_none()) {
            bank.name = self.bank_name(&bank.id).await;
        }
        Ok(observation)
    }

    fn heard(&self, asked_at: Timestamp, attempts: u32, answer: Result<Observation, CallError>) -> Asked {
        match answer {
            Ok(observation) => {
                self.status.plaid_answered();
                Asked::Answered(Event::Observed(observation))
            }
            Err(error) => match error.event(asked_at) {
                Some(event) => {
                    self.status.plaid_answered();
                    Asked::Answered(event)
                }
                None => {
                    let why = error.to_string();
                    self.status.plaid_failed(&why);
                    Asked::Failed { again_at: self.again_at(&error, attempts), why }
                }
            },
        }
    }

    /// When to call Plaid again after a failure.
    pub(super) fn again_at(&self, error: &CallError, attempts: u32) -> Timestamp {
        let wait = match error {
            CallError::RateLimited { retry_after: Some(wait) } => SignedDuration::try_from(*wait).ok(),
            CallError::Credentials(_) => Some(CREDENTIALS_RETRY),
            CallError::RateLimited { retry_after: None }
            | CallError::Unreachable { .. }
            | CallError::TimedOut
            | CallError::PlaidDown { .. }
            | CallError::Unreadable { .. }
            | CallError::Refused(_) => None,
        };
        match wait {
            Some(wait) => self.clock.now().checked_add(wait.min(RETRY_MOST)).unwrap_or(Timestamp::MAX),
            None => self.clock.retry_at(attempts, RETRY_FIRST, RETRY_MOST),
        }
    }
}
