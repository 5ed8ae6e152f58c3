//! Errors of the API, as RFC 9457 problem documents, and bodies that are read with a clear sentence on what is wrong.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::StoreError;

/// An error of the API.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Always `about:blank`: the status and `code` say which kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// The name of the problem, for programs.
    code: &'static str,
    /// What is wrong and what to do, for people. Never with a secret.
    detail: String,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), code, detail: detail.into() }
    }

    /// What the request says cannot be used.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// What is wrong, for an answer that has a place for it.
    #[must_use]
    pub fn into_detail(self) -> String {
        self.detail
    }

    /// There is no such thing.
    #[must_use]
    pub fn unknown(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!("a request cannot be answered: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", "the store does not answer; the log says why. Try again")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// A JSON body. What does not read is answered with the path to it, and never with its value.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::new(error.status(), "body", "the body is too large or breaks off"))?;
        // An empty body says nothing, as `{}` does.
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut reader = serde_json::Deserializer::from_slice(text);
        serde_path_to_error::deserialize(&mut reader).map(Body).map_err(|error| {
            let path = error.path().to_string();
            Problem::invalid(format!("{path}: {}", without_value(error.inner())))
        })
    }
}

/// serde names the wrong value, which may be a token: only the kind of fault and what was expected are told.
pub(super) fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") || text.starts_with("unknown field") {
        return text;
    }
    match (error.classify(), text.split_once("expected ")) {
        (serde_json::error::Category::Data, Some((_, expected))) => {
            format!("has the wrong type or value; expected {expected}")
        }
        (serde_json::error::Category::Data, None) => "has a value that cannot be used".to_owned(),
        _ => format!("is no JSON (line {}, column {})", error.line(), error.column()),
    }
}
