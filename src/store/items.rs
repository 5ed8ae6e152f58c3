//! The tables `items` and `episodes`: an Item as the domain knows it, from rows and back.

use rusqlite::{Connection, OptionalExtension as _, Row, Statement, named_params};

use super::columns::{
    CURES, DESTINATIONS, EXPIRY_REASONS, REMOVAL_REASONS, Record, TOKENS, json, ms, name_of, outcome_name,
};
use super::error::StoreError;
use crate::domain::ids::{Institution, ItemId};
use crate::domain::item::{
    Arrival, Break, Claim, Deadline, Episode, Expiry, Hold, Impaired, Item, Kind, Login, Removed, Revocation,
};
use crate::domain::step::Closed;
use jiff::Timestamp;

/// An Item as the domain knows it.
pub(crate) fn load(connection: &Connection, id: &ItemId) -> Result<Option<Item>, StoreError> {
    let mut statement = connection.prepare_cached("select * from items where item_id = ?1")?;
    let item = statement.query_row([id.as_str()], |row| Ok(bare(row))).optional()?.transpose()?;
    item.map(|item| with_episodes(connection, item)).transpose()
}

/// All Items of a user.
pub(crate) fn of_user(connection: &Connection, user: &str) -> Result<Vec<Item>, StoreError> {
    let mut statement = connection.prepare_cached("select * from items where user_id = ?1 order by item_id")?;
    let mut rows = statement.query([user])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(with_episodes(connection, bare(row)?)?);
    }
    Ok(items)
}

/// An Item from its row, without its episodes.
fn bare(row: &Row<'_>) -> Result<Item, StoreError> {
    let record = Record::new("items", "item_id", row)?;
    let institution = record
        .institution_id_if("institution_id")?
        .map(|id| Ok::<_, StoreError>(Institution { id, name: record.get("institution_name")? }))
        .transpose()?;
    let removed = match record.time_if("removed_at")? {
        None => None,
        Some(at) => Some(Removed { at, why: record.named("removed_why", &REMOVAL_REASONS)? }),
    };
    let claim = record.time_if("claim_at")?.map(|at| Claim { at });
    let impaired = match record.time_if("impaired_since")? {
        None => None,
        Some(since) => Some(Impaired { since, code: record.get("impaired_code")? }),
    };
    let superseded_by = record
        .get::<Option<String>>("superseded_by")?
        .map(|id| ItemId::parse(id).map_err(|error| record.wrong("superseded_by", error.to_string())))
        .transpose()?;
    Ok(Item {
        id: record.item_id("item_id")?,
        user: record.user_id("user_id")?,
        institution,
        created_at: record.time("created_at")?,
        registered_at: record.time("registered_at")?,
        token: record.named("token", &TOKENS)?,
        since: record.time("since")?,
        removed,
        revoked: None,
        login: Login::Sound,
        expiry: None,
        new_accounts: None,
        claim,
        impaired,
        superseded_by,
        snoozed_until: record.time_if("snoozed_until")?,
        hold: hold(&record)?,
        consent_expires_at: record.time_if("consent_expires_at")?,
        observed_at: record.time_if("observed_at")?,
        webhooks_go: record.named_if("webhooks_go", &DESTINATIONS)?,
        missed_webhook_at: record.time_if("missed_webhook_at")?,
        episodes: record.count("episodes")?,
    })
}

fn hold(record: &Record<'_>) -> Result<Hold, StoreError> {
    Ok(match (record.time_if("held_since")?, record.time_if("released_at")?) {
        (Some(since), _) => Hold::Held { since },
        (None, Some(at)) => Hold::Released { at },
        (None, None) => Hold::No,
    })
}

/// Adds the open episodes, and the latest login that was mended.
fn with_episodes(connection: &Connection, mut item: Item) -> Result<Item, StoreError> {
    if item.episodes == 0 {
        return Ok(item);
    }
    let mut statement = connection.prepare_cached(
        "select * from episodes where item_id = :item and (closed_at is null or (number =
           (select max(number) from episodes where item_id = :item and kind = 'login_required')
           and outcome in ('repaired', 'healed') and evidence_at is not null))
         order by number",
    )?;
    let mut rows = statement.query(named_params! { ":item": item.id.as_str() })?;
    while let Some(row) = rows.next()? {
        add_episode(&mut item, row)?;
    }
    Ok(item)
}

