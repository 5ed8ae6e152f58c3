//! The stages of a dialogue with a mail server, and how long each may take. Only data; [`smtp`](super::smtp) speaks.

use std::time::Duration;

use super::reply::About;

/// The stages of a dialogue, each with a time limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Looking the name up and opening a connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The server's greeting.
    Greeting,
    /// EHLO, and STARTTLS.
    Hello,
    /// AUTH.
    Login,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// Writing the letter.
    Body,
    /// The reply to the letter.
    Verdict,
}

impl Stage {
    /// Its name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Hello => "hello",
            Self::Login => "login",
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Data => "data",
            Self::Body => "body",
            Self::Verdict => "verdict",
        }
    }

    pub(super) fn about(self) -> About {
        match self {
            Self::Connect | Self::Tls | Self::Greeting | Self::Hello | Self::Login | Self::Sender => About::Sender,
            Self::Recipient => About::Recipient,
            Self::Data | Self::Body | Self::Verdict => About::Letter,
        }
    }
}

/// How long each [`Stage`] may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the stages")]
pub struct Limits {
    pub connect: Duration,
    pub tls: Duration,
    pub greeting: Duration,
    pub hello: Duration,
    pub login: Duration,
    pub sender: Duration,
    pub recipient: Duration,
    pub data: Duration,
    pub body: Duration,
    pub verdict: Duration,
}

impl Default for Limits {
    /// A submission server answers at once, so most are shorter than the minutes of RFC 5321 section 4.5.3.2. Not the
    /// last: who gives up before the verdict makes duplicates, so it has the ten minutes of the RFC.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(20),
            tls: seconds(20),
            greeting: seconds(60),
            hello: seconds(30),
            login: seconds(30),
            sender: seconds(60),
            recipient: seconds(60),
            data: seconds(60),
            body: seconds(120),
            verdict: seconds(600),
        }
    }
}

impl Limits {
    /// The longest that one [`send`](super::smtp::send) can take, without its `before_data`: a lease must be longer.
    #[must_use]
    pub fn total(&self) -> Duration {
        let after_tls = self.hello + self.login + self.sender + self.recipient + self.data + self.body + self.verdict;
        // With STARTTLS there are three exchanges under the limit of EHLO, with LOGIN three under that of AUTH.
        self.connect + self.tls + self.greeting + after_tls + self.hello * 2 + self.login * 2 + super::smtp::GOODBYE
    }

    pub(super) fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Connect => self.connect,
            Stage::Tls => self.tls,
            Stage::Greeting => self.greeting,
            Stage::Hello => self.hello,
            Stage::Login => self.login,
            Stage::Sender => self.sender,
            Stage::Recipient => self.recipient,
            Stage::Data => self.data,
            Stage::Body => self.body,
            Stage::Verdict => self.verdict,
        }
    }
}
