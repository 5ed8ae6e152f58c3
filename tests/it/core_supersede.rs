//! The rule about duplicates: every pair of Items of the axes below, and thousands of larger families.
//!
//! - **narrow**: only a broken Item is superseded, and only by a newer one of the same user that works, at a bank of the list
//!   or with an account in common. A healthy Item never is.
//! - **no circle**: what supersedes is not superseded; so of two, never both.
//! - **settled is settled**: the rule has nothing to add to its own result, in whatever order the Items come.
//! - **only that**: the steps change `superseded_by` and nothing else.
//! - **undone wholly**: without the newer Item all is as if it had never been.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use relinkd::domain::compose::{Composition, is_addressable};
use relinkd::domain::effect::{Effect, Notice};
use relinkd::domain::event::Event;
use relinkd::domain::ids::{Institution, InstitutionId, ItemId};
use relinkd::domain::item::{Episode, Impaired, Item, Login, RemovalReason, Removed, Revocation, Token};
use relinkd::domain::supersede::{Fingerprint, Sibling, is_touched, settle};

use super::core_support::{
    after, any_hour, broken, composed, days, hours, item_id, proven, start, step, user, user_id,
};

/// What an Item may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Login,
    Consent,
    /// The user withdrew permission, and the login is broken too.
    LoginAndConsent,
    /// The login was repaired.
    Repaired,
    /// The bank is down, and the login is broken too.
    LoginAndBank,
    Removed,
}

const NEEDS: [Need; 7] = [
    Need::Nothing,
    Need::Login,
    Need::Consent,
    Need::LoginAndConsent,
    Need::Repaired,
    Need::LoginAndBank,
    Need::Removed,
];

/// One Item in few words.
#[derive(Clone, Debug)]
struct Plan {
    need: Need,
    token: Token,
    /// Of the list, another of the list, not of the list, unknown.
    bank: Option<u8>,
    /// Days before the start at which it was made.
    age: i64,
    accounts: BTreeSet<u8>,
    user: u8,
    /// By which Item it is superseded already, be that right or not.
    superseded_by: Option<u8>,
}

fn listed() -> Vec<InstitutionId> {
    ["ins_56", "ins_13"].map(|id| InstitutionId::parse(id).expect("an id")).to_vec()
}

fn bank(number: u8) -> Institution {
    let id = ["ins_56", "ins_13", "ins_1"][usize::from(number)];
    Institution { id: InstitutionId::parse(id).expect("an id"), name: None }
}

fn id(number: usize) -> ItemId {
    item_id(&format!("item-{number}"))
}

fn built(number: usize, plan: &Plan) -> Sibling {
    let now = start() - hours(2);
    let mut item = Item { created_at: start() - days(plan.age), ..proven("item", &format!("user-{}", plan.user), now) };
    item.id = id(number);
    let breaks = |item: &Item| after(item, &broken(), now);
    let revoked = Some(Episode { number: 9, opened_at: now, rungs_passed: 0, letters: 0, what: code() });
    let impaired = Some(Impaired { since: now, code: "INSTITUTION_DOWN".to_owned() });
    item = match plan.need {
        Need::Nothing => item,
        Need::Login => breaks(&item),
        Need::Consent => Item { revoked, ..item },
        Need::LoginAndConsent => Item { revoked, ..breaks(&item) },
        Need::Repaired => after(&breaks(&item), &Event::LoginRepaired, now + hours(1)),
        Need::LoginAndBank => Item { impaired, ..breaks(&item) },
        Need::Removed => Item { removed: Some(Removed { at: now, why: RemovalReason::Application }), ..item },
    };
    item.token = plan.token;
    item.institution = plan.bank.map(bank);
    item.superseded_by = plan.superseded_by.filter(|_| item.removed.is_none()).map(|by| id(usize::from(by)));
    Sibling { item, accounts: plan.accounts.iter().map(|account| Fingerprint(vec![*account])).collect() }
}

fn code() -> Revocation {
    Revocation { code: "USER_PERMISSION_REVOKED".to_owned() }
}

/// The Items after the steps that the rule wants.
fn settled(family: &[Sibling], banks: &[InstitutionId]) -> Vec<Sibling> {
    let mut after_all = family.to_vec();
    for (id, event) in settle(family, banks) {
        let sibling = after_all.iter_mut().find(|sibling| sibling.item.id == id).expect("one of them");
        sibling.item = after(&sibling.item, &event, start());
    }
    after_all
}

