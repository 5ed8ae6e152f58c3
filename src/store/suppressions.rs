//! The table `suppressions`: addresses that take no letters, found by their HMAC.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params};
use serde::Serialize;

use super::columns::{Record, ms, name_of};
use super::error::StoreError;
use super::seal::Sealer;
use crate::domain::contact::EmailAddress;
use crate::domain::event::NoLetters;
use crate::domain::ids::UserId;

/// Who says that an address takes no letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// The mail server, when a letter was handed over.
    Smtp,
    /// A report by mail.
    Report,
    /// Postmark.
    Postmark,
    /// Mailgun.
    Mailgun,
    /// Resend.
    Resend,
    /// The operator or the application.
    Api,
}

const SOURCES: [(Teller, &str); 6] = [
    (Teller::Smtp, "smtp"),
    (Teller::Report, "report"),
    (Teller::Postmark, "postmark"),
    (Teller::Mailgun, "mailgun"),
    (Teller::Resend, "resend"),
    (Teller::Api, "api"),
];

const REASONS: [(NoLetters, &str); 3] =
    [(NoLetters::Gone, "gone"), (NoLetters::Complaint, "complaint"), (NoLetters::Operator, "operator")];

impl Teller {
    /// The name that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&self, &SOURCES)
    }
}

/// Why an address takes no letters, and who says so.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Why.
    pub reason: NoLetters,
    /// Who says so.
    pub source: Teller,
    /// What was said, without the address.
    pub note: Option<String>,
}

/// A suppression as people see it. The address is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuppressionView {
    /// Names it: the HMAC of the address.
    pub suppression_id: String,
    /// `gone`, `complaint` or `operator`.
    pub reason: String,
    /// `smtp`, `report`, `postmark`, `mailgun`, `resend` or `api`.
    pub source: String,
    /// Since when.
    pub since: Timestamp,
    /// What was said.
    pub note: Option<String>,
    /// The users who have this address now.
    pub user_ids: Vec<String>,
}

const ADDRESS: &str = "address";

/// By what an address is found.
pub(crate) fn hmac(sealer: &Sealer, address: &EmailAddress) -> Vec<u8> {
    sealer.lookup(ADDRESS, &address.for_lookup())
}

/// The same under every key.
pub(crate) fn hmacs(sealer: &Sealer, address: &EmailAddress) -> Vec<Vec<u8>> {
    sealer.lookups(ADDRESS, &address.for_lookup()).collect()
}

/// Notes that an address takes no letters. Says whether that is new; what stands there already stays.
pub(crate) fn add(
    connection: &Connection,
    hmac: &[u8],
    suppression: &Suppression,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into suppressions (address_hmac, reason, source, since, note)
         values (:hmac, :reason, :source, :now, :note) on conflict do nothing",
    )?;
    let added = statement.execute(named_params! {
        ":hmac": hmac,
        ":reason": name_of(&suppression.reason, &REASONS),
        ":source": suppression.source.name(),
        ":now": ms(now),
        ":note": suppression.note,
    })?;
    Ok(added == 1)
}

/// Lets an address take letters again. Says whether it did not.
pub(crate) fn remove(connection: &Connection, hmac: &[u8]) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("delete from suppressions where address_hmac = ?1")?.execute([hmac])? == 1)
}

/// Lets those take letters again that were found gone since a moment. Says which.
pub(crate) fn remove_gone_since(connection: &Connection, since: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut statement = connection
        .prepare_cached("delete from suppressions where reason = 'gone' and since >= ?1 returning address_hmac")?;
    let rows = statement.query_map([ms(since)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Has what is known of an address found by the present key: its suppression, and the letters that went there.
pub(crate) fn find_by_present_key(
    connection: &Connection,
    sealer: &Sealer,
    address: &EmailAddress,
) -> Result<(), StoreError> {
    let all = hmacs(sealer, address);
    let Some((present, former)) = all.split_first() else { return Ok(()) };
    for hmac in former {
        let named = named_params! { ":present": present, ":former": hmac };
        for statement in [
            "update or replace suppressions set address_hmac = :present where address_hmac = :former",
            "update letters set address_hmac = :present where address_hmac = :former",
        ] {
            connection.prepare_cached(statement)?.execute(named)?;
        }
    }
    Ok(())
}

/// Since when an address takes no letters.
pub(crate) fn since(
    connection: &Connection,
    sealer: &Sealer,
    address: &EmailAddress,
) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("select since from suppressions where address_hmac = ?1")?;
    for hmac in hmacs(sealer, address) {
        let found: Option<i64> = statement.query_row([hmac], |row| row.get(0)).optional()?;
        if let Some(at) = found {
            return Ok(Some(Timestamp::from_millisecond(at).unwrap_or(Timestamp::MIN)));
        }
    }
    Ok(None)
}

/// The users who have an address now.
pub(crate) fn users_with(connection: &Connection, hmac: &[u8]) -> Result<Vec<UserId>, StoreError> {
    let mut statement = connection
        .prepare_cached("select user_id from users where address_hmac = ?1 and erased_at is null order by user_id")?;
    let mut rows = statement.query([hmac])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(Record::new("users", "user_id", row)?.user_id("user_id")?);
    }
    Ok(users)
}

/// Suppressions, newest first, from a place on.
pub(crate) fn list(
    connection: &Connection,
    before: Option<(i64, Vec<u8>)>,
    limit: u32,
) -> Result<Vec<SuppressionView>, StoreError> {
    let (since, hmac) = before.unwrap_or((i64::MAX, Vec::new()));
    let mut statement = connection.prepare_cached(
        "select * from suppressions where (since, address_hmac) < (:since, :hmac)
         order by since desc, address_hmac desc limit :limit",
    )?;
    let named = named_params! { ":since": since, ":hmac": hmac, ":limit": i64::from(limit) };
    let mut rows = statement.query(named)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(view(connection, row)?);
    }
    Ok(all)
}

/// One suppression.
pub(crate) fn get(connection: &Connection, hmac: &[u8]) -> Result<Option<SuppressionView>, StoreError> {
    let mut statement = connection.prepare_cached("select * from suppressions where address_hmac = ?1")?;
    let mut rows = statement.query([hmac])?;
    rows.next()?.map(|row| view(connection, row)).transpose()
}

fn view(connection: &Connection, row: &rusqlite::Row<'_>) -> Result<SuppressionView, StoreError> {
    let hmac: Vec<u8> = row.get("address_hmac")?;
    let record = Record { table: "suppressions", id: URL_SAFE_NO_PAD.encode(&hmac), row };
    Ok(SuppressionView {
        reason: record.get("reason")?,
        source: record.get("source")?,
        since: record.time("since")?,
        note: record.get("note")?,
        user_ids: users_with(connection, &hmac)?.iter().map(ToString::to_string).collect(),
        suppression_id: record.id,
    })
}

/// The HMAC that a suppression's id names.
pub(crate) fn by_id(id: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(id).ok()
}
