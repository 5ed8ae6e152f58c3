//! `relinkd explain ITEM`: the whole why of an Item on one screen.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{self, Connection, path_of};
use super::items::{Item, fields};
use super::letters::{self, Letter, Plan};
use super::table::{Fit, Table, second};
use super::webhooks::{Webhook, pair};
use super::words;

/// Says why an Item is as it is, why its user was written to, and what comes next: webhook, verdict, step, letter, outcome.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// The Item, by Plaid's id of it.
    pub item: String,
}

/// What the API says. What happened is newest first.
#[derive(Debug, Deserialize)]
struct Explanation {
    item: Item,
    webhooks: Vec<Webhook>,
    journal: Vec<Step>,
    letters: Vec<Letter>,
    quiet: Option<String>,
    plan: Option<Plan>,
}

#[derive(Debug, Deserialize)]
struct Step {
    at: Timestamp,
    cause: String,
    event: Value,
    state_before: String,
    state_after: String,
    effects: Value,
}

/// Explains.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| {
        let answer = client.get(&format!("{}/explain", path_of("items", &args.item)?)).await?;
        if print.is_json() {
            return print.line(answer.json());
        }
        print.text(&said(&answer.read()?))
    })
}

fn said(why: &Explanation) -> String {
    let mut text = fields(&why.item).render();
    text.push_str("\nWhat happened\n\n");
    text.push_str(&story(why).render(None).text);
    text.push_str("\nWhat comes next, if nothing happens and Plaid agrees\n\n");
    if let Some(quiet) = &why.quiet {
        text.push_str(&format!("  No letter about this Item now: {}.\n", words::quiet(quiet)));
    }
    match &why.plan {
        Some(plan) => text.push_str(&letters::said(plan)),
        None => text.push_str(&format!("  No letter to {}: no such user is known.\n", why.item.user_id)),
    }
    text
}

/// What happened, oldest first. At the same moment a webhook comes before its step, and a step before its letter's outcome.
fn story(why: &Explanation) -> Table {
    let mut rows: Vec<(Timestamp, u8, [String; 3])> = Vec::new();
    for webhook in why.webhooks.iter().rev() {
        let note = webhook.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        let age = if webhook.age == "fresh" { String::new() } else { format!(" (signed {})", webhook.age) };
        let what = format!("{}{age} -> {}{note}", pair(webhook), webhook.status);
        rows.push((webhook.received_at, 0, [second(webhook.received_at), format!("webhook {}", webhook.id), what]));
    }
    for step in why.journal.iter().rev() {
        let mut what = words::event(&step.event);
        if step.state_before != step.state_after {
            what.push_str(&format!(": {} -> {}", step.state_before, step.state_after));
        }
        let effects = words::effects(&step.effects);
        if !effects.is_empty() {
            what.push_str(&format!("; {effects}"));
        }
        rows.push((step.at, 1, [second(step.at), step.cause.clone(), what]));
    }
    for letter in why.letters.iter().rev() {
        let Some(at) = letter.settled_at else { continue };
        rows.push((at, 2, [second(at), format!("letter {}", letter.letter_id), letter.fate()]));
    }
    rows.sort_by_key(|(at, order, _)| (*at, *order));
    let mut table = Table::new(&[("WHEN", Fit::Whole), ("FROM", Fit::Whole), ("WHAT", Fit::Text(20))]);
    for (_, _, row) in rows {
        table.row(row);
    }
    table
}
