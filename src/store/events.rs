//! The table `events`: what the application is told, in the order in which it happened.
//!
//! An event is written in the transaction of what it tells of, so there is none without the other. Its number is given by the
//! one writer: who has seen a number has seen all smaller ones that there are. No link stands in it: its address is written
//! when the event is read.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params};
use serde_json::{Value, json};

use super::columns::{Record, ms};
use super::error::StoreError;
use super::pauses::Pause;
use super::users::Wish;
use crate::domain::effect::Notice;
use crate::domain::ids::{ItemId, LetterId, UserId};
use crate::domain::item::Item;

/// A letter is due which the application sends itself.
pub const LETTER_DUE: &str = "letter.due";

/// All letters wait.
const LETTERS_PAUSED: &str = "letters.paused";

/// They go on.
const LETTERS_RESUMED: &str = "letters.resumed";

/// One event as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its number: later events have larger ones.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, such as `item.state_changed`.
    pub kind: String,
    /// To which Item.
    pub item: Option<String>,
    /// To whose Item, or to whom.
    pub user: Option<String>,
    /// About which letter.
    pub letter: Option<String>,
    /// The link of that letter.
    pub link: Option<String>,
    /// What else is to be said: an object.
    pub data: Value,
}

/// Which events a list holds.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only of this type.
    pub kind: Option<String>,
    /// Only about this Item.
    pub item: Option<ItemId>,
    /// Only about this user.
    pub user: Option<UserId>,
}

/// A row that is about to be written.
#[derive(Default)]
struct New<'a> {
    kind: &'a str,
    item: Option<&'a ItemId>,
    user: Option<&'a UserId>,
    letter: Option<LetterId>,
    data: Value,
}

/// Tells what a step has to tell.
pub(crate) fn notice(connection: &Connection, item: &Item, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
    // JSON: `"name"`, or `{"name": {…}}`.
    let data = match serde_json::to_value(notice) {
        Ok(Value::Object(named)) => named.into_iter().next().map_or(json!({}), |(_, data)| data),
        Ok(_) | Err(_) => json!({}),
    };
    append(
        connection,
        &New { kind: notice.name(), item: Some(&item.id), user: Some(&item.user), letter: None, data },
        now,
    )?;
    Ok(())
}

/// Tells what a user wishes about all letters.
pub(crate) fn wish(connection: &Connection, user: &UserId, wish: Wish, now: Timestamp) -> Result<(), StoreError> {
    let (kind, data) = match wish {
        Wish::Stop => ("user.stopped", json!({})),
        Wish::SnoozeUntil(until) | Wish::PauseUntil(until) => ("user.snoozed", json!({ "until": until })),
        Wish::Resume => ("user.resumed", json!({})),
    };
    append(connection, &New { kind, user: Some(user), data, ..New::default() }, now)?;
    Ok(())
}

/// Tells that all letters wait.
pub(crate) fn paused(connection: &Connection, pause: &Pause) -> Result<(), StoreError> {
    let data = serde_json::to_value(pause).unwrap_or_default();
    append(connection, &New { kind: LETTERS_PAUSED, data, ..New::default() }, pause.since)?;
    Ok(())
}

/// Tells that letters go on.
pub(crate) fn resumed(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    append(connection, &New { kind: LETTERS_RESUMED, data: json!({}), ..New::default() }, now)?;
    Ok(())
}

/// Tells that a letter is due, once: a letter that was told of before a crash keeps its event. Answers with the number.
pub(crate) fn letter_due(
    connection: &Connection,
    letter: LetterId,
    user: &UserId,
    data: Value,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let mut statement =
        connection.prepare_cached("select id from events where letter_id = :letter and type = :type")?;
    let named = named_params! { ":letter": letter.to_string(), ":type": LETTER_DUE };
    if let Some(told) = statement.query_row(named, |row| row.get(0)).optional()? {
        return Ok(told);
    }
    append(connection, &New { kind: LETTER_DUE, item: None, user: Some(user), letter: Some(letter), data }, now)
}

fn append(connection: &Connection, new: &New<'_>, now: Timestamp) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into events (at, type, item_id, user_id, letter_id, data)
         values (:now, :type, :item, :user, :letter, :data)",
    )?;
    statement.execute(named_params! {
        ":now": ms(now),
        ":type": new.kind,
        ":item": new.item.map(ItemId::as_str),
        ":user": new.user.map(UserId::as_str),
        ":letter": new.letter.map(|letter| letter.to_string()),
        ":data": new.data.to_string(),
    })?;
    Ok(connection.last_insert_rowid())
}

/// Events in the order of their numbers, after a given one.
pub(crate) fn list(
    connection: &Connection,
    filter: &EventFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<EventRow>, StoreError> {
    let mut conditions = vec!["id > :after"];
    conditions.push(if filter.kind.is_some() { "type = :type" } else { ":type is null" });
    conditions.push(if filter.item.is_some() { "item_id = :item" } else { ":item is null" });
    conditions.push(if filter.user.is_some() { "events.user_id = :user" } else { ":user is null" });
    let sql = format!(
        "select events.*, link_id from events left join letters using (letter_id)
         where {} order by id limit :limit",
        conditions.join(" and ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":after": after,
        ":type": filter.kind,
        ":item": filter.item.as_ref().map(ItemId::as_str),
        ":user": filter.user.as_ref().map(UserId::as_str),
        ":limit": i64::from(limit),
    })?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::numbered("events", row)?;
        events.push(EventRow {
            id: record.get("id")?,
            at: record.time("at")?,
            kind: record.get("type")?,
            item: record.get("item_id")?,
            user: record.get("user_id")?,
            letter: record.get("letter_id")?,
            link: record.get("link_id")?,
            data: record.json("data")?,
        });
    }
    Ok(events)
}

/// The number of the newest event; 0 before the first.
pub(crate) fn newest(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("select coalesce(max(id), 0) from events")?.query_row([], |row| row.get(0))?)
}
