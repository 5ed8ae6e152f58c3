//! `/item/get`, `/item/remove` and `/item/webhook/update`.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{Answer, CallError, Client};
use crate::domain::event::{Health, Observation};
use crate::domain::ids::{Institution, InstitutionId, ItemId};
use crate::domain::item::Destination;
use crate::plaid::error::{PlaidError, bounded};
use crate::plaid::fault;
use crate::plaid::time::moment;

#[derive(Serialize)]
struct Request<'a> {
    access_token: &'a str,
}

#[derive(Deserialize)]
struct GetBody {
    item: ItemBody,
    status: Option<StatusBody>,
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct ItemBody {
    item_id: ItemId,
    institution_id: Option<String>,
    institution_name: Option<String>,
    webhook: Option<String>,
    // A missing error must not be taken for health: it would close a break.
    #[serde(deserialize_with = "present")]
    error: Option<PlaidError>,
    consent_expiration_time: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct StatusBody {
    last_webhook: Option<LastWebhookBody>,
}

#[derive(Deserialize)]
struct LastWebhookBody {
    sent_at: Option<String>,
    code_sent: Option<String>,
}

#[derive(Deserialize)]
struct DoneBody {}

#[derive(Serialize)]
struct WebhookRequest<'a> {
    access_token: &'a str,
    webhook: &'a str,
}

/// Plaid's answer about one Item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemAnswer {
    /// Which Item the token opens.
    pub item: ItemId,
    /// The bank; nothing for Items made with micro-deposits.
    pub institution: Option<Institution>,
    /// Where Plaid sends webhooks about this Item; nothing means nowhere.
    pub webhook: Option<String>,
    /// What is wrong with the Item.
    pub error: Option<PlaidError>,
    /// When Plaid made the Item, where it says so.
    pub created_at: Option<Timestamp>,
    /// When the consent ends, where an end is planned.
    pub consent_expires_at: Option<Timestamp>,
    /// The webhook about this Item that Plaid sent last. Later than the last one received: one was missed.
    pub last_webhook: Option<SentWebhook>,
    /// Plaid's clock when it answered.
    pub answered_at: Option<Timestamp>,
    /// What Plaid's support asks for.
    pub request_id: Option<String>,
}

/// A webhook that Plaid says it has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentWebhook {
    /// When.
    pub sent_at: Timestamp,
    /// Its `webhook_code`; of which type is not said.
    pub code: Option<String>,
}

impl ItemAnswer {
    /// The answer in our own words. `asked_at` is when the question left.
    #[must_use]
    /// `webhook_url` is where we hear webhooks.
    pub fn observation(&self, asked_at: Timestamp, webhook_url: &str) -> Observation {
        Observation {
            asked_at,
            item: Some(self.item.clone()),
            created_at: self.created_at,
            health: self.error.as_ref().map_or(Health::Good, fault::health),
            consent_expires_at: self.consent_expires_at,
            institution: self.institution.clone(),
            webhooks_go: Some(match self.webhook.as_deref() {
                None | Some("") => Destination::Nowhere,
                Some(url) if url == webhook_url => Destination::Here,
                Some(_) => Destination::Elsewhere,
            }),
        }
    }
}

impl Client {
    /// How the Item is that this token opens. A broken Item is an answer, not an error.
    ///
    /// # Errors
    /// [`CallError`]; see [`CallError::event`] for what a refusal tells about the Item.
    pub async fn item_get(&self, access_token: &SecretString) -> Result<ItemAnswer, CallError> {
        let request = Request { access_token: access_token.expose_secret() };
        let Answer { body, date } = self.call::<GetBody>("item/get", &request).await?;
        let item = body.item;
        let institution_id = item.institution_id.and_then(|id| InstitutionId::parse(id).ok());
        let last = body.status.and_then(|status| status.last_webhook);
        let last_webhook = last.and_then(|last| {
            let code = last.code_sent.map(|code| bounded(&code));
            time(last.sent_at).map(|sent_at| SentWebhook { sent_at, code })
        });
        Ok(ItemAnswer {
            item: item.item_id,
            institution: institution_id.map(|id| Institution { id, name: item.institution_name }),
            webhook: item.webhook,
            error: item.error,
            created_at: time(item.created_at),
            consent_expires_at: time(item.consent_expiration_time),
            last_webhook,
            answered_at: date,
            request_id: body.request_id,
        })
    }

    /// Ends the Item at Plaid: the token is void from then on, and subscriptions for it end.
    ///
    /// # Errors
    /// [`CallError`]; `ITEM_NOT_FOUND` means that there is nothing left to end.
    pub async fn item_remove(&self, access_token: &SecretString) -> Result<(), CallError> {
        let request = Request { access_token: access_token.expose_secret() };
        self.call::<DoneBody>("item/remove", &request).await?;
        Ok(())
    }
}

impl Client {
    /// Has Plaid send the Item's webhooks to this address from now on, and to no other. Plaid tells of it by a webhook there.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn item_webhook_update(&self, access_token: &SecretString, webhook: &str) -> Result<(), CallError> {
        let request = WebhookRequest { access_token: access_token.expose_secret(), webhook };
        self.call::<DoneBody>("item/webhook/update", &request).await?;
        Ok(())
    }
}

/// A time that is no time is none: neither ends anything.
fn time(text: Option<String>) -> Option<Timestamp> {
    text.and_then(|text| moment(&text))
}

/// An error object or null, but there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PlaidError>, D::Error> {
    let Some(raw) = Option::<Box<RawValue>>::deserialize(deserializer)? else { return Ok(None) };
    let error = PlaidError::read(raw.get().as_bytes());
    error.map(Some).ok_or_else(|| serde::de::Error::custom("not an object"))
}
