//! `relinkd items import` and `relinkd users import`: many rows from a file, in parts that the daemon takes one by one.
//!
//! What is wrong with a row is said with file and line, and does not stop the others. An import that breaks off says where to
//! go on; run again from its start it is right too, for a row that says the same changes nothing.

mod file;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::client::{Client, Failure};
use super::print::Print;
pub use file::Format;
use file::{Row, Rows};

/// Rows a request: what the API takes at most.
const BATCH: usize = crate::web::api::IMPORT_ROWS_MAX;

/// Requests on their way at once: while the daemon writes one, it reads the next.
const IN_FLIGHT: usize = 2;

/// How many faults are said. A file with more of them has one reason for most.
const FAULTS_MAX: u64 = 100;

/// Which file, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file, `-` for standard input.
    pub file: PathBuf,
    /// How it is written, where its name does not end in .csv, .jsonl or .ndjson.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Write nothing, and say what would happen: new, changed, same, wrong.
    #[arg(long)]
    pub dry_run: bool,
    /// Begin at this line of the file, where an import before broke off.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub from_line: Option<u64>,
}

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Items, with their access tokens.
    Items,
    /// Users, with their addresses.
    Users,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Users => "users",
        }
    }

    /// The columns of a CSV file.
    #[must_use]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Items => {
                &["item_id", "user_id", "access_token", "institution_id", "institution_name", "country_codes"]
            }
            Self::Users => super::export::USER_COLUMNS,
        }
    }

    /// Those that have to be there.
    fn needed(self) -> &'static [&'static str] {
        match self {
            Self::Items => &["item_id", "user_id", "access_token"],
            Self::Users => &["user_id", "email"],
        }
    }
}

/// What became of the rows.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
struct Tally {
    dry_run: bool,
    rows: u64,
    new: u64,
    changed: u64,
    same: u64,
    skipped: u64,
    wrong: u64,
}

#[derive(Deserialize)]
struct Answers {
    data: Vec<RowAnswer>,
}

#[derive(Deserialize)]
struct RowAnswer {
    outcome: String,
    #[serde(default)]
    why: String,
}

/// Rows that are sent together, and those between them that cannot be read.
#[derive(Default)]
struct Part {
    lines: Vec<u64>,
    rows: Vec<Value>,
    wrong: Vec<(u64, String)>,
}

/// Reads parts on a thread of its own: a pipe may have nothing to say for long, and whoever stops the import need not wait for
/// it. Nobody waits for the thread either.
fn read_ahead(rows: Rows, from_line: u64) -> mpsc::Receiver<Part> {
    let (parts, read) = mpsc::channel(IN_FLIGHT);
    std::thread::spawn(move || {
        let mut rows = rows.skip_while(|row| row.line < from_line).peekable();
        while rows.peek().is_some() {
            let mut part = Part::default();
            for Row { line, value } in rows.by_ref().take(BATCH) {
                match value {
                    Ok(value) => {
                        part.lines.push(line);
                        part.rows.push(value);
                    }
                    Err(why) => part.wrong.push((line, why)),
                }
            }
            if parts.blocking_send(part).is_err() {
                return;
            }
        }
    });
    read
}

/// Imports a file.
///
/// # Errors
/// [`Failure`], with the line to go on from if anything was imported; also if a row was wrong or left alone.
pub async fn run(client: &Client, print: &mut Print, kind: Kind, args: &Args) -> Result<(), Failure> {
    let format = args.format.or_else(|| Format::of(&args.file)).ok_or_else(|| {
        Failure::Usage(format!("{} has no ending that tells its format: --format csv or jsonl", args.file.display()))
    })?;
    let rows = file::open(&args.file, format, kind).map_err(Failure::Failed)?;
    warn_of_readers(print, kind, &args.file);
    let mut import = Import::new(client, kind, args, &rows);
    let ended = tokio::select! {
        done = import.all(rows) => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::Failed("stopped".to_owned())),
    };
    import.bar.finish_and_clear();
    if let Err(failure) = ended {
        if import.tally.rows > 0 {
            print.note(&import.tally.text(kind));
        }
        return Err(import.broken_off(failure));
    }
    import.tally.say(print, kind)?;
    import.end()
}

/// Access tokens and addresses in a file that others may read are told of once.
fn warn_of_readers(print: &mut Print, kind: Kind, path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & 0o044 != 0 && path != Path::new("-") {
        let what = match kind {
            Kind::Items => "access tokens",
            Kind::Users => "addresses",
        };
        let named = path.display();
        print.note(&format!(
            "{named} holds {what}, and others may read it: chmod 600, and delete it when it is imported."
        ));
    }
}

struct Import<'a> {
    client: &'a Client,
    kind: Kind,
    args: &'a Args,
    bar: ProgressBar,
    tally: Tally,
    /// All rows before this line are done.
    next_line: u64,
    faults: u64,
}

