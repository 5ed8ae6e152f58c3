//! The table `accounts`: what the accounts of an Item are known by, without a name or a mask.
//!
//! Two Items share an account if they share a fingerprint; after a repair the fingerprints say whether it is the same login.
//! They are HMACs, and a name cannot be read out of one: so none can be made anew when the data key changes. Each account has
//! one under every known key, those included of which only the heritage is left. What was written under a key that is
//! forgotten is met by nothing, until Plaid is asked again.

use std::collections::BTreeSet;

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::seal::Sealer;
use crate::domain::ids::{InstitutionId, ItemId};
use crate::domain::supersede::Fingerprint;

/// An account as Plaid describes it. Kept nowhere as it is.
#[derive(Clone)]
pub struct Account {
    /// As the user or the bank named it.
    pub name: String,
    /// Its last characters.
    pub mask: Option<String>,
    /// The same for each Item that shares the account.
    pub persistent_id: Option<String>,
}

/// What a fingerprint is made from, by the name that the table uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    /// Bank, name and mask: equal ones are the same account.
    NameAndMask,
    /// Bank and name, where there is no mask: enough to see a change, too little to know an account by.
    Name,
    /// Plaid's own `persistent_account_id`: equal ones are the same account, at any bank.
    Persistent,
}

impl Made {
    fn name(self) -> &'static str {
        match self {
            Self::NameAndMask => "name_mask",
            Self::Name => "name",
            Self::Persistent => "persistent",
        }
    }
}

/// The fingerprints of one answer of Plaid's.
pub(crate) struct Fingerprints(BTreeSet<(Made, Fingerprint)>);

impl Fingerprints {
    /// Those of these accounts. Without a bank, as Items made with micro-deposits are, a name says nothing.
    pub(crate) fn of(sealer: &Sealer, bank: Option<&InstitutionId>, accounts: &[Account]) -> Self {
        let mut all = BTreeSet::new();
        let mut add = |made: Made, text: &str| {
            all.extend(sealer.fingerprints(made.name(), text).map(|print| (made, Fingerprint(print))));
        };
        for account in accounts {
            // A unit separator stands in no id and no name that a person can type: no two accounts run together.
            match (bank, &account.mask) {
                (Some(bank), Some(mask)) => {
                    add(Made::NameAndMask, &format!("{bank}\u{1f}{}\u{1f}{mask}", account.name));
                }
                (Some(bank), None) => add(Made::Name, &format!("{bank}\u{1f}{}", account.name)),
                (None, _) => {}
            }
            if let Some(id) = &account.persistent_id {
                add(Made::Persistent, id);
            }
        }
        Self(all)
    }

    /// How many accounts are gone and how many are new since `before`, as far as a key that both were written under tells.
    pub(crate) fn differ(&self, before: &BTreeSet<Fingerprint>, sealer: &Sealer) -> Option<(u32, u32)> {
        let of_key = |prints: &BTreeSet<Fingerprint>, key: &[u8]| -> BTreeSet<Fingerprint> {
            prints.iter().filter(|print| print.0.starts_with(key)).cloned().collect()
        };
        let now: BTreeSet<Fingerprint> =
            self.0.iter().filter(|(made, _)| *made != Made::Persistent).map(|(_, print)| print.clone()).collect();
        let key = sealer.fingerprint_keys().find(|key| before.iter().any(|print| print.0.starts_with(key.bytes())))?;
        let (before, now) = (of_key(before, key.bytes()), of_key(&now, key.bytes()));
        let count = |of: &BTreeSet<Fingerprint>, without: &BTreeSet<Fingerprint>| {
            u32::try_from(of.difference(without).count()).unwrap_or(u32::MAX)
        };
        Some((count(&before, &now), count(&now, &before)))
    }
}

/// What the accounts of an Item are known by in other Items too.
pub(crate) fn shared(connection: &Connection, item: &ItemId) -> Result<BTreeSet<Fingerprint>, StoreError> {
    select(
        connection,
        "select fingerprint from accounts where item_id = ?1 and made_from in ('name_mask', 'persistent')",
        item,
    )
}

/// What the accounts of an Item were known by before.
pub(crate) fn described(connection: &Connection, item: &ItemId) -> Result<BTreeSet<Fingerprint>, StoreError> {
    select(
        connection,
        "select fingerprint from accounts where item_id = ?1 and made_from in ('name_mask', 'name')",
        item,
    )
}

fn select(connection: &Connection, sql: &str, item: &ItemId) -> Result<BTreeSet<Fingerprint>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let prints = statement.query_map([item.as_str()], |row| row.get(0).map(Fingerprint))?;
    Ok(prints.collect::<Result<_, _>>()?)
}

/// Writes what the accounts are known by now, in place of what was.
pub(crate) fn replace(connection: &Connection, item: &ItemId, prints: &Fingerprints) -> Result<(), StoreError> {
    forget(connection, item)?;
    let mut statement = connection
        .prepare_cached("insert into accounts (item_id, fingerprint, made_from) values (:item, :print, :made_from)")?;
    for (made, print) in &prints.0 {
        statement.execute(named_params! {
            ":item": item.as_str(), ":print": print.0.as_slice(), ":made_from": made.name(),
        })?;
    }
    Ok(())
}

/// Forgets what the accounts of an Item were known by.
pub(crate) fn forget(connection: &Connection, item: &ItemId) -> Result<(), StoreError> {
    connection.prepare_cached("delete from accounts where item_id = ?1")?.execute([item.as_str()])?;
    Ok(())
}
