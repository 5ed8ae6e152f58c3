//! How a user is reached: an address, a name, a language, a time zone.
//!
//! Each is parsed once, at the door (API, configuration, store), by our own policy: narrower than the RFCs, and wide
//! enough for every mailbox that a bank's customer has. Behind the door nobody checks again. Nothing here prints an
//! address or a name by accident: `Debug` masks, `Display` is missing. Time zones are read from the system's database
//! by `jiff`, which counts as a constant here, as it does in [`window`](super::window).

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use url::Host;

use super::plain;

/// The longest address, in bytes: the 256 of a path in RFC 5321 section 4.5.3.1.3, less its angle brackets.
pub const ADDRESS_BYTES_MAX: usize = 254;

/// The longest part before the @, in bytes: RFC 5321 section 4.5.3.1.1.
pub const LOCAL_PART_BYTES_MAX: usize = 64;

/// The longest name of a person, in characters. More than that is no salutation.
pub const PERSON_NAME_CHARS_MAX: usize = 100;

/// The longest language tag, in bytes: what RFC 5646 section 4.4.1 asks implementations to bear.
pub const LOCALE_BYTES_MAX: usize = 35;

/// Why a text is no address that a letter can be sent to. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than [`ADDRESS_BYTES_MAX`], or [`LOCAL_PART_BYTES_MAX`] before the @.
    #[error("is longer than {ADDRESS_BYTES_MAX} bytes, or {LOCAL_PART_BYTES_MAX} before the @")]
    TooLong,
    /// None, or several.
    #[error("needs exactly one @")]
    AtSign,
    /// Empty, quoted, with a space or a control character, beyond ASCII, or with a dot in the wrong place.
    #[error("has a part before the @ that is not made of ASCII letters, digits, single dots and !#$%&'*+/=?^_`{{|}}~-")]
    LocalPart,
    /// An address literal, a domain without a dot, or no domain at all.
    #[error("has no domain name with a dot after the @")]
    Domain,
}

/// An address that letters can be sent to. Its domain is in A-labels and lower case, so SMTPUTF8 is never needed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    text: String,
    at: usize,
}

impl EmailAddress {
    /// Parses a bare address, without a name and without angle brackets.
    ///
    /// # Errors
    /// [`AddressError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // Before the domain is looked at: IDNA on a text of megabytes is work for nothing.
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(AddressError::AtSign)?;
        if domain.contains('@') {
            return Err(AddressError::AtSign);
        }
        if !is_dot_atom(local) {
            return Err(AddressError::LocalPart);
        }
        let domain = domain_in_a_labels(domain).ok_or(AddressError::Domain)?;
        let text = format!("{local}@{domain}");
        if text.len() > ADDRESS_BYTES_MAX || local.len() > LOCAL_PART_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self { at: local.len(), text })
    }

    /// The whole address. For the envelope, the header and the store; never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain, in A-labels and lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The address under which a mailbox is found again: all in lower case. By RFC 5321 the part before the @ is
    /// case-sensitive, but no mail provider makes use of that, and a bounce or an opt-out often comes back in other
    /// case.
    #[must_use]
    pub fn for_lookup(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// The address as a person may see it in a list: the first character and the domain.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("{}…@{}", &self.text[..1], self.domain())
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
    })
}

/// The domain in A-labels, if it is a name of at least two labels that DNS can carry.
fn domain_in_a_labels(domain: &str) -> Option<String> {
    // `Host::parse` reads a URL's host: it would decode %41 and take [::1] and 1.2.3.4.
    if domain.contains(['%', '[', ':']) {
        return None;
    }
    let Ok(Host::Domain(name)) = Host::parse(domain) else { return None };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.contains('.') && name.split('.').all(is_label)).then_some(name)
}

/// What to call a user in a letter. Comes from the user, by way of the application: untrusted text.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// Cleans a name as [`plain::person`] does, and cuts it at [`PERSON_NAME_CHARS_MAX`].
    ///
    /// Nothing, so that the letter greets without a name, if nothing is left, or if it looks like an address of a page
    /// or a mailbox: mail programs would make a link of it, in a letter that asks to press one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The limit on the input bounds the work; white space and control characters are few in what is honest.
        let head: String = text.chars().take(10 * PERSON_NAME_CHARS_MAX).collect();
        plain::person(&head, PERSON_NAME_CHARS_MAX).map(Self)
    }

    /// The name. For the letter and the store; never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(…)")
    }
}

