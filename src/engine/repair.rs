//! The press of the button: from a person at the repair page (or the application on its behalf) to update mode, and back.
//!
//! Opening a page asks nobody anything. A press asks Plaid first, since what is already well needs no repair; it mints a Link
//! token, or hands out the one of a moment ago. What a browser says afterwards is a claim: Plaid is asked again.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use super::Engine;
use super::banks::Door;
use super::call::NoAnswer;
use super::dispatch::Observed;
use super::traffic::Caller;
use crate::config::LinkMode;
use crate::domain::event::Event;
use crate::domain::ids::ItemId;
use crate::domain::item::{Cure, Item, State, Token};
use crate::plaid::client::{Hosted, LinkToken, LinkTokenRequest, Verdict};
use crate::plaid::fault::{self, Owner};
use crate::store::{Session, StoreError};

/// A token that ends sooner than this is not handed out again: a person needs some minutes at the bank.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// How many Link tokens an Item gets ...
const PRESSES_MAX: u32 = 6;
/// ... within this time.
const PRESSES_SPAN: SignedDuration = SignedDuration::from_hours(1);

/// How many places there are to wait in. Presses of different Items rarely share one, and then wait for nothing worse than
/// another's calls to Plaid.
const TURNS: usize = 256;

/// One press of an Item after the other: of two at once, the second is handed the first one's token, and the limit holds.
pub(super) struct Turns(Vec<Mutex<()>>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Mutex::new(())).collect())
    }
}

impl Turns {
    async fn of(&self, item: &ItemId) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        item.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % TURNS as u64).expect("less than TURNS");
        self.0[place].lock().await
    }
}

/// What became of a press.
pub enum Press {
    /// Link can be opened.
    Open {
        /// The Link token.
        link_token: String,
        /// Plaid's own page, where that was asked for.
        hosted_url: Option<String>,
        /// When the token ends.
        expires_at: Timestamp,
    },
    /// Nothing to repair.
    Works,
    /// The Item is gone: it has to be linked anew in the application.
    Gone,
    /// The Item is not this user's, or not known.
    Unknown,
    /// Too many presses: try again after this.
    TooMany {
        /// Until when, at most.
        retry_after: SignedDuration,
    },
    /// Plaid cannot be reached, or refuses.
    PlaidDown,
    /// The bank is down.
    BankDown,
    /// Nobody can repair this Item: the user has to link the bank anew in the application.
    LinkAnew,
    /// Only the operator can do something: keys, registration, products.
    Ours,
}

/// How an Item is after somebody said that update mode went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It works.
    Works,
    /// Plaid does not say so yet.
    Checking,
    /// It does not work.
    Broken,
}

impl Engine {
    /// Where Plaid's own pages are: its hosts, or that of a configured `base_url`.
    #[must_use]
    pub fn hosted_link_origin(&self) -> Url {
        let base = &self.config.plaid.base_url;
        let is_plaids = base.host_str().is_some_and(|host| host.ends_with(".plaid.com"));
        if is_plaids { Url::parse("https://*.plaid.com").expect("an address") } else { base.clone() }
    }

    /// A press for one Item of a user. `renew`: the token of a moment ago turned out to be dead.
    ///
    /// # Errors
    /// What the store says.
    pub async fn press(&self, item: &ItemId, mode: LinkMode, renew: bool) -> Result<Press, StoreError> {
        let _turn = self.presses.of(item).await;
        let Some(record) = self.store.item(item.clone()).await? else { return Ok(Press::Unknown) };
        if record.item.state() == State::Removed {
            return Ok(Press::Gone);
        }
        let now = self.clock.now();
        let latest = self.store.latest_session(item.clone()).await?;
        if let Some(session) =
            latest.filter(|session| !renew && is_fresh(session, mode, now) && record.item.state() != State::Healthy)
        {
            return Ok(if self.is_down(&record.item).await? { Press::BankDown } else { open(session) });
        }
        let since = now.checked_sub(PRESSES_SPAN).unwrap_or(Timestamp::MIN);
        if self.store.presses_since(item.clone(), since).await? >= PRESSES_MAX {
            return Ok(Press::TooMany { retry_after: PRESSES_SPAN });
        }
        let item = match self.observe_now(Caller::Person, item, "repair page").await? {
            Observed::Now { item, .. } => item,
            Observed::NoItem => return Ok(Press::Unknown),
            Observed::Failed { .. } => return Ok(Press::PlaidDown),
        };
        if matches!(item.token, Token::Foreign | Token::Refused) {
            // It would repair somebody else's connection, or none.
            return Ok(Press::Ours);
        }
        match item.state() {
            State::Removed => Ok(Press::Gone),
            State::Healthy | State::Revoked | State::LoginRequired | State::PendingExpiration | State::NewAccounts
                if item.impaired.is_some() =>
            {
                Ok(item.impaired.as_ref().map_or(Press::Works, |impaired| hindrance(&impaired.code)))
            }
            State::Healthy => Ok(Press::Works),
            State::Revoked | State::LoginRequired | State::PendingExpiration | State::NewAccounts
                if self.is_down(&item).await? =>
            {
                Ok(Press::BankDown)
            }
            State::Revoked | State::LoginRequired | State::PendingExpiration | State::NewAccounts => {
                let codes = record.country_codes;
                self.mint(&item, codes, mode).await
            }
        }
    }

