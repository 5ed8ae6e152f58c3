//! This program again, as a process of its own: told what to do by lines, answering each with a line of JSON.
//!
//! A child ends when nobody tells it anything any more, so none is left behind if the first process dies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

/// The clock ticks in `/proc`, a second. Linux has 100 for programs on every machine that matters here.
const TICKS_A_SECOND: f64 = 100.0;

/// A child process.
pub struct Child {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program with these arguments.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a child process")?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("the child's output")?);
        Ok(Self { process, orders, answers })
    }

    /// The next thing that the child says.
    pub fn hear(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("a child process said {line:?}"))
    }

    /// Tells the child to do something, and waits for its answer.
    pub fn ask(&mut self, order: &str) -> anyhow::Result<Value> {
        let orders = self.orders.as_mut().context("the child takes no orders")?;
        writeln!(orders, "{order}")?;
        self.hear()
    }

    /// The CPU seconds that the child has used so far, user and system.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        cpu_of(&self.process.id().to_string())
    }

    /// The most memory that the child ever had resident.
    pub fn memory_mib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.process.wait();
    }
}

/// The CPU seconds of a process.
pub fn cpu_of(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is a name in brackets, which may hold spaces; the 14th and 15th are user and system time.
    let (_, rest) = stat.rsplit_once(')').context("/proc/stat without a name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || -> anyhow::Result<f64> { Ok(fields.next().context("/proc/stat is short")?.parse::<f64>()?) };
    Ok((next()? + next()?) / TICKS_A_SECOND)
}

/// The CPU seconds that anybody has used on this machine, user and system.
pub fn cpu_of_all() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    // user, nice, system, and then, after idle and iowait, irq and softirq.
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .context("/proc/stat is empty")?
        .split_whitespace()
        .skip(1)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|index| fields.get(*index)).sum::<f64>();
    Ok(busy / TICKS_A_SECOND)
}

/// Says something to the process that started this one.
pub fn say(answer: &Value) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{answer}")?;
    Ok(stdout.flush()?)
}

/// The next order; nothing once there are no more.
pub fn next_order() -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let count = std::io::stdin().read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim().to_owned()))
}
