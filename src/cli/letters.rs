//! `relinkd letters`: what is written to users.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::client::{self, Connection};
use super::release;

/// Arguments of `relinkd letters`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with letters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows or sets how fast letters about Items that an import found broken are released.
    ///
    /// Adopting many Items must not mail thousands in an hour, so such letters wait. A release counts users: who has several
    /// broken Items gets one letter. Only who can be written to is released.
    Release(release::Args),
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| match &args.command {
        Command::Release(args) => release::run(client, print, args).await,
    })
}
