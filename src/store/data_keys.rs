//! The table `data_keys`: which keys something here is or was sealed with.
//!
//! A key stands here before it seals its first value. Once nothing is sealed with it any more ([`super::sealing`]) it can be
//! removed from the configuration; a key that is still needed and is not configured fails at start. What links are known by
//! outlives the key: it is kept here, sealed with the present one, so that a link in a letter that was mailed goes on working.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::columns::ms;
use super::error::StoreError;
use super::seal::{KeyId, Place, Sealer};
use super::sealing::{self, Left};

const CANARY: &[u8] = b"relinkd";

/// Whether the configured keys are those of the store.
#[derive(Debug)]
pub(crate) enum Fit {
    /// They are.
    Right,
    /// None of them ever sealed anything here.
    Foreign,
    /// One is missing with which something is sealed.
    Missing(KeyId, Left),
}

/// A row of the table.
struct Row {
    id: KeyId,
    canary: Vec<u8>,
    until: Option<Timestamp>,
    emptied: bool,
    heritage: Option<Vec<u8>>,
}

impl Row {
    fn opens(&self, sealer: &Sealer) -> bool {
        let row = self.id.to_string();
        sealer.open(place("canary", &row), &self.canary).is_ok_and(|plain| plain == CANARY)
    }
}

fn place<'a>(column: &'static str, row: &'a str) -> Place<'a> {
    Place { table: "data_keys", column, row }
}

fn rows(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare("select * from data_keys order by since, key_id")?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(Row {
            id: key_id(&row.get::<_, Vec<u8>>("key_id")?)?,
            canary: row.get("canary")?,
            until: row.get::<_, Option<i64>>("until")?.and_then(|at| Timestamp::from_millisecond(at).ok()),
            emptied: row.get::<_, Option<i64>>("emptied_at")?.is_some(),
            heritage: row.get("heritage")?,
        });
    }
    Ok(rows)
}

fn key_id(bytes: &[u8]) -> Result<KeyId, StoreError> {
    KeyId::of(bytes).ok_or_else(|| StoreError::Row {
        table: "data_keys",
        row: format!("{bytes:02x?}"),
        column: "key_id",
        problem: "is too short".to_owned(),
    })
}

/// Compares the configured keys with those of the store, and has the present one take over. A new store is sealed with it.
/// Whole or not at all: the caller's transaction decides.
pub(crate) fn take_over(connection: &Connection, sealer: &mut Sealer, now: Timestamp) -> Result<Fit, StoreError> {
    let known = rows(connection)?;
    if !known.is_empty() && !known.iter().any(|row| row.opens(sealer)) {
        return Ok(Fit::Foreign);
    }
    for row in known.iter().filter(|row| !row.emptied && !row.opens(sealer)) {
        let left = sealing::sealed_with(connection, row.id)?;
        if !left.is_empty() {
            return Ok(Fit::Missing(row.id, left));
        }
        empty(connection, row.id, now)?;
    }
    begin(connection, sealer, now)?;
    let present = sealer.key_id();
    for row in rows(connection)?.into_iter().filter(|row| row.id != present) {
        bequeath(connection, sealer, &row, now)?;
    }
    Ok(Fit::Right)
}

/// The present key begins to seal, unless it did before. Whatever was sealed anew for another is to be looked at again.
fn begin(connection: &Connection, sealer: &Sealer, now: Timestamp) -> Result<(), StoreError> {
    let id = sealer.key_id();
    let begun = connection.execute(
        "insert into data_keys (key_id, canary, since) values (:key, :canary, :now)
         on conflict do update set until = null, emptied_at = null, heritage = null where until is not null",
        named_params! {
            ":key": id.bytes(),
            ":canary": sealer.seal(place("canary", &id.to_string()), CANARY),
            ":now": ms(now),
        },
    )?;
    if begun == 1 {
        connection.execute(
            "update data_keys set until = :now where until is null and key_id <> :key",
            named_params! { ":now": ms(now), ":key": id.bytes() },
        )?;
        sealing::forget_place(connection)?;
    }
    Ok(())
}

