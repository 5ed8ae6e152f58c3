//! `relinkd items export` and `relinkd users export`: all there is, as CSV or JSON lines.
//!
//! Items come without their access tokens: a token leaves the store only towards Plaid, so whoever moves everything moves the
//! store itself (`relinkd backup`). Users come with their addresses and wishes, as `relinkd users import` takes them. Where letters
//! go by mail it takes no row without an address, and says so: whoever stopped letters and has none is not lost unseen.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::client::{Client, Failure};
use super::import::Format;
use super::print::Print;

/// What is known of a user and can be imported again.
pub const USER_COLUMNS: &[&str] =
    &["user_id", "email", "name", "locale", "time_zone", "stopped_at", "suppressed_at", "snoozed_until"];

/// What is known of an Item, in a row.
const ITEM_COLUMNS: &[&str] = &[
    "item_id",
    "user_id",
    "institution_id",
    "institution_name",
    "state",
    "since",
    "token",
    "consent_expires_at",
    "observed_at",
    "superseded_by",
    "snoozed_until",
    "held_since",
];

/// Where to, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A new file, which only you may read; standard output without it.
    pub file: Option<PathBuf>,
    /// How it is written, where its name does not end in .csv, .jsonl or .ndjson. CSV without a file.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
}

/// Exports Items, without those that are removed.
///
/// # Errors
/// [`Failure`].
pub async fn items(client: &Client, print: &mut Print, args: &Args) -> Result<(), Failure> {
    run(client, print, args, "/v1/items", ITEM_COLUMNS, |_| true).await?;
    print.note(
        "Access tokens are not exported: they leave the store only towards Plaid. `relinkd backup` takes all, sealed.",
    );
    Ok(())
}

/// Exports users.
///
/// # Errors
/// [`Failure`].
pub async fn users(client: &Client, print: &mut Print, args: &Args) -> Result<(), Failure> {
    // Of whom nothing is known but an Item: they come back with it.
    let is_known = |user: &Value| USER_COLUMNS.iter().skip(1).any(|column| !user[*column].is_null());
    run(client, print, args, "/v1/users", USER_COLUMNS, is_known).await?;
    if let Some(file) = &args.file {
        print.note(&format!("{} holds addresses; only you may read it (mode 0600).", file.display()));
    }
    Ok(())
}

async fn run(
    client: &Client,
    print: &mut Print,
    args: &Args,
    path: &str,
    columns: &'static [&'static str],
    wanted: impl Fn(&Value) -> bool,
) -> Result<(), Failure> {
    let by_name = args.file.as_deref().and_then(Format::of);
    let format = args.format.or(by_name).unwrap_or(if print.is_json() { Format::Jsonl } else { Format::Csv });
    let mut target = Target::open(args.file.as_deref())?;
    let mut rows = RowWriter::new(format, columns, target.writer())?;
    let mut count = 0_u64;
    client
        .list(path, None, |entry| {
            let entry: Value = entry.read()?;
            if wanted(&entry) {
                count += 1;
                rows.write(&entry)?;
            }
            Ok(())
        })
        .await?;
    rows.finish()?;
    target.close()?;
    print.note(&format!("{count} rows."));
    Ok(())
}

/// Where the rows go. A file appears under its name when it is whole, and is readable for its owner alone.
enum Target {
    Stdout,
    File { part: tempfile::NamedTempFile, path: PathBuf },
}

impl Target {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(Self::Stdout) };
        if path.exists() {
            let named = path.display();
            return Err(Failure::Failed(format!("{named} is there already: give another name, or remove it")));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = tempfile::Builder::new().prefix(".relinkd-export-").tempfile_in(folder);
        let part =
            part.map_err(|error| Failure::Failed(format!("{} cannot be written to: {error}", folder.display())))?;
        Ok(Self::File { part, path: path.to_owned() })
    }

    fn writer(&mut self) -> Box<dyn Write + '_> {
        match self {
            Self::Stdout => Box::new(BufWriter::new(io::stdout())),
            Self::File { part, .. } => Box::new(BufWriter::new(part)),
        }
    }

    fn close(self) -> Result<(), Failure> {
        let Self::File { part, path } = self else { return Ok(()) };
        let named = path.display().to_string();
        let synced = part.as_file().sync_all();
        let kept = synced.and_then(|()| part.persist_noclobber(&path).map_err(|error| error.error));
        kept.map(drop).map_err(|error| Failure::Failed(format!("{named} cannot be written: {error}")))
    }
}

enum RowWriter<'a> {
    Csv { columns: &'static [&'static str], writer: Box<csv::Writer<Box<dyn Write + 'a>>> },
    Jsonl { columns: &'static [&'static str], writer: Box<dyn Write + 'a> },
}

impl<'a> RowWriter<'a> {
    fn new(format: Format, columns: &'static [&'static str], out: Box<dyn Write + 'a>) -> Result<Self, Failure> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl { columns, writer: out },
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(columns).map_err(|error| unwritten(&error.into()))?;
                Self::Csv { columns, writer: Box::new(writer) }
            }
        })
    }

    fn write(&mut self, entry: &Value) -> Result<(), Failure> {
        let written = match self {
            Self::Csv { columns, writer } => {
                let cells = columns.iter().map(|name| entry[*name].as_str().unwrap_or_default());
                writer.write_record(cells).map_err(io::Error::from)
            }
            Self::Jsonl { columns, writer } => {
                let known = columns.iter().filter(|name| !entry[**name].is_null());
                let row: serde_json::Map<String, Value> =
                    known.map(|name| ((*name).to_owned(), entry[*name].clone())).collect();
                serde_json::to_writer(&mut *writer, &row).map_err(io::Error::from).and_then(|()| writeln!(writer))
            }
        };
        written.map_err(|error| unwritten(&error))
    }

    fn finish(self) -> Result<(), Failure> {
        let flushed = match self {
            Self::Csv { mut writer, .. } => writer.flush(),
            Self::Jsonl { mut writer, .. } => writer.flush(),
        };
        flushed.map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::Unread;
    }
    Failure::Failed(format!("the export cannot be written: {error}"))
}
