//! `/webhook_verification_key/get`: the key with which a webhook was signed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, CallError, Client, Raw};
use crate::plaid::key::{Key, KeyError};

/// Plaid's code for a key that it does not have.
const UNKNOWN_KEY: &str = "INVALID_WEBHOOK_VERIFICATION_KEY_ID";

/// A key that Plaid does not have.
const PROBE_KEY: &str = "relinkd-probe";

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

/// What a question about nothing shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Whether Plaid takes the client id and the secret.
    pub outcome: Result<(), CallError>,
    /// Plaid's clock, in whole seconds.
    pub date: Option<Timestamp>,
}

impl Client {
    /// Asks for a key that is not there: touches no Item, and shows whether the keys are right and what time it is at Plaid.
    pub async fn probe(&self) -> Probe {
        let asked = self.exchange("webhook_verification_key/get", &Request { key_id: PROBE_KEY }).await;
        let Raw { status, date, retry_after, body } = match asked {
            Ok(raw) => raw,
            Err(error) => return Probe { outcome: Err(error), date: None },
        };
        let is_unknown = |error: &CallError| error.code() == Some(UNKNOWN_KEY);
        let failed = !(200..300).contains(&status);
        let error =
            failed.then(|| CallError::from_answer(status, &body, retry_after)).filter(|error| !is_unknown(error));
        Probe { outcome: error.map_or(Ok(()), Err), date }
    }

    /// The key of this id.
    ///
    /// # Errors
    /// [`KeyCallError`] tells "there is none" from "nobody knows".
    pub async fn verification_key(&self, kid: &str) -> Result<Key, KeyCallError> {
        let answer = self.call::<Body>("webhook_verification_key/get", &Request { key_id: kid }).await;
        match answer {
            Ok(Answer { body, .. }) => Key::parse(body.key.get(), kid).map_err(KeyCallError::Unusable),
            Err(error) if error.code() == Some(UNKNOWN_KEY) => Err(KeyCallError::Unknown),
            Err(error) => Err(KeyCallError::Call(error)),
        }
    }
}
