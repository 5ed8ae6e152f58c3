//! The table `inbox`: webhooks as received. A row here is what an answer of 200 promises.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};

use super::columns::{Record, ms, name_of};
use super::error::StoreError;
use super::seal::{Place, Sealer};
use crate::domain::event::Event;
use crate::domain::ids::ItemId;

/// How many webhooks of Items that are not registered are kept: anybody who is Plaid's customer can have them sent here.
pub const PARKED_MAX: i64 = 10_000;

/// How many of them for one Item: what a registration has to catch up on.
pub const PARKED_PER_ITEM_MAX: i64 = 20;

/// How many webhooks are kept that were noted and name no Item that is registered here, beside the parked ones.
pub const STRANGERS_MAX: i64 = 20_000;

/// After so many noted webhooks those of strangers are counted, and what is too many is deleted. So many more are there at most.
pub(crate) const STRANGERS_COUNT_EVERY: u64 = 1000;

/// Whether a webhook's signature was made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Within the time that Plaid's documentation allows.
    Fresh,
    /// Older: not applied.
    Late,
    /// From the future: not applied.
    Early,
}

pub(crate) const AGES: [(Age, &str); 3] = [(Age::Fresh, "fresh"), (Age::Late, "late"), (Age::Early, "early")];

/// How a webhook came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Plaid sent it, signed.
    Delivered,
    /// It was in Plaid's list of what was sent, when that was asked for.
    CaughtUp,
}

const SOURCES: [(Source, &str); 2] = [(Source::Delivered, "delivered"), (Source::CaughtUp, "caught_up")];

/// How far Plaid's time of sending and the time of the signature may be apart.
const SIGNING: SignedDuration = SignedDuration::from_mins(1);

/// A webhook from Plaid's list of what was sent. Its payload can hold what opens a Link session: no `Debug`.
pub struct ListedWebhook {
    /// Plaid's name for it.
    pub message_id: String,
    /// When Plaid first sent it.
    pub sent_at: Timestamp,
    /// When Plaid sent it last.
    pub last_attempt_at: Timestamp,
    /// Its `webhook_type`.
    pub webhook_type: Option<String>,
    /// Its `webhook_code`.
    pub webhook_code: Option<String>,
    /// The Item that it names.
    pub item: Option<ItemId>,
    /// The SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// The body.
    pub body: Vec<u8>,
}

/// A verified webhook, sealed and ready to be appended.
pub struct NewWebhook {
    pub(crate) id: i64,
    pub(crate) received_at: Timestamp,
    pub(crate) signed_at: Timestamp,
    pub(crate) age: Age,
    pub(crate) body_sha256: [u8; 32],
    pub(crate) body: Vec<u8>,
}

/// A webhook that waits to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its number.
    pub id: i64,
    /// How it came.
    pub source: Source,
    /// When Plaid signed it; when Plaid sent it, where it was caught up with.
    pub signed_at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    /// How old the signature was then.
    pub age: Age,
    /// The SHA-256 of the body.
    pub body_sha256: Vec<u8>,
    /// The raw body; nothing if it was purged, or no configured key opens it.
    pub body: Option<Vec<u8>>,
}

/// What is to be done with a webhook that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which webhook.
    pub id: i64,
    /// Its `webhook_type`, as far as it has one.
    pub webhook_type: Option<String>,
    /// Its `webhook_code`.
    pub webhook_code: Option<String>,
    /// What it means.
    pub meaning: Meaning,
}

/// What a webhook means for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// These events, for this Item. Parked while the Item is not registered.
    Item {
        /// Which Item.
        item: ItemId,
        /// What happened, in order.
        events: Vec<Event>,
        /// When they are not to be applied.
        unless: Option<Unless>,
    },
    /// This event, for the Item of the Link session with this Link token.
    Session {
        /// The Link token.
        link_token: String,
        /// What happened.
        event: Event,
    },
    /// Nothing to apply.
    Nothing {
        /// Which Item it names, if any.
        item: Option<ItemId>,
        /// Why.
        note: &'static str,
    },
}

