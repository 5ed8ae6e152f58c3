//! The command line: one file a command, each with its `Args` and its `run`.
//!
//! Most commands talk to the running daemon: [`client`] is what they have in common, [`mod@print`] and [`table`] how they show
//! what it answers. To add one: a file with `Args` (the [`client::Connection`] flattened into them) and `run`, a variant of
//! [`Command`], a row in the README.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or configuration. Here the environment is read, and nowhere else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Config, Fault, Faults, Place};
use crate::engine::paper;
use crate::mail::words::TemplateFault;

mod adopt;
pub mod bounce;
pub mod catch_up;
pub mod check;
pub mod client;
pub mod completions;
pub mod demo;
pub mod events;
pub mod explain;
pub mod export;
pub mod import;
pub mod items;
pub mod keys;
pub mod letter;
pub mod letters;
mod logging;
pub mod man;
pub mod pause;
pub mod print;
pub mod release;
pub mod serve;
pub mod suppressions;
pub mod table;
pub mod trigger;
pub mod users;
pub mod webhooks;
pub mod words;

/// Where the configuration is if nobody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/relinkd/relinkd.toml";

/// Exit code of a bad command line or configuration. The one that clap uses too.
pub const EXIT_USAGE: u8 = 2;

/// The head of the options that each command has, in its help.
const EVERYWHERE: &str = "Everywhere";

/// Keeps bank connections made through Plaid healthy, and brings users back when one breaks.
#[derive(Debug, Parser)]
#[command(name = "relinkd", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the daemon.
    Serve(serve::Args),
    /// Shows the whole story on this machine: no configuration, no account, no network.
    Demo(demo::Args),
    /// Says whether the configuration is valid, and all that is wrong with it; with --online whether everything works.
    ///
    /// Without --online it opens nothing but the configuration and the files that it names for secrets, and asks nobody over
    /// the network. With it the whole chain is looked at: Plaid, the webhook's address, the mail server, the sender's domain,
    /// the store, the running daemon. It sends nothing and touches no Item.
    ///
    /// Ends with 0 if nothing failed, 1 if something did, 2 if the configuration is not valid.
    Check(check::Args),
    /// Lists Items, shows one, and acts on it.
    Items(items::Args),
    /// Says which data key still seals what, and makes new keys.
    Keys(keys::Args),
    /// Lists users, shows one, and notes what they wish.
    Users(users::Args),
    /// Lists addresses that take no letters, adds one, lets one take letters again.
    Suppressions(suppressions::Args),
    /// Says why all letters wait, and sends letters again.
    Pause(pause::Args),
    /// Takes a report of failed delivery (RFC 3464) or of abuse (RFC 5965) from standard input: for a mail server's pipe.
    Bounce(bounce::Args),
    /// Lists letters, shows one, and says which will be written.
    Letters(letters::Args),
    /// Lists webhooks, shows one, and applies it once more.
    Webhooks(webhooks::Args),
    /// Lists what the application was told.
    Events(events::Args),
    /// Says why an Item is as it is, why its user was written to, and what comes next.
    Explain(explain::Args),
    /// Looks at letters without sending any, sends one sample to try the way, or writes the templates out.
    Letter(letter::Args),
    /// Prints what a shell needs to complete these commands.
    Completions(completions::Args),
    /// Prints the manual page, or writes those of all commands into a folder.
    Man(man::Args),
    /// Has the demo's Plaid send any webhook, signed, to a daemon that trusts it.
    ///
    /// The webhook goes through the daemon's real HTTP path. By default the demo's Plaid also makes the truth agree with what
    /// it says: the Item then has the error that the webhook tells of, and whoever asks hears the same. With --lie it only
    /// says so.
    ///
    /// The daemon is that of a running `relinkd demo` (--demo), or one whose `[plaid] base_url` is the demo's Plaid
    /// (--config). A production configuration is refused, and any Plaid that is not on this machine.
    Trigger(trigger::Args),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Serve(args) => serve::run(&cli.config, &args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&cli.config, &args),
        Command::Items(args) => items::run(&cli.config, &args),
        Command::Keys(args) => keys::run(&cli.config, &args),
        Command::Users(args) => users::run(&cli.config, &args),
        Command::Suppressions(args) => suppressions::run(&cli.config, &args),
        Command::Pause(args) => pause::run(&cli.config, &args),
        Command::Bounce(args) => bounce::run(&cli.config, &args),
        Command::Letters(args) => letters::run(&cli.config, &args),
        Command::Webhooks(args) => webhooks::run(&cli.config, &args),
        Command::Events(args) => events::run(&cli.config, &args),
        Command::Explain(args) => explain::run(&cli.config, &args),
        Command::Letter(args) => letter::run(&cli.config, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Trigger(args) => trigger::run(&cli.config, &args),
    }
}

