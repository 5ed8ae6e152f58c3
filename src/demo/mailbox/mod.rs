//! A mailbox of one's own: takes every letter over real SMTP, and shows them in the browser as a mail program does.
//!
//! For `relinkd demo` and for tests. It delivers nothing, keeps all in memory, and listens on loopback. `smtp` takes the
//! letters in, `mime` reads them, `page` shows them.

mod mime;
mod page;
mod smtp;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::demo::serve;

/// How many letters are kept; the oldest go first.
pub const LETTERS_MAX: usize = 10_000;

/// How a mailbox is to be.
#[derive(Clone)]
pub struct Options {
    /// Where it takes letters: loopback, port 0 for any.
    pub smtp_address: SocketAddr,
    /// Where its page is: loopback, port 0 for any.
    pub web_address: SocketAddr,
    /// The largest letter, in bytes.
    pub size_max: usize,
    /// Its time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Stops it, as [`Mailbox::stop`] does.
    pub stop: CancellationToken,
}

impl Options {
    /// Any ports, letters up to 10 MiB.
    #[must_use]
    pub fn new(clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { smtp_address: any, web_address: any, size_max: 10 << 20, clock, stop: CancellationToken::new() }
    }
}

/// A letter that arrived.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Counted from 1.
    pub number: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The headers in their order, decoded.
    pub headers: Vec<(String, String)>,
    /// The text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// The bytes as they came over SMTP, dots unstuffed.
    pub raw: Vec<u8>,
}

impl Letter {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the parts of a mailbox share.
struct Inbox {
    size_max: usize,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    tracker: TaskTracker,
    stop: CancellationToken,
    http: reqwest::Client,
    letters: Mutex<VecDeque<Letter>>,
    /// How many letters ever arrived.
    ever: watch::Sender<u64>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a letter in and answers its number.
    fn put(&self, from: String, to: Vec<String>, raw: Vec<u8>) -> u64 {
        let parsed = mime::parse(&raw);
        let subject = parsed.header("Subject").unwrap_or_default().to_owned();
        let mime::Parsed { headers, text, html } = parsed;
        let at = (self.clock)();
        let mut letters = self.lock();
        let number = *self.ever.borrow() + 1;
        if letters.len() == LETTERS_MAX {
            letters.pop_front();
        }
        letters.push_back(Letter { number, at, from, to, subject, headers, text, html, raw });
        self.ever.send_replace(number);
        number
    }

    fn letter(&self, number: u64) -> Option<Letter> {
        self.lock().iter().find(|letter| letter.number == number).cloned()
    }
}

/// A running mailbox. Clones are the same one.
#[derive(Clone)]
pub struct Mailbox {
    inbox: Arc<Inbox>,
    smtp_address: SocketAddr,
    web_address: SocketAddr,
}

impl Mailbox {
    /// Starts to listen, for letters and for browsers. Needs a running Tokio.
    ///
    /// # Errors
    /// If an address is taken or not loopback, or no HTTP client can be made.
    pub fn start(options: Options) -> io::Result<Self> {
        let web = serve::bind(options.web_address)?;
        let smtp = serve::bind(options.smtp_address)?;
        smtp.set_nonblocking(true)?;
        let (smtp_address, web_address) = (smtp.local_addr()?, web.local_addr()?);
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let inbox = Arc::new(Inbox {
            size_max: options.size_max,
            clock: options.clock,
            tracker: TaskTracker::new(),
            stop: options.stop.child_token(),
            http: client.timeout(Duration::from_secs(10)).build().map_err(io::Error::other)?,
            letters: Mutex::new(VecDeque::new()),
            ever: watch::Sender::new(0),
        });
        serve::serve(web, page::routes(Arc::clone(&inbox)), &inbox.tracker, inbox.stop.clone())?;
        let listener = tokio::net::TcpListener::from_std(smtp)?;
        inbox.tracker.spawn(smtp::accept(listener, Arc::clone(&inbox)));
        Ok(Self { inbox, smtp_address, web_address })
    }

    /// Where letters go: what `[mail] smtp_url` needs.
    #[must_use]
    pub fn smtp_url(&self) -> String {
        format!("smtp://{}", self.smtp_address)
    }

    /// Where letters are taken.
    #[must_use]
    pub fn smtp_address(&self) -> SocketAddr {
        self.smtp_address
    }

    /// The page, for a person.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.web_address)
    }

    /// The letters, oldest first, at most [`LETTERS_MAX`].
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.inbox.lock().iter().cloned().collect()
    }

    /// Waits until so many letters have ever arrived, and answers those that are there; `None` when the limit came first.
    pub async fn wait_for(&self, count: u64, limit: Duration) -> Option<Vec<Letter>> {
        let mut ever = self.inbox.ever.subscribe();
        let arrived = ever.wait_for(|ever| *ever >= count);
        match tokio::time::timeout(limit, arrived).await {
            Ok(Ok(_)) => Some(self.letters()),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Stops listening and waits for what is on its way.
    pub async fn stop(&self) {
        self.inbox.stop.cancel();
        self.inbox.tracker.close();
        self.inbox.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests;