/// When events are not to be applied, and what is applied instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unless {
    /// What makes them old news.
    pub known: Known,
    /// What is applied then.
    pub then: Vec<Event>,
}

/// What makes a webhook old news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The same bytes with the same signature time came before.
    SameBytes,
    /// One of these events happened to the Item since, by their names in the journal.
    Since {
        /// Since when.
        at: Timestamp,
        /// A webhook that came by itself said the same.
        said: Vec<&'static str>,
        /// It was cured, whoever says so.
        cured: Vec<&'static str>,
    },
}

/// The place of a body, for sealing.
pub(crate) fn place(row: &str) -> Place<'_> {
    Place { table: "inbox", column: "body", row }
}

/// Appends a webhook. One statement.
pub(crate) fn append(connection: &Connection, webhook: &NewWebhook) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into inbox (id, received_at, signed_at, age, body_sha256, body, status)
         values (:id, :received_at, :signed_at, :age, :sha256, :body, 'new')",
    )?;
    statement.execute(named_params! {
        ":id": webhook.id,
        ":received_at": ms(webhook.received_at),
        ":signed_at": ms(webhook.signed_at),
        ":age": name_of(&webhook.age, &AGES),
        ":sha256": webhook.body_sha256.as_slice(),
        ":body": webhook.body,
    })?;
    Ok(())
}

/// Appends a webhook of Plaid's list, unless it was caught up with before. Says whether it was not.
pub(crate) fn catch_up(
    connection: &Connection,
    sealer: &Sealer,
    webhook: &ListedWebhook,
    id: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into inbox (id, received_at, source, message_id, signed_at, age, body_sha256, body, status)
         values (:id, :now, 'caught_up', :message, :sent_at, 'late', :sha256, :body, 'new') on conflict do nothing",
    )?;
    let added = statement.execute(named_params! {
        ":id": id,
        ":now": ms(now),
        ":message": webhook.message_id,
        ":sent_at": ms(webhook.sent_at),
        ":sha256": webhook.body_sha256.as_slice(),
        ":body": sealer.seal(place(&id.to_string()), &webhook.body),
    })?;
    Ok(added == 1)
}

/// Whether a webhook of Plaid's list came by itself, or was caught up with before.
pub(crate) fn is_known(connection: &Connection, webhook: &ListedWebhook) -> Result<bool, StoreError> {
    let mut caught_up = connection.prepare_cached("select exists (select 1 from inbox where message_id = :message)")?;
    if caught_up.query_row(named_params! { ":message": webhook.message_id }, |row| row.get(0))? {
        return Ok(true);
    }
    let Some(item) = &webhook.item else { return Ok(false) };
    let mut by_itself = connection.prepare_cached(
        "select exists (select 1 from inbox where source = 'delivered' and signed_at between :from and :to
           and item_id = :item and webhook_type is :type and webhook_code is :code)",
    )?;
    for sent in [webhook.sent_at, webhook.last_attempt_at] {
        let near = named_params! {
            ":from": ms(sent).saturating_sub(millis(SIGNING)),
            ":to": ms(sent).saturating_add(millis(SIGNING)),
            ":item": item.as_str(),
            ":type": webhook.webhook_type,
            ":code": webhook.webhook_code,
        };
        if by_itself.query_row(near, |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn millis(span: SignedDuration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Seals a body anew.
pub(crate) fn seal_anew(connection: &Connection, sealer: &Sealer, row: &str, body: &[u8]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("update inbox set body = :body where id = cast(:id as integer)")?;
    let anew = sealer.seal(place(row), &sealer.open(place(row), body)?);
    statement.execute(named_params! { ":body": anew, ":id": row })?;
    Ok(())
}

/// The largest number in use.
pub(crate) fn last_id(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("select coalesce(max(id), 0) from inbox", [], |row| row.get(0))?)
}

/// The oldest webhooks that wait to be read.
pub(crate) fn unread(connection: &Connection, sealer: &Sealer, limit: u32) -> Result<Vec<Unread>, StoreError> {
    let mut statement =
        connection.prepare_cached("select * from inbox where status = 'new' order by id limit :limit")?;
    let mut rows = statement.query(named_params! { ":limit": i64::from(limit) })?;
    let mut unread = Vec::new();
    while let Some(row) = rows.next()? {
        let record = Record::numbered("inbox", row)?;
        unread.push(unread_row(&record, sealer)?);
    }
    Ok(unread)
}

fn unread_row(record: &Record<'_>, sealer: &Sealer) -> Result<Unread, StoreError> {
    let sealed: Option<Vec<u8>> = record.get("body")?;
    Ok(Unread {
        id: record.get("id")?,
        source: record.named("source", &SOURCES)?,
        signed_at: record.time("signed_at")?,
        received_at: record.time("received_at")?,
        age: record.named("age", &AGES)?,
        body_sha256: record.get("body_sha256")?,
        body: sealed.and_then(|sealed| sealer.open(place(&record.id), &sealed).ok()),
    })
}

/// Whether the same body with the same signature time came before this row.
pub(crate) fn seen_before(connection: &Connection, id: i64) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "select exists (select 1 from inbox other, inbox this where this.id = :id and other.signed_at = this.signed_at
           and other.id < this.id and other.body_sha256 = this.body_sha256)",
    )?;
    Ok(statement.query_row(named_params! { ":id": id }, |row| row.get(0))?)
}

