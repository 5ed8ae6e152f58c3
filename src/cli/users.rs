//! `relinkd users`: whom letters go to, and what they wish.

use std::path::Path;
use std::process::ExitCode;

use clap::{ArgGroup, Subcommand};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::client::{self, Client, Connection, Failure, moment, path_of, with_query};
use super::print::Print;
use super::table::{Fields, Fit, Table, minute, second, text_if};
use super::{export, import};
use crate::domain::contact::EmailAddress;
use crate::domain::ladder::parse_duration;

/// Arguments of `relinkd users`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists users, in the order of their ids. Addresses are masked; `show` and --json have them whole.
    List(List),
    /// Shows a user.
    Show(One),
    /// Registers a user, or changes what is given and keeps the rest.
    Set(Set),
    /// Writes no letters to a user any more.
    Stop(One),
    /// Writes no letters to a user for a while.
    Snooze(Snooze),
    /// Writes letters to a user again.
    Resume(One),
    /// Erases a user for good: address, name and links, and the access tokens of the Items here.
    Erase(One),
    /// Registers many users from a file: CSV with a header, or JSON lines.
    ///
    /// The columns are user_id and email, and optionally name, locale, time_zone, stopped_at, suppressed_at and snoozed_until. A
    /// row that says what is known changes nothing, so an import may be run again. A wish for no letters is never taken back.
    Import(import::Args),
    /// Writes all users with their addresses to a file that only you may read, or to standard output.
    Export(export::Args),
}

/// Which users.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only who has this address, in whatever case.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// At most so many. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Which user.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The user, by your own id.
    pub user: String,
}

/// What is known of a user.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["email", "name", "locale", "time_zone"])))]
pub struct Set {
    /// The user, by your own id.
    pub user: String,
    /// Where letters go. Needed for a new user.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// What to call the user.
    #[arg(long)]
    pub name: Option<String>,
    /// The user's language, such as en.
    #[arg(long)]
    pub locale: Option<String>,
    /// The user's time zone, such as America/New_York.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
}

/// Whom to leave alone, and how long.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("how_long").required(true).args(["until", "duration"])))]
pub struct Snooze {
    /// The user, by your own id.
    pub user: String,
    /// Until this moment, such as 2026-12-01T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// For so long from now on, such as 12h or 3d.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<SignedDuration>,
}

/// A user as the API shows it.
#[derive(Debug, Default, Deserialize)]
struct User {
    user_id: String,
    email: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    time_zone: Option<String>,
    stopped_at: Option<Timestamp>,
    suppressed_at: Option<Timestamp>,
    snoozed_until: Option<Timestamp>,
    silence: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    let answer = match command {
        Command::List(list) => {
            let path = with_query("/v1/users", &[("email", list.email.as_deref())]);
            return print.list(client, &path, list.limit, table).await;
        }
        Command::Import(args) => return import::run(client, print, import::Kind::Users, args).await,
        Command::Export(args) => return export::users(client, print, args).await,
        Command::Show(One { user }) => client.get(&path_of("users", user)?).await?,
        Command::Set(set) => put(client, set).await?,
        Command::Stop(One { user }) => client.post(&format!("{}/stop", path_of("users", user)?), &json!({})).await?,
        Command::Snooze(snooze) => {
            // The daemon's clock decides how long that is.
            let wait = snooze.duration.map(|wait| format!("{}s", wait.as_secs()));
            let body = json!({ "until": snooze.until, "for": wait });
            client.post(&format!("{}/snooze", path_of("users", &snooze.user)?), &body).await?
        }
        Command::Resume(One { user }) => {
            client.post(&format!("{}/resume", path_of("users", user)?), &json!({})).await?
        }
        Command::Erase(One { user }) => {
            client.call(Method::DELETE, &path_of("users", user)?, None).await?;
            print.note("The user is erased: nothing personal is left here.");
            return Ok(());
        }
    };
    print.one(&answer, fields)
}

