//! Asking Plaid which accounts an Item shares: once while it is healthy and after a repair, and as a probe where that is wanted.
//!
//! `/item/get` can say that nothing is wrong with an Item of which every account is gone. What is asked here is kept as
//! fingerprints only.

use jiff::SignedDuration;
use secrecy::SecretString;

use super::Engine;
use super::apply::tell;
use super::call::NoAnswer;
use super::traffic::Caller;
use crate::domain::event::{Health, Observation};
use crate::domain::ids::ItemId;
use crate::plaid::client::{AccountsAnswer, CallError};
use crate::plaid::fault;
use crate::store::{Account, Asked, Claimed, Settlement, StoreError};

/// How often the accounts are asked for after a repair, if Plaid does not answer. They are only compared.
const TRIES_MAX: u32 = 8;

/// How often accounts are asked for at once: an endpoint that does not answer takes no more of the places for calls.
pub(super) const UNDER_WAY_MAX: usize = 4;

/// How soon to look again for such a place.
const NO_PLACE: SignedDuration = SignedDuration::from_secs(10);

impl Engine {
    /// Asks for the accounts of an Item that Plaid called healthy, where the operator wants that. It is not healthy if they are
    /// lost.
    ///
    /// # Errors
    /// [`NoAnswer`] if Plaid did not answer: then nobody knows whether the Item is healthy.
    pub(super) async fn probe_accounts(
        &self,
        caller: Caller,
        item: &ItemId,
        token: &SecretString,
        observation: &mut Observation,
    ) -> Result<(), NoAnswer> {
        if !self.config.plaid.probe_accounts || observation.health != Health::Good {
            return Ok(());
        }
        match self.call_beside(caller, Some(item), self.plaid.accounts_get(token)).await {
            Ok(answer) => {
                if let Err(error) = self.keep_accounts(item, answer, Asked::Probe, "probe").await {
                    tracing::error!(%item, "Item {item}: its accounts are not kept: {error}");
                }
                Ok(())
            }
            Err(NoAnswer::Call(CallError::Refused(error))) => {
                // Another refusal says nothing about the Item that the answer before did not say.
                if let Some(fault) = fault::lost_accounts(&error) {
                    observation.health = Health::Broken(fault);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for the accounts, to compare them with those before.
    pub(super) async fn ask_accounts(&self, claimed: &Claimed) -> Result<Settlement, StoreError> {
        let item = &claimed.item;
        let done = Settlement::Done(Vec::new());
        let Some(token) = self.store.access_token(item.clone()).await? else { return Ok(done) };
        let Ok(_place) = self.accounts_under_way.try_acquire() else {
            return Ok(Settlement::PutOff { until: self.after(NO_PLACE) });
        };
        match self.call_beside(Caller::Routine, Some(item), self.plaid.accounts_get(&token)).await {
            Ok(answer) => self.keep_accounts(item, answer, Asked::AfterRepair, &claimed.key).await?,
            Err(NoAnswer::Held { until, .. }) => return Ok(Settlement::PutOff { until }),
            Err(NoAnswer::Call(CallError::Refused(error))) => {
                let code = error.error_code;
                tracing::info!(%item, code, "Item {item}: its accounts are not known: {code}");
            }
            Err(NoAnswer::Call(error)) if claimed.attempts < TRIES_MAX => {
                return Ok(Settlement::Retry { at: self.again_at(&error, claimed.attempts), why: error.to_string() });
            }
            Err(NoAnswer::Call(error)) => tracing::warn!(%item, "Item {item}: its accounts are not known: {error}"),
        }
        Ok(done)
    }

    async fn keep_accounts(
        &self,
        item: &ItemId,
        answer: AccountsAnswer,
        asked: Asked,
        cause: &str,
    ) -> Result<(), StoreError> {
        if answer.item != *item {
            // The token opens another Item; the answer about that one has said so.
            return Ok(());
        }
        let account = |account: crate::plaid::client::Account| Account {
            name: account.name,
            mask: account.mask,
            persistent_id: account.persistent_id,
        };
        let accounts = answer.accounts.into_iter().map(account).collect();
        let (bank, cause) = (answer.institution, cause.to_owned());
        tell(&self.store.keep_accounts(item.clone(), bank, accounts, asked, cause, self.rule()).await?);
        Ok(())
    }
}
