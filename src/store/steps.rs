//! One step, atomic: the Item, its journal row, its effects in the outbox, its user's next look. Also the table `journal`.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};
use serde::Serialize;

use super::columns::{Record, json, ms};
use super::error::StoreError;
use super::items::{self, Registration};
use super::{accounts, events, outbox, siblings};
use crate::domain::effect::{Effect, Notice};
use crate::domain::event::Event;
use crate::domain::ids::ItemId;
use crate::domain::item::{Item, State};
use crate::domain::outage::is_break;
use crate::domain::step::Step;
use crate::domain::supersede::{Sibling, is_touched};

/// What stands behind a webhook in the journal's `cause` if it was caught up with.
pub(crate) const CAUGHT_UP: &str = ", caught up";

/// What follows from an event for an Item.
pub type Decide = dyn Fn(&Item, &Event) -> Decision + Send + Sync;

/// What has to happen to a user's Items, so that each is superseded by what supersedes it now.
pub type Siblings = dyn Fn(&[Sibling]) -> Vec<(ItemId, Event)> + Send + Sync;

/// The rule for Items as of one moment. It is pure: an operation may run it twice.
pub struct Rule {
    /// The moment.
    pub now: Timestamp,
    /// What follows from an event.
    pub decide: Box<Decide>,
    /// What follows from a step for the other Items of the user.
    pub siblings: Box<Siblings>,
}

/// What follows from an event, and when the user may have to hear of it.
pub struct Decision {
    /// The new Item and the effects.
    pub step: Step,
    /// When the Item may have something to say to its user.
    pub speaks_at: Option<Timestamp>,
}

/// Something that the operator and the application are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// About which Item.
    pub item: ItemId,
    /// What.
    pub notice: Notice,
}

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JournalRow {
    /// Its number: later rows have larger ones.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Where the event came from.
    pub cause: String,
    /// The event, without secrets.
    pub event: serde_json::Value,
    /// The state before.
    pub state_before: State,
    /// The state after.
    pub state_after: State,
    /// What was to be done.
    pub effects: serde_json::Value,
}

/// How the cause of a routine observation ends: the key of its effect.
const ROUTINE: &str = "/observe";

/// Takes one step with an Item that was loaded in this operation, and those that follow from it for the user's other Items.
pub(crate) fn take(
    connection: &Connection,
    rule: &Rule,
    item: &Item,
    event: &Event,
    cause: &str,
    told: &mut Vec<Told>,
) -> Result<Item, StoreError> {
    let after = take_alone(connection, rule, item, event, cause, told)?;
    if !is_touched(item, &after) {
        return Ok(after);
    }
    if after.removed.is_some() {
        accounts::forget(connection, &after.id)?;
    }
    let user = after.user.clone();
    siblings::settle(connection, rule, &[&item.user, &user].into(), after, told)
}

/// Takes one step with one Item.
pub(super) fn take_alone(
    connection: &Connection,
    rule: &Rule,
    item: &Item,
    event: &Event,
    cause: &str,
    told: &mut Vec<Told>,
) -> Result<Item, StoreError> {
    let decision = (rule.decide)(item, event);
    let step = &decision.step;
    let nothing = step.item == *item && step.effects.is_empty();
    if nothing && matches!(event, Event::Tick) {
        // A tick that finds nothing due is no step; but its moment is behind us.
        return reschedule(connection, item, rule.now).map(|()| decision.step.item);
    }
    if is_confirmation(item, event, step) && cause.ends_with(ROUTINE) {
        return items::confirm(connection, &step.item).map(|()| step.item.clone());
    }
    if step.item != *item || !step.closed.is_empty() {
        items::save(connection, item, &step.item, &step.closed, rule.now)?;
    } else if matches!(event, Event::Tick) {
        // It asks Plaid and changes nothing until the answer comes: without this, the next round would tick again.
        reschedule(connection, item, rule.now)?;
    }
    follow(connection, rule, item, &decision, event, cause, told)?;
    Ok(decision.step.item)
}

/// Takes the first step of a new Item, and makes its row, which holds what the registration says.
pub(crate) fn begin(
    connection: &Connection,
    rule: &Rule,
    new: &Item,
    event: &Event,
    cause: &str,
    registration: &Registration<'_>,
) -> Result<Item, StoreError> {
    let decision = (rule.decide)(new, event);
    items::insert(connection, &decision.step.item, registration, rule.now)?;
    follow(connection, rule, new, &decision, event, cause, &mut Vec::new())?;
    Ok(decision.step.item)
}

