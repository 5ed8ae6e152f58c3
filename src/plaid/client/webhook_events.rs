//! `/beta/webhook_events/list`: the webhooks that Plaid sent in the last seven days, whatever became of them.
//!
//! In beta: not in Plaid's OpenAPI file, and not every account has it. So nothing is taken for granted: an event that does not
//! read is counted and passed over. `TRANSACTIONS` webhooks are left out by Plaid.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, CallError, Client};
use crate::plaid::time::moment;

/// The most that Plaid gives at once.
const COUNT: u32 = 100;

/// The longest `webhook_message_id` that is kept, in bytes.
const ID_BYTES_MAX: usize = 512;

/// The longest cursor that Plaid takes, in characters.
const CURSOR_CHARS_MAX: usize = 512;

/// Plaid's code for a cursor that is older than what Plaid keeps.
const CURSOR_EXPIRED: &str = "WEBHOOK_EVENTS_CURSOR_EXPIRED";

/// Plaid's code for a time that is.
const OUT_OF_RANGE: &str = "WEBHOOK_EVENTS_START_TIME_OUT_OF_RANGE";

/// Where a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// With the oldest that Plaid keeps.
    Oldest,
    /// At this time, at most seven days back.
    Time(Timestamp),
    /// Where an earlier list ended.
    Cursor(String),
}

#[derive(Serialize)]
struct Request<'a> {
    count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Body {
    webhook_events: Vec<Box<RawValue>>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct EventBody {
    webhook_message_id: String,
    sent_time: String,
    #[serde(default)]
    last_attempt_time: Option<String>,
    payload: Box<RawValue>,
}

/// A page of the list, oldest first.
pub struct WebhookEvents {
    /// The webhooks.
    pub events: Vec<WebhookEvent>,
    /// How many more were on the page and could not be read.
    pub unreadable: usize,
    /// Whether there are more now.
    pub has_more: bool,
    /// Where the next list begins, also if there is no more now.
    pub next_cursor: Option<String>,
}

/// A webhook that Plaid sent, or tried to send. Its payload can hold what opens a Link session: no `Debug`.
pub struct WebhookEvent {
    /// Plaid's name for it; always the same.
    pub message_id: String,
    /// When it was first sent.
    pub sent_at: Timestamp,
    /// When it was sent last.
    pub last_attempt_at: Option<Timestamp>,
    /// What was sent, as JSON. Not byte by byte as it was sent.
    pub payload: Box<RawValue>,
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The place where the list was to begin is older than what Plaid keeps.
    #[error("plaid keeps webhooks for seven days only")]
    TooOld,
    /// This account has no such list, or Plaid has none any more.
    #[error("plaid does not give this account the list of webhooks: {0}")]
    NotForUs(String),
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Client {
    /// A page of the webhooks that Plaid sent.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn webhook_events(&self, from: &From) -> Result<WebhookEvents, EventsError> {
        let (cursor, start_time) = match from {
            From::Oldest => (None, None),
            From::Time(at) => (None, Some(*at)),
            From::Cursor(cursor) => (Some(cursor.as_str()), None),
        };
        let request = Request { count: COUNT, cursor, start_time };
        let Answer { body, .. } = self.call::<Body>("beta/webhook_events/list", &request).await.map_err(told_apart)?;
        let Body { webhook_events, has_more, next_cursor } = body;
        let count = webhook_events.len();
        let events: Vec<WebhookEvent> = webhook_events.iter().filter_map(|raw| event(raw)).collect();
        let next_cursor = next_cursor.filter(|cursor| !cursor.is_empty() && cursor.len() <= CURSOR_CHARS_MAX);
        Ok(WebhookEvents { unreadable: count - events.len(), events, has_more, next_cursor })
    }
}

fn event(raw: &RawValue) -> Option<WebhookEvent> {
    let body: EventBody = serde_json::from_str(raw.get()).ok()?;
    let is_id = !body.webhook_message_id.is_empty() && body.webhook_message_id.len() <= ID_BYTES_MAX;
    is_id.then_some(())?;
    Some(WebhookEvent {
        sent_at: moment(&body.sent_time)?,
        last_attempt_at: body.last_attempt_time.as_deref().and_then(moment),
        message_id: body.webhook_message_id,
        payload: body.payload,
    })
}

/// Which refusals have an answer of their own. How Plaid refuses an account that has no such list is not documented, so any
/// other refusal is taken for that.
fn told_apart(error: CallError) -> EventsError {
    match error {
        CallError::Refused(refused) if [CURSOR_EXPIRED, OUT_OF_RANGE].contains(&refused.error_code.as_str()) => {
            EventsError::TooOld
        }
        CallError::Refused(refused) => EventsError::NotForUs(refused.error_code),
        CallError::PlaidDown { status: 404, .. } => EventsError::NotForUs("status 404".to_owned()),
        error @ (CallError::Unreachable { .. }
        | CallError::TimedOut
        | CallError::RateLimited { .. }
        | CallError::PlaidDown { .. }
        | CallError::Unreadable { .. }
        | CallError::Credentials(_)) => EventsError::Call(error),
    }
}
