//! What came of the rounds, as a table: medians, since a neighbour on the same cores spoils single rounds. How much of the
//! cores the neighbours had is told too: above a few hundredths only the CPU time of a webhook is to be believed.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// A burst on one server.
pub struct Load {
    /// How many webhooks were answered 200.
    pub answered: u64,
    /// How many were answered 503 because the disk stood still.
    pub slow: u64,
    seconds: f64,
    /// Latencies in microseconds.
    p50: f64,
    p99: f64,
    /// The server's CPU seconds within the burst.
    cpu: f64,
    /// ... and until all was applied.
    pub cpu_applied: f64,
    /// The CPU seconds that the machine's other work took meanwhile.
    others: f64,
}

impl Load {
    /// From what the generator says.
    pub fn read(said: &Value, cpu: f64, others: f64) -> anyhow::Result<Self> {
        let refused = said["refused"].as_u64().context("no count of refusals")?;
        ensure!(refused == 0, "{refused} webhooks were answered otherwise than 200");
        Ok(Self {
            answered: said["answered"].as_u64().context("no count")?,
            slow: said["slow"].as_u64().context("no count of what was slow")?,
            seconds: number(said, "seconds")?,
            p50: number(said, "p50")?,
            p99: number(said, "p99")?,
            cpu,
            cpu_applied: cpu,
            others,
        })
    }

    fn rate(&self) -> f64 {
        count(self.answered) / self.seconds
    }
}

/// A while of bare verification on every core.
pub struct Bare {
    rate: f64,
    cpu_each: f64,
}

impl Bare {
    /// From what the generator says.
    pub fn read(said: &Value) -> anyhow::Result<Self> {
        let verified = number(said, "verified")?;
        Ok(Self { rate: verified / number(said, "seconds")?, cpu_each: number(said, "cpu")? / verified })
    }
}

/// The three things, once each.
pub struct Round {
    /// How many connections sent.
    pub connections: usize,
    /// The verification alone.
    pub bare: Bare,
    /// The server that only verifies.
    pub verify: Load,
    /// The daemon.
    pub whole: Load,
    /// How many webhooks waited for their step when the burst was over ...
    pub behind: u64,
    /// ... and how long until none did.
    pub catching_up: Duration,
}

impl Round {
    fn applied_rate(&self) -> f64 {
        count(self.whole.answered) / (self.whole.seconds + self.catching_up.as_secs_f64())
    }
}

fn number(said: &Value, name: &str) -> anyhow::Result<f64> {
    said[name].as_f64().with_context(|| format!("no {name}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the table and the ratios.
pub fn print(rounds: &[Round], memory_mib: u64) {
    let bare = median(rounds.iter().map(|round| round.bare.rate));
    let bare_cpu = median(rounds.iter().map(|round| round.bare.cpu_each));
    println!("bare verification: {bare:.0}/s on all cores, {:.3} CPU s per 1,000\n", bare_cpu * 1e3);
    println!("| connections | server | /s | p50 ms | p99 ms | CPU s per 1,000 | cores taken by others |");
    println!("|---|---|---|---|---|---|---|");
    let groups: Vec<&[Round]> = rounds.chunk_by(|a, b| a.connections == b.connections).collect();
    for group in &groups {
        line(group, "verify", |round| &round.verify);
        line(group, "whole", |round| &round.whole);
    }
    println!(
        "\nThe ratios are medians of the ratios within a round. \"Kept up\" counts until the last step is applied.\n"
    );
    println!(
        "| connections | whole/verify | kept up/verify | verify/bare | kept up /s | behind | caught up in ms | CPU s per 1,000, steps too |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for group in &groups {
        let of = |value: fn(&Round) -> f64| median(group.iter().map(value));
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.3} |",
            group[0].connections,
            of(|round| round.whole.rate() / round.verify.rate()),
            of(|round| round.applied_rate() / round.verify.rate()),
            of(|round| round.verify.rate() / round.bare.rate),
            of(Round::applied_rate),
            of(|round| count(round.behind)),
            of(|round| round.catching_up.as_secs_f64() * 1e3),
            of(|round| round.whole.cpu_applied / count(round.whole.answered) * 1e3),
        );
    }
    println!("\nmost memory of the daemon: {memory_mib} MiB");
}

fn line(group: &[Round], name: &str, load: fn(&Round) -> &Load) {
    let of = |value: fn(&Load) -> f64| median(group.iter().map(|round| value(load(round))));
    println!(
        "| {} | {name} | {:.0} | {:.2} | {:.2} | {:.3} | {:.2} |",
        group[0].connections,
        of(Load::rate),
        of(|load| load.p50 / 1e3),
        of(|load| load.p99 / 1e3),
        of(|load| load.cpu / count(load.answered) * 1e3),
        of(|load| load.others / load.seconds),
    );
}
