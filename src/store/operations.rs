//! The operations that the rest of relinkd asks for. Each is atomic: whole, or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::inbox::{Meaning, NewWebhook, Unread, Verdict};
use super::letters::{ClaimedLetter, LetterOutcome, LetterView};
use super::outbox::{Claimed, Settlement};
use super::steps::{JournalRow, Rule, Told};
use super::users::{NewProfile, Profile, Wish};
use super::verification_keys::StoredKey;
use super::views::{ItemFilter, ItemRecord};
use super::{
    Backlog, Purpose, Receipt, Session, Store, inbox, items, letters, links, outbox, steps, users, verification_keys,
    views, writer,
};
use crate::domain::compose::{Circumstances, Composition, Line, Sent, User};
use crate::domain::event::Event;
use crate::domain::ids::{Institution, InstitutionId, ItemId, LetterId, SessionId, UserId};
use crate::domain::item::{Item, RemovalReason};

/// An Item as the application registers it.
#[derive(Clone)]
pub struct NewItem {
    /// Plaid's id of it.
    pub id: ItemId,
    /// Whose it is.
    pub user: UserId,
    /// Opens the bank account's data. Sealed on its way in.
    pub access_token: String,
    /// The bank, where it is known.
    pub institution: Option<Institution>,
    /// The countries of the bank, where they differ from the configured ones.
    pub country_codes: Option<Vec<String>>,
}

/// What a registration did.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The Item as it is now.
    pub record: ItemRecord,
    /// Whether it was not registered before.
    pub created: bool,
    /// Whether webhooks had come before the registration, and now wait to be read.
    pub unparked: usize,
}

/// What follows for a user from all Items, the letters sent so far and the circumstances.
pub type Compose = dyn Fn(&User, &[Item], &[Sent], &Circumstances) -> Composition + Send + Sync;

/// The rule for users, with what it needs to know beside the store's rows. It is pure: an operation may run it twice.
pub struct Composer {
    /// What follows for a user.
    pub compose: Box<Compose>,
    /// Banks at which so much broke at once that letters wait.
    pub held: Vec<(InstitutionId, Timestamp)>,
    /// The time zone of users who gave none.
    pub default_zone: TimeZone,
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

/// A letter that was claimed, with all that it is made of.
#[derive(Clone, Debug)]
pub struct Written {
    /// To whom.
    pub profile: Option<Profile>,
    /// The Items that it speaks of, as they are now.
    pub items: HashMap<ItemId, Item>,
}

type Result<T> = std::result::Result<T, StoreError>;

/// Webhooks, from the wire to the Items' steps.
impl Store {
    /// Appends a verified webhook. When this answers, it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] at once if too much waits; otherwise what SQLite says.
    pub async fn append_webhook(&self, webhook: NewWebhook) -> Result<()> {
        self.threads.write_one(move |connection| inbox::append(connection, &webhook)).await
    }

    /// The oldest webhooks that wait to be read.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn unread_webhooks(&self, limit: u32) -> Result<Vec<Unread>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| inbox::unread(connection, &inner.sealer, limit)).await
    }

    /// Applies what webhooks mean, each in a savepoint of its own: one that fails is noted and does not stop the others.
    ///
    /// # Errors
    /// A full disk, an I/O error, what the commit says: then none of them is settled.
    pub async fn settle_webhooks(&self, verdicts: Vec<Verdict>, rule: Arc<Rule>) -> Result<Vec<Told>> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            for verdict in &verdicts {
                let applied = writer::in_savepoint(connection, |connection| {
                    let mut news = Vec::new();
                    apply_verdict(connection, &inner.sealer, verdict, &rule, &mut news)?;
                    Ok(news)
                });
                match applied {
                    Ok(news) => told.extend(news),
                    // Not the webhook's fault: none is settled, and all are read again.
                    Err(error) if connection.is_autocommit() || !error.is_of_one_row() => return Err(error),
                    Err(error) => {
                        tracing::error!(webhook = verdict.id, "webhook {} is not applied: {error}", verdict.id);
                        inbox::settle(connection, verdict, None, "noted", Some(&error.to_string()), rule.now)?;
                    }
                }
            }
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// How the inbox stands.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn backlog(&self) -> Result<Backlog> {
        self.threads.read(inbox::backlog).await
    }

    /// What became of the webhooks after a given one, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn receipts(&self, after: i64, limit: u32) -> Result<Vec<Receipt>> {
        self.threads.read(move |connection| inbox::list(connection, after, limit)).await
    }

    /// Whether a row can be committed now.
    ///
    /// # Errors
    /// What SQLite says: disk full, I/O error, too much waits.
    pub async fn probe(&self, now: Timestamp) -> Result<()> {
        self.threads
            .write_one(move |connection| {
                connection.execute(
                    "insert into meta (name, value) values ('probe', ?1) on conflict do update set value = excluded.value",
                    [now.to_string().into_bytes()],
                )?;
                Ok(())
            })
            .await
    }
}

