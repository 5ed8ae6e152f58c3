//! Letters as people see them: the tables `letters` and `letter_lines`, read only.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::columns::Record;
use super::error::StoreError;
use crate::domain::ids::{ItemId, UserId};

/// A letter as people see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LetterView {
    /// Its id.
    pub letter_id: String,
    /// To whom.
    pub user_id: String,
    /// When it was composed.
    pub composed_at: Timestamp,
    /// Where it stands.
    pub status: String,
    /// Its subject, once rendered.
    pub subject: Option<String>,
    /// Its language, once rendered.
    pub language: Option<String>,
    /// When it is tried next.
    pub due_at: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// What the mail server said last.
    pub reply: Option<String>,
    /// What came back later: `hard`, `soft` or `complaint`.
    pub bounce: Option<String>,
    /// Why it waits, or why it did not leave.
    pub note: Option<String>,
    /// When its fate was known.
    pub settled_at: Option<Timestamp>,
    /// What it says about which Item.
    pub lines: Vec<LineView>,
}

/// The letters on their way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outgoing {
    /// How many wait to be tried, now or later.
    pub waiting: u64,
    /// When the first of them is or was due.
    pub due_since: Option<Timestamp>,
    /// When the mail server last took one.
    pub last_sent_at: Option<Timestamp>,
}

/// Which letters a list holds.
#[derive(Clone, Debug, Default)]
pub struct LetterFilter {
    /// Only to this user.
    pub user: Option<UserId>,
    /// Only those that speak of this Item.
    pub item: Option<ItemId>,
    /// Only with this status.
    pub status: Option<String>,
}

/// A line of a letter as people see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LineView {
    /// About which Item.
    pub item_id: String,
    /// Which of its episodes.
    pub episode: u32,
    /// `reminder`, `works_again` or `fresh_link`.
    pub topic: String,
    /// Of which condition it reminds.
    pub kind: Option<String>,
    /// Which rung of the ladder, from 0.
    pub rung: Option<u8>,
    /// Whether it is said to nobody: it was not so any more when the letter left, or the letter came back.
    pub dropped: bool,
}

/// Letters for people, newest first, before a given id; of one user where asked.
pub(crate) fn list(
    connection: &Connection,
    filter: &LetterFilter,
    before: Option<&str>,
    limit: u32,
) -> Result<Vec<LetterView>, StoreError> {
    let mut conditions = vec![if before.is_some() { "letter_id < :before" } else { ":before is null" }];
    conditions.push(if filter.user.is_some() { "user_id = :user" } else { ":user is null" });
    conditions.push(if filter.status.is_some() { "status = :status" } else { ":status is null" });
    conditions.push(match filter.item {
        Some(_) => {
            "exists (select 1 from letter_lines line where line.letter_id = letters.letter_id and item_id = :item)"
        }
        None => ":item is null",
    });
    let sql = format!("select * from letters where {} order by letter_id desc limit :limit", conditions.join(" and "));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":user": filter.user.as_ref().map(UserId::as_str),
        ":status": filter.status,
        ":item": filter.item.as_ref().map(ItemId::as_str),
        ":before": before,
        ":limit": i64::from(limit),
    })?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(view(connection, row)?);
    }
    Ok(letters)
}

/// One letter.
pub(crate) fn one(connection: &Connection, id: &str) -> Result<Option<LetterView>, StoreError> {
    let mut statement = connection.prepare_cached("select * from letters where letter_id = ?1")?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| view(connection, row)).transpose()
}

fn view(connection: &Connection, row: &Row<'_>) -> Result<LetterView, StoreError> {
    let record = Record::new("letters", "letter_id", row)?;
    Ok(LetterView {
        user_id: record.get("user_id")?,
        composed_at: record.time("composed_at")?,
        status: record.get("status")?,
        subject: record.get("subject")?,
        language: record.get("language")?,
        due_at: record.time_if("due_at")?,
        attempts: record.count("attempts")?,
        reply: record.get("reply")?,
        bounce: record.get("bounce")?,
        note: record.get("note")?,
        settled_at: record.time_if("settled_at")?,
        lines: line_views(connection, &record.id)?,
        letter_id: record.id,
    })
}

fn line_views(connection: &Connection, letter: &str) -> Result<Vec<LineView>, StoreError> {
    let mut statement =
        connection.prepare_cached("select * from letter_lines where letter_id = ?1 order by item_id")?;
    let mut rows = statement.query([letter])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::new("letter_lines", "letter_id", row)?;
        lines.push(LineView {
            item_id: record.get("item_id")?,
            episode: record.count("episode")?,
            topic: record.get("topic")?,
            kind: record.get("kind")?,
            rung: record.get::<Option<i64>>("rung")?.and_then(|rung| u8::try_from(rung).ok()),
            dropped: record.get("dropped")?,
        });
    }
    Ok(lines)
}

/// What waits to leave, and what left last.
pub(crate) fn outgoing(connection: &Connection) -> Result<Outgoing, StoreError> {
    let time = |at: Option<i64>| at.and_then(|at| Timestamp::from_millisecond(at).ok());
    let (waiting, due): (i64, Option<i64>) = connection
        .prepare_cached("select count(*), min(due_at) from letters where due_at is not null")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // The ids are in the order of time, so this reads few rows.
    let sent: Option<Option<i64>> = connection
        .prepare_cached("select settled_at from letters where status = 'accepted' order by letter_id desc limit 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let waiting = u64::try_from(waiting).unwrap_or_default();
    Ok(Outgoing { waiting, due_since: time(due), last_sent_at: sent.and_then(time) })
}
