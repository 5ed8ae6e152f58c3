//! A mail server that takes every letter, delivers none, and keeps book of them.
//!
//! On one thread, and no more than it must: what this costs is taken from the daemon's cores.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How many letters are kept whole, to be sent again.
const SAMPLE: usize = 64;

/// A running mail server.
pub struct Sink {
    /// Its address.
    pub address: String,
    book: Arc<Book>,
    _runtime: tokio::runtime::Runtime,
}

struct Book {
    ledger: Mutex<Ledger>,
    /// The how-manieth letter is said to be taken and forgotten, if one is.
    forgets: Option<usize>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came.
#[derive(Default)]
pub struct Ledger {
    /// How often each Message-ID came.
    ids: HashMap<String, usize>,
    /// How many letters came to each recipient of the envelope.
    recipients: HashMap<String, usize>,
    /// Letters whose envelope and `To` do not name the same one address.
    astray: usize,
    letters: usize,
    bytes: usize,
    connections: usize,
    first_and_last: Option<(Instant, Instant)>,
    sample: Vec<Vec<u8>>,
}

impl Sink {
    /// Starts it on a thread of its own. It may forget one letter, so that the book-keeping can be seen to find it.
    pub fn start(forgets: Option<usize>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let book = Arc::new(Book { ledger: Mutex::default(), forgets });
        let own = Arc::clone(&book);
        runtime.spawn(async move {
            let mut talking = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                talking.spawn(talk(stream, Arc::clone(&own)));
            }
        });
        Ok(Self { address, book, _runtime: runtime })
    }

    /// How many letters came since the book was taken last.
    pub fn count(&self) -> usize {
        self.book.lock().letters
    }

    /// The book so far; a new one begins.
    pub fn take(&self) -> Ledger {
        std::mem::take(&mut *self.book.lock())
    }
}

impl Ledger {
    /// How many letters came.
    pub fn letters(&self) -> usize {
        self.letters
    }

    /// The bytes of a letter as it came over the wire, on average.
    pub fn mean_bytes(&self) -> usize {
        self.bytes / self.letters.max(1)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// From the first letter's end to the last one's.
    pub fn span(&self) -> Duration {
        self.first_and_last.map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }

    /// Whether so many letters came, each once, and one to everybody.
    pub fn check(&self, letters: usize, email: impl Fn(usize) -> String) -> anyhow::Result<()> {
        let missing = (0..letters).filter(|number| !self.recipients.contains_key(&email(*number))).count();
        let doubled = self.recipients.values().chain(self.ids.values()).filter(|count| **count > 1).count();
        ensure!(
            missing == 0 && doubled == 0 && self.astray == 0,
            "{missing} users got no letter, {doubled} addresses or Message-IDs came more than once, {} letters went astray",
            self.astray
        );
        let (ids, recipients) = (self.ids.len(), self.recipients.len());
        ensure!(
            (self.letters, ids, recipients) == (letters, letters, letters),
            "{} letters with {ids} Message-IDs to {recipients} addresses, and not {letters}",
            self.letters
        );
        Ok(())
    }

    /// Writes some letters into a file, as they came over the wire.
    pub fn keep_sample(&self, path: &Path) -> anyhow::Result<()> {
        ensure!(!self.sample.is_empty(), "there is no letter");
        std::fs::write(path, self.sample.concat()).context("the sample of letters")
    }

    fn note(&mut self, to: &[String], letter: &[u8]) {
        let header = |name: &str| {
            let lines = letter.split(|byte| *byte == b'\n').map_while(|line| std::str::from_utf8(line).ok());
            let mut head = lines.take_while(|line| *line != "\r");
            head.find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        let now = Instant::now();
        let first = self.first_and_last.map_or(now, |(first, _)| first);
        self.first_and_last = Some((first, now));
        self.letters += 1;
        self.bytes += letter.len();
        *self.ids.entry(header("Message-ID:").unwrap_or_default()).or_default() += 1;
        let named = header("To:").unwrap_or_default();
        match to {
            [one] if named == *one || named.ends_with(&format!("<{one}>")) => {
                *self.recipients.entry(one.clone()).or_default() += 1;
            }
            _ => self.astray += 1,
        }
        if self.sample.len() < SAMPLE {
            self.sample.push(letter.to_vec());
        }
    }
}

/// Takes the letters of one connection.
async fn talk(stream: TcpStream, book: Arc<Book>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    book.lock().connections += 1;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut letter, mut to) = (Vec::new(), Vec::new(), Vec::new());
    stream.write_all(b"220 sink ESMTP\r\n").await?;
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let command = String::from_utf8_lossy(&line);
        let command = command.trim_end();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            "MAIL" | "RSET" => {
                to.clear();
                "250 2.0.0 ok\r\n"
            }
            "RCPT" => {
                let address = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
                to.push(address.map_or_else(String::new, |(address, _)| address.to_owned()));
                "250 2.1.5 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                if !body(&mut stream, &mut letter).await? {
                    return Ok(());
                }
                let mut ledger = book.lock();
                // A letter that is forgotten was counted, or nobody would wait for the others.
                if book.forgets == Some(ledger.letters) {
                    ledger.letters += 1;
                } else {
                    ledger.note(&to, &letter);
                }
                "250 2.0.0 taken\r\n"
            }
            "QUIT" => return stream.write_all(b"221 2.0.0 goodbye\r\n").await,
            _ => "500 5.5.1 unknown command\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

/// Reads a letter with its final dot. Says whether it ended.
async fn body(stream: &mut BufReader<TcpStream>, letter: &mut Vec<u8>) -> std::io::Result<bool> {
    letter.clear();
    loop {
        let from = letter.len();
        if stream.read_until(b'\n', letter).await? == 0 {
            return Ok(false);
        }
        if letter[from..] == *b".\r\n" && (from == 0 || letter[..from].ends_with(b"\r\n")) {
            return Ok(true);
        }
    }
}
