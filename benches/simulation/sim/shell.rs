//! What a world needs of relinkd: the protocol of the engine's loop, verb by verb.

use jiff::Timestamp;
use relinkd::domain::effect::Effect;
use relinkd::domain::event::Event;
use relinkd::domain::ids::{Institution, ItemId, UserId};
use relinkd::domain::item::Item;
use relinkd::store::Floors;

/// An Item that is registered.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub id: ItemId,
    pub user: UserId,
    pub bank: Option<Institution>,
}

/// A webhook that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub body: String,
    pub signed_at: Timestamp,
    pub received_at: Timestamp,
    /// Whether the signature was made just now.
    pub fresh: bool,
}

/// An effect that was claimed. The lease tells it from a later claim of the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    pub key: String,
    pub lease: i64,
    pub attempts: u32,
}

/// What became of a claimed effect.
#[derive(Clone, Debug)]
pub enum Done {
    Events(Vec<Event>),
    PutOff(Timestamp),
    Retry(Timestamp),
}

/// When what is due next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Next {
    pub ticks: Option<Timestamp>,
    pub effects: Option<Timestamp>,
    /// When the suspect Item was checked that waits longest.
    pub suspects_from: Option<Timestamp>,
    pub others_from: Option<Timestamp>,
}

/// One of the two ways to live through a world.
pub trait Shell {
    fn register(&mut self, items: &[NewItem], now: Timestamp);
    fn take_webhook(&mut self, webhook: &Taken);
    /// Reads what waits in the inbox.
    fn ingest(&mut self, now: Timestamp);
    fn tick(&mut self, now: Timestamp);
    fn plan_sweep(&mut self, floors: Floors, now: Timestamp, waiting_max: u32) -> u32;
    fn claim(&mut self, now: Timestamp, limit: u32) -> Vec<(ItemId, Effect, Held)>;
    fn settle(&mut self, item: &ItemId, effect: &Effect, held: &Held, done: Done, now: Timestamp);
    fn step(&mut self, item: &ItemId, event: Event, now: Timestamp);
    fn next(&mut self) -> Next;
    /// All Items, in the order of their ids.
    fn items(&mut self) -> Vec<Item>;
}
