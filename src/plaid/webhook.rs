//! What a webhook says, in our own words.
//!
//! Reading never fails: after a right signature the answer to Plaid is always 200, so whatever the body is, it is some
//! [`Webhook`], and [`meaning`] has an answer for it, often "nothing". Pure: it decides nothing about an Item, and a webhook
//! is only a hint; Plaid's answer to `/item/get` is the truth. Whether a body may be applied at all (its signature's age,
//! its environment) is the engine's decision.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::event::{Event, Health};
use crate::domain::ids::{AccountId, ItemId};
use crate::domain::item::{Deadline, ExpiryReason};

use super::error::{PlaidError, bounded};
use super::fault;
use super::members::Members;
use super::pairs::PAIRS;
use super::time::moment;

/// How long after a notice without a date a connection ends: Plaid gives notice seven days ahead.
pub const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The longest Link token that is kept, in bytes. Plaid's have about 50.
const LINK_TOKEN_BYTES_MAX: usize = 512;

/// A webhook as far as it could be read. A field of the wrong type is a field that is not there.
///
/// Of Plaid's texts only codes are kept, cut to a limit; messages are not kept at all, for one of them can hold an access
/// token.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// `webhook_type`. Nothing where the body is no JSON object, or has none.
    pub webhook_type: Option<String>,
    /// `webhook_code`.
    pub webhook_code: Option<String>,
    /// The Item that it is about.
    pub item_id: Option<ItemId>,
    /// The Link token that it is about: whoever has it can open that session.
    pub link_token: Option<SecretString>,
    /// `sandbox` or `production`, and whatever comes later. Some webhooks have none.
    pub environment: Option<String>,
    /// `error`, where it is there and not null. Its code is empty where it could not be read.
    pub error: Option<PlaidError>,
    /// Whether the body is a JSON object.
    pub is_object: bool,
    account_id: Option<AccountId>,
    ends_at: Option<Timestamp>,
    reason: Option<String>,
    status: Option<String>,
}

/// What follows from a webhook.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub enum Meaning {
    /// These events happened to this Item, in this order.
    Item {
        /// Which Item.
        item: ItemId,
        /// What happened; never empty.
        events: Vec<Event>,
    },
    /// This happened in the Link session of this token. The token is secret: whoever has it can open that session.
    Session {
        /// The token that was minted for the session.
        link_token: String,
        /// What happened.
        event: Event,
    },
    /// There is nothing to apply.
    Nothing(Why),
}

impl fmt::Debug for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item { item, events } => f.debug_struct("Item").field("item", item).field("events", events).finish(),
            Self::Session { event, .. } => f.debug_struct("Session").field("event", event).finish_non_exhaustive(),
            Self::Nothing(why) => f.debug_tuple("Nothing").field(why).finish(),
        }
    }
}

/// Why there is nothing to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The body is no JSON object.
    NotJson,
    /// It has no type or no code.
    NoPair,
    /// The pair is not known here.
    Unknown,
    /// The pair would say something, but the webhook does not say about what.
    Unaddressed,
    /// The pair is known and says nothing about the health of an Item.
    Quiet,
}

impl Why {
    /// The name that the inbox and the metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoPair => "no_pair",
            Self::Unknown => "unknown",
            Self::Unaddressed => "unaddressed",
            Self::Quiet => "quiet",
        }
    }
}

