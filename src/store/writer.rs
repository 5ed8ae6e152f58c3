//! The one writer of the store, and its few readers.
//!
//! A thread owns the writing connection. It takes what has queued up, up to [`BATCH_MAX`] operations, runs each in a
//! savepoint of its own, commits them all at once, and only then answers: with `synchronous=FULL` the commit is what costs,
//! and an answer means "on disk". There is no waiting for company: a lone operation is committed alone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;

/// How many operations one commit carries at most: beyond that, latency grows and the commit is no cheaper.
pub const BATCH_MAX: usize = 512;

/// How many operations may wait. At some 10,000 a second that is less than half a second's worth.
pub const QUEUE_MAX: usize = 4096;

/// How many reading connections there are.
const READERS: usize = 2;

/// How long readers may keep the log from being emptied. Our own queries take milliseconds; a backup by another program may
/// take longer.
const EMPTY_LOG_PATIENCE: Duration = Duration::from_secs(5);

/// How often the length of the write-ahead log is looked at.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

/// From this length on the log is copied into the database, without disturbing anybody.
const WAL_BYTES_PASSIVE: u64 = 4 << 20;

/// From this length on readers and the writer wait for it: or the log grows without end under load.
const WAL_BYTES_RESTART: u64 = 64 << 20;

/// How long a checkpoint that makes them wait tries to get hold of the log. The writer stands still meanwhile, so one that a
/// reader keeps from its end is given up soon, and tried again.
const RESTART_PATIENCE: Duration = Duration::from_secs(1);

/// Runs on the connection, or hears why it cannot.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Answer + Send>;
/// Tells the one who asked, once the fate of the commit is known.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The threads of an open store. They end when the last handle is dropped.
#[derive(Clone)]
pub struct Threads {
    writes: mpsc::Sender<Job>,
    reads: Arc<Vec<mpsc::Sender<Read>>>,
    next_reader: Arc<std::sync::atomic::AtomicUsize>,
    // Dropped last: its sender tells the checkpointer to stop.
    _checkpointer: Arc<Mutex<std_mpsc::Sender<()>>>,
}

impl Threads {
    /// Starts the threads on an opened writing connection.
    ///
    /// # Errors
    /// If a reading connection cannot be opened.
    pub fn start(writer: Connection, path: &Path) -> Result<Self, StoreError> {
        let mut reads = Vec::new();
        for _ in 0..READERS {
            reads.push(start_reader(open_reader(path)?));
        }
        let (writes, jobs) = mpsc::channel(QUEUE_MAX);
        spawn("store-writer", move || run_writer(writer, jobs));
        let (stop, stopped) = std_mpsc::channel();
        let checkpoints = open_checkpointer(path)?;
        let wal = wal_path(path);
        spawn("store-checkpoint", move || run_checkpoints(&checkpoints, &wal, &stopped));
        Ok(Self {
            writes,
            reads: Arc::new(reads),
            next_reader: Arc::default(),
            _checkpointer: Arc::new(Mutex::new(stop)),
        })
    }

    /// Whether operations wait for the writer.
    pub fn is_pressed(&self) -> bool {
        self.writes.capacity() < self.writes.max_capacity()
    }

    /// Runs an operation on the writer, in a savepoint of its own, and answers once it is on disk.
    ///
    /// # Errors
    /// The operation's own error, or that of the commit: then nothing of it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = job(move |connection| in_savepoint(connection, operation));
        self.writes.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs a single statement on the writer. One statement needs no savepoint: it happens or it does not.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] at once if the queue is full; otherwise as [`Threads::write`].
    pub async fn write_one<T: Send + 'static>(
        &self,
        statement: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = job(statement);
        self.writes.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Copies the whole log into the database and empties it, so that nothing erased is left in it.
    ///
    /// # Errors
    /// [`StoreError::LogInUse`] if somebody reads for so long that it cannot be emptied; what SQLite says.
    pub async fn empty_log(&self) -> Result<(), StoreError> {
        let (tell, answer) = oneshot::channel();
        // A checkpoint cannot run inside a transaction, so it runs while the answer is given: after the commit.
        let job: Job = Box::new(move |connection| {
            let opened = connection.and_then(|connection| Ok(Connection::open(connection.path().unwrap_or_default())?));
            Box::new(move |_| {
                let done = opened.and_then(|connection| {
                    connection.busy_timeout(EMPTY_LOG_PATIENCE)?;
                    let busy: bool = connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0))?;
                    if busy { Err(StoreError::LogInUse) } else { Ok(()) }
                });
                drop(tell.send(done));
            })
        });
        self.writes.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs a query on one of the reading connections.
    ///
    /// # Errors
    /// The query's own error.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.next_reader.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (tell, answer) = oneshot::channel();
        let job: Read = Box::new(move |connection| drop(tell.send(query(connection))));
        self.reads[turn % self.reads.len()].send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

