//! The tables `letters` and `letter_lines`: composed in one transaction, claimed under a lease, settled.
//!
//! A letter's life: `composed -> leased -> data_started -> accepted | deferred | bounced | uncertain`. `data_started` is on
//! disk before the body goes out, so that after a crash a letter either surely was not sent or is `uncertain`: that one is
//! sent again once, with the same Message-ID.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, named_params};
use uuid::Uuid;

use super::columns::{Record, ms};
use super::error::StoreError;
use super::pauses::{self, Gate};
use crate::domain::compose::{self, Channel, Line, Sent};
use crate::domain::event::{Mention, Topic};
use crate::domain::ids::{ItemId, LetterId, UserId};
use crate::domain::provider::Cap;

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

/// Whether a letter whose body is about to go out may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// It is written down as leaving.
    Go,
    /// Its user wants no letters now, or the address takes none: that was said a moment ago.
    Unwanted,
    /// It is night where the user is, until then: the day ended, or the user moved, a moment ago.
    Night(Timestamp),
    /// The mailbox provider takes no more of our letters before then.
    Full(Timestamp),
}

/// Writes a composed letter with its lines.
pub(crate) fn insert(
    connection: &Connection,
    id: LetterId,
    user: &UserId,
    lines: &[Line],
    link_id: &str,
    provider: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reminder = lines.iter().any(|line| line.topic != Topic::WorksAgain);
    let mut statement = connection.prepare_cached(
        "insert into letters (letter_id, user_id, composed_at, status, reminder, link_id, due_at, provider, provider_day)
         values (:letter, :user, :now, 'composed', :reminder, :link, :now, :provider, :day)",
    )?;
    statement.execute(named_params! {
        ":letter": id.to_string(),
        ":user": user.as_str(),
        ":now": ms(now),
        ":reminder": reminder,
        ":link": link_id,
        ":provider": provider,
        ":day": provider.map(|_| pauses::day(now)),
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

/// The letters of the last 30 days to a user that left or are on their way, but for one. One that waited for days counts from
/// when it left: the user had it then.
pub(crate) fn history(
    connection: &Connection,
    user: &UserId,
    without: Option<LetterId>,
    now: Timestamp,
) -> Result<Vec<Sent>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from letters where user_id = :user and coalesce(settled_at, composed_at) > :since
           and status not in ('withheld', 'bounced') and letter_id is not :without order by composed_at",
    )?;
    let since = now.checked_sub(HISTORY).unwrap_or(Timestamp::MIN);
    let without = without.map(|letter| letter.to_string());
    let named = named_params! { ":user": user.as_str(), ":since": ms(since), ":without": without };
    let mut rows = statement.query(named)?;
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

/// A letter to a user that is not settled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnItsWay {
    /// When it is tried, or tried again; nothing while it is leaving.
    pub due_at: Option<Timestamp>,
    /// Why it waits, if it was put off.
    pub note: Option<String>,
}

/// The letter to a user that is not settled yet, if there is one.
pub(crate) fn underway(connection: &Connection, user: &UserId) -> Result<Option<OnItsWay>, StoreError> {
    let sql = format!("select * from letters where user_id = ?1 and ({UNDERWAY})");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([user.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let record = Record::new("letters", "letter_id", row)?;
    Ok(Some(OnItsWay { due_at: record.time_if("due_at")?, note: record.get("note")? }))
}

/// A letter that waits for Plaid, a bank, the morning or its provider's next day: no mail server has had its body.
pub(crate) struct Waiting {
    pub(crate) id: LetterId,
    pub(crate) lines: Vec<Line>,
    /// The mailbox provider at which it counts today.
    pub(crate) counted_at: Option<String>,
}

/// The letter to a user that waits, if there is one. Not one that the user asked for.
pub(crate) fn waiting(connection: &Connection, user: &UserId, now: Timestamp) -> Result<Option<Waiting>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from letters where user_id = ?1 and status = 'deferred' and due_at is not null and attempts = 0
           and uncertain = 0
           and not exists (select 1 from letter_lines where letter_id = letters.letter_id and topic = 'fresh_link')",
    )?;
    let mut rows = statement.query([user.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let record = Record::new("letters", "letter_id", row)?;
    let provider: Option<String> = record.get("provider")?;
    let day: Option<i64> = record.get("provider_day")?;
    Ok(Some(Waiting {
        id: letter_id(&record)?,
        lines: lines(connection, &record.id)?,
        counted_at: provider.filter(|_| day == Some(pauses::day(now))),
    }))
}

/// Claims letters that are due, the longest due first. During a pause none, or the one that tries.
pub(crate) fn claim(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
    channel: Channel,
) -> Result<Vec<ClaimedLetter>, StoreError> {
    let gate = pauses::gate(connection, channel)?;
    let limit = match gate {
        Gate::Open => limit,
        Gate::OneFrom(from) if from <= now => limit.min(1),
        Gate::OneFrom(_) | Gate::Closed => return Ok(Vec::new()),
    };
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
    if !matches!(gate, Gate::Open) && !claimed.is_empty() {
        pauses::try_one(connection, now)?;
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

pub(crate) fn letter_id(record: &Record<'_>) -> Result<LetterId, StoreError> {
    Uuid::parse_str(&record.id).map(LetterId).map_err(|error| record.wrong("letter_id", error.to_string()))
}

/// What a letter says.
pub(crate) fn lines(connection: &Connection, letter: &str) -> Result<Vec<Line>, StoreError> {
    let mut statement = connection.prepare_cached("select * from letter_lines where letter_id = ?1 and dropped = 0")?;
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
    compose::sort(&mut lines);
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
    address_hmac: Option<&[u8]>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update letters set status = 'data_started', language = :language, subject = :subject, address_hmac = :hmac
         where letter_id = :letter and status = 'leased'",
    )?;
    let changed = statement.execute(named_params! {
        ":letter": id.to_string(),
        ":language": language,
        ":subject": subject,
        ":hmac": address_hmac,
    })?;
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

/// Counts a letter to a mailbox provider, unless it was counted there today. Says until when the provider is full, if it is.
pub(crate) fn count_for_provider(
    connection: &Connection,
    id: LetterId,
    cap: &Cap,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select exists (select 1 from letters where letter_id = :letter and provider = :provider and provider_day = :day)",
    )?;
    let (letter, today) = (id.to_string(), pauses::day(now));
    let named = named_params! { ":letter": letter, ":provider": cap.provider, ":day": today };
    if statement.query_row(named, |row| row.get(0))? {
        return Ok(None);
    }
    if let Some(until) = pauses::full_until(connection, cap, now)? {
        return Ok(Some(until));
    }
    pauses::count(connection, &cap.provider, now)?;
    let mut statement = connection
        .prepare_cached("update letters set provider = :provider, provider_day = :day where letter_id = :letter")?;
    statement.execute(named_params! { ":letter": letter, ":provider": cap.provider, ":day": today })?;
    Ok(None)
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
