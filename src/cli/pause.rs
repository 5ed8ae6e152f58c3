//! `relinkd pause`: why all letters wait, and letters again.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::client::{self, Client, Connection, Failure};
use super::print::Print;
use super::table::{Fields, second};

/// Arguments of `relinkd pause`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do about a pause.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says whether all letters wait, and why.
    Show,
    /// Sends letters again. Do it once what brought the pause about is put right.
    End(End),
}

/// How it ends.
#[derive(Debug, clap::Args)]
pub struct End {
    /// Also lets those addresses take letters again that were found gone among the letters which brought the pause about:
    /// for a mail server that was wrong about them.
    #[arg(long)]
    pub lift: bool,
}

#[derive(Debug, Deserialize)]
struct Shown {
    pause: Option<Pause>,
    #[serde(default)]
    lifted: u64,
}

#[derive(Debug, Deserialize)]
struct Pause {
    why: String,
    note: String,
    since: Timestamp,
    until: Option<Timestamp>,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show => print.one(&client.get("/v1/pause").await?, fields),
        Command::End(end) => {
            let answer = client.post("/v1/pause/end", &json!({ "lift": end.lift })).await?;
            if print.is_json() {
                return print.line(answer.json());
            }
            let shown: Shown = answer.read()?;
            print.note(&format!("Letters go on. Addresses that take letters again: {}.", shown.lifted));
            Ok(())
        }
    }
}

fn fields(shown: &Shown) -> Fields {
    match &shown.pause {
        None => Fields::default().with("Letters", "leave"),
        Some(pause) => Fields::default()
            .with("Letters", "wait")
            .with("Why", &pause.why)
            .with("Cause", &pause.note)
            .with("Since", second(pause.since))
            .with("One tries at", pause.until.map_or_else(|| "none; say `relinkd pause end`".to_owned(), second)),
    }
}
