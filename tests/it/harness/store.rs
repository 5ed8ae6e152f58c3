//! What a story sees of the store's file, without asking the daemon: what is due, what is left, all rows.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use relinkd::engine::clock::Clock;

use super::World;
use crate::process::LIMIT;

/// What keeps a daemon from being quiet, and from when on; 0 is now.
const BUSY: &str = "
    select 'inbox ' || id, 0 from inbox where status = 'new'
    union all select 'outbox ' || key, case when lease is null then due_at else 0 end from outbox
    union all select 'letter ' || letter_id || ' ' || status, 0 from letters where status in ('leased', 'data_started')
    union all select 'letter ' || letter_id || ' ' || status, max(due_at, coalesce((select until from pauses where ended_at is null), 0))
      from letters where due_at is not null and not exists (select 1 from pauses where ended_at is null and until is null)
    union all select 'item ' || item_id, due_at from items where due_at is not null
    union all select 'user ' || user_id, due_at from users where due_at is not null
    union all select 'appointment ' || name, due_at from appointments
    union all select 'turn of ' || item_id, due_at from turns
    union all select 'release of letters', due_at from letter_release";

/// When the sweep comes to each Item, by the defaults of the configuration.
const TURNS: &str = "
    create temporary view turns as select item_id,
      case when checked_at < coalesce((select last_at from appointments where name = 'sweep'), 0) then 0
        else checked_at + case when suspect then 6 else 24 end * 3600000 end as due_at
    from items where removed_at is null";

/// What should not be there once a story is over.
const LEFT: &str = "
    select 'outbox ' || key || ' ' || coalesce(last_error, '') from outbox
    union all select 'letter ' || letter_id || ' ' || status || ' ' || coalesce(note, '') from letters
      where due_at is not null or status in ('composed', 'leased', 'data_started')
    union all select 'inbox ' || id from inbox where status = 'new'";

const NEXT: &str = "
    select min(due_at) from (
      select due_at from items union all select due_at from users
      union all select due_at from appointments union all select max(due_at, coalesce((select until from pauses where ended_at is null), 0)) from letters
        where not exists (select 1 from pauses where ended_at is null and until is null)
      union all select due_at from letter_release)";

/// The same for what waits for Plaid.
const NEXT_QUESTION: &str = "
    select min(due_at) from (select due_at from turns union all select due_at from outbox)";

fn look_into(path: &Path) -> Connection {
    let looking = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store is there");
    looking.busy_timeout(LIMIT).expect("a time limit");
    looking.execute_batch(TURNS).expect("a view");
    looking
}

/// What is due or under way. The clock is read after the store: what was due when it was written is seen.
pub fn busy_in(path: &Path, clock: &Clock) -> Vec<String> {
    let store = look_into(path);
    let mut statement = store.prepare(BUSY).expect("the schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let all: Vec<(String, i64)> = rows.collect::<Result<_, _>>().expect("a text and a time");
    let now = clock.now().as_millisecond();
    all.into_iter().filter(|(_, due_at)| *due_at <= now).map(|(what, _)| what).collect()
}

/// Every row of every table, as text; but not the one by which it is seen whether the store can be written.
pub fn rows_in(path: &Path) -> Vec<String> {
    let store = look_into(path);
    let tables = "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name";
    let mut names = store.prepare(tables).expect("the schema");
    let names = names.query_map([], |row| row.get::<_, String>(0)).expect("names");
    let rows = names.flat_map(|name| table(&store, &name.expect("a name")));
    rows.filter(|row| !row.starts_with("meta: probe | ")).collect()
}

impl World {
    pub(super) fn look(&self) -> Connection {
        look_into(&self.store_path())
    }

    pub(super) fn busy(&self) -> Vec<String> {
        let busy = busy_in(&self.store_path(), &self.clock);
        let held = self.plaid_is_left_alone_until();
        let is_held = |what: &str| held.is_some() && (what.starts_with("turn ") || what.starts_with("outbox "));
        busy.into_iter().filter(|what| !is_held(what)).collect()
    }

    /// Until when the daemon puts no question to Plaid, if for longer than a moment.
    fn plaid_is_left_alone_until(&self) -> Option<Timestamp> {
        let engine = &self.running.as_ref()?.daemon.engine;
        engine
            .room_for_routine()
            .err()
            .filter(|until| until.duration_since(self.clock.now()) > SignedDuration::from_secs(1))
    }

    pub(super) fn leftovers(&self) -> Vec<String> {
        let store = self.look();
        let mut statement = store.prepare(LEFT).expect("the schema");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("texts")
    }

    /// When something is due next.
    pub(super) fn next_appointment(&self) -> Option<Timestamp> {
        let first = |sql: &str| {
            let at: Option<i64> = self.look().query_row(sql, [], |row| row.get(0)).expect("a number or nothing");
            at.and_then(|at| Timestamp::from_millisecond(at).ok())
        };
        let held = self.plaid_is_left_alone_until();
        let question = first(NEXT_QUESTION).map(|at| held.map_or(at, |held| at.max(held)));
        first(NEXT).into_iter().chain(question).min()
    }

    /// Every row of every table, as text.
    pub fn rows(&self) -> Vec<String> {
        rows_in(&self.store_path())
    }
}

fn table(store: &Connection, name: &str) -> Vec<String> {
    let mut statement = store.prepare(&format!("select * from {name}")).expect("a table");
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let cells = (0..width).map(|at| match row.get_ref(at).expect("a cell") {
            ValueRef::Null => "null".to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
        });
        Ok(format!("{name}: {}", cells.collect::<Vec<_>>().join(" | ")))
    };
    let rows = statement.query_map([], row).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}
