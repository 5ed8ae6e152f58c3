//! Opening a store: one process only, the right schema, the right key, the settings that keep what was promised.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::data_keys::{self, Fit};
use super::error::{OpenError, StoreError};
use super::migrations::{self, Found};
use super::seal::Sealer;

/// The oldest SQLite whose write-ahead log is free of a bug that could lose a commit.
const SQLITE_MIN: i32 = 3_051_003;

/// How long the writer waits for whoever else holds the file: our own checkpoint on a slow disk, or another program. What
/// waits with it is answered late rather than refused.
const WRITER_PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is ready to write, and the lock that keeps other processes out.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) lock: File,
}

pub(crate) fn open(path: &Path, sealer: &mut Sealer, now: Timestamp) -> Result<Opened, OpenError> {
    let lock = lock(path)?;
    let store = |error: StoreError| OpenError::Store { path: path.display().to_string(), error };
    private_file(path)?;
    let found = look(path).map_err(store)?;
    match found {
        Found::Empty | Found::Current => {}
        Found::Newer(found) => {
            return Err(OpenError::Newer { path: path.display().to_string(), found, known: migrations::VERSION });
        }
        Found::Foreign => return Err(OpenError::Foreign { path: path.display().to_string() }),
    }
    let connection = Connection::open(path).map_err(|error| store(error.into()))?;
    settle_down(&connection).map_err(store)?;
    if found == Found::Empty {
        migrations::create(&connection).map_err(store)?;
    }
    match take_over(&connection, sealer, now).map_err(store)? {
        Fit::Right => {}
        Fit::Foreign => return Err(OpenError::WrongKey { path: path.display().to_string() }),
        Fit::Missing(key, left) => {
            return Err(OpenError::KeyMissing { path: path.display().to_string(), key, left });
        }
    }
    super::outbox::void_leases(&connection).map_err(store)?;
    super::letters::void_leases(&connection, now).map_err(store)?;
    Ok(Opened { connection, lock })
}

/// The lock is a file beside the store, so that it holds before SQLite has opened anything.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file = |error| OpenError::File { path: path.display().to_string(), error };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(PathBuf::from(name))
        .map_err(file)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(file(error)),
    }
}

/// Makes the file before SQLite does, so that nobody else can read it.
fn private_file(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| OpenError::File { path: path.display().to_string(), error })
}

/// What the file is. Asked by a connection that cannot write: setting the journal's mode would change another program's
/// file, and closing the last connection that can write would put a newer store's log into it.
fn look(path: &Path) -> Result<Found, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(WRITER_PATIENCE)?;
    migrations::look(&connection)
}

/// Keeps the plan of a statement from depending on the values that are bound to it. Without this SQLite looks at the value
/// of a bound `limit`, and so parses and plans such a statement anew at every execution.
pub(crate) fn keep_plans(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn settle_down(connection: &Connection) -> Result<(), StoreError> {
    assert!(rusqlite::version_number() >= SQLITE_MIN, "SQLite {} is too old", rusqlite::version());
    // A misspelt column in double quotes is an error, not a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    keep_plans(connection)?;
    connection.busy_timeout(WRITER_PATIENCE)?;
    connection.execute_batch(
        "pragma page_size = 4096;
         pragma journal_mode = wal;
         pragma synchronous = full;
         pragma foreign_keys = on;
         pragma secure_delete = on;
         pragma temp_store = memory;
         pragma mmap_size = 0;
         pragma cache_size = -65536;
         pragma wal_autocheckpoint = 0;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    let synchronous: i64 = connection.query_row("pragma synchronous", [], |row| row.get(0))?;
    let journal: String = connection.query_row("pragma journal_mode", [], |row| row.get(0))?;
    let mmap: Option<i64> = connection.query_row("pragma mmap_size", [], |row| row.get(0)).optional()?;
    assert!(synchronous == 2 && journal == "wal" && mmap.unwrap_or(0) == 0, "the settings that durability rests on");
    Ok(())
}

/// Whether the keys are those that the store was sealed with. A new store is sealed with the present one from now on.
fn take_over(connection: &Connection, sealer: &mut Sealer, now: Timestamp) -> Result<Fit, StoreError> {
    connection.execute_batch("begin immediate")?;
    let fit = data_keys::take_over(connection, sealer, now)?;
    let end = if matches!(fit, Fit::Right) { "commit" } else { "rollback" };
    connection.execute_batch(end)?;
    Ok(fit)
}