/// Why a text is no language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no language tag, such as \"en\" or \"pt-BR\"")]
pub struct LocaleError;

/// A language tag like those of RFC 5646: `en`, `pt-BR`, `zh-Hant-TW`. Whether there are letters in that language is
/// decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale(String);

impl Locale {
    /// Parses a tag: a language of 2 or 3 letters, then subtags of 1 to 8 letters or digits, divided by `-` or `_`. The
    /// case becomes the usual one: `EN_us` is `en-US`.
    ///
    /// # Errors
    /// [`LocaleError`] if it is anything else, or longer than [`LOCALE_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, LocaleError> {
        if text.len() > LOCALE_BYTES_MAX {
            return Err(LocaleError);
        }
        let mut tag = String::with_capacity(text.len());
        for (place, subtag) in text.split(['-', '_']).enumerate() {
            let fits = match place {
                0 => matches!(subtag.len(), 2 | 3) && subtag.bytes().all(|b| b.is_ascii_alphabetic()),
                _ => (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric()),
            };
            if !fits {
                return Err(LocaleError);
            }
            if place > 0 {
                tag.push('-');
            }
            tag.push_str(&in_usual_case(place, subtag));
        }
        Ok(Self(tag))
    }

    /// The tag in its usual case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language without script and region: `pt` of `pt-BR`.
    #[must_use]
    pub fn language(&self) -> &str {
        self.0.split_once('-').map_or(self.as_str(), |(language, _)| language)
    }

    /// The tag and then ever more general ones: `zh-Hant-TW`, `zh-Hant`, `zh`.
    pub fn fallbacks(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |tag| tag.rsplit_once('-').map(|(general, _)| general))
    }
}

