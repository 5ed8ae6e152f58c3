//! The version of a database, and how an older one is brought to the present.
//!
//! `schema.sql` is the truth for a new database. Each later change of it comes with a function here that brings a database
//! of the version before to the same shape, and with a fixture of that version in the tests.

use rusqlite::Connection;

use super::error::StoreError;

/// The schema of a new database.
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// The version that `schema.sql` describes. There has been no release yet, so there is nothing to migrate from.
pub const VERSION: i64 = 1;

/// Marks the file as ours ("rlkd"), so that another program's database is not taken for one.
pub const APPLICATION_ID: i64 = 0x726c_6b64;

/// What a file is before anything was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing in it.
    Empty,
    /// Of the present version.
    Current,
    /// Of a later version: not to be touched.
    Newer(i64),
    /// Of another program: not to be touched.
    Foreign,
}

pub(crate) fn look(connection: &Connection) -> Result<Found, StoreError> {
    let version: i64 = connection.query_row("pragma user_version", [], |row| row.get(0))?;
    let application: i64 = connection.query_row("pragma application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    Ok(match (version, application, tables) {
        (0, 0, 0) => Found::Empty,
        (VERSION, APPLICATION_ID, _) => Found::Current,
        (version, APPLICATION_ID, _) if version > VERSION => Found::Newer(version),
        (_, _, _) => Found::Foreign,
    })
}

/// Makes a new database, whole or not at all.
pub(crate) fn create(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(&format!(
        "begin immediate; {SCHEMA} pragma application_id = {APPLICATION_ID}; pragma user_version = {VERSION}; commit;"
    ))?;
    Ok(())
}
