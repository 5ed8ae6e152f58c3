//! Why a call to Plaid gave no answer, told apart by what is to be done about it.
//!
//! Plaid says to go by type and code of its error object and not by the status; the status counts where there is no such
//! object. Nothing here holds a token, a message of Plaid's or a part of a body.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderValue;

use crate::domain::event::{Event, Observation};
use crate::plaid::error::PlaidError;
use crate::plaid::fault::{self, Owner};

/// The longest wait that a `Retry-After` is believed for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The longest cause that is kept of an error below HTTP, in characters.
const CAUSE_CHARS_MAX: usize = 200;

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke before the answer. Try again.
    #[error("plaid cannot be reached: {cause}")]
    Unreachable {
        /// The innermost cause, such as "connection refused".
        cause: String,
    },
    /// The time limit passed; whether Plaid did what it was asked is not known. Try again.
    #[error("plaid did not answer in time")]
    TimedOut,
    /// Too many calls. Wait, then try again.
    #[error("plaid asks for fewer calls")]
    RateLimited {
        /// How long to wait, where Plaid says so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// A fault on Plaid's side, or an answer that is none: an error page, a body cut off, no JSON. Try again.
    #[error("plaid is out of order: {what} (status {status})")]
    PlaidDown {
        /// The HTTP status.
        status: u16,
        /// What is wrong, in our words.
        what: &'static str,
        /// What Plaid's support asks for.
        request_id: Option<String>,
    },
    /// JSON, but not what Plaid documents. Trying again soon is of no use.
    #[error("plaid's answer has no readable `{at}`")]
    Unreadable {
        /// The path to the field.
        at: String,
    },
    /// Plaid understood and refuses: see the code.
    #[error("plaid refuses: {} (request {})", .0.error_code, .0.request_id.as_deref().unwrap_or("unknown"))]
    Refused(PlaidError),
    /// Plaid does not know the client id or the secret: no call will work until the operator acts.
    #[error("plaid refuses the client id or the secret: {} (request {})", .0.error_code, .0.request_id.as_deref().unwrap_or("unknown"))]
    Credentials(PlaidError),
}

impl CallError {
    /// Plaid's `error_code`, where Plaid gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(error) | Self::Credentials(error) => Some(&error.error_code),
            Self::Unreachable { .. }
            | Self::TimedOut
            | Self::RateLimited { .. }
            | Self::PlaidDown { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// Whether there was no answer, or none that can be used.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut | Self::PlaidDown { .. } | Self::Unreadable { .. } => true,
            Self::RateLimited { .. } | Self::Refused(_) | Self::Credentials(_) => false,
        }
    }

    /// The name that the metrics use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut => "timed_out",
            Self::RateLimited { .. } => "rate_limited",
            Self::PlaidDown { .. } => "plaid_down",
            Self::Unreadable { .. } => "unreadable",
            Self::Refused(_) => "refused",
            Self::Credentials(_) => "credentials",
        }
    }

    /// What a refusal of a question about this Item tells about the Item itself; nothing where it tells nothing.
    ///
    /// Plaid answers `/item/get` even for a broken Item, so only three refusals tell something: the Item is gone, the
    /// user withdrew, the token is not accepted.
    #[must_use]
    pub fn event(&self, asked_at: Timestamp) -> Option<Event> {
        let Self::Refused(error) = self else { return None };
        if error.error_code == "INVALID_ACCESS_TOKEN" {
            return Some(Event::TokenRefused { code: error.error_code.clone() });
        }
        match fault::owner(&error.error_code) {
            Owner::Gone | Owner::UserWithdrew => Some(Event::Observed(Observation {
                asked_at,
                // A refusal does not name the Item, so it proves nothing about the token.
                item: None,
                created_at: None,
                health: fault::health(error),
                consent_expires_at: None,
                webhooks_go: None,
                institution: None,
            })),
            Owner::User { .. } | Owner::Bank | Owner::Plaid | Owner::Operator | Owner::NewItem | Owner::Nobody => None,
        }
    }

    pub(super) fn down(status: u16, what: &'static str) -> Self {
        Self::PlaidDown { status, what, request_id: None }
    }

    /// From a request that got no answer.
    pub(super) fn from_sending(error: &reqwest::Error) -> Self {
        if error.is_timeout() { Self::TimedOut } else { Self::Unreachable { cause: root_cause(error) } }
    }

    /// From an answer that broke off.
    pub(super) fn from_reading(status: u16, error: &reqwest::Error) -> Self {
        if error.is_timeout() { Self::TimedOut } else { Self::down(status, "the answer is cut off") }
    }

    /// From an answer whose status is no success.
    pub(super) fn from_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let error = PlaidError::read(body).filter(|error| !error.error_code.is_empty());
        match error {
            Some(error) if status == 429 || error.error_type == "RATE_LIMIT_EXCEEDED" => {
                Self::RateLimited { retry_after }
            }
            Some(error) if error.error_type == "API_ERROR" || (status >= 500 && is_unknown(&error)) => {
                Self::PlaidDown { status, what: "it says so itself", request_id: error.request_id }
            }
            Some(error) if ["INVALID_API_KEYS", "UNAUTHORIZED_ENVIRONMENT"].contains(&error.error_code.as_str()) => {
                Self::Credentials(error)
            }
            Some(error) => Self::Refused(error),
            None if status == 429 => Self::RateLimited { retry_after },
            None => Self::down(status, "the answer is no error of Plaid's"),
        }
    }
}

fn is_unknown(error: &PlaidError) -> bool {
    fault::owner(&error.error_code) == Owner::Nobody
}

/// The innermost cause of an error below HTTP. It speaks of sockets and certificates, never of what was sent.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    // The outermost error would name the address.
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = if error.source().is_some() { cause.to_string() } else { "no cause given".to_owned() };
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

/// `Retry-After` as seconds or as a date; a date is taken relative to Plaid's own clock, which the answer carries too.
pub(super) fn retry_after(value: &HeaderValue, date: Option<Timestamp>) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = super::http_date(value)?;
            Duration::try_from(until.duration_since(date?)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}
