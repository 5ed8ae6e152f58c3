//! Users and their letters.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::Value;

use super::Result;
use super::returned::suppress;
use crate::domain::compose::{Channel, Line, Sent, still_wanted};
use crate::domain::contact::EmailAddress;
use crate::domain::event::{Event, Mention, NoLetters};
use crate::domain::ids::{InstitutionId, ItemId, LetterId, UserId};
use crate::domain::item::{Item, RemovalReason};
use crate::domain::policy::Policy;
use crate::domain::provider::{Cap, Caps};
use crate::store::letter_outcome::{self, LetterOutcome, Refusal};
use crate::store::letter_views::{self, LetterFilter, LetterView, Outgoing};
use crate::store::letters::{Begun, ClaimedLetter, OnItsWay};
use crate::store::pauses::{Ender, Pause, PauseReason};
use crate::store::seal::Sealer;
use crate::store::steps::{Rule, Told};
use crate::store::suppressions::{self, Suppression, Teller};
use crate::store::users::{NewProfile, Profile};
use crate::store::{Store, events, items, letters, links, pauses, steps, users};

/// A letter whose body is about to go out.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Which one.
    pub id: LetterId,
    /// To whom.
    pub user: UserId,
    /// Who brings it.
    pub channel: Channel,
    /// To which address, where there is one.
    pub to: Option<EmailAddress>,
    /// The cap of the address's mailbox provider, if it has one.
    pub cap: Option<Cap>,
    /// Whether the user asked for it a moment ago.
    pub asked_for: bool,
    /// What decides whether it is wanted still, and when letters may leave that nobody asked for.
    pub policy: Policy,
    /// The time zone of users who gave none.
    pub default_zone: TimeZone,
    /// Its language.
    pub language: String,
    /// Its subject.
    pub subject: String,
}

/// What settling a letter did beside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What the operator and the application are told.
    pub told: Vec<Told>,
    /// The pause that begins with it.
    pub paused: Option<Pause>,
    /// Whether it ended a pause.
    pub resumed: bool,
}

/// A letter that was claimed, with all that it is made of.
#[derive(Clone, Debug)]
pub struct Written {
    /// To whom.
    pub profile: Option<Profile>,
    /// The Items that it speaks of, as they are now.
    pub items: HashMap<ItemId, Item>,
}

/// All that decides on letters to a user.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The user.
    pub profile: Profile,
    /// All Items of the user.
    pub items: Vec<Item>,
    /// The letters of the last 30 days.
    pub sent: Vec<Sent>,
    /// The letter that is on its way.
    pub underway: Option<OnItsWay>,
    /// What holds all letters back.
    pub pause: Option<Pause>,
    /// Until when the user's mailbox provider takes no more of our letters.
    pub provider_full_until: Option<Timestamp>,
}

