//! What a command prints: text for people, or the API's JSON for scripts.
//!
//! `--json` prints each object on a line of its own, as the API answered it: one line for what is shown, one an entry for
//! a list. Notes for people go to standard error, so that a pipe never has them.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use serde::de::DeserializeOwned;

use super::client::{Answer, Client, Failure};
use super::table::{Fields, Table};

/// How many entries of a list people see if they do not say how many.
const LIMIT: u32 = 100;

/// The narrowest terminal for which tables are made.
const WIDTH_MIN: usize = 80;

/// Standard output.
pub struct Print {
    json: bool,
    /// Where standard output is a terminal: its width.
    width: Option<usize>,
    out: BufWriter<Stdout>,
}

impl Print {
    /// Prints to standard output.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let out = io::stdout();
        let width = out.is_terminal().then(|| {
            terminal_size::terminal_size_of(&out).map_or(WIDTH_MIN, |(width, _)| WIDTH_MIN.max(width.0.into()))
        });
        Self { json, width, out: BufWriter::new(out) }
    }

    /// Whether scripts read it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// One line.
    ///
    /// # Errors
    /// [`Failure::Unread`], or that it cannot be written.
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        written(writeln!(self.out, "{line}"))
    }

    /// A text of several lines. What could move the cursor in it is taken out.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let lines = text.lines().map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>());
        lines.into_iter().try_for_each(|line| self.line(&line))
    }

    /// What was answered: as it came, or as fields for people.
    ///
    /// # Errors
    /// As [`Self::line`]; or the answer does not read.
    pub fn one<T: DeserializeOwned>(
        &mut self,
        answer: &Answer,
        fields: impl FnOnce(&T) -> Fields,
    ) -> Result<(), Failure> {
        if self.json {
            return self.line(answer.json());
        }
        let text = fields(&answer.read()?).render();
        written(self.out.write_all(text.as_bytes()))
    }

    /// A list: every entry as it came, or a table for people. Without a limit people see the first hundred.
    ///
    /// # Errors
    /// As [`Self::line`]; what the client says.
    pub async fn list<T: DeserializeOwned>(
        &mut self,
        client: &Client,
        path: &str,
        limit: Option<u32>,
        table: impl FnOnce(&[T]) -> Table,
    ) -> Result<(), Failure> {
        if self.json {
            return client.list(path, limit, |entry| self.line(entry.json())).await.map(drop);
        }
        let limit = limit.unwrap_or(LIMIT);
        let mut entries = Vec::new();
        // One more than is shown tells whether there are more.
        client.list(path, Some(limit.saturating_add(1)), |entry| entry.read().map(|entry| entries.push(entry))).await?;
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        self.table(&table(&entries))?;
        if more {
            self.note(&format!("There are more than these {limit}: --limit N shows more, --json without it all."));
        }
        Ok(())
    }

    /// A table, with a note on what did not fit.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let shown = table.render(self.width);
        written(self.out.write_all(shown.text.as_bytes()))?;
        if table.is_empty() {
            self.note("None.");
        } else if !shown.left_out.is_empty() {
            let names = shown.left_out.join(", ");
            self.note(&format!("Not shown, for want of width: {names}. A pipe, a wider terminal or --json has them."));
        }
        Ok(())
    }

    /// Something that people should know and scripts should not read.
    pub fn note(&mut self, text: &str) {
        // Text before it should be seen before it; what cannot be written is found out by the next line.
        let _ = self.out.flush();
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn finish(mut self) -> Result<(), Failure> {
        written(self.out.flush())
    }
}

/// What becomes of an attempt to write output.
pub(super) fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::Unread;
        }
        Failure::Failed(format!("the output cannot be written: {error}"))
    })
}
