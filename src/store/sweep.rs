//! Which Items it is time to ask about, and the table `appointments`.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::columns::{Record, ms, name_of};
use super::error::StoreError;
use super::outbox;
use crate::domain::effect::Effect;
use crate::domain::ids::ItemId;

/// What is done by the clock alone, for all Items together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Appointment {
    /// Every Item is asked about.
    Sweep,
    /// What nobody needs any more is deleted.
    Purge,
}

pub(crate) const APPOINTMENTS: [(Appointment, &str); 2] =
    [(Appointment::Sweep, "sweep"), (Appointment::Purge, "purge")];

/// Before when an Item must have been checked last for its turn to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// An Item that is broken or doubtful.
    pub suspects: Timestamp,
    /// Any other.
    pub others: Timestamp,
}

/// The question when the Item was checked that waits longest. Answered from the index alone.
pub(crate) fn oldest_checked(suspect: bool) -> String {
    let suspect = i32::from(suspect);
    format!("select min(checked_at) from items where removed_at is null and suspect = {suspect}")
}

/// The Items whose turn has come: those that wait longest first. One that was checked in the future was checked before the
/// clock was set back.
pub(crate) fn due(
    connection: &Connection,
    suspect: bool,
    floor: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<ItemId>, StoreError> {
    let turns = [
        "checked_at < :floor and checked_at <= :now order by checked_at",
        "checked_at >= :floor and checked_at > :now order by checked_at desc",
    ];
    let mut found = Vec::new();
    for turn in turns {
        let sql = format!(
            "select item_id from items where removed_at is null and suspect = :suspect and {turn} limit :limit"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(named_params! {
            ":suspect": suspect,
            ":floor": ms(floor),
            ":now": ms(now),
            ":limit": i64::from(limit) - found.len() as i64,
        })?;
        while let Some(row) = rows.next()? {
            found.push(Record::new("items", "item_id", row)?.item_id("item_id")?);
        }
    }
    Ok(found)
}

/// Puts the question about an Item into the outbox, and notes that its turn has been.
pub(crate) fn take(connection: &Connection, item: &ItemId, now: Timestamp) -> Result<(), StoreError> {
    outbox::put(connection, item, &Effect::Observe { not_before: now })?;
    let mut statement = connection.prepare_cached("update items set checked_at = :now where item_id = :item")?;
    statement.execute(named_params! { ":now": ms(now), ":item": item.as_str() })?;
    Ok(())
}

/// How many effects are due, counted only as far as it matters.
pub(crate) fn waiting(connection: &Connection, now: Timestamp, most: u32) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached(
        "select count(*) from (select 1 from outbox where lease is null and due_at <= :now limit :most)",
    )?;
    let count: i64 =
        statement.query_row(named_params! { ":now": ms(now), ":most": i64::from(most) }, |row| row.get(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Makes an appointment, or moves it.
pub(crate) fn appoint(connection: &Connection, what: Appointment, due_at: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into appointments (name, due_at) values (:name, :due)
         on conflict do update set due_at = excluded.due_at",
    )?;
    statement.execute(named_params! { ":name": name_of(&what, &APPOINTMENTS), ":due": ms(due_at) })?;
    Ok(())
}

/// Makes an appointment, unless it is made for an earlier moment already.
pub(crate) fn appoint_by(connection: &Connection, what: Appointment, due_at: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into appointments (name, due_at) values (:name, :due)
         on conflict do update set due_at = min(due_at, excluded.due_at)",
    )?;
    statement.execute(named_params! { ":name": name_of(&what, &APPOINTMENTS), ":due": ms(due_at) })?;
    Ok(())
}

/// Notes that an appointment was kept, and when the next one is.
pub(crate) fn keep(
    connection: &Connection,
    what: Appointment,
    now: Timestamp,
    next: Timestamp,
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("update appointments set last_at = :now, due_at = :next where name = :name")?;
    let name = name_of(&what, &APPOINTMENTS);
    statement.execute(named_params! { ":now": ms(now), ":next": ms(next), ":name": name })?;
    Ok(())
}

/// The appointments that are due.
pub(crate) fn appointments_due(connection: &Connection, now: Timestamp) -> Result<Vec<Appointment>, StoreError> {
    let mut statement =
        connection.prepare_cached("select name from appointments where due_at <= :now order by due_at")?;
    let mut rows = statement.query(named_params! { ":now": ms(now) })?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(Record::new("appointments", "name", row)?.named("name", &APPOINTMENTS)?);
    }
    Ok(due)
}

/// When an appointment was kept last.
pub(crate) fn last_kept(connection: &Connection, what: Appointment) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("select * from appointments where name = ?1")?;
    let mut rows = statement.query([name_of(&what, &APPOINTMENTS)])?;
    match rows.next()? {
        Some(row) => Record::new("appointments", "name", row)?.time_if("last_at"),
        None => Ok(None),
    }
}