fn add_episode(item: &mut Item, row: &Row<'_>) -> Result<(), StoreError> {
    let number: i64 = row.get("number")?;
    let record = Record { table: "episodes", id: format!("{}/{number}", item.id), row };
    let kind = record.kind_if("kind")?.ok_or_else(|| record.wrong("kind", "is missing"))?;
    let episode = Episode {
        number: record.count("number")?,
        opened_at: record.time("opened_at")?,
        rungs_passed: record.small("rungs_passed")?,
        letters: record.count("letters")?,
        what: (),
    };
    match kind {
        Kind::Revoked => item.revoked = Some(about(episode, Revocation { code: record.get("code")? })),
        Kind::NewAccounts => item.new_accounts = Some(about(episode, Arrival)),
        Kind::PendingExpiration => {
            let at = record.time("deadline_at")?;
            let deadline = if record.get("deadline_known")? { Deadline::Known(at) } else { Deadline::Assumed(at) };
            item.expiry = Some(about(episode, Expiry { deadline, why: record.named("why", &EXPIRY_REASONS)? }));
        }
        Kind::LoginRequired => {
            let what = Break {
                code: record.get("code")?,
                reason: record.get("reason")?,
                cure: record.named("cure", &CURES)?,
                broken_at: record.time("broken_at")?,
                evidence_at: record.time("evidence_at")?,
                answered: record.count("answered")?,
            };
            let episode = about(episode, what);
            item.login = match record.time_if("closed_at")? {
                None => Login::Broken(episode),
                Some(at) => Login::Mended { episode, at },
            };
        }
    }
    Ok(())
}

fn about<T>(episode: Episode<()>, what: T) -> Episode<T> {
    Episode {
        number: episode.number,
        opened_at: episode.opened_at,
        rungs_passed: episode.rungs_passed,
        letters: episode.letters,
        what,
    }
}

/// Writes what a step made of an Item. `due_at` is when the clock alone changes something.
pub(crate) fn save(
    connection: &Connection,
    before: &Item,
    after: &Item,
    closed: &[Closed],
    now: Timestamp,
) -> Result<(), StoreError> {
    save_row(connection, after, now)?;
    save_episodes(connection, before, after, closed, now)
}

fn save_row(connection: &Connection, item: &Item, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update items set user_id = :user, token = :token, registered_at = :registered_at, created_at = :created_at,
           institution_id = :institution_id, institution_name = :institution_name, state = :state, since = :since,
           removed_at = :removed_at, removed_why = :removed_why, claim_at = :claim_at,
           impaired_since = :impaired_since, impaired_code = :impaired_code, superseded_by = :superseded_by,
           snoozed_until = :snoozed_until, held_since = :held_since, released_at = :released_at,
           consent_expires_at = :consent_expires_at, observed_at = :observed_at,
           webhooks_go = :webhooks_go, missed_webhook_at = :missed_webhook_at, suspect = :suspect,
           checked_at = max(checked_at, coalesce(:observed_at, 0)), episodes = :episodes,
           due_at = :due_at, access_token = case when :removed_at is null then access_token end
         where item_id = :item",
    )?;
    bind(&mut statement, item, now)?;
    if statement.raw_execute()? == 1 {
        return Ok(());
    }
    Err(StoreError::Row {
        table: "items",
        row: item.id.to_string(),
        column: "item_id",
        problem: "is missing, so nothing was saved".to_owned(),
    })
}

