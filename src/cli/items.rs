//! `relinkd items`: what is connected, how it is, and what can be done about it.

use std::path::Path;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Subcommand};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::{self, Client, Connection, Failure, moment, path_of, with_query};
use super::print::Print;
use super::table::{Fields, Fit, Table, minute, minute_if, second, text_if};
use super::{export, import};
use crate::domain::item::{State, UNTIL_RESUMED};
use crate::domain::ladder::parse_duration;

/// Arguments of `relinkd items`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with Items.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists Items, in the order of their ids. Removed ones only with --state removed.
    List(List),
    /// Shows an Item: its state, its open conditions, and when the next letter about it may leave.
    Show(One),
    /// Asks Plaid now how an Item is, and shows it.
    Observe(One),
    /// Forgets an Item: its access token is deleted here, and nobody is written to about it any more.
    Remove(Remove),
    /// Writes no letters about an Item for a while.
    Snooze(Snooze),
    /// Writes letters about a snoozed Item again.
    Resume(One),
    /// Has Plaid send the webhooks of Items here that it sends elsewhere. `items list --astray` shows which.
    Adopt(super::adopt::Args),
    /// Makes a link to the repair page of an Item's user, for a message of your own. Whoever has it can use it.
    RepairLink(One),
    /// Registers many Items from a file: CSV with a header, or JSON lines. They are held: see `relinkd letters release`.
    ///
    /// The columns are item_id, user_id and access_token, and optionally institution_id, institution_name and country_codes
    /// (such as "US CA"). A row that says what is known changes nothing, so an import may be run again.
    Import(import::Args),
    /// Writes all Items, but for removed ones, to a file or standard output. Without access tokens: they leave the store only
    /// towards Plaid.
    Export(export::Args),
}

/// Which Items.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only Items in this state.
    #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(State::name)))]
    pub state: Option<String>,
    /// Only Items of this user.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only Items at this bank, by Plaid's id of it.
    #[arg(long, value_name = "ID")]
    pub institution: Option<String>,
    /// Only Items whose webhooks Plaid sends to another address, or to none.
    #[arg(long)]
    pub astray: bool,
    /// At most so many. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Which Item.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The Item, by Plaid's id of it.
    pub item: String,
}

/// Which Item to remove, and where.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// The Item, by Plaid's id of it.
    pub item: String,
    /// Remove it at Plaid first: then its access token is worth nothing any more, and Plaid no longer bills it.
    #[arg(long)]
    pub at_plaid: bool,
}

/// Which Item to leave alone, and how long.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("how_long").required(true).args(["until", "duration"])))]
pub struct Snooze {
    /// The Item, by Plaid's id of it.
    pub item: String,
    /// Until this moment, such as 2026-12-01T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// For so long from now on, such as 12h or 3d.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<SignedDuration>,
}

/// An Item as the API shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) item_id: String,
    pub(super) user_id: String,
    pub(super) state: String,
    since: Timestamp,
    conditions: Vec<Condition>,
    token: String,
    institution_id: Option<String>,
    pub(super) institution_name: Option<String>,
    consent_expires_at: Option<Timestamp>,
    observed_at: Option<Timestamp>,
    impaired: Option<Impaired>,
    superseded_by: Option<String>,
    snoozed_until: Option<Timestamp>,
    webhooks_go: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    kind: String,
    since: Timestamp,
    code: Option<String>,
    reason: Option<String>,
    deadline: Option<Timestamp>,
    letters: u32,
    next_letter_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Impaired {
    since: Timestamp,
    code: String,
    remedy: String,
}

