//! From the inbox to the Items: reads what waits, says what it means, and has it applied. Oldest first.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::apply::tell;
use crate::config::LateWebhooks;
use crate::domain::event::Event;
use crate::domain::ids::ItemId;
use crate::plaid::webhook::{self, Webhook};
use crate::store::{Age, Known, Meaning, Receipt, Source, StoreError, Unless, Unread, Verdict};

/// How many webhooks one commit applies.
const BATCH: u32 = 256;

/// A late webhook that is older than this is not applied, whatever it says.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A webhook is taken so much earlier than Plaid says that it was sent, if this clock is behind.
const SENDING: SignedDuration = SignedDuration::from_mins(2);
const CLOSED: &str = "its body was purged, or does not open with any configured data_key";
const FOREIGN: &str = "is of another environment than [plaid] environment";

impl Engine {
    /// Applies the oldest webhooks that wait. Says whether more may wait.
    pub(super) async fn ingest(&self) -> Result<bool, StoreError> {
        let unread = self.store.unread_webhooks(BATCH).await?;
        if unread.is_empty() {
            return Ok(false);
        }
        let more = unread.len() == BATCH as usize;
        let verdicts = unread.iter().map(|webhook| self.judge(webhook)).collect();
        tell(&self.store.settle_webhooks(verdicts, Arc::new(self.rule())).await?);
        Ok(more)
    }

    /// What becomes of a webhook that somebody has applied once more.
    pub(super) fn judge_again(&self, receipt: &Receipt, unread: &Unread) -> Verdict {
        let item = receipt.item_id.as_ref().and_then(|item| ItemId::parse(item.as_str()).ok());
        let nothing = |note| Meaning::Nothing { item: item.clone(), note };
        let body = unread.body.as_deref();
        let webhook = body.map(webhook::read);
        let meaning = match (receipt.status.as_str(), &item, &webhook) {
            ("new", _, _) => nothing("it is not applied yet and will be without this"),
            ("applied", Some(item), _) => {
                Meaning::Item { item: item.clone(), events: vec![Event::Suspected], unless: None }
            }
            (_, _, None) => nothing(CLOSED),
            (_, _, Some(webhook)) if self.is_foreign(webhook) => nothing(FOREIGN),
            (_, _, Some(webhook)) if unread.source == Source::CaughtUp => caught_up(webhook, unread),
            (_, _, Some(webhook)) => fresh(webhook, unread),
        };
        verdict(unread, webhook.as_ref(), meaning)
    }

    fn is_foreign(&self, webhook: &Webhook) -> bool {
        let ours = self.config.plaid.environment.as_str();
        webhook.environment.as_deref().is_some_and(|environment| environment != ours)
    }

    /// What a webhook means, and whether it may be applied.
    fn judge(&self, unread: &Unread) -> Verdict {
        let Some(body) = &unread.body else {
            return verdict(unread, None, Meaning::Nothing { item: None, note: CLOSED });
        };
        let webhook = webhook::read(body);
        if self.is_foreign(&webhook) {
            let item = webhook.item_id.clone();
            return verdict(unread, Some(&webhook), Meaning::Nothing { item, note: FOREIGN });
        }
        if unread.source == Source::CaughtUp {
            let meaning = caught_up(&webhook, unread);
            return verdict(unread, Some(&webhook), meaning);
        }
        let meaning = match unread.age {
            Age::Fresh => fresh(&webhook, unread),
            Age::Early => suspicious(&webhook, "was signed in the future: compare this machine's clock"),
            Age::Late => match self.config.plaid.late_webhooks {
                LateWebhooks::Apply if unread.received_at.duration_since(unread.signed_at) <= LATE_MAX => {
                    late(&webhook, unread)
                }
                LateWebhooks::Apply | LateWebhooks::Observe => suspicious(&webhook, "was signed too long ago"),
            },
        };
        verdict(unread, Some(&webhook), meaning)
    }
}

fn verdict(unread: &Unread, webhook: Option<&Webhook>, meaning: Meaning) -> Verdict {
    Verdict {
        id: unread.id,
        webhook_type: webhook.and_then(|webhook| webhook.webhook_type.clone()),
        webhook_code: webhook.and_then(|webhook| webhook.webhook_code.clone()),
        meaning,
    }
}