/// Reads the body of a webhook. Never fails.
#[must_use]
pub fn read(body: &[u8]) -> Webhook {
    let members = Members::read(body);
    let is_object = members.is_some();
    let members = members.unwrap_or_else(Members::none);
    let code = |name| members.text(name).map(|text| bounded(&text)).filter(|text| !text.is_empty());
    let time = |name| members.text(name).and_then(|text| moment(&text));
    let link_token = members.text("link_token").filter(|t| !t.is_empty() && t.len() <= LINK_TOKEN_BYTES_MAX);
    let error = members.raw("error").filter(|raw| *raw != "null");
    Webhook {
        webhook_type: code("webhook_type"),
        webhook_code: code("webhook_code"),
        item_id: members.text("item_id").and_then(|text| ItemId::parse(text).ok()),
        link_token: link_token.map(|token| SecretString::from(token.into_owned())),
        environment: code("environment"),
        error: error.map(|raw| PlaidError::read(raw.as_bytes()).unwrap_or_else(PlaidError::unreadable)),
        is_object,
        account_id: members.text("account_id").and_then(|text| AccountId::parse(text).ok()),
        ends_at: time("disconnect_time").or_else(|| time("consent_expiration_time")),
        reason: code("reason"),
        status: code("status"),
    }
}

impl Webhook {
    /// Type and code where the pair is documented, else nothing: fit as labels of a metric.
    #[must_use]
    pub fn known_pair(&self) -> Option<(&'static str, &'static str)> {
        let (webhook_type, code) = self.pair()?;
        PAIRS.iter().find(|pair| **pair == (webhook_type, code)).copied()
    }

    fn pair(&self) -> Option<(&str, &str)> {
        Some((self.webhook_type.as_deref()?, self.webhook_code.as_deref()?))
    }
}

/// What follows from a webhook that was signed at `signed_at`.
///
/// It goes by the pair of type and code, and beside that by `error`, which any webhook with an `item_id` may carry.
pub fn meaning(webhook: &Webhook, signed_at: Timestamp) -> Meaning {
    if !webhook.is_object {
        return Meaning::Nothing(Why::NotJson);
    }
    if let Some(("LINK", "SESSION_FINISHED")) = webhook.pair() {
        return session(webhook);
    }
    let said = said_by_pair(webhook, signed_at);
    let Some(item) = &webhook.item_id else {
        let addressed_to_nobody = said.is_some() || webhook.pair() == Some(("ITEM", "ERROR"));
        return Meaning::Nothing(if addressed_to_nobody { Why::Unaddressed } else { silence(webhook) });
    };
    let mut events = Vec::new();
    let withdrawn = matches!(said, Some(Event::Revoked { .. }));
    events.extend(said);
    // The error of a withdrawal says the same again.
    if !withdrawn && let Some(error) = &webhook.error {
        let event = said_by_error(error);
        if !events.contains(&event) {
            events.push(event);
        }
    }
    if events.is_empty() {
        return Meaning::Nothing(silence(webhook));
    }
    Meaning::Item { item: item.clone(), events }
}

/// Whether no `/item/get` will ever tell what this event tells. Such a webhook is worth applying even when its signature
/// is older than the limit, if the operator says so (`late_webhooks = "apply"`).
#[must_use]
pub fn cannot_be_asked_for(event: &Event) -> bool {
    match event {
        Event::Expiring { why, .. } => match why {
            // The end of a consent is in `/item/get`; the date of a migration is in no endpoint.
            ExpiryReason::ConsentEnds => false,
            ExpiryReason::BankMoves | ExpiryReason::Unsaid => true,
        },
        Event::NewAccounts | Event::Revoked { .. } | Event::AccountRevoked { .. } => true,
        Event::Registered { .. }
        | Event::Imported { .. }
        | Event::LettersReleased
        | Event::LoginRequired(_)
        | Event::LoginRepaired
        | Event::Suspected
        | Event::Observed(_)
        | Event::WebhookMissed { .. }
        | Event::WebhooksAdopted
        | Event::TokenRefused { .. }
        | Event::UpdateModeStarted { .. }
        | Event::UpdateModeFinished
        | Event::UpdateModeLeft
        | Event::Tick
        | Event::Removed { .. }
        | Event::Snoozed { .. }
        | Event::Resumed
        | Event::Superseded { .. }
        | Event::Unsuperseded
        | Event::AccountsChanged { .. }
        | Event::LetterComposed(_)
        | Event::LetterSent(_)
        | Event::LetterWaits { .. }
        | Event::LetterWithheld(_)
        | Event::LetterRefused(_)
        | Event::LetterReturned(_)
        | Event::Unreachable { .. } => false,
    }
}

