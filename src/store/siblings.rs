//! The rule about duplicates, applied: after a step that changes what it reads, a user's other Items may have to take a step too.

use std::collections::BTreeSet;

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::steps::{self, Rule, Told};
use super::{accounts, items};
use crate::domain::ids::{ItemId, UserId};
use crate::domain::item::Item;
use crate::domain::supersede::Sibling;

/// More Items than a person has. Who registers all under one user has none whom the rule could spare, and each step would read
/// them all.
const SIBLINGS_MAX: usize = 64;

/// Takes the steps that make each Item of these users superseded by what supersedes it now. Answers `own` as it is then.
pub(super) fn settle(
    connection: &Connection,
    rule: &Rule,
    users: &BTreeSet<&UserId>,
    own: Item,
    told: &mut Vec<Told>,
) -> Result<Item, StoreError> {
    let cause = format!("Item {}", own.id);
    let mut own = own;
    for user in users {
        let siblings = of_user(connection, user, &own)?;
        for (id, event) in (rule.siblings)(&siblings) {
            let Some(sibling) = siblings.iter().find(|sibling| sibling.item.id == id) else { continue };
            let after = steps::take_alone(connection, rule, &sibling.item, &event, &cause, told)?;
            if after.id == own.id {
                own = after;
            }
        }
    }
    Ok(own)
}

/// The Items of a user that are there. One that does not read is left out: it stops no step of the others.
fn of_user(connection: &Connection, user: &UserId, own: &Item) -> Result<Vec<Sibling>, StoreError> {
    let ids = ids_of(connection, user)?;
    if own.superseded_by.is_none() && ids.iter().all(|id| *id == own.id) {
        // Most users have one Item, and no duplicate of it.
        return Ok(Vec::new());
    }
    if ids.len() > SIBLINGS_MAX {
        tracing::debug!(%user, "user {user} has too many Items to look for duplicates among them");
        return Ok(Vec::new());
    }
    let mut siblings = Vec::new();
    for id in ids {
        match items::load(connection, &id) {
            Ok(Some(item)) => siblings.push(Sibling { accounts: accounts::shared(connection, &id)?, item }),
            Ok(None) => {}
            Err(error) if error.is_of_one_row() => {
                tracing::error!(item = %id, "Item {id} is left out when duplicates are looked for: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(siblings)
}

fn ids_of(connection: &Connection, user: &UserId) -> Result<Vec<ItemId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "select item_id from items where user_id = :user and removed_at is null order by item_id limit :most",
    )?;
    let most = i64::try_from(SIBLINGS_MAX + 1).expect("a small number");
    let mut rows = statement.query(named_params! { ":user": user.as_str(), ":most": most })?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(super::columns::Record::new("items", "item_id", row)?.item_id("item_id")?);
    }
    Ok(ids)
}