fn fresh(webhook: &Webhook, unread: &Unread) -> Meaning {
    match webhook::meaning(webhook, unread.signed_at) {
        webhook::Meaning::Item { item, events } => Meaning::Item { item, events, unless: None },
        webhook::Meaning::Session { link_token, event } => Meaning::Session { link_token, event },
        webhook::Meaning::Nothing(why) => Meaning::Nothing { item: webhook.item_id.clone(), note: why.name() },
    }
}

/// A signature that is not of this moment proves who wrote the webhook, not when: ask what is so.
fn suspicious(webhook: &Webhook, note: &'static str) -> Meaning {
    match &webhook.item_id {
        Some(item) => Meaning::Item { item: item.clone(), events: vec![Event::Suspected], unless: None },
        None => Meaning::Nothing { item: None, note },
    }
}

/// What no answer of Plaid tells is applied though it is late, once.
fn late(webhook: &Webhook, unread: &Unread) -> Meaning {
    let webhook::Meaning::Item { item, events } = webhook::meaning(webhook, unread.signed_at) else {
        return suspicious(webhook, "was signed too long ago");
    };
    let mut events: Vec<Event> = events.into_iter().filter(webhook::cannot_be_asked_for).collect();
    events.push(Event::Suspected);
    Meaning::Item { item, events, unless: Some(Unless { known: Known::SameBytes, then: vec![Event::Suspected] }) }
}

/// What Plaid lists as sent is believed as a late webhook is, however old it is: what no answer of Plaid tells is applied,
/// unless the Item knows it already or it was overtaken. The end of a Link session is a claim of then: it is no more than a
/// reason to ask now.
fn caught_up(webhook: &Webhook, unread: &Unread) -> Meaning {
    match webhook::meaning(webhook, unread.signed_at) {
        webhook::Meaning::Item { item, events } => {
            let mut events: Vec<Event> = events.into_iter().filter(webhook::cannot_be_asked_for).collect();
            let said = events.iter().map(Event::name).collect();
            let cured = events.iter().flat_map(cured_by).copied().collect();
            events.push(Event::Suspected);
            let at = unread.signed_at.checked_sub(SENDING).unwrap_or(Timestamp::MIN);
            let known = Known::Since { at, said, cured };
            Meaning::Item { item, events, unless: Some(Unless { known, then: vec![Event::Suspected] }) }
        }
        webhook::Meaning::Session { link_token, .. } => Meaning::Session { link_token, event: Event::Suspected },
        webhook::Meaning::Nothing(why) => Meaning::Nothing { item: webhook.item_id.clone(), note: why.name() },
    }
}

/// The events that cure what this one told, by their names in the journal: it does not come back.
fn cured_by(event: &Event) -> &'static [&'static str] {
    match event {
        Event::NewAccounts => &["update_mode_finished"],
        Event::Revoked { .. } | Event::Expiring { .. } => &["update_mode_finished", "login_repaired"],
        Event::AccountRevoked { .. }
        | Event::Registered { .. }
        | Event::Imported { .. }
        | Event::LettersReleased
        | Event::LoginRequired(_)
        | Event::LoginRepaired
        | Event::Suspected
        | Event::Observed(_)
        | Event::TokenRefused { .. }
        | Event::UpdateModeStarted { .. }
        | Event::UpdateModeFinished
        | Event::UpdateModeLeft
        | Event::Tick
        | Event::WebhookMissed { .. }
        | Event::WebhooksAdopted
        | Event::AccountsChanged { .. }
        | Event::Removed { .. }
        | Event::Snoozed { .. }
        | Event::Resumed
        | Event::Superseded { .. }
        | Event::Unsuperseded
        | Event::LetterComposed(_)
        | Event::LetterSent(_)
        | Event::LetterWaits { .. }
        | Event::LetterWithheld(_)
        | Event::LetterRefused(_)
        | Event::LetterReturned(_)
        | Event::Unreachable { .. } => &[],
    }
}
