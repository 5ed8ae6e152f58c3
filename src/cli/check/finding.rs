//! What the doctor found: pass, warn or fail, in one sentence each, and what to do about it.

use std::fmt::Write as _;

use serde::Serialize;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Pass,
    /// Not as it should be, or not known; relinkd works.
    Warn,
    /// Something does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Its name, for programs.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// How it is.
    pub(super) says: String,
    /// One command to run or one line to write; each failure has one.
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn pass(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, level: Level::Pass, says: says.into(), next: None }
    }

    pub(super) fn warn(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, says: says.into(), next: None }
    }

    pub(super) fn fail(check: &'static str, says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, says: says.into(), next: Some(next.into()) }
    }

    /// The same, with what to do about it.
    pub(super) fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

/// Whether relinkd can do its work.
pub(super) fn none_failed(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Fail)
}

/// The findings for people.
pub(super) fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { check, level, says, next } in findings {
        let level = match level {
            Level::Pass => "pass",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let _ = writeln!(text, "{level}  {check:width$}  {says}");
        if let Some(next) = next {
            let _ = writeln!(text, "      {:width$}  Next: {next}", "");
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (warned, failed) = (count(Level::Warn), count(Level::Fail));
    let _ = writeln!(text, "{} checks: {warned} to look at, {failed} failed.", findings.len());
    text
}

/// A span of time as people say it.
pub(super) fn span(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}
