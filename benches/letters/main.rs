//! How fast letters leave, over real SMTP and with every one of their states on disk, and what the mail server itself allows.
//!
//! Some thousand users have one broken Item each. In one run:
//!
//! - **composed**: the letters are released to a real daemon in a process of its own, and held back by a pause, so that all are
//!   due at once when it ends;
//! - **sent**: the pause ends. Each letter is claimed, Plaid is asked whether it is still so, the letter is made, written down
//!   as leaving, handed over, and settled;
//! - **the sink's limit**: letters of the same bytes from a client that does nothing else, over as many connections;
//! - **naive**: the same from lettre's own client, as one would take it off the shelf.
//!
//! This process plays the mail server and Plaid. Plaid says that each login is broken: that is what a letter asks for. The
//! calls to Plaid are bounded far above what the configuration allows, or they alone would decide; `--calls-per-minute
//! NUMBER` bounds them as a configuration would.
//!
//! `cargo bench --bench letters` takes about a minute, `-- --quick` some seconds; `-- --letters NUMBER` any other. It ends 1 if
//! a letter is missing, comes twice, or comes to nobody. `-- --control` has to end so: there the mail server forgets one.

#[expect(dead_code, reason = "the benchmark of webhooks needs more of it")]
#[path = "../ingest/child.rs"]
mod child;
mod client;
mod daemon;
mod plaid;
mod population;
mod report;
mod sender;
mod sink;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use child::Child;
use client::Client;
use report::{Phase, Report};
use sink::Sink;

/// How many letters a whole run has, and a small one.
const LETTERS: usize = 10_000;
const QUICK: usize = 400;

/// How many calls to Plaid the daemon may make in a minute: far more than it can.
const UNBOUNDED: u32 = 10_000_000;

/// How long anything may take. Far more than it needs: beyond it something hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the naive client sends.
const NAIVE: Duration = Duration::from_secs(2);

/// What one run is.
#[derive(Clone, Copy)]
struct Plan {
    letters: usize,
    calls_per_minute: u32,
    /// Whether the mail server forgets a letter, which has to be found.
    control: bool,
}

impl Plan {
    const FULL: Self = Self { letters: LETTERS, calls_per_minute: UNBOUNDED, control: false };
    const QUICK: Self = Self { letters: QUICK, ..Self::FULL };
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", directory, plaid, smtp, calls] => daemon::run(directory, plaid, smtp, calls),
        ["send", way, address, letters] => sender::run(way, address, letters),
        options => plan(options).and_then(run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn plan(options: &[&str]) -> anyhow::Result<Plan> {
    let mut plan = Plan::FULL;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut number = || options.next().with_context(|| format!("{option} takes a number"));
        match *option {
            "--quick" => plan.letters = Plan::QUICK.letters,
            "--control" => plan = Plan { control: true, ..Plan::QUICK },
            "--letters" => plan.letters = number()?.parse()?,
            "--calls-per-minute" => plan.calls_per_minute = number()?.parse()?,
            _ => anyhow::bail!(
                "usage: cargo bench --bench letters [-- --quick | --control | --letters NUMBER] [--calls-per-minute NUMBER]"
            ),
        }
    }
    ensure!(plan.letters > 0, "no letter is no measurement");
    Ok(plan)
}

fn run(plan: Plan) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("no temporary folder")?;
    let folder = directory.path().to_str().context("a folder whose name is no text")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plaid = plaid::start()?;
    let sink = Sink::start(plan.control.then_some(plan.letters / 2))?;

    let mut daemon = Child::start(&["serve", folder, &plaid.url, &sink.address, &plan.calls_per_minute.to_string()])?;
    let client = Client::of(&daemon.hear()?)?;
    println!("{} users with one broken Item each, at {} banks\n", plan.letters, population::BANKS);
    runtime.block_on(client.import(plan.letters))?;
    runtime.block_on(client.wait_for_all_held(plan.letters, PATIENCE))?;
    daemon::pause(directory.path())?;
    let composed = phase(&daemon, plan.letters, || {
        runtime.block_on(client.release())?;
        runtime.block_on(daemon::wait_for_composed(directory.path(), plan.letters, PATIENCE))
    })?;
    ensure!(sink.count() == 0, "letters left during the pause");

    let asked = plaid.asked();
    let sent = phase(&daemon, plan.letters, || {
        runtime.block_on(client.end_pause())?;
        wait_for(&sink, plan.letters)
    })?;
    // What waits to be settled is settled before the daemon stops, and what would come twice comes by then.
    let memory_mib = daemon.memory_mib()?;
    daemon.ask("stop")?;
    drop(daemon);
    let ledger = sink.take();
    let span = ledger.span();
    ledger.check(plan.letters, population::email)?;
    daemon::check(directory.path(), plan.letters)?;
    let asked = plaid.asked() - asked;

    let sample = directory.path().join("letters");
    ledger.keep_sample(&sample)?;
    let sample = sample.to_str().context("a file whose name is no text")?;
    let bare = send(&sink, "bare", sample, plan.letters)?;
    let naive = naive(&sink, sample)?;
    let report =
        Report { plan: (plan.letters, plan.calls_per_minute), composed, sent, span, asked, memory_mib, bare, naive };
    report.print(&ledger);
    Ok(())
}

/// Does something, and says what time and CPU time of the daemon it took.
fn phase(daemon: &Child, letters: usize, body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Phase> {
    let (begun, cpu) = (Instant::now(), daemon.cpu()?);
    body()?;
    Ok(Phase { letters, time: begun.elapsed(), cpu: daemon.cpu()? - cpu })
}

fn wait_for(sink: &Sink, letters: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    while sink.count() < letters {
        ensure!(begun.elapsed() < PATIENCE, "{} letters of {letters} came in time", sink.count());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Sends so many letters from a process that does nothing else, as the daemon's process is another.
fn send(sink: &Sink, way: &str, sample: &str, letters: usize) -> anyhow::Result<Phase> {
    let mut sender = Child::start(&["send", way, &sink.address, sample])?;
    sender.hear()?;
    let cpu = sender.cpu()?;
    let said = sender.ask(&letters.to_string())?;
    let seconds = said["seconds"].as_f64().context("the sender does not say how long it took")?;
    let cpu = sender.cpu()? - cpu;
    let came = sink.take().letters();
    ensure!(came == letters, "of {letters} letters {came} came from the client that only sends");
    Ok(Phase { letters, time: Duration::from_secs_f64(seconds), cpu })
}

fn naive(sink: &Sink, sample: &str) -> anyhow::Result<Phase> {
    let mut sender = Child::start(&["send", "naive", &sink.address, sample])?;
    sender.hear()?;
    let cpu = sender.cpu()?;
    sender.ask(&NAIVE.as_millis().to_string())?;
    Ok(Phase { letters: sink.take().letters(), time: NAIVE, cpu: sender.cpu()? - cpu })
}
