//! The table `users`: whom letters go to, sealed, and when to look at each again.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use serde::{Deserialize, Serialize};

use super::columns::{Record, ms};
use super::error::StoreError;
use super::seal::{Place, Sealer};
use super::{events, links, suppressions};
use crate::domain::compose::{Channel, Reach, User};
use crate::domain::contact::{EmailAddress, Locale, PersonName, ZoneName};
use crate::domain::ids::UserId;

/// A user as registered.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The application's name for the user.
    pub id: UserId,
    /// Where letters go.
    pub email: Option<EmailAddress>,
    /// What to call the user.
    pub name: Option<PersonName>,
    /// The user's language, where it was given.
    pub locale: Option<Locale>,
    /// The user's time zone, where it was given.
    pub time_zone: Option<ZoneName>,
    /// Since when the user wants no letters.
    pub stopped_at: Option<Timestamp>,
    /// Since when the address takes none.
    pub suppressed_at: Option<Timestamp>,
    /// No letters before this moment.
    pub snoozed_until: Option<Timestamp>,
    /// When the user was first heard of.
    pub created_at: Timestamp,
    /// When the application last wrote it.
    pub updated_at: Timestamp,
}

/// What the application says about a user.
#[derive(Clone, Debug)]
pub struct NewProfile {
    /// The application's name for the user.
    pub id: UserId,
    /// Where letters go; not needed where the application sends them itself.
    pub email: Option<EmailAddress>,
    /// What to call the user.
    pub name: Option<PersonName>,
    /// The user's language.
    pub locale: Option<Locale>,
    /// The user's time zone.
    pub time_zone: Option<ZoneName>,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Contact {
    email: Option<String>,
    name: Option<String>,
}

fn place(row: &str) -> Place<'_> {
    Place { table: "users", column: "contact", row }
}

/// Makes sure that a user has a row, with nothing in it if it is new.
pub(crate) fn ensure(connection: &Connection, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into users (user_id, created_at, updated_at) values (:user, :now, :now) on conflict do nothing",
    )?;
    statement.execute(named_params! { ":user": id.as_str(), ":now": ms(now) })?;
    Ok(())
}

/// Writes what the application says. Says whether the user is new. Another address takes letters, whatever became of the old
/// one, unless it is suppressed itself; a wish for no letters stays. Who has no Item, or only held ones, is not looked at: an
/// import of a million users is no reason to compose a million times.
pub(crate) fn put(
    connection: &Connection,
    sealer: &Sealer,
    user: &NewProfile,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let is_known = is_registered(connection, &user.id)?;
    let is_moved = match get(connection, sealer, &user.id) {
        Ok(known) => known.and_then(|known| known.email).is_some_and(|known| Some(&known) != user.email.as_ref()),
        // A row that cannot be read is mended by this one; where its letters went nobody knows.
        Err(error) if error.is_of_one_row() => true,
        Err(error) => return Err(error),
    };
    if is_moved {
        // Whoever reads the old mailbox is to learn no more of this user's banks.
        links::revoke_left(connection, &user.id, now)?;
    }
    let contact = Contact {
        email: user.email.as_ref().map(|email| email.as_str().to_owned()),
        name: user.name.as_ref().map(|name| name.as_str().to_owned()),
    };
    let contact = serde_json::to_vec(&contact).expect("two texts");
    ensure(connection, &user.id, now)?;
    let mut statement = connection.prepare_cached(
        "update users set contact = :contact, address_hmac = :hmac, locale = :locale, time_zone = :zone,
           updated_at = :now, erased_at = null,
           due_at = case when exists (select 1 from items where user_id = :user and held_since is null) then :now end
         where user_id = :user",
    )?;
    statement.execute(named_params! {
        ":user": user.id.as_str(),
        ":contact": sealer.seal(place(user.id.as_str()), &contact),
        ":hmac": user.email.as_ref().map(|email| suppressions::hmac(sealer, email)),
        ":locale": user.locale.as_ref().map(Locale::as_str),
        ":zone": user.time_zone.as_ref().map(ZoneName::as_str),
        ":now": ms(now),
    })?;
    Ok(!is_known)
}

/// Whether the application said anything about a user who is not erased.
fn is_registered(connection: &Connection, id: &UserId) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("select 1 from users where user_id = ?1 and contact is not null and erased_at is null")?;
    Ok(statement.exists([id.as_str()])?)
}

/// Seals a user's contact anew, and has the user found by the present key.
pub(crate) fn seal_anew(connection: &Connection, sealer: &Sealer, row: &str, contact: &[u8]) -> Result<(), StoreError> {
    let plain = sealer.open(place(row), contact)?;
    let wrong = |problem: String| StoreError::Row { table: "users", row: row.to_owned(), column: "contact", problem };
    let known: Contact = serde_json::from_slice(&plain).map_err(|_| wrong("is no contact".to_owned()))?;
    let email =
        known.email.as_deref().map(EmailAddress::parse).transpose().map_err(|error| wrong(error.to_string()))?;
    let mut statement =
        connection.prepare_cached("update users set contact = :contact, address_hmac = :hmac where user_id = :user")?;
    statement.execute(named_params! {
        ":contact": sealer.seal(place(row), &plain),
        ":hmac": email.as_ref().map(|email| suppressions::hmac(sealer, email)),
        ":user": row,
    })?;
    email.map_or(Ok(()), |email| suppressions::find_by_present_key(connection, sealer, &email))
}