/// Binds what is in an Item's own row. `due_at` is when the clock alone changes something.
fn bind(statement: &mut Statement<'_>, item: &Item, now: Timestamp) -> Result<(), StoreError> {
    let (held_since, released_at) = match item.hold {
        Hold::No => (None, None),
        Hold::Held { since } => (Some(ms(since)), None),
        Hold::Released { at } => (None, Some(ms(at))),
    };
    let values = named_params! {
        ":item": item.id.as_str(),
        ":user": item.user.as_str(),
        ":token": name_of(&item.token, &TOKENS),
        ":registered_at": ms(item.registered_at),
        ":created_at": ms(item.created_at),
        ":institution_id": item.institution.as_ref().map(|bank| bank.id.as_str()),
        ":institution_name": item.institution.as_ref().and_then(|bank| bank.name.as_deref()),
        ":state": item.state().name(),
        ":since": ms(item.since),
        ":removed_at": item.removed.map(|removed| ms(removed.at)),
        ":removed_why": item.removed.map(|removed| name_of(&removed.why, &REMOVAL_REASONS)),
        ":claim_at": item.claim.map(|claim| ms(claim.at)),
        ":impaired_since": item.impaired.as_ref().map(|impaired| ms(impaired.since)),
        ":impaired_code": item.impaired.as_ref().map(|impaired| impaired.code.as_str()),
        ":superseded_by": item.superseded_by.as_ref().map(ItemId::as_str),
        ":snoozed_until": item.snoozed_until.map(ms),
        ":held_since": held_since,
        ":released_at": released_at,
        ":consent_expires_at": item.consent_expires_at.map(ms),
        ":observed_at": item.observed_at.map(ms),
        ":webhooks_go": item.webhooks_go.map(|destination| name_of(&destination, &DESTINATIONS)),
        ":missed_webhook_at": item.missed_webhook_at.map(ms),
        ":suspect": item.is_suspect(),
        ":episodes": i64::from(item.episodes),
        ":due_at": item.due_at(now).map(ms),
    };
    for (name, value) in values {
        let index = statement.parameter_index(name)?.expect("both statements name every column");
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

fn save_episodes(
    connection: &Connection,
    before: &Item,
    after: &Item,
    closed: &[Closed],
    now: Timestamp,
) -> Result<(), StoreError> {
    // Closed first: an episode of the same kind may open in the same step.
    for episode in closed {
        let mut statement = connection.prepare_cached(
            "update episodes set closed_at = :at, outcome = :outcome where item_id = :item and number = :number",
        )?;
        statement.execute(named_params! {
            ":item": after.id.as_str(),
            ":number": i64::from(episode.number),
            ":at": ms(now),
            ":outcome": outcome_name(episode.outcome),
        })?;
    }
    if before.revoked != after.revoked
        && let Some(episode) = &after.revoked
    {
        upsert(connection, after, Kind::Revoked, &episode.bare(), Details { code: Some(&episode.what.code), ..NONE })?;
    }
    if before.new_accounts != after.new_accounts
        && let Some(episode) = &after.new_accounts
    {
        upsert(connection, after, Kind::NewAccounts, &episode.bare(), NONE)?;
    }
    if before.expiry != after.expiry
        && let Some(episode) = &after.expiry
    {
        let details = Details { expiry: Some(&episode.what), ..NONE };
        upsert(connection, after, Kind::PendingExpiration, &episode.bare(), details)?;
    }
    if before.login != after.login {
        match &after.login {
            Login::Sound => forget_mended(connection, &before.login, &after.id)?,
            Login::Broken(episode) | Login::Mended { episode, .. } => {
                let what = &episode.what;
                let reason = what.reason.as_deref();
                let details = Details { code: Some(&what.code), reason, login: Some(what), ..NONE };
                upsert(connection, after, Kind::LoginRequired, &episode.bare(), details)?;
            }
        }
    }
    Ok(())
}

/// A login that was mended in the Item's former life does not break again in the next: without evidence its episode is only
/// history.
fn forget_mended(connection: &Connection, before: &Login, id: &ItemId) -> Result<(), StoreError> {
    let Login::Mended { episode, .. } = before else { return Ok(()) };
    let mut statement = connection
        .prepare_cached("update episodes set evidence_at = null where item_id = :item and number = :number")?;
    statement.execute(named_params! { ":item": id.as_str(), ":number": i64::from(episode.number) })?;
    Ok(())
}

/// What an episode of some kinds has beside what all have.
struct Details<'a> {
    code: Option<&'a str>,
    reason: Option<&'a str>,
    login: Option<&'a Break>,
    expiry: Option<&'a Expiry>,
}

const NONE: Details<'static> = Details { code: None, reason: None, login: None, expiry: None };

/// Writes an episode. One that is open in the Item is open in its row too: a mended login can break again.
fn upsert(
    connection: &Connection,
    item: &Item,
    kind: Kind,
    episode: &Episode<()>,
    details: Details<'_>,
) -> Result<(), StoreError> {
    let open = item.open(kind).is_some_and(|open| open.number == episode.number);
    let mut statement = connection.prepare_cached(
        "insert into episodes (item_id, number, kind, opened_at, rungs_passed, letters, code, reason, cure, broken_at,
           evidence_at, answered, deadline_at, deadline_known, why)
         values (:item, :number, :kind, :opened_at, :rungs_passed, :letters, :code, :reason, :cure, :broken_at,
           :evidence_at, :answered, :deadline_at, :deadline_known, :why)
         on conflict (item_id, number) do update set rungs_passed = excluded.rungs_passed, letters = excluded.letters,
           code = excluded.code, reason = excluded.reason, cure = excluded.cure, broken_at = excluded.broken_at,
           evidence_at = excluded.evidence_at, answered = excluded.answered, deadline_at = excluded.deadline_at,
           deadline_known = excluded.deadline_known, why = excluded.why,
           closed_at = case when :open then null else closed_at end,
           outcome = case when :open then null else outcome end",
    )?;
    statement.execute(named_params! {
        ":item": item.id.as_str(),
        ":number": i64::from(episode.number),
        ":kind": kind.name(),
        ":opened_at": ms(episode.opened_at),
        ":rungs_passed": i64::from(episode.rungs_passed),
        ":letters": i64::from(episode.letters),
        ":code": details.code,
        ":reason": details.reason,
        ":cure": details.login.map(|login| name_of(&login.cure, &CURES)),
        ":broken_at": details.login.map(|login| ms(login.broken_at)),
        ":evidence_at": details.login.map(|login| ms(login.evidence_at)),
        ":answered": details.login.map(|login| i64::from(login.answered)),
        ":deadline_at": details.expiry.map(|expiry| ms(expiry.deadline.at())),
        ":deadline_known": details.expiry.map(|expiry| matches!(expiry.deadline, Deadline::Known(_))),
        ":why": details.expiry.map(|expiry| name_of(&expiry.why, &EXPIRY_REASONS)),
        ":open": open,
    })?;
    Ok(())
}

