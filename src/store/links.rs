//! The tables `links` and `sessions`: the links in letters, and the presses of the button behind them.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, named_params};
use uuid::Uuid;

use super::columns::{Record, ms};
use super::error::StoreError;
use super::seal::{Place, Sealer};
use crate::domain::ids::{ItemId, SessionId, UserId};

/// How long the link of a letter works: longer than any ladder.
pub const LINK_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Random bits in a link's id.
const LINK_ID_BYTES: usize = 32;

/// What a link may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opens the repair page.
    Repair,
    /// Stops letters.
    Stop,
    /// No link: it proves to `relinkd check` that a webhook reaches the daemon that has these keys.
    Check,
}

impl Purpose {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Stop => "stop",
            Self::Check => "check",
        }
    }
}

/// Makes a link for a user. Its id says nothing.
pub(crate) fn create(connection: &Connection, user: &UserId, now: Timestamp) -> Result<String, StoreError> {
    let mut bytes = [0; LINK_ID_BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the system gives randomness");
    let id = URL_SAFE_NO_PAD.encode(bytes);
    let mut statement = connection.prepare_cached(
        "insert into links (link_id, user_id, created_at, expires_at) values (:id, :user, :now, :expires)",
    )?;
    let expires = super::later(now, LINK_LIFE);
    statement.execute(named_params! { ":id": id, ":user": user.as_str(), ":now": ms(now), ":expires": ms(expires) })?;
    Ok(id)
}

/// Whose link it is. A link that stops letters works as long as its row is kept; one that repairs, until it expires or is
/// revoked. A token of a replaced key opens only what was made before.
pub(crate) fn user_of(
    connection: &Connection,
    id: &str,
    purpose: Purpose,
    made_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from links where link_id = :id and (:stop or (revoked_at is null and expires_at > :now))
           and (:made_before is null or created_at < :made_before)",
    )?;
    let named = named_params! {
        ":id": id,
        ":stop": purpose == Purpose::Stop,
        ":made_before": made_before.map(ms),
        ":now": ms(now),
    };
    let found = statement
        .query_row(named, |row| Ok(Record::new("links", "link_id", row).and_then(|record| record.user_id("user_id"))))
        .optional()?;
    found.transpose()
}

/// Whether a link has neither expired nor been revoked.
pub(crate) fn is_live(connection: &Connection, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("select 1 from links where link_id = :id and revoked_at is null and expires_at > :now")?;
    Ok(statement.exists(named_params! { ":id": id, ":now": ms(now) })?)
}

/// Whose link it was, whether it still opens anything or not.
pub(crate) fn owner(
    connection: &Connection,
    id: &str,
    made_before: Option<Timestamp>,
) -> Result<Option<UserId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from links where link_id = :id and (:made_before is null or created_at < :made_before)",
    )?;
    let found = statement
        .query_row(named_params! { ":id": id, ":made_before": made_before.map(ms) }, |row| {
            Ok(Record::new("links", "link_id", row).and_then(|record| record.user_id("user_id")))
        })
        .optional()?;
    found.transpose()
}

/// Revokes the links in letters of a user that are in some mailbox, or may be. A letter that has not left keeps its own, and so
/// does the application what it asked for.
pub(crate) fn revoke_left(connection: &Connection, user: &UserId, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update links set revoked_at = :now where user_id = :user and revoked_at is null and link_id in
           (select link_id from letters where user_id = :user
             and (settled_at is not null or status = 'data_started' or uncertain > 0))",
    )?;
    statement.execute(named_params! { ":now": ms(now), ":user": user.as_str() })?;
    Ok(())
}

/// Revokes all links of a user.
pub(crate) fn revoke_all(connection: &Connection, user: &UserId, now: Timestamp) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("update links set revoked_at = coalesce(revoked_at, :now) where user_id = :user")?;
    statement.execute(named_params! { ":now": ms(now), ":user": user.as_str() })?;
    Ok(())
}

/// One press of the button: a Link token for one Item.
#[derive(Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The Item to repair.
    pub item: ItemId,
    /// The Link token: opens update mode for that Item.
    pub link_token: String,
    /// Where Hosted Link is, if that was asked for.
    pub hosted_url: Option<String>,
    /// When the button was pressed.
    pub opened_at: Timestamp,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// Whether it is over: somebody said how it ended, or nobody did in time.
    pub finished: bool,
}

const LINK_TOKEN: &str = "link token";

fn place<'a>(column: &'static str, row: &'a str) -> Place<'a> {
    Place { table: "sessions", column, row }
}

