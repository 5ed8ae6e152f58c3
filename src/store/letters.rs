//! The tables `letters` and `letter_lines`: composed in one transaction, claimed under a lease, settled.
//!
//! A letter's life: `composed -> leased -> data_started -> accepted | deferred | bounced | uncertain`. `data_started` is on
//! disk before the body goes out, so that after a crash a letter either surely was not sent or is `uncertain`: that one is
//! sent again once, with the same Message-ID.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use uuid::Uuid;

use super::columns::{Record, ms};
use super::error::StoreError;
use crate::domain::compose::{Line, Sent};
use crate::domain::event::{Mention, Topic};
use crate::domain::ids::{ItemId, LetterId, UserId};

/// How far back the letters to a user matter for what may be sent now.
const HISTORY: SignedDuration = SignedDuration::from_hours(31 * 24);

/// How many earlier letters a new one refers to, so that mail programs show them as one thread.
const REFERENCES_MAX: i64 = 5;

/// The statuses of a letter that is not settled.
const UNDERWAY: &str = "due_at is not null or status in ('leased', 'data_started')";

/// A letter that this process has claimed, to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedLetter {
    /// Its id.
    pub id: LetterId,
    /// To whom.
    pub user: UserId,
    /// When it was composed.
    pub composed_at: Timestamp,
    /// The link in it.
    pub link_id: String,
    /// How often it was tried before.
    pub attempts: u32,
    /// Why it waited so far.
    pub note: Option<String>,
    /// How often its body went out and no reply came.
    pub uncertain: u32,
    /// What it says.
    pub lines: Vec<Line>,
    /// Earlier letters about the same, oldest first.
    pub references: Vec<LetterId>,
}

/// How an attempt to send a letter ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterOutcome {
    /// The mail server took it.
    Accepted {
        /// Its reply.
        reply: String,
    },
    /// `only_to` keeps letters to this address here.
    WrittenDown,
    /// To be tried again.
    Deferred {
        /// When.
        until: Timestamp,
        /// Why.
        why: String,
        /// Whether this counts as an attempt; waiting for daytime or for Plaid does not.
        attempt: bool,
    },
    /// It cannot be delivered.
    Bounced {
        /// What the mail server said.
        why: String,
        /// Whether the address takes no letters at all.
        suppress: bool,
    },
    /// The body went out and no reply came.
    Uncertain {
        /// When to send it once more; nothing if that was done.
        again_at: Option<Timestamp>,
        /// What happened.
        why: String,
    },
    /// Nothing of what it says is so any more, or nobody wants it.
    Withheld {
        /// Why.
        why: String,
    },
}

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
    /// Whether it was taken out, because it was not so any more when the letter left.
    pub dropped: bool,
}

/// Writes a composed letter with its lines.
pub(crate) fn insert(
    connection: &Connection,
    id: LetterId,
    user: &UserId,
    lines: &[Line],
    link_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reminder = lines.iter().any(|line| line.topic != Topic::WorksAgain);
    let mut statement = connection.prepare_cached(
        "insert into letters (letter_id, user_id, composed_at, status, reminder, link_id, due_at)
         values (:letter, :user, :now, 'composed', :reminder, :link, :now)",
    )?;
    statement.execute(named_params! {
        ":letter": id.to_string(),
        ":user": user.as_str(),
        ":now": ms(now),
        ":reminder": reminder,
        ":link": link_id,
    })?;
    for line in lines {
        let (topic, kind, rung) = match line.topic {
            Topic::Reminder { kind, rung } => ("reminder", Some(kind.name()), Some(i64::from(rung))),
            Topic::WorksAgain => ("works_again", None, None),
            Topic::FreshLink => ("fresh_link", None, None),
        };
        let mut statement = connection.prepare_cached(
            "insert into letter_lines (letter_id, item_id, episode, topic, kind, rung)
             values (:letter, :item, :episode, :topic, :kind, :rung)",
        )?;
        statement.execute(named_params! {
            ":letter": id.to_string(),
            ":item": line.item.as_str(),
            ":episode": i64::from(line.episode),
            ":topic": topic,
            ":kind": kind,
            ":rung": rung,
        })?;
    }
    Ok(())
}