/// A user as registered; nothing if unknown or erased.
pub(crate) fn get(connection: &Connection, sealer: &Sealer, id: &UserId) -> Result<Option<Profile>, StoreError> {
    let mut statement = connection.prepare_cached("select * from users where user_id = ?1 and erased_at is null")?;
    statement.query_row([id.as_str()], |row| Ok(profile(connection, sealer, row))).optional()?.transpose()
}

/// A page of users, after a given one.
pub(crate) fn list(
    connection: &Connection,
    sealer: &Sealer,
    after: &str,
    limit: u32,
) -> Result<Vec<Profile>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from users where user_id > :after and erased_at is null order by user_id limit :limit",
    )?;
    let mut rows = statement.query(named_params! { ":after": after, ":limit": i64::from(limit) })?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(profile(connection, sealer, row)?);
    }
    Ok(users)
}

/// A page of the users whose time will come or one of whose Items is not sound, after a given one.
pub(crate) fn concerned(connection: &Connection, after: &str, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select user_id from users where user_id > :after and erased_at is null and (due_at is not null or exists
           (select 1 from items where items.user_id = users.user_id and state not in ('healthy', 'removed')))
         order by user_id limit :limit",
    )?;
    let mut rows = statement.query(named_params! { ":after": after, ":limit": i64::from(limit) })?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(Record::new("users", "user_id", row)?.user_id("user_id")?);
    }
    Ok(users)
}

/// A page of the users who have an address, whatever its case, after a given one. An address is sealed: it is found by its
/// HMAC, under each key that could have been in use when it was written.
pub(crate) fn at_address(
    connection: &Connection,
    sealer: &Sealer,
    email: &EmailAddress,
    after: &str,
    limit: u32,
) -> Result<Vec<Profile>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from users where address_hmac = :hmac and user_id > :after and erased_at is null
         order by user_id limit :limit",
    )?;
    let mut users = Vec::new();
    for hmac in suppressions::hmacs(sealer, email) {
        let mut rows = statement.query(named_params! { ":hmac": hmac, ":after": after, ":limit": i64::from(limit) })?;
        while let Some(row) = rows.next()? {
            users.push(profile(connection, sealer, row)?);
        }
    }
    users.sort_by(|a, b| a.id.cmp(&b.id));
    users.truncate(limit as usize);
    Ok(users)
}

/// Whether there was such a user, and nothing personal is left of it.
pub(crate) fn is_erased(connection: &Connection, id: &UserId) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("select 1 from users where user_id = ?1 and erased_at is not null")?;
    Ok(statement.exists([id.as_str()])?)
}

fn profile(connection: &Connection, sealer: &Sealer, row: &Row<'_>) -> Result<Profile, StoreError> {
    let record = Record::new("users", "user_id", row)?;
    let contact = match record.get::<Option<Vec<u8>>>("contact")? {
        None => None,
        Some(sealed) => {
            let plain = sealer.open(place(&record.id), &sealed)?;
            Some(serde_json::from_slice::<Contact>(&plain).map_err(|_| record.wrong("contact", "is no contact"))?)
        }
    };
    let email = contact
        .as_ref()
        .and_then(|contact| contact.email.as_deref())
        .map(|email| EmailAddress::parse(email).map_err(|error| record.wrong("contact", error.to_string())))
        .transpose()?;
    let locale = record
        .get::<Option<String>>("locale")?
        .map(|tag| Locale::parse(&tag).map_err(|error| record.wrong("locale", error.to_string())))
        .transpose()?;
    let time_zone = record
        .get::<Option<String>>("time_zone")?
        .map(|name| ZoneName::parse(&name).map_err(|error| record.wrong("time_zone", error.to_string())))
        .transpose()?;
    let suppressed_at =
        email.as_ref().map(|email| suppressions::since(connection, sealer, email)).transpose()?.flatten();
    Ok(Profile {
        id: record.user_id("user_id")?,
        email,
        name: contact.and_then(|contact| contact.name).and_then(|name| PersonName::parse(&name)),
        locale,
        time_zone,
        stopped_at: record.time_if("stopped_at")?,
        suppressed_at,
        snoozed_until: record.time_if("snoozed_until")?,
        created_at: record.time("created_at")?,
        updated_at: record.time("updated_at")?,
    })
}

impl Profile {
    /// The user as far as letters are concerned.
    #[must_use]
    pub fn for_letters(&self, default_zone: &TimeZone, channel: Channel) -> User {
        let reach = match (&self.email, self.suppressed_at, channel) {
            (None, _, Channel::Mail) => Reach::NoAddress,
            (Some(_), Some(_), _) => Reach::Suppressed,
            (Some(_), None, _) | (None, _, Channel::Event) => Reach::Address,
        };
        User {
            id: self.id.clone(),
            time_zone: self.time_zone.as_ref().map_or_else(|| default_zone.clone(), |zone| zone.zone().clone()),
            reach,
            stopped_at: self.stopped_at,
            snoozed_until: self.snoozed_until,
        }
    }
}

