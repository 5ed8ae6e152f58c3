//! Users and their letters.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::Value;

use super::Result;
use super::returned::suppress;
use crate::domain::compose::{Channel, Circumstances, Composition, Line, Sent, User, is_silent};
use crate::domain::contact::EmailAddress;
use crate::domain::event::{Event, Mention, NoLetters};
use crate::domain::fresh_link::{ASKED_SPAN, Answer};
use crate::domain::ids::{InstitutionId, ItemId, LetterId, UserId};
use crate::domain::item::{Item, RemovalReason};
use crate::domain::provider::{Cap, Caps};
use crate::domain::window::SendWindow;
use crate::store::letter_views::{self, LetterFilter, LetterView, Outgoing};
use crate::store::letters::{Begun, ClaimedLetter, LetterOutcome};
use crate::store::pauses::{Ender, Pause, PauseReason};
use crate::store::seal::Sealer;
use crate::store::steps::{Rule, Told};
use crate::store::suppressions::{self, Suppression, Teller};
use crate::store::users::{NewProfile, Profile};
use crate::store::{Purpose, Store, events, items, letters, links, pauses, steps, users};

/// What follows for a user from all Items, the letters sent so far and the circumstances.
pub type Compose = dyn Fn(&User, &[Item], &[Sent], &Circumstances) -> Composition + Send + Sync;

/// The rule for users, with what it needs to know beside the store's rows. It is pure: an operation may run it twice.
pub struct Composer {
    /// What follows for a user.
    pub compose: Box<Compose>,
    /// Banks at which so much broke at once that letters wait.
    pub held: Vec<(InstitutionId, Timestamp)>,
    /// How many letters a day the mailbox providers get.
    pub caps: Caps,
    /// The time zone of users who gave none.
    pub default_zone: TimeZone,
    /// Who brings the letter.
    pub channel: Channel,
    /// The id of the letter, if one is written.
    pub letter: LetterId,
}

/// What composing did for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// What the rule said.
    pub composition: Composition,
    /// What the operator and the application are told.
    pub told: Vec<Told>,
}

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
    /// When letters may leave that nobody asked for.
    pub send_window: SendWindow,
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