impl<'a> Import<'a> {
    fn new(client: &'a Client, kind: Kind, args: &'a Args, rows: &Rows) -> Self {
        let tally = Tally { dry_run: args.dry_run, ..Tally::default() };
        Self { client, kind, args, bar: bar(rows), tally, next_line: args.from_line.unwrap_or(1), faults: 0 }
    }

    /// Sends part after part, and hears of each in order.
    async fn all(&mut self, rows: Rows) -> Result<(), Failure> {
        let progress = rows.progress.clone();
        let mut parts = read_ahead(rows, self.args.from_line.unwrap_or(1));
        let (client, kind, dry_run) = (self.client, self.kind, self.args.dry_run);
        let send = async |part: Part| {
            let body = json!({ "dry_run": dry_run, "rows": part.rows });
            let answer = client.post(&format!("/v1/import/{}", kind.name()), &body).await;
            (part.lines, part.wrong, answer)
        };
        let (mut under_way, mut more) = (FuturesOrdered::new(), true);
        while more || !under_way.is_empty() {
            let (lines, wrong, answer) = tokio::select! {
                part = parts.recv(), if more && under_way.len() < IN_FLIGHT => {
                    match part {
                        Some(part) => under_way.push_back(send(part)),
                        None => more = false,
                    }
                    continue;
                }
                Some(done) = under_way.next() => done,
            };
            let answers: Answers = answer?.read()?;
            let unread = wrong.into_iter().map(|(line, why)| (line, RowAnswer { outcome: "wrong".to_owned(), why }));
            let mut told: Vec<(u64, RowAnswer)> = lines.iter().copied().zip(answers.data).chain(unread).collect();
            told.sort_by_key(|(line, _)| *line);
            for (line, answer) in told {
                self.count(line, &answer);
            }
            self.next_line = lines.last().map_or(self.next_line, |last| last + 1);
            self.bar.set_position(progress.bytes());
            self.bar.set_message(format!("{} rows", self.tally.rows));
        }
        Ok(())
    }

    fn count(&mut self, line: u64, answer: &RowAnswer) {
        let tally = &mut self.tally;
        tally.rows += 1;
        match answer.outcome.as_str() {
            "new" => tally.new += 1,
            "changed" => tally.changed += 1,
            "same" => tally.same += 1,
            "skipped" => {
                tally.skipped += 1;
                self.fault(line, &answer.why);
            }
            _ => {
                tally.wrong += 1;
                self.fault(line, &answer.why);
            }
        }
    }

    /// Says what is wrong with a row.
    fn fault(&mut self, line: u64, why: &str) {
        self.faults += 1;
        if self.faults > FAULTS_MAX {
            return;
        }
        let text = format!("{}:{line}: {why}", self.args.file.display());
        // Nobody is left to tell if this fails.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }

    fn broken_off(&self, failure: Failure) -> Failure {
        if self.args.dry_run || self.tally.rows == 0 {
            return failure;
        }
        let line = self.next_line;
        Failure::Failed(format!(
            "{failure}\nThe rows before line {line} are done. Go on with --from-line {line}; or run it from the start: rows that \
             are there already change nothing."
        ))
    }

    fn end(self) -> Result<(), Failure> {
        if self.faults > FAULTS_MAX {
            let more = self.faults - FAULTS_MAX;
            let _ = writeln!(io::stderr(), "{}: {more} more rows are wrong or left alone", self.args.file.display());
        }
        match self.faults {
            0 => Ok(()),
            1 => Err(Failure::Failed("1 row is wrong or left alone; the line above says why".to_owned())),
            many => Err(Failure::Failed(format!("{many} rows are wrong or left alone; the lines above say why"))),
        }
    }
}

impl Tally {
    fn text(&self, kind: Kind) -> String {
        let Self { dry_run, rows, new, changed, same, skipped, wrong } = self;
        let (would, held) = match (dry_run, kind) {
            (true, _) => ("Nothing is written. It would be: ", ""),
            (false, Kind::Items) if *new > 0 => (
                "",
                "\nThe new Items are held: Plaid is asked about them little by little, and letters about what is broken wait for \
                 `relinkd letters release`.",
            ),
            (false, Kind::Items | Kind::Users) => ("", ""),
        };
        format!(
            "{would}{rows} rows: {new} new, {changed} changed, {same} the same, {skipped} left alone, {wrong} wrong.{held}"
        )
    }

    fn say(&self, print: &mut Print, kind: Kind) -> Result<(), Failure> {
        match print.is_json() {
            true => print.line(&serde_json::to_string(self).expect("numbers")),
            false => print.line(&self.text(kind)),
        }
    }
}

/// A progress bar on a terminal, nothing elsewhere.
fn bar(rows: &Rows) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(rows.bytes, ProgressDrawTarget::stderr_with_hz(5));
    let style = match rows.bytes {
        Some(_) => "{bar:30} {percent}% {msg}, {elapsed} gone, {eta} to go",
        None => "{spinner} {msg}, {elapsed} gone",
    };
    bar.set_style(ProgressStyle::with_template(style).expect("a template of ours"));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
