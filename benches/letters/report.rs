//! The figures, as Markdown.

use std::time::Duration;

use crate::sender::CONNECTIONS;
use crate::sink::Ledger;

/// A part of the run.
pub struct Phase {
    pub letters: usize,
    pub time: Duration,
    /// CPU seconds of the process that did it.
    pub cpu: f64,
}

impl Phase {
    fn rate(&self) -> f64 {
        count(self.letters) / self.time.as_secs_f64()
    }

    fn cpu_of_1000(&self) -> f64 {
        self.cpu * 1000.0 / count(self.letters)
    }

    fn line(&self, name: &str) {
        let (letters, seconds) = (self.letters, self.time.as_secs_f64());
        println!("| {name} | {letters} | {seconds:.2} | {:.0} | {:.3} |", self.rate(), self.cpu_of_1000());
    }
}

/// All of them.
pub struct Report {
    /// How many letters, and how many calls to Plaid a minute.
    pub plan: (usize, u32),
    pub composed: Phase,
    pub sent: Phase,
    /// From the first letter's end to the last one's.
    pub span: Duration,
    /// How often Plaid was asked while they were sent.
    pub asked: usize,
    /// The most memory that the daemon ever had, its import included.
    pub memory_mib: u64,
    pub bare: Phase,
    pub naive: Phase,
}

impl Report {
    pub fn print(&self, ledger: &Ledger) {
        println!("| | letters | seconds | letters a second | CPU s per 1,000 |");
        println!("|---|---|---|---|---|");
        self.composed.line("composed");
        self.sent.line("sent");
        self.bare.line(&format!("the sink's limit, {CONNECTIONS} connections"));
        self.naive.line("naive, one connection a letter");
        let (letters, calls) = self.plan;
        println!("\nsent / the sink's limit: {:.3}", self.sent.rate() / self.bare.rate());
        println!(
            "from the first letter to the last: {:.2} s, over {} connections",
            self.span.as_secs_f64(),
            ledger.connections()
        );
        println!(
            "a letter: {} bytes on the wire; {} calls to Plaid of {calls} a minute",
            ledger.mean_bytes(),
            self.asked
        );
        println!("most memory of the daemon, import included: {} MiB", self.memory_mib);
        println!("\n{letters} letters, as many Message-IDs and addresses: none missing, none twice");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}
