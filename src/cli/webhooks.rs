//! `relinkd webhooks`: what Plaid sent, what became of it, and applying it once more.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::catch_up;
use super::client::{self, Client, Connection, Failure, moment, path_of, with_query};
use super::letters::{self, Plan};
use super::print::Print;
use super::table::{Fields, Fit, Table, second, text_if};
use super::words;

/// Arguments of `relinkd webhooks`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists webhooks and what became of them, the newest first.
    List(List),
    /// Shows a webhook with its body. Tokens in it are masked.
    Show(One),
    /// Applies a webhook once more; one that was applied before only has Plaid asked about its Item.
    Replay(Replay),
    /// Fetches the webhooks of the last seven days that Plaid sent and that never came, where Plaid gives the account its list.
    CatchUp(catch_up::Args),
}

/// Which webhooks.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those about this Item.
    #[arg(long)]
    pub item: Option<String>,
    /// Only those of which this became.
    #[arg(long, value_parser = PossibleValuesParser::new(["new", "applied", "parked", "noted"]))]
    pub status: Option<String>,
    /// Only those that came at this moment or later, such as 2026-12-01T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// At most so many. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Which webhook.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The webhook's number: the first column of `relinkd webhooks list`.
    pub webhook: u64,
}

/// Which webhook, and whether to do it.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The webhook's number: the first column of `relinkd webhooks list`.
    pub webhook: u64,
    /// Only say what would be done: the steps, and the letters that would follow.
    #[arg(long)]
    pub dry_run: bool,
}

/// A webhook as the API shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Webhook {
    pub(super) id: i64,
    pub(super) received_at: Timestamp,
    pub(super) signed_at: Timestamp,
    pub(super) age: String,
    #[serde(default)]
    source: Option<String>,
    pub(super) status: String,
    pub(super) webhook_type: Option<String>,
    pub(super) webhook_code: Option<String>,
    item_id: Option<String>,
    pub(super) note: Option<String>,
    body: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Preview {
    item_id: Option<String>,
    action: String,
    note: Option<String>,
    steps: Vec<Step>,
    plan: Option<Plan>,
}

#[derive(Debug, Deserialize)]
struct Step {
    event: Value,
    state_before: String,
    state_after: String,
    effects: Value,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let since = list.since.map(|since| since.to_string());
            let filter = [
                ("item_id", list.item.as_deref()),
                ("status", list.status.as_deref()),
                ("since", since.as_deref()),
                ("order", Some("newest")),
            ];
            print.list(client, &with_query("/v1/webhooks", &filter), list.limit, table).await
        }
        Command::Show(One { webhook }) => {
            let answer = client.get(&path_of("webhooks", &webhook.to_string())?).await?;
            print.one(&answer, fields)?;
            if print.is_json() {
                return Ok(());
            }
            match answer.read::<Webhook>()?.body {
                None => print.line("\nIts body was purged, or does not open with any configured data_key."),
                Some(body) => print.text(&format!("\n{body:#}")),
            }
        }
        Command::CatchUp(args) => catch_up::act(client, print, args).await,
        Command::Replay(Replay { webhook, dry_run }) => {
            let path = format!("{}/replay", path_of("webhooks", &webhook.to_string())?);
            let answer = client.post(&path, &json!({ "dry_run": dry_run })).await?;
            if print.is_json() {
                return print.line(answer.json());
            }
            print.text(&said(&answer.read()?, *dry_run))
        }
    }
}

/// The pair of a webhook.
pub(super) fn pair(webhook: &Webhook) -> String {
    match (&webhook.webhook_type, &webhook.webhook_code) {
        (None, None) => text_if(None),
        (kind, code) => format!("{}/{}", text_if(kind.as_deref()), text_if(code.as_deref())),
    }
}

fn table(webhooks: &[Webhook]) -> Table {
    let mut table = Table::new(&[
        ("ID", Fit::Whole),
        ("CAME", Fit::Rank(1)),
        ("WEBHOOK", Fit::Rank(0)),
        ("STATUS", Fit::Whole),
        ("ITEM", Fit::Rank(2)),
        ("NOTE", Fit::Text(10)),
    ]);
    for webhook in webhooks {
        table.row([
            webhook.id.to_string(),
            second(webhook.received_at),
            pair(webhook),
            webhook.status.clone(),
            text_if(webhook.item_id.as_deref()),
            text_if(webhook.note.as_deref()),
        ]);
    }
    table
}

