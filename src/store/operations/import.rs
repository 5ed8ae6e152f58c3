//! Import: many Items or users at once, so that a million rows are minutes and no webhook waits long for the writer.
//!
//! Each row is compared with what is there. One that says the same writes nothing, so that an import may be run again from
//! its start. What was removed or erased here is not brought back: a file is older than the wish.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;

use super::Result;
use super::items::NewItem;
use crate::domain::event::{Event, NoLetters};
use crate::domain::item::{Item, RemovalReason};
use crate::store::seal::Sealer;
use crate::store::steps::Rule;
use crate::store::suppressions::{self, Suppression, Teller};
use crate::store::users::{NewProfile, Profile};
use crate::store::{Store, inbox, items, steps, users, views};

/// How many rows one operation takes: some ten milliseconds of the one writer, for which webhooks wait.
pub const IMPORT_ROWS_MAX: usize = 250;

/// What is noted of an address that took no letters before it came here.
const IMPORTED: &str = "said by the file of an import";

/// What a row of an import did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Imported {
    /// It was not known.
    New,
    /// Something about it is different now.
    Changed,
    /// It says what is known.
    Same,
    /// It is left alone.
    Skipped {
        /// Why, and what to do.
        why: String,
    },
}

/// Whether an import writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Write,
    /// It says what it would do.
    DryRun,
}

/// Compares a row and, if so wished, writes it.
type ImportRow<T> = dyn Fn(&Connection, &Sealer, &T) -> Result<Imported> + Send + Sync;

/// A user as a file has it: what the application says, and what the user wished elsewhere.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What the application says.
    pub profile: NewProfile,
    /// Since when the user wants no letters. Not said is no wish for letters.
    pub stopped_at: Option<Timestamp>,
    /// Since when the address takes none.
    pub suppressed_at: Option<Timestamp>,
    /// No letters before this moment.
    pub snoozed_until: Option<Timestamp>,
}

impl Store {
    /// Registers many Items, in operations of at most [`IMPORT_ROWS_MAX`] rows. Nobody is asked about them at once: their
    /// tokens are proven by the sweep. Answers one for one.
    ///
    /// # Errors
    /// What SQLite says. What was answered by then is on disk; the whole may be asked for again.
    pub async fn import_items(&self, rows: Vec<NewItem>, mode: Mode, rule: Rule) -> Result<Vec<Imported>> {
        let rule = Arc::new(rule);
        let each = move |connection: &Connection, sealer: &Sealer, row: &NewItem| {
            let known = items::load(connection, &row.id)?;
            let outcome = compare_item(connection, sealer, known.as_ref(), row)?;
            match mode {
                Mode::Write => write_item(connection, sealer, known, row, &rule, &outcome)?,
                Mode::DryRun => {}
            }
            Ok(outcome)
        };
        self.import(rows, mode, Arc::new(each)).await
    }

    /// Writes what the application says about many users, in operations of at most [`IMPORT_ROWS_MAX`] rows. Answers one for
    /// one.
    ///
    /// # Errors
    /// As [`Store::import_items`].
    pub async fn import_users(&self, rows: Vec<NewUser>, mode: Mode, now: Timestamp) -> Result<Vec<Imported>> {
        let each = move |connection: &Connection, sealer: &Sealer, row: &NewUser| {
            let outcome = match users::get(connection, sealer, &row.profile.id)? {
                Some(known) => compare_user(&known, row),
                None if users::is_erased(connection, &row.profile.id)? => Imported::Skipped { why: ERASED.to_owned() },
                None => Imported::New,
            };
            match (mode, &outcome) {
                (Mode::Write, Imported::New | Imported::Changed) => {
                    users::put(connection, sealer, &row.profile, now)?;
                    users::keep_wishes(connection, &row.profile.id, row.stopped_at, row.snoozed_until)?;
                    if let (Some(since), Some(email)) = (row.suppressed_at, &row.profile.email) {
                        let suppression = Suppression {
                            reason: NoLetters::Operator,
                            source: Teller::Api,
                            note: Some(IMPORTED.to_owned()),
                        };
                        let hmac = suppressions::hmac(sealer, email);
                        suppressions::add(connection, &hmac, &suppression, since)?;
                    }
                }
                (Mode::Write, Imported::Same | Imported::Skipped { .. }) | (Mode::DryRun, _) => {}
            }
            Ok(outcome)
        };
        self.import(rows, mode, Arc::new(each)).await
    }

