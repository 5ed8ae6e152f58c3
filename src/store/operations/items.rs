//! Items: register, step, tick, look.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};

use super::Result;
use crate::domain::event::Event;
use crate::domain::ids::{Institution, ItemId, UserId};
use crate::domain::item::Item;
use crate::store::items::Registration;
use crate::store::steps::{JournalRow, Rule, Told};
use crate::store::views::{ItemFilter, ItemRecord};
use crate::store::{Store, columns, inbox, items, steps, users, views, writer};

/// How long an Item that does not read is left alone.
const BAD_ROW_REST: SignedDuration = SignedDuration::from_hours(1);

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

impl NewItem {
    /// Whether the Item has another token, owner or bank now. Banks are compared by id: the name that Plaid gives may differ
    /// from the application's, and is no other bank.
    pub(super) fn differs_from(&self, known: &Item, token: Option<&str>) -> bool {
        let other_bank = self
            .institution
            .as_ref()
            .is_some_and(|bank| known.institution.as_ref().is_none_or(|known| known.id != bank.id));
        token != Some(&self.access_token) || known.user != self.user || other_bank
    }

    /// What of it is kept beside the Item. The token as sealed for its row.
    pub(super) fn registration<'a>(&'a self, sealed_token: &'a [u8]) -> Registration<'a> {
        Registration { sealed_token, country_codes: self.country_codes.as_deref() }
    }
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
            let event = Event::Registered { user: new.user.clone(), institution: new.institution.clone() };
            let sealed = inner.sealer.seal(views::token_place(new.id.as_str()), new.access_token.as_bytes());
            let registration = new.registration(&sealed);
            match known {
                None => {
                    let item = Item::new(new.id.clone(), new.user.clone(), None, rule.now);
                    steps::begin(connection, &rule, &item, &event, "api", &registration)?;
                }
                Some(item) => {
                    let token = views::access_token(connection, &inner.sealer, &new.id)?;
                    if created || new.differs_from(&item, token.as_deref()) {
                        steps::take(connection, &rule, &item, &event, "api", &mut Vec::new())?;
                    }
                    items::set_registration(connection, &new.id, &registration)?;
                }
            }
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

    /// Ticks the Items whose time has come. Says how many there were. One that does not read does not stop the others: it is
    /// looked at again in an hour.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn tick(&self, limit: u32, rule: Rule) -> Result<(usize, Vec<Told>)> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            let due = due_items(connection, rule.now, limit)?;
            for id in &due {
                let ticked = writer::in_savepoint(connection, |connection| {
                    let mut news = Vec::new();
                    if let Some(item) = items::load(connection, id)? {
                        steps::take(connection, &rule, &item, &Event::Tick, "clock", &mut news)?;
                    }
                    Ok(news)
                });
                match ticked {
                    Ok(news) => told.extend(news),
                    Err(error) if connection.is_autocommit() || !error.is_of_one_row() => return Err(error),
                    Err(error) => {
                        tracing::error!(item = %id, "Item {id} is not ticked: {error}");
                        items::look_again(connection, id, crate::store::later(rule.now, BAD_ROW_REST))?;
                    }
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

    /// The end of the journal of an Item, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn journal_end(&self, id: ItemId, limit: u32) -> Result<Vec<JournalRow>> {
        self.threads.read(move |connection| steps::journal_end(connection, &id, limit)).await
    }
}

fn due_items(connection: &Connection, now: Timestamp, limit: u32) -> Result<Vec<ItemId>> {
    let mut statement = connection.prepare_cached(
        "select item_id from items where due_at is not null and due_at <= :now order by due_at limit :limit",
    )?;
    let mut rows = statement.query(named_params! { ":now": now.as_millisecond(), ":limit": i64::from(limit) })?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(columns::Record::new("items", "item_id", row)?.item_id("item_id")?);
    }
    Ok(due)
}
