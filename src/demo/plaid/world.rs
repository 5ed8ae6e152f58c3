//! What the fake Plaid remembers, behind one lock: banks, Items, keys, Link tokens, faults, and what went in and out.
//!
//! Only this folder uses it. The lock is never held across an await.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::faults::{Call, Fault};
use super::link_token::LinkToken;
use super::truth::{Account, Bank, Item, NewItem};
use super::webhooks::Sent;
use super::{Options, SENT_MAX};
use crate::demo::signer::Signer;

/// How long Plaid waits for the answer to a webhook.
const WEBHOOK_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may lie unused: less than the daemon keeps it, or a webhook would now and then meet its end.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Everything behind the front door.
pub(super) struct World {
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    pub(super) http: reqwest::Client,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
    state: Mutex<State>,
    /// Counts the changes, so that a waiter learns of each.
    pub(super) changes: watch::Sender<u64>,
}

/// A key that signs or has signed webhooks.
pub(super) struct Key {
    pub(super) signer: Signer,
    pub(super) created_at: Timestamp,
    pub(super) expired_at: Option<Timestamp>,
}

/// What is behind the lock.
pub(super) struct State {
    seed: u64,
    made: u64,
    pub(super) banks: BTreeMap<String, Bank>,
    pub(super) items: BTreeMap<String, Item>,
    /// Access token to Item id.
    pub(super) tokens: HashMap<String, String>,
    /// The last one signs.
    pub(super) keys: Vec<Key>,
    pub(super) links: HashMap<String, LinkToken>,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: VecDeque<Call>,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) sent: VecDeque<Sent>,
    pub(super) sent_ever: u64,
}

impl World {
    pub(super) fn new(options: Options, address: SocketAddr) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WEBHOOK_LIMIT)
            .pool_idle_timeout(IDLE_MAX)
            .build()?;
        let mut state = State {
            seed: options.seed,
            made: 0,
            banks: BTreeMap::new(),
            items: BTreeMap::new(),
            tokens: HashMap::new(),
            keys: Vec::new(),
            links: HashMap::new(),
            faults: Vec::new(),
            calls: VecDeque::new(),
            counts: BTreeMap::new(),
            sent: VecDeque::new(),
            sent_ever: 0,
        };
        state.add_key((options.clock)());
        let stop = options.stop.child_token();
        let changes = watch::Sender::new(0);
        Ok(Self { options, address, http, tracker: TaskTracker::new(), stop, state: Mutex::new(state), changes })
    }

    /// The state, for a moment. A panic while it was held leaves at worst a half-made change, which a demo can bear.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tells waiters that something happened.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl State {
    fn bytes(&mut self) -> [u8; 32] {
        self.made += 1;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.seed.to_be_bytes());
        context.update(&self.made.to_be_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        bytes
    }

    /// A fresh id of letters and digits, as Plaid's Items, accounts and requests have.
    pub(super) fn id(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789";
        let letters = self.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        letters.iter().cycle().take(length).collect()
    }

    /// A fresh id in the form of a UUID, as Plaid's tokens, sessions and keys have.
    pub(super) fn uuid(&mut self) -> String {
        let bytes = self.bytes();
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[..16]);
        uuid::Builder::from_random_bytes(uuid).into_uuid().to_string()
    }

    pub(super) fn add_key(&mut self, now: Timestamp) {
        let kid = self.uuid();
        self.keys.push(Key { signer: Signer::new(&kid), created_at: now, expired_at: None });
    }

    pub(super) fn add_item(&mut self, new: NewItem, environment: &str, now: Timestamp) -> Item {
        let id = new.id.unwrap_or_else(|| self.id(32));
        let access_token =
            new.access_token.unwrap_or_else(|| SecretString::from(format!("access-{environment}-{}", self.uuid())));
        let mut shared = new.accounts;
        if shared.is_empty() {
            shared = vec![Account::new("Checking", "4821", "checking"), Account::new("Savings", "7702", "savings")];
        }
        for account in shared.iter_mut().filter(|account| account.id.is_empty()) {
            account.id = self.id(32);
        }
        let item = Item {
            id: id.clone(),
            user: new.user,
            bank: new.bank.id.clone(),
            webhook: new.webhook,
            trouble: None,
            consent_ends_at: new.consent_ends_at,
            disconnect: None,
            shared,
            unshared: Vec::new(),
            removed: false,
            created_at: now,
            last_webhook: None,
            last_success: now,
            last_failure: None,
            access_token,
        };
        self.banks.entry(new.bank.id.clone()).or_insert(new.bank);
        self.tokens.insert(item.access_token.expose_secret().to_owned(), id.clone());
        self.items.insert(id, item.clone());
        item
    }

    pub(super) fn bank_of(&self, item: &Item) -> Bank {
        self.banks.get(&item.bank).cloned().unwrap_or_else(|| Bank::new(&item.bank, &item.bank))
    }

    /// Keeps a webhook in the record, at most [`SENT_MAX`] of them.
    pub(super) fn record_sent(&mut self, sent: Sent) {
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(sent);
    }
}
