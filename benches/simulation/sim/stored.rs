//! The core and the real store, on a file that is gone afterwards.

use std::sync::Arc;

use jiff::Timestamp;
use relinkd::domain::compose::Channel;
use relinkd::domain::effect::Effect;
use relinkd::domain::event::Event;
use relinkd::domain::ids::ItemId;
use relinkd::domain::item::Item;
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::plaid::webhook::{self, read};
use relinkd::store::seal::Sealer;
use relinkd::store::{self, Age, Claimed, Floors, ItemFilter, Meaning, Rule, Settlement, Store, Verdict};
use tokio::runtime::Runtime;

use super::shell::{Done, Held, NewItem, Next, Shell, Taken};

pub struct Stored {
    policy: Policy,
    pub(super) store: Store,
    pub(super) runtime: Runtime,
    waiting: usize,
    claimed: std::collections::HashMap<(String, i64), Claimed>,
    _folder: tempfile::TempDir,
}

impl Stored {
    pub fn new(policy: Policy) -> Self {
        // In memory where there is such a place: it is the rules that are tried here, not the disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder");
        let store = Store::open(&folder.path().join("world.db"), Sealer::new(&[7; 32], &[]), Timestamp::UNIX_EPOCH)
            .expect("a store");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { policy, store, runtime, waiting: 0, claimed: std::collections::HashMap::new(), _folder: folder }
    }

    pub(super) fn rule(&self, now: Timestamp) -> Rule {
        rule(&self.policy, now)
    }
}

pub(super) const READS: &str = "the store answers";

impl Shell for Stored {
    fn register(&mut self, items: &[NewItem], now: Timestamp) {
        for some in items.chunks(512) {
            let registering = some.iter().map(|NewItem { id, user, bank }| {
                let new = store::NewItem {
                    id: id.clone(),
                    user: user.clone(),
                    access_token: format!("access-sandbox-{id}"),
                    institution: bank.clone(),
                    country_codes: None,
                };
                self.store.register(new, self.rule(now))
            });
            let all = self.runtime.block_on(futures_util::future::join_all(registering));
            all.into_iter().for_each(|registered| drop(registered.expect(READS)));
        }
    }

    fn take_webhook(&mut self, taken: &Taken) {
        let age = if taken.fresh { Age::Fresh } else { Age::Late };
        let body = taken.body.as_bytes();
        let sealed = self.store.seal_webhook(taken.received_at, taken.signed_at, age, [0; 32], body);
        self.runtime.block_on(self.store.append_webhook(sealed)).expect(READS);
        self.waiting += 1;
    }

    fn ingest(&mut self, now: Timestamp) {
        while self.waiting > 0 {
            let unread = self.runtime.block_on(self.store.unread_webhooks(256)).expect(READS);
            self.waiting -= unread.len();
            let verdicts = unread.into_iter().map(|unread| {
                let webhook = read(unread.body.as_deref().expect("it opens"));
                let meaning = match webhook::meaning(&webhook, unread.signed_at) {
                    webhook::Meaning::Item { item, events } if unread.age == Age::Fresh => {
                        Meaning::Item { item, events, unless: None }
                    }
                    webhook::Meaning::Item { item, .. } => {
                        Meaning::Item { item, events: vec![Event::Suspected], unless: None }
                    }
                    webhook::Meaning::Session { .. } | webhook::Meaning::Nothing(_) => {
                        Meaning::Nothing { item: None, note: "nothing" }
                    }
                };
                Verdict {
                    id: unread.id,
                    webhook_type: webhook.webhook_type,
                    webhook_code: webhook.webhook_code,
                    meaning,
                }
            });
            let verdicts = verdicts.collect();
            let rule = Arc::new(self.rule(now));
            drop(self.runtime.block_on(self.store.settle_webhooks(verdicts, rule)).expect(READS));
        }
    }

    fn tick(&mut self, now: Timestamp) {
        if self.next().ticks.is_some_and(|at| at <= now) {
            while self.runtime.block_on(self.store.tick(256, self.rule(now))).expect(READS).0 == 256 {}
        }
    }

    fn plan_sweep(&mut self, floors: Floors, now: Timestamp, waiting_max: u32) -> u32 {
        self.runtime.block_on(self.store.plan_sweep(floors, now, waiting_max)).expect(READS)
    }

    fn claim(&mut self, now: Timestamp, limit: u32) -> Vec<(ItemId, Effect, Held)> {
        if self.next().effects.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let claimed = self.runtime.block_on(self.store.claim_effects(now, limit)).expect(READS);
        claimed
            .into_iter()
            .map(|claimed| {
                let held = Held { key: claimed.key.clone(), lease: claimed.lease, attempts: claimed.attempts };
                let taken = (claimed.item.clone(), claimed.effect.clone(), held);
                self.claimed.insert((claimed.key.clone(), claimed.lease), claimed);
                taken
            })
            .collect()
    }

    fn settle(&mut self, _: &ItemId, _: &Effect, held: &Held, done: Done, now: Timestamp) {
        let claimed = self.claimed.remove(&(held.key.clone(), held.lease)).expect("it was claimed");
        let settlement = match done {
            Done::Events(events) => Settlement::Done(events),
            Done::PutOff(until) => Settlement::PutOff { until },
            Done::Retry(at) => Settlement::Retry { at, why: "the weather".to_owned() },
        };
        let rule = self.rule(now);
        drop(self.runtime.block_on(self.store.settle_effect(claimed, settlement, rule)).expect(READS));
    }

    fn step(&mut self, item: &ItemId, event: Event, now: Timestamp) {
        let step = self.store.step(item.clone(), vec![event], "world".to_owned(), self.rule(now));
        drop(self.runtime.block_on(step).expect(READS));
    }

    fn next(&mut self) -> Next {
        let agenda = self.runtime.block_on(self.store.agenda(Channel::Mail)).expect(READS);
        Next {
            ticks: agenda.items,
            effects: agenda.effects,
            suspects_from: agenda.suspects_from,
            others_from: agenda.others_from,
        }
    }

    fn items(&mut self) -> Vec<Item> {
        let mut all = Vec::new();
        for state in relinkd::domain::item::State::ALL {
            let mut after = None;
            loop {
                let filter = ItemFilter { state: Some(state), ..ItemFilter::default() };
                let page = self.runtime.block_on(self.store.items(filter, after, 1000)).expect(READS);
                let Some(last) = page.last() else { break };
                after = Some(last.id.to_string());
                all.extend(page);
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}
