//! The languages in which users are spoken to: those of Plaid Link, so that letter, page and Link can speak the same one.
//!
//! Only their names. The words stand with whoever says them: in `mail` and in `web::page`. To add one: a variant here, its
//! `words.toml` for letters, its file for the page; the compiler and the tests list the rest.

use super::contact::Locale;

/// A language in which there is a complete set of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are the names of languages")]
pub enum Language {
    English,
    Spanish,
    French,
    Danish,
    Dutch,
    Estonian,
    German,
    Hindi,
    Italian,
    Latvian,
    Lithuanian,
    Norwegian,
    Polish,
    Portuguese,
    Romanian,
    Swedish,
    Vietnamese,
}

impl Language {
    /// Every language; those that are on by default first.
    pub const ALL: [Self; 17] = [
        Self::English,
        Self::Spanish,
        Self::French,
        Self::Danish,
        Self::Dutch,
        Self::Estonian,
        Self::German,
        Self::Hindi,
        Self::Italian,
        Self::Latvian,
        Self::Lithuanian,
        Self::Norwegian,
        Self::Polish,
        Self::Portuguese,
        Self::Romanian,
        Self::Swedish,
        Self::Vietnamese,
    ];

    /// Those that are spoken unless the operator says otherwise. The others are complete, but no native speaker has read
    /// them: a clumsy letter looks like phishing.
    pub const BY_DEFAULT: [Self; 3] = [Self::English, Self::Spanish, Self::French];

    /// Its tag after BCP 47, as Plaid's `language` takes it too.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
            Self::French => "fr",
            Self::Danish => "da",
            Self::Dutch => "nl",
            Self::Estonian => "et",
            Self::German => "de",
            Self::Hindi => "hi",
            Self::Italian => "it",
            Self::Latvian => "lv",
            Self::Lithuanian => "lt",
            Self::Norwegian => "no",
            Self::Polish => "pl",
            Self::Portuguese => "pt",
            Self::Romanian => "ro",
            Self::Swedish => "sv",
            Self::Vietnamese => "vi",
        }
    }

    /// The language of a tag. Norwegian has three: `no`, and its two written forms `nb` and `nn`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        let tag = match tag {
            "nb" | "nn" => "no",
            other => other,
        };
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// Of `spoken` the nearest to a user's locale: `pt-BR`, then `pt`; nothing if none of them is near.
    #[must_use]
    pub fn nearest(locale: &Locale, spoken: &[Self]) -> Option<Self> {
        locale.fallbacks().filter_map(Self::from_tag).find(|language| spoken.contains(language))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn nearest(locale: &str, spoken: &[Language]) -> Option<Language> {
        Language::nearest(&Locale::parse(locale).expect("a locale"), spoken)
    }

    #[test]
    fn there_are_the_languages_of_plaid_link() {
        let tags: BTreeSet<&str> = Language::ALL.into_iter().map(Language::tag).collect();
        let links = "da nl en et fr de hi it lv lt no pl pt ro es sv vi";
        assert_eq!(tags, links.split(' ').collect());
        assert_eq!(Language::ALL[..3], Language::BY_DEFAULT);
    }

    #[test]
    fn a_locale_finds_the_nearest_language() {
        for (locale, language) in [
            ("pt-BR", Some(Language::Portuguese)),
            ("pt", Some(Language::Portuguese)),
            ("es-419", Some(Language::Spanish)),
            ("en_us", Some(Language::English)),
            ("nb-NO", Some(Language::Norwegian)),
            ("nn", Some(Language::Norwegian)),
            ("no", Some(Language::Norwegian)),
            ("hi-Latn-IN", Some(Language::Hindi)),
            ("tlh", None),
            ("zh-Hant-TW", None),
        ] {
            assert_eq!(nearest(locale, &Language::ALL), language, "{locale}");
        }
        assert_eq!(nearest("de-AT", &Language::BY_DEFAULT), None);
        assert_eq!(nearest("fr-CA", &Language::BY_DEFAULT), Some(Language::French));
    }
}
