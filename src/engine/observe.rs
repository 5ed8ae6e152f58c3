//! Asking Plaid what is so about one Item.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::Engine;
use super::call::NoAnswer;
use super::traffic::Caller;
use crate::domain::event::{Event, Observation};
use crate::domain::ids::ItemId;
use crate::plaid::client::{CallError, ItemAnswer};
use crate::store::StoreError;

/// First wait before asking again after a failure, doubling ...
pub(super) const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(2);
/// ... up to this.
pub(super) const RETRY_MOST: SignedDuration = SignedDuration::from_mins(15);

/// What became of a question.
pub(super) enum Asked {
    /// Plaid answered: this is what the core must know.
    Answered(Vec<Event>),
    /// The question was not put: its turn did not come.
    Held {
        /// When it may be put.
        until: Timestamp,
        /// Why not now.
        why: &'static str,
    },
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
    pub(super) async fn ask(&self, caller: Caller, item: &ItemId, attempts: u32) -> Result<Asked, StoreError> {
        let Some(token) = self.store.access_token(item.clone()).await? else { return Ok(Asked::NoItem) };
        let answer = self.item_get(caller, item, &token).await;
        Ok(match answer {
            Ok((observation, answer)) => {
                let webhooks = self.webhooks_in(item, &answer, observation.webhooks_go, &token).await?;
                Asked::Answered(std::iter::once(Event::Observed(observation)).chain(webhooks).collect())
            }
            Err((_, NoAnswer::Held { until, why })) => Asked::Held { until, why },
            Err((asked_at, NoAnswer::Call(error))) => match error.event(asked_at) {
                Some(event) => Asked::Answered(vec![event]),
                None => Asked::Failed { again_at: self.again_at(&error, attempts), why: error.to_string() },
            },
        })
    }

    /// The answer in our words and in Plaid's, or when the question left and why there is none.
    async fn item_get(
        &self,
        caller: Caller,
        item: &ItemId,
        token: &SecretString,
    ) -> Result<(Observation, ItemAnswer), (Timestamp, NoAnswer)> {
        // The moment counts at which the question leaves, not the one at which it begins to wait for its turn.
        let mut asked_at = self.clock.now();
        let question = async {
            asked_at = self.clock.now();
            self.plaid.item_get(token).await
        };
        let answer = self.call(caller, Some(item), question).await;
        let answer = answer.map_err(|error| (asked_at, error))?;
        if let Some(theirs) = answer.answered_at {
            self.compare_clocks(theirs);
        }
        let mut observation = answer.observation(asked_at, &self.webhook_url());
        if let Some(bank) = observation.institution.as_mut().filter(|bank| bank.name.is_none()) {
            bank.name = self.bank_name(caller, item, &bank.id).await;
        }
        let probed = self.probe_accounts(caller, item, token, &mut observation).await;
        probed.map_err(|error| (asked_at, error))?;
        Ok((observation, answer))
    }

    /// A clock that is more than five minutes off would have every webhook taken for a late one: told long before.
    fn compare_clocks(&self, theirs: Timestamp) {
        let ahead = theirs.duration_since(self.clock.now()).as_secs();
        if self.status.plaid_clock(ahead) {
            tracing::error!(ahead, "Plaid's clock is {ahead} s ahead of this machine's: is time synchronised here?");
        }
    }

    /// When to call Plaid again after a failure.
    pub(super) fn again_at(&self, error: &CallError, attempts: u32) -> Timestamp {
        let wait = match error {
            CallError::RateLimited { retry_after: Some(wait) } => SignedDuration::try_from(*wait).ok(),
            CallError::RateLimited { retry_after: None }
            | CallError::Credentials(_)
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
