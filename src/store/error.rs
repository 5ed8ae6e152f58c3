//! What can go wrong in the store.

use std::sync::Arc;

use rusqlite::ErrorCode;

use super::seal::KeyId;
use super::sealing::Left;

/// Why an operation of the store did not happen. Nothing of it is on disk then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused: disk full, I/O error, a broken file.
    #[error("sqlite: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    /// A row does not read back as what it should be.
    #[error("{table}, row {row}: column {column} {problem}")]
    Row {
        /// The table.
        table: &'static str,
        /// The row's id.
        row: String,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A sealed column does not open: another key, or the row was moved.
    #[error("{table}, row {row}: {column} does not open with any configured data_key")]
    Sealed {
        /// The table.
        table: &'static str,
        /// The row's id.
        row: String,
        /// The column.
        column: &'static str,
    },
    /// Another operation of the same commit met a full disk or an I/O error, and SQLite took everything back.
    #[error("sqlite rolled the whole transaction back")]
    RolledBack,
    /// What was erased is still in the write-ahead log: somebody reads the file, so the log cannot be emptied.
    #[error("the write-ahead log cannot be emptied while another program reads the file; ask again")]
    LogInUse,
    /// More writes wait than the queue holds.
    #[error("the writer's queue is full")]
    Overloaded,
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether what it meets is the fault of the rows at hand, so that it would be met again and again; otherwise it is the
    /// disk's or the system's, and the next try may go well.
    #[must_use]
    pub fn is_of_one_row(&self) -> bool {
        match self {
            Self::Row { .. } | Self::Sealed { .. } => true,
            Self::RolledBack | Self::LogInUse | Self::Overloaded | Self::Closed => false,
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::OperationInterrupted
                        | ErrorCode::OperationAborted
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::NoLargeFileSupport
                )
            ),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// Why a store does not open. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "{path} is in use by another relinkd: stop that one first, or give this one a store of its own ([store] path)"
    )]
    InUse {
        /// The store's path.
        path: String,
    },
    /// The file cannot be made, read or locked.
    #[error("{path}: {error}: the folder must exist and belong to the user that relinkd runs as")]
    File {
        /// The store's path.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It was sealed with a key that is not configured.
    #[error(
        "{path} was sealed with another data_key: put the key back, in [store] data_key or data_keys_old; if it is lost, \
         docs/operations.md says how to go on"
    )]
    WrongKey {
        /// The store's path.
        path: String,
    },
    /// A key was removed with which something is still sealed.
    #[error(
        "{path}: with data key {key}, which is not configured, are still sealed: {left}; put the key back, in [store] \
         data_keys_old, until `relinkd keys status` says that it can be removed"
    )]
    KeyMissing {
        /// The store's path.
        path: String,
        /// Which key.
        key: KeyId,
        /// What it still seals.
        left: Left,
    },
    /// It was written by a later relinkd.
    #[error(
        "{path} has schema {found}, and this relinkd knows schemas up to {known}: run the newer relinkd; the file was not touched"
    )]
    Newer {
        /// The store's path.
        path: String,
        /// The file's version.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// It is a database, and none of ours.
    #[error(
        "{path} is a database of another program: give relinkd a file of its own ([store] path); the file was not touched"
    )]
    Foreign {
        /// The store's path.
        path: String,
    },
    /// Something else went wrong.
    #[error("{path}: {error}")]
    Store {
        /// The store's path.
        path: String,
        /// What it is.
        error: StoreError,
    },
}