/// Keeps what the links of a former key are known by, sealed with the present key, and hands it on.
fn bequeath(connection: &Connection, sealer: &mut Sealer, row: &Row, now: Timestamp) -> Result<(), StoreError> {
    let name = row.id.to_string();
    let place = place("heritage", &name);
    let heritage = match (&row.heritage, sealer.heritage(row.id)) {
        (Some(sealed), _) => sealer.open(place, sealed)?,
        (None, Some(heritage)) => heritage.to_vec(),
        // Nothing was ever sealed with it, and nobody gave it again.
        (None, None) => return Ok(()),
    };
    if row.heritage.as_deref().and_then(KeyId::of) != Some(sealer.key_id()) {
        connection.execute(
            "update data_keys set heritage = :heritage where key_id = :key",
            named_params! { ":heritage": sealer.seal(place, &heritage), ":key": row.id.bytes() },
        )?;
    }
    if sealer.inherit(row.id, &heritage, row.until.unwrap_or(now)) {
        return Ok(());
    }
    Err(StoreError::Row { table: "data_keys", row: name, column: "heritage", problem: "is too short".to_owned() })
}

fn empty(connection: &Connection, key: KeyId, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("update data_keys set emptied_at = :now, until = coalesce(until, :now) where key_id = :key")?;
    statement.execute(named_params! { ":now": ms(now), ":key": key.bytes() })?;
    Ok(())
}

/// The keys with which something may still be sealed, beside the present one.
pub(crate) fn to_empty(connection: &Connection, sealer: &Sealer) -> Result<Vec<KeyId>, StoreError> {
    let keys = rows(connection)?.into_iter().filter(|row| !row.emptied).map(|row| row.id);
    Ok(keys.filter(|id| *id != sealer.key_id()).collect())
}

/// Notes that nothing is sealed with any key but the present one.
pub(crate) fn all_emptied(connection: &Connection, sealer: &Sealer, now: Timestamp) -> Result<(), StoreError> {
    to_empty(connection, sealer)?.into_iter().try_for_each(|key| empty(connection, key, now))
}

/// What a key is to the store, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DataKeyView {
    /// Names the key without telling it.
    pub key_id: KeyId,
    /// Whether new values are sealed with it: it is `data_key`.
    pub seals: bool,
    /// Whether it is among `data_key` and `data_keys_old`.
    pub configured: bool,
    /// When it began to seal; nothing if it never did.
    pub since: Option<Timestamp>,
    /// When another took over.
    pub until: Option<Timestamp>,
    /// When nothing was sealed with it any more.
    pub emptied_at: Option<Timestamp>,
    /// How many rows are sealed with it still, by table; nothing as long as they are not counted, and for the key that seals.
    pub left: Option<Left>,
    /// Whether it can be removed from `data_keys_old` now.
    pub can_be_removed: bool,
}

/// The keys of the store and those of the configuration, the oldest first. A key that is neither needed nor configured is
/// not among them.
pub(crate) fn list(connection: &Connection, sealer: &Sealer) -> Result<Vec<DataKeyView>, StoreError> {
    let progress = sealing::progress(connection)?;
    let configured: Vec<KeyId> = sealer.key_ids().collect();
    let mut statement =
        connection.prepare_cached("select key_id, since, until, emptied_at from data_keys order by since, key_id")?;
    let mut found = statement.query([])?;
    let mut views = Vec::new();
    while let Some(row) = found.next()? {
        let id = key_id(&row.get::<_, Vec<u8>>(0)?)?;
        let time = |column| {
            let at: Option<i64> = row.get(column)?;
            Ok::<_, StoreError>(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
        };
        let (since, until, emptied_at) = (time(1)?, time(2)?, time(3)?);
        let (seals, configured) = (id == sealer.key_id(), configured.contains(&id));
        let left = match (seals, emptied_at) {
            (true, _) => None,
            (false, Some(_)) => Some(Left::default()),
            (false, None) => progress.as_ref().map(|progress| progress.left_of(id)),
        };
        let can_be_removed = configured && !seals && emptied_at.is_some();
        views.push(DataKeyView { key_id: id, seals, configured, since, until, emptied_at, left, can_be_removed });
    }
    views.retain(|view| view.configured || view.emptied_at.is_none());
    for id in configured {
        if views.iter().all(|view| view.key_id != id) {
            views.push(DataKeyView {
                key_id: id,
                seals: false,
                configured: true,
                since: None,
                until: None,
                emptied_at: None,
                left: Some(Left::default()),
                can_be_removed: true,
            });
        }
    }
    Ok(views)
}