/// The letters of the last 30 days to a user that left or are on their way. One that waited for days counts from when it
/// left: the user had it then.
pub(crate) fn history(connection: &Connection, user: &UserId, now: Timestamp) -> Result<Vec<Sent>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from letters where user_id = :user and coalesce(settled_at, composed_at) > :since
           and status not in ('withheld', 'bounced') order by composed_at",
    )?;
    let since = now.checked_sub(HISTORY).unwrap_or(Timestamp::MIN);
    let mut rows = statement.query(named_params! { ":user": user.as_str(), ":since": ms(since) })?;
    let mut history = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::new("letters", "letter_id", row)?;
        let lines = lines(connection, &record.id)?;
        history.push(Sent {
            at: record.time_if("settled_at")?.unwrap_or(record.time("composed_at")?),
            items: lines.into_iter().map(|line| line.item).collect(),
            reminder: record.get("reminder")?,
        });
    }
    Ok(history)
}

/// When fresh links were written to a user, since a moment. One that nobody can be told of any more does not count.
pub(crate) fn fresh_links(
    connection: &Connection,
    user: &UserId,
    since: Timestamp,
) -> Result<Vec<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select distinct letters.letter_id, composed_at from letters join letter_lines using (letter_id)
         where user_id = :user and composed_at > :since and topic = 'fresh_link' and status not in ('withheld', 'bounced')",
    )?;
    let mut rows = statement.query(named_params! { ":user": user.as_str(), ":since": ms(since) })?;
    let mut times = Vec::new();
    while let Some(row) = rows.next()? {
        times.push(Record::new("letters", "letter_id", row)?.time("composed_at")?);
    }
    Ok(times)
}

/// Whether a letter to a user is not settled yet.
pub(crate) fn underway(connection: &Connection, user: &UserId) -> Result<bool, StoreError> {
    let sql = format!("select exists (select 1 from letters where user_id = ?1 and ({UNDERWAY}))");
    Ok(connection.prepare_cached(&sql)?.query_row([user.as_str()], |row| row.get(0))?)
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

/// Claims letters that are due, the longest due first.
pub(crate) fn claim(connection: &Connection, now: Timestamp, limit: u32) -> Result<Vec<ClaimedLetter>, StoreError> {
    let mut statement = connection.prepare_cached(
        "update letters set status = 'leased', due_at = null where letter_id in
           (select letter_id from letters where due_at is not null and due_at <= :now order by due_at limit :limit)
         returning *",
    )?;
    let mut rows = statement.query(named_params! { ":now": ms(now), ":limit": i64::from(limit) })?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        claimed.push(claimed_letter(connection, row)?);
    }
    Ok(claimed)
}

fn claimed_letter(connection: &Connection, row: &Row<'_>) -> Result<ClaimedLetter, StoreError> {
    let record = Record::new("letters", "letter_id", row)?;
    let id = letter_id(&record)?;
    Ok(ClaimedLetter {
        id,
        user: record.user_id("user_id")?,
        composed_at: record.time("composed_at")?,
        link_id: record.get("link_id")?,
        attempts: record.count("attempts")?,
        note: record.get("note")?,
        uncertain: record.count("uncertain")?,
        lines: lines(connection, &record.id)?,
        references: references(connection, id)?,
    })
}

fn letter_id(record: &Record<'_>) -> Result<LetterId, StoreError> {
    Uuid::parse_str(&record.id).map(LetterId).map_err(|error| record.wrong("letter_id", error.to_string()))
}

fn lines(connection: &Connection, letter: &str) -> Result<Vec<Line>, StoreError> {
    let mut statement = connection
        .prepare_cached("select * from letter_lines where letter_id = ?1 and dropped = 0 order by item_id")?;
    let mut rows = statement.query([letter])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::new("letter_lines", "letter_id", row)?;
        let topic = match record.kind_if("kind")? {
            Some(kind) => Topic::Reminder { kind, rung: record.small("rung")? },
            None if record.get::<String>("topic")? == "fresh_link" => Topic::FreshLink,
            None => Topic::WorksAgain,
        };
        lines.push(Line { item: record.item_id("item_id")?, episode: record.count("episode")?, topic });
    }
    Ok(lines)
}