/// Notes what became of a webhook.
pub(crate) fn settle(
    connection: &Connection,
    verdict: &Verdict,
    item: Option<&ItemId>,
    status: &'static str,
    note: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update inbox set status = :status, webhook_type = :type, webhook_code = :code, item_id = :item, note = :note,
           settled_at = :at, ours = :status <> 'noted' or exists (select 1 from items where item_id = :item)
         where id = :id",
    )?;
    statement.execute(named_params! {
        ":id": verdict.id,
        ":status": status,
        ":type": verdict.webhook_type,
        ":code": verdict.webhook_code,
        ":item": item.map(ItemId::as_str),
        ":note": note,
        ":at": ms(now),
    })?;
    Ok(())
}

/// Deletes the oldest webhooks of strangers, as far as there are too many. Says how many.
pub(crate) fn drop_strangers(connection: &Connection) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "delete from inbox where id in
           (select id from inbox where status = 'noted' and ours = 0 order by id desc limit :most offset :max)",
    )?;
    let most = i64::try_from(2 * STRANGERS_COUNT_EVERY).expect("a small number");
    Ok(statement.execute(named_params! { ":most": most, ":max": STRANGERS_MAX })?)
}

/// When the newest webhook was signed that named an Item.
pub(crate) fn newest_of(connection: &Connection, item: &ItemId) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("select max(signed_at) as at from inbox where item_id = ?1")?;
    let at: Option<i64> = statement.query_row([item.as_str()], |row| row.get(0))?;
    Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
}

/// Whether one more webhook of an unregistered Item may be kept.
pub(crate) fn may_park(connection: &Connection, item: &ItemId) -> Result<bool, StoreError> {
    let mut of_item = connection.prepare_cached(
        "select count(*) from (select 1 from inbox where status = 'parked' and item_id = :item limit :max)",
    )?;
    let here: i64 =
        of_item.query_row(named_params! { ":item": item.as_str(), ":max": PARKED_PER_ITEM_MAX }, |row| row.get(0))?;
    let mut of_all =
        connection.prepare_cached("select count(*) from (select 1 from inbox where status = 'parked' limit :max)")?;
    let all: i64 = of_all.query_row(named_params! { ":max": PARKED_MAX }, |row| row.get(0))?;
    Ok(here < PARKED_PER_ITEM_MAX && all < PARKED_MAX)
}

/// Has the parked webhooks of an Item read again, now that it is registered. Says how many there are.
pub(crate) fn unpark(connection: &Connection, item: &ItemId) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "update inbox set status = 'new', note = null, settled_at = null where status = 'parked' and item_id = :item",
    )?;
    Ok(statement.execute(named_params! { ":item": item.as_str() })?)
}

