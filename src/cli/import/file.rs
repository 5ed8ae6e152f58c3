//! Reads the file of an import: CSV with a header, or JSON lines. Each row has the line where it begins.
//!
//! Only what cannot be read is found out here; whether a row says anything that can be used is the daemon's word. A value is
//! never repeated in an error: it may be an access token.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::Kind;

/// The longest row, in bytes: several times what the longest fields make.
const ROW_BYTES_MAX: u64 = 64 * 1024;

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// By the ending of the file's name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// A row of the file.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The line where it begins, from 1.
    pub line: u64,
    /// What it says, or why it cannot be read.
    pub value: Result<Value, String>,
}

/// How many bytes were read so far.
#[derive(Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// So many.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The rows of a file, and how far it is read.
pub struct Rows {
    /// How far.
    pub progress: Progress,
    /// How long the file is, if that is known.
    pub bytes: Option<u64>,
    rows: Box<dyn Iterator<Item = Row> + Send>,
}

impl Iterator for Rows {
    type Item = Row;
    fn next(&mut self) -> Option<Row> {
        self.rows.next()
    }
}

/// Opens a file, `-` for standard input.
///
/// # Errors
/// In one sentence, with the remedy.
pub fn open(path: &Path, format: Format, kind: Kind) -> Result<Rows, String> {
    let named = path.display();
    if path == Path::new("-") {
        return read(io::stdin(), None, format, kind).map_err(|error| format!("standard input: {error}"));
    }
    let file = File::open(path).map_err(|error| format!("{named} cannot be read: {error}"))?;
    let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    read(file, bytes, format, kind).map_err(|error| format!("{named}{error}"))
}

/// Reads rows.
///
/// # Errors
/// If the header cannot be used.
pub fn read(input: impl Read + Send + 'static, bytes: Option<u64>, format: Format, kind: Kind) -> Result<Rows, String> {
    let progress = Progress::default();
    let input = BufReader::with_capacity(1 << 16, Counted { inner: input, progress: progress.clone() });
    let rows: Box<dyn Iterator<Item = Row> + Send> = match format {
        Format::Jsonl => Box::new(json_lines(input)),
        Format::Csv => Box::new(csv_rows(input, kind)?),
    };
    Ok(Rows { progress, bytes, rows })
}

fn json_lines(mut input: impl BufRead) -> impl Iterator<Item = Row> {
    let (mut line, mut failed) = (0, false);
    std::iter::from_fn(move || {
        while !failed {
            let mut text = Vec::new();
            line += 1;
            match input.by_ref().take(ROW_BYTES_MAX + 1).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(count) if count as u64 > ROW_BYTES_MAX => {
                    failed = true;
                    let why = format!("is longer than {ROW_BYTES_MAX} bytes, so nothing after it is read");
                    return Some(Row { line, value: Err(why) });
                }
                Ok(_) if text.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Row { line, value: json(&text) }),
                Err(error) => {
                    failed = true;
                    return Some(Row { line, value: Err(format!("cannot be read: {error}")) });
                }
            }
        }
        None
    })
}

fn json(text: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err("is no JSON object: write {\"user_id\": …}".to_owned()),
        Err(error) => Err(format!("is no JSON (column {})", error.column())),
    }
}

fn csv_rows(input: impl Read, kind: Kind) -> Result<impl Iterator<Item = Row>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let header = reader.byte_headers().map_err(|error| format!(":1: the header cannot be read: {error}"))?.clone();
    let names = header_names(&header, kind)?;
    let (mut record, mut failed) = (csv::ByteRecord::new(), false);
    Ok(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                Some(Row { line, value: fields(&names, &record) })
            }
            Ok(false) => None,
            Err(error) => {
                failed = true;
                let line = error.position().map_or(0, csv::Position::line);
                // The text of some of its errors has the value in it.
                Some(Row { line, value: Err("cannot be read, so nothing after it is".to_owned()) })
            }
        }
    }))
}

