//! The table `verification_keys`: Plaid's keys, kept over restarts.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::columns::{Record, ms};
use super::error::StoreError;

/// A verification key as Plaid gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id.
    pub kid: String,
    /// The JSON object.
    pub jwk: String,
    /// When Plaid was asked.
    pub fetched_at: Timestamp,
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<StoredKey>, StoreError> {
    let mut statement = connection.prepare_cached("select * from verification_keys")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::new("verification_keys", "kid", row)?;
        keys.push(StoredKey { jwk: record.get("jwk")?, fetched_at: record.time("fetched_at")?, kid: record.id });
    }
    Ok(keys)
}

pub(crate) fn put(connection: &Connection, key: &StoredKey) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into verification_keys (kid, jwk, fetched_at) values (:kid, :jwk, :at)
         on conflict (kid) do update set jwk = excluded.jwk, fetched_at = excluded.fetched_at",
    )?;
    statement.execute(named_params! { ":kid": key.kid, ":jwk": key.jwk, ":at": ms(key.fetched_at) })?;
    Ok(())
}