fn apply_verdict(
    connection: &Connection,
    sealer: &super::seal::Sealer,
    verdict: &Verdict,
    rule: &Rule,
    told: &mut Vec<Told>,
) -> Result<()> {
    let cause = format!("webhook {}", verdict.id);
    match &verdict.meaning {
        Meaning::Nothing { item, note } => {
            inbox::settle(connection, verdict, item.as_ref(), "noted", Some(note), rule.now)
        }
        Meaning::Session { link_token, event } => {
            let Some((session, item)) = links::item_of_token(connection, sealer, link_token)? else {
                let note = "names a Link token that was not made here";
                return inbox::settle(connection, verdict, None, "noted", Some(note), rule.now);
            };
            links::finish_session(connection, session, rule.now)?;
            if let Some(loaded) = items::load(connection, &item)? {
                steps::take(connection, rule, &loaded, event, &cause, told)?;
            }
            inbox::settle(connection, verdict, Some(&item), "applied", None, rule.now)
        }
        Meaning::Item { item, events, if_seen } => {
            let registered = items::load(connection, item)?.filter(|item| item.removed.is_none());
            let Some(mut loaded) = registered else { return park(connection, verdict, item, rule.now) };
            let seen = if if_seen.is_some() { inbox::seen_before(connection, verdict.id)? } else { false };
            for event in if_seen.as_ref().filter(|_| seen).unwrap_or(events) {
                loaded = steps::take(connection, rule, &loaded, event, &cause, told)?;
            }
            inbox::settle(connection, verdict, Some(item), "applied", None, rule.now)
        }
    }
}

fn park(connection: &Connection, verdict: &Verdict, item: &ItemId, now: Timestamp) -> Result<()> {
    if inbox::may_park(connection, item)? {
        inbox::settle(connection, verdict, Some(item), "parked", Some("the Item is not registered"), now)
    } else {
        let note = "the Item is not registered, and too many webhooks of such Items are kept already";
        inbox::settle(connection, verdict, Some(item), "noted", Some(note), now)
    }
}

/// Items.
impl Store {
    /// Registers an Item, or writes what changed about it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn register(&self, new: NewItem, rule: Rule) -> Result<Registered> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            let known = items::load(connection, &new.id)?;
            let created = known.as_ref().is_none_or(|item| item.removed.is_some());
            users::ensure(connection, &new.user, rule.now)?;
            let item = match known {
                Some(item) => item,
                None => {
                    let item = Item::new(new.id.clone(), new.user.clone(), None, rule.now);
                    items::insert(connection, &item)?;
                    item
                }
            };
            let token = views::access_token(connection, &inner.sealer, &new.id)?;
            let other_bank = new.institution.is_some() && new.institution != item.institution;
            let changed = token.as_deref() != Some(&new.access_token) || item.user != new.user || other_bank;
            if created || changed {
                let event = Event::Registered { user: new.user.clone(), institution: new.institution.clone() };
                steps::take(connection, &rule, &item, &event, "api", &mut Vec::new())?;
            }
            let sealed = inner.sealer.seal(views::token_place(new.id.as_str()), new.access_token.as_bytes());
            items::set_registration(connection, &new.id, Some(&sealed), new.country_codes.as_deref())?;
            let unparked = if created { inbox::unpark(connection, &new.id)? } else { 0 };
            let record = views::record(connection, &new.id)?.expect("it was written a moment ago");
            Ok(Registered { record, created, unparked })
        };
        self.threads.write(operation).await
    }

    /// Takes steps with one Item, in order. Nothing if it is not registered.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn step(
        &self,
        id: ItemId,
        events: Vec<Event>,
        cause: String,
        rule: Rule,
    ) -> Result<Option<(Item, Vec<Told>)>> {
        let operation = move |connection: &Connection| {
            let Some(mut item) = items::load(connection, &id)? else { return Ok(None) };
            let mut told = Vec::new();
            for event in &events {
                item = steps::take(connection, &rule, &item, event, &cause, &mut told)?;
            }
            Ok(Some((item, told)))
        };
        self.threads.write(operation).await
    }

    /// Ticks the Items whose time has come. Says how many there were.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn tick(&self, limit: u32, rule: Rule) -> Result<(usize, Vec<Told>)> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            let due = due_items(connection, rule.now, limit)?;
            for id in &due {
                if let Some(item) = items::load(connection, id)? {
                    steps::take(connection, &rule, &item, &Event::Tick, "clock", &mut told)?;
                }
            }
            Ok((due.len(), told))
        };
        self.threads.write(operation).await
    }

    /// An Item, and what was registered with it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn item(&self, id: ItemId) -> Result<Option<ItemRecord>> {
        self.threads.read(move |connection| views::record(connection, &id)).await
    }

    /// A page of Items in the order of their ids, after a given one.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn items(&self, filter: ItemFilter, after: Option<String>, limit: u32) -> Result<Vec<Item>> {
        self.threads.read(move |connection| views::list(connection, &filter, after.as_deref(), limit)).await
    }

    /// All Items of a user.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn items_of(&self, user: UserId) -> Result<Vec<Item>> {
        self.threads.read(move |connection| items::of_user(connection, user.as_str())).await
    }

    /// The access token of an Item: only ever on its way to Plaid.
    ///
    /// # Errors
    /// What SQLite says, or that it does not open.
    pub async fn access_token(&self, id: ItemId) -> Result<Option<secrecy::SecretString>> {
        let inner = Arc::clone(&self.inner);
        let token = self.threads.read(move |connection| views::access_token(connection, &inner.sealer, &id)).await?;
        Ok(token.map(Into::into))
    }

    /// The journal of an Item, oldest first, after a given row.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn journal(&self, id: ItemId, after: i64, limit: u32) -> Result<Vec<JournalRow>> {
        self.threads.read(move |connection| steps::journal(connection, &id, after, limit)).await
    }
}

