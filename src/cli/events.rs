//! `relinkd events`: what the application was told.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{self, Client, Connection, Failure, with_query};
use super::print::Print;
use super::table::{Fit, Table, second, text_if};

/// Arguments of `relinkd events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with events.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists what the application was told, in the order in which it happened.
    List(List),
}

/// Which events.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only of this type, such as item.state_changed or letter.due.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only those about this Item.
    #[arg(long)]
    pub item: Option<String>,
    /// Only those about this user.
    #[arg(long)]
    pub user: Option<String>,
    /// Only those after the event with this number.
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<u64>,
    /// At most so many. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Event {
    id: i64,
    at: Timestamp,
    r#type: String,
    item_id: Option<String>,
    user_id: Option<String>,
    data: Value,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    let Command::List(list) = command;
    let after = list.after.map(|after| after.to_string());
    let filter = [
        ("type", list.kind.as_deref()),
        ("item_id", list.item.as_deref()),
        ("user_id", list.user.as_deref()),
        ("cursor", after.as_deref()),
    ];
    print.list(client, &with_query("/v1/events", &filter), list.limit, table).await
}

fn table(events: &[Event]) -> Table {
    let mut table = Table::new(&[
        ("ID", Fit::Whole),
        ("AT", Fit::Rank(1)),
        ("EVENT", Fit::Whole),
        ("ITEM", Fit::Rank(2)),
        ("USER", Fit::Rank(3)),
        ("DATA", Fit::Text(10)),
    ]);
    for event in events {
        table.row([
            event.id.to_string(),
            second(event.at),
            event.r#type.clone(),
            text_if(event.item_id.as_deref()),
            text_if(event.user_id.as_deref()),
            said(&event.data),
        ]);
    }
    table
}

/// What is said, as `name value`. Lists are counted: the whole is in the JSON.
fn said(data: &Value) -> String {
    let Some(members) = data.as_object() else { return String::new() };
    let words = members.iter().filter_map(|(name, value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{name} {text}")),
        Value::Array(list) => Some(format!("{name} {}", list.len())),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Some(format!("{name} {other}")),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_events() {
        let event = |id, kind: &str, item: Option<&str>, data: Value| Event {
            id,
            at: "2026-11-23T09:00:00Z".parse().expect("a time"),
            r#type: kind.to_owned(),
            item_id: item.map(str::to_owned),
            user_id: Some("user-1".to_owned()),
            data,
        };
        let item = Some("DZon9QJZ4lhKJ1Jq7ZAVtPqlP4gbbLUNq5w6k");
        let events = [
            event(17, "item.state_changed", item, json!({ "from": "healthy", "to": "login_required" })),
            event(18, "letter.due", None, json!({ "language": "en", "passages": [{}], "reason": null })),
        ];
        insta::assert_snapshot!("events_in_a_pipe", table(&events).render(None).text);
        insta::assert_snapshot!("events_on_80_columns", table(&events).render(Some(80)).text);
    }
}
