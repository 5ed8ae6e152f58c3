//! Carries out effects: claim under a lease, do outside any transaction, settle.

use std::sync::Arc;

use super::Engine;
use super::apply::tell;
use super::call::NoAnswer;
use super::observe::{Asked, RETRY_FIRST, RETRY_MOST};
use super::schedule::REST;
use super::traffic::Caller;
use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::ids::SessionId;
use crate::plaid::client::{CallError, Verdict};
use crate::store::{Claimed, Settlement, StoreError, Told};

/// How many effects are under way at once.
pub(super) const UNDER_WAY_MAX: usize = 64;

impl Engine {
    /// Claims as many of the effects that are due as there is room for, and begins them.
    pub(super) async fn dispatch(&self) -> Result<(), StoreError> {
        let places = u32::try_from(self.effects_under_way.available_permits()).unwrap_or(u32::MAX);
        let room = self.room_for_routine().unwrap_or(0).min(places);
        if room == 0 {
            return Ok(());
        }
        let claimed = self.store.claim_effects(self.clock.now(), room).await?;
        for effect in claimed {
            let turn =
                Arc::clone(&self.effects_under_way).acquire_owned().await.expect("the semaphore is never closed");
            let engine = self.clone();
            self.begin(async move {
                engine.carry_out(effect).await;
                // The place is free before the loop looks again.
                drop(turn);
                engine.wake();
            });
        }
        Ok(())
    }

    async fn carry_out(&self, claimed: Claimed) {
        let key = &claimed.key;
        let done = match &claimed.effect {
            Effect::Observe { .. } => self.observe(&claimed).await,
            Effect::AskSession { session, .. } => self.ask_session(*session, claimed.attempts).await,
            Effect::AskAccounts { .. } => self.ask_accounts(&claimed).await,
            // Never in the outbox: told when the step was taken.
            Effect::Tell(_) => Ok(Settlement::Done(Vec::new())),
        };
        let settlement = done.unwrap_or_else(|error| {
            tracing::error!(effect = key, "effect {key}: {error}");
            let at = self.clock.retry_at(claimed.attempts, RETRY_FIRST, RETRY_MOST);
            Settlement::Retry { at, why: error.to_string() }
        });
        let settle = || self.store.settle_effect(claimed.clone(), settlement.clone(), self.rule());
        self.settle(&format!("effect {key}"), settle).await;
    }

    /// Settles what was done outside. What the disk refuses is tried until it is taken, or relinkd stops: what is leased and
    /// not settled is claimed by nobody, and a letter that left would leave once more after the next start.
    pub(super) async fn settle<F>(&self, what: &str, attempt: impl Fn() -> F)
    where
        F: Future<Output = Result<Vec<Told>, StoreError>>,
    {
        while let Err(error) = attempt().await.map(|told| tell(&told)) {
            tracing::error!("{what} is not settled: {error}");
            if error.is_of_one_row() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn observe(&self, claimed: &Claimed) -> Result<Settlement, StoreError> {
        Ok(match self.ask(Caller::Routine, &claimed.item, claimed.attempts).await? {
            Asked::Answered(events) => Settlement::Done(events),
            Asked::NoItem => Settlement::Done(Vec::new()),
            Asked::Held { until, .. } => Settlement::PutOff { until },
            Asked::Failed { again_at, why } => {
                tracing::warn!(item = %claimed.item, attempts = claimed.attempts, "Item {}: not observed: {why}", claimed.item);
                Settlement::Retry { at: again_at, why }
            }
        })
    }

    /// Asks how a Link session ended, of which nobody said anything so far.
    async fn ask_session(&self, id: SessionId, attempts: u32) -> Result<Settlement, StoreError> {
        let Some(session) = self.store.session(id).await? else { return Ok(Settlement::Done(Vec::new())) };
        if session.finished {
            return Ok(Settlement::Done(Vec::new()));
        }
        let token = session.link_token.clone().into();
        let answer = self.call(Caller::Routine, None, self.plaid.link_token_get(&token)).await;
        let verdict = match answer {
            Ok(sessions) => sessions.verdict(),
            Err(NoAnswer::Held { until, .. }) => return Ok(Settlement::PutOff { until }),
            // A token that Plaid no longer knows tells nothing; the Item does.
            Err(NoAnswer::Call(CallError::Refused(_))) => Verdict::Open,
            Err(NoAnswer::Call(error)) if attempts < 5 => {
                return Ok(Settlement::Retry { at: self.again_at(&error, attempts), why: error.to_string() });
            }
            Err(NoAnswer::Call(_)) => Verdict::Open,
        };
        self.store.finish_session(id, self.clock.now()).await?;
        Ok(Settlement::Done(vec![match verdict {
            Verdict::Succeeded => Event::UpdateModeFinished,
            Verdict::Left => Event::UpdateModeLeft,
            Verdict::Open => Event::Suspected,
        }]))
    }

    /// Asks Plaid about an Item now and applies the answer: for whoever waits in front of a page or a letter.
    pub(super) async fn observe_now(
        &self,
        caller: Caller,
        item: &crate::domain::ids::ItemId,
        cause: &str,
    ) -> Result<Observed, StoreError> {
        match self.ask(caller, item, 0).await? {
            Asked::NoItem => Ok(Observed::NoItem),
            Asked::Held { until, why } => Ok(Observed::Failed { again_at: until, why: why.to_owned() }),
            Asked::Failed { again_at, why } => Ok(Observed::Failed { again_at, why }),
            Asked::Answered(events) => {
                let item = self.step(item, events, cause).await?;
                Ok(item.map_or(Observed::NoItem, |item| Observed::Now { item: Box::new(item) }))
            }
        }
    }
}

impl Engine {
    /// Asks Plaid about an Item now, for the API. The inner error says why Plaid did not answer.
    ///
    /// # Errors
    /// What the store says.
    pub async fn observe_for_api(&self, item: &crate::domain::ids::ItemId) -> Result<Result<(), String>, StoreError> {
        Ok(match self.observe_now(Caller::Person, item, "api").await? {
            Observed::Now { .. } | Observed::NoItem => Ok(()),
            Observed::Failed { why, .. } => Err(format!("Plaid does not answer: {why}")),
        })
    }
}

/// What Plaid said just now.
pub(super) enum Observed {
    /// The Item after the answer was applied.
    Now {
        /// The Item.
        item: Box<crate::domain::item::Item>,
    },
    /// Plaid did not answer.
    Failed {
        /// When to ask again.
        again_at: jiff::Timestamp,
        /// Why.
        why: String,
    },
    /// There is no such Item.
    NoItem,
}