/// Earlier letters that left and were about an episode that this one is about too.
fn references(connection: &Connection, id: LetterId) -> Result<Vec<LetterId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select distinct earlier.letter_id, earlier.composed_at
         from letter_lines this
         join letter_lines other on other.item_id = this.item_id and other.episode = this.episode
         join letters earlier on earlier.letter_id = other.letter_id and earlier.status in ('accepted', 'uncertain')
         where this.letter_id = :letter and other.letter_id <> :letter
         order by earlier.composed_at desc limit :max",
    )?;
    let mut rows = statement.query(named_params! { ":letter": id.to_string(), ":max": REFERENCES_MAX })?;
    let mut references = Vec::new();
    while let Some(row) = rows.next()? {
        references.push(letter_id(&Record::new("letters", "letter_id", row)?)?);
    }
    references.reverse();
    Ok(references)
}

/// Notes that the body is about to go out, and what is in it.
pub(crate) fn start_data(
    connection: &Connection,
    id: LetterId,
    language: &str,
    subject: &str,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update letters set status = 'data_started', language = :language, subject = :subject
         where letter_id = :letter and status = 'leased'",
    )?;
    let changed =
        statement.execute(named_params! { ":letter": id.to_string(), ":language": language, ":subject": subject })?;
    if changed == 1 {
        return Ok(());
    }
    Err(StoreError::Row {
        table: "letters",
        row: id.to_string(),
        column: "status",
        problem: "is not 'leased', so the letter may not be sent".to_owned(),
    })
}

/// Takes lines out of a letter that are not so any more.
pub(crate) fn drop_lines(connection: &Connection, id: LetterId, items: &[ItemId]) -> Result<(), StoreError> {
    for item in items {
        let mut statement = connection
            .prepare_cached("update letter_lines set dropped = 1 where letter_id = :letter and item_id = :item")?;
        statement.execute(named_params! { ":letter": id.to_string(), ":item": item.as_str() })?;
    }
    Ok(())
}

/// Notes how an attempt ended. The steps of the Items follow in the same operation.
pub(crate) fn settle(
    connection: &Connection,
    id: LetterId,
    outcome: &LetterOutcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (status, due, text, attempt, uncertain) = match outcome {
        LetterOutcome::Accepted { reply } => ("accepted", None, reply.as_str(), true, false),
        LetterOutcome::WrittenDown => ("written_down", None, "kept here: [mail] only_to", true, false),
        LetterOutcome::Deferred { until, why, attempt } => ("deferred", Some(*until), why.as_str(), *attempt, false),
        LetterOutcome::Bounced { why, .. } => ("bounced", None, why.as_str(), true, false),
        LetterOutcome::Uncertain { again_at, why } => ("uncertain", *again_at, why.as_str(), true, true),
        LetterOutcome::Withheld { why } => ("withheld", None, why.as_str(), false, false),
    };
    let is_reply = matches!(outcome, LetterOutcome::Accepted { .. } | LetterOutcome::Bounced { .. });
    let mut statement = connection.prepare_cached(
        "update letters set status = :status, due_at = :due, attempts = attempts + :attempt,
           uncertain = uncertain + :uncertain, reply = coalesce(:reply, reply), note = :note, settled_at = :settled
         where letter_id = :letter",
    )?;
    statement.execute(named_params! {
        ":letter": id.to_string(),
        ":status": status,
        ":due": due.map(ms),
        ":attempt": attempt,
        ":uncertain": uncertain,
        ":reply": is_reply.then_some(text),
        ":note": (!is_reply).then_some(text),
        ":settled": due.is_none().then_some(ms(now)),
    })?;
    Ok(())
}

/// What a letter says about each Item, as the Items' steps want it.
pub(crate) fn mentions(id: LetterId, lines: &[Line]) -> Vec<(ItemId, Mention)> {
    lines
        .iter()
        .map(|line| (line.item.clone(), Mention { letter: id, episode: line.episode, topic: line.topic }))
        .collect()
}

/// Voids all leases: those who held them are gone. A letter whose body was on its way may have been sent.
pub(crate) fn void_leases(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    connection.execute(
        "update letters set status = 'composed', due_at = :now where status = 'leased'",
        named_params! { ":now": ms(now) },
    )?;
    connection.execute(
        "update letters set status = 'uncertain', uncertain = uncertain + 1, due_at = :now,
           note = 'relinkd ended while the body was on its way'
         where status = 'data_started'",
        named_params! { ":now": ms(now) },
    )?;
    Ok(())
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
