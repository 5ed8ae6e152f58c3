//! The imperative shell: it feeds the domain's rules and carries out what they say.
//!
//! One loop ([`schedule`]) does what is due, learns when something is due next, and sleeps until then or until it is woken.
//! Start-up, timers, webhooks and requests all go the same way; there is no recovery code.
//!
//! Whoever may call: `web` (a webhook came, a button was pressed), `cli` and `demo` (start and stop).

mod accounts;
pub mod apply;
mod banks;
mod call;
pub mod catch_up;
pub mod clock;
mod compose;
mod dispatch;
mod fresh_link;
mod gap;
mod hand_over;
mod ingest;
pub mod keys;
mod mail_server;
mod observe;
pub mod paper;
pub mod plan;
mod post;
pub mod preferences;
mod release;
pub mod repair;
pub mod returned;
pub mod schedule;
pub mod status;
pub mod sweep;
mod told;
pub mod traffic;
pub mod upkeep;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::mail::letter::Templates;
use crate::mail::smtp;
use crate::mail::words::TemplateFault;
use crate::plaid::client::{Client, Options, OptionsError};
use crate::store::Store;
use clock::Clock;
use keys::Keys;
use status::Status;
use traffic::Traffic;

pub use call::NoAnswer;
pub use mail_server::mail_server;
pub use traffic::Caller;

/// How many calls to Plaid may be under way at once for people, and as many for all else.
const PLAID_CALLS_MAX: usize = 32;

/// All that the shell works with. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

/// The parts of an engine.
pub struct Parts {
    /// What the operator decided.
    pub config: Config,
    /// Where everything is kept.
    pub store: Store,
    /// Plaid's API.
    pub plaid: Client,
    /// Plaid's verification keys.
    pub keys: Keys,
    /// The time.
    pub clock: Clock,
    /// How the outside does.
    pub status: Status,
    /// The tasks that were begun; shutdown waits for them.
    pub tasks: TaskTracker,
    /// Cancelled when relinkd is to stop.
    pub stop: CancellationToken,
    banks: banks::Banks,
    templates: Templates,
    /// Nothing where the application sends the letters itself.
    mail_server: Option<smtp::Connections>,
    keeps_connections: AtomicBool,
    traffic: Mutex<Traffic>,
    calls_of_people: Semaphore,
    calls_of_ours: Semaphore,
    effects_under_way: Arc<Semaphore>,
    accounts_under_way: Semaphore,
    letters_under_way: Arc<Semaphore>,
    presses: repair::Turns,
    purging: tokio::sync::Mutex<()>,
    wake: Notify,
    webhooks: Notify,
}

impl std::ops::Deref for Engine {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why an engine cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store does not answer.
    #[error("store: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The operator's templates do not make letters.
    #[error("[mail] templates_dir:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Templates(Vec<TemplateFault>),
    /// No certificate authorities, so no encrypted mail server can be believed.
    #[error("mail: no certificate authorities are found: install ca-certificates ({0})")]
    Trust(#[from] rustls::Error),
    /// The HTTP client cannot be built.
    #[error("plaid: {0}")]
    Client(#[from] OptionsError),
}

impl Engine {
    /// Puts the parts together and loads the verification keys that were kept.
    ///
    /// # Errors
    /// [`BuildError`] says which part fails.
    pub async fn new(config: Config, store: Store, clock: Clock) -> Result<Self, BuildError> {
        let plaid = Client::new(&Options {
            base_url: config.plaid.base_url.clone(),
            client_id: config.plaid.client_id.clone(),
            secret: config.plaid.secret.clone(),
        })?;
        let keys = Keys::new(store.verification_keys().await?, clock.now());
        let mail_server = mail_server(&config)?.map(|server| smtp::Connections::new(server, smtp::Limits::default()));
        let traffic = Traffic::new(config.plaid.calls_per_minute);
        Ok(Self(Arc::new(Parts {
            banks: banks::Banks::default(),
            templates: paper::templates(&config).map_err(BuildError::Templates)?,
            mail_server,
            keeps_connections: AtomicBool::new(false),
            plaid,
            keys,
            clock,
            store,
            config,
            status: Status::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            traffic: Mutex::new(traffic),
            calls_of_people: Semaphore::new(PLAID_CALLS_MAX),
            calls_of_ours: Semaphore::new(PLAID_CALLS_MAX),
            effects_under_way: Arc::new(Semaphore::new(dispatch::UNDER_WAY_MAX)),
            accounts_under_way: Semaphore::new(accounts::UNDER_WAY_MAX),
            letters_under_way: Arc::new(Semaphore::new(post::CONNECTIONS_MAX)),
            presses: repair::Turns::default(),
            purging: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            webhooks: Notify::new(),
        })))
    }

    /// Says that there is something to do.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Says that a webhook was committed. Its step is taken soon, together with those of its neighbours.
    pub fn webhook_came(&self) {
        self.webhooks.notify_one();
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a task that shutdown waits for.
    fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}
