//! A mail server with moods: it takes letters, refuses some addresses, or is away. The demo's mailbox takes everything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::process::LIMIT;

/// How it behaves from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Fine,
    /// Hangs up at once.
    Away,
    /// Says this to RCPT for this address; takes the others.
    Refuses { address: &'static str, reply: &'static str },
    /// Wants a login and does not take it.
    RefusesLogin,
    /// Takes the whole letter and hangs up without a word.
    Silent,
    /// Takes the whole letter, and neither answers nor hangs up.
    Stalls,
}

struct Shared {
    mood: Mutex<Mood>,
    letters: Mutex<Vec<String>>,
    commands: Mutex<Vec<String>>,
}

/// A running mail server; it ends when it is dropped.
pub struct MailServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl MailServer {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { mood: Mutex::new(mood), letters: Mutex::default(), commands: Mutex::default() });
        let behind = Arc::clone(&shared);
        let accepting = tokio::task::JoinSet::new();
        let task = tokio::runtime::Handle::current().spawn(accept(listener, behind, accepting));
        Self { shared, address, _task: AbortOnDropHandle::new(task) }
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub fn becomes(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Waits until it saw so many letters.
    pub async fn saw(&self, count: usize) {
        let began = std::time::Instant::now();
        while self.letters().len() < count {
            assert!(began.elapsed() < LIMIT, "{} letters of {count}", self.letters().len());
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }

    /// The verbs of the commands that it heard.
    pub fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The verbs, once there are so many: a client that has gone may not have been heard to the end.
    pub async fn commands_once(&self, count: usize) -> Vec<String> {
        let began = std::time::Instant::now();
        while self.commands().len() < count && began.elapsed() < LIMIT {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.commands()
    }

    /// The letters that it saw whole, raw.
    pub fn letters(&self) -> Vec<String> {
        self.shared.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut talking: tokio::task::JoinSet<()>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = Arc::clone(&shared);
        talking.spawn(async move {
            // The other side may hang up at any word.
            let _ = talk(stream, &shared).await;
        });
    }
}

async fn talk(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mood = || shared.mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if mood() == Mood::Away {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let command = line.trim_end().to_owned();
        line.clear();
        // Connections are kept, so the mood can change on one.
        let mood = mood();
        let verb = command.split([' ', ':']).next().unwrap_or_default();
        shared.commands.lock().unwrap_or_else(PoisonError::into_inner).push(verb.to_owned());
        let reply = match (verb, &mood) {
            (_, Mood::Away) => return Ok(()),
            ("EHLO", Mood::RefusesLogin) => "250-at your service\r\n250 AUTH PLAIN LOGIN",
            ("AUTH", Mood::RefusesLogin) => "535 5.7.8 not with this password",
            ("EHLO", _) => "250-at your service\r\n250 8BITMIME",
            ("RCPT", Mood::Refuses { address, reply }) if command.contains(address) => reply,
            ("MAIL" | "RCPT" | "RSET", _) => "250 2.0.0 fine",
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                let letter = body(&mut stream).await?;
                shared.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
                match mood {
                    Mood::Silent => return Ok(()),
                    Mood::Stalls => std::future::pending().await,
                    Mood::Fine | Mood::Away | Mood::Refuses { .. } | Mood::RefusesLogin => {}
                }
                "250 2.0.0 queued"
            }
            ("QUIT", _) => "221 bye",
            _ => "502 5.5.2 what?",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}

async fn body(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut letter = String::new();
    while !letter.ends_with("\r\n.\r\n") {
        if stream.read_line(&mut letter).await? == 0 {
            break;
        }
    }
    Ok(letter)
}
