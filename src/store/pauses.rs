//! The tables `pauses` and `provider_days`: what holds all letters back, or those to one mailbox provider.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};
use serde::Serialize;

use super::columns::{Record, ms, name_of};
use super::error::StoreError;
use super::events;
use super::letter_outcome::{LetterOutcome, Refusal};
use crate::domain::bounces::{WINDOW, are_an_alarm, wait_before_try};
use crate::domain::compose::Channel;
use crate::domain::provider::Cap;

/// How long the one letter that tries whether the sender is believed again keeps the others waiting, at most.
const TRY_TIME_MAX_MS: i64 = 15 * 60 * 1000;

/// How long a letter waits at least whose address is said to be gone while too many are.
const DOUBT: SignedDuration = SignedDuration::from_hours(1);

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Why all letters wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Too many come back.
    Bounces,
    /// The mail server says that the sender is at fault.
    Sender,
}

const REASONS: [(PauseReason, &str); 2] = [(PauseReason::Bounces, "bounces"), (PauseReason::Sender, "sender")];

/// A pause that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    #[serde(skip)]
    id: i64,
    /// Why.
    pub why: PauseReason,
    /// The figures, or what the mail server said.
    pub note: String,
    /// Since when.
    pub since: Timestamp,
    /// When one letter tries whether it works again; nothing where only the operator ends the pause.
    pub until: Option<Timestamp>,
    #[serde(skip)]
    tries: u32,
}

/// Who ends a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ender {
    Operator,
    Letter,
}

/// The pause that is not over, if any.
pub(crate) fn open(connection: &Connection) -> Result<Option<Pause>, StoreError> {
    let mut statement = connection.prepare_cached("select * from pauses where ended_at is null")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let record = Record::numbered("pauses", row)?;
    Ok(Some(Pause {
        id: record.get("id")?,
        why: record.named("why", &REASONS)?,
        note: record.get("note")?,
        since: record.time("since")?,
        until: record.time_if("until")?,
        tries: record.count("tries")?,
    }))
}

/// When letters may leave: at once, from a moment on, or not before somebody says so. A pause is about a mail server, and
/// does not hold what the application brings.
pub(crate) enum Gate {
    Open,
    OneFrom(Timestamp),
    Closed,
}

pub(crate) fn gate(connection: &Connection, channel: Channel) -> Result<Gate, StoreError> {
    Ok(match (channel, open(connection)?) {
        (Channel::Event, _) | (Channel::Mail, None) => Gate::Open,
        (Channel::Mail, Some(Pause { until: Some(until), .. })) => Gate::OneFrom(until),
        (Channel::Mail, Some(Pause { until: None, .. })) => Gate::Closed,
    })
}

/// One letter tries now; the others wait for what it finds.
pub(crate) fn try_one(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("update pauses set until = ?1 where ended_at is null")?;
    statement.execute([ms(now) + TRY_TIME_MAX_MS])?;
    Ok(())
}

/// The letter that was to try did not leave: the next one tries.
pub(crate) fn try_another(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("update pauses set until = ?1 where ended_at is null and until is not null")?;
    statement.execute([ms(now)])?;
    Ok(())
}

/// The mail server says that the sender is at fault: all letters wait. Answers with the pause, if it is news.
pub(crate) fn sender_at_fault(
    connection: &Connection,
    note: &str,
    now: Timestamp,
) -> Result<Option<Pause>, StoreError> {
    match open(connection)? {
        None => {
            let until = super::later(now, wait_before_try(1));
            begin(connection, PauseReason::Sender, note, Some(until), now)
        }
        Some(Pause { why: PauseReason::Bounces, .. }) => Ok(None),
        Some(pause) => {
            let tries = pause.tries + 1;
            let mut statement = connection
                .prepare_cached("update pauses set tries = :tries, until = :until, note = :note where id = :id")?;
            statement.execute(named_params! {
                ":tries": i64::from(tries),
                ":until": ms(super::later(now, wait_before_try(tries))),
                ":note": note,
                ":id": pause.id,
            })?;
            Ok(None)
        }
    }
}

/// Looks at the last letters after one came back. Answers with the pause, if one begins.
pub(crate) fn after_bounce(connection: &Connection, now: Timestamp) -> Result<Option<Pause>, StoreError> {
    if open(connection)?.is_some_and(|pause| pause.why == PauseReason::Bounces) {
        return Ok(None);
    }
    let (letters, bounced) = last_letters(connection)?;
    if !are_an_alarm(bounced, letters) {
        return Ok(None);
    }
    // A sender at fault is the smaller trouble.
    end(connection, Ender::Letter, now)?;
    let note = format!("{bounced} of the last {letters} letters came back or were refused");
    begin(connection, PauseReason::Bounces, &note, None, now)
}

