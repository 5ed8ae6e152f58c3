//! What comes back: letters that bounced or were called spam, addresses that take none, and the pause that follows.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::Result;
use super::letters::give_back;
use crate::domain::contact::EmailAddress;
use crate::domain::event::{Event, NoLetters};
use crate::domain::ids::{LetterId, UserId};
use crate::store::columns::{Record, ms};
use crate::store::pauses::{Ender, Pause, PauseReason};
use crate::store::steps::{Rule, Told};
use crate::store::suppressions::{Suppression, SuppressionView, Teller};
use crate::store::{Store, items, letters, pauses, steps, suppressions, users};

/// How long the names of events are kept: longer than any service tells one again.
const EVENTS_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A letter comes back within so many milliseconds: mail servers try for five days. What is told of an address later is not
/// about the last letter that went there.
const RETURNS_WITHIN_MS: i64 = 6 * 24 * 60 * 60 * 1000;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// There is no such mailbox.
    Hard,
    /// Not delivered this time, or not yet.
    Soft,
    /// The letter is not wanted, or its sender is not believed: others may meet the same.
    Refused,
    /// Its reader called it spam.
    Complaint,
    /// Nothing: somebody said that no more is to go to the address.
    Barred,
}

impl Back {
    /// The name that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Refused => "refused",
            Self::Complaint => "complaint",
            Self::Barred => "barred",
        }
    }
}

/// What somebody tells us about a letter that left.
#[derive(Clone, Debug)]
pub struct MailReport {
    /// Who tells.
    pub source: Teller,
    /// The name that a mail service gives to this event: told again, it changes nothing.
    pub event: Option<String>,
    /// Which letter.
    pub letter: Option<LetterId>,
    /// Which address, where the teller is believed about it.
    pub address: Option<EmailAddress>,
    /// What came back.
    pub back: Back,
    /// What was said, without addresses.
    pub note: Option<String>,
}

/// What a report did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Whether it is about a letter or an address of ours.
    pub known: bool,
    /// Whether it was told before.
    pub repeated: bool,
    /// What the operator and the application are told.
    pub told: Vec<Told>,
    /// The pause that begins with it.
    pub paused: Option<Pause>,
}

/// The address of which a request speaks.
#[derive(Clone, Debug)]
pub enum Whose {
    /// This one.
    Address(EmailAddress),
    /// The one that a user has now.
    User(UserId),
    /// The one of a suppression's id.
    Id(String),
}