fn job<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, StoreError>>) {
    let (tell, answer) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        let done = connection.and_then(work);
        Box::new(move |commit: Result<(), StoreError>| drop(tell.send(commit.and(done))))
    });
    (job, answer)
}

/// Runs an operation so that it happens whole or not at all, whatever else is in the transaction.
pub(crate) fn in_savepoint<T>(
    connection: &Connection,
    operation: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    execute(connection, "savepoint operation")?;
    let done = operation(connection);
    if done.is_err() && !connection.is_autocommit() {
        execute(connection, "rollback to operation")?;
    }
    if !connection.is_autocommit() {
        execute(connection, "release operation")?;
    }
    done
}

fn execute(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}

/// A thread whose panic ends the process: without a writer nothing works, and the supervisor starts us anew.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    struct EndProcess;
    impl Drop for EndProcess {
        fn drop(&mut self) {
            if thread::panicking() {
                tracing::error!("a thread of the store panicked: the process ends");
                std::process::abort();
            }
        }
    }
    let body = move || {
        let _guard = EndProcess;
        body();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).expect("the system starts a thread");
}

fn run_writer(connection: Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while let Some(first) = jobs.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH_MAX {
            match jobs.try_recv() {
                Ok(job) => batch.push(job),
                Err(_) => break,
            }
        }
        let mut answers = Vec::with_capacity(batch.len());
        let committed = commit(&connection, batch.drain(..), &mut answers);
        if let Err(error) = &committed {
            tracing::error!(operations = answers.len(), "commit: {error}");
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
    // The last one out leaves an empty log behind, so that the file alone is the whole store.
    let _ = connection.execute_batch("pragma wal_checkpoint(truncate); pragma optimize;");
}

fn commit(
    connection: &Connection,
    jobs: impl Iterator<Item = Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    let mut open = execute(connection, "begin immediate");
    for job in jobs {
        answers.push(match &open {
            Ok(()) => job(Ok(connection)),
            Err(error) => job(Err(error.clone())),
        });
        // On a full disk or an I/O error SQLite rolls the whole transaction back by itself.
        if open.is_ok() && connection.is_autocommit() {
            open = Err(StoreError::RolledBack);
        }
    }
    open?;
    execute(connection, "commit").inspect_err(|_| {
        if !connection.is_autocommit() {
            let _ = execute(connection, "rollback");
        }
    })
}

fn start_reader(connection: Connection) -> mpsc::Sender<Read> {
    let (reads, mut queue) = mpsc::channel::<Read>(QUEUE_MAX);
    spawn("store-reader", move || {
        while let Some(read) = queue.blocking_recv() {
            read(&connection);
        }
    });
    reads
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    super::open::keep_plans(&connection)?;
    connection.execute_batch("pragma mmap_size = 0; pragma temp_store = memory; pragma cache_size = -16384;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn open_checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(RESTART_PATIENCE)?;
    connection.execute_batch("pragma synchronous = full; pragma mmap_size = 0;")?;
    Ok(connection)
}

fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn run_checkpoints(connection: &Connection, wal: &Path, stopped: &std_mpsc::Receiver<()>) {
    let mut checkpointed = 0;
    loop {
        match stopped.recv_timeout(CHECKPOINT_EVERY) {
            Err(std_mpsc::RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let bytes = std::fs::metadata(wal).map_or(0, |file| file.len());
        // The one that nobody waits for comes first, so that hardly anything is left to the one for which all wait.
        let modes: &[&str] = match bytes {
            bytes if bytes >= WAL_BYTES_RESTART => &["passive", "restart"],
            bytes if bytes >= WAL_BYTES_PASSIVE => &["passive"],
            _ => continue,
        };
        for mode in modes {
            // A log that is not truncated keeps its length, so nothing new may have come: a checkpoint of nothing is cheap.
            let pages: Result<i64, _> =
                connection.query_row(&format!("pragma wal_checkpoint({mode})"), [], |row| row.get(2));
            match pages {
                Ok(pages) if pages != checkpointed => {
                    checkpointed = pages;
                    tracing::debug!(bytes, pages, mode, "checkpoint");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!("checkpoint: {error}"),
            }
        }
    }
}