fn due_items(connection: &Connection, now: Timestamp, limit: u32) -> Result<Vec<ItemId>> {
    let mut statement = connection.prepare_cached(
        "select item_id from items where due_at is not null and due_at <= :now order by due_at limit :limit",
    )?;
    let mut rows = statement.query(named_params! { ":now": now.as_millisecond(), ":limit": i64::from(limit) })?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(super::columns::Record::new("items", "item_id", row)?.item_id("item_id")?);
    }
    Ok(due)
}

/// Effects.
impl Store {
    /// Claims effects that are due.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn claim_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<Claimed>> {
        let lease = self.lease();
        self.threads.write(move |connection| outbox::claim(connection, now, lease, limit)).await
    }

    /// Settles a claimed effect, and takes the steps that follow from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn settle_effect(&self, claimed: Claimed, settlement: Settlement, rule: Rule) -> Result<Vec<Told>> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            match &settlement {
                Settlement::Retry { at, why } => outbox::give_back(connection, &claimed, *at, why)?,
                Settlement::Done(events) => {
                    outbox::remove(connection, &claimed)?;
                    let Some(mut item) = items::load(connection, &claimed.item)? else { return Ok(told) };
                    for event in events {
                        item = steps::take(connection, &rule, &item, event, &claimed.key, &mut told)?;
                    }
                }
            }
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// When what is due next, of each kind. One look, so that a round that finds nothing due writes nothing.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn agenda(&self) -> Result<Agenda> {
        let look = |connection: &Connection| {
            let first = |sql: &str| -> Result<Option<Timestamp>> {
                let at: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
            };
            Ok(Agenda {
                items: first("select min(due_at) from items where due_at is not null")?,
                users: first("select min(due_at) from users where due_at is not null")?,
                effects: first("select min(due_at) from outbox where lease is null")?,
                letters: first("select min(due_at) from letters where due_at is not null")?,
            })
        };
        self.threads.read(look).await
    }
}

/// When what is due next, of each kind; nothing where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    /// An Item is to be ticked.
    pub items: Option<Timestamp>,
    /// A user is to be looked at.
    pub users: Option<Timestamp>,
    /// An effect is to be carried out.
    pub effects: Option<Timestamp>,
    /// A letter is to be sent.
    pub letters: Option<Timestamp>,
}

impl Agenda {
    /// The earliest of all.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        [self.items, self.users, self.effects, self.letters].into_iter().flatten().min()
    }
}

