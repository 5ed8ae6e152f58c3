//! One letter to one mail server: a connection, a dialogue with a time limit on each stage, an outcome.
//!
//! No pool, no retry, no state: whoever calls decides from the [`Outcome`] what happens next. Called by `engine` for
//! letters and by the command line for its tests. Nothing is logged here; [`Outcome`] holds no address and no secret.
//!
//! TLS is asked for or not, never "if possible": whoever sits in between could say that it is not possible.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::address::Envelope;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

pub use super::reply::{Later, Never, Reply};
pub use super::server::{Credentials, Security, Server, Trust};
pub use super::stage::{Limits, Stage};
pub use super::wire::Cut;
use super::wire::{RawReply, Wire, dot_stuffed};

/// How long handing QUIT to the system may take. Its answer is not waited for.
pub(super) const GOODBYE: Duration = Duration::from_millis(200);

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The server has it and answers for it.
    Accepted {
        /// What it said.
        reply: Reply,
    },
    /// The server surely does not have it. Try again later.
    Deferred {
        /// Why.
        why: Deferral,
        /// What the server said, if it said so.
        reply: Option<Reply>,
    },
    /// The server surely does not have it and does not want it.
    Refused {
        /// Why.
        why: Never,
        /// Where in the dialogue.
        stage: Stage,
        /// What the server said; nothing if the letter could not even be said.
        reply: Option<Reply>,
    },
    /// The whole letter was sent, and no verdict came: the server may have it or not.
    Uncertain {
        /// How the dialogue broke.
        why: Cut,
    },
}

/// Why a letter was not sent this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// The server said so.
    Later(Later, Stage),
    /// No connection: no such name, nobody there.
    Unreachable,
    /// The dialogue broke at this stage.
    Cut(Stage, Cut),
    /// The handshake failed: a certificate that is not believed, or no TLS at the other end.
    Tls(String),
    /// STARTTLS is asked for and not offered. Nothing but EHLO was said in clear.
    NoStartTls,
    /// No way to log in that we know is offered, or only in clear across a network.
    NoLogin,
    /// `before_data` failed: nothing of the letter was sent.
    NotBegun,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reply = match self {
            Self::Accepted { reply } => {
                f.write_str("accepted")?;
                Some(reply)
            }
            Self::Deferred { why, reply } => {
                write!(f, "deferred: {why}")?;
                reply.as_ref()
            }
            Self::Refused { why, stage, reply } => {
                write!(f, "refused at {}: {}", stage.name(), why.name())?;
                reply.as_ref()
            }
            Self::Uncertain { why } => {
                write!(f, "uncertain: {} before the verdict", why.name())?;
                None
            }
        };
        reply.map_or(Ok(()), |reply| write!(f, " ({reply})"))
    }
}

impl fmt::Display for Deferral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why, stage) => write!(f, "{} at {}", why.name(), stage.name()),
            Self::Unreachable => f.write_str("nobody there"),
            Self::Cut(stage, cut) => write!(f, "{} at {}", cut.name(), stage.name()),
            Self::Tls(error) => write!(f, "no encryption: {error}"),
            Self::NoStartTls => f.write_str("the server does not offer STARTTLS"),
            Self::NoLogin => f.write_str("no safe way to log in is offered"),
            Self::NotBegun => f.write_str("the letter could not be written down as leaving"),
        }
    }
}

/// Sends one letter.
///
/// `before_data` is called when the recipient was accepted and before DATA: there the caller writes down that the letter
/// is about to leave. If it fails, the letter does not leave. It has no time limit here.
///
/// A letter that broke off before its final dot was handed over is [`Outcome::Deferred`], not uncertain: without the dot a
/// server must not deliver (RFC 5321 section 4.1.1.4).
pub async fn send<E>(
    server: &Server,
    limits: &Limits,
    envelope: &Envelope,
    message: &[u8],
    before_data: impl AsyncFnOnce() -> Result<(), E>,
) -> Outcome {
    send_and_tell(server, limits, envelope, message, before_data, &mut |_| ()).await
}

