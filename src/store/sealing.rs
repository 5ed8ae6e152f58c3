//! Sealing anew, after a new `data_key`: table by table, in the order of the rows' ids, a few rows a step.
//!
//! How far it came stands in `meta`, written with each step, so that it goes on where it ended. Rows that are written
//! meanwhile are sealed with the present key by whoever writes them. First everything is counted, for people. What a former key
//! sealed is looked for only if `data_keys` says that there may be any: a start looks at no table.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, named_params};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::seal::{KeyId, Sealer};
use super::{inbox, links, users, views};

const PLACE: &str = "sealing_anew";

/// The tables that hold something sealed. `data_keys` holds little, and is sealed anew at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Table {
    Users,
    Items,
    Webhooks,
    Sessions,
}

const TABLES: [Table; 4] = [Table::Users, Table::Items, Table::Webhooks, Table::Sessions];

impl Table {
    /// As people call its rows.
    fn noun(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Items => "items",
            Self::Webhooks => "webhooks",
            Self::Sessions => "sessions",
        }
    }

    /// Its name, its id, and the column by which the key of a row is told. What else is sealed in the row has the same key.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Users => ("users", "user_id", "contact"),
            Self::Items => ("items", "item_id", "access_token"),
            Self::Webhooks => ("inbox", "id", "body"),
            Self::Sessions => ("sessions", "session_id", "link_token"),
        }
    }

    /// An id as the table has it, to continue after. The empty text is before all.
    fn id(self, text: &str) -> Value {
        match self {
            Self::Users | Self::Items | Self::Sessions => Value::Text(text.to_owned()),
            Self::Webhooks => Value::Integer(text.parse().unwrap_or(0)),
        }
    }

    fn seal_anew(self, connection: &Connection, sealer: &Sealer, row: &str, value: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Users => users::seal_anew(connection, sealer, row, value),
            Self::Items => views::seal_token_anew(connection, sealer, row, value),
            Self::Webhooks => inbox::seal_anew(connection, sealer, row, value),
            Self::Sessions => links::seal_session_anew(connection, sealer, row, value),
        }
    }

    fn next(self) -> Option<Self> {
        TABLES.into_iter().skip_while(|table| *table != self).nth(1)
    }
}

/// How many rows there are, by what they are: `users`, `items`, `webhooks`, `sessions`. Empty if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Left(BTreeMap<String, u64>);

impl Left {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// What there is, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(noun, count)| (noun.as_str(), *count))
    }

    fn add(&mut self, table: Table, rows: u64) {
        *self.0.entry(table.noun().to_owned()).or_default() += rows;
    }

    fn subtract(&mut self, table: Table, rows: u64) {
        if let Some(left) = self.0.get_mut(table.noun()) {
            *left = left.saturating_sub(rows);
            if *left == 0 {
                self.0.remove(table.noun());
            }
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (place, (noun, count)) in self.iter().enumerate() {
            let (comma, noun) = (if place == 0 { "" } else { ", " }, if noun == "items" { "Items" } else { noun });
            write!(f, "{comma}{count} {}", if count == 1 { noun.trim_end_matches('s') } else { noun })?;
        }
        Ok(())
    }
}

/// How far sealing anew has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    table: Table,
    /// The last row that was looked at.
    after: String,
    /// The newest webhook when they were counted. Later ones have the present key, and may come faster than they are looked at.
    last_webhook: i64,
    /// By key: how many rows it sealed, less those that were sealed anew. What was deleted meanwhile is still counted.
    left: BTreeMap<String, Left>,
}

impl Progress {
    pub(crate) fn left_of(&self, key: KeyId) -> Left {
        self.left.get(&key.to_string()).cloned().unwrap_or_default()
    }

    /// How many rows are left, with all keys together.
    pub(crate) fn total(&self) -> u64 {
        self.left.values().map(Left::total).sum()
    }
}

/// How far it has come; nothing if the rows are not counted yet.
pub(crate) fn progress(connection: &Connection) -> Result<Option<Progress>, StoreError> {
    let mut statement = connection.prepare_cached("select value from meta where name = ?1")?;
    let found: Option<Vec<u8>> = statement.query_row([PLACE], |row| row.get(0)).optional()?;
    let read = |value: Vec<u8>| {
        serde_json::from_slice(&value).map_err(|error| StoreError::Row {
            table: "meta",
            row: PLACE.to_owned(),
            column: "value",
            problem: error.to_string(),
        })
    };
    found.map(read).transpose()
}

fn keep(connection: &Connection, progress: &Progress) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into meta (name, value) values (?1, ?2) on conflict do update set value = excluded.value",
    )?;
    let value = serde_json::to_vec(progress).expect("our types have text keys and no failing serializers");
    statement.execute((PLACE, value))?;
    Ok(())
}

