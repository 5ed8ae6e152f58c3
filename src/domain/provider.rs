//! Mailbox providers, and how many letters a day each may get from us.
//!
//! A provider counts what a sender sends to all of its domains together. Gmail calls whoever sends some 5,000 a day once a
//! bulk sender for good.

/// Domains that belong to one provider, which is named by the first.
const FAMILIES: [&[&str]; 4] = [
    &["gmail.com", "googlemail.com"],
    &["outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "hotmail.fr", "hotmail.de", "outlook.de"],
    &["yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de"],
    &["icloud.com", "me.com", "mac.com"],
];

/// The provider of a domain: the first of its family, or the domain itself. In lower case, as an address has it.
#[must_use]
pub fn of(domain: &str) -> &str {
    FAMILIES.iter().find(|family| family.contains(&domain)).map_or(domain, |family| family[0])
}

/// How many letters a day a provider gets at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    /// The provider.
    pub provider: String,
    /// So many letters from midnight to midnight in UTC.
    pub letters: u32,
}

/// The caps of all providers that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps(Vec<Cap>);

impl Caps {
    /// Caps by the names of domains. Of two for one provider the lower one counts.
    #[must_use]
    pub fn new(mut caps: Vec<Cap>) -> Self {
        for cap in &mut caps {
            cap.provider = of(&cap.provider).to_owned();
        }
        caps.sort_by(|a, b| a.provider.cmp(&b.provider).then(a.letters.cmp(&b.letters)));
        caps.dedup_by(|later, first| later.provider == first.provider);
        Self(caps)
    }

    /// The cap for addresses of a domain.
    #[must_use]
    pub fn of(&self, domain: &str) -> Option<&Cap> {
        let provider = of(domain);
        self.0.iter().find(|cap| cap.provider == provider)
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self(vec![Cap { provider: "gmail.com".to_owned(), letters: 4000 }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_holds_for_all_domains_of_a_provider() {
        let caps = Caps::default();
        assert_eq!(caps.of("googlemail.com").map(|cap| cap.letters), Some(4000));
        assert_eq!(caps.of("gmail.com"), caps.of("googlemail.com"));
        assert_eq!(caps.of("example.com"), None);
        let cap = |provider: &str, letters| Cap { provider: provider.to_owned(), letters };
        let caps = Caps::new(vec![cap("hotmail.com", 9), cap("live.com", 5), cap("example.com", 1)]);
        assert_eq!(caps.of("outlook.com"), Some(&cap("outlook.com", 5)));
        assert_eq!(caps.of("example.com"), Some(&cap("example.com", 1)));
    }
}
