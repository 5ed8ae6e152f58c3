//! What an Item is: a set of independent conditions, and the state that follows from them.
//!
//! Two things can be true of an Item at once (new accounts arrive while the login is broken), so each condition stands by
//! itself and the state is *derived*: the most urgent open condition. Nothing here decides anything; that is
//! [`transition`](crate::domain::transition).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{Institution, ItemId, UserId};

/// A pause that does not end by itself: 9999-01-01. A user who wants no letters about a bank wants a pause without an end, so
/// it is said in the same place, and whoever reads `snoozed_until` as a time understands it too.
pub const UNTIL_RESUMED: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// One login at one bank, and all that is known to be true of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Plaid's id of it.
    pub id: ItemId,
    /// Whose it is.
    pub user: UserId,
    /// The bank, where it is known.
    pub institution: Option<Institution>,
    /// When it was made, as Plaid says; until Plaid says so, when it was first registered.
    pub created_at: Timestamp,
    /// When the present access token was registered. Answers to older questions belong to another token.
    pub registered_at: Timestamp,
    /// What is known about that token.
    pub token: Token,
    /// Since when the Item is in its present [`State`].
    pub since: Timestamp,
    /// Open once the Item is gone, for good.
    pub removed: Option<Removed>,
    /// Open while the user's permission is withdrawn.
    pub revoked: Option<Episode<Revocation>>,
    /// Whether the login works.
    pub login: Login,
    /// Open while the consent or the connection is about to end.
    pub expiry: Option<Episode<Expiry>>,
    /// Open while accounts wait to be shared.
    pub new_accounts: Option<Episode<Arrival>>,
    /// Somebody says that update mode went well, and Plaid has not confirmed it yet.
    pub claim: Option<Claim>,
    /// The bank or Plaid is down: noted, never mailed.
    pub impaired: Option<Impaired>,
    /// A newer Item that a repair of this one would kill.
    pub superseded_by: Option<ItemId>,
    /// No letters about this Item before this moment; from [`UNTIL_RESUMED`] on, none until somebody says otherwise.
    pub snoozed_until: Option<Timestamp>,
    /// Whether letters about what was found at its import wait for the operator.
    pub hold: Hold,
    /// When the consent ends, as Plaid last said.
    pub consent_expires_at: Option<Timestamp>,
    /// When the question was asked to which Plaid's latest answer belongs.
    pub observed_at: Option<Timestamp>,
    /// Where Plaid sends webhooks about it, as Plaid last said.
    pub webhooks_go: Option<Destination>,
    /// When Plaid sent the latest webhook that is known never to have come.
    pub missed_webhook_at: Option<Timestamp>,
    /// How many episodes there have been: the number of the latest.
    pub episodes: u32,
}

/// What is known about the registered access token. Nobody is mailed before it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Token {
    /// Plaid has not been asked yet.
    Unproven,
    /// Plaid said that it opens this Item.
    Proven,
    /// It opens another Item: a mistake at registration.
    Foreign,
    /// Plaid refuses it: wrong environment, wrong account, or rotated away.
    Refused,
}

/// Whether letters about an Item wait for the operator: adopting many Items must not mail all whose Items turn out to be
/// broken within the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// They wait for nobody.
    No,
    /// The Item was imported. This ends by itself once Plaid says that there is nothing to write about; otherwise with the
    /// release.
    Held {
        /// Since when.
        since: Timestamp,
    },
    /// They waited, and were released: ladders begin here.
    Released {
        /// When.
        at: Timestamp,
    },
}

/// Whether the login works, and what is worth remembering of the last time that it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// Never broken as far as is known.
    Sound,
    /// Broken now.
    Broken(Episode<Break>),
    /// Works again. A login that breaks again soon goes on with this episode.
    Mended {
        /// The episode that ended.
        episode: Episode<Break>,
        /// When it ended.
        at: Timestamp,
    },
}