impl Store {
    /// Notes what came back of a letter: a hard bounce suppresses the address, a complaint also stops its users.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn report_mail(&self, report: MailReport, rule: Rule) -> Result<Reported> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let mut done = Reported { known: false, repeated: false, told: Vec::new(), paused: None };
            if let Some(event) = &report.event
                && !is_new(connection, report.source, event, rule.now)?
            {
                return Ok(Reported { known: true, repeated: true, ..done });
            }
            let given = report.address.as_ref().map(|address| suppressions::hmac(&inner.sealer, address));
            let letter = find_letter(connection, report.letter, given.as_deref(), rule.now)?;
            let hmac = letter.as_ref().and_then(|letter| letter.hmac.clone()).or(given);
            let Some(hmac) = hmac else { return Ok(done) };
            let owners = suppressions::users_with(connection, &hmac)?;
            if letter.is_none() && owners.is_empty() {
                return Ok(done);
            }
            done.known = true;
            if let Some(letter) = &letter
                && report.back != Back::Barred
                && note_back(connection, letter, &report)?
            {
                // Nobody read it. Once the user has another address, it is to say what this letter could not.
                let lines = letters::lines(connection, &letter.id.to_string())?;
                give_back(connection, &rule, letter.id, &lines, Event::LetterReturned, &mut done.told)?;
            }
            let suppression = |reason| Suppression { reason, source: report.source, note: report.note.clone() };
            match report.back {
                Back::Soft => {}
                Back::Refused => done.paused = pauses::after_bounce(connection, rule.now)?,
                Back::Hard => {
                    suppress(connection, &hmac, &suppression(NoLetters::Gone), &rule, &mut done.told)?;
                    done.paused = pauses::after_bounce(connection, rule.now)?;
                }
                Back::Barred => {
                    suppress(connection, &hmac, &suppression(NoLetters::Gone), &rule, &mut done.told)?;
                }
                Back::Complaint => {
                    suppress(connection, &hmac, &suppression(NoLetters::Complaint), &rule, &mut done.told)?;
                    // Whose letter it was, also if that user has another address by now.
                    let reader = letter.map(|letter| letter.user).filter(|user| !owners.contains(user));
                    for user in owners.iter().chain(&reader) {
                        users::stop(connection, user, rule.now)?;
                    }
                }
            }
            Ok(done)
        };
        self.threads.write(operation).await
    }

    /// Lets an address take no letters, whoever has it. Answers with the suppression and whether it is new; nothing if the
    /// user has no address.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn suppress(
        &self,
        whose: Whose,
        suppression: Suppression,
        rule: Rule,
    ) -> Result<Option<(SuppressionView, bool)>> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let Some(hmac) = hmacs_of(connection, &inner.sealer, &whose)?.into_iter().next() else { return Ok(None) };
            let is_new = suppress(connection, &hmac, &suppression, &rule, &mut Vec::new())?;
            Ok(suppressions::get(connection, &hmac)?.map(|view| (view, is_new)))
        };
        self.threads.write(operation).await
    }

    /// Lets an address take letters again. Says whether it did not.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn unsuppress(&self, whose: Whose, now: Timestamp) -> Result<bool> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let mut removed = false;
            for hmac in hmacs_of(connection, &inner.sealer, &whose)? {
                removed |= unsuppress(connection, &hmac, now)?;
            }
            Ok(removed)
        };
        self.threads.write(operation).await
    }

    /// Suppressions, newest first, after the one at a place.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn suppressions(&self, after: Option<SuppressionView>, limit: u32) -> Result<Vec<SuppressionView>> {
        let place = after.and_then(|view| Some((ms(view.since), suppressions::by_id(&view.suppression_id)?)));
        self.threads.read(move |connection| suppressions::list(connection, place, limit)).await
    }

    /// The suppression of an id.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn suppression(&self, id: String) -> Result<Option<SuppressionView>> {
        let query = move |connection: &Connection| {
            suppressions::by_id(&id).map(|hmac| suppressions::get(connection, &hmac)).transpose()
        };
        Ok(self.threads.read(query).await?.flatten())
    }

    /// The pause that is not over.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn pause(&self) -> Result<Option<Pause>> {
        self.threads.read(pauses::open).await
    }

    /// Ends the pause by the operator's word. `lift` also lets those addresses take letters again that were found gone among
    /// the letters which brought the pause about. Answers with the pause that ended, and how many addresses that were.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn end_pause(&self, lift: bool, now: Timestamp) -> Result<Option<(Pause, usize)>> {
        let operation = move |connection: &Connection| {
            let Some(pause) = pauses::open(connection)? else { return Ok(None) };
            let mut lifted = 0;
            if lift && pause.why == PauseReason::Bounces {
                let since = pauses::doubted_since(connection)?;
                for hmac in suppressions::remove_gone_since(connection, since)? {
                    look_at_users_with(connection, &hmac, now)?;
                    lifted += 1;
                }
            }
            pauses::end(connection, Ender::Operator, now)?;
            Ok(Some((pause, lifted)))
        };
        self.threads.write(operation).await
    }
}

/// Notes that an address takes no letters, and tells the Items of its users. Says whether that is new.
pub(super) fn suppress(
    connection: &Connection,
    hmac: &[u8],
    suppression: &Suppression,
    rule: &Rule,
    told: &mut Vec<Told>,
) -> Result<bool> {
    if !suppressions::add(connection, hmac, suppression, rule.now)? {
        return Ok(false);
    }
    let cause = format!("suppression by {}", suppression.source.name());
    for user in suppressions::users_with(connection, hmac)? {
        for item in items::of_user(connection, user.as_str())? {
            if item.removed.is_none() {
                let event = Event::Unreachable { why: suppression.reason };
                steps::take(connection, rule, &item, &event, &cause, told)?;
            }
        }
    }
    Ok(true)
}

