//! `relinkd letter`: looks at letters without sending any, sends one sample to try the way, or writes the templates
//! out.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use crate::cli::{DEFAULT_CONFIG, environment};
use crate::config::{self, Config};
use crate::domain::language::Language;
use crate::mail::sample;

mod preview;
mod templates;
mod test;

/// Arguments of `relinkd letter`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows letters with invented facts. Sends nothing.
    ///
    /// The brand, the languages, the templates and the address at which the links begin are those of the configuration;
    /// where there is none, an invented brand writes. The links open nothing: their page says that they no longer work.
    /// Without --out or --open the subject and the text part are printed.
    Preview(preview::Args),
    /// Sends one letter with invented facts, and prints what is said to the mail server, secrets and addresses masked.
    ///
    /// Says which part of the way fails: the name, the connection, the encryption, the login, the sender, the recipient or
    /// the letter. Ends with 0 if the mail server took the letter.
    Test(test::Args),
    /// Writes the built-in templates into a folder, for you to begin your own with. Asks no daemon.
    ///
    /// The layouts letter.html and letter.txt, and a file of sentences for each language, such as en.toml. As they are
    /// they make the very same letters: name the folder in `[mail] templates_dir`, change what you like, and delete the
    /// sentences and files that you leave as they are, so that they follow each release. `relinkd check` tries them out.
    Templates(templates::Args),
}

/// Does what the command line says.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    match &args.command {
        Command::Preview(args) => preview::run(config, args),
        Command::Test(args) => test::run(config, args),
        Command::Templates(args) => templates::run(config, args),
    }
}

/// The configuration; nothing where none was named and there is none at the usual place.
fn configuration(path: &Path) -> Result<Option<Config>, String> {
    if path == Path::new(DEFAULT_CONFIG) && !path.exists() {
        return Ok(None);
    }
    config::load(path, environment()).map(Some).map_err(|faults| faults.to_string())
}

/// By day or by night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Theme {
    /// As a mail program shows it by day.
    Light,
    /// As one shows it in the dark.
    Dark,
}

impl Theme {
    const ALL: [Self; 2] = [Self::Light, Self::Dark];

    fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The HTML part as if the reader's machine had this theme.
    fn of(self, html: &str) -> String {
        let (media, scheme) = match self {
            Self::Light => ("@media not all", "light"),
            Self::Dark => ("@media all", "dark"),
        };
        html.replace("@media (prefers-color-scheme: dark)", media).replace("light dark", scheme)
    }
}

fn kind(text: &str) -> Result<&'static str, String> {
    let known = sample::KINDS.into_iter().find(|kind| *kind == text);
    known.ok_or_else(|| format!("no such kind of letter; there are {}", sample::KINDS.join(", ")))
}

fn language(text: &str) -> Result<Language, String> {
    let tags = || Language::ALL.map(Language::tag).join(", ");
    Language::from_tag(text).ok_or_else(|| format!("no such language; there are {}", tags()))
}