fn is_broken(item: &Item) -> bool {
    matches!(item.login, Login::Broken(_))
}

/// Whether this Item may supersede that one, said anew in the words of the design.
fn is_right(older: &Sibling, newer: &Sibling, banks: &[InstitutionId]) -> bool {
    let (old, new) = (&older.item, &newer.item);
    let same_bank = match (&old.institution, &new.institution) {
        (Some(old), Some(new)) => old.id == new.id && banks.contains(&old.id),
        (Some(_) | None, None) | (None, Some(_)) => false,
    };
    let shares = older.accounts.iter().any(|account| newer.accounts.contains(account));
    let lost = is_broken(old) && old.revoked.is_none() && old.removed.is_none();
    let works = !is_broken(new) && new.revoked.is_none() && new.removed.is_none() && new.token == Token::Proven;
    old.user == new.user && old.created_at < new.created_at && lost && works && (same_bank || shares)
}

fn check(family: &[Sibling]) {
    let banks = listed();
    let result = settled(family, &banks);
    let of = |id: &ItemId| result.iter().find(|sibling| sibling.item.id == *id);
    for (before, sibling) in family.iter().zip(&result) {
        let item = &sibling.item;
        let may = result.iter().any(|newer| is_right(sibling, newer, &banks));
        assert_eq!(
            item.superseded_by.is_some(),
            may && item.removed.is_none(),
            "narrow, and nobody is forgotten: {family:?}"
        );
        if let Some(by) = &item.superseded_by {
            let newer = of(by).unwrap_or_else(|| panic!("superseded by nobody: {family:?}"));
            assert!(is_right(sibling, newer, &banks), "{family:?}");
            assert_eq!(newer.item.superseded_by, None, "a circle: {family:?}");
            assert!(!is_addressable(item));
            assert!(matches!(
                composed(&user(item.user.as_str()), std::slice::from_ref(item), &[], start() + days(9)),
                Composition::Nothing(_)
            ));
        }
        let alone = |item: &Item| Item { superseded_by: None, ..item.clone() };
        assert_eq!(alone(item), alone(&before.item), "only that");
        assert_eq!(is_touched(&before.item, item), before.item.superseded_by != item.superseded_by);
    }
    assert_eq!(settle(&result, &banks), [], "settled is settled: {family:?}");
    let mut turned = family.to_vec();
    turned.reverse();
    turned = settled(&turned, &banks);
    turned.reverse();
    assert_eq!(turned, result, "in whatever order");
    let none: Vec<Sibling> =
        family.iter().map(|sibling| Sibling { accounts: BTreeSet::new(), ..sibling.clone() }).collect();
    assert!(settled(&none, &[]).iter().all(|sibling| sibling.item.superseded_by.is_none()), "an empty list is off");
}

/// Ends what makes each Item supersede, one way after the other, and looks whether all is as it was.
fn check_undone(family: &[Sibling]) {
    let banks = listed();
    let clean = |sibling: &Sibling| Item { superseded_by: None, ..sibling.item.clone() };
    let start_family: Vec<Sibling> =
        family.iter().map(|sibling| Sibling { item: clean(sibling), ..sibling.clone() }).collect();
    let first = settled(&start_family, &banks);
    if first == start_family {
        return;
    }
    let others = user_id("somebody-else");
    let ends: [&dyn Fn(&Item) -> Item; 3] = [
        &|item| after(item, &Event::Removed { why: RemovalReason::UnknownToPlaid }, start()),
        &|item| after(item, &broken(), start()),
        &|item| after(item, &Event::Registered { user: others.clone(), institution: None }, start()),
    ];
    for (place, sibling) in first.iter().enumerate().filter(|(_, sibling)| sibling.item.superseded_by.is_none()) {
        for end in ends {
            let mut ended = first.clone();
            ended[place].item = end(&sibling.item);
            let mut never = start_family.clone();
            never[place].item = end(&start_family[place].item);
            assert_eq!(settled(&ended, &banks), settled(&never, &banks), "undone wholly: {family:?}");
        }
    }
}