/// How the inbox stands: what waits, what is parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// Webhooks that wait to be read.
    pub unread: i64,
    /// Webhooks of Items that are not registered.
    pub parked: i64,
    /// Webhooks of strangers that were deleted since start, because too many are kept.
    pub dropped: u64,
}

/// How the inbox stands.
pub(crate) fn backlog(connection: &Connection) -> Result<Backlog, StoreError> {
    let count = |status: &str| {
        connection
            .prepare_cached(&format!("select count(*) from inbox where status = '{status}'"))?
            .query_row([], |row| row.get(0))
    };
    Ok(Backlog { unread: count("new")?, parked: count("parked")?, dropped: 0 })
}

/// What became of a webhook, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// Its number.
    pub id: i64,
    /// `delivered`, or `caught_up` if it was in Plaid's list of what was sent.
    pub source: String,
    /// When it came.
    pub received_at: Timestamp,
    /// When Plaid signed it; when Plaid sent it, where it was caught up with.
    pub signed_at: Timestamp,
    /// How old its signature was then: `fresh`, `late` or `early`.
    pub age: String,
    /// What became of it: `new`, `applied`, `parked` or `noted`.
    pub status: String,
    /// Its `webhook_type`.
    pub webhook_type: Option<String>,
    /// Its `webhook_code`.
    pub webhook_code: Option<String>,
    /// The Item that it names.
    pub item_id: Option<String>,
    /// Why it was not applied.
    pub note: Option<String>,
}

/// Which webhooks a list holds, and in which order.
#[derive(Clone, Debug, Default)]
pub struct WebhookFilter {
    /// Only those that name this Item.
    pub item: Option<ItemId>,
    /// Only with this status.
    pub status: Option<String>,
    /// Only those that came at this moment or later.
    pub since: Option<Timestamp>,
    /// The newest first.
    pub newest_first: bool,
}

/// A page of webhooks, after a given one in the order of the list.
pub(crate) fn list(
    connection: &Connection,
    filter: &WebhookFilter,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Receipt>, StoreError> {
    let mut conditions = vec![match (after, filter.newest_first) {
        (None, _) => ":after is null",
        (Some(_), true) => "id < :after",
        (Some(_), false) => "id > :after",
    }];
    conditions.push(if filter.item.is_some() { "item_id = :item" } else { ":item is null" });
    conditions.push(if filter.status.is_some() { "status = :status" } else { ":status is null" });
    conditions.push(if filter.since.is_some() { "received_at >= :since" } else { ":since is null" });
    let order = if filter.newest_first { "desc" } else { "asc" };
    let sql = format!("select * from inbox where {} order by id {order} limit :limit", conditions.join(" and "));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":after": after,
        ":item": filter.item.as_ref().map(ItemId::as_str),
        ":status": filter.status,
        ":since": filter.since.map(ms),
        ":limit": i64::from(limit),
    })?;
    let mut receipts = Vec::new();
    while let Some(row) = rows.next()? {
        receipts.push(receipt(&Record::numbered("inbox", row)?)?);
    }
    Ok(receipts)
}

/// One webhook: what became of it, and what it says.
pub(crate) fn one(connection: &Connection, sealer: &Sealer, id: i64) -> Result<Option<(Receipt, Unread)>, StoreError> {
    let mut statement = connection.prepare_cached("select * from inbox where id = ?1")?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let record = Record::numbered("inbox", row)?;
    Ok(Some((receipt(&record)?, unread_row(&record, sealer)?)))
}

fn receipt(record: &Record<'_>) -> Result<Receipt, StoreError> {
    Ok(Receipt {
        id: record.get("id")?,
        source: record.get("source")?,
        received_at: record.time("received_at")?,
        signed_at: record.time("signed_at")?,
        age: record.get("age")?,
        status: record.get("status")?,
        webhook_type: record.get("webhook_type")?,
        webhook_code: record.get("webhook_code")?,
        item_id: record.get("item_id")?,
        note: record.get("note")?,
    })
}
