//! `relinkd serve`: the daemon, until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_USAGE, Signals};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::engine::clock::Clock;

/// Arguments of `relinkd serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the daemon. Ends 0 when told to stop, 1 when it cannot start, 2 when the configuration is not valid.
#[must_use]
pub fn run(path: &Path, _args: &Args) -> ExitCode {
    let config = match super::load(path) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Err(error) = super::logging::start(&config.log) {
        eprintln!("[log] level: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match super::runtime().block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything is begun, so that no signal is missed.
    let mut signals = Signals::listen()?;
    let daemon = Daemon::start(config, Clock::system()).await?;
    tracing::info!(
        public = %daemon.public_address(),
        private = %daemon.private_address(),
        control = %daemon.control_socket().display(),
        "relinkd {} listens for Plaid and users on {}, for the application on {}, for commands on {}",
        env!("CARGO_PKG_VERSION"),
        daemon.public_address(),
        daemon.private_address(),
        daemon.control_socket().display(),
    );
    tell_systemd(sd_notify::NotifyState::Ready);
    signals.told_to_stop().await;
    tracing::info!("stopping: what is under way may end");
    tell_systemd(sd_notify::NotifyState::Stopping);
    tokio::select! {
        () = daemon.stop() => tracing::info!("stopped"),
        () = signals.told_to_stop() => tracing::warn!("told again: stopping at once"),
    }
    Ok(())
}

/// Nothing happens where systemd is not the one who started us.
fn tell_systemd(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("systemd is not told: {error}");
    }
}
