//! The year: all users through the core, some through the real store, and mistakes that have to be found.

use std::time::Instant;

use super::sim::pure::Pure;
use super::sim::stored::Stored;
use super::sim::year::{Outcome, Plan, Planted, live, policy, winter_offsets};

/// How many users a mistake is looked for among.
const USERS_OF_A_MISTAKE: u32 = 2000;

fn pure(plan: &Plan) -> Outcome {
    live(plan, &mut Pure::new(policy(plan.planted)))
}

fn stored(plan: &Plan) -> Outcome {
    live(plan, &mut Stored::new(policy(plan.planted)))
}

/// Tells what came of a year, and of the first thing that is wrong the whole story. Answers whether anything is.
fn tell(name: &str, plan: &Plan, outcome: &Outcome, began: Instant, live: impl Fn(&Plan) -> Outcome) -> bool {
    println!(
        "year, {name}: seed {}, {} users in {} time zones, {} days, a cap of {} a day, in {:.1} s",
        plan.seed,
        plan.users,
        winter_offsets().len(),
        plan.days,
        plan.provider_cap,
        began.elapsed().as_secs_f64()
    );
    for (what, count) in &outcome.counts {
        println!("  {count:>9} {what}");
    }
    let hours = |permille| f64::from(outcome.waited_at_most(permille)) / 60.0;
    println!(
        "  the first letter about a broken login, where the provider has no cap: after {:.1} h in the median, {:.1} h at the 99th percentile, {:.1} h at the most",
        hours(500),
        hours(990),
        hours(1000)
    );
    if outcome.counted("letters") < 3 * u64::from(plan.users) {
        println!("  WRONG: so few letters show nothing");
        return true;
    }
    let Some(first) = outcome.wrong.first() else { return false };
    println!(
        "  WRONG: {} at {}: {}; the story of user {}:",
        format_args!("{:?}", first.claim),
        first.at,
        first.what,
        first.user
    );
    let story = live(&Plan { story_of: Some(first.user), stops: true, ..plan.clone() }).story;
    story.iter().for_each(|line| println!("    {line}"));
    for wrong in outcome.wrong.iter().skip(1).take(9) {
        println!("  WRONG: user {} at {}: {:?}: {}", wrong.user, wrong.at, wrong.claim, wrong.what);
    }
    true
}

/// Whether a small year is the same in the core and in the real store, letter by letter.
fn is_equal(seed: u64, users: u32) -> bool {
    let plan = Plan::year(seed, users);
    let (kept, thought) = (stored(&plan).letters, pure(&plan).letters);
    if let Some((kept, thought)) = kept.iter().zip(&thought).find(|(kept, thought)| kept != thought) {
        println!("  WRONG: the store sent {kept:?}, the core {thought:?}");
    }
    println!(
        "year, store and core: {} and {} letters, {}",
        kept.len(),
        thought.len(),
        if kept == thought { "the same" } else { "not the same" }
    );
    kept == thought
}

fn planted(seed: u64) -> bool {
    let mut missed = false;
    for planted in Planted::ALL {
        let began = Instant::now();
        let plan = Plan { planted, stops: true, ..Plan::year(seed, USERS_OF_A_MISTAKE) };
        match pure(&plan).wrong.first() {
            Some(wrong) => println!(
                "year, planted: {planted:?} is found on {:.10} in {:.1} s ({:?}: {})",
                wrong.at.to_string(),
                began.elapsed().as_secs_f64(),
                wrong.claim,
                wrong.what
            ),
            None => {
                println!("year, planted: {planted:?} is not found");
                missed = true;
            }
        }
    }
    missed
}

/// All of it. Answers whether anything is wrong.
pub fn all(seed: u64, users: u32, quick: bool) -> bool {
    let began = Instant::now();
    let plan = Plan::year(seed, users);
    let core = tell("core", &plan, &pure(&plan), began, pure);
    let began = Instant::now();
    let plan = Plan { server_sulks: true, ..Plan::year(seed, if quick { 100 } else { 1000 }) };
    let store = tell("real store", &plan, &stored(&plan), began, stored);
    let differ = !is_equal(seed, if quick { 60 } else { 300 });
    let missed = planted(seed);
    core || store || differ || missed
}
