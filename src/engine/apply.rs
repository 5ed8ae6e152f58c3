//! From the domain's rules to what the store's operations take, and from a step's notices to the operator.

use jiff::Timestamp;

use super::Engine;
use crate::domain::compose::{compose, speaks_at};
use crate::domain::effect::Notice;
use crate::domain::event::Event;
use crate::domain::ids::{InstitutionId, ItemId};
use crate::domain::item::Item;
use crate::domain::policy::Policy;
use crate::domain::supersede;
use crate::domain::transition::transition;
use crate::plaid::fault;
use crate::store::{Composer, Decision, Rule, StoreError, Told};

/// The rule for Items as of a moment.
#[must_use]
pub fn rule(policy: &Policy, now: Timestamp) -> Rule {
    let (policy, superseding) = (policy.clone(), policy.superseding.clone());
    Rule {
        now,
        decide: Box::new(move |item, event| {
            let step = transition(item, event, now, &policy);
            let speaks_at = speaks_at(&step.item, now, &policy);
            Decision { step, speaks_at }
        }),
        siblings: Box::new(move |siblings| supersede::settle(siblings, &superseding)),
    }
}

impl Engine {
    /// The rule for Items as of now.
    #[must_use]
    pub fn rule(&self) -> Rule {
        rule(&self.config.reminders, self.clock.now())
    }

    /// The rule for users as of a moment.
    pub(super) fn composer(&self, now: Timestamp, held: Vec<(InstitutionId, Timestamp)>) -> Composer {
        let policy = self.config.reminders.clone();
        Composer {
            compose: Box::new(move |user, items, sent, circumstances| {
                compose(user, items, sent, circumstances, now, &policy)
            }),
            held,
            caps: self.config.mail.daily_caps.clone(),
            default_zone: self.config.app.time_zone.zone().clone(),
            channel: self.config.mail.channel(),
            letter: self.clock.new_letter(),
        }
    }

    /// Takes steps with one Item, tells what is to be told, and wakes the loop. Nothing if it is not registered.
    ///
    /// # Errors
    /// What the store says.
    pub async fn step(&self, id: &ItemId, events: Vec<Event>, cause: &str) -> Result<Option<Item>, StoreError> {
        let taken = self.store.step(id.clone(), events, cause.to_owned(), self.rule()).await?;
        self.wake();
        Ok(taken.map(|(item, told)| {
            tell(&told);
            item
        }))
    }
}

/// Tells the operator, in the log.
pub(super) fn tell(told: &[Told]) {
    for Told { item, notice } in told {
        match notice {
            Notice::StateChanged { from, to } => tracing::info!(%item, %from, %to, "Item {item}: {from} -> {to}"),
            Notice::TokenForeign { opens } => tracing::error!(
                %item,
                %opens,
                "Item {item}: its access token opens Item {opens}; nobody is written to until it is registered with its own"
            ),
            Notice::TokenRefused { code } => tracing::error!(
                %item,
                code,
                "Item {item}: Plaid refuses its access token ({code}); register it again with the present token"
            ),
            Notice::LadderEnded { episode } => {
                tracing::warn!(%item, episode, "Item {item}: the last reminder of episode {episode} is over");
            }
            Notice::ClaimNotConfirmed => {
                tracing::warn!(%item, "Item {item}: update mode was said to have worked, but Plaid says otherwise");
            }
            Notice::Unreachable { why } => {
                tracing::warn!(%item, ?why, "Item {item}: its user's address takes no letters any more ({why:?})");
            }
            Notice::WebhookMissed { sent_at, code } => {
                let code = code.as_deref().unwrap_or("unknown");
                tracing::warn!(%item, %sent_at, code, "Item {item}: a webhook ({code}) that Plaid sent at {sent_at} never came");
            }
            Notice::WebhooksGo { to } => {
                let remedy = "relinkd items adopt has them sent here";
                tracing::warn!(%item, ?to, "Item {item}: Plaid sends its webhooks to another address; {remedy}");
            }
            Notice::AccountRevoked => tracing::info!(%item, "Item {item}: the user withdrew one account"),
            Notice::Superseded { by } => {
                tracing::warn!(
                    %item,
                    %by,
                    "Item {item}: superseded by Item {by}, which a repair would break; no letters about it. Remove it at Plaid"
                );
            }
            Notice::Unsuperseded => tracing::info!(%item, "Item {item}: no newer Item is in its place any more"),
            Notice::Snoozed { until } => {
                tracing::info!(%item, %until, "Item {item}: no letters about it until {until}")
            }
            Notice::Resumed => tracing::info!(%item, "Item {item}: letters about it again"),
            Notice::Impaired { code } => {
                let owner = fault::owner(code);
                tracing::warn!(%item, code, owner = owner.name(), "Item {item}: {code}: {}", owner.remedy());
            }
            Notice::DifferentAccounts { gone, new } => tracing::warn!(
                %item,
                gone,
                new,
                "Item {item}: after its repair {gone} of its accounts are gone and {new} are new: another login, or another choice"
            ),
            Notice::DifferentInstitution { before, now } => {
                tracing::error!(%item, %before, %now, "Item {item}: was at bank {before} and is at {now} now: another login");
            }
        }
    }
}
