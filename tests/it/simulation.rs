//! The simulation's small version: some worlds through the core, one of them through the real store, and mistakes that have
//! to be found; and a year of some hundred users, with mistakes of its own. `cargo bench --bench simulation` has thousands,
//! 100,000 Items after an outage, and a year of 100,000 users.

use relinkd::domain::policy::Policy;

use sim::pure::Pure;
use sim::stored::Stored;
use sim::{Outcome, Plan, Planted, live, year};

#[path = "../../benches/simulation/sim/mod.rs"]
mod sim;

fn plan(seed: u64, items: usize) -> Plan {
    Plan { items, days: 60, ..Plan::rough(seed) }
}

fn pure(plan: &Plan) -> Outcome {
    live(plan, &mut Pure::new(Policy::default()))
}

fn is_right(seed: u64, plan: &Plan, outcome: &Outcome) {
    assert_eq!(outcome.wrong, [], "seed {seed}: known otherwise than Plaid says");
    assert!(outcome.most_calls_in_a_minute <= plan.calls_per_minute as usize, "seed {seed}: gentle on Plaid");
    assert!(outcome.calls > 1000 && outcome.webhooks > 20, "seed {seed}: something happened");
}

#[test]
fn whatever_is_lost_doubled_or_late_every_item_is_known_as_plaid_says() {
    for seed in 0..12 {
        let plan = plan(seed, 50);
        is_right(seed, &plan, &pure(&plan));
    }
}

#[test]
fn a_seed_replays_to_the_byte() {
    assert_eq!(pure(&plan(3, 20)).hash, pure(&plan(3, 20)).hash);
    assert_ne!(pure(&plan(3, 20)).hash, pure(&plan(4, 20)).hash);
}

#[test]
fn the_real_store_lives_through_the_same() {
    let plan = plan(5, 20);
    let kept = live(&plan, &mut Stored::new(Policy::default()));
    is_right(5, &plan, &kept);
    assert_eq!(kept.items, pure(&plan).items);
}

#[test]
fn an_outage_of_three_days_is_made_up_for_within_two_hours_by_the_budget() {
    // 100,000 Items at 1,000 calls a minute, on a scale of one to a hundred.
    let plan = Plan { items: 1000, calls_per_minute: 20, ..Plan::outage() };
    let outcome = live(&plan, &mut Pure::new(Policy::default()));
    let after = outcome.recovered_after.expect("every Item is known as it is");
    assert!(after.as_secs() <= 2 * 3600, "{after}");
    assert!(outcome.most_calls_in_a_minute <= 20);
}

#[test]
fn mistakes_are_found() {
    for planted in [Planted::SuspectsLeftOut, Planted::NobodySwept, Planted::FailuresForgotten] {
        let found = (0..5).any(|seed| !pure(&Plan { planted, ..plan(seed, 50) }).wrong.is_empty());
        assert!(found, "{planted:?} is not noticed, so the other tests show nothing");
    }
}

fn year(plan: &year::Plan) -> year::Outcome {
    year::live(plan, &mut Pure::new(year::policy(plan.planted)))
}

fn wrong(outcome: &year::Outcome) -> Vec<String> {
    let said = outcome.wrong.iter().take(5);
    said.map(|wrong| format!("user {} at {}: {:?}: {}", wrong.user, wrong.at, wrong.claim, wrong.what)).collect()
}

/// Nothing is wrong, and enough happened to show something.
fn is_as_claimed(outcome: &year::Outcome, letters: u64) {
    assert_eq!(wrong(outcome), Vec::<String>::new());
    assert!(outcome.counted("letters") > letters, "{:#?}", outcome.counts);
    for what in [
        "lines: login, rung 1",
        "lines: login, the last",
        "lines: it works again",
        "lines: consent ends",
        "lines: new accounts",
        "breaks that healed within 30 minutes",
        "ladders that ended, and it was told",
        "letters withheld",
        "moves",
        "opt-outs",
    ] {
        assert!(outcome.counted(what) > 0, "{what}: {:#?}", outcome.counts);
    }
}

#[test]
fn a_year_of_users_everywhere_brings_no_letter_too_many_and_none_too_few() {
    let outcome = year(&year::Plan::year(1, 600));
    is_as_claimed(&outcome, 1000);
    assert!((30..24 * 60).contains(&outcome.waited_at_most(500)), "{} min", outcome.waited_at_most(500));
    for what in [
        "outages: logins fail together, shorter than six hours",
        "outages: logins fail for longer than six hours",
        "outages: the bank is down",
        "bounces",
        "users snoozed",
        "Items snoozed",
    ] {
        assert!(outcome.counted(what) > 0, "{what}: {:#?}", outcome.counts);
    }
}

#[test]
fn the_real_store_sends_the_same_letters_in_a_year() {
    let plan = year::Plan::year(2, 40);
    let kept = year::live(&plan, &mut Stored::new(year::policy(plan.planted)));
    assert_eq!(wrong(&kept), Vec::<String>::new());
    assert!(kept.letters.len() > 60, "{:#?}", kept.counts);
    assert_eq!(kept.letters, year(&plan).letters);
}

#[test]
fn mistakes_about_letters_are_found_within_the_year() {
    for planted in year::Planted::ALL {
        let outcome = year(&year::Plan { planted, stops: true, ..year::Plan::year(1, 600) });
        assert!(!outcome.wrong.is_empty(), "{planted:?} is not noticed, so the other tests show nothing");
    }
}

#[test]
fn the_years_time_zones_have_all_the_winter_offsets_there_are() {
    let offsets = year::winter_offsets();
    assert_eq!(offsets.len(), 38);
    assert!(
        [12 * 3600 + 45 * 60, 8 * 3600 + 45 * 60, -9 * 3600 - 30 * 60].iter().all(|offset| offsets.contains(offset))
    );
}
