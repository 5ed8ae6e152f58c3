//! Plaid's words for what went wrong: the error object of its API, of its webhooks and of Link.
//!
//! Knows no Item and no endpoint. The codes and their types are those of Plaid's error reference; the sentences are ours.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer that is no success, as Plaid writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaidError {
    /// The HTTP status: 400 for nearly all.
    pub status: u16,
    /// Plaid's `error_type`.
    pub error_type: String,
    /// Plaid's `error_code`.
    pub error_code: String,
    /// Plaid's `error_message`, for developers.
    pub message: String,
    /// Plaid's `display_message`, for end users.
    pub display: Option<String>,
}

impl PlaidError {
    /// An error with status 400 and nothing to display.
    #[must_use]
    pub fn new(error_type: &str, error_code: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            error_type: error_type.to_owned(),
            error_code: error_code.to_owned(),
            message: message.into(),
            display: None,
        }
    }

    /// A field that is wrong.
    #[must_use]
    pub fn invalid_field(message: impl Into<String>) -> Self {
        Self::new("INVALID_REQUEST", "INVALID_FIELD", message)
    }

    /// Fields that are not there.
    #[must_use]
    pub fn missing_fields(names: &[&str]) -> Self {
        let message = format!("the following required fields are missing: {}", names.join(", "));
        Self::new("INVALID_REQUEST", "MISSING_FIELDS", message)
    }

    /// A Link token that is unknown, expired, used, or had too many wrong passwords.
    #[must_use]
    pub fn invalid_link_token() -> Self {
        Self::new("INVALID_INPUT", "INVALID_LINK_TOKEN", "the provided link_token is invalid, expired or already used")
    }

    /// The error as the body of an answer.
    #[must_use]
    pub fn body(&self, request_id: &str) -> Value {
        json!({
            "display_message": self.display,
            "documentation_url": "https://plaid.com/docs/errors/",
            "error_code": self.error_code,
            "error_message": self.message,
            "error_type": self.error_type,
            "request_id": request_id,
            "suggested_action": null,
        })
    }

    /// The error as an answer.
    #[must_use]
    pub fn answer(&self, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(self.body(request_id))).into_response()
    }
}

/// What is wrong with an Item: the `error` object of `/item/get` and of webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Plaid's `error_code`.
    pub code: String,
    /// Plaid's `error_code_reason`: OAuth Items only.
    pub reason: Option<String>,
}

impl Trouble {
    /// A trouble without a reason.
    #[must_use]
    pub fn new(code: &str) -> Self {
        Self { code: code.to_owned(), reason: None }
    }

    /// A trouble with one of Plaid's OAuth reasons.
    #[must_use]
    pub fn because(code: &str, reason: &str) -> Self {
        Self { code: code.to_owned(), reason: Some(reason.to_owned()) }
    }

    /// The trouble as the API's error for endpoints that need a working Item.
    #[must_use]
    pub fn refusal(&self) -> PlaidError {
        let (error_type, message, display) = describe(&self.code);
        PlaidError { display: display.map(str::to_owned), ..PlaidError::new(error_type, &self.code, message) }
    }

    /// The trouble inside an Item, in the answer to the request with this id.
    #[must_use]
    pub fn in_item(&self, request_id: &str) -> Value {
        let mut error = self.refusal().body(request_id);
        error["error_code_reason"] = json!(self.reason);
        error
    }

    /// The trouble inside a webhook: with a status, without a request id.
    #[must_use]
    pub fn in_webhook(&self) -> Value {
        let (error_type, message, display) = describe(&self.code);
        json!({
            "display_message": display,
            "error_code": self.code,
            "error_code_reason": self.reason,
            "error_message": message,
            "error_type": error_type,
            "status": 400,
        })
    }
}

/// The type, the developer's sentence and the user's sentence of a code.
fn describe(code: &str) -> (&'static str, &'static str, Option<&'static str>) {
    match code {
        "ITEM_LOGIN_REQUIRED" => (
            "ITEM_ERROR",
            "the login details of this item have changed, and the user has to log in again; use Link's update mode",
            None,
        ),
        "ITEM_NOT_FOUND" => (
            "ITEM_ERROR",
            "the Item cannot be found: it does not exist, was removed, or the user took access away",
            None,
        ),
        "USER_PERMISSION_REVOKED" => (
            "ITEM_ERROR",
            "the holder of this account has revoked their permission for your application to access it",
            None,
        ),
        "NO_ACCOUNTS" => (
            "ITEM_ERROR",
            "no valid accounts were found for this item",
            Some("No accounts were found. Please choose an account to share."),
        ),
        "ACCESS_NOT_GRANTED" => (
            "ITEM_ERROR",
            "access to a needed product was not granted for the account",
            Some("Access was not granted."),
        ),
        "INVALID_CREDENTIALS" => (
            "ITEM_ERROR",
            "the provided credentials were not correct",
            Some("The credentials you provided were incorrect. Check that they are those of this bank."),
        ),
        "INSTITUTION_DOWN" => (
            "INSTITUTION_ERROR",
            "this institution is currently not responding to this request, please try again later",
            Some("This bank is not available at the moment. Please try again later."),
        ),
        "INSTITUTION_NOT_RESPONDING" => (
            "INSTITUTION_ERROR",
            "the institution is currently not responding",
            Some("This bank is not responding at the moment. Please try again later."),
        ),
        other if other.ends_with("RATE_LIMIT") => ("RATE_LIMIT_EXCEEDED", "rate limit exceeded", None),
        "INTERNAL_SERVER_ERROR" | "PLANNED_MAINTENANCE" => ("API_ERROR", "an unexpected error occurred", None),
        "UNAUTHORIZED_INSTITUTION" | "UNSUPPORTED_RESPONSE" => {
            ("INSTITUTION_ERROR", "the institution cannot be used", None)
        }
        other if other.starts_with("INSTITUTION_") => ("INSTITUTION_ERROR", "the institution cannot be used", None),
        "ADDITIONAL_CONSENT_REQUIRED" | "INVALID_ACCOUNT_ID" | "INVALID_LINK_CUSTOMIZATION" => {
            ("INVALID_INPUT", "the request does not fit", None)
        }
        _ => ("ITEM_ERROR", "the item needs attention", None),
    }
}
