//! `/webhook_verification_key/get`: the key with which a webhook was signed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, CallError, Client};
use crate::plaid::key::{Key, KeyError};

#[derive(Serialize)]
struct Request<'a> {
    key_id: &'a str,
}

#[derive(Deserialize)]
struct Body {
    key: Box<RawValue>,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyCallError {
    /// Plaid knows no key of that id in this environment: whoever named it is not Plaid.
    #[error("plaid knows no such key")]
    Unknown,
    /// Plaid gave something that is no key for webhooks. Not the fault of the webhook.
    #[error("plaid's key cannot be used")]
    Unusable(#[source] KeyError),
    /// No answer: whether there is such a key is not known.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Client {
    /// The key of this id.
    ///
    /// # Errors
    /// [`KeyCallError`] tells "there is none" from "nobody knows".
    pub async fn verification_key(&self, kid: &str) -> Result<Key, KeyCallError> {
        let answer = self.call::<Body>("webhook_verification_key/get", &Request { key_id: kid }).await;
        match answer {
            Ok(Answer { body, .. }) => Key::parse(body.key.get(), kid).map_err(KeyCallError::Unusable),
            Err(error) if error.code() == Some("INVALID_WEBHOOK_VERIFICATION_KEY_ID") => Err(KeyCallError::Unknown),
            Err(error) => Err(KeyCallError::Call(error)),
        }
    }
}
