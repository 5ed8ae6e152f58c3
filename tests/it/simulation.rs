//! The simulation's small version: some worlds through the core, one of them through the real store, and mistakes that have
//! to be found. `cargo bench --bench simulation` has thousands, and 100,000 Items after an outage.

use relinkd::domain::policy::Policy;

use sim::pure::Pure;
use sim::stored::Stored;
use sim::{Outcome, Plan, Planted, live};

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
