//! What can happen to an Item, in our own words. Plaid's words end in `plaid/`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{AccountId, Institution, ItemId, LetterId, SessionId, UserId};
use super::item::{Cure, Deadline, Destination, ExpiryReason, Kind, RemovalReason};

/// What happened to an Item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The application registered the Item, or gave it another token, owner or bank.
    Registered {
        /// Whose it is.
        user: UserId,
        /// The bank, where it is known.
        institution: Option<Institution>,
    },
    /// The same, as one of many: nobody is asked at once, and if nothing is known of the Item yet, it is held.
    Imported {
        /// Whose it is.
        user: UserId,
        /// The bank, where it is known.
        institution: Option<Institution>,
    },
    /// Letters about the Item need not wait for the operator any more.
    LettersReleased,
    /// A webhook says that the user has to log in again.
    LoginRequired(Fault),
    /// A webhook says that the login was repaired elsewhere.
    LoginRepaired,
    /// A webhook says that the connection will end.
    Expiring {
        /// When.
        deadline: Deadline,
        /// Why.
        why: ExpiryReason,
    },
    /// A webhook says that there are accounts which could be shared.
    NewAccounts,
    /// A webhook says that the user withdrew permission.
    Revoked {
        /// The code that said so.
        code: String,
    },
    /// A webhook says that the user withdrew one account. Noted and relayed; the Item itself works.
    AccountRevoked {
        /// Which account.
        account: AccountId,
    },
    /// Something about the Item may have changed, and no more is known: ask.
    Suspected,
    /// Plaid answered what is so.
    Observed(Observation),
    /// Plaid says that it sent a webhook which never came.
    WebhookMissed {
        /// When it was sent.
        sent_at: Timestamp,
        /// Its `webhook_code`: untrusted text.
        code: Option<String>,
    },
    /// Plaid was told to send the Item's webhooks here.
    WebhooksAdopted,
    /// Plaid refuses the token: nothing can be asked until the application gives another.
    TokenRefused {
        /// Plaid's `error_code`.
        code: String,
    },
    /// The user pressed the button: update mode begins.
    UpdateModeStarted {
        /// The press.
        session: SessionId,
    },
    /// Somebody says that update mode went well. A claim, not proof.
    UpdateModeFinished,
    /// Update mode was left without success. Closes nothing.
    UpdateModeLeft,
    /// The clock: something may be due.
    Tick,
    /// The Item is gone.
    Removed {
        /// Who ended it.
        why: RemovalReason,
    },
    /// No letters about this Item for a while, or until they are resumed.
    Snoozed {
        /// Until when; [`UNTIL_RESUMED`](super::item::UNTIL_RESUMED) has no end.
        until: Timestamp,
    },
    /// Letters again.
    Resumed,
    /// Repairing this Item would kill a newer one.
    Superseded {
        /// The newer one.
        by: ItemId,
    },
    /// The newer Item is gone or broken: this one counts again.
    Unsuperseded,
    /// After a repair Plaid lists other accounts than before: another login, or another choice.
    AccountsChanged {
        /// How many are no longer there.
        gone: u32,
        /// How many were not there before.
        new: u32,
    },
    /// A letter was composed that covers this Item.
    LetterComposed(Mention),
    /// That letter was handed to the mail server.
    LetterSent(Mention),
    /// A letter that covers this Item has to wait. Noted only.
    LetterWaits {
        /// The letter.
        letter: LetterId,
        /// Why.
        why: String,
    },
    /// That letter was refused for good: nobody had it, and it is not tried again.
    LetterRefused(Mention),
    /// That letter did not leave: what it said about this Item was not so any more, another letter says more, or it could not be
    /// delivered.
    LetterWithheld(Mention),
    /// That letter was handed to the mail server and came back later: nobody read it.
    LetterReturned(Mention),
    /// The user's address takes no letters any more.
    Unreachable {
        /// Why.
        why: NoLetters,
    },
}

/// Why an address takes no letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoLetters {
    /// There is no such mailbox, or not any more.
    Gone,
    /// Whoever reads it called a letter spam.
    Complaint,
    /// The operator or the application said so.
    Operator,
}

/// A fault that the user can cure in update mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Plaid's `error_code`: untrusted text.
    pub code: String,
    /// Plaid's `error_code_reason`: untrusted text.
    pub reason: Option<String>,
    /// What update mode has to do.
    pub cure: Cure,
}

/// Plaid's answer to one question about one Item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When the question left. Evidence that is newer outweighs the answer.
    pub asked_at: Timestamp,
    /// Which Item the token opens, where the answer said so: an error does not.
    pub item: Option<ItemId>,
    /// When Plaid made the Item, where it said so.
    pub created_at: Option<Timestamp>,
    /// How the Item is.
    pub health: Health,
    /// When the consent ends; nothing where no end is planned.
    pub consent_expires_at: Option<Timestamp>,
    /// The bank, where Plaid named it.
    pub institution: Option<Institution>,
    /// Where Plaid sends webhooks about the Item, where the answer said so.
    #[serde(default)]
    pub webhooks_go: Option<Destination>,
}

/// How an Item is, by Plaid's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// No error.
    Good,
    /// The user can cure it.
    Broken(Fault),
    /// The user withdrew permission.
    Revoked {
        /// The code or reason that said so.
        code: String,
    },
    /// The bank or Plaid is down, or nobody but the operator can do anything: nothing to mail about.
    Impaired {
        /// Plaid's `error_code`.
        code: String,
    },
    /// Plaid no longer knows the Item.
    Gone,
}

/// What a letter says about an Item, and which rung of which episode it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mention {
    /// The letter.
    pub letter: LetterId,
    /// The episode that it is about.
    pub episode: u32,
    /// What it says.
    pub topic: Topic,
}

/// What a letter says about an Item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A reminder: this rung, counted from 0, of the ladder of a condition.
    Reminder {
        /// The condition.
        kind: Kind,
        /// The rung, from 0.
        rung: u8,
    },
    /// "It works again."
    WorksAgain,
    /// What the Item needs now, with a fresh link: somebody asked for one.
    FreshLink,
}

impl Event {
    /// The name that the journal and the API use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::Imported { .. } => "imported",
            Self::LettersReleased => "letters_released",
            Self::LoginRequired(_) => "login_required",
            Self::LoginRepaired => "login_repaired",
            Self::Expiring { .. } => "expiring",
            Self::NewAccounts => "new_accounts",
            Self::Revoked { .. } => "revoked",
            Self::AccountRevoked { .. } => "account_revoked",
            Self::Suspected => "suspected",
            Self::Observed(_) => "observed",
            Self::WebhookMissed { .. } => "webhook_missed",
            Self::WebhooksAdopted => "webhooks_adopted",
            Self::TokenRefused { .. } => "token_refused",
            Self::UpdateModeStarted { .. } => "update_mode_started",
            Self::UpdateModeFinished => "update_mode_finished",
            Self::UpdateModeLeft => "update_mode_left",
            Self::Tick => "tick",
            Self::Removed { .. } => "removed",
            Self::Snoozed { .. } => "snoozed",
            Self::Resumed => "resumed",
            Self::Superseded { .. } => "superseded",
            Self::Unsuperseded => "unsuperseded",
            Self::AccountsChanged { .. } => "accounts_changed",
            Self::LetterComposed(_) => "letter_composed",
            Self::LetterSent(_) => "letter_sent",
            Self::LetterWaits { .. } => "letter_waits",
            Self::LetterWithheld(_) => "letter_withheld",
            Self::LetterRefused(_) => "letter_refused",
            Self::LetterReturned(_) => "letter_returned",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}