/// What follows when somebody asks for a fresh link: from the user, all Items, and when there were others.
pub type FreshLink = dyn Fn(&Profile, &[Item], &[Timestamp]) -> Answer + Send + Sync;

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
    /// Whether a letter is on its way.
    pub underway: bool,
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

    /// The users at whom it is time to look.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn due_users(&self, now: Timestamp, limit: u32) -> Result<Vec<UserId>> {
        self.threads.read(move |connection| users::due(connection, now, limit)).await
    }

    /// Notes when to look at a user again.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn look_again(&self, id: UserId, at: Timestamp) -> Result<()> {
        self.threads.write(move |connection| users::look_again(connection, &id, Some(at))).await
    }

    /// Composes for one user: writes a letter's row with its link, or notes when to look again.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn compose(&self, user: UserId, composer: Composer, rule: Rule) -> Result<Composed> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let now = rule.now;
            let mut told = Vec::new();
            let Some(profile) = users::get(connection, &inner.sealer, &user)? else {
                users::look_again(connection, &user, None)?;
                let composition = Composition::Nothing(crate::domain::compose::Silence::NoAddress);
                return Ok(Composed { composition, told });
            };
            let person = profile.for_letters(&composer.default_zone, composer.channel);
            let owned = items::of_user(connection, user.as_str())?;
            let history = letters::history(connection, &user, now)?;
            let underway = letters::underway(connection, &user)?;
            let cap = profile.email.as_ref().and_then(|email| composer.caps.of(email.domain()));
            let provider_full_until = cap.map(|cap| pauses::full_until(connection, cap, now)).transpose()?.flatten();
            let circumstances = Circumstances { underway, held: composer.held, provider_full_until };
            let composition = (composer.compose)(&person, &owned, &history, &circumstances);
            users::look_again(connection, &user, None)?;
            match &composition {
                Composition::Nothing(_) => {}
                Composition::Wait { until, .. } => users::look_again(connection, &user, Some(*until))?,
                Composition::Write(lines) => {
                    let link = links::create(connection, &user, now)?;
                    let provider = cap.map(|cap| cap.provider.as_str());
                    letters::insert(connection, composer.letter, &user, lines, &link, provider, now)?;
                    if let Some(provider) = provider {
                        pauses::count(connection, provider, now)?;
                    }
                    mention(connection, &rule, composer.letter, lines, Event::LetterComposed, &mut told)?;
                }
            }
            Ok(Composed { composition, told })
        };
        self.threads.write(operation).await
    }

    /// Somebody asks for a fresh link on the page of an old one: writes the letter's row with its link, if there is anybody to
    /// write to. Answers nothing for a link that never was.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn write_fresh_link(
        &self,
        token: &str,
        decide: Box<FreshLink>,
        letter: LetterId,
        rule: Rule,
    ) -> Result<Option<(UserId, Answer)>> {
        let inner = Arc::clone(&self.inner);
        let Some(link) = inner.sealer.link(Purpose::Repair.name(), token) else { return Ok(None) };
        let (id, made_before) = (link.id.to_owned(), link.made_before);
        let operation = move |connection: &Connection| {
            let now = rule.now;
            let Some(user) = links::owner(connection, &id, made_before)? else { return Ok(None) };
            let Some(profile) = users::get(connection, &inner.sealer, &user)? else { return Ok(None) };
            let since = now.checked_sub(ASKED_SPAN).unwrap_or(Timestamp::MIN);
            let asked = letters::fresh_links(connection, &user, since)?;
            let owned = items::of_user(connection, user.as_str())?;
            let answer = decide(&profile, &owned, &asked);
            if let Answer::Write(lines) = &answer {
                let link = links::create(connection, &user, now)?;
                letters::insert(connection, letter, &user, lines, &link, None, now)?;
                mention(connection, &rule, letter, lines, Event::LetterComposed, &mut Vec::new())?;
            }
            Ok(Some((user, answer)))
        };
        self.threads.write(operation).await
    }

    /// Banks at which several logins broke at once, as [`outage`](crate::domain::outage) has it, and until when their letters
    /// wait.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn held_banks(&self, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
        self.threads.read(move |connection| super::breaker::held_banks(connection, now)).await
    }

    /// Claims letters that are due.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn claim_letters(&self, now: Timestamp, limit: u32) -> Result<Vec<ClaimedLetter>> {
        self.threads.write(move |connection| letters::claim(connection, now, limit)).await
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
            letters::settle(connection, letter.id, &outcome, rule.now)?;
            let told = &mut settled.told;
            match &outcome {
                LetterOutcome::SenderAtFault { why, .. } => {
                    settled.paused = pauses::sender_at_fault(connection, why, rule.now)?;
                    return Ok(settled);
                }
                LetterOutcome::Deferred { .. } | LetterOutcome::Uncertain { again_at: Some(_), .. } => {
                    return Ok(settled);
                }
                LetterOutcome::Accepted { .. } => {
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterSent, told)?;
                    if pauses::open(connection)?.is_some_and(|pause| pause.why == PauseReason::Sender) {
                        pauses::end(connection, Ender::Letter, rule.now)?;
                        settled.resumed = true;
                    }
                }
                LetterOutcome::WrittenDown | LetterOutcome::Uncertain { again_at: None, .. } => {
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterSent, told)?;
                }
                LetterOutcome::Withheld { .. } => {
                    give_back(connection, &rule, letter.id, &letter.lines, Event::LetterWithheld, told)?;
                    pauses::try_another(connection, rule.now)?;
                }
                // What else was refused would be refused again.
                LetterOutcome::Bounced { gone: None, .. } => {}
                LetterOutcome::Bounced { why, gone: Some(address) } => {
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
    pub async fn outlook(&self, id: UserId, now: Timestamp) -> Result<Option<Outlook>> {
        let inner = Arc::clone(&self.inner);
        let query = move |connection: &Connection| {
            let Some(profile) = users::get(connection, &inner.sealer, &id)? else { return Ok(None) };
            Ok(Some(Outlook {
                profile,
                items: items::of_user(connection, id.as_str())?,
                sent: letters::history(connection, &id, now)?,
                underway: letters::underway(connection, &id)?,
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
    // A link that the user asks for now comes in a pause too, and at night.
    let mut person = profile.for_letters(&letter.default_zone, letter.channel);
    person.snoozed_until = person.snoozed_until.filter(|_| !letter.asked_for);
    let is_unwanted = is_silent(&person, now) || letters::has_unwanted_line(connection, letter.id, now)?;
    if profile.email != letter.to || is_unwanted {
        return Ok(Begun::Unwanted);
    }
    if !letter.asked_for {
        match letter.send_window.opens_at(now, &person.time_zone) {
            None => return Ok(Begun::Unwanted),
            Some(until) if until > now => return Ok(Begun::Night(until)),
            Some(_) => {}
        }
    }
    if let Some(cap) = &letter.cap
        && let Some(until) = letters::count_for_provider(connection, letter.id, cap, now)?
    {
        return Ok(Begun::Full(until));
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
fn mention(
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
