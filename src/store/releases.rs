//! The table `letter_release`: the plan by which letters about imported Items are let go, a portion of users a day.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::columns::{Record, ms};
use super::error::StoreError;
use crate::domain::compose::Channel;
use crate::domain::ids::UserId;

/// From one portion to the next.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// While the portion is not used up: what the sweep finds meanwhile belongs to it too.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What is held and would be written about: the words of the index `items_held`.
const HELD: &str = "held_since is not null and token = 'proven' and state <> 'healthy' and superseded_by is null";

/// How many users a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At most so many.
    PerDay(u32),
    /// All at once.
    All,
}

/// A plan as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many users a day.
    pub pace: Pace,
    /// When the present day began. Days are counted from the first portion.
    pub day_began_at: Timestamp,
    /// Users released in it.
    pub today: u32,
    /// Users released since the plan began.
    pub total: u32,
    /// When to look again.
    pub due_at: Timestamp,
}

impl Plan {
    /// A plan whose first portion is due now.
    pub(crate) fn begin(pace: Pace, now: Timestamp) -> Self {
        Self { pace, day_began_at: now, today: 0, total: 0, due_at: now }
    }

    /// The same plan on the day that it is now. After days of downtime there is one portion, not several.
    #[must_use]
    pub fn on(self, now: Timestamp) -> Self {
        // Less than nothing if the clock was set back by more than a day: or the day would not end for that long.
        let days = now.duration_since(self.day_began_at).as_hours() / DAY.as_hours();
        if days == 0 {
            return self;
        }
        let passed = DAY.checked_mul(i32::try_from(days).unwrap_or(i32::MAX)).unwrap_or(DAY);
        Self { day_began_at: super::later(self.day_began_at, passed), today: 0, ..self }
    }

    /// How many users may still be released today.
    pub(crate) fn room(self) -> u32 {
        match self.pace {
            Pace::All => u32::MAX,
            Pace::PerDay(most) => most.saturating_sub(self.today),
        }
    }

    /// The plan after so many more users were released.
    pub(crate) fn after(self, released: u32, now: Timestamp) -> Self {
        let (today, total) = (self.today.saturating_add(released), self.total.saturating_add(released));
        let next = Self { today, total, ..self };
        let due_at = match next.room() {
            0 => super::later(self.day_began_at, DAY),
            _ if released > 0 => now,
            _ => super::later(now, LOOK_AGAIN).min(super::later(self.day_began_at, DAY)),
        };
        Self { due_at, ..next }
    }
}

pub(crate) fn plan(connection: &Connection) -> Result<Option<Plan>, StoreError> {
    let mut statement = connection.prepare_cached("select * from letter_release")?;
    let read = |row: &rusqlite::Row<'_>| -> Result<Plan, StoreError> {
        let record = Record::numbered("letter_release", row)?;
        let per_day = record.get::<Option<u32>>("per_day")?;
        Ok(Plan {
            pace: per_day.map_or(Pace::All, Pace::PerDay),
            day_began_at: record.time("day_began_at")?,
            today: record.count("today")?,
            total: record.count("total")?,
            due_at: record.time("due_at")?,
        })
    };
    statement.query_row([], |row| Ok(read(row))).optional()?.transpose()
}

pub(crate) fn put(connection: &Connection, plan: &Plan) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert or replace into letter_release (id, per_day, day_began_at, today, total, due_at)
         values (1, :per_day, :day_began_at, :today, :total, :due_at)",
    )?;
    statement.execute(named_params! {
        ":per_day": match plan.pace { Pace::All => None, Pace::PerDay(most) => Some(most) },
        ":day_began_at": ms(plan.day_began_at),
        ":today": plan.today,
        ":total": plan.total,
        ":due_at": ms(plan.due_at),
    })?;
    Ok(())
}

/// Ends the plan. Says whether there was one.
pub(crate) fn end(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("delete from letter_release")?.execute([])? > 0)
}

/// Whether letters reach a user, as a condition on `users`: there is an address, or none is needed; it takes letters; and the
/// user did not stop them.
fn reachable(channel: Channel) -> &'static str {
    match channel {
        Channel::Mail => {
            "address_hmac is not null and stopped_at is null
               and address_hmac not in (select address_hmac from suppressions)"
        }
        Channel::Event => {
            "erased_at is null and stopped_at is null
               and (address_hmac is null or address_hmac not in (select address_hmac from suppressions))"
        }
    }
}

/// The users to release next, whose Items broke first. Only who can be written to: the others would all be due on the day
/// that their addresses come.
pub(crate) fn next_users(connection: &Connection, channel: Channel, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let reachable = reachable(channel);
    let mut statement = connection.prepare_cached(&format!(
        "select user_id from items where {HELD} and exists (select 1 from users where users.user_id = items.user_id
           and {reachable}) order by since, user_id"
    ))?;
    let mut rows = statement.query([])?;
    let mut users: Vec<UserId> = Vec::new();
    while let Some(row) = rows.next()?.filter(|_| users.len() < limit as usize) {
        let user = Record::new("items", "user_id", row)?.user_id("user_id")?;
        if !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(users)
}

/// Whether anything is held that may yet be released: it waits for an address, or Plaid has not said yet how it is. The
/// former stands in `items_held`, the latter is suspect: no look goes over all Items.
pub(crate) fn any_undecided(connection: &Connection) -> Result<bool, StoreError> {
    let sql = format!(
        "select exists (select 1 from items where {HELD}) or exists (select 1 from items where removed_at is null
           and suspect = 1 and held_since is not null and token in ('unproven', 'proven') and superseded_by is null)"
    );
    Ok(connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?)
}

/// What waits for its release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Items with something to write about.
    pub items: u32,
    /// Their users.
    pub users: u32,
    /// Those of them who cannot be written to: no address, stopped, or the address bounced.
    pub unreachable_users: u32,
}

/// What waits for its release.
pub(crate) fn waiting(connection: &Connection, channel: Channel) -> Result<Waiting, StoreError> {
    let reachable = reachable(channel);
    let mut statement = connection.prepare_cached(&format!(
        "select count(*) as items, count(distinct user_id) as users, count(distinct case when not exists
           (select 1 from users where users.user_id = items.user_id and {reachable}) then user_id end) as unreachable_users
         from items where {HELD}"
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        let (items, users) = (row.get("items")?, row.get("users")?);
        Ok(Waiting { items, users, unreachable_users: row.get("unreachable_users")? })
    };
    Ok(statement.query_row([], read)?)
}
