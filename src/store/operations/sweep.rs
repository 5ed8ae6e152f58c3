//! The sweep, and appointments.

use jiff::Timestamp;
use rusqlite::Connection;

use super::Result;
use crate::store::{Appointment, Floors, Store, sweep};

impl Store {
    /// Puts questions about Items whose turn has come into the outbox, until so many effects wait there. Suspect Items
    /// first; a quarter of the places is for the others all the same. Says how many were put.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn plan_sweep(&self, floors: Floors, now: Timestamp, waiting_max: u32) -> Result<u32> {
        let operation = move |connection: &Connection| {
            let room = waiting_max.saturating_sub(sweep::waiting(connection, now, waiting_max)?);
            let others = sweep::due(connection, false, floors.others, now, room)?;
            let for_suspects = (room - room / 4).max(room - u32::try_from(others.len()).unwrap_or(room).min(room));
            let suspects = sweep::due(connection, true, floors.suspects, now, for_suspects)?;
            let taken: Vec<_> = suspects.iter().chain(&others).take(room as usize).collect();
            for item in &taken {
                sweep::take(connection, item, now)?;
            }
            Ok(u32::try_from(taken.len()).unwrap_or(u32::MAX))
        };
        self.threads.write(operation).await
    }

    /// Makes an appointment, or moves it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn appoint(&self, what: Appointment, due_at: Timestamp) -> Result<()> {
        self.threads.write(move |connection| sweep::appoint(connection, what, due_at)).await
    }

    /// Makes an appointment, unless it is made for an earlier moment already.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn appoint_by(&self, what: Appointment, due_at: Timestamp) -> Result<()> {
        self.threads.write(move |connection| sweep::appoint_by(connection, what, due_at)).await
    }

    /// Notes that an appointment was kept, and when the next one is.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn keep_appointment(&self, what: Appointment, now: Timestamp, next: Timestamp) -> Result<()> {
        self.threads.write(move |connection| sweep::keep(connection, what, now, next)).await
    }

    /// The appointments that are due, the longest due first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn appointments_due(&self, now: Timestamp) -> Result<Vec<Appointment>> {
        self.threads.read(move |connection| sweep::appointments_due(connection, now)).await
    }

    /// When an appointment was kept last; nothing if never.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn last_kept(&self, what: Appointment) -> Result<Option<Timestamp>> {
        self.threads.read(move |connection| sweep::last_kept(connection, what)).await
    }
}
