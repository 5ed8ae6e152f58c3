//! The outbox: one row for one wish, the earlier moment, leases, and doing again what was wished again.

use relinkd::domain::compose::Channel;
use relinkd::domain::effect::Effect;
use relinkd::domain::event::{Event, Health};
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::{Claimed, Settlement, Store};

use super::inbox::broken;
use super::{Place, answered, at, item_id, register};

async fn step(store: &Store, second: i64, event: Event) {
    let rule = rule(&Policy::default(), at(second));
    store.step(item_id("item-1"), vec![event], "test".to_owned(), rule).await.expect("a step").expect("registered");
}

async fn claim(store: &Store, second: i64) -> Vec<Claimed> {
    store.claim_effects(at(second), 10).await.expect("it claims")
}

async fn done(store: &Store, claimed: Claimed, second: i64) {
    let settlement = Settlement::Done(vec![good(second)]);
    store.settle_effect(claimed, settlement, rule(&Policy::default(), at(second))).await.expect("settled");
}

fn good(asked: i64) -> Event {
    answered("item-1", asked, Health::Good)
}

/// An Item that was observed, and nothing to do.
async fn calm(place: &Place) -> Store {
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    let first = claim(&store, 0).await.pop().expect("the registration wants to know");
    assert_eq!(first.effect, Effect::Observe { not_before: at(0) });
    done(&store, first, 0).await;
    let accounts = claim(&store, 0).await.pop().expect("what works is to be compared with later");
    assert_eq!(accounts.effect, Effect::AskAccounts { not_before: at(0) });
    store
        .settle_effect(accounts, Settlement::Done(Vec::new()), rule(&Policy::default(), at(0)))
        .await
        .expect("settled");
    assert_eq!(claim(&store, 1_000_000).await, []);
    store
}

#[tokio::test]
async fn two_wishes_are_one_row_and_the_earlier_moment_wins() {
    let place = Place::new();
    let store = calm(&place).await;
    // Not before a minute after the last answer.
    step(&store, 10, Event::Suspected).await;
    assert_eq!(store.agenda(Channel::Mail).await.expect("it reads").next(), Some(at(60)));
    step(&store, 11, Event::Suspected).await;
    assert_eq!(claim(&store, 59).await, []);
    step(&store, 20, broken()).await;
    step(&store, 30, Event::Suspected).await;
    let claimed = claim(&store, 20).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.key.as_str()).collect::<Vec<_>>(), ["item-1/observe"]);
    assert_eq!(claim(&store, 1_000_000).await, [], "it is leased");
    done(&store, claimed[0].clone(), 31).await;
    let left = claim(&store, 1_000_000).await;
    let keys: Vec<&str> = left.iter().map(|claimed| claimed.key.as_str()).collect();
    assert_eq!(keys, ["item-1/accounts"], "it is done, and what works again is compared with before");
}

#[tokio::test]
async fn what_is_wished_again_while_it_is_done_is_done_again() {
    let place = Place::new();
    let store = calm(&place).await;
    step(&store, 100, broken()).await;
    let first = claim(&store, 100).await.pop().expect("a claim");
    step(&store, 101, Event::LoginRepaired).await;
    done(&store, first.clone(), 100).await;
    let second = claim(&store, 101).await.pop().expect("a second claim");
    assert!(second.lease != first.lease);
    let late = Settlement::Retry { at: at(500), why: "too late to say".to_owned() };
    store.settle_effect(first, late, rule(&Policy::default(), at(102))).await.expect("settled");
    assert_eq!(claim(&store, 1_000).await, [], "the void lease gave nothing back");
    done(&store, second, 102).await;
    assert_eq!(claim(&store, 1_000_000).await, []);
}

#[tokio::test]
async fn a_failed_effect_comes_back_when_it_said_and_counts_its_attempts() {
    let place = Place::new();
    let store = calm(&place).await;
    step(&store, 100, broken()).await;
    for attempt in 0..3 {
        let due = 100 + i64::from(attempt) * 10;
        assert_eq!(claim(&store, due - 1).await, []);
        let claimed = claim(&store, due).await.pop().expect("a claim");
        assert_eq!(claimed.attempts, attempt);
        let settlement = Settlement::Retry { at: at(due + 10), why: "Plaid is away".to_owned() };
        store.settle_effect(claimed, settlement, rule(&Policy::default(), at(due))).await.expect("settled");
    }
    assert_eq!(store.agenda(Channel::Mail).await.expect("it reads").next(), Some(at(130)));
}

#[tokio::test]
async fn leases_end_with_the_process() {
    let place = Place::new();
    let store = calm(&place).await;
    step(&store, 100, broken()).await;
    let before = claim(&store, 100).await;
    assert_eq!(before.len(), 1);
    store.close().await;
    drop(store);
    let store = place.open(at(200));
    let after = claim(&store, 200).await;
    assert_eq!((after.len(), &after[0].key, &after[0].effect), (1, &before[0].key, &before[0].effect));
}