#[derive(Debug, Deserialize)]
struct RepairLink {
    url: String,
    expires_at: Timestamp,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = [
                ("state", list.state.as_deref()),
                ("user_id", list.user.as_deref()),
                ("institution_id", list.institution.as_deref()),
                ("astray", list.astray.then_some("true")),
            ];
            print.list(client, &with_query("/v1/items", &filter), list.limit, table).await
        }
        Command::Import(args) => import::run(client, print, import::Kind::Items, args).await,
        Command::Export(args) => export::items(client, print, args).await,
        Command::Show(One { item }) => {
            let answer = client.get(&path_of("items", item)?).await?;
            print.one(&answer, fields)
        }
        Command::Observe(One { item }) => {
            let answer = client.post(&format!("{}/observe", path_of("items", item)?), &json!({})).await?;
            print.one(&answer, fields)
        }
        Command::Remove(Remove { item, at_plaid }) => {
            let path = path_of("items", item)?;
            client.call(Method::DELETE, &with_query(&path, &[("at_plaid", at_plaid.then_some("true"))]), None).await?;
            let done = if *at_plaid { "removed at Plaid and forgotten here" } else { "forgotten here" };
            print.note(&format!("The Item is {done}."));
            Ok(())
        }
        Command::Snooze(snooze) => {
            // The daemon's clock decides how long that is.
            let wait = snooze.duration.map(|wait| format!("{}s", wait.as_secs()));
            let body = json!({ "until": snooze.until, "for": wait });
            let answer = client.post(&format!("{}/snooze", path_of("items", &snooze.item)?), &body).await?;
            print.one(&answer, fields)
        }
        Command::Resume(One { item }) => {
            let answer = client.post(&format!("{}/resume", path_of("items", item)?), &json!({})).await?;
            print.one(&answer, fields)
        }
        Command::Adopt(args) => super::adopt::run(client, print, args).await,
        Command::RepairLink(One { item }) => {
            let answer = client.post(&format!("{}/repair-link", path_of("items", item)?), &json!({})).await?;
            if print.is_json() {
                return print.line(answer.json());
            }
            let link: RepairLink = answer.read()?;
            print.line(&link.url)?;
            print.note(&format!("It works until {}.", second(link.expires_at)));
            Ok(())
        }
    }
}

fn table(items: &[Item]) -> Table {
    let mut table = Table::new(&[
        ("ITEM", Fit::Whole),
        ("STATE", Fit::Whole),
        ("SINCE", Fit::Rank(1)),
        ("USER", Fit::Rank(2)),
        ("BANK", Fit::Text(12)),
        ("NEXT LETTER", Fit::Rank(3)),
    ]);
    for item in items {
        let next = item.conditions.iter().find_map(|condition| condition.next_letter_at);
        table.row([
            item.item_id.clone(),
            item.state.clone(),
            minute(item.since),
            item.user_id.clone(),
            text_if(item.institution_name.as_deref().or(item.institution_id.as_deref())),
            minute_if(next),
        ]);
    }
    table
}

pub(super) fn fields(item: &Item) -> Fields {
    let bank = match (&item.institution_name, &item.institution_id) {
        (Some(name), Some(id)) => Some(format!("{name} ({id})")),
        (name, id) => name.clone().or_else(|| id.clone()),
    };
    let fields = Fields::default()
        .with("Item", &item.item_id)
        .with("User", &item.user_id)
        .with_some("Bank", bank)
        .with("State", format!("{} since {}", item.state, second(item.since)));
    let fields = item.conditions.iter().fold(fields, |fields, open| fields.with("Open", condition(open)));
    fields
        .with_some("Token", (item.token != "proven").then(|| token(&item.token)))
        .with_some("Consent ends", item.consent_expires_at.map(second))
        .with_some("Impaired", item.impaired.as_ref().map(|down| format!("{} since {}", down.code, second(down.since))))
        .with_some("What to do", item.impaired.as_ref().map(|down| down.remedy.as_str()))
        .with_some("Webhooks", item.webhooks_go.as_deref().and_then(astray))
        .with_some("Superseded by", item.superseded_by.as_ref())
        .with_some("Snoozed until", item.snoozed_until.map(pause_ends))
        .with("Observed", item.observed_at.map_or_else(|| "never".to_owned(), second))
}