/// The columns by name. Unknown ones are refused: a misspelt one would be lost in silence.
fn header_names(header: &csv::ByteRecord, kind: Kind) -> Result<Vec<&'static str>, String> {
    let mut names = Vec::new();
    for (place, cell) in header.iter().enumerate() {
        let cell = String::from_utf8_lossy(cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell)).trim().to_lowercase();
        let known = kind.columns().iter().find(|name| **name == cell);
        let Some(name) = known else {
            let nearest = kind
                .columns()
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(a, &cell).total_cmp(&strsim::jaro_winkler(b, &cell)));
            return Err(format!(
                ":1: column {} of the header is none of {}; the nearest is {}",
                place + 1,
                kind.columns().join(", "),
                nearest.unwrap_or(&"")
            ));
        };
        if names.contains(name) {
            return Err(format!(":1: the header has {name} twice"));
        }
        names.push(*name);
    }
    match kind.needed().iter().find(|needed| !names.contains(needed)) {
        None => Ok(names),
        Some(missing) => Err(format!(":1: the header has no {missing}; the columns are {}", kind.columns().join(", "))),
    }
}

fn fields(names: &[&'static str], record: &csv::ByteRecord) -> Result<Value, String> {
    if record.len() != names.len() {
        let (has, wants) = (record.len(), names.len());
        return Err(format!("has {has} fields, and the header {wants}: a field with a comma stands in double quotes"));
    }
    let mut object = Map::new();
    for (name, cell) in names.iter().zip(record) {
        let Ok(text) = std::str::from_utf8(cell) else { return Err(format!("{name} is no UTF-8")) };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let value = match *name {
            "country_codes" => text.split([' ', ';', ',']).filter(|code| !code.is_empty()).collect(),
            _ => Value::String(text.to_owned()),
        };
        object.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &'static str, format: Format, kind: Kind) -> String {
        let rows = match read(text.as_bytes(), None, format, kind) {
            Ok(rows) => rows,
            Err(error) => return error,
        };
        let row = |row: Row| match row.value {
            Ok(value) => format!("{}: {value}\n", row.line),
            Err(why) => format!("{}: {why}\n", row.line),
        };
        rows.map(row).collect()
    }

    #[test]
    fn csv_has_quotes_line_breaks_empty_fields_and_lines_of_its_own() {
        let text = "\u{feff}item_id, user_id,access_token,institution_id,institution_name,country_codes\r\n\
            item-1,user-1,access-1,ins_1,\"A \"\"big\"\" bank, with\na second line\",US GB\r\n\
            \r\n\
            item-2,user-2,access-2,,,\n\
            item-3,user-3,access-3\n\
            item-4,user-4,access-4,ins_1,\"Bank\",US;CA";
        insta::assert_snapshot!(all(text, Format::Csv, Kind::Items));
    }

    #[test]
    fn json_lines_may_be_empty_and_are_objects() {
        let text = "{\"user_id\": \"user-1\", \"email\": \"user@example.com\"}\n\n[1]\n{\"user_id\": \n\"secret\"\n";
        insta::assert_snapshot!(all(text, Format::Jsonl, Kind::Users));
    }

    #[test]
    fn a_header_that_cannot_be_used_names_the_remedy() {
        let said = ["item_id,user_id,acess_token", "item_id,user_id", "item_id,item_id", ""].map(|header| {
            let text = all(Box::leak(format!("{header}\n").into_boxed_str()), Format::Csv, Kind::Items);
            format!("{header:?} {text}\n")
        });
        insta::assert_snapshot!(said.concat());
    }

    #[test]
    fn the_format_is_in_the_name() {
        for (name, format) in
            [("a.csv", Some(Format::Csv)), ("a.JSONL", Some(Format::Jsonl)), ("a.json", None), ("csv", None)]
        {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let long: &'static str = Box::leak("x".repeat(200_000).into_boxed_str());
        assert_eq!(
            all(long, Format::Jsonl, Kind::Users),
            "1: is longer than 65536 bytes, so nothing after it is read\n"
        );
    }
}
