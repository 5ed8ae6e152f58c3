//! `relinkd letters`: what was written to whom, what became of it, and what will be written.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::client::{self, Client, Connection, Failure, path_of, with_query};
use super::print::Print;
use super::release;
use super::table::{Fields, Fit, Table, minute, minute_if, plain, second, text_if};
use super::words;
use crate::domain::ladder::parse_duration;

/// What can have become of a letter.
const STATUSES: [&str; 9] =
    ["composed", "leased", "data_started", "accepted", "deferred", "bounced", "uncertain", "withheld", "written_down"];

/// Arguments of `relinkd letters`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which daemon, and how to print.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with letters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists letters and what became of them, the newest first.
    List(List),
    /// Shows a letter: what it said about which Item, and what the mail server answered.
    Show(One),
    /// Says who will be written to, when and about what; and who not, and why not.
    Plan(Next),
    /// Shows or sets how fast letters about Items that an import found broken are released.
    ///
    /// Adopting many Items must not mail thousands in an hour, so such letters wait. A release counts users: who has several
    /// broken Items gets one letter. Only who can be written to is released.
    Release(release::Args),
}

/// Which letters.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only to this user.
    #[arg(long)]
    pub user: Option<String>,
    /// Only those that speak of this Item.
    #[arg(long)]
    pub item: Option<String>,
    /// Only those of which this became.
    #[arg(long, value_parser = PossibleValuesParser::new(STATUSES))]
    pub status: Option<String>,
    /// At most so many. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Which letter.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The letter, by its id.
    pub letter: String,
}

/// Whose letters, and how far ahead.
#[derive(Debug, clap::Args)]
pub struct Next {
    /// How far to look ahead, at most 30d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "24h")]
    pub next: SignedDuration,
    /// Only this user.
    #[arg(long)]
    pub user: Option<String>,
    /// At most so many users. Without it a table has 100, and JSON all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// A letter as the API shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Letter {
    pub(super) letter_id: String,
    user_id: String,
    composed_at: Timestamp,
    pub(super) status: String,
    subject: Option<String>,
    language: Option<String>,
    due_at: Option<Timestamp>,
    attempts: u32,
    pub(super) reply: Option<String>,
    pub(super) note: Option<String>,
    pub(super) bounce: Option<String>,
    pub(super) settled_at: Option<Timestamp>,
    lines: Vec<Line>,
}

impl Letter {
    /// What became of it, and who says so: what came back later is newer than what the mail server said.
    pub(super) fn fate(&self) -> String {
        let came_back = self.status == "bounced" || self.bounce.is_some();
        let (first, second) = if came_back { (&self.note, &self.reply) } else { (&self.reply, &self.note) };
        let back = match self.bounce.as_deref() {
            Some("complaint") => ", then called spam",
            Some("soft") if self.status == "accepted" => ", then delayed or not delivered",
            Some(_) | None => "",
        };
        // The word that it was taken is no reason why it came back.
        let second = second.as_ref().filter(|said| !(came_back && said.starts_with('2')));
        let said = first.as_ref().or(second).map(|said| format!(": {said}")).unwrap_or_default();
        format!("{}{back}{said}", self.status)
    }
}

#[derive(Debug, Deserialize)]
struct Line {
    item_id: String,
    topic: String,
    kind: Option<String>,
    rung: Option<u8>,
    #[serde(default)]
    dropped: bool,
}

/// What a user will be written, as the API says it.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    user_id: String,
    underway: bool,
    underway_until: Option<Timestamp>,
    underway_why: Option<String>,
    pause: Option<Pause>,
    letters: Vec<Planned>,
    then: Then,
}

#[derive(Debug, Deserialize)]
struct Pause {
    since: Timestamp,
    note: String,
}

