//! The calls to Plaid that relinkd makes: seven of them, one file a subject.
//!
//! Thin: one request, one answer, no retries, no limits of rate, no cache; those are the engine's. What comes back is
//! either an answer in our own words or a [`CallError`] that says what kind of action it asks for. An access token goes in
//! by reference and is in no error, log or `Debug` output.

mod accounts;
mod call_error;
mod institution;
mod item;
mod link;
mod verification_key;
pub mod webhook_events;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

pub use self::accounts::{Account, AccountsAnswer};
pub use self::call_error::CallError;
pub use self::institution::{InstitutionAnswer, Logins};
pub use self::item::{ItemAnswer, SentWebhook};
pub use self::link::{Hosted, LinkSession, LinkSessions, LinkToken, LinkTokenRequest, Verdict};
pub use self::verification_key::{KeyCallError, Probe};

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole call may take, from connecting to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes, unpacked. A Link session with all its events has some tens of thousands.
pub const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The version of Plaid's API that this client speaks. Without it the setting in Plaid's dashboard would count.
const API_VERSION: &str = "2020-09-14";

/// Where Plaid is and who asks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Plaid's address: https, or http on loopback.
    pub base_url: Url,
    /// Plaid's `client_id`.
    pub client_id: String,
    /// Plaid's secret, of the environment to which the address belongs.
    pub secret: SecretString,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the last byte of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, total: TIMEOUT }
    }
}

/// Why there can be no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Plain http to another machine: the secret would be readable on the way.
    #[error("plaid's address has to begin with https:// (http:// on loopback only)")]
    Insecure,
    /// The client id or the secret holds a character that no header can carry.
    #[error("the client id or the secret holds a character that no header can carry")]
    Credentials,
    /// No TLS, for instance because this machine has no root certificates.
    #[error("no TLS client: {0}")]
    Tls(String),
}

/// A client of Plaid's API. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: Url,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// What an answer says beside its body.
struct Answer<T> {
    body: T,
    /// Plaid's clock.
    date: Option<Timestamp>,
}

/// An answer as it came.
struct Raw {
    status: u16,
    date: Option<Timestamp>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Client {
    /// A client with the usual time limits. Asks nothing yet.
    ///
    /// # Errors
    /// [`OptionsError`] if the options cannot work.
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        Self::with_timeouts(options, Timeouts::default())
    }

    /// A client with other time limits.
    ///
    /// # Errors
    /// [`OptionsError`] if the options cannot work.
    pub fn with_timeouts(options: &Options, timeouts: Timeouts) -> Result<Self, OptionsError> {
        let mut base_url = options.base_url.clone();
        let plain = base_url.scheme() == "http" && is_loopback(&base_url);
        if base_url.scheme() != "https" && !plain {
            return Err(OptionsError::Insecure);
        }
        if !base_url.path().ends_with('/') {
            base_url.set_path(&format!("{}/", base_url.path()));
        }
        let http = reqwest::Client::builder()
            .default_headers(headers(options)?)
            .user_agent(concat!("relinkd/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .https_only(!plain)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .build()
            .map_err(|error| OptionsError::Tls(call_error::root_cause(&error)))?;
        Ok(Self { http, base_url })
    }

    /// One call: a JSON body out, a JSON body back.
    async fn call<T: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<Answer<T>, CallError> {
        let Raw { status, date, retry_after, body } = self.exchange(path, request).await?;
        if !(200..300).contains(&status) {
            return Err(CallError::from_answer(status, &body, retry_after));
        }
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            // The error itself quotes the value, which may be a token.
            match error.inner().is_data() {
                true => CallError::Unreadable { at: error.path().to_string() },
                false => CallError::down(status, "the answer is no JSON"),
            }
        })?;
        Ok(Answer { body, date })
    }

    /// What comes back, whatever it says.
    async fn exchange(&self, path: &str, request: &impl Serialize) -> Result<Raw, CallError> {
        let url = self.base_url.join(path).expect("the paths are constants");
        let body = serde_json::to_vec(request).expect("requests are structs of texts");
        let sent = self.http.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await;
        let mut response = sent.map_err(|error| CallError::from_sending(&error))?;
        let status = response.status().as_u16();
        let date = response.headers().get(DATE).and_then(http_date);
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| call_error::retry_after(value, date));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| CallError::from_reading(status, &error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(CallError::down(status, "the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Raw { status, date, retry_after, body })
    }
}

fn headers(options: &Options) -> Result<HeaderMap, OptionsError> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| OptionsError::Credentials);
    let mut client_id = value(&options.client_id)?;
    client_id.set_sensitive(true);
    let mut secret = value(options.secret.expose_secret())?;
    secret.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("plaid-client-id", client_id);
    headers.insert("plaid-secret", secret);
    headers.insert("plaid-version", HeaderValue::from_static(API_VERSION));
    Ok(headers)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An HTTP date (RFC 9110, section 5.6.7), in its one form that is still written.
fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.to_str().ok()?).ok()
}