/// What follows from a step once the Item is saved.
fn follow(
    connection: &Connection,
    rule: &Rule,
    before: &Item,
    Decision { step, speaks_at }: &Decision,
    event: &Event,
    cause: &str,
    told: &mut Vec<Told>,
) -> Result<(), StoreError> {
    append(connection, before, step, event, cause, rule.now)?;
    for effect in &step.effects {
        outbox::put(connection, &before.id, effect)?;
        if let Effect::Tell(notice) = effect {
            events::notice(connection, &step.item, notice, rule.now)?;
            told.push(Told { item: before.id.clone(), notice: notice.clone() });
        }
    }
    if let Some(at) = speaks_at {
        let mut statement = connection
            .prepare_cached("update users set due_at = min(coalesce(due_at, :at), :at) where user_id = :user")?;
        statement.execute(named_params! { ":at": ms(*at), ":user": step.item.user.as_str() })?;
    }
    count_break(connection, before, &step.item, rule.now)
}

/// Whether Plaid only said again what is known. Of a routine question such an answer leaves no row in the journal, or a
/// million healthy Items would write a million rows a day; `observed_at` tells of it. What was asked for a letter or for a
/// person is written down always.
fn is_confirmation(before: &Item, event: &Event, step: &Step) -> bool {
    let Event::Observed(_) = event else { return false };
    step.effects.is_empty() && Item { observed_at: before.observed_at, ..step.item.clone() } == *before
}

fn reschedule(connection: &Connection, item: &Item, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("update items set due_at = :due where item_id = :item")?;
    statement.execute(named_params! { ":due": item.due_at(now).map(ms), ":item": item.id.as_str() })?;
    Ok(())
}

fn append(
    connection: &Connection,
    before: &Item,
    step: &Step,
    event: &Event,
    cause: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into journal (item_id, at, cause, event, state_before, state_after, effects)
         values (:item, :at, :cause, :event, :before, :after, :effects)",
    )?;
    statement.execute(named_params! {
        ":item": before.id.as_str(),
        ":at": ms(now),
        ":cause": cause,
        ":event": json(event),
        ":before": before.state().name(),
        ":after": step.item.state().name(),
        ":effects": json(&step.effects),
    })?;
    Ok(())
}

/// Whether since a moment a webhook that came by itself said one of these events of an Item, or one of those others happened,
/// whatever its cause. What was caught up with happened earlier than it stands there, and does not count.
pub(crate) fn happened_since(
    connection: &Connection,
    item: &ItemId,
    since: Timestamp,
    said: &[&str],
    cured: &[&str],
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "select cause, event from journal
         where item_id = :item and at >= :since and cause not like '%' || :caught_up",
    )?;
    let mut rows =
        statement.query(named_params! { ":item": item.as_str(), ":since": ms(since), ":caught_up": CAUGHT_UP })?;
    while let Some(row) = rows.next()? {
        let (cause, event): (String, String) = (row.get("cause")?, row.get("event")?);
        // JSON: `"name"`, or `{"name": …}`.
        let name = event.split('"').nth(1).unwrap_or_default();
        if cured.contains(&name) || (cause.starts_with("webhook ") && said.contains(&name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes that one more login broke at a bank.
fn count_break(connection: &Connection, before: &Item, after: &Item, now: Timestamp) -> Result<(), StoreError> {
    let bank = after.institution.as_ref().filter(|_| is_break(before, after, now));
    let Some(bank) = bank else { return Ok(()) };
    let mut statement = connection.prepare_cached(
        "insert into breaks (institution_id, minute, count) values (:bank, :minute, 1)
         on conflict do update set count = count + 1",
    )?;
    statement.execute(named_params! { ":bank": bank.id.as_str(), ":minute": now.as_second() / 60 })?;
    Ok(())
}

/// The journal of one Item, oldest first, after a given row.
pub(crate) fn journal(
    connection: &Connection,
    item: &ItemId,
    after: i64,
    limit: u32,
) -> Result<Vec<JournalRow>, StoreError> {
    let sql = "select * from journal where item_id = :item and id > :edge order by id limit :limit";
    journal_rows(connection, sql, item, after, limit)
}

/// The end of the journal of one Item, newest first.
pub(crate) fn journal_end(connection: &Connection, item: &ItemId, limit: u32) -> Result<Vec<JournalRow>, StoreError> {
    let sql = "select * from journal where item_id = :item and id < :edge order by id desc limit :limit";
    journal_rows(connection, sql, item, i64::MAX, limit)
}

fn journal_rows(
    connection: &Connection,
    sql: &str,
    item: &ItemId,
    edge: i64,
    limit: u32,
) -> Result<Vec<JournalRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows =
        statement.query(named_params! { ":item": item.as_str(), ":edge": edge, ":limit": i64::from(limit) })?;
    let mut journal = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::numbered("journal", row)?;
        journal.push(JournalRow {
            id: record.get("id")?,
            at: record.time("at")?,
            cause: record.get("cause")?,
            event: record.json("event")?,
            state_before: record.state("state_before")?,
            state_after: record.state("state_after")?,
            effects: record.json("effects")?,
        });
    }
    Ok(journal)
}