fn condition(open: &Condition) -> String {
    let mut said = format!("{} since {}", open.kind, second(open.since));
    let code = open.code.iter().chain(&open.reason).map(String::as_str).collect::<Vec<_>>().join(", ");
    if !code.is_empty() {
        said.push_str(&format!(" ({code})"));
    }
    if let Some(deadline) = open.deadline {
        said.push_str(&format!(", ends {}", second(deadline)));
    }
    match open.letters {
        0 => said.push_str(", no letter yet"),
        1 => said.push_str(", 1 letter"),
        more => said.push_str(&format!(", {more} letters")),
    }
    if let Some(at) = open.next_letter_at {
        said.push_str(&format!(", the next not before {}", second(at)));
    }
    said
}

/// When letters about an Item are written again.
fn pause_ends(until: Timestamp) -> String {
    if until >= UNTIL_RESUMED { "resumed: its user stopped letters about it".to_owned() } else { second(until) }
}

/// What is to be said about webhooks that do not come here.
fn astray(destination: &str) -> Option<String> {
    (destination != "here").then(|| format!("go {destination}: `relinkd items adopt` has Plaid send them here"))
}

/// What a token that is not proven means.
pub(super) fn token(token: &str) -> String {
    let meaning = match token {
        "unproven" => "unproven: nobody is written to until Plaid has answered a question with it",
        "foreign" => "foreign: it opens another Item; register this one again with its own token",
        "refused" => "refused: Plaid does not take it; register the Item again with the present token",
        other => other,
    };
    meaning.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn items() -> Vec<Item> {
        let condition = |kind: &str, more: Value| {
            let mut condition = json!({
                "kind": kind, "episode": 3, "since": "2026-11-23T09:00:00Z", "code": null, "reason": null,
                "deadline": null, "letters": 0, "next_letter_at": null,
            });
            let known = condition.as_object_mut().expect("an object");
            known.extend(more.as_object().expect("an object").clone());
            condition
        };
        let item = |id: &str, state: &str, conditions: Vec<Value>, more: Value| -> Item {
            let mut item = json!({
                "item_id": id, "user_id": "user-1", "state": state, "since": "2026-11-23T09:00:00Z",
                "conditions": conditions, "token": "proven", "institution_id": "ins_109508",
                "institution_name": "First Platypus Bank", "consent_expires_at": null,
                "observed_at": "2026-11-23T09:00:01.5Z", "impaired": null, "superseded_by": null, "snoozed_until": null,
                "a_field_of_a_newer_daemon": 1,
            });
            item.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            serde_json::from_value(item).expect("an Item")
        };
        let broken = json!({
            "code": "ITEM_LOGIN_REQUIRED", "reason": "OAUTH_INVALID_TOKEN", "letters": 2, "next_letter_at": "2026-11-30T09:00:00Z",
        });
        let ends = json!({ "deadline": "2026-12-01T00:00:00Z", "letters": 1 });
        vec![
            item("DZon9QJZ4lhKJ1Jq7ZAVtPqlP4gbbLUNq5w6k", "healthy", Vec::new(), json!({})),
            item(
                "eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBFL9DrE6",
                "login_required",
                vec![condition("login_required", broken), condition("pending_expiration", ends)],
                json!({ "snoozed_until": "2026-11-25T00:00:00Z", "consent_expires_at": "2026-12-01T00:00:00Z" }),
            ),
            item(
                "strange",
                "healthy",
                Vec::new(),
                json!({
                    "token": "foreign", "institution_name": null, "institution_id": null, "observed_at": null,
                    "impaired": { "since": "2026-11-23T09:00:00Z", "code": "INSTITUTION_DOWN\u{1b}[31m",
                        "remedy": "wait: the bank is down, and it is asked again" },
                    "superseded_by": "newer", "snoozed_until": "9999-01-01T00:00:00Z",
                }),
            ),
        ]
    }

    #[test]
    fn a_list_of_items() {
        insta::assert_snapshot!("items_in_a_pipe", table(&items()).render(None).text);
        insta::assert_snapshot!("items_on_80_columns", table(&items()).render(Some(80)).text);
    }

    #[test]
    fn items_one_by_one() {
        let all: Vec<String> = items().iter().map(|item| fields(item).render()).collect();
        insta::assert_snapshot!("items_one_by_one", all.join("\n"));
    }
}
