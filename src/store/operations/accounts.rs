//! Accounts: kept as fingerprints, and compared after a repair.

use std::sync::Arc;

use rusqlite::Connection;

use super::Result;
use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::ids::{InstitutionId, ItemId};
use crate::domain::item::{Item, State};
use crate::store::accounts::{self, Account, Fingerprints};
use crate::store::steps::{Rule, Told};
use crate::store::{Store, items, outbox, siblings, steps};

/// Why Plaid was asked for the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To see whether a healthy Item is healthy.
    Probe,
    /// Because something was repaired.
    AfterRepair,
}

impl Store {
    /// Keeps by what the accounts of an Item are known, and takes the steps that follow: after a repair other accounts are
    /// told, and duplicates are looked for. Names and masks are not kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn keep_accounts(
        &self,
        id: ItemId,
        bank: Option<InstitutionId>,
        listed: Vec<Account>,
        asked: Asked,
        cause: String,
        rule: Rule,
    ) -> Result<Vec<Told>> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            let Some(mut item) = items::load(connection, &id)?.filter(|item| item.removed.is_none()) else {
                return Ok(told);
            };
            if asked == Asked::Probe && is_unsettled(connection, &item)? {
                return Ok(told);
            }
            let prints = Fingerprints::of(&inner.sealer, bank.as_ref(), &listed);
            let before = accounts::described(connection, &id)?;
            accounts::replace(connection, &id, &prints)?;
            let change = prints.differ(&before, &inner.sealer).filter(|change| *change != (0, 0));
            if let Some((gone, new)) = change.filter(|_| asked == Asked::AfterRepair) {
                let event = Event::AccountsChanged { gone, new };
                item = steps::take(connection, &rule, &item, &event, &cause, &mut told)?;
            }
            let user = item.user.clone();
            siblings::settle(connection, &rule, &[&user].into(), item, &mut told)?;
            Ok(told)
        };
        self.threads.write(operation).await
    }
}

/// Whether a probe may be the first to see what a repair led to: it comes before the answer that it belongs to is applied, and
/// what was known before the repair is needed for the comparison after it.
fn is_unsettled(connection: &Connection, item: &Item) -> Result<bool> {
    let comparison = Effect::AskAccounts { not_before: item.registered_at };
    let waits = match comparison.key(&item.id) {
        Some(key) => outbox::waits(connection, &key)?,
        None => false,
    };
    Ok(waits || item.state() != State::Healthy || item.claim.is_some())
}