fn fields(webhook: &Webhook) -> Fields {
    let became = match &webhook.note {
        Some(note) => format!("{}: {note}", webhook.status),
        None => webhook.status.clone(),
    };
    let (signed, how) = match webhook.source.as_deref() {
        Some("caught_up") => ("Sent", "caught up with, from Plaid's list; not signed"),
        Some(_) | None => ("Signed", webhook.age.as_str()),
    };
    Fields::default()
        .with("Webhook", webhook.id.to_string())
        .with("What", pair(webhook))
        .with_some("Item", webhook.item_id.as_ref())
        .with("Came", second(webhook.received_at))
        .with(signed, format!("{} ({how})", second(webhook.signed_at)))
        .with("Became", became)
}

/// What a replay does, or would do.
fn said(preview: &Preview, dry_run: bool) -> String {
    let would = if dry_run { "Nothing is done: this is what would be.\n" } else { "" };
    let item = preview.item_id.as_deref().unwrap_or("?");
    let note = preview.note.as_deref().unwrap_or_default();
    let does = match preview.action.as_str() {
        "apply" => format!("It is applied to Item {item}.\n"),
        "ask" => format!(
            "It was applied before, and is not applied again: Plaid is asked how Item {item} is, and the answer decides.\n"
        ),
        "park" => format!("Item {item}: {note}.\n"),
        _ => format!("It is not applied: {note}.\n"),
    };
    let mut text = format!("{would}{does}");
    for step in &preview.steps {
        let effects = words::effects(&step.effects);
        let effects = if effects.is_empty() { String::new() } else { format!("; {effects}") };
        let event = words::event(&step.event);
        text.push_str(&format!("\nStep: {event}: {} -> {}{effects}\n", step.state_before, step.state_after));
    }
    if let Some(plan) = &preview.plan {
        text.push_str(&format!(
            "\nLetters within 30 days, if nothing else happens and Plaid agrees:\n{}",
            letters::said(plan)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(id: i64, more: &Value) -> Webhook {
        let mut webhook = json!({
            "id": id, "received_at": "2026-11-23T09:00:01Z", "signed_at": "2026-11-23T09:00:00Z", "age": "fresh",
            "status": "applied", "webhook_type": "ITEM", "webhook_code": "ERROR",
            "item_id": "DZon9QJZ4lhKJ1Jq7ZAVtPqlP4gbbLUNq5w6k", "note": null,
        });
        webhook.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(webhook).expect("a webhook")
    }

    #[test]
    fn a_list_of_webhooks_and_one() {
        let strange = json!({ "webhook_type": null, "webhook_code": null, "item_id": null, "status": "noted", "note": "not_json" });
        let webhooks = [webhook(18, &strange), webhook(17, &json!({}))];
        insta::assert_snapshot!("webhooks_in_a_pipe", table(&webhooks).render(None).text);
        insta::assert_snapshot!("webhooks_on_80_columns", table(&webhooks).render(Some(80)).text);
        insta::assert_snapshot!("a_webhook", fields(&webhooks[0]).render());
    }

    #[test]
    fn what_a_replay_would_do() {
        let preview: Preview = serde_json::from_value(json!({
            "webhook_id": 17, "item_id": "item-1", "action": "apply", "note": null,
            "steps": [{
                "event": { "login_required": { "code": "ITEM_LOGIN_REQUIRED", "reason": null, "cure": "log_in" } },
                "state_before": "healthy", "state_after": "login_required",
                "effects": [{ "observe": { "not_before": "2026-11-23T09:00:00Z" } }],
            }],
            "plan": {
                "user_id": "user-1", "underway": false,
                "letters": [{ "at": "2026-11-23T09:30:00Z", "lines": [
                    { "item_id": "item-1", "episode": 1, "topic": "reminder", "kind": "login_required", "rung": 0 },
                ] }],
                "then": { "why": "nothing_due", "until": null },
            },
        }))
        .expect("a preview");
        insta::assert_snapshot!("a_dry_run", said(&preview, true));
        let parked = json!({ "webhook_id": 17, "item_id": "item-1", "action": "park", "note": "the Item is not registered: it is kept until it is", "steps": [], "plan": null });
        insta::assert_snapshot!("a_parked_replay", said(&serde_json::from_value(parked).expect("a preview"), false));
    }
}