/// What a registration says that no step needs.
pub(crate) struct Registration<'a> {
    pub(crate) sealed_token: &'a [u8],
    pub(crate) country_codes: Option<&'a [String]>,
}

/// Makes the row of a new Item, of which no episode is known yet.
pub(crate) fn insert(
    connection: &Connection,
    item: &Item,
    registration: &Registration<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "insert into items (item_id, user_id, access_token, token, created_at, registered_at, institution_id,
           institution_name, country_codes, state, since, removed_at, removed_why, claim_at, impaired_since,
           impaired_code, superseded_by, snoozed_until, held_since, released_at, consent_expires_at, observed_at, webhooks_go,
           missed_webhook_at, suspect, episodes, due_at)
         values (:item, :user, :access_token, :token, :created_at, :registered_at, :institution_id, :institution_name,
           :country_codes, :state, :since, :removed_at, :removed_why, :claim_at, :impaired_since, :impaired_code,
           :superseded_by, :snoozed_until, :held_since, :released_at, :consent_expires_at, :observed_at, :webhooks_go,
           :missed_webhook_at, :suspect, :episodes,
           :due_at)",
    )?;
    bind(&mut statement, item, now)?;
    let values = named_params! {
        ":access_token": registration.sealed_token,
        ":country_codes": registration.country_codes.map(|codes| json(&codes)),
    };
    for (name, value) in values {
        let index = statement.parameter_index(name)?.expect("the statement names both");
        statement.raw_bind_parameter(index, value)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Notes that Plaid was asked and said nothing new.
pub(crate) fn confirm(connection: &Connection, item: &Item) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update items set observed_at = :at, checked_at = max(checked_at, coalesce(:at, 0)) where item_id = :item",
    )?;
    statement.execute(named_params! { ":at": item.observed_at.map(ms), ":item": item.id.as_str() })?;
    Ok(())
}

/// Keeps what a registration says that no step needs.
pub(crate) fn set_registration(
    connection: &Connection,
    id: &ItemId,
    registration: &Registration<'_>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "update items set access_token = :token, country_codes = coalesce(:codes, country_codes) where item_id = :item",
    )?;
    statement.execute(named_params! {
        ":item": id.as_str(),
        ":token": registration.sealed_token,
        ":codes": registration.country_codes.map(|codes| json(&codes)),
    })?;
    Ok(())
}

/// Notes when to tick an Item again.
pub(crate) fn look_again(connection: &Connection, id: &ItemId, at: Timestamp) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("update items set due_at = :at where item_id = :item")?;
    statement.execute(named_params! { ":at": ms(at), ":item": id.as_str() })?;
    Ok(())
}
