//! What a step with an Item leads to: the Item as it is then, what is to be done, and which episodes ended.

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::item::{Item, Kind};

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// The Item as it is now.
    pub item: Item,
    /// What is to be done.
    pub effects: Vec<Effect>,
    /// The episodes that ended.
    pub closed: Vec<Closed>,
}

/// An episode that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Of which condition.
    pub kind: Kind,
    /// Its number within the Item.
    pub number: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Update mode was said to have worked, and Plaid confirmed it.
    Repaired,
    /// It works, and nobody said why: repaired elsewhere, or healed by itself.
    Healed,
    /// Nobody acted on it in time, and it no longer matters.
    Lapsed,
    /// Something more urgent took its place.
    Overtaken,
    /// The Item is gone.
    Removed,
}

/// Every outcome with the name that the outside uses.
pub const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Repaired, "repaired"),
    (Outcome::Healed, "healed"),
    (Outcome::Lapsed, "lapsed"),
    (Outcome::Overtaken, "overtaken"),
    (Outcome::Removed, "removed"),
];
