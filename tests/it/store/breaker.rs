//! The outage breaker: letters about a bank at which several logins break at once wait, and never longer than six hours an outage.

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::event::{Event, Health};
use relinkd::domain::ids::{Institution, InstitutionId, UserId};
use relinkd::domain::item::RemovalReason;
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::{NewItem, Store};

use super::inbox::broken;
use super::{Place, answered, at, item_id};

const HOUR: i64 = 3600;

/// One more than a bank of two hundred Items and more may lose within ten minutes without being held.
const MANY: usize = 21;

fn bank(id: &str) -> Institution {
    Institution { id: InstitutionId::parse(id).expect("an id"), name: None }
}

async fn registered(place: &Place, count: usize, is_proven: bool) -> Store {
    let store = place.open(at(0));
    for number in 0..count {
        let new = NewItem {
            id: item_id(&format!("item-{number}")),
            user: UserId::parse(format!("user-{number}")).expect("an id"),
            access_token: format!("access-sandbox-{number}"),
            institution: Some(bank("ins_1")),
            country_codes: None,
        };
        store.register(new, rule(&Policy::default(), at(0))).await.expect("it is registered");
        if is_proven {
            let item = format!("item-{number}");
            step(&store, number, 0, vec![answered(&item, 0, Health::Good)]).await;
        }
    }
    store
}

/// A store with this many healthy Items at a bank.
async fn with_items(place: &Place, count: usize) -> Store {
    registered(place, count, true).await
}

/// One login breaks, and is repaired at once.
async fn breaks(store: &Store, number: usize, second: i64) {
    step(store, number, second, vec![broken(), Event::LoginRepaired]).await;
}

async fn step(store: &Store, number: usize, second: i64, events: Vec<Event>) {
    let rule = rule(&Policy::default(), at(second));
    store.step(item_id(&format!("item-{number}")), events, "test".to_owned(), rule).await.expect("a step");
}

/// This many logins break, one a second.
async fn burst(store: &Store, count: usize, second: i64) {
    for number in 0..count {
        breaks(store, number, second + i64::try_from(number).expect("few")).await;
    }
}

async fn held_until(store: &Store, second: i64) -> Option<Timestamp> {
    let held = store.held_banks(at(second)).await.expect("it reads");
    held.into_iter().map(|(_, until)| until).max()
}

/// The end of a hold is counted in whole minutes.
fn is_about(until: Option<Timestamp>, second: i64) -> bool {
    until.is_some_and(|until| until.duration_since(at(second)).abs() <= SignedDuration::from_mins(2))
}

#[tokio::test]
async fn a_burst_holds_for_six_hours_and_no_longer() {
    let place = Place::new();
    let store = with_items(&place, 10 * MANY).await;
    burst(&store, MANY - 1, 0).await;
    assert_eq!(held_until(&store, 60).await, None, "twenty are no burst");
    burst(&store, MANY, 2 * HOUR).await;
    assert!(is_about(held_until(&store, 2 * HOUR + 60).await, 8 * HOUR));
    assert!(held_until(&store, 8 * HOUR - 180).await.is_some());
    assert_eq!(held_until(&store, 8 * HOUR + 180).await, None);
}

#[tokio::test]
async fn bursts_that_go_on_do_not_hold_for_ever() {
    let place = Place::new();
    let store = with_items(&place, MANY).await;
    for hour in 0..30 {
        burst(&store, MANY, hour * HOUR).await;
        let held = held_until(&store, hour * HOUR + 180).await;
        if hour < 6 {
            assert!(is_about(held, 6 * HOUR), "hour {hour}: {held:?}");
        } else {
            assert_eq!(held, None, "hour {hour}: the outage holds nothing any more");
        }
    }
    // Six hours of calm, and it is another outage.
    burst(&store, MANY, 36 * HOUR).await;
    assert!(is_about(held_until(&store, 36 * HOUR + 60).await, 42 * HOUR));
}

#[tokio::test]
async fn two_of_a_few_are_an_outage_and_one_is_not() {
    let place = Place::new();
    let store = with_items(&place, 20).await;
    breaks(&store, 0, 0).await;
    assert_eq!(held_until(&store, 60).await, None, "one login is one login");
    breaks(&store, 0, 5 * 60).await;
    assert_eq!(held_until(&store, 6 * 60).await, None, "and the same login is no other");
    breaks(&store, 1, 9 * 60).await;
    assert!(is_about(held_until(&store, 10 * 60).await, 9 * 60 + 6 * HOUR), "two within ten minutes");
}

#[tokio::test]
async fn what_was_broken_before_it_was_known_is_no_outage() {
    let place = Place::new();
    let store = registered(&place, 20, false).await;
    burst(&store, 20, 0).await;
    assert_eq!(held_until(&store, 60).await, None, "the first answers");
}

#[tokio::test]
async fn what_was_removed_does_not_count() {
    let place = Place::new();
    let store = with_items(&place, 40).await;
    burst(&store, 2, 0).await;
    assert_eq!(held_until(&store, 60).await, None, "two of forty");
    for number in 20..40 {
        step(&store, number, 60, vec![Event::Removed { why: RemovalReason::Application }]).await;
    }
    assert!(held_until(&store, 60).await.is_some(), "two of twenty");
}

#[tokio::test]
async fn a_few_of_very_many_are_no_outage() {
    let place = Place::new();
    let store = with_items(&place, MANY * 20).await;
    burst(&store, MANY, 0).await;
    assert_eq!(held_until(&store, 60).await, None, "one in twenty, not more");
    burst(&store, MANY + 1, 600).await;
    assert!(is_about(held_until(&store, 660).await, 600 + 6 * HOUR));
}
