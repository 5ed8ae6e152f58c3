//! `/link/token/create` for update mode, and `/link/token/get`.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, CallError, Client};
use crate::domain::ids::UserId;

/// Plaid's limit for the life of a Hosted Link address.
const URL_LIFETIME_MAX: Duration = Duration::from_secs(21 * 24 * 3600);

/// What is asked for when update mode is to begin.
///
/// No products: Plaid wants none in update mode. No webhook but for Hosted Link.
#[derive(Debug, Clone)]
pub struct LinkTokenRequest {
    /// The application's name; above 30 characters Link shows "This Application".
    pub client_name: String,
    /// Link's language, as Plaid writes it (`en`).
    pub language: String,
    /// Countries of the bank, ISO 3166 alpha-2. At least one.
    pub country_codes: Vec<String>,
    /// Whose Item it is.
    pub client_user_id: UserId,
    /// The Item to repair.
    pub access_token: SecretString,
    /// Whether the user chooses accounts again: without it lost accounts do not come back.
    pub account_selection: bool,
    /// Where a bank with OAuth leads back to; registered in Plaid's dashboard.
    pub redirect_uri: Option<String>,
    /// Plaid's own page instead of a script in ours.
    pub hosted: Option<Hosted>,
}

/// A page at Plaid's instead of a script in ours.
#[derive(Debug, Clone, Default)]
pub struct Hosted {
    /// Where Plaid leads the user afterwards, on success and on exit alike: it proves nothing.
    pub completion_redirect_uri: Option<String>,
    /// How long the address is good; 30 minutes if nothing is said, 21 days at most.
    pub url_lifetime: Option<Duration>,
    /// The address for SESSION_FINISHED. Plaid does not say whether this or the Item's own counts: send the same.
    pub webhook: Option<String>,
}

#[derive(Serialize)]
struct CreateBody<'a> {
    client_name: &'a str,
    language: &'a str,
    country_codes: &'a [String],
    user: UserBody<'a>,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<UpdateBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted_link: Option<HostedBody<'a>>,
}

#[derive(Serialize)]
struct UserBody<'a> {
    client_user_id: &'a str,
}

#[derive(Serialize)]
struct UpdateBody {
    account_selection_enabled: bool,
}

#[derive(Serialize)]
struct HostedBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_redirect_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_lifetime_seconds: Option<u64>,
}

#[derive(Serialize)]
struct GetRequest<'a> {
    link_token: &'a str,
}

#[derive(Deserialize)]
struct CreatedBody {
    link_token: SecretString,
    expiration: Timestamp,
    hosted_link_url: Option<String>,
    request_id: Option<String>,
}

/// A Link token: whoever has it can open this session.
#[derive(Clone)]
pub struct LinkToken {
    /// What Link is opened with.
    pub link_token: SecretString,
    /// When it expires: after 30 minutes in update mode.
    pub expiration: Timestamp,
    /// Plaid's page, if Hosted Link was asked for. As secret as the token.
    pub hosted_link_url: Option<String>,
    /// What Plaid's support asks for.
    pub request_id: Option<String>,
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkToken")
            .field("expiration", &self.expiration)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct SessionsBody {
    link_sessions: Option<Vec<SessionBody>>,
}

#[derive(Deserialize)]
struct SessionBody {
    finished_at: Option<String>,
    on_success: Option<Box<RawValue>>,
    on_exit: Option<Box<RawValue>>,
    exit: Option<Box<RawValue>>,
    results: Option<ResultsBody>,
    events: Option<Vec<EventBody>>,
}

#[derive(Deserialize)]
struct ResultsBody {
    item_add_results: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct EventBody {
    event_name: Option<String>,
}

/// The sessions that were opened with one Link token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSessions {
    /// One for each time that Link was opened. Plaid keeps them for six hours after their end.
    pub sessions: Vec<LinkSession>,
}

/// How one session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkSession {
    /// Not over.
    Open,
    /// Went to its good end, as far as Plaid tells.
    Succeeded,
    /// Left before.
    Left,
}

/// How the use of one Link token went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Never opened, or not over.
    Open,
    /// One session went to its good end: a claim, which `/item/get` confirms or not.
    Succeeded,
    /// All sessions were left.
    Left,
}

impl LinkSessions {
    /// The best that any session came to.
    pub fn verdict(&self) -> Verdict {
        if self.sessions.contains(&LinkSession::Succeeded) {
            Verdict::Succeeded
        } else if self.sessions.is_empty() || self.sessions.contains(&LinkSession::Open) {
            Verdict::Open
        } else {
            Verdict::Left
        }
    }
}

impl SessionBody {
    /// Plaid does not document what a session in update mode leaves behind, so every sign counts, and an end without a
    /// sign of leaving is taken for a good one: that only leads to a question about the Item.
    fn outcome(&self) -> LinkSession {
        let event = |name| self.events.iter().flatten().any(|event| event.event_name.as_deref() == Some(name));
        let added = |results: &ResultsBody| results.item_add_results.as_ref().is_some_and(|list| !list.is_empty());
        if self.on_success.is_some() || self.results.as_ref().is_some_and(added) || event("HANDOFF") {
            LinkSession::Succeeded
        } else if self.exit.is_some() || self.on_exit.is_some() || event("EXIT") {
            LinkSession::Left
        } else if self.finished_at.is_some() {
            LinkSession::Succeeded
        } else {
            LinkSession::Open
        }
    }
}

impl Client {
    /// Mints a Link token that opens update mode for one Item.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn link_token_create(&self, request: &LinkTokenRequest) -> Result<LinkToken, CallError> {
        let hosted = request.hosted.as_ref();
        let body = CreateBody {
            client_name: &request.client_name,
            language: &request.language,
            country_codes: &request.country_codes,
            user: UserBody { client_user_id: request.client_user_id.as_str() },
            access_token: request.access_token.expose_secret(),
            update: request.account_selection.then_some(UpdateBody { account_selection_enabled: true }),
            redirect_uri: request.redirect_uri.as_deref(),
            webhook: hosted.and_then(|hosted| hosted.webhook.as_deref()),
            hosted_link: hosted.map(|hosted| HostedBody {
                completion_redirect_uri: hosted.completion_redirect_uri.as_deref(),
                url_lifetime_seconds: hosted.url_lifetime.map(|life| life.min(URL_LIFETIME_MAX).as_secs().max(1)),
            }),
        };
        let Answer { body, .. } = self.call::<CreatedBody>("link/token/create", &body).await?;
        Ok(LinkToken {
            link_token: body.link_token,
            expiration: body.expiration,
            hosted_link_url: body.hosted_link_url,
            request_id: body.request_id,
        })
    }

    /// What became of a Link token.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn link_token_get(&self, link_token: &SecretString) -> Result<LinkSessions, CallError> {
        let request = GetRequest { link_token: link_token.expose_secret() };
        let Answer { body, .. } = self.call::<SessionsBody>("link/token/get", &request).await?;
        let sessions = body.link_sessions.unwrap_or_default().iter().map(SessionBody::outcome).collect();
        Ok(LinkSessions { sessions })
    }
}
