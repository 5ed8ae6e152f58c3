//! A Plaid of one's own: it knows the truth about Items, answers the API over real HTTP, signs webhooks, and has a Link.
//!
//! For `relinkd demo` and for tests. It shares no code with [`crate::plaid`], so that a misreading there meets another
//! reading here. It answers as Plaid documents it: names, error bodies, statuses. It keeps no file, and listens on loopback.
//!
//! [`FakePlaid`] is the front door. `truth` is what is so, `endpoints` and `link_token` are the API, `webhooks` what is
//! said and how, `trigger` says anything on demand, `link` is the user's side, `stage` the page to watch and to break
//! things, `faults` what can go wrong.

mod endpoints;
mod events;
mod faults;
mod link;
mod link_bank;
mod link_token;
mod stage;
mod trigger;
mod truth;
mod webhooks;
mod words;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use self::faults::{Answer, Call, Fault, masked};
pub use self::link::{Door, Finished, Outcome, View};
pub use self::trigger::{Trigger, TriggerError, Triggered};
pub use self::truth::{Account, Act, Bank, CONSENT, Disconnect, Item, NOTICE, NewItem};
use self::webhooks::Parcel;
pub use self::webhooks::{Delivery, PLAID_RETRIES, Sent, SignOptions, Signature, Try};
pub use self::words::{PlaidError, Trouble};
use self::world::World;
use crate::demo::serve;

/// How many requests are remembered. The oldest are forgotten; the counts go on.
pub const CALLS_MAX: usize = 10_000;

/// How many webhooks are remembered.
pub const SENT_MAX: usize = 10_000;

/// The largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Where the fake Plaid gets its time from. Tests move it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Moves the clock on, for everybody who has the same one.
pub type Skip = Arc<dyn Fn(SignedDuration) + Send + Sync>;

/// How a fake Plaid is to be.
#[derive(Clone)]
pub struct Options {
    /// Where it listens: loopback, port 0 for any.
    pub address: SocketAddr,
    /// `sandbox` or `production`.
    pub environment: String,
    /// The key that it accepts.
    pub client_id: String,
    /// The secret that it accepts.
    pub secret: SecretString,
    /// Its time.
    pub clock: Clock,
    /// Moves that time on; without it the stage page has no buttons for it.
    pub skip: Option<Skip>,
    /// Ids and tokens follow from it: the same seed and the same acts make the same ids.
    pub seed: u64,
    /// The delays between tries of a webhook that was not answered 200; none means one try. See [`PLAID_RETRIES`].
    pub retries: Vec<Duration>,
    /// Whether update mode names a public token in `/link/token/get` and SESSION_FINISHED. Plaid does not document it.
    pub update_mode_results: bool,
    /// Stops it, as [`FakePlaid::stop`] does.
    pub stop: CancellationToken,
}

impl Options {
    /// Any port, the Sandbox, keys that are no secret, no retries.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: "sandbox".to_owned(),
            client_id: "demo-client".to_owned(),
            secret: SecretString::from("demo-secret"),
            clock,
            skip: None,
            seed: 1,
            retries: Vec::new(),
            update_mode_results: true,
            stop: CancellationToken::new(),
        }
    }
}

/// Why a control was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such Item, or it was removed.
    #[error("no such Item")]
    UnknownItem,
    /// There is no address to send the webhook to.
    #[error("the Item has no webhook address, and none was given")]
    NoAddress,
}

/// A running fake Plaid. Clones are the same one.
#[derive(Clone)]
pub struct FakePlaid {
    world: Arc<World>,
}

