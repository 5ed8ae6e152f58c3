//! Fingerprints of accounts: the same account is met again in another Item and after a new data key; a name is nowhere.

use relinkd::domain::effect::Notice;
use relinkd::domain::event::{Event, Health};
use relinkd::domain::ids::{Institution, InstitutionId, UserId};
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::seal::Sealer;
use relinkd::store::{Account, Asked, NewItem, Settlement, Store};

use super::inbox::broken;
use super::{KEY, Place, answered, at, item_id};

const NEW_KEY: [u8; 32] = *b"newer--data-key-0123456789abcdef";

fn bank(id: &str) -> InstitutionId {
    InstitutionId::parse(id).expect("an id")
}

fn account(name: &str, mask: Option<&str>) -> Account {
    Account { name: name.to_owned(), mask: mask.map(str::to_owned), persistent_id: None }
}

/// A proven, healthy Item of the one user.
async fn healthy(store: &Store, item: &str, at_bank: &str, second: i64) {
    let new = NewItem {
        id: item_id(item),
        user: UserId::parse("user-1").expect("an id"),
        access_token: format!("access-sandbox-{item}"),
        institution: Some(Institution { id: bank(at_bank), name: None }),
        country_codes: None,
    };
    store.register(new, rule(&Policy::default(), at(second))).await.expect("it is registered");
    says(store, item, second + 1, Health::Good).await;
    // What its registration and the first answer ask for is another test's.
    for claimed in store.claim_effects(at(second + 1), 10).await.expect("it claims") {
        let rule = rule(&Policy::default(), at(second + 1));
        store.settle_effect(claimed, Settlement::Done(Vec::new()), rule).await.expect("settled");
    }
}

async fn says(store: &Store, item: &str, second: i64, health: Health) {
    step(store, item, second, answered(item, second, health)).await;
}

async fn step(store: &Store, item: &str, second: i64, event: Event) {
    let rule = rule(&Policy::default(), at(second));
    store.step(item_id(item), vec![event], "test".to_owned(), rule).await.expect("a step");
}

/// Keeps accounts; answers what is told of them.
async fn keep(
    store: &Store,
    item: &str,
    at_bank: Option<&str>,
    second: i64,
    asked: Asked,
    accounts: &[Account],
) -> Vec<Notice> {
    let rule = rule(&Policy::default(), at(second));
    let (bank, accounts) = (at_bank.map(bank), accounts.to_vec());
    let told = store.keep_accounts(item_id(item), bank, accounts, asked, "test".to_owned(), rule).await;
    let about_accounts = |notice: &Notice| matches!(notice, Notice::DifferentAccounts { .. });
    told.expect("kept").into_iter().map(|told| told.notice).filter(about_accounts).collect()
}

async fn superseded_by(store: &Store, item: &str) -> Option<String> {
    let record = store.item(item_id(item)).await.expect("it reads").expect("it is there");
    record.item.superseded_by.map(|by| by.to_string())
}

#[tokio::test]
async fn what_a_repair_changed_is_counted_once_and_a_probe_before_it_spoils_nothing() {
    let place = Place::new();
    let store = place.open(at(0));
    healthy(&store, "item-1", "ins_1", 0).await;
    let (a, b, c) = (account("A", Some("1")), account("B", None), account("C", Some("3")));
    let first = [a.clone(), b.clone()];
    assert_eq!(keep(&store, "item-1", Some("ins_1"), 10, Asked::Probe, &first).await, []);
    step(&store, "item-1", 20, broken()).await;
    let second = [a.clone(), c.clone()];
    assert_eq!(keep(&store, "item-1", Some("ins_1"), 30, Asked::Probe, &second).await, [], "it came too early");
    step(&store, "item-1", 40, Event::UpdateModeFinished).await;
    says(&store, "item-1", 41, Health::Good).await;
    assert_eq!(keep(&store, "item-1", Some("ins_1"), 42, Asked::Probe, &second).await, [], "a comparison waits");
    let told = keep(&store, "item-1", Some("ins_1"), 50, Asked::AfterRepair, &second).await;
    assert_eq!(told, [Notice::DifferentAccounts { gone: 1, new: 1 }]);
    assert_eq!(keep(&store, "item-1", Some("ins_1"), 60, Asked::AfterRepair, &second).await, []);
    let moved = keep(&store, "item-1", Some("ins_2"), 70, Asked::AfterRepair, &second).await;
    assert_eq!(moved, [Notice::DifferentAccounts { gone: 2, new: 2 }], "at another bank they are others");
}

