//! Deleting what nobody needs any more: table by table, in the order of the rows' ids, a few rows a step.
//!
//! A step looks at so many rows and no more, and deletes of them what is old enough and not needed. Never deleted are: webhooks
//! that wait to be read; letters that are not settled, or about an episode that is open or was until lately; the steps of open
//! episodes, and of those that a kept letter is about. The newest row of a numbered table stays, so that no number is given
//! twice. Ids of letters, presses, webhooks and steps are in the order of time, so a walk ends where the young ones begin.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::columns::ms;
use super::error::StoreError;

/// Up to which webhook all bodies are gone.
const BODIES_PLACE: &str = "bodies_purged_to";

/// Before when each kind of row is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// Bodies of webhooks; and webhooks of Items that were never registered are given up.
    pub bodies: Timestamp,
    /// Webhooks.
    pub webhooks: Timestamp,
    /// Steps that explain no letter.
    pub journal: Timestamp,
    /// Letters, links, episodes, and the keys that old links were made with.
    pub letters: Timestamp,
    /// Presses.
    pub sessions: Timestamp,
    /// What the application was told.
    pub events: Timestamp,
    /// How many logins broke at a bank.
    pub breaks: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Bodies,
    Webhooks,
    Journal,
    Letters,
    Links,
    Episodes,
    Sessions,
    Events,
    Breaks,
}

/// How far a purge has come.
#[derive(Clone, Debug)]
pub struct Purge {
    cutoffs: Cutoffs,
    stage: Stage,
    /// The last row that was looked at; nothing at the beginning of a table.
    after: Option<Value>,
    /// How many rows were deleted, and bodies emptied.
    deleted: u64,
}

impl Purge {
    /// The beginning.
    #[must_use]
    pub fn new(cutoffs: Cutoffs) -> Self {
        Self { cutoffs, stage: Stage::Bodies, after: None, deleted: 0 }
    }

    /// How many rows were deleted so far, bodies of webhooks included.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.deleted
    }
}

/// How a table is walked and what is deleted of it.
struct Walk {
    table: &'static str,
    id: &'static str,
    /// The column that grows with the id, if one does.
    time: Option<&'static str>,
    /// Each has `:after`, `:last` and `:cutoff`.
    deletes: &'static [&'static str],
}

impl Stage {
    fn cutoff(self, cutoffs: &Cutoffs) -> Timestamp {
        match self {
            Self::Bodies => cutoffs.bodies,
            Self::Webhooks => cutoffs.webhooks,
            Self::Journal => cutoffs.journal,
            Self::Letters | Self::Links | Self::Episodes => cutoffs.letters,
            Self::Sessions => cutoffs.sessions,
            Self::Events => cutoffs.events,
            Self::Breaks => cutoffs.breaks,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Bodies => Some(Self::Webhooks),
            Self::Webhooks => Some(Self::Journal),
            Self::Journal => Some(Self::Letters),
            Self::Letters => Some(Self::Links),
            Self::Links => Some(Self::Episodes),
            Self::Episodes => Some(Self::Sessions),
            Self::Sessions => Some(Self::Events),
            Self::Events => Some(Self::Breaks),
            Self::Breaks => None,
        }
    }

    fn walk(self) -> Option<Walk> {
        Some(match self {
            Self::Bodies => Walk { table: "inbox", id: "id", time: Some("received_at"), deletes: &[BODIES] },
            Self::Webhooks => Walk { table: "inbox", id: "id", time: Some("received_at"), deletes: &[WEBHOOKS] },
            Self::Journal => Walk { table: "journal", id: "id", time: Some("at"), deletes: &[JOURNAL] },
            Self::Letters => {
                Walk { table: "letters", id: "letter_id", time: Some("composed_at"), deletes: &[LINES, LETTERS] }
            }
            Self::Links => Walk { table: "links", id: "link_id", time: None, deletes: &[LINKS] },
            Self::Episodes => Walk { table: "items", id: "item_id", time: None, deletes: &[EPISODES] },
            Self::Sessions => {
                Walk { table: "sessions", id: "session_id", time: Some("opened_at"), deletes: &[SESSIONS] }
            }
            Self::Events => Walk { table: "events", id: "id", time: Some("at"), deletes: &[EVENTS] },
            Self::Breaks => return None,
        })
    }
}

const BODIES: &str = "
    update inbox set body = null,
      note = case when status = 'parked' then 'the Item was not registered in time' else note end,
      status = case when status = 'parked' then 'noted' else status end
    where id > :after and id <= :last and received_at < :cutoff and status <> 'new' and body is not null";

/// The newest of an Item tells, compared with Plaid's word, whether one was missed.
const WEBHOOKS: &str = "
    delete from inbox where id > :after and id <= :last and received_at < :cutoff and status <> 'new'
      and id < (select max(id) from inbox)
      and (not exists (select 1 from items where items.item_id = inbox.item_id)
        or exists (select 1 from inbox newer where newer.item_id = inbox.item_id
          and newer.signed_at >= inbox.signed_at and newer.id > inbox.id))";

/// A day around an episode belongs to it: what led to it, and what was heard after its end.
const JOURNAL: &str = "
    delete from journal where id > :after and id <= :last and at < :cutoff and id < (select max(id) from journal)
      and not exists (select 1 from episodes episode
        where episode.item_id = journal.item_id and episode.opened_at - 86400000 <= journal.at
          and (episode.closed_at is null or (episode.closed_at + 86400000 >= journal.at and exists
            (select 1 from letter_lines line where line.item_id = episode.item_id and line.episode = episode.number))))";

