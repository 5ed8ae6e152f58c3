//! Many simulated worlds, and one large one: does relinkd know in the end about every Item what Plaid says?
//!
//! - **worlds**: 2,000 seeds of 50 Items and 90 days each, through the core and maps, on all cores;
//! - **stored**: some of the same seeds through the core and the real store: the Items have to be equal in the end;
//! - **outage**: 100,000 Items, with Plaid away for 72 hours and every webhook of that time lost: how long after the end is
//!   every Item known as it is, at no more than 1,000 calls a minute? The same on a scale of 1 to 50 through the store;
//! - **planted**: mistakes that have to be found, or the rest shows nothing;
//! - **year**: see [`year`]: 100,000 users, and what each letter of a year is held against.
//!
//! `cargo bench --bench simulation` takes some minutes, `-- --quick` some seconds; `-- --seeds N`, `-- --items N` and
//! `-- --users N` change how much, `-- --year` leaves the rest out, `-- --seed N` is another year. It ends 1 if anything is
//! wrong.

mod sim;
mod year;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use relinkd::domain::policy::Policy;
use sim::pure::Pure;
use sim::stored::Stored;
use sim::{Outcome, Plan, Planted, live};

fn pure(plan: &Plan) -> Outcome {
    live(plan, &mut Pure::new(Policy::default()))
}

fn stored(plan: &Plan) -> Outcome {
    live(plan, &mut Stored::new(Policy::default()))
}

/// Prints what is wrong with a world, and answers whether anything is.
fn complain(plan: &Plan, outcome: &Outcome) -> bool {
    for (item, what) in outcome.wrong.iter().take(3) {
        println!("seed {}: Item {item}: {what} is not as Plaid says", plan.seed);
    }
    let over = outcome.most_calls_in_a_minute > plan.calls_per_minute as usize;
    if over {
        println!("seed {}: {} calls in a minute", plan.seed, outcome.most_calls_in_a_minute);
    }
    over || !outcome.wrong.is_empty()
}

/// Runs a piece of work for each number below a limit, on all cores.
fn on_all_cores(count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    work(n);
                }
            });
        }
    });
}

fn worlds(seeds: u64) -> bool {
    let (began, bad, calls, webhooks) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    on_all_cores(seeds, |seed| {
        let plan = Plan::rough(seed);
        let outcome = pure(&plan);
        bad.fetch_add(u64::from(complain(&plan, &outcome)), Ordering::Relaxed);
        calls.fetch_add(outcome.calls, Ordering::Relaxed);
        webhooks.fetch_add(outcome.webhooks, Ordering::Relaxed);
    });
    let bad = bad.into_inner();
    println!(
        "worlds: {seeds} seeds of 50 Items and 90 days in {:.1} s: {} calls, {} webhooks, {bad} wrong",
        began.elapsed().as_secs_f64(),
        calls.into_inner(),
        webhooks.into_inner(),
    );
    bad > 0
}

fn same_in_the_store(seeds: u64) -> bool {
    let (began, bad) = (Instant::now(), AtomicU64::new(0));
    on_all_cores(seeds, |seed| {
        let plan = Plan::rough(seed);
        let (kept, thought) = (stored(&plan), pure(&plan));
        let differ = kept.items.iter().zip(&thought.items).find(|(kept, thought)| kept != thought);
        if let Some((kept, thought)) = differ {
            println!("seed {seed}: the store has\n{kept:?}\nthe core\n{thought:?}");
        }
        bad.fetch_add(u64::from(differ.is_some() || complain(&plan, &kept)), Ordering::Relaxed);
    });
    let bad = bad.into_inner();
    println!("stored: {seeds} of them through the real store in {:.1} s: {bad} differ", began.elapsed().as_secs_f64());
    bad > 0
}

fn outage(shell: &str, items: usize, calls_per_minute: u32, live: impl Fn(&Plan) -> Outcome) -> bool {
    let began = Instant::now();
    let plan = Plan { items, calls_per_minute, ..Plan::outage() };
    let outcome = live(&plan);
    let minutes = outcome.recovered_after.map(|after| after.as_secs() / 60);
    println!(
        "outage, {shell}: {items} Items known as they are {} min after 72 h without Plaid, at most {} calls in a minute ({} in all; {:.0} s)",
        minutes.map_or("never".to_owned(), |minutes| minutes.to_string()),
        outcome.most_calls_in_a_minute,
        outcome.calls,
        began.elapsed().as_secs_f64(),
    );
    complain(&plan, &outcome) || minutes.is_none_or(|minutes| minutes > 120)
}

fn planted(seeds: u64) -> bool {
    [Planted::SuspectsLeftOut, Planted::NobodySwept, Planted::FailuresForgotten].into_iter().any(|planted| {
        let found = (0..seeds).find(|seed| !pure(&Plan { planted, ..Plan::rough(*seed) }).wrong.is_empty());
        match found {
            Some(seed) => println!("planted: {planted:?} is found by seed {seed}"),
            None => println!("planted: {planted:?} is not found by {seeds} seeds"),
        }
        found.is_none()
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, otherwise: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(otherwise, |text| text.parse().expect("a whole number"))
    };
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let seeds = number("--seeds", if quick { 40 } else { 2000 });
    let items = usize::try_from(number("--items", if quick { 2000 } else { 100_000 })).expect("a number of Items");
    let users = u32::try_from(number("--users", if quick { 3000 } else { 100_000 })).expect("a number of users");
    let year_is_wrong = year::all(number("--seed", 1), users, quick);
    if arguments.iter().any(|argument| argument == "--year") {
        return if year_is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let twice = pure(&Plan::rough(1)).hash == pure(&Plan::rough(1)).hash
        && pure(&Plan::rough(1)).hash != pure(&Plan::rough(2)).hash;
    println!("replay: seed 1 twice is {}", if twice { "the same" } else { "not the same" });
    let per_minute = u32::try_from(items / 100).expect("a number of calls");
    let wrong = [
        year_is_wrong,
        !twice,
        worlds(seeds),
        same_in_the_store(if quick { 2 } else { 10 }),
        outage("core", items, per_minute, pure),
        outage("store", 2000, 20, stored),
        planted(seeds.min(50)),
    ];
    if wrong.contains(&true) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