impl Store {
    /// Writes what the application says about a user. Says whether the user is new.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn put_user(&self, user: NewProfile, now: Timestamp) -> Result<bool> {
        let inner = Arc::clone(&self.inner);
        self.threads.write(move |connection| users::put(connection, &inner.sealer, &user, now)).await
    }

    /// A user; nothing if unknown or erased.
    ///
    /// # Errors
    /// What SQLite says, or that the address does not open.
    pub async fn user(&self, id: UserId) -> Result<Option<Profile>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| users::get(connection, &inner.sealer, &id)).await
    }

    /// A page of users in the order of their ids, after a given one; of one address where asked. Without the erased.
    ///
    /// # Errors
    /// What SQLite says, or that an address does not open.
    pub async fn users(&self, email: Option<EmailAddress>, after: Option<String>, limit: u32) -> Result<Vec<Profile>> {
        let inner = Arc::clone(&self.inner);
        let after = after.unwrap_or_default();
        let query = move |connection: &Connection| match &email {
            None => users::list(connection, &inner.sealer, &after, limit),
            Some(email) => users::at_address(connection, &inner.sealer, email, &after, limit),
        };
        self.threads.read(query).await
    }

    /// Erases a user: address, name, links; the Items are forgotten here. Then nothing of it is left in the file or its
    /// log. Says whether there was such a user.
    ///
    /// # Errors
    /// [`LogInUse`](crate::store::StoreError::LogInUse) if the rows are empty and the log is not: ask again. What SQLite says.
    pub async fn erase_user(&self, id: UserId, rule: Rule) -> Result<bool> {
        let operation = move |connection: &Connection| {
            if !users::erase(connection, &id, rule.now)? {
                return Ok(false);
            }
            links::revoke_all(connection, &id, rule.now)?;
            let gone = Event::Removed { why: RemovalReason::Application };
            for item in items::of_user(connection, id.as_str())? {
                steps::take(connection, &rule, &item, &gone, "api", &mut Vec::new())?;
            }
            Ok(true)
        };
        let erased = self.threads.write(operation).await?;
        // Also if it was erased before: that time the log may have been in use.
        self.threads.empty_log().await?;
        Ok(erased)
    }

    /// Banks at which several logins broke at once, as [`outage`](crate::domain::outage) has it, and until when their letters
    /// wait.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn held_banks(&self, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
        self.threads.read(move |connection| super::breaker::held_banks(connection, now)).await
    }

    /// Claims letters that are due, to be brought in this way.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn claim_letters(&self, now: Timestamp, limit: u32, channel: Channel) -> Result<Vec<ClaimedLetter>> {
        self.threads.write(move |connection| letters::claim(connection, now, limit, channel)).await
    }

    /// What a claimed letter is made of, as it is now.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn written(&self, letter: &ClaimedLetter) -> Result<Written> {
        let (inner, user) = (Arc::clone(&self.inner), letter.user.clone());
        let ids: Vec<ItemId> = letter.lines.iter().map(|line| line.item.clone()).collect();
        let query = move |connection: &Connection| {
            let mut found = HashMap::new();
            for id in ids {
                found.extend(items::load(connection, &id)?.map(|item| (id, item)));
            }
            Ok(Written { profile: users::get(connection, &inner.sealer, &user)?, items: found })
        };
        self.threads.read(query).await
    }

    /// Takes lines out of a letter that are not so any more: their rungs are free again.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn drop_lines(&self, letter: LetterId, lines: Vec<Line>, rule: Rule) -> Result<Vec<Told>> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            give_back(connection, &rule, letter, &lines, Event::LetterWithheld, &mut told)?;
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// Notes that the body is about to go out, if it may go. When this answers, it is on disk.
    ///
    /// # Errors
    /// What SQLite says, or that the letter is not leased: then it may not be sent.
    pub async fn start_data(&self, letter: Departure, now: Timestamp) -> Result<Begun> {
        let inner = Arc::clone(&self.inner);
        self.threads.write(move |connection| begin(connection, &inner.sealer, &letter, now)).await
    }

    /// The same for a letter that the application sends: it is told by an event, with what is to be said. Answers with the
    /// event's number, if the letter may go.
    ///
    /// # Errors
    /// What SQLite says, or that the letter is not leased: then the application was not told.
    pub async fn hand_over(&self, letter: Departure, data: Value, now: Timestamp) -> Result<(Begun, Option<i64>)> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let begun = begin(connection, &inner.sealer, &letter, now)?;
            let told = match begun {
                Begun::Go => Some(events::letter_due(connection, letter.id, &letter.user, data, now)?),
                Begun::Unwanted | Begun::Night(_) | Begun::Full(_) => None,
            };
            Ok((begun, told))
        };
        self.threads.write(operation).await
    }

    /// Settles a claimed letter, and takes the steps that follow from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn settle_letter(&self, letter: ClaimedLetter, outcome: LetterOutcome, rule: Rule) -> Result<Settled> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let mut settled = Settled::default();
            let outcome = pauses::doubted(connection, outcome.clone(), rule.now)?;
            letter_outcome::settle(connection, letter.id, &outcome, rule.now)?;
            let told = &mut settled.told;
            match &outcome {
                LetterOutcome::SenderAtFault { why, .. } => {
                    settled.paused = pauses::sender_at_fault(connection, why, rule.now)?;
                    return Ok(settled);
                }
                LetterOutcome::Deferred { attempt: false, .. } => {
                    // What came up while it was looked at is not held up by it.
                    users::look_again(connection, &letter.user, Some(rule.now))?;
                    return Ok(settled);
                }
                LetterOutcome::Deferred { attempt: true, .. } | LetterOutcome::Uncertain { again_at: Some(_), .. } => {
                    return Ok(settled);
                }
                LetterOutcome::Accepted { .. } => {
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterSent, told)?;
                    if pauses::open(connection)?.is_some_and(|pause| pause.why == PauseReason::Sender) {
                        pauses::end(connection, Ender::Letter, rule.now)?;
                        settled.resumed = true;
                    }
                }
                LetterOutcome::WrittenDown { .. } | LetterOutcome::Uncertain { again_at: None, .. } => {
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterSent, told)?;
                }
                LetterOutcome::Withheld { .. } => {
                    give_back(connection, &rule, letter.id, &letter.lines, Event::LetterWithheld, told)?;
                    pauses::try_another(connection, rule.now)?;
                }
                // What else was refused would be refused again: the rung stands, and nobody had the letter.
                LetterOutcome::Bounced { refusal: refusal @ (Refusal::Mailbox | Refusal::Letter), .. } => {
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterRefused, told)?;
                    if *refusal == Refusal::Letter {
                        settled.paused = pauses::after_bounce(connection, rule.now)?;
                    }
                }
                LetterOutcome::Bounced { why, refusal: Refusal::Gone(address) } => {
                    // Nobody read it. Once the user has another address, it is to say what this letter could not.
                    give_back(connection, &rule, letter.id, &letter.lines, Event::LetterWithheld, told)?;
                    let hmac = suppressions::hmac(&inner.sealer, address);
                    let suppression =
                        Suppression { reason: NoLetters::Gone, source: Teller::Smtp, note: Some(why.clone()) };
                    suppress(connection, &hmac, &suppression, &rule, told)?;
                    settled.paused = pauses::after_bounce(connection, rule.now)?;
                }
            }
            users::look_again(connection, &letter.user, Some(rule.now))?;
            Ok(settled)
        };
        self.threads.write(operation).await
    }

    /// What waits to leave, and what left last.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn outgoing(&self) -> Result<Outgoing> {
        self.threads.read(letter_views::outgoing).await
    }

    /// Letters, newest first, before a given one.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn letters(&self, filter: LetterFilter, before: Option<String>, limit: u32) -> Result<Vec<LetterView>> {
        self.threads.read(move |connection| letter_views::list(connection, &filter, before.as_deref(), limit)).await
    }

    /// One letter.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn letter(&self, id: String) -> Result<Option<LetterView>> {
        self.threads.read(move |connection| letter_views::one(connection, &id)).await
    }

    /// All that decides on letters to a user; nothing if unknown or erased.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn outlook(&self, id: UserId, caps: Caps, now: Timestamp) -> Result<Option<Outlook>> {
        let inner = Arc::clone(&self.inner);
        let query = move |connection: &Connection| {
            let Some(profile) = users::get(connection, &inner.sealer, &id)? else { return Ok(None) };
            let waiting = letters::waiting(connection, &id, now)?.map(|letter| letter.id);
            let cap = profile.email.as_ref().and_then(|email| caps.of(email.domain()));
            Ok(Some(Outlook {
                provider_full_until: cap.map(|cap| pauses::full_until(connection, cap, now)).transpose()?.flatten(),
                profile,
                items: items::of_user(connection, id.as_str())?,
                sent: letters::history(connection, &id, waiting, now)?,
                underway: letters::underway(connection, &id)?,
                pause: pauses::open(connection)?,
            }))
        };
        self.threads.read(query).await
    }

    /// A page of the users about whom there is something to say, or to be silent about, after a given one.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn users_concerned(&self, after: String, limit: u32) -> Result<Vec<UserId>> {
        self.threads.read(move |connection| users::concerned(connection, &after, limit)).await
    }
}