/// The letters of a page that can go.
macro_rules! old_letters {
    () => {
        "select letter_id from letters letter
         where letter_id > :after and letter_id <= :last and settled_at < :cutoff and due_at is null
           and status not in ('leased', 'data_started') and not exists
             (select 1 from letter_lines line
                join episodes episode on episode.item_id = line.item_id and episode.number = line.episode
              where line.letter_id = letter.letter_id
                and (episode.closed_at is null or episode.closed_at >= :cutoff))"
    };
}

const LINES: &str = concat!("delete from letter_lines where letter_id in (", old_letters!(), ")");

/// Their lines are gone, so what keeps a letter is looked for no more: only those without lines.
const LETTERS: &str = "
    delete from letters where letter_id > :after and letter_id <= :last and settled_at < :cutoff and due_at is null
      and status not in ('leased', 'data_started')
      and not exists (select 1 from letter_lines line where line.letter_id = letters.letter_id)";

const LINKS: &str = "
    delete from links where link_id > :after and link_id <= :last and created_at < :cutoff and expires_at < :cutoff
      and not exists (select 1 from letters letter where letter.link_id = links.link_id)";

/// The latest login of an Item may break again and go on with its episode.
const EPISODES: &str = "
    delete from episodes where item_id > :after and item_id <= :last and closed_at < :cutoff
      and number < (select max(number) from episodes later where later.item_id = episodes.item_id
                      and later.kind = episodes.kind)
      and not exists (select 1 from letter_lines line
        where line.item_id = episodes.item_id and line.episode = episodes.number)";

const SESSIONS: &str = "
    delete from sessions where session_id > :after and session_id <= :last and opened_at < :cutoff
      and expires_at < :cutoff";

const EVENTS: &str = "
    delete from events where id > :after and id <= :last and at < :cutoff and id < (select max(id) from events)";

const BREAKS: &str = "
    delete from breaks where (institution_id, minute) in
      (select institution_id, minute from breaks where minute < :minute limit :rows)";

/// Deletes some more of what is old. Says how far it has come, and whether that was all.
pub(crate) fn step(connection: &Connection, mut purge: Purge, rows: u32) -> Result<(Purge, bool), StoreError> {
    let cutoff = purge.stage.cutoff(&purge.cutoffs);
    let more = match purge.stage.walk() {
        Some(walk) => page(connection, &mut purge, &walk, cutoff, rows)?,
        None => {
            let mut statement = connection.prepare_cached(BREAKS)?;
            let deleted = statement.execute(named_params! { ":minute": cutoff.as_second() / 60, ":rows": rows })?;
            purge.deleted += deleted as u64;
            deleted == rows as usize
        }
    };
    if more {
        return Ok((purge, false));
    }
    let Some(next) = purge.stage.next() else {
        forget_keys(connection, purge.cutoffs.letters)?;
        return Ok((purge, true));
    };
    (purge.stage, purge.after) = (next, None);
    Ok((purge, false))
}

/// Looks at one page. Says whether there may be more old rows in this table.
fn page(
    connection: &Connection,
    purge: &mut Purge,
    walk: &Walk,
    cutoff: Timestamp,
    rows: u32,
) -> Result<bool, StoreError> {
    let Walk { table, id, time, deletes } = walk;
    let after = match (&purge.after, purge.stage) {
        (Some(after), _) => after.clone(),
        (None, Stage::Bodies) => Value::Integer(bodies_place(connection)?),
        (None, Stage::Webhooks | Stage::Journal | Stage::Events) => Value::Integer(0),
        (None, Stage::Letters | Stage::Links | Stage::Episodes | Stage::Sessions | Stage::Breaks) => {
            Value::Text(String::new())
        }
    };
    let time = time.unwrap_or("null");
    let mut statement = connection.prepare_cached(&format!(
        "select max({id}), max(number), max({time}) filter (where number = :rows) from
           (select {id}, {time}, row_number() over (order by {id}) as number from {table}
            where {id} > :after order by {id} limit :rows)"
    ))?;
    let (last, found, newest): (Option<Value>, Option<u32>, Option<i64>) = statement
        .query_row(named_params! { ":after": after, ":rows": rows }, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let Some(last) = last.filter(|last| *last != Value::Null) else { return Ok(false) };
    for delete in *deletes {
        let mut statement = connection.prepare_cached(delete)?;
        let changed = statement.execute(named_params! { ":after": after, ":last": last, ":cutoff": ms(cutoff) })?;
        purge.deleted += changed as u64;
    }
    let full = found == Some(rows);
    let young = newest.is_some_and(|newest| newest >= ms(cutoff));
    if purge.stage == Stage::Bodies && full && !young {
        keep_bodies_place(connection, &last)?;
    }
    purge.after = Some(last);
    Ok(full && !young)
}

fn bodies_place(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("select value from meta where name = ?1")?;
    let found: Option<Vec<u8>> = statement.query_row([BODIES_PLACE], |row| row.get(0)).optional()?;
    Ok(found.and_then(|value| String::from_utf8(value).ok()?.parse().ok()).unwrap_or(0))
}

fn keep_bodies_place(connection: &Connection, last: &Value) -> Result<(), StoreError> {
    let Value::Integer(last) = last else { return Ok(()) };
    let mut statement = connection.prepare_cached(
        "insert into meta (name, value) values (?1, ?2) on conflict do update set value = excluded.value",
    )?;
    statement.execute((BODIES_PLACE, last.to_string().into_bytes()))?;
    Ok(())
}

/// No link is left that was made with such a key, and no suppression whose address only it finds.
fn forget_keys(connection: &Connection, cutoff: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "delete from data_keys where emptied_at < :cutoff and until < :cutoff
           and not exists (select 1 from suppressions where suppressions.since <= data_keys.until)",
    )?;
    statement.execute(named_params! { ":cutoff": ms(cutoff) })?;
    Ok(())
}
