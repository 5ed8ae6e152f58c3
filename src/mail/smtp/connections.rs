//! Connections that stay open from letter to letter.
//!
//! Not lettre's pool: there a letter whose time limit ran out gives its connection back with an answer outstanding, and the
//! next letter takes that answer for its own. Here a connection is kept only after a whole dialogue: the server said its last
//! word about the letter. A server may hang up between two letters; that is no failure, and the letter takes a new connection.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use tokio::time::Instant;

use super::session::{About, Connection, Session};
use super::{Deferral, Limits, Never, Outcome, Server, Stage, dot_stuffed, is_plain, private_texts};

/// How long a connection is kept without a letter. Servers under load hang up after ten seconds.
pub const IDLE_MAX: Duration = Duration::from_secs(8);

/// How many letters one connection carries: below the limits that servers are known to have.
pub const LETTERS_MAX: u32 = 50;

/// A mail server, and the open connections to it.
pub struct Connections {
    server: Server,
    limits: Limits,
    /// The one used last at the end, so that the others grow old.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Connections {
    /// No connection yet.
    #[must_use]
    pub fn new(server: Server, limits: Limits) -> Self {
        Self { server, limits, idle: Mutex::default() }
    }

    /// The mail server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Sends one letter as [`send`](super::send) does, over a connection that is open if there is one.
    pub async fn send<E>(
        &self,
        envelope: &Envelope,
        message: &[u8],
        before_data: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Outcome {
        let Some(wire_form) = dot_stuffed(message).filter(|_| is_plain(envelope)) else {
            return Outcome::Refused { why: Never::Other, stage: Stage::Body, reply: None };
        };
        let mut silent = |_: &str| ();
        if let Some(connection) = self.take() {
            let about = About { limits: &self.limits, private: private_texts(envelope), tell: &mut silent };
            let mut session = Session::on(connection, about);
            let introduced = session.introduce(envelope).await;
            if !introduced.as_ref().is_err_and(may_be_the_connection) {
                return self.finish(session, introduced, &wire_form, before_data).await;
            }
        }
        let about = About { limits: &self.limits, private: private_texts(envelope), tell: &mut silent };
        let mut session = match Session::open(&self.server, about).await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        let introduced = session.introduce(envelope).await;
        self.finish(session, introduced, &wire_form, before_data).await
    }

    async fn finish<E>(
        &self,
        mut session: Session<'_>,
        introduced: Result<(), Outcome>,
        wire_form: &[u8],
        before_data: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Outcome {
        let outcome = match introduced {
            Ok(()) => session.hand_over(wire_form, before_data).await,
            Err(outcome) => outcome,
        };
        if stays_open(&outcome) && session.connection.letters < LETTERS_MAX {
            self.lock().push(Idle { connection: session.connection, since: Instant::now() });
        } else {
            session.connection.close().await;
        }
        outcome
    }

    /// Hangs up where no letter came for [`IDLE_MAX`]. Says whether connections are left.
    pub async fn close_idle(&self) -> bool {
        let (old, any_left) = {
            let mut idle = self.lock();
            let old: Vec<Idle> = idle.extract_if(.., |idle| idle.since.elapsed() >= IDLE_MAX).collect();
            (old, !idle.is_empty())
        };
        close(old).await;
        any_left
    }

    /// Hangs up everywhere.
    pub async fn close_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        close(all).await;
    }

    pub(super) fn take(&self) -> Option<Connection> {
        let idle = self.lock().pop().filter(|idle| idle.since.elapsed() < IDLE_MAX)?;
        Some(idle.connection)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close(idle: Vec<Idle>) {
    for idle in idle {
        idle.connection.close().await;
    }
}

/// Whether a kept connection may be to blame, and not the letter: it broke, or the server wants no more letters on it.
/// Nothing of the letter was said but its sender.
fn may_be_the_connection(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Deferred { why: Deferral::Later(_, stage) | Deferral::Cut(stage, _), .. }
        | Outcome::Refused { stage, .. } => *stage == Stage::Sender,
        Outcome::Deferred {
            why:
                Deferral::Unreachable | Deferral::Tls(_) | Deferral::NoStartTls | Deferral::NoLogin | Deferral::NotBegun,
            ..
        }
        | Outcome::Accepted { .. }
        | Outcome::Uncertain { .. } => false,
    }
}

/// Whether the dialogue ended with a whole reply and the server goes on listening.
fn stays_open(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } | Outcome::Deferred { why: Deferral::NotBegun, .. } => true,
        Outcome::Deferred { why: Deferral::Later(_, stage), reply } | Outcome::Refused { stage, reply, .. } => {
            let hangs_up = reply.as_ref().is_none_or(|reply| matches!(reply.code, 421 | 521));
            matches!(stage, Stage::Recipient | Stage::Data | Stage::Verdict) && !hangs_up
        }
        Outcome::Deferred {
            why: Deferral::Cut(..) | Deferral::Unreachable | Deferral::Tls(_) | Deferral::NoStartTls | Deferral::NoLogin,
            ..
        }
        | Outcome::Uncertain { .. } => false,
    }
}
