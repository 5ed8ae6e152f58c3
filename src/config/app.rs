//! `[app]`: the brand that writes to the users.

use url::Url;

use super::address::{line, page};
use super::section::{Section, Wrong};
use crate::domain::contact::{EmailAddress, Locale, ZoneName};

/// The languages in which there are letters. A language is added here when its letters are.
pub const LANGUAGES: &[&str] = &["en"];

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
    /// The language of users who have none of their own. One of [`LANGUAGES`].
    pub locale: Locale,
    /// The time zone of users who have none of their own.
    pub time_zone: ZoneName,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<App> {
    let name = section.required("name", line(NAME_CHARS_MAX));
    let url = section.required("url", page);
    let support_email = section.required("support_email", EmailAddress::parse);
    let locale = section.optional("locale", language);
    let time_zone = section.optional("time_zone", ZoneName::parse);
    Some(App {
        name: name?,
        url: url?,
        support_email: support_email?,
        locale: locale.unwrap_or_else(|| Locale::parse("en").expect("a tag")),
        time_zone: time_zone.unwrap_or_else(ZoneName::utc),
    })
}

fn language(text: &str) -> Result<Locale, Wrong> {
    let locale = Locale::parse(text)?;
    if LANGUAGES.contains(&locale.as_str()) {
        return Ok(locale);
    }
    let known: Vec<_> = LANGUAGES.iter().map(|tag| format!("\"{tag}\"")).collect();
    Err(format!("is a language without letters; there are letters in {}", known.join(", ")).into())
}
