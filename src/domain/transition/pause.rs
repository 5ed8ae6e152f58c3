//! Pauses of the letters about one Item, and their stop. Called by the rule for an Item alone.

use jiff::Timestamp;

use super::Draft;
use crate::domain::effect::Notice;
use crate::domain::item::{Item, UNTIL_RESUMED};

impl Draft {
    /// A pause takes the place of another. What its user stopped stays so until it is resumed: no pause shortens it.
    pub(super) fn snooze(&mut self, until: Timestamp) {
        if self.item.is_stopped() {
            return;
        }
        let until = Some(until.min(UNTIL_RESUMED)).filter(|until| *until > self.now);
        let before = std::mem::replace(&mut self.item.snoozed_until, until);
        match until {
            Some(until) if before != Some(until) => self.tell(Notice::Snoozed { until }),
            None if before.is_some() => self.tell(Notice::Resumed),
            Some(_) | None => {}
        }
    }

    pub(super) fn resume(&mut self) {
        if self.item.snoozed_until.take().is_some() {
            self.tell(Notice::Resumed);
        }
    }

    /// The former owner stopped the letters, not the new one. A pause may be the application's, and stays.
    pub(super) fn forget_stop(&mut self) {
        if self.item.is_stopped() {
            self.resume();
        }
    }
}

impl Item {
    /// When the pause of the letters about it ends by itself.
    pub(super) fn pause_ends(&self) -> Option<Timestamp> {
        self.snoozed_until.filter(|_| !self.is_stopped())
    }
}
