//! The dialogue itself: from the greeting to the verdict, on a connection that outlives the letter if all went well.

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

use super::{Credentials, Cut, Deferral, Limits, Outcome, Reply, Security, Server, Stage, Trust, deferred, judged};
use crate::mail::wire::{RawReply, Wire};

/// How long handing QUIT to the system may take. Its answer is not waited for.
pub(in crate::mail) const GOODBYE: Duration = Duration::from_millis(200);

/// A connection that is open, encrypted and logged in.
pub(super) struct Connection {
    wire: Wire,
    /// What the server offers, from its answer to EHLO, in upper case.
    offers: Vec<String>,
    /// Whether a recipient or a sender of an earlier letter still stands there.
    needs_reset: bool,
    /// How many letters it carried.
    pub letters: u32,
}

impl Connection {
    /// Says goodbye and does not wait for an answer: the verdict is in.
    pub async fn close(mut self) {
        let _ = timeout(GOODBYE, self.wire.write(b"QUIT\r\n", &mut 0)).await;
    }
}

/// What a dialogue needs to know beside the connection.
pub(super) struct About<'a> {
    pub limits: &'a Limits,
    /// Texts that must not stand in what is kept of a reply.
    pub private: Vec<String>,
    /// Hears each line of the dialogue, masked.
    pub tell: &'a mut (dyn FnMut(&str) + Send),
}

/// One dialogue, about one letter.
pub(super) struct Session<'a> {
    pub connection: Connection,
    about: About<'a>,
}

impl<'a> Session<'a> {
    /// Connects, and comes to the point where a letter can be named.
    pub async fn open(server: &Server, about: About<'a>) -> Result<Self, Outcome> {
        let stream = connect(server, about.limits.connect).await?;
        let is_local = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let connection = Connection { wire: Wire::new(stream), offers: Vec::new(), needs_reset: false, letters: 0 };
        let mut session = Self { connection, about };
        if let Security::Tls(trust) = &server.security {
            session = session.encrypt(trust, &server.host).await?;
        }
        let limit = session.about.limits.greeting;
        let greeting = timeout(limit, session.connection.wire.read_reply()).await.unwrap_or(Err(Cut::TimedOut));
        session.expect(Stage::Greeting, greeting, 2)?;
        session.hello(&server.hello_name).await?;
        if let Security::StartTls(trust) = &server.security {
            if !session.connection.offers.iter().any(|offer| offer == "STARTTLS") {
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

    /// Goes on with a connection that carried other letters.
    pub fn on(connection: Connection, about: About<'a>) -> Self {
        Self { connection, about }
    }

    async fn encrypt(self, trust: &Trust, host: &str) -> Result<Self, Outcome> {
        let Self { connection, about } = self;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| deferred(Deferral::Tls("the server's name is no host name".to_owned())))?;
        let handshake = timeout(about.limits.tls, connection.wire.encrypt(Arc::clone(&trust.0), name)).await;
        let wire = handshake
            .map_err(|_| deferred(Deferral::Cut(Stage::Tls, Cut::TimedOut)))?
            .map_err(|error| deferred(Deferral::Tls(error)))?;
        (about.tell)("* encrypted");
        // What was offered in clear does not count.
        Ok(Self { connection: Connection { wire, offers: Vec::new(), ..connection }, about })
    }

    async fn hello(&mut self, name: &str) -> Result<(), Outcome> {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        let name = if is_name { name } else { "localhost" };
        let raw = self.command(Stage::Hello, &format!("EHLO {name}"), 2).await?;
        let offer = |line: &String| line.get(4..).unwrap_or_default().trim().to_uppercase();
        self.connection.offers = raw.lines.iter().skip(1).map(offer).collect();
        Ok(())
    }

    async fn log_in(&mut self, credentials: &Credentials) -> Result<(), Outcome> {
        // Old servers write "AUTH=PLAIN".
        let offer = self
            .connection
            .offers
            .iter()
            .find_map(|offer| offer.strip_prefix("AUTH").map(|ways| ways.replace('=', " ")));
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
    pub async fn introduce(&mut self, envelope: &Envelope) -> Result<(), Outcome> {
        if self.connection.needs_reset {
            self.command(Stage::Sender, "RSET", 2).await?;
        }
        self.connection.needs_reset = true;
        let from = envelope.from().map_or_else(String::new, ToString::to_string);
        self.command(Stage::Sender, &format!("MAIL FROM:<{from}>"), 2).await?;
        for to in envelope.to() {
            self.command(Stage::Recipient, &format!("RCPT TO:<{to}>"), 2).await?;
        }
        Ok(())
    }

    /// DATA, the letter, and the verdict about it. `before_data` comes first.
    pub async fn hand_over<E>(
        &mut self,
        wire_form: &[u8],
        before_data: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Outcome {
        if before_data().await.is_err() {
            return deferred(Deferral::NotBegun);
        }
        if let Err(outcome) = self.command(Stage::Data, "DATA", 3).await {
            return outcome;
        }
        (self.about.tell)(&format!("> [letter, {} bytes]", wire_form.len()));
        let mut written = 0;
        let body = timeout(self.about.limits.body, self.connection.wire.write(wire_form, &mut written)).await;
        if let Err(cut) = body.unwrap_or(Err(Cut::TimedOut)) {
            let dot_is_out = written + 3 > wire_form.len();
            return if dot_is_out { Outcome::Uncertain { why: cut } } else { self.broke_off(cut).await };
        }
        let limit = self.about.limits.verdict;
        let raw = match timeout(limit, self.connection.wire.read_reply()).await.unwrap_or(Err(Cut::TimedOut)) {
            Ok(raw) => raw,
            Err(why) => return Outcome::Uncertain { why },
        };
        let reply = self.heard(&raw);
        self.connection.letters += 1;
        self.connection.needs_reset = false;
        match raw.code / 100 {
            2 => Outcome::Accepted { reply },
            4 | 5 => judged(Stage::Verdict, reply),
            _ => Outcome::Uncertain { why: Cut::Garbled },
        }
    }

    /// The letter broke off before its end. A server that closes often says why first.
    async fn broke_off(&mut self, cut: Cut) -> Outcome {
        if cut == Cut::Closed
            && let Ok(Ok(raw)) = timeout(GOODBYE, self.connection.wire.read_reply()).await
            && matches!(raw.code / 100, 4 | 5)
        {
            let reply = self.heard(&raw);
            return judged(Stage::Body, reply);
        }
        deferred(Deferral::Cut(Stage::Body, cut))
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
        (self.about.tell)(&format!("> {shown}"));
        let line = format!("{command}\r\n");
        let wire = &mut self.connection.wire;
        let exchange = async {
            // A server that closes often says why first, so what it said is read even if it does not listen any more.
            let _ = wire.write(line.as_bytes(), &mut 0).await;
            wire.read_reply().await
        };
        let raw = timeout(self.about.limits.of(stage), exchange).await.unwrap_or(Err(Cut::TimedOut));
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
        let private: Vec<&str> = self.about.private.iter().map(String::as_str).collect();
        let reply = Reply::from_lines(raw.code, &raw.lines, &private);
        (self.about.tell)(&format!("< {reply}"));
        reply
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
