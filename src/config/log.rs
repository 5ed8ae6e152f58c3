//! `[log]`: how much is said, and in which form.

use tracing_subscriber::EnvFilter;

use super::address::word;
use super::section::{Section, Wrong};

/// What a filter says for everything that it does not name.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How much is said, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`, which takes it.
    pub level: String,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Log {
    let format = section.optional("format", word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    let level = section.optional("level", filter);
    Log { format: format.unwrap_or(LogFormat::Text), level: level.unwrap_or_else(|| "info".to_owned()) }
}

fn filter(text: &str) -> Result<String, Wrong> {
    // A word that is no level would be taken for the name of a module, and switch all of that module on.
    let is_directive = |part: &str| part.contains(['=', '[']) || LEVELS.contains(&part.trim());
    if !text.split(',').all(is_directive) {
        return Err(format!("is none of {}, and no filter such as \"info,relinkd=debug\"", LEVELS.join(", ")).into());
    }
    EnvFilter::try_new(text).map_err(|_| "is no filter such as \"info,relinkd=debug\"")?;
    Ok(text.to_owned())
}