/// [`send`], and tells each line of the dialogue, with addresses and secrets masked, as it happens.
pub async fn send_and_tell<E>(
    server: &Server,
    limits: &Limits,
    envelope: &Envelope,
    message: &[u8],
    before_data: impl AsyncFnOnce() -> Result<(), E>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Outcome {
    let Some(wire_form) = dot_stuffed(message).filter(|_| is_plain(envelope)) else {
        return Outcome::Refused { why: Never::Other, stage: Stage::Body, reply: None };
    };
    let mut session = match Session::open(server, limits, private_texts(envelope), tell).await {
        Ok(session) => session,
        Err(outcome) => return outcome,
    };
    let outcome = match session.introduce(envelope).await {
        Ok(()) => match before_data().await {
            Ok(()) => session.hand_over(&wire_form).await.unwrap_or_else(|outcome| outcome),
            Err(_) => Outcome::Deferred { why: Deferral::NotBegun, reply: None },
        },
        Err(outcome) => outcome,
    };
    session.close().await;
    outcome
}

/// Connects, encrypts and logs in as for a letter, and leaves. For `relinkd check --online`.
///
/// # Errors
/// The outcome that a letter would have had.
pub async fn probe(server: &Server, limits: &Limits, tell: &mut (dyn FnMut(&str) + Send)) -> Result<(), Outcome> {
    Session::open(server, limits, Vec::new(), tell).await?.close().await;
    Ok(())
}

/// Whether every address can stand in a command as it is.
fn is_plain(envelope: &Envelope) -> bool {
    let mut addresses = envelope.from().into_iter().chain(envelope.to()).map(ToString::to_string);
    addresses.all(|address| address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>')))
}

/// Texts of the envelope that must not stand in what is kept of a reply.
fn private_texts(envelope: &Envelope) -> Vec<String> {
    let recipients = envelope.to().iter().flat_map(|address| [address.to_string(), address.user().to_owned()]);
    recipients.collect()
}

struct Session<'a> {
    wire: Wire,
    limits: &'a Limits,
    private: Vec<String>,
    tell: &'a mut (dyn FnMut(&str) + Send),
    /// What the server offers, from its answer to EHLO, in upper case.
    offers: Vec<String>,
}

impl<'a> Session<'a> {
    /// Connects, and comes to the point where a letter can be named.
    async fn open(
        server: &Server,
        limits: &'a Limits,
        private: Vec<String>,
        tell: &'a mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, Outcome> {
        let stream = connect(server, limits.connect).await?;
        let is_local = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let mut session = Self { wire: Wire::new(stream), limits, private, tell, offers: Vec::new() };
        if let Security::Tls(trust) = &server.security {
            session = session.encrypt(trust, &server.host).await?;
        }
        let greeting = timeout(limits.greeting, session.wire.read_reply()).await.unwrap_or(Err(Cut::TimedOut));
        session.expect(Stage::Greeting, greeting, 2)?;
        session.hello(&server.hello_name).await?;
        if let Security::StartTls(trust) = &server.security {
            if !session.offers.iter().any(|offer| offer == "STARTTLS") {
                return Err(deferred(Deferral::NoStartTls));
            }
            session.command(Stage::Hello, "STARTTLS", 2).await?;
            session = session.encrypt(trust, &server.host).await?;
            session.hello(&server.hello_name).await?;
        }
        if let Some(credentials) = &server.credentials {
            if matches!(server.security, Security::Plain) && !is_local {
                return Err(deferred(Deferral::NoLogin));
            }
            session.log_in(credentials).await?;
        }
        Ok(session)
    }

    async fn encrypt(self, trust: &Trust, host: &str) -> Result<Self, Outcome> {
        let Self { wire, limits, private, tell, .. } = self;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| deferred(Deferral::Tls("the server's name is no host name".to_owned())))?;
        let handshake = timeout(limits.tls, wire.encrypt(Arc::clone(&trust.0), name)).await;
        let wire = handshake
            .map_err(|_| deferred(Deferral::Cut(Stage::Tls, Cut::TimedOut)))?
            .map_err(|error| deferred(Deferral::Tls(error)))?;
        tell("* encrypted");
        // What was offered in clear does not count.
        Ok(Self { wire, limits, private, tell, offers: Vec::new() })
    }

    async fn hello(&mut self, name: &str) -> Result<(), Outcome> {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        let name = if is_name { name } else { "localhost" };
        let raw = self.command(Stage::Hello, &format!("EHLO {name}"), 2).await?;
        let offer = |line: &String| line.get(4..).unwrap_or_default().trim().to_uppercase();
        self.offers = raw.lines.iter().skip(1).map(offer).collect();
        Ok(())
    }

    async fn log_in(&mut self, credentials: &Credentials) -> Result<(), Outcome> {
        // Old servers write "AUTH=PLAIN".
        let offer = self.offers.iter().find_map(|offer| offer.strip_prefix("AUTH").map(|ways| ways.replace('=', " ")));
        let ways: Vec<&str> = offer.as_deref().unwrap_or_default().split(' ').collect();
        let (name, password) = (credentials.username.as_str(), credentials.password.expose_secret());
        if ways.contains(&"PLAIN") {
            let secret = BASE64.encode(format!("\0{name}\0{password}"));
            self.secret_command(&format!("AUTH PLAIN {secret}"), 2).await
        } else if ways.contains(&"LOGIN") {
            self.secret_command("AUTH LOGIN", 3).await?;
            self.secret_command(&BASE64.encode(name), 3).await?;
            self.secret_command(&BASE64.encode(password), 2).await
        } else {
            Err(deferred(Deferral::NoLogin))
        }
    }

    /// Names the sender and the recipients.
    async fn introduce(&mut self, envelope: &Envelope) -> Result<(), Outcome> {
        let from = envelope.from().map_or_else(String::new, ToString::to_string);
        self.command(Stage::Sender, &format!("MAIL FROM:<{from}>"), 2).await?;
        for to in envelope.to() {
            self.command(Stage::Recipient, &format!("RCPT TO:<{to}>"), 2).await?;
        }
        Ok(())
    }

    /// DATA, the letter, and the verdict about it.
    async fn hand_over(&mut self, wire_form: &[u8]) -> Result<Outcome, Outcome> {
        self.command(Stage::Data, "DATA", 3).await?;
        (self.tell)(&format!("> [letter, {} bytes]", wire_form.len()));
        let mut written = 0;
        let body = timeout(self.limits.body, self.wire.write(wire_form, &mut written)).await;
        if let Err(cut) = body.unwrap_or(Err(Cut::TimedOut)) {
            let dot_is_out = written + 3 > wire_form.len();
            return Err(if dot_is_out {
                Outcome::Uncertain { why: cut }
            } else {
                deferred(Deferral::Cut(Stage::Body, cut))
            });
        }
        let raw = match timeout(self.limits.verdict, self.wire.read_reply()).await.unwrap_or(Err(Cut::TimedOut)) {
            Ok(raw) => raw,
            Err(why) => return Err(Outcome::Uncertain { why }),
        };
        let reply = self.heard(&raw);
        match raw.code / 100 {
            2 => Ok(Outcome::Accepted { reply }),
            4 | 5 => Err(judged(Stage::Verdict, reply)),
            _ => Err(Outcome::Uncertain { why: Cut::Garbled }),
        }
    }

    async fn command(&mut self, stage: Stage, command: &str, expected: u16) -> Result<RawReply, Outcome> {
        let shown = match stage {
            Stage::Sender => "MAIL FROM:<[address]>",
            Stage::Recipient => "RCPT TO:<[address]>",
            Stage::Login => "[secret]",
            Stage::Connect
            | Stage::Tls
            | Stage::Greeting
            | Stage::Hello
            | Stage::Data
            | Stage::Body
            | Stage::Verdict => command,
        };
        (self.tell)(&format!("> {shown}"));
        let line = format!("{command}\r\n");
        let wire = &mut self.wire;
        let exchange = async {
            // A server that closes often says why first, so what it said is read even if it does not listen any more.
            let _ = wire.write(line.as_bytes(), &mut 0).await;
            wire.read_reply().await
        };
        let raw = timeout(self.limits.of(stage), exchange).await.unwrap_or(Err(Cut::TimedOut));
        self.expect(stage, raw, expected)
    }

    async fn secret_command(&mut self, command: &str, expected: u16) -> Result<(), Outcome> {
        self.command(Stage::Login, command, expected).await.map(|_| ())
    }

    /// The reply, if its first digit is the one that is due.
    fn expect(&mut self, stage: Stage, raw: Result<RawReply, Cut>, expected: u16) -> Result<RawReply, Outcome> {
        let raw = raw.map_err(|cut| deferred(Deferral::Cut(stage, cut)))?;
        let reply = self.heard(&raw);
        match raw.code / 100 {
            class if class == expected => Ok(raw),
            4 | 5 => Err(judged(stage, reply)),
            _ => Err(deferred(Deferral::Cut(stage, Cut::Garbled))),
        }
    }

    fn heard(&mut self, raw: &RawReply) -> Reply {
        let private: Vec<&str> = self.private.iter().map(String::as_str).collect();
        let reply = Reply::from_lines(raw.code, &raw.lines, &private);
        (self.tell)(&format!("< {reply}"));
        reply
    }

    /// Says goodbye and does not wait for an answer: the verdict is in.
    async fn close(mut self) {
        let _ = timeout(GOODBYE, self.wire.write(b"QUIT\r\n", &mut 0)).await;
    }
}

