//! The rule about duplicates: which of a user's Items has a newer one in its place.
//!
//! A user who finds "link a bank" instead of "repair" makes a second Item of the same login. At some banks the second kills the
//! first, and then a repair of the first would kill the second: the older is said to be *superseded*, nobody is written to
//! about it, and the operator is told to remove it. The rule is narrow, because its error would be silence: it wants an older
//! login that is broken now, a newer one that works, and a bank that is known for it or the same accounts in both.
//!
//! It reads only what is there now, so it undoes itself: when the newer Item is removed, breaks or goes to another user, the
//! older one counts again.

use std::collections::BTreeSet;

use super::event::Event;
use super::ids::{InstitutionId, ItemId};
use super::item::{Item, Token};

/// What an account is known by, without its name: equal for equal accounts, and of no meaning otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub Vec<u8>);

/// One of a user's Items, and what its accounts are known by, as far as Plaid was asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// The Item.
    pub item: Item,
    /// Its accounts.
    pub accounts: BTreeSet<Fingerprint>,
}

/// What has to happen to a user's Items so that each is superseded by what supersedes it now, and by nothing else.
///
/// `banks` are those at which a second Item of the same login kills the first.
#[must_use]
pub fn settle(siblings: &[Sibling], banks: &[InstitutionId]) -> Vec<(ItemId, Event)> {
    let change = |older: &Sibling| {
        let by = superseder(older, siblings, banks);
        if by == older.item.superseded_by.as_ref() {
            return None;
        }
        let event = by.map_or(Event::Unsuperseded, |by| Event::Superseded { by: by.clone() });
        Some((older.item.id.clone(), event))
    };
    siblings.iter().filter_map(change).collect()
}

/// Whether a step changed something that the rule reads. The accounts are no part of an Item, and change by themselves.
#[must_use]
pub fn is_touched(before: &Item, after: &Item) -> bool {
    fn bank(item: &Item) -> Option<&InstitutionId> {
        item.institution.as_ref().map(|bank| &bank.id)
    }
    before.user != after.user
        || bank(before) != bank(after)
        || before.created_at != after.created_at
        || is_lost(before) != is_lost(after)
        || works(before) != works(after)
        || before.superseded_by != after.superseded_by
}

/// The newest of the Items that supersede this one.
fn superseder<'a>(older: &Sibling, siblings: &'a [Sibling], banks: &[InstitutionId]) -> Option<&'a ItemId> {
    if !is_lost(&older.item) {
        return None;
    }
    let in_its_place = |newer: &&Sibling| {
        newer.item.user == older.item.user
            && newer.item.created_at > older.item.created_at
            && works(&newer.item)
            && (is_known_for_it(&newer.item, &older.item, banks) || !newer.accounts.is_disjoint(&older.accounts))
    };
    let newest = siblings.iter().filter(in_its_place).max_by_key(|newer| (newer.item.created_at, &newer.item.id));
    newest.map(|newer| &newer.item.id)
}

/// The user would be asked to repair it. Who withdrew permission decided so, and is not asked.
fn is_lost(item: &Item) -> bool {
    item.removed.is_none() && item.revoked.is_none() && item.broken().is_some()
}

/// A repair of the older one would take something away here. What is only about to end still works.
fn works(item: &Item) -> bool {
    item.token == Token::Proven && item.removed.is_none() && item.revoked.is_none() && item.broken().is_none()
}

fn is_known_for_it(newer: &Item, older: &Item, banks: &[InstitutionId]) -> bool {
    let (Some(newer), Some(older)) = (&newer.institution, &older.institution) else { return false };
    newer.id == older.id && banks.contains(&newer.id)
}