#[derive(Debug, Deserialize)]
struct Planned {
    at: Timestamp,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Then {
    why: String,
    until: Option<Timestamp>,
}

/// Does it.
#[must_use]
pub fn run(config: &Path, args: &Args) -> ExitCode {
    client::run(config, &args.connection, async |client, print| act(client, print, &args.command).await)
}

async fn act(client: &Client, print: &mut Print, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Release(args) => release::run(client, print, args).await,
        Command::List(list) => {
            let filter = [
                ("user_id", list.user.as_deref()),
                ("item_id", list.item.as_deref()),
                ("status", list.status.as_deref()),
            ];
            print.list(client, &with_query("/v1/letters", &filter), list.limit, table).await
        }
        Command::Show(One { letter }) => {
            let answer = client.get(&path_of("letters", letter)?).await?;
            print.one(&answer, fields)
        }
        Command::Plan(plan) => {
            let next = format!("{}s", plan.next.as_secs());
            let filter = [("next", Some(next.as_str())), ("user_id", plan.user.as_deref())];
            print.list(client, &with_query("/v1/letters/plan", &filter), plan.limit, plans).await
        }
    }
}

fn table(letters: &[Letter]) -> Table {
    let mut table = Table::new(&[
        ("LETTER", Fit::Whole),
        ("COMPOSED", Fit::Rank(1)),
        ("USER", Fit::Rank(2)),
        ("STATUS", Fit::Whole),
        ("SUBJECT", Fit::Text(10)),
        ("NOTE", Fit::Text(10)),
    ]);
    for letter in letters {
        table.row([
            letter.letter_id.clone(),
            minute(letter.composed_at),
            letter.user_id.clone(),
            letter.status.clone(),
            text_if(letter.subject.as_deref()),
            text_if(letter.note.as_deref()),
        ]);
    }
    table
}

fn fields(letter: &Letter) -> Fields {
    let fields = Fields::default()
        .with("Letter", &letter.letter_id)
        .with("User", &letter.user_id)
        .with_some("Subject", letter.subject.as_ref())
        .with_some("Language", letter.language.as_ref())
        .with("Composed", second(letter.composed_at))
        .with("Status", &letter.status)
        .with_some("Tried again", letter.due_at.map(second))
        .with_some("Settled", letter.settled_at.map(second))
        .with("Attempts", letter.attempts.to_string())
        .with_some("Reply", letter.reply.as_ref())
        .with_some("Came back", letter.bounce.as_ref())
        .with_some("Note", letter.note.as_ref());
    letter.lines.iter().fold(fields, |fields, line| fields.with("Says", says(line, &letter.status)))
}

fn says(line: &Line, status: &str) -> String {
    let taken_out = match (line.dropped, status) {
        (false, _) => "",
        (true, "bounced") => "; not delivered, so another address would get it",
        (true, _) => "; taken out, since it was not so any more",
    };
    format!("{}: {}{taken_out}", line.item_id, words::topic(&line.topic, line.kind.as_deref(), line.rung))
}

/// Why a letter does not leave that is due.
const PAUSED: &str = "due, but all letters wait: relinkd pause show";

/// One row a letter that will be written; and one for who gets none, or none after these.
fn plans(plans: &[Plan]) -> Table {
    let mut table =
        Table::new(&[("USER", Fit::Whole), ("WHEN", Fit::Whole), ("LETTER", Fit::Text(20)), ("WHY", Fit::Text(20))]);
    for plan in plans {
        if plan.underway {
            let (when, why) = match (plan.underway_until, &plan.pause) {
                (Some(until), _) => (minute(until), text_if(plan.underway_why.as_deref())),
                (None, Some(_)) => ("later".to_owned(), PAUSED.to_owned()),
                (None, None) => ("now".to_owned(), String::new()),
            };
            table.row([plan.user_id.clone(), when, "on its way".to_owned(), why]);
        }
        let due = if plan.pause.is_some() { PAUSED } else { "due" };
        for letter in &plan.letters {
            let lines: Vec<String> = letter.lines.iter().map(|line| says(line, "planned")).collect();
            table.row([plan.user_id.clone(), minute(letter.at), lines.join("; "), due.to_owned()]);
        }
        if plan.letters.is_empty() && !plan.underway {
            let until = plan.then.until.map(|_| "later").unwrap_or("none");
            let why = match plan.then.until {
                Some(_) => format!("{}; looks again {}", words::why(&plan.then.why), minute_if(plan.then.until)),
                None => words::why(&plan.then.why).to_owned(),
            };
            table.row([plan.user_id.clone(), until.to_owned(), String::new(), why]);
        }
    }
    table
}