/// Users and their letters.
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

    /// Notes what a user wishes about letters. Says whether there is such a user.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn wish(&self, id: UserId, wish: Wish, now: Timestamp) -> Result<bool> {
        self.threads.write(move |connection| users::wish(connection, &id, wish, now)).await
    }

    /// Erases a user: address, name, links; the Items are forgotten here. Then nothing of it is left in the file or its
    /// log. Says whether there was such a user.
    ///
    /// # Errors
    /// [`StoreError::LogInUse`] if the rows are empty and the log is not: ask again. What SQLite says.
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
            let person = profile.for_letters(&composer.default_zone);
            let owned = items::of_user(connection, user.as_str())?;
            let history = letters::history(connection, &user, now)?;
            let underway = letters::underway(connection, &user)?;
            let circumstances = Circumstances { underway, held: composer.held, provider_full_until: None };
            let composition = (composer.compose)(&person, &owned, &history, &circumstances);
            users::look_again(connection, &user, None)?;
            match &composition {
                Composition::Nothing(_) => {}
                Composition::Wait { until, .. } => users::look_again(connection, &user, Some(*until))?,
                Composition::Write(lines) => {
                    let link = links::create(connection, &user, now)?;
                    letters::insert(connection, composer.letter, &user, lines, &link, now)?;
                    mention(connection, &rule, composer.letter, lines, Event::LetterComposed, &mut told)?;
                }
            }
            Ok(Composed { composition, told })
        };
        self.threads.write(operation).await
    }

    /// Banks at which very many logins broke within ten minutes of the last six hours: their letters wait until six hours
    /// after. Many means more than 20, and more than one in twenty of the bank's Items.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn held_banks(&self, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
        self.threads.read(move |connection| held_banks(connection, now)).await
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
            let items: Vec<ItemId> = lines.iter().map(|line| line.item.clone()).collect();
            letters::drop_lines(connection, letter, &items)?;
            mention(connection, &rule, letter, &lines, Event::LetterWithheld, &mut told)?;
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// Notes that the body is about to go out. When this answers, it is on disk.
    ///
    /// # Errors
    /// What SQLite says, or that the letter is not leased: then it may not be sent.
    pub async fn start_data(&self, letter: LetterId, language: String, subject: String) -> Result<()> {
        self.threads.write(move |connection| letters::start_data(connection, letter, &language, &subject)).await
    }

    /// Settles a claimed letter, and takes the steps that follow from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn settle_letter(&self, letter: ClaimedLetter, outcome: LetterOutcome, rule: Rule) -> Result<Vec<Told>> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            letters::settle(connection, letter.id, &outcome, rule.now)?;
            match &outcome {
                LetterOutcome::Deferred { .. } | LetterOutcome::Uncertain { again_at: Some(_), .. } => return Ok(told),
                LetterOutcome::Accepted { .. }
                | LetterOutcome::WrittenDown
                | LetterOutcome::Uncertain { again_at: None, .. } => {
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterSent, &mut told)?;
                }
                LetterOutcome::Withheld { .. } => {
                    let items: Vec<ItemId> = letter.lines.iter().map(|line| line.item.clone()).collect();
                    letters::drop_lines(connection, letter.id, &items)?;
                    mention(connection, &rule, letter.id, &letter.lines, Event::LetterWithheld, &mut told)?;
                }
                LetterOutcome::Bounced { suppress, .. } => {
                    if *suppress {
                        users::suppress(connection, &letter.user, rule.now)?;
                    }
                }
            }
            users::look_again(connection, &letter.user, Some(rule.now))?;
            Ok(told)
        };
        self.threads.write(operation).await
    }

    /// Letters, newest first, before a given one; of one user where asked.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn letters(&self, user: Option<UserId>, before: Option<String>, limit: u32) -> Result<Vec<LetterView>> {
        self.threads.read(move |connection| letters::list(connection, user.as_ref(), before.as_deref(), limit)).await
    }
}

/// Tells each Item what became of a letter that speaks of it.
fn mention(
    connection: &Connection,
    rule: &Rule,
    letter: LetterId,
    lines: &[Line],
    event: impl Fn(crate::domain::event::Mention) -> Event,
    told: &mut Vec<Told>,
) -> Result<()> {
    for (id, mention) in letters::mentions(letter, lines) {
        if let Some(item) = items::load(connection, &id)? {
            steps::take(connection, rule, &item, &event(mention), &format!("letter {letter}"), told)?;
        }
    }
    Ok(())
}

