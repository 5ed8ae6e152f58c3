//! Faults that can be put in front of the API's answers, and the record of what was asked.
//!
//! Knows no endpoint: a fault replaces, delays or cuts whatever the endpoint would have answered.

use std::fmt;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::CALLS_MAX;
use super::words::PlaidError;
use super::world::State;

/// Something that goes wrong at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// The endpoint, such as `/item/get`; `None` for all.
    #[serde(default)]
    pub path: Option<String>,
    /// How many requests it meets; `None` until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// About which Item alone; all if nothing.
    #[serde(default)]
    pub item_id: Option<String>,
    /// How long the answer is held back, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// What is answered.
    #[serde(default)]
    pub answer: Answer,
}

/// What a fault answers.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// What would have been answered without the fault: only the delay is felt.
    #[default]
    Real,
    /// Any status and body, such as the HTML page of a gateway.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
        /// Its `Content-Type`.
        #[serde(default = "html")]
        media_type: String,
    },
    /// An error object of Plaid's.
    Error {
        /// The HTTP status.
        status: u16,
        /// Plaid's `error_type`.
        error_type: String,
        /// Plaid's `error_code`.
        error_code: String,
    },
    /// Too many requests; Plaid documents no `Retry-After`, so it may be missing.
    Limited {
        /// Plaid's `error_code`, such as `ITEM_GET_LIMIT`.
        error_code: String,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after_secs: Option<u32>,
    },
    /// The real answer, cut off in the middle of its body.
    Cut,
}

fn html() -> String {
    "text/html; charset=utf-8".to_owned()
}

impl Fault {
    /// A fault at one endpoint, until it is cleared.
    #[must_use]
    pub fn at(path: &str, answer: Answer) -> Self {
        Self { path: Some(path.to_owned()), times: None, item_id: None, delay_ms: 0, answer }
    }

    /// The same fault, for requests about one Item alone.
    #[must_use]
    pub fn about(self, item: &str) -> Self {
        Self { item_id: Some(item.to_owned()), ..self }
    }

    /// The same fault, for so many requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same fault, with the answer held back.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..self }
    }
}

/// Takes the first fault that is meant for this endpoint and this Item, and counts it down.
pub(super) fn take(state: &mut State, path: &str, item: Option<&str>) -> Option<Fault> {
    let is_meant = |fault: &Fault| {
        fault.path.as_deref().is_none_or(|at| at == path)
            && (fault.item_id.is_none() || fault.item_id.as_deref() == item)
    };
    let index = state.faults.iter().position(is_meant)?;
    let fault = state.faults[index].clone();
    match &mut state.faults[index].times {
        Some(left) if *left > 1 => *left -= 1,
        Some(_) => {
            state.faults.remove(index);
        }
        None => {}
    }
    Some(fault)
}

/// Whether the endpoint still does its work under this fault. A cut answer is the worst case: done, and nobody knows.
pub(super) fn endpoint_works(answer: &Answer) -> bool {
    match answer {
        Answer::Real | Answer::Cut => true,
        Answer::Raw { .. } | Answer::Error { .. } | Answer::Limited { .. } => false,
    }
}

/// The answer of a fault that keeps the endpoint from working.
pub(super) fn instead(answer: &Answer, request_id: &str) -> Option<Response> {
    match answer {
        Answer::Real | Answer::Cut => None,
        Answer::Raw { status, body, media_type } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some((status, [(header::CONTENT_TYPE, media_type.clone())], body.clone()).into_response())
        }
        Answer::Error { status, error_type, error_code } => {
            let error = PlaidError::new(error_type, error_code, "a fault of the demo");
            Some(PlaidError { status: *status, ..error }.answer(request_id))
        }
        Answer::Limited { error_code, retry_after_secs } => {
            let error = PlaidError::new("RATE_LIMIT_EXCEEDED", error_code, "rate limit exceeded, try again later");
            let mut response = PlaidError { status: 429, ..error }.answer(request_id);
            if let Some(seconds) = retry_after_secs {
                response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
            }
            Some(response)
        }
    }
}

/// An answer that announces its whole length and breaks off half way.
pub(super) fn cut(body: &str) -> Response {
    let half = body.as_bytes()[..body.len() / 2].to_vec();
    let parts = [Ok(half), Err(io::Error::other("cut by a fault"))];
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_LENGTH, body.len().to_string())];
    (headers, Body::from_stream(futures_util::stream::iter(parts))).into_response()
}

/// One request that the API received.
#[derive(Clone)]
pub struct Call {
    /// Counted from 1, over all endpoints.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The endpoint.
    pub path: String,
    /// The body as it came, tokens and keys included: for tests. `Null` where it was no JSON.
    pub body: Value,
    /// The Item that it was about.
    pub item_id: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Plaid's `error_code` in the answer.
    pub error_code: Option<String>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {} {:?}", self.path, masked(&self.body), self.status, self.error_code)
    }
}

/// Numbers a request and keeps it in the record, at most [`CALLS_MAX`] of them.
pub(super) fn record(state: &mut State, call: Call) {
    let number = state.counts.values().sum::<u64>() + 1;
    let call = Call { number, ..call };
    *state.counts.entry(call.path.clone()).or_default() += 1;
    if state.calls.len() == CALLS_MAX {
        state.calls.pop_front();
    }
    state.calls.push_back(call);
}

/// A body fit for eyes: keys and tokens are masked, all else is as it was.
#[must_use]
pub fn masked(body: &Value) -> Value {
    match body {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), masked_field(name, value))).collect(),
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::String(text) => Value::String(token_kind(text).unwrap_or_else(|| text.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
    }
}

fn masked_field(name: &str, value: &Value) -> Value {
    let secret = ["secret", "client_id", "access_token", "public_token", "link_token", "hosted_link_url"];
    match value {
        Value::String(text) if secret.contains(&name) => {
            Value::String(token_kind(text).unwrap_or_else(|| "…".to_owned()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            masked(value)
        }
    }
}

/// The kind of a token, and none of its secret; `None` for what is no token.
fn token_kind(text: &str) -> Option<String> {
    let (kind, rest) = text.split_once('-')?;
    let (environment, _) = rest.split_once('-')?;
    let is_token = ["access", "public", "link"].contains(&kind) && ["sandbox", "production"].contains(&environment);
    is_token.then(|| format!("{kind}-{environment}-…"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn masking_leaves_nothing_of_a_secret() {
        let body = json!({
            "client_id": "cid-canary", "secret": "sec-canary", "access_token": "access-sandbox-canary",
            "user": { "client_user_id": "user-1" }, "list": [{ "public_token": "public-sandbox-canary" }],
            "public_tokens": ["public-sandbox-canary"], "link_token": "canary-of-no-known-kind",
        });
        let text = masked(&body).to_string();
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("access-sandbox-…") && text.contains("user-1"), "{text}");
    }
}
