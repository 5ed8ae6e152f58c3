//! The sweep: every Item is asked about at least so often, whatever webhooks say or do not say.
//!
//! A sweep is no list that is worked off. It begins at a moment, and whoever was not checked since is due; beside that, a
//! suspect Item is due some hours after its last check and any other a day after. So it goes on over a restart, and two
//! sweeps are one. As many questions as can be asked soon are put into the outbox; the loop comes back for more.
//!
//! A sweep begins at start, at the appointments of `[schedule] sweep`, and when the machine has slept: webhooks may have been
//! missed meanwhile.

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use crate::store::{Agenda, Appointment, Floors, StoreError};

/// How many effects may wait in the outbox before no more are planned: what can be asked within seconds, so that what a
/// webhook wants to know waits no longer than that.
const WAITING_MAX: u32 = 120;

/// How soon to look again while the outbox is full enough.
const FULL_ENOUGH: SignedDuration = SignedDuration::from_secs(1);

/// A machine that stood still for longer than this may have missed webhooks that Plaid does not repeat.
pub(super) const GAP: SignedDuration = SignedDuration::from_mins(30);

impl Engine {
    /// Makes the appointments of a new start.
    ///
    /// # Errors
    /// What the store says.
    pub async fn make_appointments(&self) -> Result<(), StoreError> {
        let purge = self.next_appointment(Appointment::Purge, self.clock.now());
        self.store.appoint_by(Appointment::Purge, purge).await?;
        self.store.appoint(Appointment::Sweep, self.clock.now()).await
    }

    /// Begins a sweep now.
    pub(super) async fn begin_sweep(&self) -> Result<(), StoreError> {
        self.store.appoint(Appointment::Sweep, self.clock.now()).await
    }

    /// Keeps the appointments that are due.
    pub(super) async fn keep_appointments(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for appointment in self.store.appointments_due(now).await? {
            match appointment {
                Appointment::Sweep => tracing::info!("a sweep begins: every Item is asked about"),
                Appointment::Purge => self.begin(super::upkeep::purge(self.clone())),
            }
            let next = self.next_appointment(appointment, now);
            self.store.keep_appointment(appointment, now, next).await?;
        }
        Ok(())
    }

    fn next_appointment(&self, appointment: Appointment, now: Timestamp) -> Timestamp {
        let cron = match appointment {
            Appointment::Sweep => &self.config.schedule.sweep,
            Appointment::Purge => &self.config.schedule.purge,
        };
        cron.next_after(now, self.config.app.time_zone.zone()).unwrap_or(Timestamp::MAX)
    }

    /// Puts questions about Items whose turn has come into the outbox. Answers when to look again.
    pub(super) async fn sweep(&self, agenda: &Agenda) -> Result<Option<Timestamp>, StoreError> {
        let began = self.store.last_kept(Appointment::Sweep).await?.unwrap_or(Timestamp::MIN);
        let now = self.clock.now();
        let schedule = &self.config.schedule;
        let due_at = |checked: Option<Timestamp>, every: SignedDuration| {
            let checked = checked.filter(|checked| *checked <= now)?;
            Some(if checked < began { now } else { checked.checked_add(every).unwrap_or(Timestamp::MAX) })
        };
        let suspects = due_at(agenda.suspects_from, schedule.observe_broken_every);
        let others = due_at(agenda.others_from, schedule.observe_healthy_every);
        let next = suspects.into_iter().chain(others).min();
        if next.is_none_or(|next| next > now) {
            return Ok(next);
        }
        if let Err(room_at) = self.room_for_routine() {
            return Ok(Some(room_at));
        }
        let floors = Floors {
            suspects: floor(schedule.observe_broken_every, began, now),
            others: floor(schedule.observe_healthy_every, began, now),
        };
        match self.store.plan_sweep(floors, now, WAITING_MAX).await? {
            0 => Ok(Some(self.after(FULL_ENOUGH))),
            put => {
                tracing::debug!(put, "questions are put by the sweep");
                Ok(Some(now))
            }
        }
    }
}

/// Before when an Item must have been checked last to be due. Times are whole milliseconds: who was checked exactly so long
/// ago is due, and who was checked at the moment at which the sweep began is not.
#[must_use]
pub fn floor(every: SignedDuration, began: Timestamp, now: Timestamp) -> Timestamp {
    let long_ago = now.checked_sub(every - SignedDuration::from_millis(1)).unwrap_or(Timestamp::MIN);
    long_ago.max(began)
}