fn in_usual_case(place: usize, subtag: &str) -> String {
    match (place, subtag.len()) {
        (1.., 2) => subtag.to_ascii_uppercase(),
        (1.., 4) if subtag.bytes().all(|b| b.is_ascii_alphabetic()) => {
            subtag[..1].to_ascii_uppercase() + &subtag[1..].to_ascii_lowercase()
        }
        _ => subtag.to_ascii_lowercase(),
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Locale {
    type Error = LocaleError;
    fn try_from(text: String) -> Result<Self, LocaleError> {
        Self::parse(&text)
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.0
    }
}

/// Why a text is no time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no time zone of the IANA database, such as \"Europe/Berlin\"")]
pub struct ZoneError;

/// A time zone of the IANA database, by name and with its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName {
    name: String,
    zone: TimeZone,
}

impl ZoneName {
    /// Looks up a zone by its IANA name. The case does not matter.
    ///
    /// # Errors
    /// [`ZoneError`] if the database does not know it.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let zone = TimeZone::get(text).map_err(|_| ZoneError)?;
        if zone.is_unknown() {
            return Err(ZoneError);
        }
        let name = zone.iana_name().ok_or(ZoneError)?.to_owned();
        Ok(Self { name, zone })
    }

    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The name, as the database spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The rules of the zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl TryFrom<String> for ZoneName {
    type Error = ZoneError;
    fn try_from(text: String) -> Result<Self, ZoneError> {
        Self::parse(&text)
    }
}

impl From<ZoneName> for String {
    fn from(zone: ZoneName) -> Self {
        zone.name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> String {
        EmailAddress::parse(text).expect("an address").as_str().to_owned()
    }

    #[test]
    fn addresses_become_plain_ascii() {
        assert_eq!(parsed("user-1@example.com"), "user-1@example.com");
        assert_eq!(parsed("User.One+tag@Mail.Example.COM"), "User.One+tag@mail.example.com");
        assert_eq!(parsed("user@bücher.example"), "user@xn--bcher-kva.example");
        assert_eq!(EmailAddress::parse("A.B@Example.com").expect("an address").for_lookup(), "a.b@example.com");
    }

    #[test]
    fn refuses_what_a_mail_server_or_a_header_would_stumble_over() {
        let long = |local: usize| format!("{}@example.com", "a".repeat(local));
        for (text, error) in [
            ("", AddressError::AtSign),
            ("user", AddressError::AtSign),
            ("a@b@example.com", AddressError::AtSign),
            ("@example.com", AddressError::LocalPart),
            ("a b@example.com", AddressError::LocalPart),
            (" a@example.com", AddressError::LocalPart),
            ("a\r\nBcc: b@example.com", AddressError::LocalPart),
            ("a\u{0}@example.com", AddressError::LocalPart),
            ("\"a b\"@example.com", AddressError::LocalPart),
            (".a@example.com", AddressError::LocalPart),
            ("a..b@example.com", AddressError::LocalPart),
            ("ü@example.com", AddressError::LocalPart),
            ("One <a@example.com>", AddressError::LocalPart),
            ("a@", AddressError::Domain),
            ("a@localhost", AddressError::Domain),
            ("a@[127.0.0.1]", AddressError::Domain),
            ("a@127.0.0.1", AddressError::Domain),
            ("a@[::1]", AddressError::Domain),
            ("a@example..com", AddressError::Domain),
            ("a@example.com.", AddressError::Domain),
            ("a@-example.com", AddressError::Domain),
            ("a@ex_ample.com", AddressError::Domain),
            ("a@ex%61mple.com", AddressError::Domain),
            ("a@example.com\n", AddressError::Domain),
            ("a@example.com ", AddressError::Domain),
            (&long(65), AddressError::TooLong),
            (&long(300), AddressError::TooLong),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(error), "{text:?}");
        }
        assert!(EmailAddress::parse(&long(64)).is_ok());
    }

    #[test]
    fn nothing_prints_an_address_or_a_name_by_accident() {
        let address = EmailAddress::parse("canary@example.com").expect("an address");
        assert_eq!(format!("{address:?}"), "c…@example.com");
        let name = PersonName::parse("Canary").expect("a name");
        assert!(!format!("{name:?}").contains("Canary"));
    }

    #[test]
    fn names_are_one_clean_line() {
        let clean = |text: &str| PersonName::parse(text).map(|name| name.0);
        assert_eq!(clean("  User\r\n\t One \u{7}"), Some("User One".to_owned()));
        assert_eq!(clean("User\u{202e}enO"), Some("UserenO".to_owned()));
        assert_eq!(clean("a\u{2028}b"), Some("a b".to_owned()));
        assert_eq!(clean(&"é".repeat(500)), Some(format!("{}…", "é".repeat(99))));
        for nothing in ["", " \n", "\u{0}", "see https://evil.example", "WWW.evil.example", "a@evil.example"] {
            assert_eq!(clean(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn tags_get_their_usual_case_and_fall_back() {
        let tag = |text: &str| Locale::parse(text).map(String::from);
        assert_eq!(tag("EN_us"), Ok("en-US".to_owned()));
        assert_eq!(tag("ZH-hANT-tw"), Ok("zh-Hant-TW".to_owned()));
        assert_eq!(tag("es-419"), Ok("es-419".to_owned()));
        for bad in ["", "e", "english", "en-", "-en", "en US", "e1", "../etc", "en\n", "é-FR"] {
            assert_eq!(tag(bad), Err(LocaleError), "{bad:?}");
        }
        let locale = Locale::parse("zh-Hant-TW").expect("a tag");
        assert_eq!(locale.fallbacks().collect::<Vec<_>>(), ["zh-Hant-TW", "zh-Hant", "zh"]);
        assert_eq!(locale.language(), "zh");
    }

    #[test]
    fn zones_are_those_of_the_database() {
        assert_eq!(ZoneName::parse("europe/berlin").map(String::from), Ok("Europe/Berlin".to_owned()));
        assert_eq!(ZoneName::parse("UTC"), Ok(ZoneName::utc()));
        for bad in ["", "Europe/Atlantis", "Etc/Unknown", "../../etc/passwd", "+02:00"] {
            assert_eq!(ZoneName::parse(bad), Err(ZoneError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_parses_again(text in any::<String>()) {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert!(address.as_str().is_ascii());
                prop_assert_eq!(EmailAddress::parse(address.as_str()), Ok(address));
            }
            if let Some(name) = PersonName::parse(&text) {
                prop_assert_eq!(PersonName::parse(name.as_str()), Some(name));
            }
            if let Ok(locale) = Locale::parse(&text) {
                prop_assert_eq!(Locale::parse(locale.as_str()), Ok(locale));
            }
            let _ = ZoneName::parse(&text);
        }

        #[test]
        fn anything_with_an_at_sign_is_an_address_or_an_error(text in "[!-~ü]{0,12}@[!-~ü]{0,12}\\.[!-~]{1,5}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert!(!address.domain().is_empty());
                prop_assert_eq!(EmailAddress::parse(address.as_str()), Ok(address));
            }
        }
    }
}