#[tokio::test]
async fn items_share_an_account_by_name_and_mask_or_by_plaids_own_id() {
    let named = |id: &str| Account { persistent_id: Some(id.to_owned()), ..account("Any", None) };
    let cases = [
        ("ins_1", account("A", Some("1")), "ins_1", account("A", Some("1")), true),
        ("ins_1", account("A", Some("1")), "ins_1", account("A", Some("2")), false),
        ("ins_1", account("A", Some("1")), "ins_2", account("A", Some("1")), false),
        ("ins_1", account("A", None), "ins_1", account("A", None), false),
        ("ins_1", named("p-1"), "ins_2", named("p-1"), true),
        ("ins_1", named("p-1"), "ins_1", named("p-2"), false),
        ("ins_1", account("p-1", Some("1")), "ins_1", named("p-1"), false),
    ];
    for (number, (old_bank, old, new_bank, new, shared)) in cases.into_iter().enumerate() {
        let place = Place::new();
        let store = place.open(at(0));
        healthy(&store, "item-old", old_bank, 0).await;
        healthy(&store, "item-new", new_bank, 10).await;
        keep(&store, "item-old", Some(old_bank), 20, Asked::Probe, &[old]).await;
        keep(&store, "item-new", Some(new_bank), 21, Asked::Probe, &[new]).await;
        step(&store, "item-old", 30, broken()).await;
        assert_eq!(superseded_by(&store, "item-old").await.is_some(), shared, "case {number}");
        step(&store, "item-new", 40, broken()).await;
        assert_eq!(superseded_by(&store, "item-old").await, None, "case {number}");
    }
}

#[tokio::test]
async fn accounts_that_are_learnt_later_count_from_then_on() {
    let place = Place::new();
    let store = place.open(at(0));
    let a = [account("A", Some("1"))];
    healthy(&store, "item-old", "ins_1", 0).await;
    keep(&store, "item-old", Some("ins_1"), 5, Asked::Probe, &a).await;
    healthy(&store, "item-new", "ins_1", 10).await;
    step(&store, "item-old", 20, broken()).await;
    assert_eq!(superseded_by(&store, "item-old").await, None, "nothing is known of the new one's accounts");
    keep(&store, "item-new", Some("ins_1"), 30, Asked::Probe, &a).await;
    assert_eq!(superseded_by(&store, "item-old").await.as_deref(), Some("item-new"));
}

#[tokio::test]
async fn a_new_data_key_makes_no_account_another_one() {
    let place = Place::new();
    let a = [account("A", Some("1"))];
    let store = place.open(at(0));
    healthy(&store, "item-old", "ins_1", 0).await;
    healthy(&store, "item-new", "ins_1", 10).await;
    keep(&store, "item-old", Some("ins_1"), 20, Asked::Probe, &a).await;
    keep(&store, "item-new", Some("ins_1"), 21, Asked::Probe, &a).await;
    step(&store, "item-old", 30, broken()).await;
    drop(store);
    let open = |key, old: &[[u8; 32]]| Store::open(&place.path(), Sealer::new(key, old), at(100)).expect("it opens");
    let store = open(&NEW_KEY, &[KEY]);
    assert_eq!(keep(&store, "item-new", Some("ins_1"), 101, Asked::AfterRepair, &a).await, [], "the same under both");
    assert_eq!(
        superseded_by(&store, "item-old").await.as_deref(),
        Some("item-new"),
        "the old one cannot be asked again"
    );
    let other = [account("B", Some("2"))];
    let told = keep(&store, "item-new", Some("ins_1"), 102, Asked::AfterRepair, &other).await;
    assert_eq!(told, [Notice::DifferentAccounts { gone: 1, new: 1 }], "counted once, not once a key");
}
