//! `relinkd letter test`: one sample letter on the way that all letters go, with the dialogue in sight.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{kind, language};
use crate::cli::{EXIT_USAGE, load};
use crate::config::{Config, Smtp};
use crate::domain::contact::EmailAddress;
use crate::domain::language::Language;
use crate::engine::clock::Clock;
use crate::engine::{mail_server, paper};
use crate::mail::message::{Addressing, build};
use crate::mail::report::return_path;
use crate::mail::smtp::{self, Deferral, Limits, Outcome, Stage};

/// How long looking the name up may take.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(10);

/// Arguments of `relinkd letter test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to. `[mail] only_to` does not hold it back: whoever runs this means it.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: EmailAddress,
    /// Which kind of letter.
    #[arg(long, default_value = "login_required", value_parser = kind)]
    kind: &'static str,
    /// In which of the languages that are on. Without it the configured locale.
    #[arg(long, value_name = "TAG", value_parser = language)]
    language: Option<Language>,
}

fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|error| error.to_string())
}

/// Sends the letter. Ends with 0 if the mail server took it, 1 if not, 2 if the configuration is not valid.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    let config = match load(config) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let language = args.language.unwrap_or(config.app.language);
    if !config.mail.languages.contains(&language) {
        eprintln!("\"{}\" is off in [mail] languages.", language.tag());
        return ExitCode::from(EXIT_USAGE);
    }
    match crate::cli::runtime().block_on(send(&config, args, language)) {
        Ok(reply) => {
            println!("The mail server took the letter: {reply}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("Failed at {why}");
            ExitCode::FAILURE
        }
    }
}

/// Sends the letter and answers what the server said, or which part of the way failed and how.
async fn send(config: &Config, args: &Args, language: Language) -> Result<String, String> {
    let (mail, clock) = (&config.mail, Clock::system());
    let templates = paper::templates(config).map_err(|_| "the templates, which have changed".to_owned())?;
    let letter = paper::sample(config, args.kind, language).ok_or("the kind of letter")?;
    let rendered = letter.render(&templates).map_err(|error| format!("the letter: {error}"))?;
    let id = clock.new_letter();
    let path = mail.return_path.as_ref().map(|address| return_path(address.as_str(), id));
    let addressing = Addressing {
        letter: id,
        return_path: path.as_deref(),
        earlier: &[],
        date: clock.now(),
        from_name: mail.from.name.as_deref().unwrap_or(&config.app.name),
        from_address: mail.from.address.as_str(),
        reply_to: Some(mail.reply_to.as_ref().map_or(&config.app.support_email, |to| &to.address).as_str()),
        to_name: None,
        to_address: args.to.as_str(),
        language,
        stop_url: &letter.stop_url,
        logo: mail.logo.as_ref(),
    };
    let message = build(&rendered, &addressing).map_err(|error| format!("the letter: {error}"))?;
    let server = mail_server(config).map_err(|error| format!("TLS: no certificate authorities are found: {error}"))?;
    let (Some(server), Some(at)) = (server, mail.smtp()) else {
        return Err(
            "the mail server: there is none, since the application sends the letters: [mail] delivery = \"event\""
                .to_owned(),
        );
    };
    println!("* {}", at.url());
    look_up(at).await?;
    let begin = async || Ok::<(), std::convert::Infallible>(());
    let mut tell = |line: &str| println!("{line}");
    let (limits, bytes) = (Limits::default(), message.formatted());
    judge(smtp::send_and_tell(&server, &limits, message.envelope(), &bytes, begin, &mut tell).await)
}

/// Asks for the name first, so that a wrong one is not taken for a server that does not answer.
async fn look_up(at: &Smtp) -> Result<(), String> {
    let found = timeout(LOOKUP_TIME_MAX, lookup_host((at.host.as_str(), at.port))).await;
    match found.ok().and_then(Result::ok).and_then(|mut found| found.next()) {
        Some(_) => Ok(()),
        None => Err(format!("DNS: the name {} is not found. Try: getent hosts {}", at.host, at.host)),
    }
}

/// Which part of the way failed.
fn judge(outcome: Outcome) -> Result<String, String> {
    let why = outcome.to_string();
    let part = match outcome {
        Outcome::Accepted { reply } => return Ok(reply.to_string()),
        Outcome::Deferred { why, .. } => match why {
            Deferral::Unreachable => "TCP",
            Deferral::Tls(_) | Deferral::NoStartTls => "TLS",
            Deferral::NoLogin => "the login",
            Deferral::Later(_, stage) | Deferral::Cut(stage, _) => part(stage),
            Deferral::NotBegun => "the letter",
        },
        Outcome::Refused { stage, .. } => part(stage),
        Outcome::Uncertain { .. } => "the verdict",
    };
    Err(format!("{part}: {why}"))
}

fn part(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "TCP",
        Stage::Tls => "TLS",
        Stage::Greeting | Stage::Hello => "the greeting",
        Stage::Login => "the login",
        Stage::Sender => "the sender",
        Stage::Recipient => "the recipient",
        Stage::Data | Stage::Body | Stage::Verdict => "the letter",
    }
}