/// What a webhook would have said that never came, if only its code is known: `/item/get` tells no more of the latest one.
/// Of that only what cannot be asked for; the answer itself says the rest. The codes in question exist for one type only.
#[must_use]
pub fn missed(item: &ItemId, code: &str, sent_at: Timestamp) -> Vec<Event> {
    let webhook = Webhook {
        webhook_type: Some("ITEM".to_owned()),
        webhook_code: Some(bounded(code)),
        item_id: Some(item.clone()),
        is_object: true,
        ..read(b"{}")
    };
    match meaning(&webhook, sent_at) {
        Meaning::Item { events, .. } => events.into_iter().filter(cannot_be_asked_for).collect(),
        Meaning::Session { .. } | Meaning::Nothing(_) => Vec::new(),
    }
}

/// What the pair itself says, its `error` aside.
fn said_by_pair(webhook: &Webhook, signed_at: Timestamp) -> Option<Event> {
    let ("ITEM", code) = webhook.pair()? else { return None };
    match code {
        // Without a readable error something is wrong all the same.
        "ERROR" if webhook.error.is_none() => Some(Event::Suspected),
        "LOGIN_REPAIRED" => Some(Event::LoginRepaired),
        "NEW_ACCOUNTS_AVAILABLE" => Some(Event::NewAccounts),
        "PENDING_EXPIRATION" => Some(expiring(webhook, ExpiryReason::ConsentEnds, signed_at)),
        "PENDING_DISCONNECT" => {
            let why = match webhook.reason.as_deref() {
                Some("INSTITUTION_TOKEN_EXPIRATION") => ExpiryReason::ConsentEnds,
                Some("INSTITUTION_MIGRATION") => ExpiryReason::BankMoves,
                Some(_) | None => ExpiryReason::Unsaid,
            };
            Some(expiring(webhook, why, signed_at))
        }
        "USER_PERMISSION_REVOKED" => Some(Event::Revoked { code: code.to_owned() }),
        "USER_ACCOUNT_REVOKED" => Some(match &webhook.account_id {
            Some(account) => Event::AccountRevoked { account: account.clone() },
            None => Event::Suspected,
        }),
        _ => None,
    }
}

fn expiring(webhook: &Webhook, why: ExpiryReason, signed_at: Timestamp) -> Event {
    let deadline = match webhook.ends_at {
        Some(at) => Deadline::Known(at),
        None => Deadline::Assumed(signed_at.checked_add(NOTICE).unwrap_or(Timestamp::MAX)),
    };
    Event::Expiring { deadline, why }
}

/// What an error says, whichever webhook carries it. What the user cannot cure is only a reason to ask.
fn said_by_error(error: &PlaidError) -> Event {
    match fault::health(error) {
        Health::Broken(fault) => Event::LoginRequired(fault),
        Health::Revoked { code } => Event::Revoked { code },
        Health::Good | Health::Impaired { .. } | Health::Gone => Event::Suspected,
    }
}

/// The end of a Link session: a claim, not proof. It names no Item, only the token.
fn session(webhook: &Webhook) -> Meaning {
    let event = match webhook.status.as_deref() {
        Some("SUCCESS") => Event::UpdateModeFinished,
        Some("EXITED") => Event::UpdateModeLeft,
        Some(_) | None => return Meaning::Nothing(Why::Unknown),
    };
    match &webhook.link_token {
        Some(token) => Meaning::Session { link_token: token.expose_secret().to_owned(), event },
        None => Meaning::Nothing(Why::Unaddressed),
    }
}

/// Why a webhook without events has none.
fn silence(webhook: &Webhook) -> Why {
    if webhook.pair().is_none() {
        Why::NoPair
    } else if webhook.known_pair().is_none() {
        Why::Unknown
    } else {
        Why::Quiet
    }
}
