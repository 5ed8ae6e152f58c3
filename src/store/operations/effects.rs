//! Effects, and when what is due next.

use jiff::Timestamp;
use rusqlite::Connection;

use super::Result;
use crate::domain::compose::Channel;
use crate::store::outbox::{Claimed, Settlement};
use crate::store::pauses::{self, Gate};
use crate::store::steps::{Rule, Told};
use crate::store::{Store, items, outbox, steps, sweep};

const LETTERS: &str = "select min(due_at) from letters where due_at is not null";

impl Store {
    /// Claims effects that are due.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn claim_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<Claimed>> {
        let lease = self.lease();
        self.threads.write(move |connection| outbox::claim(connection, now, lease, limit)).await
    }

    /// Settles a claimed effect, and takes the steps that follow from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn settle_effect(&self, claimed: Claimed, settlement: Settlement, rule: Rule) -> Result<Vec<Told>> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            match &settlement {
                Settlement::PutOff { until } => outbox::put_off(connection, &claimed, *until)?,
                Settlement::Retry { at, why } => outbox::give_back(connection, &claimed, *at, why)?,
                Settlement::Done(events) => {
                    outbox::remove(connection, &claimed)?;
                    let Some(mut item) = items::load(connection, &claimed.item)? else { return Ok(told) };
                    for event in events {
                        item = steps::take(connection, &rule, &item, event, &claimed.key, &mut told)?;
                    }
                }
            }
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// When what is due next, of each kind. One look, so that a round that finds nothing due writes nothing. A pause holds no
    /// letter that the application brings.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn agenda(&self, channel: Channel) -> Result<Agenda> {
        let look = move |connection: &Connection| {
            let first = |sql: &str| -> Result<Option<Timestamp>> {
                let at: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
            };
            Ok(Agenda {
                items: first("select min(due_at) from items where due_at is not null")?,
                users: first("select min(due_at) from users where due_at is not null")?,
                effects: first("select min(due_at) from outbox where lease is null")?,
                letters: match pauses::gate(connection, channel)? {
                    Gate::Open => first(LETTERS)?,
                    Gate::OneFrom(from) => first(LETTERS)?.map(|at| at.max(from)),
                    Gate::Closed => None,
                },
                appointments: first("select min(due_at) from appointments")?,
                suspects_from: first(&sweep::oldest_checked(true))?,
                others_from: first(&sweep::oldest_checked(false))?,
                release: first("select min(due_at) from letter_release")?,
            })
        };
        self.threads.read(look).await
    }
}

/// When what is due next, of each kind; nothing where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    /// An Item is to be ticked.
    pub items: Option<Timestamp>,
    /// A user is to be looked at.
    pub users: Option<Timestamp>,
    /// An effect is to be carried out.
    pub effects: Option<Timestamp>,
    /// A letter is to be sent.
    pub letters: Option<Timestamp>,
    /// What the clock alone does for all Items is to be done.
    pub appointments: Option<Timestamp>,
    /// When the suspect Item was checked that waits longest. Not due by itself: the sweep decides.
    pub suspects_from: Option<Timestamp>,
    /// The same for the other Items.
    pub others_from: Option<Timestamp>,
    /// Letters about imported Items are to be released.
    pub release: Option<Timestamp>,
}

impl Agenda {
    /// The earliest of all.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        let times = [self.items, self.users, self.effects, self.letters, self.appointments, self.release];
        times.into_iter().flatten().min()
    }
}
