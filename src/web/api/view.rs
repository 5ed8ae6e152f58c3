//! Items and users as the API shows them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::compose::{Channel, Silence, silence, speaks_at};
use crate::domain::item::{Deadline, Impaired, Item, Kind, State};
use crate::domain::policy::Policy;
use crate::plaid::fault;
use crate::store::Profile;

/// An Item.
#[derive(Serialize)]
pub struct ItemView {
    item_id: String,
    user_id: String,
    state: State,
    since: Timestamp,
    conditions: Vec<ConditionView>,
    token: crate::domain::item::Token,
    institution_id: Option<String>,
    institution_name: Option<String>,
    consent_expires_at: Option<Timestamp>,
    observed_at: Option<Timestamp>,
    impaired: Option<ImpairedView>,
    /// Where Plaid sends webhooks about it: `here`, `elsewhere` or `nowhere`.
    webhooks_go: Option<crate::domain::item::Destination>,
    missed_webhook_at: Option<Timestamp>,
    superseded_by: Option<String>,
    snoozed_until: Option<Timestamp>,
    /// Letters about what was found at its import wait for the operator.
    held_since: Option<Timestamp>,
}

/// An open condition.
#[derive(Serialize)]
struct ConditionView {
    kind: Kind,
    episode: u32,
    since: Timestamp,
    code: Option<String>,
    reason: Option<String>,
    deadline: Option<Timestamp>,
    letters: u32,
    next_letter_at: Option<Timestamp>,
}

/// The bank or Plaid is down, or only the operator can do something.
#[derive(Serialize)]
struct ImpairedView {
    since: Timestamp,
    code: String,
    owner: &'static str,
    remedy: &'static str,
}

impl ImpairedView {
    fn of(impaired: &Impaired) -> Self {
        let owner = fault::owner(&impaired.code);
        Self { since: impaired.since, code: impaired.code.clone(), owner: owner.name(), remedy: owner.remedy() }
    }
}

impl ItemView {
    /// An Item as of now.
    #[must_use]
    pub fn of(item: &Item, now: Timestamp, policy: &Policy) -> Self {
        Self {
            item_id: item.id.to_string(),
            user_id: item.user.to_string(),
            state: item.state(),
            since: item.since,
            conditions: conditions(item, now, policy),
            token: item.token,
            institution_id: item.institution.as_ref().map(|bank| bank.id.to_string()),
            institution_name: item.institution.as_ref().and_then(|bank| bank.name.clone()),
            consent_expires_at: item.consent_expires_at,
            observed_at: item.observed_at,
            impaired: item.impaired.as_ref().map(ImpairedView::of),
            webhooks_go: item.webhooks_go,
            missed_webhook_at: item.missed_webhook_at,
            superseded_by: item.superseded_by.as_ref().map(ToString::to_string),
            snoozed_until: item.snoozed_until,
            held_since: item.held_since(),
        }
    }
}

fn conditions(item: &Item, now: Timestamp, policy: &Policy) -> Vec<ConditionView> {
    let open = Kind::ALL.into_iter().filter_map(|kind| item.open(kind).map(|episode| (kind, episode)));
    open.enumerate()
        .map(|(place, (kind, episode))| {
            let broken = item.broken().filter(|_| kind == Kind::LoginRequired);
            let revoked = item.revoked.as_ref().filter(|_| kind == Kind::Revoked);
            let expiry = item.expiry.as_ref().filter(|_| kind == Kind::PendingExpiration);
            ConditionView {
                kind,
                episode: episode.number,
                since: episode.opened_at,
                code: broken.map(|broken| broken.what.code.clone()).or(revoked.map(|open| open.what.code.clone())),
                reason: broken.and_then(|broken| broken.what.reason.clone()),
                deadline: expiry.and_then(|expiry| match expiry.what.deadline {
                    Deadline::Known(at) => Some(at),
                    Deadline::Assumed(_) => None,
                }),
                letters: episode.letters,
                // Only the most urgent condition's ladder runs.
                next_letter_at: if place == 0 { speaks_at(item, now, policy) } else { None },
            }
        })
        .collect()
}

/// A user. The address is the application's own, so it may see it.
#[derive(Serialize)]
pub struct UserView {
    user_id: String,
    email: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    time_zone: Option<String>,
    stopped_at: Option<Timestamp>,
    suppressed_at: Option<Timestamp>,
    snoozed_until: Option<Timestamp>,
    /// Why there are no letters at all, if there are none.
    silence: Option<Silence>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl UserView {
    /// A user, as letters go out here. A pause that is over is none.
    #[must_use]
    pub fn of(profile: &Profile, channel: Channel, now: Timestamp) -> Self {
        Self {
            silence: silence(&profile.for_letters(&TimeZone::UTC, channel)),
            user_id: profile.id.to_string(),
            email: profile.email.as_ref().map(|email| email.as_str().to_owned()),
            name: profile.name.as_ref().map(|name| name.as_str().to_owned()),
            locale: profile.locale.as_ref().map(|locale| locale.as_str().to_owned()),
            time_zone: profile.time_zone.as_ref().map(|zone| zone.as_str().to_owned()),
            stopped_at: profile.stopped_at,
            suppressed_at: profile.suppressed_at,
            snoozed_until: profile.snoozed_until.filter(|until| *until > now),
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        }
    }
}
