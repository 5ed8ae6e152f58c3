//! How many webhooks a second relinkd takes, over real HTTP and durably, and what of that is whose.
//!
//! Three things in one run, in turns, because the same work varies by a sixth over minutes on shared cores: only ratios
//! within one run mean anything.
//!
//! - **whole**: the daemon as it is served: verified, sealed, committed, answered, and the steps applied meanwhile;
//! - **verify**: the same listener, layers and verification, and no store;
//! - **bare**: the verification alone, in a loop on every core.
//!
//! The load comes from a process of its own, so that the servers' CPU time is theirs. This process plays Plaid.
//!
//! `cargo bench --bench ingest` takes less than three minutes, `-- --quick` less than twenty seconds; `-- --connections
//! 64` looks at one number of connections. It ends 1 if one answered webhook is not in the inbox. `-- --control` has to
//! end so: there the whole path is played by the server that stores nothing.

mod child;
mod load;
mod plaid;
mod report;
mod servers;
mod webhooks;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use child::Child;
use report::{Load, Round};

/// How long, how often and with how many Items.
struct Plan {
    items: usize,
    /// Signed webhooks; the load goes round and round in them.
    pool: usize,
    rounds: usize,
    burst: Duration,
    bare: Duration,
    /// The numbers of connections to send over.
    connections: Vec<usize>,
    control: bool,
}

/// How many connections send at once, each its next webhook when the last one is answered.
const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];

impl Plan {
    fn full() -> Self {
        Self {
            items: 10_000,
            pool: 20_000,
            rounds: 3,
            burst: Duration::from_millis(2500),
            bare: Duration::from_millis(1000),
            connections: CONNECTIONS.to_vec(),
            control: false,
        }
    }

    fn quick() -> Self {
        Self {
            items: 1_000,
            pool: 4_000,
            rounds: 1,
            burst: Duration::from_millis(700),
            bare: Duration::from_millis(300),
            connections: CONNECTIONS.to_vec(),
            control: false,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["generate", pool, items] => load::run(pool, items),
        ["serve-whole", items, directory, plaid] => servers::run_whole(items, directory, plaid),
        ["serve-verify", jwk] => servers::run_verify(jwk),
        [] => run(&Plan::full()),
        ["--quick"] => run(&Plan::quick()),
        ["--connections", number] => number
            .parse()
            .context("--connections takes a number")
            .and_then(|number| run(&Plan { connections: vec![number], rounds: 6, ..Plan::full() })),
        ["--control"] => run(&Plan { control: true, ..Plan::quick() }),
        _ => Err(anyhow::anyhow!("usage: cargo bench --bench ingest [-- --quick | --control | --connections NUMBER]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("no temporary folder")?;
    let mut generator = Child::start(&["generate", &plan.pool.to_string(), &plan.items.to_string()])?;
    let jwk = generator.hear()?["jwk"].to_string();
    let plaid = plaid::start(&jwk)?;
    let store = directory.path().to_str().context("a folder whose name is no text")?.to_owned();
    let mut verify = Child::start(&["serve-verify", &jwk])?;
    let mut whole = if plan.control {
        Child::start(&["serve-verify", &jwk])?
    } else {
        Child::start(&["serve-whole", &plan.items.to_string(), &store, &plaid.url])?
    };
    let verify_address = address(&verify.hear()?)?;
    let started = whole.hear()?;
    let whole_address = address(&started)?;
    println!("{} Items, {} rounds of {} ms, in turns", plan.items, plan.rounds, plan.burst.as_millis());

    let mut rounds = Vec::new();
    for &connections in &plan.connections {
        for _ in 0..plan.rounds {
            let bare = report::Bare::read(&generator.ask(&format!("bare {}", plan.bare.as_millis()))?)?;
            let verified = burst(&mut generator, &mut verify, &verify_address, connections, plan.burst)?;
            let (whole_load, behind, catching_up) =
                whole_burst(&mut generator, &mut whole, &whole_address, connections, plan)?;
            rounds.push(Round { connections, bare, verify: verified, whole: whole_load, behind, catching_up });
        }
    }
    let memory = whole.memory_mib()?;
    whole.ask("stop")?;
    report::print(&rounds, memory);
    let answered: u64 = rounds.iter().map(|round| round.whole.answered).sum();
    let kept = plaid::count_inbox(&store)?;
    // What waited for a disk that stood still may have been kept after its answer.
    let slow: u64 = rounds.iter().map(|round| round.whole.slow).sum();
    println!("\nanswered 200 {answered}, rows in the inbox {kept}, answered 503 by a disk that stood still {slow}");
    ensure!(
        answered <= kept && kept <= answered + slow,
        "{answered} webhooks were answered 200, {slow} by a disk that stood still, and {kept} are in the inbox"
    );
    Ok(())
}

fn address(hello: &serde_json::Value) -> anyhow::Result<String> {
    hello["address"].as_str().map(ToOwned::to_owned).context("the server does not say where it listens")
}

/// One burst of load on one server, with the server's CPU time.
fn burst(
    generator: &mut Child,
    server: &mut Child,
    address: &str,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Load> {
    let ours =
        |server: &Child, generator: &Child| anyhow::Ok(server.cpu()? + generator.cpu()? + child::cpu_of("self")?);
    let (before, ours_before, all_before) = (server.cpu()?, ours(server, generator)?, child::cpu_of_all()?);
    let said = generator.ask(&format!("load {address} {connections} {}", time.as_millis()))?;
    let others = child::cpu_of_all()? - all_before - (ours(server, generator)? - ours_before);
    Load::read(&said, server.cpu()? - before, others)
}

/// The same on the daemon, and then the wait until all that it took is applied. The CPU time covers both.
fn whole_burst(
    generator: &mut Child,
    whole: &mut Child,
    address: &str,
    connections: usize,
    plan: &Plan,
) -> anyhow::Result<(Load, u64, Duration)> {
    let before = whole.cpu()?;
    let mut load = burst(generator, whole, address, connections, plan.burst)?;
    let caught_up = whole.ask("catch-up")?;
    load.cpu_applied = whole.cpu()? - before;
    let behind = caught_up["behind"].as_u64().context("the server does not say how far behind it was")?;
    let seconds = caught_up["seconds"].as_f64().context("the server does not say how long it took")?;
    Ok((load, behind, Duration::from_secs_f64(seconds)))
}