/// The signals that tell relinkd to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on, so that none is missed.
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The runtime of the commands that need one.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives threads and timers")
}

/// The configuration, with the operator's templates tried out.
fn load(path: &Path) -> Result<Config, Faults> {
    let config = config::load(path, environment())?;
    match paper::templates(&config) {
        Ok(_) => Ok(config),
        Err(faults) => Err(Faults::new(faults.into_iter().map(fault_of).collect())),
    }
}

fn fault_of(TemplateFault { file, line, problem }: TemplateFault) -> Fault {
    let place = match line {
        Some(line) => Place::Spot { file, line, column: 1 },
        None => Place::File { file },
    };
    let remedy = "Put the template right, or take the file away: the built-in one then serves.".to_owned();
    Fault { place, key: Some("mail.templates_dir".to_owned()), value: None, problem, remedy, nearest: None }
}

/// The environment, for [`crate::config::load`]. What is not Unicode is made so: a variable of ours then is a fault
/// like any other, and one of somebody else's no concern.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What `--help` says on a terminal of a hundred columns, for a command and for those below it.
    fn help(command: &clap::Command, words: &[&str], into: &mut Vec<String>) {
        let asked = [&["relinkd"], words, &["--help"]].concat();
        let said = Cli::command().term_width(100).try_get_matches_from(asked).expect_err("help").to_string();
        into.push(format!("$ relinkd {} --help\n{said}", words.join(" ")));
        for below in command.get_subcommands() {
            help(below, &[words, &[below.get_name()]].concat(), into);
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        let cli = Cli::command();
        insta::assert_snapshot!("help", cli.clone().term_width(100).render_help().to_string());
        for command in cli.get_subcommands() {
            let mut said = Vec::new();
            help(command, &[command.get_name()], &mut said);
            insta::assert_snapshot!(format!("help_{}", command.get_name()), said.join("\n"));
        }
    }

    #[test]
    fn the_readme_names_every_command() {
        let readme = include_str!("../../README.md");
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(readme.contains(&format!("relinkd {name}")), "relinkd {name}");
            for below in command.get_subcommands().map(clap::Command::get_name) {
                assert!(readme.contains(&format!("{name} {below}")), "relinkd {name} {below}");
            }
        }
    }

    #[test]
    fn what_is_misspelt_is_guessed_and_what_is_missing_is_named() {
        let said = |words: &[&str]| {
            let error = Cli::try_parse_from([&["relinkd"], words].concat()).expect_err("refused");
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{words:?}");
            format!("$ relinkd {}\n{error}\n", words.join(" "))
        };
        let all = [
            said(&["itmes", "list"]),
            said(&["items", "lst"]),
            said(&["items", "list", "--sate", "healthy"]),
            said(&["items", "list", "--state", "heathy"]),
            said(&["items", "list", "--limit", "0"]),
            said(&["items", "show"]),
            said(&["items", "snooze", "item-1"]),
            said(&["items", "snooze", "item-1", "--for", "3 days"]),
            said(&["items", "snooze", "item-1", "--until", "tomorrow"]),
            said(&["users", "set", "user-1"]),
        ];
        insta::assert_snapshot!("usage_errors", all.concat());
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configuration_file_can_be_named_before_and_after_the_command() {
        for line in [["relinkd", "--config", "a.toml", "check"], ["relinkd", "check", "--config", "a.toml"]] {
            assert_eq!(Cli::try_parse_from(line).expect("a command line").config, PathBuf::from("a.toml"));
        }
        let cli = Cli::try_parse_from(["relinkd", "check"]).expect("a command line");
        assert_eq!(cli.config, PathBuf::from("/etc/relinkd/relinkd.toml"));
    }
}
