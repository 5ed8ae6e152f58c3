//! The real command line beside the daemon of a story: the same configuration, as a file.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::World;
use crate::process::{BINARY, LIMIT};

/// What a command said, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// All of it as one text for a snapshot.
    pub fn whole(&self) -> String {
        let Self { code, stdout, stderr } = self;
        let errors = if stderr.is_empty() { String::new() } else { format!("--- stderr\n{stderr}") };
        format!("{stdout}{errors}--- exit code {code}")
    }

    /// What it printed, if it went well.
    pub fn well(self) -> String {
        assert_eq!(self.code, 0, "{}", self.whole());
        self.stdout
    }

    /// The objects that it printed, one a line.
    pub fn json(self) -> Vec<Value> {
        self.well().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl World {
    /// The daemon's configuration as a file.
    pub fn config_file(&self) -> PathBuf {
        let path = self.folder.path().join("story.toml");
        std::fs::write(&path, &self.configuration).expect("written");
        path
    }

    /// Runs `relinkd WORDS` with the daemon's configuration. What differs from run to run is written over: the addresses.
    pub async fn relinkd(&self, words: &[&str]) -> Output {
        self.relinkd_with(words, &[]).await
    }

    /// The same with a configuration that differs: each text is replaced where it first stands.
    pub async fn relinkd_with(&self, words: &[&str], changes: &[(&str, &str)]) -> Output {
        let file = self.config_file();
        let mut text = self.configuration.clone();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        std::fs::write(&file, text).expect("written");
        let output = relinkd(Command::new(BINARY).args(words).arg("--config").arg(file)).await;
        let tidy = |text: String| {
            text.replace(&self.public_url, "http://PUBLIC")
                .replace(&self.plaid.url(), "http://PLAID")
                .replace(&self.mailbox.smtp_url(), "smtp://MAILBOX")
                .replace(&self.folder.path().display().to_string(), "FOLDER")
        };
        Output { stdout: tidy(output.stdout), stderr: tidy(output.stderr), ..output }
    }
}

/// Runs a command until it ends.
pub async fn relinkd(command: &mut Command) -> Output {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, running).await.expect("it ends").expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Output {
        code: output.status.code().expect("no signal ended it"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
