//! Tables and fields for people: aligned, fitted to a terminal, and safe to look at.
//!
//! What strangers wrote (a bank's name, a mail server's reply) may hold what moves the cursor or turns the reading round:
//! each cell is made one plain line. Ids are never cut, since people copy them; on a narrow terminal texts are cut first,
//! then whole columns are left out, the least important first. In a pipe nothing is.

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use crate::domain::plain;

/// The longest text in a cell, in characters.
const CELL_MAX: usize = 500;

/// Between two columns.
const GAP: &str = "  ";

/// What stands where nothing is known.
const NOTHING: &str = "-";

/// How a column takes part in fitting a table to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Always there, never cut.
    Whole,
    /// Never cut; left out if need be, those with the largest number first.
    Rank(u8),
    /// A text that may be cut down to so many columns, before others are left out; left out last.
    Text(usize),
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its head.
    pub name: &'static str,
    /// How it is fitted.
    pub fit: Fit,
}

/// Rows under heads.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A table as it is printed.
#[derive(Debug)]
pub struct Shown {
    /// It.
    pub text: String,
    /// The columns that did not fit.
    pub left_out: Vec<&'static str>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self { columns: columns.iter().map(|(name, fit)| Column { name, fit: *fit }).collect(), rows: Vec::new() }
    }

    /// Adds a row: one text a column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell a column");
        self.rows.push(cells.iter().map(|cell| plain(cell)).collect());
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, at most so wide where a width is given and it can be. Nothing for no rows.
    #[must_use]
    pub fn render(&self, width: Option<usize>) -> Shown {
        if self.rows.is_empty() {
            return Shown { text: String::new(), left_out: Vec::new() };
        }
        let widths = self.fitted(width.unwrap_or(usize::MAX));
        let mut text = String::new();
        let heads: Vec<String> = self.columns.iter().map(|column| column.name.to_owned()).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let shown = row.iter().zip(&widths).filter_map(|(cell, width)| Some(padded(cell, (*width)?)));
            text.push_str(shown.collect::<Vec<_>>().join(GAP).trim_end());
            text.push('\n');
        }
        let left_out = self.columns.iter().zip(&widths).filter(|(_, width)| width.is_none());
        Shown { text, left_out: left_out.map(|(column, _)| column.name).collect() }
    }

    /// The width of each column; nothing for one that is left out.
    fn fitted(&self, limit: usize) -> Vec<Option<usize>> {
        let natural = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].width());
            cells.chain([self.columns[at].name.width()]).max().unwrap_or_default()
        };
        let mut widths: Vec<Option<usize>> = (0..self.columns.len()).map(|at| Some(natural(at))).collect();
        loop {
            let over = total(&widths).saturating_sub(limit);
            if over == 0 {
                return widths;
            }
            if self.cut_texts(&mut widths, over) {
                continue;
            }
            let Some(at) = self.least_important(&widths) else { return widths };
            // The texts may have what it leaves.
            widths[at] = None;
            for (other, width) in widths.iter_mut().enumerate() {
                *width = width.map(|_| natural(other));
            }
        }
    }

    /// Cuts the widest text that can be cut, by no more than is needed. Says whether there was one.
    fn cut_texts(&self, widths: &mut [Option<usize>], over: usize) -> bool {
        let spare = |at: usize, width: Option<usize>| match (self.columns[at].fit, width) {
            (Fit::Text(least), Some(width)) => width.saturating_sub(least.max(self.columns[at].name.width())),
            (Fit::Whole | Fit::Rank(_), _) | (Fit::Text(_), None) => 0,
        };
        let all: usize = widths.iter().enumerate().map(|(at, width)| spare(at, *width)).sum();
        let widest = (0..widths.len()).max_by_key(|at| spare(*at, widths[*at]));
        let Some(at) = widest.filter(|_| all >= over) else { return false };
        let cut = spare(at, widths[at]).min(over);
        widths[at] = widths[at].map(|width| width - cut);
        cut > 0
    }

    fn least_important(&self, widths: &[Option<usize>]) -> Option<usize> {
        let rank = |at: &usize| match self.columns[*at].fit {
            Fit::Whole => None,
            Fit::Text(_) => Some(0),
            Fit::Rank(rank) => Some(rank),
        };
        (0..widths.len()).filter(|at| widths[*at].is_some() && rank(at).is_some()).max_by_key(rank)
    }
}