/// Another key seals now, or everything is sealed with the present one: the place is void.
pub(crate) fn forget_place(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("delete from meta where name = ?1")?.execute([PLACE])?;
    Ok(())
}

/// Counts, step by step, with which key how many rows are sealed.
pub(crate) struct Count {
    present: KeyId,
    table: Table,
    after: String,
    left: BTreeMap<String, Left>,
}

impl Count {
    pub(crate) fn new(present: KeyId) -> Self {
        Self { present, table: TABLES[0], after: String::new(), left: BTreeMap::new() }
    }

    /// Counts some more rows. Says whether there are more.
    pub(crate) fn step(&mut self, connection: &Connection, rows: u32) -> Result<bool, StoreError> {
        let (table, id, value) = self.table.names();
        let mut statement = connection.prepare_cached(&format!(
            "with page as materialized
               (select {id} as id, {value} as value from {table} where {id} > :after order by {id} limit :rows)
             select substr(value, 1, 4), count(*), (select cast(max(id) as text) from page) from page group by 1"
        ))?;
        let mut found = statement.query(named_params! { ":after": self.table.id(&self.after), ":rows": rows })?;
        let mut seen = 0;
        while let Some(row) = found.next()? {
            let (key, count): (Option<Vec<u8>>, i64) = (row.get(0)?, row.get(1)?);
            let count = u64::try_from(count).unwrap_or(0);
            if let Some(key) = key.as_deref().and_then(KeyId::of).filter(|key| *key != self.present) {
                self.left.entry(key.to_string()).or_default().add(self.table, count);
            }
            seen += count;
            self.after = row.get(2)?;
        }
        if seen == u64::from(rows) {
            return Ok(true);
        }
        let Some(next) = self.table.next() else { return Ok(false) };
        (self.table, self.after) = (next, String::new());
        Ok(true)
    }

    /// The counted rows are to be sealed anew.
    pub(crate) fn keep(self, connection: &Connection) -> Result<(), StoreError> {
        let last_webhook = inbox::last_id(connection)?;
        keep(connection, &Progress { table: TABLES[0], after: String::new(), last_webhook, left: self.left })
    }
}

/// Looks at some more rows and seals anew what another key sealed. Says how far it has come; nothing once all was looked at.
pub(crate) fn step(
    connection: &Connection,
    sealer: &Sealer,
    mut progress: Progress,
    rows: u32,
) -> Result<Option<Progress>, StoreError> {
    let table = progress.table;
    let (name, id, value) = table.names();
    let mut statement = connection.prepare_cached(&format!(
        "select cast({id} as text), {value} from {name} where {id} > :after and {id} <= :last order by {id} limit :rows"
    ))?;
    let last = match table {
        // No text is greater.
        Table::Users | Table::Items | Table::Sessions => Value::Text(char::MAX.to_string()),
        Table::Webhooks => Value::Integer(progress.last_webhook),
    };
    let named = named_params! { ":after": table.id(&progress.after), ":last": last, ":rows": rows };
    let found: Vec<(String, Option<Vec<u8>>)> =
        statement.query_map(named, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let full = found.len() == rows as usize;
    for (row, value) in found {
        let key = value.as_deref().and_then(KeyId::of).filter(|key| *key != sealer.key_id());
        if let (Some(key), Some(value)) = (key, value) {
            seal_row_anew(connection, sealer, table, &row, &value)?;
            progress.left.entry(key.to_string()).or_default().subtract(table, 1);
        }
        progress.after = row;
    }
    if !full {
        let Some(next) = table.next() else { return Ok(None) };
        (progress.table, progress.after) = (next, String::new());
    }
    keep(connection, &progress)?;
    Ok(Some(progress))
}

/// What opens with no key cannot be sealed anew, and stops nobody: it is lost with any key.
fn seal_row_anew(
    connection: &Connection,
    sealer: &Sealer,
    table: Table,
    row: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    match table.seal_anew(connection, sealer, row, value) {
        Err(error) if error.is_of_one_row() && !connection.is_autocommit() => {
            tracing::error!(table = table.noun(), "{error}: it is not sealed anew, and cannot be read any more");
            Ok(())
        }
        done => done,
    }
}

/// Everything that a key seals. Looks at every row: only for a start that fails.
pub(crate) fn sealed_with(connection: &Connection, key: KeyId) -> Result<Left, StoreError> {
    let mut left = Left::default();
    for table in TABLES {
        let (name, _, value) = table.names();
        let rows: i64 = connection.query_row(
            &format!("select count(*) from {name} where substr({value}, 1, 4) = ?1"),
            [key.bytes()],
            |row| row.get(0),
        )?;
        if rows > 0 {
            left.add(table, u64::try_from(rows).unwrap_or(0));
        }
    }
    Ok(left)
}
