//! Catching up: webhooks that Plaid sent and that never came, from Plaid's list of the last seven days.
//!
//! Each goes into the inbox, marked as caught up, and the same way from there on as one that came by itself: see
//! `engine::ingest`. The place where the list was left is kept, so that the next time begins there. An account without
//! this list (it is in beta) has the sweep, which finds what can be asked.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;

use super::traffic::Caller;
use super::{Engine, NoAnswer};
use crate::plaid::client::webhook_events::{EventsError, From, WebhookEvent, WebhookEvents};
use crate::plaid::webhook;
use crate::store::{ListedWebhook, StoreError};

/// How many pages are read at most before there is an answer: each is a call.
const PAGES_MAX: usize = 20;

/// What catching up came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CaughtUp {
    /// How many webhooks Plaid lists.
    pub listed: usize,
    /// How many of them had come by themselves, or were caught up with before.
    pub known: usize,
    /// How many were missed, and are in the inbox now.
    pub caught_up: usize,
    /// How many could not be read.
    pub unreadable: usize,
    /// When the last of them was sent.
    pub until: Option<Timestamp>,
    /// Whether Plaid lists more: ask again.
    pub more: bool,
    /// Whether the place where the list was left is older than what Plaid keeps: what was sent in between is in no list.
    pub gap: bool,
}

/// Why it could not be caught up.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// Plaid keeps no webhooks from so long ago.
    #[error("Plaid keeps webhooks for seven days only")]
    TooOld,
    /// This account has no such list.
    #[error("Plaid does not give this account the list of webhooks ({0})")]
    NotForUs(String),
    /// No answer of Plaid's.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Reads Plaid's list from where it was left, or from a time on, and keeps what was missed. Some pages at once.
    ///
    /// # Errors
    /// [`CatchUpError`]. What was kept until then is kept, and the next time goes on behind it.
    pub async fn catch_up(&self, since: Option<Timestamp>) -> Result<CaughtUp, CatchUpError> {
        let mut from = match since {
            Some(since) => From::Time(since),
            None => self.store.events_cursor().await?.map_or(From::Oldest, From::Cursor),
        };
        let mut done = CaughtUp::default();
        for _ in 0..PAGES_MAX {
            let page = match self.listed_page(&from).await {
                // An operator's time is his own affair; a place of ours is given up.
                Err(CatchUpError::TooOld) if matches!(from, From::Cursor(_)) => {
                    done.gap = true;
                    from = From::Oldest;
                    continue;
                }
                page => page?,
            };
            let (more, next) = (page.has_more, page.next_cursor.clone());
            self.keep_missed(page, &mut done).await?;
            match next {
                Some(cursor) if more && from != From::Cursor(cursor.clone()) => from = From::Cursor(cursor),
                _ => return Ok(done),
            }
        }
        done.more = true;
        Ok(done)
    }

    async fn listed_page(&self, from: &From) -> Result<WebhookEvents, CatchUpError> {
        let call = async {
            match self.plaid.webhook_events(from).await {
                Err(EventsError::Call(error)) => Err(error),
                // A refusal that is an answer.
                Err(EventsError::TooOld) => Ok(Err(CatchUpError::TooOld)),
                Err(EventsError::NotForUs(code)) => Ok(Err(CatchUpError::NotForUs(code))),
                Ok(page) => Ok(Ok(page)),
            }
        };
        self.call(Caller::Person, None, call).await?
    }

    /// Puts what was missed into the inbox.
    async fn keep_missed(&self, page: WebhookEvents, done: &mut CaughtUp) -> Result<(), CatchUpError> {
        let WebhookEvents { events, unreadable, next_cursor, .. } = page;
        let count = events.len();
        let until = events.iter().map(|event| event.sent_at).max();
        let missed = self.store.missed(events.into_iter().map(listed).collect()).await?;
        let caught_up = self.store.catch_up(missed, next_cursor, self.clock.now()).await?;
        done.listed += count + unreadable;
        done.known += count - caught_up;
        done.caught_up += caught_up;
        done.unreadable += unreadable;
        done.until = done.until.max(until);
        if unreadable > 0 {
            tracing::warn!(
                unreadable,
                "{unreadable} webhooks of Plaid's list cannot be read: is there a newer relinkd?"
            );
        }
        if caught_up > 0 {
            self.wake();
        }
        Ok(())
    }
}

fn listed(event: WebhookEvent) -> ListedWebhook {
    let body = event.payload.get().as_bytes();
    let read = webhook::read(body);
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, body).as_ref());
    ListedWebhook {
        last_attempt_at: event.last_attempt_at.unwrap_or(event.sent_at),
        webhook_type: read.webhook_type,
        webhook_code: read.webhook_code,
        item: read.item_id,
        body_sha256,
        body: body.to_vec(),
        message_id: event.message_id,
        sent_at: event.sent_at,
    }
}
