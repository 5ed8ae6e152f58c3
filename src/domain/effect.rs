//! What is to be done about an Item, as data with a key. Writing one twice is nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::NoLetters;
use super::ids::{InstitutionId, ItemId, SessionId};
use super::item::{Destination, State};

/// Something to do, decided by a step and done outside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Ask Plaid what is so. At most one question an Item waits; an earlier one wins.
    Observe {
        /// Not before this moment.
        not_before: Timestamp,
    },
    /// Ask Plaid how a Link session ended.
    AskSession {
        /// Which press.
        session: SessionId,
        /// Not before this moment.
        not_before: Timestamp,
    },
    /// Ask Plaid which accounts there are, once and after each repair: another login is told, not silently accepted.
    AskAccounts {
        /// Not before this moment.
        not_before: Timestamp,
    },
    /// Tell the operator and the application.
    Tell(Notice),
}

/// What the operator and the application are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The Item came into another state.
    StateChanged {
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// The registered token opens another Item.
    TokenForeign {
        /// The Item that it opens.
        opens: ItemId,
    },
    /// Plaid refuses the registered token.
    TokenRefused {
        /// Plaid's `error_code`.
        code: String,
    },
    /// The last rung of a ladder was written, and there will be no more letters about this episode.
    LadderEnded {
        /// Which episode.
        episode: u32,
    },
    /// Update mode was said to have worked, and Plaid still says otherwise.
    ClaimNotConfirmed,
    /// Plaid sent a webhook that never came.
    WebhookMissed {
        /// When it was sent.
        sent_at: Timestamp,
        /// Its `webhook_code`: untrusted text.
        code: Option<String>,
    },
    /// Plaid sends the Item's webhooks to another address than ours, or to none.
    WebhooksGo {
        /// Where.
        to: Destination,
    },
    /// The user withdrew one account.
    AccountRevoked,
    /// The user's address takes no letters any more: ask the user for another.
    Unreachable {
        /// Why.
        why: NoLetters,
    },
    /// Repairing this Item would kill a newer one.
    Superseded {
        /// The newer one.
        by: ItemId,
    },
    /// It would not any more: the Item counts again.
    Unsuperseded,
    /// No letters about the Item for a while, or until they are resumed.
    Snoozed {
        /// Until when; [`UNTIL_RESUMED`](super::item::UNTIL_RESUMED) has no end.
        until: Timestamp,
    },
    /// Letters about the Item again.
    Resumed,
    /// Something is wrong with the Item that its user cannot cure.
    Impaired {
        /// Plaid's `error_code`.
        code: String,
    },
    /// After a repair there are other accounts than before.
    DifferentAccounts {
        /// How many are no longer there.
        gone: u32,
        /// How many were not there before.
        new: u32,
    },
    /// The Item is suddenly at another bank, as Plaid says.
    DifferentInstitution {
        /// Before.
        before: InstitutionId,
        /// Now.
        now: InstitutionId,
    },
}

impl Notice {
    /// What the application's events call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::StateChanged { .. } => "item.state_changed",
            Self::TokenForeign { .. } => "item.token_foreign",
            Self::TokenRefused { .. } => "item.token_refused",
            Self::LadderEnded { .. } => "item.ladder_ended",
            Self::ClaimNotConfirmed => "item.repair_not_confirmed",
            Self::WebhookMissed { .. } => "item.webhook_missed",
            Self::WebhooksGo { .. } => "item.webhooks_go",
            Self::AccountRevoked => "item.account_revoked",
            Self::Unreachable { .. } => "user.unreachable",
            Self::Superseded { .. } => "item.superseded",
            Self::Unsuperseded => "item.unsuperseded",
            Self::Snoozed { .. } => "item.snoozed",
            Self::Resumed => "item.resumed",
            Self::Impaired { .. } => "item.impaired",
            Self::DifferentAccounts { .. } => "item.accounts_changed",
            Self::DifferentInstitution { .. } => "item.institution_changed",
        }
    }
}

impl Effect {
    /// The key under which the outbox keeps it; nothing for what is not kept there.
    #[must_use]
    pub fn key(&self, item: &ItemId) -> Option<String> {
        match self {
            Self::Observe { .. } => Some(format!("{item}/observe")),
            Self::AskSession { session, .. } => Some(format!("{item}/session/{session}")),
            Self::AskAccounts { .. } => Some(format!("{item}/accounts")),
            Self::Tell(_) => None,
        }
    }

    /// When it may be done at the earliest.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Observe { not_before } | Self::AskSession { not_before, .. } | Self::AskAccounts { not_before } => {
                Some(*not_before)
            }
            Self::Tell(_) => None,
        }
    }
}