/// How many of the last letters were handed over or refused since the operator ended a pause, and how many of them came back
/// or were refused. One that is refused for its mailbox's sake says nothing about the others.
fn last_letters(connection: &Connection) -> Result<(u32, u32), StoreError> {
    let mut statement = connection.prepare_cached(
        "select count(*), coalesce(sum(bounce = 'hard' or (status = 'bounced' and bounce is null)), 0) from
           (select status, bounce from letters
            where status in ('accepted', 'bounced') and settled_at >
              (select coalesce(max(ended_at), 0) from pauses where why = 'bounces' and ended_by = 'operator')
            order by settled_at desc limit :window)",
    )?;
    let figures = statement.query_row(named_params! { ":window": i64::from(WINDOW) }, |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?))
    })?;
    Ok(figures)
}

/// While so many letters come back that it is an alarm, neither an address nor a letter is given up: the mail server may be
/// wrong about all.
pub(crate) fn doubted(
    connection: &Connection,
    outcome: LetterOutcome,
    now: Timestamp,
) -> Result<LetterOutcome, StoreError> {
    let LetterOutcome::Bounced { why, refusal: refusal @ (Refusal::Gone(_) | Refusal::Letter) } = outcome else {
        return Ok(outcome);
    };
    if open(connection)?.is_some_and(|pause| pause.why == PauseReason::Bounces) {
        return Ok(LetterOutcome::Deferred { until: super::later(now, DOUBT), why, attempt: false });
    }
    Ok(LetterOutcome::Bounced { why, refusal })
}

/// When the oldest of the last letters was settled: what was believed since then is in doubt.
pub(crate) fn doubted_since(connection: &Connection) -> Result<Timestamp, StoreError> {
    let mut statement = connection.prepare_cached(
        "select min(settled_at) from (select settled_at from letters where status in ('accepted', 'bounced')
         order by settled_at desc limit :window)",
    )?;
    let at: Option<i64> = statement.query_row(named_params! { ":window": i64::from(WINDOW) }, |row| row.get(0))?;
    Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX))
}

fn begin(
    connection: &Connection,
    why: PauseReason,
    note: &str,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Pause>, StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into pauses (why, note, since, until, tries) values (:why, :note, :now, :until, :tries)",
    )?;
    statement.execute(named_params! {
        ":why": name_of(&why, &REASONS),
        ":note": note,
        ":now": ms(now),
        ":until": until.map(ms),
        ":tries": i64::from(until.is_some()),
    })?;
    let pause = open(connection)?;
    pause.iter().try_for_each(|pause| events::paused(connection, pause))?;
    Ok(pause)
}

/// Ends the pause. Says whether there was one.
pub(crate) fn end(connection: &Connection, ender: Ender, now: Timestamp) -> Result<bool, StoreError> {
    let by = match ender {
        Ender::Operator => "operator",
        Ender::Letter => "letter",
    };
    let mut statement =
        connection.prepare_cached("update pauses set ended_at = :now, ended_by = :by where ended_at is null")?;
    let ended = statement.execute(named_params! { ":now": ms(now), ":by": by })? == 1;
    if ended {
        events::resumed(connection, now)?;
    }
    Ok(ended)
}

/// The day of a moment, since 1970 in UTC.
pub(crate) fn day(now: Timestamp) -> i64 {
    ms(now).div_euclid(DAY_MS)
}

/// Until when a provider takes no more of our letters; nothing if it does.
pub(crate) fn full_until(connection: &Connection, cap: &Cap, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select coalesce(sum(letters), 0) from provider_days where provider = :provider and day = :day",
    )?;
    let named = named_params! { ":provider": cap.provider, ":day": day(now) };
    let letters: i64 = statement.query_row(named, |row| row.get(0))?;
    let tomorrow = Timestamp::from_millisecond((day(now) + 1) * DAY_MS).unwrap_or(Timestamp::MAX);
    Ok((letters >= i64::from(cap.letters)).then_some(tomorrow))
}

/// Takes back one letter that was counted today.
pub(crate) fn count_back(connection: &Connection, provider: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update provider_days set letters = letters - 1 where provider = :provider and day = :day and letters > 0",
    )?;
    statement.execute(named_params! { ":provider": provider, ":day": day(now) })?;
    Ok(())
}

/// Counts one more letter to a provider today.
pub(crate) fn count(connection: &Connection, provider: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into provider_days (provider, day, letters) values (:provider, :day, 1)
         on conflict do update set letters = letters + 1",
    )?;
    statement.execute(named_params! { ":provider": provider, ":day": day(now) })?;
    // What was yesterday matters no more.
    connection.prepare_cached("delete from provider_days where day < ?1")?.execute([day(now) - 1])?;
    Ok(())
}