    /// Whether nobody can log in to the bank, so that Link would only send the user away.
    async fn is_down(&self, item: &Item) -> Result<bool, StoreError> {
        Ok(match self.door(Caller::Person, item).await? {
            Door::Shut { .. } => true,
            Door::Open | Door::Unasked { .. } => false,
        })
    }

    async fn mint(&self, item: &Item, codes: Option<Vec<String>>, mode: LinkMode) -> Result<Press, StoreError> {
        let Some(access_token) = self.store.access_token(item.id.clone()).await? else { return Ok(Press::Gone) };
        let profile = self.store.user(item.user.clone()).await?;
        let language = self.config.language(profile.as_ref().and_then(|profile| profile.locale.as_ref()));
        let plaid = &self.config.plaid;
        let configured = || plaid.country_codes.iter().map(|code| code.as_str().to_owned()).collect();
        let back = self.public("repair-return");
        let request = LinkTokenRequest {
            client_name: self.config.app.name.clone(),
            // The same language in letter, page and Link.
            language: language.tag().to_owned(),
            country_codes: codes.filter(|codes| !codes.is_empty()).unwrap_or_else(configured),
            client_user_id: item.user.clone(),
            access_token,
            account_selection: chooses_accounts(item),
            redirect_uri: match mode {
                LinkMode::Embedded => Some(back.clone()),
                LinkMode::Hosted => None,
            },
            hosted: match mode {
                LinkMode::Embedded => None,
                LinkMode::Hosted => Some(Hosted {
                    completion_redirect_uri: Some(back),
                    url_lifetime: None,
                    webhook: Some(self.webhook_url()),
                }),
            },
        };
        let opened_at = self.clock.now();
        match self.create_token(request).await {
            Ok(token) => {
                let session = Session {
                    id: self.clock.new_session(),
                    item: item.id.clone(),
                    link_token: secrecy::ExposeSecret::expose_secret(&token.link_token).to_owned(),
                    hosted_url: token.hosted_link_url,
                    opened_at,
                    expires_at: token.expiration,
                    finished: false,
                };
                self.store.open_session(session.clone(), self.rule()).await?;
                self.wake();
                Ok(open(session))
            }
            Err(error) => self.refused(item, &error).await,
        }
    }

    /// Mints a token. If Plaid does not know our way back from the bank, one without it: most banks need none.
    async fn create_token(&self, request: LinkTokenRequest) -> Result<LinkToken, NoAnswer> {
        let first = self.call(Caller::Person, None, self.plaid.link_token_create(&request)).await;
        match &first {
            Err(error) if error.code() == Some("INVALID_FIELD") && request.redirect_uri.is_some() => {
                tracing::warn!(
                    "Plaid refuses a field of /link/token/create: register {} as an allowed redirect URI in Plaid's dashboard. Trying without",
                    self.public("repair-return")
                );
                let without = LinkTokenRequest { redirect_uri: None, ..request };
                self.call(Caller::Person, None, self.plaid.link_token_create(&without)).await
            }
            Ok(_) | Err(_) => first,
        }
    }

