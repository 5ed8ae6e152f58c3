//! Letters about imported Items wait for the operator. Called by the rule for an Item alone.

use super::Draft;
use crate::domain::item::{Hold, Item, Kind, Token};
use crate::domain::policy::Policy;

impl Draft {
    /// Holds an Item of which nothing is known yet. Others are known already: what breaks about them is no find of the import.
    pub(super) fn hold(&mut self) {
        if self.item.observed_at.is_none() && self.item.held_since().is_none() {
            self.item.hold = Hold::Held { since: self.now };
        }
    }

    /// The operator lets the letters go.
    pub(super) fn release(&mut self) {
        if self.item.held_since().is_some() {
            self.item.hold = Hold::Released { at: self.now };
        }
    }

    /// Plaid answered: if there is nothing to write about, there is nothing to wait with, and a later break is an ordinary
    /// one. While the bank is down, the answer says nothing about the login.
    pub(super) fn lift_hold(&mut self, policy: &Policy) {
        let known = self.item.token == Token::Proven && self.item.impaired.is_none();
        if known && self.item.held_since().is_some() && !may_be_written_about(&self.item, policy) {
            self.item.hold = Hold::No;
        }
    }
}

/// Whether anything is open that has a ladder, be it the most urgent or not.
fn may_be_written_about(item: &Item, policy: &Policy) -> bool {
    Kind::ALL.into_iter().any(|kind| item.open(kind).is_some() && !policy.ladder(kind).is_empty())
}