fn unsuppress(connection: &Connection, hmac: &[u8], now: Timestamp) -> Result<bool> {
    let removed = suppressions::remove(connection, hmac)?;
    if removed {
        look_at_users_with(connection, hmac, now)?;
    }
    Ok(removed)
}

fn look_at_users_with(connection: &Connection, hmac: &[u8], now: Timestamp) -> Result<()> {
    for user in suppressions::users_with(connection, hmac)? {
        users::look_again(connection, &user, Some(now))?;
    }
    Ok(())
}

/// By what the address of a request is found, under the present key first.
fn hmacs_of(connection: &Connection, sealer: &crate::store::seal::Sealer, whose: &Whose) -> Result<Vec<Vec<u8>>> {
    Ok(match whose {
        Whose::Address(address) => suppressions::hmacs(sealer, address),
        Whose::Id(id) => suppressions::by_id(id).into_iter().collect(),
        Whose::User(user) => {
            let email = users::get(connection, sealer, user)?.and_then(|profile| profile.email);
            email.map(|email| suppressions::hmacs(sealer, &email)).unwrap_or_default()
        }
    })
}

/// A letter that left, and where it went.
struct Left {
    id: LetterId,
    user: UserId,
    hmac: Option<Vec<u8>>,
    /// Whether it counts as sent.
    is_counted: bool,
}

/// The letter of this id; without one, the last that went to the address.
fn find_letter(
    connection: &Connection,
    id: Option<LetterId>,
    hmac: Option<&[u8]>,
    now: Timestamp,
) -> Result<Option<Left>> {
    let mut statement = connection.prepare_cached(
        "select letter_id, user_id, address_hmac, status in ('accepted', 'uncertain') and due_at is null
           and (:letter is not null or settled_at > :since) as counted from letters
         where letter_id = coalesce(:letter, (select letter_id from letters where address_hmac = :hmac
                                              order by composed_at desc limit 1)) and address_hmac is not null",
    )?;
    let named =
        named_params! { ":letter": id.map(|id| id.to_string()), ":hmac": hmac, ":since": ms(now) - RETURNS_WITHIN_MS };
    let left = statement.query_row(named, |row| {
        Ok(Record::new("letters", "letter_id", row).and_then(|record| {
            Ok(Left {
                id: letters::letter_id(&record)?,
                user: record.user_id("user_id")?,
                hmac: record.get("address_hmac")?,
                is_counted: record.get("counted")?,
            })
        }))
    });
    left.optional()?.transpose()
}

/// Writes on a letter what came of it, and says whether it is to be taken back. Whoever complained has it, so it did not
/// bounce; and what is to go out again meets the suppression there. What was refused would be refused again.
fn note_back(connection: &Connection, letter: &Left, report: &MailReport) -> Result<bool> {
    let is_bounced = letter.is_counted && matches!(report.back, Back::Hard | Back::Refused);
    let mut statement = connection.prepare_cached(
        "update letters set
           bounce = case :back when 'soft' then iif(status = 'bounced', bounce, coalesce(bounce, 'soft'))
             when 'refused' then nullif(bounce, 'soft') else :back end,
           status = case when :bounced then 'bounced' else status end,
           note = coalesce(:note, note)
         where letter_id = :letter",
    )?;
    statement.execute(named_params! {
        ":letter": letter.id.to_string(),
        ":back": report.back.name(),
        ":bounced": is_bounced,
        ":note": report.note,
    })?;
    Ok(is_bounced && report.back == Back::Hard)
}

/// Whether an event was not told before.
fn is_new(connection: &Connection, source: Teller, event: &str, now: Timestamp) -> Result<bool> {
    connection.prepare_cached("delete from mail_events where at < ?1")?.execute([ms(now) - EVENTS_KEPT_MS])?;
    let mut statement = connection.prepare_cached(
        "insert into mail_events (service, event, at) values (:service, :event, :now) on conflict do nothing",
    )?;
    let named = named_params! { ":service": source.name(), ":event": event, ":now": ms(now) };
    Ok(statement.execute(named)? == 1)
}
