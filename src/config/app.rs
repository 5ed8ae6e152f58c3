//! `[app]`: the brand that writes to the users.

use url::Url;

use super::address::{line, page};
use super::section::{Section, Wrong};
use crate::domain::contact::{EmailAddress, Locale, ZoneName};
use crate::domain::language::Language;

/// The longest name, in characters: Link shows it, and Plaid's `client_name` takes no more.
const NAME_CHARS_MAX: usize = 30;

/// The brand that writes to the users.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name, as users know it; at most 30 characters.
    pub name: String,
    /// Its home page.
    pub url: Url,
    /// Where users get help.
    pub support_email: EmailAddress,
    /// The language of users who have none of their own, or one that is off. One of `[mail] languages`.
    pub language: Language,
    /// The time zone of users who have none of their own.
    pub time_zone: ZoneName,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<App> {
    let name = section.required("name", line(NAME_CHARS_MAX));
    let url = section.required("url", page);
    let support_email = section.required("support_email", EmailAddress::parse);
    let language = section.optional("locale", language);
    let time_zone = section.optional("time_zone", ZoneName::parse);
    Some(App {
        name: name?,
        url: url?,
        support_email: support_email?,
        language: language.unwrap_or(Language::English),
        time_zone: time_zone.unwrap_or_else(ZoneName::utc),
    })
}

/// A language by its tag, or by one that has it as its nearest, such as `nb-NO`.
pub(super) fn language(text: &str) -> Result<Language, Wrong> {
    let locale = Locale::parse(text)?;
    Language::nearest(&locale, &Language::ALL).ok_or_else(|| {
        let known: Vec<_> = Language::ALL.into_iter().map(|language| format!("\"{}\"", language.tag())).collect();
        format!("is a language without letters; there are letters in {}", known.join(", ")).into()
    })
}