/// Keeps a press.
pub(crate) fn open_session(connection: &Connection, sealer: &Sealer, session: &Session) -> Result<(), StoreError> {
    let row = session.id.to_string();
    let mut statement = connection.prepare_cached(
        "insert into sessions (session_id, item_id, link_token, link_token_hmac, hosted_url, opened_at, expires_at)
         values (:id, :item, :token, :hmac, :hosted, :opened, :expires)",
    )?;
    statement.execute(named_params! {
        ":id": row,
        ":item": session.item.as_str(),
        ":token": sealer.seal(place("link_token", &row), session.link_token.as_bytes()),
        ":hmac": sealer.lookup(LINK_TOKEN, &session.link_token),
        ":hosted": session.hosted_url.as_ref().map(|url| sealer.seal(place("hosted_url", &row), url.as_bytes())),
        ":opened": ms(session.opened_at),
        ":expires": ms(session.expires_at),
    })?;
    Ok(())
}

/// The newest press for an Item if it is unfinished, whether its token still works or not. An older one does not count: it
/// was replaced because its token was dead, or another browser has it.
pub(crate) fn latest_session(
    connection: &Connection,
    sealer: &Sealer,
    item: &ItemId,
) -> Result<Option<Session>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select * from (select * from sessions where item_id = ?1 order by opened_at desc, session_id desc limit 1)
         where finished_at is null",
    )?;
    statement.query_row([item.as_str()], |row| Ok(session(sealer, row))).optional()?.transpose()
}

/// A press by its id.
pub(crate) fn session_by_id(
    connection: &Connection,
    sealer: &Sealer,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    let mut statement = connection.prepare_cached("select * from sessions where session_id = ?1")?;
    statement.query_row([id.to_string()], |row| Ok(session(sealer, row))).optional()?.transpose()
}

fn session(sealer: &Sealer, row: &rusqlite::Row<'_>) -> Result<Session, StoreError> {
    let record = Record::new("sessions", "session_id", row)?;
    let id = Uuid::parse_str(&record.id).map_err(|error| record.wrong("session_id", error.to_string()))?;
    let token: Vec<u8> = record.get("link_token")?;
    let hosted: Option<Vec<u8>> = record.get("hosted_url")?;
    Ok(Session {
        id: SessionId(id),
        item: record.item_id("item_id")?,
        link_token: sealer.open_text(place("link_token", &record.id), &token)?,
        hosted_url: hosted.map(|url| sealer.open_text(place("hosted_url", &record.id), &url)).transpose()?,
        opened_at: record.time("opened_at")?,
        expires_at: record.time("expires_at")?,
        finished: record.time_if("finished_at")?.is_some(),
    })
}

/// Seals a press anew, and has its token found by the present key.
pub(crate) fn seal_session_anew(
    connection: &Connection,
    sealer: &Sealer,
    row: &str,
    link_token: &[u8],
) -> Result<(), StoreError> {
    let plain = sealer.open_text(place("link_token", row), link_token)?;
    let mut hosted = connection.prepare_cached("select hosted_url from sessions where session_id = ?1")?;
    let hosted: Option<Vec<u8>> = hosted.query_row([row], |found| found.get(0))?;
    let anew = hosted.map(|url| sealer.open(place("hosted_url", row), &url)).transpose()?;
    let mut statement = connection.prepare_cached(
        "update sessions set link_token = :token, link_token_hmac = :hmac, hosted_url = :hosted where session_id = :id",
    )?;
    statement.execute(named_params! {
        ":token": sealer.seal(place("link_token", row), plain.as_bytes()),
        ":hmac": sealer.lookup(LINK_TOKEN, &plain),
        ":hosted": anew.map(|url| sealer.seal(place("hosted_url", row), &url)),
        ":id": row,
    })?;
    Ok(())
}

/// For which Item a Link token was made.
pub(crate) fn item_of_token(
    connection: &Connection,
    sealer: &Sealer,
    link_token: &str,
) -> Result<Option<(SessionId, ItemId)>, StoreError> {
    let mut statement =
        connection.prepare_cached("select session_id, item_id from sessions where link_token_hmac = ?1")?;
    for hmac in sealer.lookups(LINK_TOKEN, link_token) {
        let found =
            statement.query_row([hmac], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).optional()?;
        if let Some((session, item)) = found {
            let wrong =
                |column, problem: String| StoreError::Row { table: "sessions", row: session.clone(), column, problem };
            let id = Uuid::parse_str(&session).map_err(|error| wrong("session_id", error.to_string()))?;
            let item = ItemId::parse(item).map_err(|error| wrong("item_id", error.to_string()))?;
            return Ok(Some((SessionId(id), item)));
        }
    }
    Ok(None)
}

/// Notes that a session is over: its token is not given out again.
pub(crate) fn finish_session(connection: &Connection, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("update sessions set finished_at = coalesce(finished_at, :now) where session_id = :id")?;
    statement.execute(named_params! { ":now": ms(now), ":id": id.to_string() })?;
    Ok(())
}

/// How many presses there were for an Item since a moment.
pub(crate) fn presses_since(connection: &Connection, item: &ItemId, since: Timestamp) -> Result<u32, StoreError> {
    let mut statement =
        connection.prepare_cached("select count(*) from sessions where item_id = :item and opened_at >= :since")?;
    let count: i64 =
        statement.query_row(named_params! { ":item": item.as_str(), ":since": ms(since) }, |row| row.get(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
