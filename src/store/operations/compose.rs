//! Composing: what a user is written, decided and kept in one transaction.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;

use super::Result;
use super::letters::{give_back, mention};
use crate::domain::compose::{Channel, Circumstances, Composition, Sent, Silence, User, says_more};
use crate::domain::event::Event;
use crate::domain::fresh_link::{ASKED_SPAN, Answer};
use crate::domain::ids::{InstitutionId, LetterId, UserId};
use crate::domain::item::Item;
use crate::domain::provider::Caps;
use crate::store::letter_outcome::{self, LetterOutcome};
use crate::store::letters::Waiting;
use crate::store::steps::{Rule, Told};
use crate::store::users::Profile;
use crate::store::{Purpose, Store, items, letters, links, pauses, users};

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

/// What follows when somebody asks for a fresh link: from the user, all Items, and when there were others.
pub type FreshLink = dyn Fn(&Profile, &[Item], &[Timestamp]) -> Answer + Send + Sync;

impl Store {
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
                let composition = Composition::Nothing(Silence::NoAddress);
                return Ok(Composed { composition, told });
            };
            let person = profile.for_letters(&composer.default_zone, composer.channel);
            // What only waits holds up nothing else: if there is more to say, another letter says all of it.
            let waiting = letters::waiting(connection, &user, now)?;
            let history = letters::history(connection, &user, waiting.as_ref().map(|letter| letter.id), now)?;
            let underway = waiting.is_none() && letters::underway(connection, &user)?.is_some();
            let cap = profile.email.as_ref().and_then(|email| composer.caps.of(email.domain()));
            let compose = || -> Result<Composition> {
                let owned = items::of_user(connection, user.as_str())?;
                let full = cap.map(|cap| pauses::full_until(connection, cap, now)).transpose()?.flatten();
                let held = composer.held.clone();
                let circumstances = Circumstances { underway, held, provider_full_until: full };
                Ok((composer.compose)(&person, &owned, &history, &circumstances))
            };
            let mut composition = compose()?;
            if let (Composition::Write(lines), Some(waiting)) = (&composition, &waiting) {
                composition = if says_more(lines, &waiting.lines) {
                    withdraw(connection, &rule, waiting, &mut told)?;
                    compose()?
                } else {
                    Composition::Nothing(Silence::Underway)
                };
            }
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
}

/// Takes back a letter that waits, in favour of one that says more.
fn withdraw(connection: &Connection, rule: &Rule, letter: &Waiting, told: &mut Vec<Told>) -> Result<()> {
    let why = "there was more to say before it could leave: another letter says it all".to_owned();
    letter_outcome::settle(connection, letter.id, &LetterOutcome::Withheld { why }, rule.now)?;
    if let Some(provider) = &letter.counted_at {
        pauses::count_back(connection, provider, rule.now)?;
    }
    give_back(connection, rule, letter.id, &letter.lines, Event::LetterWithheld, told)
}
