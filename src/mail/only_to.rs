//! To whom letters may leave: `[mail] only_to`, so that a staging system never writes to real people.
//!
//! It only answers yes or no. A letter that may not leave is still composed; the caller writes it down as not sent.

use std::fmt;

/// Why a text is no pattern of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnlyToError {
    /// Nothing in it.
    #[error("is empty: write an address, \"@domain\", or \"*\" for any part")]
    Empty,
    /// It could never match an address.
    #[error("{0:?} has no @: write an address, \"@{0}\", or \"*\" for any part")]
    NoAt(String),
    /// A character that stands in no address.
    #[error("{0:?} has a space or a control character")]
    Space(String),
}

/// The addresses to which letters may leave. Without a pattern: all.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OnlyTo {
    patterns: Vec<String>,
}

// The patterns may be addresses of people: they stay out of logs.
impl fmt::Debug for OnlyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnlyTo({} patterns)", self.patterns.len())
    }
}

impl OnlyTo {
    /// Reads patterns: an address, `@domain` for all of that domain (not its subdomains), `*` for any run of characters.
    ///
    /// # Errors
    /// The first pattern that could not be meant as written.
    pub fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, OnlyToError> {
        let patterns = patterns.into_iter().map(|pattern| parse_pattern(pattern.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Whether a letter to this address may leave. Upper and lower case are one.
    #[must_use]
    pub fn allows(&self, address: &str) -> bool {
        let address = address.trim().to_lowercase();
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| matches(pattern.as_bytes(), address.as_bytes()))
    }

    /// Whether every address is allowed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.patterns.is_empty()
    }
}

fn parse_pattern(pattern: &str) -> Result<String, OnlyToError> {
    let pattern = pattern.trim().to_lowercase();
    if pattern.is_empty() {
        return Err(OnlyToError::Empty);
    }
    if pattern.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(OnlyToError::Space(pattern));
    }
    if !pattern.contains(['@', '*']) {
        return Err(OnlyToError::NoAt(pattern));
    }
    Ok(if pattern.starts_with('@') { format!("*{pattern}") } else { pattern })
}

/// Whether the whole text matches, `*` standing for any run. One step back is enough, so the time is bounded by the
/// product of the lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            p = after_star;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(patterns: &[&str]) -> OnlyTo {
        OnlyTo::parse(patterns).expect("patterns")
    }

    #[test]
    fn nothing_said_allows_all() {
        assert!(only(&[]).allows("anyone@example.com"));
        assert!(only(&[]).is_open());
    }

    #[test]
    fn an_address_a_domain_a_star() {
        let exact = only(&["Tester@Example.com"]);
        assert!(exact.allows("tester@example.COM"));
        assert!(!exact.allows("atester@example.com"));
        assert!(!exact.allows("tester@example.com.evil.example"));

        let domain = only(&["@example.com"]);
        assert!(domain.allows("anyone@example.com"));
        assert!(!domain.allows("anyone@sub.example.com"));
        assert!(!domain.allows("anyone@notexample.com"));
        assert!(!domain.allows("x@example.com@other.example"));

        let star = only(&["qa+*@example.com", "*@*.test"]);
        assert!(star.allows("qa+17@example.com"));
        assert!(!star.allows("qa17@example.com"));
        assert!(star.allows("a@b.test"));
        assert!(!star.allows("a@b.test.example"));
        assert!(only(&["*"]).allows("a@b.example"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = only(&[&"*a".repeat(200)]);
        assert!(!pattern.allows(&format!("{}@b", "a".repeat(20_000))));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        assert_eq!(OnlyTo::parse(["example.com"]), Err(OnlyToError::NoAt("example.com".to_owned())));
        assert_eq!(OnlyTo::parse([" "]), Err(OnlyToError::Empty));
        assert!(matches!(OnlyTo::parse(["a b@c"]), Err(OnlyToError::Space(_))));
    }

    #[test]
    fn debug_shows_no_address() {
        assert_eq!(format!("{:?}", only(&["tester@example.com"])), "OnlyTo(1 patterns)");
    }
}