/// A wish of a user about all letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No letters any more.
    Stop,
    /// Letters again.
    Resume,
    /// Letters again, but none until then.
    SnoozeUntil(Timestamp),
    /// No letters until then, whoever wants that: what the user stopped stays so, for no pause may end a stop.
    PauseUntil(Timestamp),
}

impl Wish {
    /// `stopped_at` and `snoozed_until` of who wishes so now.
    fn columns(self, now: Timestamp) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Stop => (Some(ms(now)), None),
            Self::Resume => (None, None),
            Self::SnoozeUntil(until) | Self::PauseUntil(until) => (None, Some(ms(until))),
        }
    }
}

/// Notes a user's wish. Says whether there is such a user.
pub(crate) fn wish(connection: &Connection, id: &UserId, wish: Wish, now: Timestamp) -> Result<bool, StoreError> {
    if let Wish::PauseUntil(_) = wish
        && has_stopped(connection, id)?
    {
        return Ok(true);
    }
    let (stopped, snoozed) = wish.columns(now);
    tell_news(connection, id, wish, now)?;
    let mut statement = connection.prepare_cached(
        "update users set stopped_at = case when :stopped is null then null else coalesce(stopped_at, :stopped) end,
           snoozed_until = :snoozed, due_at = :now where user_id = :user and erased_at is null",
    )?;
    let changed = statement
        .execute(named_params! { ":stopped": stopped, ":snoozed": snoozed, ":now": ms(now), ":user": id.as_str() })?;
    Ok(changed == 1)
}

fn has_stopped(connection: &Connection, id: &UserId) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("select 1 from users where user_id = :user and stopped_at is not null and erased_at is null")?;
    Ok(statement.exists(named_params! { ":user": id.as_str() })?)
}

/// Tells the application of a wish, unless it stands so already.
fn tell_news(connection: &Connection, id: &UserId, wish: Wish, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "select stopped_at is not null, case when snoozed_until > :now then snoozed_until end from users
         where user_id = :user and erased_at is null",
    )?;
    let named = named_params! { ":user": id.as_str(), ":now": ms(now) };
    let known: Option<(bool, Option<i64>)> =
        statement.query_row(named, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (stopped, snoozed) = wish.columns(now);
    match known {
        Some(known) if known != (stopped.is_some(), snoozed) => events::wish(connection, id, wish, now),
        Some(_) | None => Ok(()),
    }
}

/// Keeps wishes that were said elsewhere. None that is known is taken back.
pub(crate) fn keep_wishes(
    connection: &Connection,
    id: &UserId,
    stopped_at: Option<Timestamp>,
    snoozed_until: Option<Timestamp>,
) -> Result<(), StoreError> {
    if stopped_at.or(snoozed_until).is_none() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "update users set stopped_at = coalesce(stopped_at, :stopped),
           snoozed_until = coalesce(max(snoozed_until, :snoozed), snoozed_until, :snoozed) where user_id = :user",
    )?;
    statement.execute(named_params! {
        ":stopped": stopped_at.map(ms),
        ":snoozed": snoozed_until.map(ms),
        ":user": id.as_str(),
    })?;
    Ok(())
}

/// Notes that somebody called a letter spam: no letters to this user, also under another address.
pub(crate) fn stop(connection: &Connection, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
    tell_news(connection, id, Wish::Stop, now)?;
    let mut statement =
        connection.prepare_cached("update users set stopped_at = coalesce(stopped_at, :now) where user_id = :user")?;
    statement.execute(named_params! { ":now": ms(now), ":user": id.as_str() })?;
    Ok(())
}

/// Takes all that is personal out of a user's row. Says whether there was such a user.
pub(crate) fn erase(connection: &Connection, id: &UserId, now: Timestamp) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "update users set contact = null, address_hmac = null, locale = null, time_zone = null, due_at = null,
           snoozed_until = null, erased_at = :now where user_id = :user and erased_at is null",
    )?;
    Ok(statement.execute(named_params! { ":now": ms(now), ":user": id.as_str() })? == 1)
}

/// The users at whom it is time to look, the longest due first.
pub(crate) fn due(connection: &Connection, now: Timestamp, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select user_id from users where due_at is not null and due_at <= :now order by due_at limit :limit",
    )?;
    let mut rows = statement.query(named_params! { ":now": ms(now), ":limit": i64::from(limit) })?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(Record::new("users", "user_id", row)?.user_id("user_id")?);
    }
    Ok(users)
}

/// Notes when to look at a user again.
pub(crate) fn look_again(connection: &Connection, id: &UserId, at: Option<Timestamp>) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("update users set due_at = :at where user_id = :user")?;
    statement.execute(named_params! { ":at": at.map(ms), ":user": id.as_str() })?;
    Ok(())
}