    /// Imports rows a handful at a time. Where one does not read back, the handful is done row by row, and it alone is left.
    async fn import<T: Send + Sync + 'static>(
        &self,
        rows: Vec<T>,
        mode: Mode,
        each: Arc<ImportRow<T>>,
    ) -> Result<Vec<Imported>> {
        let rows: Arc<[T]> = rows.into();
        let mut outcomes = Vec::with_capacity(rows.len());
        let run = async |from: usize, to: usize| {
            let (rows, each, inner) = (Arc::clone(&rows), Arc::clone(&each), Arc::clone(&self.inner));
            let all = move |connection: &Connection| -> Result<Vec<Imported>> {
                rows[from..to].iter().map(|row| each(connection, &inner.sealer, row)).collect()
            };
            match mode {
                Mode::Write => self.threads.write(all).await,
                Mode::DryRun => self.threads.read(all).await,
            }
        };
        for from in (0..rows.len()).step_by(IMPORT_ROWS_MAX) {
            let to = rows.len().min(from + IMPORT_ROWS_MAX);
            match run(from, to).await {
                Ok(done) => outcomes.extend(done),
                Err(error) if !error.is_of_one_row() => return Err(error),
                Err(_) => {
                    for row in from..to {
                        match run(row, row + 1).await {
                            Ok(done) => outcomes.extend(done),
                            Err(error) if !error.is_of_one_row() => return Err(error),
                            Err(error) => outcomes.push(Imported::Skipped { why: error.to_string() }),
                        }
                    }
                }
            }
        }
        Ok(outcomes)
    }
}

const ERASED: &str = "was erased here; if it is back, register it alone: PUT /v1/users/{user_id}";
const REMOVED: &str = "was removed here; if it is back, register it alone: PUT /v1/items/{item_id}";
const UNKNOWN: &str =
    "is unknown to Plaid since it was registered; if it is back, register it alone: PUT /v1/items/{item_id}";

fn compare_item(connection: &Connection, sealer: &Sealer, known: Option<&Item>, row: &NewItem) -> Result<Imported> {
    let Some(known) = known else { return Ok(Imported::New) };
    if let Some(removed) = known.removed {
        let why = match removed.why {
            RemovalReason::Application => REMOVED,
            RemovalReason::UnknownToPlaid => UNKNOWN,
        };
        return Ok(Imported::Skipped { why: why.to_owned() });
    }
    let token = views::access_token(connection, sealer, &row.id)?;
    let codes = match &row.country_codes {
        None => false,
        Some(codes) => views::country_codes(connection, &row.id)?.as_ref() != Some(codes),
    };
    Ok(if codes || row.differs_from(known, token.as_deref()) { Imported::Changed } else { Imported::Same })
}

fn write_item(
    connection: &Connection,
    sealer: &Sealer,
    known: Option<Item>,
    row: &NewItem,
    rule: &Rule,
    outcome: &Imported,
) -> Result<()> {
    match outcome {
        Imported::New | Imported::Changed => {}
        Imported::Same | Imported::Skipped { .. } => return Ok(()),
    }
    users::ensure(connection, &row.user, rule.now)?;
    let event = Event::Imported { user: row.user.clone(), institution: row.institution.clone() };
    let sealed = sealer.seal(views::token_place(row.id.as_str()), row.access_token.as_bytes());
    let registration = row.registration(&sealed);
    match known {
        None => {
            let item = Item::new(row.id.clone(), row.user.clone(), None, rule.now);
            steps::begin(connection, rule, &item, &event, CAUSE, &registration)?;
            inbox::unpark(connection, &row.id)?;
        }
        Some(item) => {
            let token = views::access_token(connection, sealer, &row.id)?;
            if row.differs_from(&item, token.as_deref()) {
                steps::take(connection, rule, &item, &event, CAUSE, &mut Vec::new())?;
            }
            items::set_registration(connection, &row.id, &registration)?;
        }
    }
    Ok(())
}

/// What the journal names as the cause.
const CAUSE: &str = "import";

fn compare_user(known: &Profile, row: &NewUser) -> Imported {
    let profile = &row.profile;
    let same_profile = known.email == profile.email
        && known.name == profile.name
        && known.locale == profile.locale
        && known.time_zone == profile.time_zone;
    // A wish for no letters is kept, wherever it was said; and what is not said here takes none back.
    let same_wishes = (row.stopped_at.is_none() || known.stopped_at.is_some())
        && (row.suppressed_at.is_none() || known.suppressed_at.is_some())
        && row.snoozed_until <= known.snoozed_until;
    if same_profile && same_wishes { Imported::Same } else { Imported::Changed }
}
