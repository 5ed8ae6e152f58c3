//! Webhooks that never came: what `/item/get` tells of them beside the Item's health.
//!
//! Plaid says when it last sent a webhook about an Item, and where to. If that is later than the newest one that came, one
//! was lost: it is counted, and what cannot be asked for is taken from its code. If it went elsewhere, all of them are.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::Engine;
use super::traffic::Caller;
use crate::config::WebhookElsewhere;
use crate::domain::event::Event;
use crate::domain::ids::ItemId;
use crate::domain::item::Destination;
use crate::plaid::client::ItemAnswer;
use crate::plaid::webhook;
use crate::store::StoreError;

/// How long a webhook is waited for. Plaid's first three retries have come by then (+30 s, +2.5 min, +10.5 min).
const GRACE: SignedDuration = SignedDuration::from_mins(15);

/// How far the time at which Plaid says it sent a webhook may be from the one that it signed.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// What is older than this was perhaps heard and deleted since: nothing is concluded from it.
const MEMORY: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Engine {
    /// What an answer about an Item tells of the webhooks about it.
    pub(super) async fn webhooks_in(
        &self,
        item: &ItemId,
        answer: &ItemAnswer,
        destination: Option<Destination>,
        token: &SecretString,
    ) -> Result<Vec<Event>, StoreError> {
        match destination {
            _ if answer.item != *item => Ok(Vec::new()),
            Some(Destination::Here) | None => self.missed_webhook(item, answer).await,
            Some(Destination::Elsewhere | Destination::Nowhere) => match self.config.plaid.webhook_elsewhere {
                WebhookElsewhere::Tell => Ok(Vec::new()),
                WebhookElsewhere::Adopt => {
                    Ok(self.have_sent_here(Caller::Routine, item, token).await.into_iter().collect())
                }
            },
        }
    }

    async fn missed_webhook(&self, item: &ItemId, answer: &ItemAnswer) -> Result<Vec<Event>, StoreError> {
        let now = self.clock.now();
        let is_of_interest = |sent_at: Timestamp| (GRACE..MEMORY).contains(&now.duration_since(sent_at));
        let Some(last) = answer.last_webhook.as_ref().filter(|last| is_of_interest(last.sent_at)) else {
            return Ok(Vec::new());
        };
        let Some(record) = self.store.item(item.clone()).await? else { return Ok(Vec::new()) };
        let known = record.item.missed_webhook_at.is_some_and(|known| known >= last.sent_at);
        // What was sent before the registration was nobody's to hear.
        if known || last.sent_at < record.item.registered_at {
            return Ok(Vec::new());
        }
        let newest = self.store.newest_webhook_of(item.clone()).await?;
        if newest.is_some_and(|newest| newest.duration_since(last.sent_at) >= -TOLERANCE) {
            return Ok(Vec::new());
        }
        self.status.webhook_missed();
        let missed = Event::WebhookMissed { sent_at: last.sent_at, code: last.code.clone() };
        let said = last.code.as_deref().map(|code| webhook::missed(item, code, last.sent_at)).unwrap_or_default();
        Ok(std::iter::once(missed).chain(said).collect())
    }

    /// Has Plaid send an Item's webhooks here. If Plaid does not, the next answer about the Item tells so again.
    async fn have_sent_here(&self, caller: Caller, item: &ItemId, token: &SecretString) -> Option<Event> {
        let url = self.webhook_url();
        match self.call(caller, Some(item), self.plaid.item_webhook_update(token, &url)).await {
            Ok(()) => Some(Event::WebhooksAdopted),
            Err(error) => {
                tracing::warn!(%item, "Item {item}: its webhooks go elsewhere, and Plaid does not change it: {error}");
                None
            }
        }
    }

    /// Has Plaid send an Item's webhooks here, because somebody says so. The inner error says why Plaid did not.
    ///
    /// # Errors
    /// What the store says.
    pub async fn adopt(&self, item: &ItemId) -> Result<Result<(), String>, StoreError> {
        let Some(token) = self.store.access_token(item.clone()).await? else {
            return Ok(Err("the Item is gone".to_owned()));
        };
        let url = self.webhook_url();
        // As patient as letters: many are adopted one after the other, and people at repair pages come first.
        match self.call(Caller::Letter, Some(item), self.plaid.item_webhook_update(&token, &url)).await {
            Ok(()) => self.step(item, vec![Event::WebhooksAdopted], "api").await.map(|_| Ok(())),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Where Plaid is to send webhooks.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        self.public("plaid/webhook")
    }
}
