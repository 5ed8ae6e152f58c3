//! Items for people and for the API: one, or a page of a list.

use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::columns::Record;
use super::error::StoreError;
use super::items;
use super::seal::{Place, Sealer};
use crate::domain::ids::{InstitutionId, ItemId, UserId};
use crate::domain::item::{Item, State};

/// Which Items a list holds.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only at this bank.
    pub institution: Option<InstitutionId>,
    /// Only those of which Plaid sends the webhooks elsewhere, or nowhere.
    pub astray: bool,
}

/// An Item, and what was registered with it.
#[derive(Clone, Debug)]
pub struct ItemRecord {
    /// The Item.
    pub item: Item,
    /// The countries of its bank, where they were given.
    pub country_codes: Option<Vec<String>>,
}

/// The place of an access token, for sealing.
pub(crate) fn token_place(row: &str) -> Place<'_> {
    Place { table: "items", column: "access_token", row }
}

pub(crate) fn record(connection: &Connection, id: &ItemId) -> Result<Option<ItemRecord>, StoreError> {
    let Some(item) = items::load(connection, id)? else { return Ok(None) };
    Ok(Some(ItemRecord { item, country_codes: country_codes(connection, id)? }))
}

/// The countries of an Item's bank, where they were given.
pub(crate) fn country_codes(connection: &Connection, id: &ItemId) -> Result<Option<Vec<String>>, StoreError> {
    let mut statement = connection.prepare_cached("select item_id, country_codes from items where item_id = ?1")?;
    statement.query_row([id.as_str()], |row| {
        Ok(Record::new("items", "item_id", row).and_then(|record| {
            match record.get::<Option<String>>("country_codes")? {
                None => Ok(None),
                Some(_) => record.json("country_codes").map(Some),
            }
        }))
    })?
}

/// The access token of an Item that is not removed.
pub(crate) fn access_token(
    connection: &Connection,
    sealer: &Sealer,
    id: &ItemId,
) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("select access_token from items where item_id = ?1")?;
    let sealed: Option<Vec<u8>> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?.flatten();
    sealed.map(|sealed| sealer.open_text(token_place(id.as_str()), &sealed)).transpose()
}

/// Seals an access token anew.
pub(crate) fn seal_token_anew(
    connection: &Connection,
    sealer: &Sealer,
    row: &str,
    access_token: &[u8],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("update items set access_token = :token where item_id = :item")?;
    let anew = sealer.seal(token_place(row), &sealer.open(token_place(row), access_token)?);
    statement.execute(named_params! { ":token": anew, ":item": row })?;
    Ok(())
}

/// A page of a list, in the order of ids, after a given one. Removed Items are listed only by their state.
pub(crate) fn list(
    connection: &Connection,
    filter: &ItemFilter,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Item>, StoreError> {
    let mut conditions = vec!["item_id > :after"];
    conditions.push(match filter.state {
        Some(_) => "state = :state",
        None => "state <> 'removed' and :state is null",
    });
    conditions.push(if filter.user.is_some() { "user_id = :user" } else { ":user is null" });
    conditions.push(if filter.institution.is_some() { "institution_id = :bank" } else { ":bank is null" });
    if filter.astray {
        conditions.push("webhooks_go in ('elsewhere', 'nowhere') and removed_at is null");
    }
    let sql = format!("select item_id from items where {} order by item_id limit :limit", conditions.join(" and "));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":after": after.unwrap_or(""),
        ":state": filter.state.map(State::name),
        ":user": filter.user.as_ref().map(UserId::as_str),
        ":bank": filter.institution.as_ref().map(InstitutionId::as_str),
        ":limit": i64::from(limit),
    })?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        let id = Record::new("items", "item_id", row)?.item_id("item_id")?;
        page.extend(items::load(connection, &id)?);
    }
    Ok(page)
}