/// Names and what they have, one a line.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl AsRef<str>) -> Self {
        self.0.push((name.to_owned(), plain(text.as_ref())));
        self
    }

    /// Adds one if there is something to say.
    #[must_use]
    pub fn with_some(self, name: &str, text: Option<impl AsRef<str>>) -> Self {
        match text {
            Some(text) => self.with(name, text),
            None => self,
        }
    }

    /// The fields as text.
    #[must_use]
    pub fn render(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
        self.0.iter().map(|(name, text)| format!("{}{GAP}{text}\n", padded(name, width))).collect()
    }
}

/// A moment in a table: to the minute.
#[must_use]
pub fn minute(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A moment in a table, if there is one.
#[must_use]
pub fn minute_if(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| NOTHING.to_owned(), minute)
}

/// A moment among fields: to the second.
#[must_use]
pub fn second(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A text, if there is one.
#[must_use]
pub fn text_if(text: Option<&str>) -> String {
    text.unwrap_or(NOTHING).to_owned()
}

/// One plain line.
pub fn plain(text: &str) -> String {
    plain::one_line(text, CELL_MAX).unwrap_or_else(|| NOTHING.to_owned())
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown: Vec<usize> = widths.iter().filter_map(|width| *width).collect();
    shown.iter().sum::<usize>() + GAP.len() * shown.len().saturating_sub(1)
}

/// A text of exactly this width: cut, or with spaces behind it.
fn padded(text: &str, width: usize) -> String {
    if text.width() <= width {
        return format!("{text}{}", " ".repeat(width - text.width()));
    }
    let mut cut = String::new();
    for letter in text.chars() {
        if cut.width() + letter.to_string().width() + 1 > width {
            break;
        }
        cut.push(letter);
    }
    cut.push('…');
    format!("{cut}{}", " ".repeat(width.saturating_sub(cut.width())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            ("ITEM", Fit::Whole),
            ("STATE", Fit::Whole),
            ("USER", Fit::Rank(1)),
            ("BANK", Fit::Text(8)),
            ("NEXT LETTER", Fit::Rank(2)),
        ]);
        let row =
            |item: &str, state: &str, bank: &str| [item, state, "user-1", bank, "2026-11-23 09:30Z"].map(str::to_owned);
        table.row(row("DZon9QJZ4lhKJ1Jq7ZAVtPqlP4gbbLUNq5w6k", "login_required", "First Platypus Bank of the South"));
        table.row(row("short", "healthy", ""));
        table.row(row("wide", "healthy", "みずほ銀行"));
        table.row(row("evil", "healthy", "Bank\u{1b}[2J\r\n\u{202e}knaB"));
        table
    }

    #[test]
    fn a_pipe_gets_everything() {
        let shown = table().render(None);
        assert!(shown.left_out.is_empty());
        insta::assert_snapshot!(shown.text);
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        for width in [110, 100, 80] {
            let shown = table().render(Some(width));
            assert!(shown.text.lines().all(|line| line.width() <= width), "{width}:\n{}", shown.text);
            insta::assert_snapshot!(format!("width_{width}"), format!("{}{:?}", shown.text, shown.left_out));
        }
    }

    #[test]
    fn fields_are_aligned_and_leave_out_what_is_not_there() {
        let fields =
            Fields::default().with("Item", "abc").with_some("Bank", None::<&str>).with("Snoozed until", "\u{7}x");
        assert_eq!(fields.render(), "Item           abc\nSnoozed until  x\n");
    }

    proptest! {
        #[test]
        fn whatever_a_bank_is_called_the_table_stays_a_table(name in any::<String>(), width in 80_usize..200) {
            let mut table = Table::new(&[("ITEM", Fit::Whole), ("BANK", Fit::Text(8)), ("STATE", Fit::Rank(1))]);
            table.row(["item-1".to_owned(), name, "healthy".to_owned()]);
            let shown = table.render(Some(width));
            prop_assert_eq!(shown.text.lines().count(), 2);
            prop_assert!(shown.text.lines().all(|line| line.width() <= width));
            prop_assert!(shown.text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
