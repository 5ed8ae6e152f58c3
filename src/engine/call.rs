//! The one way to Plaid: every call takes its turn here, within one budget, and tells how it went.
//!
//! The table of what is done about which answer stands at [`traffic`](super::traffic).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::traffic::{Bar, Caller, Leave};
use crate::domain::ids::ItemId;
use crate::plaid::client::{CallError, KeyCallError};

/// How long somebody who waits in front of a page waits for a turn.
const PATIENCE_OF_PEOPLE: Duration = Duration::from_secs(3);

/// How long a letter waits for its turn within the budget, before it is put off.
const PATIENCE_OF_LETTERS: Duration = Duration::from_secs(60);

/// The key that the probe asks for. Plaid answers that there is none; with wrong keys, that the keys are wrong.
const PROBE_KEY: &str = "relinkd-probe";

/// Why there is no answer of Plaid's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The call was not made.
    #[error("{why}")]
    Held {
        /// When it may be.
        until: Timestamp,
        /// Why not now.
        why: &'static str,
    },
    /// It was made.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl NoAnswer {
    /// Plaid's `error_code`, where Plaid gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Held { .. } => None,
            Self::Call(error) => error.code(),
        }
    }
}

impl Engine {
    /// Makes a call when its turn has come.
    ///
    /// # Errors
    /// [`NoAnswer::Held`] if the turn does not come soon; what the call meets.
    pub async fn call<T>(
        &self,
        caller: Caller,
        item: Option<&ItemId>,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, NoAnswer> {
        let outcome = self.in_turn(caller, item, call).await?;
        self.note(item, outcome.as_ref().err());
        Ok(outcome?)
    }

    /// The same for what is only good to know. An endpoint of its own that is out of order says nothing about Plaid: who asks
    /// how an Item is does not wait because of it.
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub(super) async fn call_beside<T>(
        &self,
        caller: Caller,
        item: Option<&ItemId>,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, NoAnswer> {
        let outcome = self.in_turn(caller, item, call).await?;
        if !outcome.as_ref().is_err_and(CallError::is_out_of_order) {
            self.note(item, outcome.as_ref().err());
        }
        Ok(outcome?)
    }

    async fn in_turn<T>(
        &self,
        caller: Caller,
        item: Option<&ItemId>,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Result<T, CallError>, NoAnswer> {
        // People do not stand behind the sweep.
        let places = match caller {
            Caller::Person => &self.calls_of_people,
            Caller::Letter | Caller::Routine => &self.calls_of_ours,
        };
        let _place = places.acquire().await.expect("the semaphore is never closed");
        self.wait_for_turn(caller, item).await?;
        Ok(call.await)
    }

    /// The same for the key of a webhook's signature. Plaid waits for the answer to its webhook.
    ///
    /// # Errors
    /// What [`Engine::call`] says in the outer error, what Plaid says of the key in the inner one.
    pub(super) async fn call_for_key(
        &self,
        kid: &str,
    ) -> Result<Result<crate::plaid::key::Key, KeyCallError>, NoAnswer> {
        let call = async {
            match self.plaid.verification_key(kid).await {
                Err(KeyCallError::Call(error)) => Err(error),
                answered => Ok(answered),
            }
        };
        self.call(Caller::Person, None, call).await
    }

    async fn wait_for_turn(&self, caller: Caller, item: Option<&ItemId>) -> Result<(), NoAnswer> {
        let patience = match caller {
            Caller::Person => PATIENCE_OF_PEOPLE,
            Caller::Letter => PATIENCE_OF_LETTERS,
            Caller::Routine => Duration::ZERO,
        };
        let began = self.clock.monotonic();
        loop {
            let now = self.clock.monotonic();
            let leave = self.traffic().take(caller, item, now);
            match leave {
                Leave::Go => return Ok(()),
                // All else lasts longer than anybody waits.
                Leave::Wait { wait, why: Bar::Budget } if now + wait <= began + patience => {
                    tokio::time::sleep(wait).await;
                }
                Leave::Wait { wait, why } => {
                    return Err(NoAnswer::Held { until: self.in_a_while(wait), why: why.words() });
                }
            }
        }
    }

    fn note(&self, item: Option<&ItemId>, failed: Option<&CallError>) {
        let now = self.clock.monotonic();
        match failed {
            None => self.traffic().answered(),
            Some(error) => self.traffic().failed(error, item, now),
        }
        match failed {
            None | Some(CallError::Refused(_)) => self.status.plaid_answered(),
            Some(error @ CallError::Credentials(_)) => {
                let why =
                    format!("{error}; nothing is asked but once a minute: put [plaid] client_id and secret right");
                if self.status.plaid_failed(&why) {
                    tracing::error!("{why}");
                }
            }
            Some(error) => drop(self.status.plaid_failed(&error.to_string())),
        }
    }

    /// Begins to try whether wrong keys were put right, if it is time to. Answers when to look again.
    pub(super) fn probe(&self) -> Option<Timestamp> {
        let after = self.traffic().probe_after(self.clock.monotonic())?;
        if after > Duration::ZERO {
            return Some(self.in_a_while(after));
        }
        let engine = self.clone();
        self.begin(async move {
            if let Ok(Err(KeyCallError::Unknown)) = engine.call_for_key(PROBE_KEY).await {
                tracing::info!("Plaid takes the client id and the secret again");
            }
            engine.wake();
        });
        None
    }

    /// How many routine calls may be made now; if none, when.
    ///
    /// # Errors
    /// The moment at which there will be room.
    pub fn room_for_routine(&self) -> Result<u32, Timestamp> {
        let now = self.clock.monotonic();
        let mut traffic = self.traffic();
        match traffic.room(now) {
            0 => Err(self.in_a_while(traffic.room_after(now))),
            room => Ok(room),
        }
    }

    fn in_a_while(&self, wait: Duration) -> Timestamp {
        self.after(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX))
    }
}