/// One condition from opening to closing. Its number is unique within the Item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode<T> {
    /// Counted per Item, from 1.
    pub number: u32,
    /// When the condition opened. A ladder that counts up counts from here.
    pub opened_at: Timestamp,
    /// How many rungs of the ladder are behind: written, or overtaken by a later one.
    pub rungs_passed: u8,
    /// How many letters about it have been handed to the mail server and have not come back.
    pub letters: u32,
    /// What the condition is about.
    pub what: T,
}

/// A login that the user has to repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// Plaid's `error_code`, as it came: untrusted text.
    pub code: String,
    /// Plaid's `error_code_reason`, where it gave one.
    pub reason: Option<String>,
    /// What update mode has to do.
    pub cure: Cure,
    /// When it broke the last time: later than the opening when it was repaired in between.
    pub broken_at: Timestamp,
    /// The newest sign that it is broken. An answer to an older question does not close it.
    pub evidence_at: Timestamp,
    /// How many of the episode's letters "it works again" has answered. While there are more, the word is owed.
    pub answered: u32,
}

/// What update mode has to do to cure a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cure {
    /// Log in again.
    LogIn,
    /// Log in and choose accounts: without the choice, lost accounts do not come back.
    ChooseAccounts,
}

/// A permission that the user withdrew: a decision, not a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The code or reason that said so.
    pub code: String,
}

/// A consent or a connection that is about to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// When it ends.
    pub deadline: Deadline,
    /// Why it ends.
    pub why: ExpiryReason,
}

/// When a connection ends, and whether anybody said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// Plaid named the moment.
    Known(Timestamp),
    /// Plaid named none: seven days after the notice. It drives the ladder; a letter names no date.
    Assumed(Timestamp),
}

impl Deadline {
    /// The moment, said or assumed.
    #[must_use]
    pub fn at(self) -> Timestamp {
        match self {
            Self::Known(at) | Self::Assumed(at) => at,
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryReason {
    /// The user's consent runs out.
    ConsentEnds,
    /// The bank moves to another kind of connection, for instance to OAuth.
    BankMoves,
    /// Plaid gave no reason, or one that is not known here.
    Unsaid,
}

/// New accounts at the bank that the user has not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival;

/// Somebody says that update mode went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// When it was said. Only an answer to a later question confirms it.
    pub at: Timestamp,
}

/// The bank or Plaid is down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impaired {
    /// Since when.
    pub since: Timestamp,
    /// Plaid's `error_code`: untrusted text.
    pub code: String,
}

/// Where Plaid sends the webhooks about an Item. It has one address only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// To us.
    Here,
    /// To another address: nothing about the Item is heard here.
    Elsewhere,
    /// To nobody.
    Nowhere,
}

impl Destination {
    /// Every destination with the name that the outside uses.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Here, "here"), (Self::Elsewhere, "elsewhere"), (Self::Nowhere, "nowhere")];
}

/// An Item that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Since when.
    pub at: Timestamp,
    /// Who ended it.
    pub why: RemovalReason,
}

/// Who ended an Item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// The application asked to forget it.
    Application,
    /// Plaid no longer knows it.
    UnknownToPlaid,
}

/// What an Item needs most urgently. The order is the urgency: the first is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Gone for good.
    Removed,
    /// The user withdrew permission.
    Revoked,
    /// The user has to log in again.
    LoginRequired,
    /// The connection is about to end.
    PendingExpiration,
    /// Accounts could be shared.
    NewAccounts,
    /// None of these.
    Healthy,
}

impl State {
    /// Every state, the most urgent first.
    pub const ALL: [Self; 6] =
        [Self::Removed, Self::Revoked, Self::LoginRequired, Self::PendingExpiration, Self::NewAccounts, Self::Healthy];

    /// The name that the outside uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Revoked => "revoked",
            Self::LoginRequired => "login_required",
            Self::PendingExpiration => "pending_expiration",
            Self::NewAccounts => "new_accounts",
            Self::Healthy => "healthy",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kinds of condition that have episodes and a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// See [`State::Revoked`].
    Revoked,
    /// See [`State::LoginRequired`].
    LoginRequired,
    /// See [`State::PendingExpiration`].
    PendingExpiration,
    /// See [`State::NewAccounts`].
    NewAccounts,
}

