//! `relinkd suppressions`: addresses that take no letters, whoever has them.

use std::path::Path;
use std::process::ExitCode;

use clap::{ArgGroup, Subcommand};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::{self, Client, Connection, Failure, path_of};
use super::print::Print;
use super::table::{Fields, Fit, Table, minute, second, text_if};

/// Arguments of `relinkd suppressions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with suppressions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists them, newest first. The addresses themselves are not kept.
    List(List),
    /// Lets an address take no letters, whoever has it now or later.
    Add(Add),
    /// Lets an address take letters again.
    Remove(Which),
}

/// How many.
#[derive(Debug, clap::Args)]
pub struct List {
    /// At most so many. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Which address, and why.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Why, for whoever reads the list.
    #[arg(long)]
    pub note: Option<String>,
}

/// Which address.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("address").required(true).args(["email", "user", "id"])))]
pub struct Which {
    /// This one.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The one that this user has, by your own id.
    #[arg(long)]
    pub user: Option<String>,
    /// The one of this suppression, as the list names it.
    #[arg(long)]
    pub id: Option<String>,
}

/// A suppression as the API shows it.
#[derive(Debug, Deserialize)]
struct Suppression {
    suppression_id: String,
    reason: String,
    source: String,
    since: Timestamp,
    note: Option<String>,
    user_ids: Vec<String>,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => print.list(client, "/v1/suppressions", list.limit, table).await,
        Command::Add(Add { which: Which { id: Some(_), .. }, .. }) => {
            Err(Failure::Usage("what has an id is suppressed already: name an address or a user".to_owned()))
        }
        Command::Add(Add { which, note }) => {
            let body = json!({ "email": which.email, "user_id": which.user, "note": note });
            print.one(&client.post("/v1/suppressions", &body).await?, fields)
        }
        Command::Remove(which) => {
            match &which.id {
                Some(id) => client.call(Method::DELETE, &path_of("suppressions", id)?, None).await?,
                None => {
                    let body = json!({ "email": which.email, "user_id": which.user });
                    client.call(Method::DELETE, "/v1/suppressions", Some(&body)).await?
                }
            };
            print.note("The address takes letters again.");
            Ok(())
        }
    }
}

fn table(all: &[Suppression]) -> Table {
    let mut table = Table::new(&[
        ("SINCE", Fit::Whole),
        ("REASON", Fit::Whole),
        ("SOURCE", Fit::Whole),
        ("USERS", Fit::Text(10)),
        ("NOTE", Fit::Text(12)),
        ("ID", Fit::Rank(1)),
    ]);
    for one in all {
        table.row([
            minute(one.since),
            one.reason.clone(),
            one.source.clone(),
            text_if(Some(one.user_ids.join(" ").as_str()).filter(|users| !users.is_empty())),
            text_if(one.note.as_deref()),
            one.suppression_id.clone(),
        ]);
    }
    table
}

fn fields(one: &Suppression) -> Fields {
    Fields::default()
        .with("Suppression", &one.suppression_id)
        .with("Reason", &one.reason)
        .with("Source", &one.source)
        .with("Since", second(one.since))
        .with("Users", one.user_ids.join(" "))
        .with_some("Note", one.note.as_ref())
}
