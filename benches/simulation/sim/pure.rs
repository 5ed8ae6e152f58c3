//! The core and some maps: the store's rules in memory, for many worlds in little time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use relinkd::domain::compose::speaks_at;
use relinkd::domain::effect::{Effect, Notice};
use relinkd::domain::event::Event;
use relinkd::domain::ids::ItemId;
use relinkd::domain::item::Item;
use relinkd::domain::policy::Policy;
use relinkd::domain::transition::transition;
use relinkd::plaid::webhook::{Meaning, meaning, read};
use relinkd::store::Floors;

use super::office::Office;
use super::shell::{Done, Held, NewItem, Next, Shell, Taken};

struct Slot {
    item: Item,
    due_at: Option<Timestamp>,
    checked_at: Timestamp,
}

struct Row {
    item: ItemId,
    effect: Effect,
    due_at: Timestamp,
    lease: Option<i64>,
    attempts: u32,
}

pub struct Pure {
    pub(super) policy: Policy,
    /// Users and their letters.
    pub(super) office: Office,
    slots: HashMap<ItemId, Slot>,
    ticks: BTreeSet<(Timestamp, ItemId)>,
    /// By turn, for the others and for the suspects.
    turns: [BTreeSet<(Timestamp, ItemId)>; 2],
    outbox: HashMap<String, Row>,
    free: BTreeSet<(Timestamp, String)>,
    inbox: Vec<Taken>,
    last_lease: i64,
}

impl Pure {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            office: Office::default(),
            slots: HashMap::new(),
            ticks: BTreeSet::new(),
            turns: [BTreeSet::new(), BTreeSet::new()],
            outbox: HashMap::new(),
            free: BTreeSet::new(),
            inbox: Vec::new(),
            last_lease: 0,
        }
    }

    fn place(&mut self, id: &ItemId, slot: Slot) {
        if let Some(old) = self.slots.remove(id) {
            self.turns[usize::from(old.item.is_suspect())].remove(&(old.checked_at, id.clone()));
            if let Some(due) = old.due_at {
                self.ticks.remove(&(due, id.clone()));
            }
        }
        if slot.item.removed.is_none() {
            self.turns[usize::from(slot.item.is_suspect())].insert((slot.checked_at, id.clone()));
        }
        if let Some(due) = slot.due_at {
            self.ticks.insert((due, id.clone()));
        }
        self.slots.insert(id.clone(), slot);
    }

    fn put(&mut self, id: &ItemId, effect: &Effect) {
        let (Some(key), Some(not_before)) = (effect.key(id), effect.not_before()) else { return };
        match self.outbox.get_mut(&key) {
            None => {
                let (item, effect) = (id.clone(), effect.clone());
                self.outbox.insert(key.clone(), Row { item, effect, due_at: not_before, lease: None, attempts: 0 });
            }
            Some(row) => {
                self.free.remove(&(row.due_at, key.clone()));
                row.due_at = if row.lease.is_none() { row.due_at.min(not_before) } else { not_before };
                row.lease = None;
            }
        }
        let due_at = self.outbox[&key].due_at;
        self.free.insert((due_at, key));
    }

    /// Takes a step. Answers what the operator and the application are told.
    pub(super) fn take(&mut self, id: &ItemId, event: &Event, now: Timestamp) -> Vec<Notice> {
        let Some(slot) = self.slots.get(id) else { return Vec::new() };
        let step = transition(&slot.item, event, now, &self.policy);
        let checked_at = slot.checked_at.max(step.item.observed_at.unwrap_or(Timestamp::UNIX_EPOCH));
        // What changes nothing, or only says again what is known, moves no appointment; but a tick's moment is behind us.
        let says_again = Item { observed_at: slot.item.observed_at, ..step.item.clone() } == slot.item;
        let same = step.item == slot.item || says_again && step.effects.is_empty();
        let unchanged = same && step.closed.is_empty() && !matches!(event, Event::Tick);
        let due_at = if unchanged { slot.due_at } else { step.item.due_at(now) };
        if !unchanged {
            let speaks = speaks_at(&step.item, now, &self.policy);
            self.office.stepped(&slot.item, &step.item, speaks, now);
        }
        self.place(id, Slot { item: step.item, due_at, checked_at });
        let mut told = Vec::new();
        for effect in step.effects {
            self.put(id, &effect);
            if let Effect::Tell(notice) = effect {
                told.push(notice);
            }
        }
        told
    }

    pub(super) fn item(&self, id: &ItemId) -> Option<&Item> {
        self.slots.get(id).map(|slot| &slot.item)
    }
}

