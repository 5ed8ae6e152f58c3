//! Pauses of the letters about one Item, and their stop. Called by the rule for an Item alone.

use jiff::Timestamp;

use super::Draft;
use crate::domain::item::{Item, UNTIL_RESUMED};

impl Draft {
    /// A pause takes the place of another. What its user stopped stays so until it is resumed: no pause shortens it.
    pub(super) fn snooze(&mut self, until: Timestamp) {
        if !self.item.is_stopped() {
            self.item.snoozed_until = Some(until.min(UNTIL_RESUMED)).filter(|until| *until > self.now);
        }
    }

    /// The former owner stopped the letters, not the new one. A pause may be the application's, and stays.
    pub(super) fn forget_stop(&mut self) {
        if self.item.is_stopped() {
            self.item.snoozed_until = None;
        }
    }
}

impl Item {
    /// When the pause of the letters about it ends by itself.
    pub(super) fn pause_ends(&self) -> Option<Timestamp> {
        self.snoozed_until.filter(|_| !self.is_stopped())
    }
}