/// How long letters wait for a bank at which much broke at once.
const HOLD: SignedDuration = SignedDuration::from_hours(6);
/// Within so many minutes.
const BURST_MINUTES: i64 = 10;
/// More logins than this are a burst ...
const BURST_MIN: i64 = 20;
/// ... if they are more than one in so many of the bank's Items.
const BURST_SHARE: i64 = 20;

fn held_banks(connection: &Connection, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
    let since = (now.as_second() - HOLD.as_secs()) / 60 - BURST_MINUTES;
    let mut statement = connection.prepare_cached(
        "select institution_id, minute, within from
           (select institution_id, minute, sum(count) over (partition by institution_id order by minute
              range between :before preceding and current row) as within
            from breaks where minute >= :since)
         where within > :min order by institution_id, minute",
    )?;
    let named = named_params! { ":since": since, ":min": BURST_MIN, ":before": BURST_MINUTES - 1 };
    let bursts: Vec<(String, i64, i64)> = statement
        .query_map(named, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<std::result::Result<_, _>>()?;
    let mut held: HashMap<String, i64> = HashMap::new();
    for (bank, minute, broken) in bursts {
        if broken * BURST_SHARE > items_at_most(connection, &bank, broken * BURST_SHARE)? {
            let newest = held.entry(bank).or_insert(minute);
            *newest = minute.max(*newest);
        }
    }
    let until = |minute: i64| Timestamp::from_second((minute + 1) * 60).map(|end| super::later(end, HOLD)).ok();
    Ok(held
        .into_iter()
        .filter_map(|(bank, minute)| Some((InstitutionId::parse(bank).ok()?, until(minute)?)))
        .filter(|(_, until)| *until > now)
        .collect())
}

/// How many Items a bank has, counted only as far as it matters.
fn items_at_most(connection: &Connection, bank: &str, most: i64) -> Result<i64> {
    let mut statement = connection
        .prepare_cached("select count(*) from (select 1 from items where institution_id = :bank limit :most)")?;
    Ok(statement.query_row(named_params! { ":bank": bank, ":most": most }, |row| row.get(0))?)
}

/// Links, presses, keys.
impl Store {
    /// Makes a link for a user, to be given to the application.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn create_link(&self, user: UserId, now: Timestamp) -> Result<String> {
        self.threads.write(move |connection| links::create(connection, &user, now)).await
    }

    /// The token that opens a link for one purpose.
    #[must_use]
    pub fn link_token(&self, purpose: Purpose, link_id: &str) -> String {
        self.inner.sealer.link_token(purpose.name(), link_id)
    }

    /// Whose link a token opens. Unknown, expired and revoked look alike. Writes nothing.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open_link(&self, purpose: Purpose, token: &str, now: Timestamp) -> Result<Option<UserId>> {
        let Some(id) = self.inner.sealer.link_id(purpose.name(), token) else { return Ok(None) };
        let id = id.to_owned();
        self.threads.read(move |connection| links::user_of(connection, &id, purpose, now)).await
    }

    /// Keeps a press, and takes the step that follows from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open_session(&self, session: Session, rule: Rule) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let operation = move |connection: &Connection| {
            links::open_session(connection, &inner.sealer, &session)?;
            if let Some(item) = items::load(connection, &session.item)? {
                let event = Event::UpdateModeStarted { session: session.id };
                steps::take(connection, &rule, &item, &event, "repair page", &mut Vec::new())?;
            }
            Ok(())
        };
        self.threads.write(operation).await
    }

    /// The newest unfinished press for an Item.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn latest_session(&self, item: ItemId) -> Result<Option<Session>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| links::latest_session(connection, &inner.sealer, &item)).await
    }

    /// A press by its id.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let inner = Arc::clone(&self.inner);
        self.threads.read(move |connection| links::session_by_id(connection, &inner.sealer, id)).await
    }

    /// Notes that a session is over.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn finish_session(&self, id: SessionId, now: Timestamp) -> Result<()> {
        self.threads.write(move |connection| links::finish_session(connection, id, now)).await
    }

    /// How many presses there were for an Item since a moment.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn presses_since(&self, item: ItemId, since: Timestamp) -> Result<u32> {
        self.threads.read(move |connection| links::presses_since(connection, &item, since)).await
    }

    /// Plaid's verification keys that were kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn verification_keys(&self) -> Result<Vec<StoredKey>> {
        self.threads.read(verification_keys::all).await
    }

    /// Keeps a verification key.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn put_verification_key(&self, key: StoredKey) -> Result<()> {
        self.threads.write(move |connection| verification_keys::put(connection, &key)).await
    }
}