/// Notes that a letter is about to leave, if it may.
fn begin(connection: &Connection, sealer: &Sealer, letter: &Departure, now: Timestamp) -> Result<Begun> {
    let Some(profile) = users::get(connection, sealer, &letter.user)? else { return Ok(Begun::Unwanted) };
    let person = profile.for_letters(&letter.default_zone, letter.channel);
    if profile.email != letter.to {
        return Ok(Begun::Unwanted);
    }
    // The mail server may have taken minutes to let the letter come to this.
    for line in letters::lines(connection, &letter.id.to_string())? {
        let item = items::load(connection, &line.item)?;
        if !item.is_some_and(|item| still_wanted(&line, &item, &person, now, &letter.policy)) {
            return Ok(Begun::Unwanted);
        }
    }
    // A link that the user asks for now comes at night too.
    if !letter.asked_for {
        match letter.policy.send_window.opens_at(now, &person.time_zone) {
            None => return Ok(Begun::Unwanted),
            Some(until) if until > now => return Ok(Begun::Night(until)),
            Some(_) => {}
        }
    }
    if let Some(cap) = &letter.cap
        && let Some(until) = letters::count_for_provider(connection, letter.id, cap, now)?
    {
        if !letter.asked_for {
            return Ok(Begun::Full(until));
        }
        pauses::count(connection, &cap.provider, now)?;
    }
    let hmac = letter.to.as_ref().map(|to| suppressions::hmac(sealer, to));
    letters::start_data(connection, letter.id, &letter.language, &letter.subject, hmac.as_deref())?;
    Ok(Begun::Go)
}

/// Takes lines out of a letter that does not say them to anybody: their rungs are free again. The event is why.
pub(super) fn give_back(
    connection: &Connection,
    rule: &Rule,
    letter: LetterId,
    lines: &[Line],
    why: fn(Mention) -> Event,
    told: &mut Vec<Told>,
) -> Result<()> {
    let items: Vec<ItemId> = lines.iter().map(|line| line.item.clone()).collect();
    letters::drop_lines(connection, letter, &items)?;
    mention(connection, rule, letter, lines, why, told)
}

/// Tells each Item what became of a letter that speaks of it.
pub(super) fn mention(
    connection: &Connection,
    rule: &Rule,
    letter: LetterId,
    lines: &[Line],
    event: impl Fn(Mention) -> Event,
    told: &mut Vec<Told>,
) -> Result<()> {
    for (id, mention) in letters::mentions(letter, lines) {
        if let Some(item) = items::load(connection, &id)? {
            steps::take(connection, rule, &item, &event(mention), &format!("letter {letter}"), told)?;
        }
    }
    Ok(())
}