/// PUT replaces all: what is not given is taken from what is there.
async fn put(client: &Client, set: &Set) -> Result<client::Answer, Failure> {
    let path = path_of("users", &set.user)?;
    let known: User = match client.get(&path).await {
        Ok(answer) => answer.read()?,
        Err(Failure::Refused { status: StatusCode::NOT_FOUND, .. }) => User::default(),
        Err(failure) => return Err(failure),
    };
    let chosen = |given: &Option<String>, known: Option<String>| given.clone().or(known);
    let body = json!({
        "email": chosen(&set.email, known.email),
        "name": chosen(&set.name, known.name),
        "locale": chosen(&set.locale, known.locale),
        "time_zone": chosen(&set.time_zone, known.time_zone),
    });
    client.call(Method::PUT, &path, Some(&body)).await
}

fn table(users: &[User]) -> Table {
    let mut table = Table::new(&[
        ("USER", Fit::Whole),
        ("ADDRESS", Fit::Text(12)),
        ("NAME", Fit::Text(8)),
        ("LETTERS", Fit::Whole),
        ("TIME ZONE", Fit::Rank(2)),
        ("SINCE", Fit::Rank(1)),
    ]);
    for user in users {
        let masked = user.email.as_deref().map(|email| EmailAddress::parse(email).map(|email| email.masked()));
        table.row([
            user.user_id.clone(),
            text_if(masked.and_then(Result::ok).as_deref()),
            text_if(user.name.as_deref()),
            letters(user, minute),
            text_if(user.time_zone.as_deref()),
            minute(user.created_at),
        ]);
    }
    table
}

fn fields(user: &User) -> Fields {
    Fields::default()
        .with("User", &user.user_id)
        .with("Address", text_if(user.email.as_deref()))
        .with_some("Name", user.name.as_ref())
        .with("Letters", letters(user, second))
        .with_some("Locale", user.locale.as_ref())
        .with_some("Time zone", user.time_zone.as_ref())
        .with("Known since", second(user.created_at))
        .with("Changed", second(user.updated_at))
}

/// Whether letters go to a user, and if not, why.
fn letters(user: &User, moment: impl Fn(Timestamp) -> String) -> String {
    let since = |at: Option<Timestamp>, what: &str| text_if(at.map(|at| format!("{what} {}", moment(at))).as_deref());
    match (user.silence.as_deref(), user.snoozed_until) {
        (Some("stopped"), _) => since(user.stopped_at, "stopped"),
        (Some("suppressed"), _) => since(user.suppressed_at, "address takes none since"),
        (Some(silence), _) => silence.replace('_', " "),
        (None, Some(until)) => format!("snoozed until {}", moment(until)),
        (None, None) => "yes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_users_and_one() {
        let user = |id: &str, more: serde_json::Value| -> User {
            let mut user = json!({
                "user_id": id, "email": "user@example.com", "name": "A. User", "locale": "en", "time_zone": "Europe/Berlin",
                "stopped_at": null, "suppressed_at": null, "snoozed_until": null, "silence": null,
                "created_at": "2026-11-23T09:00:00Z", "updated_at": "2026-11-23T09:00:00Z",
            });
            user.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            serde_json::from_value(user).expect("a user")
        };
        let users = [
            user("user-1", json!({})),
            user(
                "user-2",
                json!({ "email": null, "name": null, "locale": null, "time_zone": null, "silence": "no_address" }),
            ),
            user("user-3", json!({ "stopped_at": "2026-11-24T09:00:00Z", "silence": "stopped" })),
            user("user-4", json!({ "suppressed_at": "2026-11-24T09:00:00Z", "silence": "suppressed" })),
            user("user-5", json!({ "snoozed_until": "2026-11-24T09:00:00Z" })),
            // Letters go out by the application.
            user("user-6", json!({ "email": null, "name": null })),
        ];
        insta::assert_snapshot!("users_in_a_pipe", table(&users).render(None).text);
        insta::assert_snapshot!("users_on_80_columns", table(&users).render(Some(80)).text);
        insta::assert_snapshot!("a_user", fields(&users[2]).render());
    }
}