fn plans() -> Vec<Plan> {
    let mut all = Vec::new();
    for need in NEEDS {
        for (token, bank, accounts) in [
            (Token::Proven, Some(0), vec![]),
            (Token::Proven, Some(0), vec![1]),
            (Token::Proven, Some(1), vec![]),
            (Token::Proven, Some(2), vec![1, 2]),
            (Token::Proven, Some(2), vec![2]),
            (Token::Proven, None, vec![1]),
            (Token::Unproven, Some(0), vec![1]),
            (Token::Refused, Some(0), vec![1]),
        ] {
            for age in [100, 10] {
                for (user, superseded_by) in [(1, None), (1, Some(1)), (1, Some(7)), (2, None)] {
                    let accounts = accounts.iter().copied().collect();
                    all.push(Plan { need, token, bank, age, accounts, user, superseded_by });
                }
            }
        }
    }
    all
}

#[test]
fn every_pair_keeps_the_rule() {
    let plans = plans();
    let build = |number| -> Vec<Sibling> { plans.iter().map(|plan| built(number, plan)).collect() };
    let (first, second) = (build(0), build(1));
    for older in &first {
        for newer in &second {
            check(&[older.clone(), newer.clone()]);
        }
    }
}

#[test]
fn every_pair_is_undone_wholly() {
    let plans: Vec<Plan> = plans().into_iter().filter(|plan| plan.superseded_by.is_none()).collect();
    for older in &plans {
        for newer in &plans {
            check_undone(&[built(0, older), built(1, newer)]);
        }
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let token = prop_oneof![
        6 => Just(Token::Proven),
        1 => Just(Token::Unproven),
        1 => Just(Token::Foreign),
        1 => Just(Token::Refused),
    ];
    let need =
        prop_oneof![3 => Just(Need::Nothing), 3 => Just(Need::Login), 2 => proptest::sample::select(NEEDS.to_vec())];
    let accounts = proptest::collection::btree_set(0..4_u8, 0..3);
    let by = proptest::option::of(0..7_u8);
    (need, token, proptest::option::of(0..3_u8), 0..6_i64, accounts, 1..3_u8, by).prop_map(
        |(need, token, bank, age, accounts, user, superseded_by)| Plan {
            need,
            token,
            bank,
            age,
            accounts,
            user,
            superseded_by,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_family_keeps_the_rule(plans in proptest::collection::vec(plan(), 0..7)) {
        let family: Vec<Sibling> = plans.iter().enumerate().map(|(number, plan)| built(number, plan)).collect();
        check(&family);
        check_undone(&family);
    }
}

fn made(number: usize, age: i64, need: Need) -> Sibling {
    let accounts = BTreeSet::new();
    built(number, &Plan { need, token: Token::Proven, bank: Some(0), age, accounts, user: 1, superseded_by: None })
}

#[test]
fn the_newest_that_works_takes_the_place_and_both_changes_are_told() {
    let family = [made(0, 100, Need::Login), made(1, 50, Need::Nothing), made(2, 10, Need::Nothing)];
    let by = Event::Superseded { by: id(2) };
    assert_eq!(settle(&family, &listed()), [(id(0), by.clone())]);
    let superseded = step(&family[0].item, &by, start());
    assert_eq!(superseded.effects, [Effect::Tell(Notice::Superseded { by: id(2) })]);
    let back = step(&superseded.item, &Event::Unsuperseded, start());
    assert_eq!(back.effects, [Effect::Tell(Notice::Unsuperseded)]);
    assert_eq!(back.item, family[0].item);
}

#[test]
fn of_two_of_the_same_moment_neither_is_newer() {
    let family = [made(0, 10, Need::Login), made(1, 10, Need::Nothing)];
    assert_eq!(settle(&family, &listed()), []);
}

#[test]
fn when_plaid_says_when_an_item_was_made_that_counts() {
    let item = proven("item-1", "user-1", start());
    let said: Timestamp = start() - days(400);
    let answer = |created_at| {
        let mut answer = super::core_support::answer(&item, start(), relinkd::domain::event::Health::Good);
        if let Event::Observed(observation) = &mut answer {
            observation.created_at = created_at;
        }
        answer
    };
    assert_eq!(item.created_at, start(), "the first registration");
    assert_eq!(after(&item, &answer(None), start()).created_at, start());
    assert_eq!(after(&item, &answer(Some(said)), start()).created_at, said);
    assert_eq!(any_hour().superseding.len(), 4, "the four banks of the documentation");
}