/// What one user will be written, a line each.
pub(super) fn said(plan: &Plan) -> String {
    let mut text = String::new();
    if let Some(pause) = &plan.pause {
        let (since, note) = (second(pause.since), plain(&pause.note));
        text.push_str(&format!("  All letters wait since {since}: {note}. Next: relinkd pause show\n"));
    }
    match plan.underway_until {
        Some(until) => {
            let why = plain(plan.underway_why.as_deref().unwrap_or_default());
            text.push_str(&format!("  {}  a letter to {} is tried again: {why}\n", second(until), plan.user_id));
        }
        None if plan.underway => {
            text.push_str(&format!("  now                   a letter to {} is on its way\n", plan.user_id));
        }
        None => {}
    }
    for letter in &plan.letters {
        let lines: Vec<String> = letter.lines.iter().map(|line| says(line, "planned")).collect();
        text.push_str(&format!("  {}  to {}: {}\n", second(letter.at), plan.user_id, lines.join("; ")));
    }
    let no = if plan.letters.is_empty() { "No letter" } else { "Then none" };
    match plan.then.until {
        Some(until) => text.push_str(&format!("  {no} before {}: {}\n", second(until), words::why(&plan.then.why))),
        None => text.push_str(&format!("  {no}: {}\n", words::why(&plan.then.why))),
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_letters_and_one() {
        let letter: Letter = serde_json::from_value(json!({
            "letter_id": "019aafc2-7f00-7000-8000-000000000001", "user_id": "user-1",
            "composed_at": "2026-11-23T09:30:00Z", "status": "accepted",
            "subject": "First Platypus Bank is no longer connected", "language": "en", "due_at": null, "attempts": 1,
            "reply": "250 2.0.0 Ok: queued\u{1b}[2J", "note": null, "settled_at": "2026-11-23T09:30:02Z",
            "lines": [
                { "item_id": "item-1", "episode": 1, "topic": "reminder", "kind": "login_required", "rung": 0, "dropped": false },
                { "item_id": "item-2", "episode": 4, "topic": "works_again", "kind": null, "rung": null, "dropped": true },
            ],
        }))
        .expect("a letter");
        insta::assert_snapshot!("a_letter", fields(&letter).render());
        let letters = [letter];
        insta::assert_snapshot!("letters_in_a_pipe", table(&letters).render(None).text);
        insta::assert_snapshot!("letters_on_80_columns", table(&letters).render(Some(80)).text);
    }

    #[test]
    fn who_is_written_to_and_who_not() {
        let plan = |user: &str, letters: serde_json::Value, why: &str, until: Option<&str>| -> Plan {
            let plan = json!({ "user_id": user, "underway": false, "letters": letters, "then": { "why": why, "until": until } });
            serde_json::from_value(plan).expect("a plan")
        };
        let line =
            json!({ "item_id": "item-1", "episode": 1, "topic": "reminder", "kind": "login_required", "rung": 1 });
        let letters = json!([{ "at": "2026-11-24T09:00:00Z", "lines": [line] }]);
        let all = [
            plan("user-1", letters, "not_due", Some("2026-11-26T09:00:00Z")),
            plan("user-2", json!([]), "stopped", None),
            plan("user-3", json!([]), "user_gap", Some("2026-11-25T09:00:00Z")),
        ];
        insta::assert_snapshot!("plans_in_a_pipe", plans(&all).render(None).text);
        insta::assert_snapshot!("a_plan_in_words", said(&all[0]));
        let waits = json!({
            "user_id": "user-4", "underway": true, "underway_until": "2026-11-24T08:00:00Z",
            "underway_why": "it is night where the user is", "letters": [], "then": { "why": "underway", "until": null },
            "pause": { "why": "sender", "note": "550 5.7.515\u{1b}[2J", "since": "2026-11-23T20:00:00Z", "until": null },
        });
        let waits: Plan = serde_json::from_value(waits).expect("a plan");
        insta::assert_snapshot!(
            "a_letter_that_waits",
            format!("{}{}", plans(std::slice::from_ref(&waits)).render(None).text, said(&waits))
        );
    }
}