fn deferred(why: Deferral) -> Outcome {
    Outcome::Deferred { why, reply: None }
}

/// What a 4xx or 5xx at a stage means.
fn judged(stage: Stage, reply: Reply) -> Outcome {
    if reply.code < 500 {
        Outcome::Deferred { why: Deferral::Later(reply.later(), stage), reply: Some(reply) }
    } else {
        Outcome::Refused { why: reply.never(stage.about()), stage, reply: Some(reply) }
    }
}

/// Tries each address of the server; one that is silent leaves time for the others.
async fn connect(server: &Server, limit: Duration) -> Result<TcpStream, Outcome> {
    let end = Instant::now() + limit;
    let found = timeout_at(end, tokio::net::lookup_host((server.host.as_str(), server.port))).await;
    let timed_out = || deferred(Deferral::Cut(Stage::Connect, Cut::TimedOut));
    let Ok(found) = found.map_err(|_| timed_out())? else { return Err(deferred(Deferral::Unreachable)) };
    let addresses: Vec<SocketAddr> = found.collect();
    let mut is_silent = false;
    for (tried, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / untried;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A letter and its dot are two segments at times; Nagle's algorithm would hold the second one back 40 ms.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(_)) => is_silent = false,
            Err(_) => is_silent = true,
        }
    }
    Err(if is_silent { timed_out() } else { deferred(Deferral::Unreachable) })
}

#[cfg(test)]
mod tests;
