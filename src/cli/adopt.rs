//! `relinkd items adopt`: has Plaid send webhooks here that it sends elsewhere.
//!
//! One Item after the other, within the daemon's budget for calls to Plaid. What is done stays done: after a stop the command
//! goes on with what is left, since an adopted Item is not in the list any more.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Failure, path_of};
use super::print::Print;

/// Which Items to adopt.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// These Items, by Plaid's ids of them.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub items: Vec<String>,
    /// All Items of which Plaid said that their webhooks go elsewhere, or nowhere.
    #[arg(long)]
    pub all: bool,
}

#[derive(Deserialize)]
struct Entry {
    item_id: String,
}

pub(super) async fn run(client: &Client, print: &mut Print, args: &Args) -> Result<(), Failure> {
    let items = if args.all { astray(client).await? } else { args.items.clone() };
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new(items.len() as u64).with_style(style()),
        false => ProgressBar::hidden(),
    };
    let (mut adopted, mut refused) = (0, Vec::new());
    for item in &items {
        match client.post(&format!("{}/adopt", path_of("items", item)?), &json!({})).await {
            Ok(answer) => {
                adopted += 1;
                if print.is_json() {
                    print.line(answer.json())?;
                }
            }
            // One Item's trouble is not the others'.
            Err(error @ Failure::Refused { .. }) => {
                bar.suspend(|| eprintln!("Item {item}: {error}"));
                refused.push(item);
            }
            Err(error) => return Err(error),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let noun = if adopted == 1 { "Item" } else { "Items" };
    print.note(&format!("Plaid sends the webhooks of {adopted} {noun} here now."));
    match refused.len() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!("{count} of {} are not adopted; run the command again.", items.len()))),
    }
}

async fn astray(client: &Client) -> Result<Vec<String>, Failure> {
    let mut items = Vec::new();
    let entry = |answer: super::client::Answer| {
        items.push(answer.read::<Entry>()?.item_id);
        Ok(())
    };
    client.list("/v1/items?astray=true", None, entry).await?;
    Ok(items)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos} of {len} Items, {eta} left").expect("a template of ours")
}