    async fn refused(&self, item: &Item, error: &NoAnswer) -> Result<Press, StoreError> {
        tracing::error!(item = %item.id, "Item {}: no Link token: {error}", item.id);
        let said = match error {
            NoAnswer::Held { .. } => None,
            NoAnswer::Call(error) => error.event(self.clock.now()),
        };
        if let Some(event) = said {
            let item = self.step(&item.id, vec![event], "repair page").await?;
            if item.is_none_or(|item| item.state() == State::Removed) {
                return Ok(Press::Gone);
            }
        }
        Ok(error.code().map_or(Press::PlaidDown, hindrance))
    }

    /// Somebody says that update mode went well for an Item. The first time it is a claim, then it only asks again.
    ///
    /// # Errors
    /// What the store says.
    pub async fn claim(&self, item: &ItemId) -> Result<Claimed, StoreError> {
        // The session first: Plaid's webhook ends it and changes the Item in one step, and may come in between.
        let session = self.store.latest_session(item.clone()).await?;
        let Some(record) = self.store.item(item.clone()).await? else { return Ok(Claimed::Broken) };
        let before = record.item;
        if before.claim.is_none() {
            // Nothing was pressed, or it was told already: then there is nothing to claim.
            let Some(session) = session else { return Ok(state_of(&before)) };
            // Plaid's own page leads back on success and on exit alike: only Plaid tells which it was.
            let verdict = match session.hosted_url {
                Some(_) => self.verdict(&session).await,
                None => Verdict::Succeeded,
            };
            let event = match verdict {
                Verdict::Succeeded => Event::UpdateModeFinished,
                Verdict::Left => Event::UpdateModeLeft,
                Verdict::Open => return Ok(Claimed::Checking),
            };
            self.store.finish_session(session.id, self.clock.now()).await?;
            self.step(item, vec![event], "repair page").await?;
        }
        Ok(match self.observe_now(Caller::Person, item, "repair page").await? {
            Observed::Now { item, .. } => state_of(&item),
            Observed::Failed { .. } => Claimed::Checking,
            Observed::NoItem => Claimed::Broken,
        })
    }

    /// How a session went, as far as Plaid tells now.
    async fn verdict(&self, session: &Session) -> Verdict {
        let token = session.link_token.clone().into();
        let sessions = self.call(Caller::Person, None, self.plaid.link_token_get(&token)).await;
        sessions.map_or(Verdict::Open, |sessions| sessions.verdict())
    }
}

fn state_of(item: &Item) -> Claimed {
    match (item.state(), &item.claim) {
        (State::Healthy, _) => Claimed::Works,
        (_, Some(_)) => Claimed::Checking,
        (_, None) => Claimed::Broken,
    }
}

/// What an error of Plaid's means for whoever pressed the button, or would press it.
pub(crate) fn hindrance(code: &str) -> Press {
    match fault::owner(code) {
        // A ticket for the operator, but the person has to take another way in any case.
        Owner::Operator if code == "INSTITUTION_NO_LONGER_SUPPORTED" => Press::LinkAnew,
        Owner::Gone => Press::Gone,
        // A permission that was withdrawn at Plaid cannot be renewed.
        Owner::NewItem | Owner::UserWithdrew => Press::LinkAnew,
        Owner::Bank => Press::BankDown,
        // What update mode cures is no reason to refuse a Link token, so such a refusal passes like one that nobody knows.
        Owner::Plaid | Owner::Nobody | Owner::User { .. } => Press::PlaidDown,
        Owner::Operator => Press::Ours,
    }
}

/// The accounts have to be chosen where new ones wait, and where lost ones do not come back without.
fn chooses_accounts(item: &Item) -> bool {
    item.new_accounts.is_some() || item.broken().is_some_and(|broken| broken.what.cure == Cure::ChooseAccounts)
}

fn is_fresh(session: &Session, mode: LinkMode, now: Timestamp) -> bool {
    let fits = match mode {
        LinkMode::Embedded => true,
        LinkMode::Hosted => session.hosted_url.is_some(),
    };
    fits && session.expires_at.duration_since(now) > FRESH
}

fn open(session: Session) -> Press {
    Press::Open { link_token: session.link_token, hosted_url: session.hosted_url, expires_at: session.expires_at }
}
