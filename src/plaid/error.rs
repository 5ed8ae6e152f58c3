//! Plaid's error object, as far as a machine may use it.
//!
//! It comes in webhooks, in `/item/get` and as the answer to a call that Plaid refuses. Its `error_message` is not kept at
//! all: in Plaid's own example it holds an access token. What is kept is untrusted text, cut to a limit.

use super::members::Members;

/// The longest code, type or reason that is kept, in bytes. Plaid's are below 60; what is cut is no known code anyway.
pub const CODE_BYTES_MAX: usize = 100;

/// What is kept of an error object. Every field but the code may be missing in real bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaidError {
    /// `error_type`: the kind of error. An open list.
    pub error_type: String,
    /// `error_code`: what to decide by. An open list; empty where the object has none.
    pub error_code: String,
    /// `error_code_reason`: given by banks with OAuth only.
    pub reason: Option<String>,
    /// `request_id`: what Plaid's support asks for. Not in webhooks.
    pub request_id: Option<String>,
}

impl PlaidError {
    /// Reads an error object, or nothing where the text is not an object at all.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        let members = Members::read(json)?;
        let text = |name| members.text(name).map(|text| bounded(&text));
        Some(Self {
            error_type: text("error_type").unwrap_or_default(),
            error_code: text("error_code").unwrap_or_default(),
            reason: text("error_code_reason"),
            request_id: text("request_id"),
        })
    }

    /// An error of which nothing could be read.
    pub(super) fn unreadable() -> Self {
        Self { error_type: String::new(), error_code: String::new(), reason: None, request_id: None }
    }
}

/// A code that is fit for a log line: at most [`CODE_BYTES_MAX`] bytes, and only of visible ASCII. What is replaced stays
/// visible, so that no odd spelling becomes a known code.
pub(super) fn bounded(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).take(CODE_BYTES_MAX).collect()
}