impl FakePlaid {
    /// Starts to listen. Needs a running Tokio.
    ///
    /// # Errors
    /// If the address is taken or not loopback, or no HTTP client can be made.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = serve::bind(options.address)?;
        let world = Arc::new(World::new(options, listener.local_addr()?).map_err(io::Error::other)?);
        let router = Router::new()
            .merge(link::routes())
            .merge(link_bank::routes())
            .merge(stage::routes())
            .fallback_service(post(endpoints::answer).with_state(Arc::clone(&world)))
            .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::clone(&world));
        serve::serve(listener, router, &world.tracker, world.stop.clone())?;
        Ok(Self { world })
    }

    fn of(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Its address as a URL: what `[plaid] base_url` needs, and the stage page for a person.
    #[must_use]
    pub fn url(&self) -> String {
        self.world.url()
    }

    /// The Link script: what `[plaid] link_script_url` needs.
    #[must_use]
    pub fn link_script_url(&self) -> String {
        format!("{}{}", self.url(), link::SCRIPT_PATH)
    }

    /// Makes an Item, and its bank if that is new.
    pub fn add_item(&self, new: NewItem) -> Item {
        let now = self.world.now();
        let item = self.world.lock().add_item(new, &self.world.options.environment, now);
        self.world.changed();
        item
    }

    /// The truth about an Item, with the time's work done.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<Item> {
        let now = self.world.now();
        let mut state = self.world.lock();
        let item = state.items.get_mut(id)?;
        item.settle(now);
        Some(item.clone())
    }

    /// All Items, by id.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        self.world.lock().items.values().cloned().collect()
    }

    /// Lets something happen to an Item, and sends or loses the webhook that Plaid would send. Answers the webhook when its
    /// first try is over; `None` where Plaid says nothing.
    ///
    /// # Errors
    /// [`ControlError::UnknownItem`].
    pub async fn act(&self, item_id: &str, act: Act, delivery: Delivery) -> Result<Option<Sent>, ControlError> {
        let now = self.world.now();
        let parcel = {
            let mut state = self.world.lock();
            let fresh_id = state.id(32);
            let item = state.items.get_mut(item_id).filter(|item| !item.removed).ok_or(ControlError::UnknownItem)?;
            item.suffer(&act, fresh_id, now);
            let item = item.clone();
            match act {
                Act::BankDown | Act::BankUp => {
                    let down = act == Act::BankDown;
                    state.banks.entry(item.bank.clone()).and_modify(|bank| bank.down = down);
                }
                Act::BreakLogin { .. }
                | Act::ConsentEnds { .. }
                | Act::Disconnect { .. }
                | Act::NewAccount
                | Act::Revoke
                | Act::RevokeAccount
                | Act::LoseAccounts
                | Act::Remove
                | Act::RepairElsewhere => {}
            }
            let bank = state.bank_of(&item);
            let body = webhooks::about(&act, &item, &bank, &self.world.options.environment, now);
            body.map(|body| Parcel { lost: delivery == Delivery::Lose, ..Parcel::to(&item, body) })
        };
        self.world.changed();
        match parcel {
            Some(parcel) => Ok(Some(webhooks::send(&self.world, parcel).await)),
            None => Ok(None),
        }
    }

    /// Breaks the login of every Item whose consent or connection has ended, and tells of each by webhook.
    pub async fn pass_time(&self) -> Vec<Sent> {
        let now = self.world.now();
        let broken: Vec<Item> = {
            let mut state = self.world.lock();
            state.items.values_mut().filter_map(|item| item.settle(now).then(|| item.clone())).collect()
        };
        let mut sent = Vec::new();
        for item in broken {
            let act = Act::BreakLogin { code: String::new(), reason: None };
            let bank = self.world.lock().bank_of(&item);
            if let Some(body) = webhooks::about(&act, &item, &bank, &self.world.options.environment, now) {
                sent.push(webhooks::send(&self.world, Parcel::to(&item, body)).await);
            }
        }
        sent
    }

    /// Sends any body to any address, signed as asked.
    pub async fn send_webhook(&self, url: &str, body: Value, sign: SignOptions) -> Sent {
        let item_id = body.get("item_id").and_then(Value::as_str).map(str::to_owned);
        let parcel = Parcel { item_id, url: Some(url.to_owned()), body, sign, lost: false };
        webhooks::send(&self.world, parcel).await
    }

    /// Signs with a new key from now on; the old one is expired and can still be asked for. Answers the new key's id.
    pub fn rotate_key(&self) -> String {
        let now = self.world.now();
        let mut state = self.world.lock();
        if let Some(old) = state.keys.last_mut() {
            old.expired_at = Some(now);
        }
        state.add_key(now);
        state.keys.last().map(|key| key.signer.kid().to_owned()).unwrap_or_default()
    }

    /// Puts a fault in front of the API, behind those that are there.
    pub fn fault(&self, fault: Fault) {
        self.world.lock().faults.push(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.world.lock().faults.clear();
    }

    /// The requests that the API received, oldest first, at most [`CALLS_MAX`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world.lock().calls.iter().cloned().collect()
    }

    /// How many requests an endpoint ever received.
    #[must_use]
    pub fn count(&self, path: &str) -> u64 {
        self.world.lock().counts.get(path).copied().unwrap_or_default()
    }

    /// The webhooks that were sent or lost, oldest first, at most [`SENT_MAX`].
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.world.lock().sent.iter().cloned().collect()
    }

    /// Opens Link as the page would.
    ///
    /// # Errors
    /// `INVALID_LINK_TOKEN` when the token is unknown, expired or used.
    pub fn link_start(&self, door: &Door) -> Result<View, PlaidError> {
        link::start(&self.world, door, None)
    }

    /// Enters a wrong password; answers the error that Link shows.
    ///
    /// # Errors
    /// `INVALID_LINK_TOKEN` when the session is over, or too many passwords were wrong.
    pub fn link_wrong_password(&self, view: &View) -> Result<Value, PlaidError> {
        link::fail(&self.world, &view.link_token, &view.link_session_id, link::WRONG_PASSWORD)
    }

    /// Ends a session as the page would.
    ///
    /// # Errors
    /// `INVALID_LINK_TOKEN` when the session is over, `INSTITUTION_DOWN` when nobody can log in.
    pub fn link_finish(&self, view: &View, outcome: &Outcome) -> Result<Finished, PlaidError> {
        link::finish(&self.world, &view.link_token, &view.link_session_id, outcome)
    }

    /// Waits until something is so, and says whether it came within the limit. It looks after each change here.
    pub async fn wait_until(&self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let mut changes = self.world.changes.subscribe();
        let seen = async {
            while !is_so(self) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, seen).await.is_ok()
    }

    /// Stops listening and waits for what is on its way.
    pub async fn stop(&self) {
        self.world.stop.cancel();
        self.world.tracker.close();
        self.world.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests;
