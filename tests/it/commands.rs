//! The commands of the real binary against a real daemon: what a person at two in the morning would type.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::World;
use crate::process::BINARY;

mod items;
mod reach;
mod users;

/// What a command said, and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// What it printed, if it went well.
    fn well(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The objects that it printed, one a line.
    fn json(self) -> Vec<Value> {
        self.well().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl World {
    /// Runs `relinkd` with these words, on this world's daemon.
    async fn relinkd(&self, words: &[&str]) -> Said {
        let mut command = Command::new(BINARY);
        command.args(words).arg("--socket").arg(self.control_socket()).env_clear();
        Said::of(command.output().await.expect("the binary runs"))
    }
}
