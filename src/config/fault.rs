//! What is wrong with a configuration, told so that it can be put right without a second look into the documentation.
//!
//! A fault never carries a secret: values of secret keys and of keys that we do not know are left out, and what stands
//! before the @ of an address of a server is masked. Does not decide what is wrong; the sections do.

use std::fmt;

use serde::Serialize;

/// The longest value that a fault repeats, in characters. It is there to be recognised, not to be read.
const SHOWN_CHARS_MAX: usize = 80;

/// Where a fault is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// The file as a whole.
    File {
        /// Its path, as it was given.
        file: String,
    },
    /// A place in the file.
    Spot {
        /// Its path, as it was given.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        variable: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file } => f.write_str(file),
            Self::Spot { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable { variable } => f.write_str(variable),
        }
    }
}

/// One thing that is wrong, or (as a warning) not wise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The key with its section, such as `mail.smtp_url`. Nothing where the file cannot be read at all.
    pub key: Option<String>,
    /// The value as it was given, in quotes if it is a text; nothing if there is none, or if it could be a secret.
    pub value: Option<String>,
    /// What is wrong: a fragment whose subject is the key.
    pub problem: String,
    /// What to write instead: a sentence.
    pub remedy: String,
    /// The known key that was probably meant.
    pub nearest: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, "{key} = {value}: ")?,
            (Some(key), None) => write!(f, "{key}: ")?,
            (None, _) => {}
        }
        let stop = if self.problem.ends_with('?') { "" } else { "." };
        write!(f, "{}{stop} {}", self.problem, self.remedy)
    }
}

/// All that is wrong with a configuration: at least one fault, those of the file first, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// At least one fault.
    #[must_use]
    pub fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| a.place.cmp(&b.place));
        Self(faults)
    }

    /// The faults, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// A text as a fault may repeat it: in quotes, short, without a user's name, password or query of an address, and
/// without all that follows its first line (a text that was not closed swallows the lines below, and a secret can stand
/// there).
pub(super) fn shown(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let masked = without_query(&without_user(first));
    let mut short: String = masked.chars().take(SHOWN_CHARS_MAX).collect();
    if masked.chars().nth(SHOWN_CHARS_MAX).is_some() || first.len() < text.len() {
        short.push('…');
    }
    format!("\"{}\"", short.escape_debug().to_string().replace("\\'", "'"))
}

fn without_user(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    // The last @ counts: a password can hold one itself.
    if let Some((before, after)) = rest.rsplit_once('@')
        && (!scheme.is_empty() || before.contains(':'))
    {
        return format!("{scheme}…@{after}");
    }
    // "smtp://user:password" with the host forgotten: what stands where a port belongs is no number.
    if !scheme.is_empty()
        && let Some((before, after)) = rest.rsplit_once(':')
        && !after.split('/').next().unwrap_or_default().bytes().all(|b| b.is_ascii_digit())
        && !after.contains(']')
        && !before.contains('/')
    {
        return format!("{scheme}{before}:…");
    }
    text.to_owned()
}

fn without_query(text: &str) -> String {
    match text.split_once('?') {
        Some((before, _)) if before.contains("://") => format!("{before}?…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_value_is_short_and_keeps_secrets_back() {
        for (text, expected) in [
            ("plain", "\"plain\""),
            ("it's\t\"so\"", "\"it's\\t\\\"so\\\"\""),
            ("first\ncanary", "\"first…\""),
            ("Example <a@b.example>", "\"Example <a@b.example>\""),
            ("smtp://user:canary@mail.example", "\"smtp://…@mail.example\""),
            ("smtp://user:can@ary@mail.example", "\"smtp://…@mail.example\""),
            ("user:canary@mail.example:25", "\"…@mail.example:25\""),
            ("smtp://user:canary", "\"smtp://user:…\""),
            ("https://[::1]:8080/", "\"https://[::1]:8080/\""),
            ("https://a.example:8443/x", "\"https://a.example:8443/x\""),
            ("https://a.example/?key=canary", "\"https://a.example/?…\""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(shown(&"x".repeat(500)), format!("\"{}…\"", "x".repeat(80)));
    }
}
