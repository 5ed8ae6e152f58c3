//! One letter to one mail server: a connection, a dialogue with a time limit on each stage, an outcome.
//!
//! No retry: whoever calls decides from the [`Outcome`] what happens next. [`Connections`] keeps connections open from letter
//! to letter, [`send`] makes one for its letter. Called by `engine` for letters and by the command line for its tests. Nothing
//! is logged here; [`Outcome`] holds no address and no secret.
//!
//! TLS is asked for or not, never "if possible": whoever sits in between could say that it is not possible.

use std::fmt;

use lettre::address::Envelope;

mod connections;
mod session;

pub use super::reply::{Later, Never, Reply};
pub use super::server::{Credentials, Security, Server, Trust};
pub use super::stage::{Limits, Stage};
pub use super::wire::Cut;
use super::wire::dot_stuffed;
pub use connections::{Connections, IDLE_MAX, LETTERS_MAX};
pub(super) use session::GOODBYE;
use session::{About, Session};

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
    let about = About { limits, private: private_texts(envelope), tell };
    let mut session = match Session::open(server, about).await {
        Ok(session) => session,
        Err(outcome) => return outcome,
    };
    let outcome = match session.introduce(envelope).await {
        Ok(()) => session.hand_over(&wire_form, before_data).await,
        Err(outcome) => outcome,
    };
    session.connection.close().await;
    outcome
}

/// Connects, encrypts and logs in as for a letter, and leaves. For `relinkd check --online`.
///
/// # Errors
/// The outcome that a letter would have had.
pub async fn probe(server: &Server, limits: &Limits, tell: &mut (dyn FnMut(&str) + Send)) -> Result<(), Outcome> {
    Session::open(server, About { limits, private: Vec::new(), tell }).await?.connection.close().await;
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

#[cfg(test)]
mod tests;