impl Kind {
    /// Every kind, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Revoked, Self::LoginRequired, Self::PendingExpiration, Self::NewAccounts];

    /// The name that the outside uses: that of the state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Revoked => State::Revoked.name(),
            Self::LoginRequired => State::LoginRequired.name(),
            Self::PendingExpiration => State::PendingExpiration.name(),
            Self::NewAccounts => State::NewAccounts.name(),
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Item {
    /// A newly registered Item, of which nothing is known yet.
    #[must_use]
    pub fn new(id: ItemId, user: UserId, institution: Option<Institution>, now: Timestamp) -> Self {
        Self {
            id,
            user,
            institution,
            created_at: now,
            registered_at: now,
            token: Token::Unproven,
            since: now,
            removed: None,
            revoked: None,
            login: Login::Sound,
            expiry: None,
            new_accounts: None,
            claim: None,
            impaired: None,
            superseded_by: None,
            snoozed_until: None,
            hold: Hold::No,
            consent_expires_at: None,
            observed_at: None,
            webhooks_go: None,
            missed_webhook_at: None,
            episodes: 0,
        }
    }

    /// What the Item needs most urgently.
    #[must_use]
    pub fn state(&self) -> State {
        if self.removed.is_some() {
            State::Removed
        } else if self.revoked.is_some() {
            State::Revoked
        } else if self.broken().is_some() {
            State::LoginRequired
        } else if self.expiry.is_some() {
            State::PendingExpiration
        } else if self.new_accounts.is_some() {
            State::NewAccounts
        } else {
            State::Healthy
        }
    }

    /// Whether something is broken or doubtful, so that Plaid is asked first and more often: a repair that no webhook tells
    /// of must not stay unnoticed, and a token that is not proven writes to nobody.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        let unproven = match self.token {
            Token::Unproven => true,
            Token::Proven | Token::Foreign | Token::Refused => false,
        };
        self.broken().is_some() || self.impaired.is_some() || self.claim.is_some() || unproven
    }

    /// The open login episode.
    #[must_use]
    pub fn broken(&self) -> Option<&Episode<Break>> {
        match &self.login {
            Login::Broken(episode) => Some(episode),
            Login::Sound | Login::Mended { .. } => None,
        }
    }

    /// Whether letters about the Item are off until they are resumed: its user stopped them.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.snoozed_until.is_some_and(|until| until >= UNTIL_RESUMED)
    }

    /// Since when letters about the Item wait for the operator, if they do.
    #[must_use]
    pub fn held_since(&self) -> Option<Timestamp> {
        match self.hold {
            Hold::Held { since } => Some(since),
            Hold::No | Hold::Released { .. } => None,
        }
    }

    /// The mended login episode about which "it works again" is owed, and when it was mended.
    #[must_use]
    pub fn word_owed(&self) -> Option<(&Episode<Break>, Timestamp)> {
        match &self.login {
            Login::Mended { episode, at } if episode.letters > episode.what.answered => Some((episode, *at)),
            Login::Sound | Login::Broken(_) | Login::Mended { .. } => None,
        }
    }

    /// The open episode of a kind: its number, when it opened, how far its ladder is.
    #[must_use]
    pub fn open(&self, kind: Kind) -> Option<Episode<()>> {
        match kind {
            Kind::Revoked => self.revoked.as_ref().map(Episode::bare),
            Kind::LoginRequired => self.broken().map(Episode::bare),
            Kind::PendingExpiration => self.expiry.as_ref().map(Episode::bare),
            Kind::NewAccounts => self.new_accounts.as_ref().map(Episode::bare),
        }
    }
}

impl<T> Episode<T> {
    /// The episode without what it is about.
    #[must_use]
    pub fn bare(&self) -> Episode<()> {
        Episode {
            number: self.number,
            opened_at: self.opened_at,
            rungs_passed: self.rungs_passed,
            letters: self.letters,
            what: (),
        }
    }
}
