//! When Plaid is asked which accounts an Item shares. Called by the rule for an Item alone.

use super::{Draft, Outcome};
use crate::domain::effect::Effect;
use crate::domain::item::{Item, Token};

impl Draft {
    /// After a repair, and once while nothing was repaired yet: without that there would be nothing to compare with.
    pub(super) fn ask_accounts(&mut self, before: &Item) {
        let is_cured = self.closed.iter().any(|closed| matches!(closed.outcome, Outcome::Repaired | Outcome::Healed));
        let item = &self.item;
        let is_known = before.observed_at.is_none() && item.observed_at.is_some() && item.token == Token::Proven;
        let is_well = item.broken().is_none() && item.revoked.is_none() && item.impaired.is_none();
        if is_cured || is_known && is_well && item.removed.is_none() {
            self.effects.push(Effect::AskAccounts { not_before: self.now });
        }
    }
}
