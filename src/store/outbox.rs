//! The table `outbox`: effects that wait, are claimed, and are settled.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::columns::{Record, json, ms};
use super::error::StoreError;
use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::ids::ItemId;

/// An effect that this process has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its key.
    pub key: String,
    /// This claim. A newer wish for the same effect voids it.
    pub lease: i64,
    /// About which Item.
    pub item: ItemId,
    /// What is to be done.
    pub effect: Effect,
    /// How often it was tried before.
    pub attempts: u32,
}

/// How an effect went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is done, and this is what the core must know.
    Done(Vec<Event>),
    /// Not tried: its turn did not come. It does not count as an attempt.
    PutOff {
        /// When its turn may come.
        until: Timestamp,
    },
    /// To be tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Why it did not work. Never with a secret in it.
        why: String,
    },
}

/// Puts an effect in, if it is of those that wait. One that waits already is done at the earlier of both times; one that is
/// being done will be done again.
pub(crate) fn put(connection: &Connection, item: &ItemId, effect: &Effect) -> Result<(), StoreError> {
    let (Some(key), Some(not_before)) = (effect.key(item), effect.not_before()) else { return Ok(()) };
    let mut statement = connection.prepare_cached(
        "insert into outbox (key, item_id, effect, due_at) values (:key, :item, :effect, :due)
         on conflict (key) do update set
           due_at = case when lease is null then min(due_at, excluded.due_at) else excluded.due_at end,
           lease = null",
    )?;
    statement.execute(named_params! {
        ":key": key,
        ":item": item.as_str(),
        ":effect": json(effect),
        ":due": ms(not_before),
    })?;
    Ok(())
}

/// Whether an effect waits or is being done.
pub(crate) fn waits(connection: &Connection, key: &str) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("select exists (select 1 from outbox where key = ?1)")?;
    Ok(statement.query_row([key], |row| row.get(0))?)
}

/// Claims effects that are due, the longest due first.
pub(crate) fn claim(
    connection: &Connection,
    now: Timestamp,
    lease: i64,
    limit: u32,
) -> Result<Vec<Claimed>, StoreError> {
    let mut statement = connection.prepare_cached(
        "update outbox set lease = :lease where key in
           (select key from outbox where lease is null and due_at <= :now order by due_at limit :limit)
         returning *",
    )?;
    let mut rows = statement.query(named_params! { ":lease": lease, ":now": ms(now), ":limit": i64::from(limit) })?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::new("outbox", "key", row)?;
        claimed.push(Claimed {
            key: record.get("key")?,
            lease,
            item: record.item_id("item_id")?,
            effect: record.json("effect")?,
            attempts: record.count("attempts")?,
        });
    }
    Ok(claimed)
}

/// Takes a done effect out, unless there was a newer wish for it.
pub(crate) fn remove(connection: &Connection, claimed: &Claimed) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("delete from outbox where key = :key and lease = :lease")?;
    statement.execute(named_params! { ":key": claimed.key, ":lease": claimed.lease })?;
    Ok(())
}

/// Gives a claimed effect back untried.
pub(crate) fn put_off(connection: &Connection, claimed: &Claimed, until: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("update outbox set lease = null, due_at = :at where key = :key and lease = :lease")?;
    statement.execute(named_params! { ":at": ms(until), ":key": claimed.key, ":lease": claimed.lease })?;
    Ok(())
}

/// Gives a claimed effect back, to be tried later.
pub(crate) fn give_back(
    connection: &Connection,
    claimed: &Claimed,
    at: Timestamp,
    why: &str,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update outbox set lease = null, due_at = :at, attempts = attempts + 1, last_error = :why
         where key = :key and lease = :lease",
    )?;
    statement.execute(named_params! { ":at": ms(at), ":why": why, ":key": claimed.key, ":lease": claimed.lease })?;
    Ok(())
}

/// Voids all leases: those who held them are gone.
pub(crate) fn void_leases(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("update outbox set lease = null where lease is not null", [])?;
    Ok(())
}
