//! `relinkd completions`: what a shell needs to complete our commands.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use super::client::finish;
use super::print::written;

/// Prints the completions for a shell. Where they belong, the shell's manual says; a package has put them there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell.
    pub shell: Shell,
}

/// Prints them.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "relinkd", &mut text);
    finish(written(io::Write::write_all(&mut io::stdout(), &text)))
}