impl Shell for Pure {
    fn register(&mut self, items: &[NewItem], now: Timestamp) {
        for NewItem { id, user, bank } in items {
            if !self.slots.contains_key(id) {
                let item = Item::new(id.clone(), user.clone(), None, now);
                self.place(id, Slot { item, due_at: None, checked_at: Timestamp::UNIX_EPOCH });
                self.office.own(user, id, bank.as_ref());
            }
            self.step(id, Event::Registered { user: user.clone(), institution: bank.clone() }, now);
        }
    }

    fn take_webhook(&mut self, webhook: &Taken) {
        self.inbox.push(webhook.clone());
    }

    fn ingest(&mut self, now: Timestamp) {
        for taken in std::mem::take(&mut self.inbox) {
            let webhook = read(taken.body.as_bytes());
            match meaning(&webhook, taken.signed_at) {
                Meaning::Item { item, events } if taken.fresh => {
                    events.into_iter().for_each(|event| self.step(&item, event, now));
                }
                Meaning::Item { item, .. } => self.step(&item, Event::Suspected, now),
                Meaning::Session { .. } | Meaning::Nothing(_) => {}
            }
        }
    }

    fn tick(&mut self, now: Timestamp) {
        while let Some((due, id)) = self.ticks.first().filter(|(due, _)| *due <= now).cloned() {
            self.ticks.remove(&(due, id.clone()));
            self.step(&id, Event::Tick, now);
        }
    }

    fn plan_sweep(&mut self, floors: Floors, now: Timestamp, waiting_max: u32) -> u32 {
        let waiting = self.free.iter().take(waiting_max as usize).take_while(|(due, _)| *due <= now).count();
        let room = waiting_max as usize - waiting;
        let due = |suspect: usize, floor: Timestamp, most: usize| -> Vec<ItemId> {
            self.turns[suspect].iter().take(most).take_while(|(at, _)| *at < floor).map(|(_, id)| id.clone()).collect()
        };
        let others = due(0, floors.others, room);
        let for_suspects = (room - room / 4).max(room - others.len());
        let suspects = due(1, floors.suspects, for_suspects);
        let taken: Vec<ItemId> = suspects.into_iter().chain(others).take(room).collect();
        for id in &taken {
            self.put(id, &Effect::Observe { not_before: now });
            let slot = &self.slots[id];
            let slot = Slot { item: slot.item.clone(), due_at: slot.due_at, checked_at: now };
            self.place(id, slot);
        }
        u32::try_from(taken.len()).expect("few")
    }

    fn claim(&mut self, now: Timestamp, limit: u32) -> Vec<(ItemId, Effect, Held)> {
        self.last_lease += 1;
        let due: Vec<_> = self.free.iter().take(limit as usize).take_while(|(due, _)| *due <= now).cloned().collect();
        due.into_iter()
            .map(|(due, key)| {
                self.free.remove(&(due, key.clone()));
                let row = self.outbox.get_mut(&key).expect("what is free is there");
                row.lease = Some(self.last_lease);
                let held = Held { key, lease: self.last_lease, attempts: row.attempts };
                (row.item.clone(), row.effect.clone(), held)
            })
            .collect()
    }

    fn settle(&mut self, item: &ItemId, _: &Effect, held: &Held, done: Done, now: Timestamp) {
        let is_ours = self.outbox.get(&held.key).is_some_and(|row| row.lease == Some(held.lease));
        let (at, attempt) = match done {
            Done::Events(events) => {
                if is_ours {
                    self.outbox.remove(&held.key);
                }
                events.into_iter().for_each(|event| self.step(item, event, now));
                return;
            }
            Done::PutOff(at) => (at, 0),
            Done::Retry(at) => (at, 1),
        };
        if let Some(row) = self.outbox.get_mut(&held.key).filter(|_| is_ours) {
            (row.lease, row.due_at, row.attempts) = (None, at, row.attempts + attempt);
            self.free.insert((at, held.key.clone()));
        }
    }

    fn step(&mut self, id: &ItemId, event: Event, now: Timestamp) {
        self.take(id, &event, now);
    }

    fn next(&mut self) -> Next {
        Next {
            ticks: self.ticks.first().map(|(at, _)| *at),
            effects: self.free.first().map(|(at, _)| *at),
            suspects_from: self.turns[1].first().map(|(at, _)| *at),
            others_from: self.turns[0].first().map(|(at, _)| *at),
        }
    }

    fn items(&mut self) -> Vec<Item> {
        let sorted: BTreeMap<&ItemId, &Item> = self.slots.iter().map(|(id, slot)| (id, &slot.item)).collect();
        sorted.into_values().cloned().collect()
    }
}
