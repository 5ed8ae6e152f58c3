//! The daemon: store, engine and listeners put together, started, and stopped.
//!
//! `relinkd serve`, `relinkd demo` and the tests run the same one; they differ in the configuration and in the clock.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Config;
use crate::engine::clock::Clock;
use crate::engine::{Engine, schedule, upkeep};
use crate::store::Store;
use crate::store::seal::Sealer;
use crate::web::{self, Bound, ControlSocket, Served};

/// How long requests and letters that are under way may take once relinkd is to stop. systemd waits longer.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(8);

/// A running daemon.
pub struct Daemon {
    /// What runs.
    pub engine: Engine,
    served: Served,
}

impl Daemon {
    /// Opens the store, binds the listeners and the control socket, and begins. When this answers, webhooks are taken.
    ///
    /// # Errors
    /// What does not work, with the remedy where there is one.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let old: Vec<[u8; 32]> = config.store.data_keys_old.iter().map(|key| *key.expose()).collect();
        let sealer = Sealer::new(config.store.data_key.expose(), &old);
        let (path, now) = (config.store.path.clone(), clock.now());
        let store = tokio::task::spawn_blocking(move || Store::open(&path, sealer, now)).await??;
        // Before the others: whoever sees one of them listen may use it.
        let path = config.control_socket();
        let control =
            ControlSocket::bind(&path).with_context(|| format!("[server] control_socket = \"{}\"", path.display()))?;
        let bind = |key: &str, address: SocketAddr| {
            web::bind(address).with_context(|| format!("[server] {key} = \"{address}\": it cannot be listened on"))
        };
        let public = bind("public_listen", config.server.public_listen)?;
        let private = bind("private_listen", config.server.private_listen)?;
        let engine = Engine::new(config, store, clock).await?;
        engine.make_appointments().await.context("the store takes nothing")?;
        let bound = Bound { public, private, control };
        let served = web::serve(&engine, bound).context("the listeners cannot be served")?;
        engine.tasks.spawn(schedule::run(engine.clone()));
        engine.tasks.spawn(upkeep::seal_anew(engine.clone()));
        Ok(Self { engine, served })
    }

    /// Where Plaid and users are heard.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.served.public.address
    }

    /// Where the API is heard.
    #[must_use]
    pub fn private_address(&self) -> SocketAddr {
        self.served.private.address
    }

    /// Where the commands on this machine are heard.
    #[must_use]
    pub fn control_socket(&self) -> &Path {
        self.served.control.path()
    }

    /// Takes no more connections, lets what is under way end, and closes the store. What does not end in time is left to the
    /// next start: leases end with the process.
    pub async fn stop(self) {
        self.served.stop(STOP_TIME_MAX);
        self.engine.stop.cancel();
        self.engine.tasks.close();
        if tokio::time::timeout(STOP_TIME_MAX, self.engine.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not end in time; it goes on at the next start");
        }
        self.engine.store.close().await;
    }
}
