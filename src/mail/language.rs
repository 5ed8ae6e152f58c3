//! The languages in which letters are written, and the way from a user's locale to one of them.
//!
//! A language is one variant here and one `languages/<tag>/words.toml`. The layout of a letter is the same in all of them
//! and knows no words.

/// A language in which there is a complete set of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
}

impl Language {
    /// Every language, the fallback first.
    pub const ALL: [Self; 1] = [Self::English];

    /// Its tag after BCP 47: for `lang` attributes and `Content-Language`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
        }
    }

    /// The language for a locale like `pt-BR`, `pt_BR.UTF-8` or `pt`: the whole tag first, then its language alone, then English.
    #[must_use]
    pub fn for_locale(locale: &str) -> Self {
        let locale = locale.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
        let base = locale.split('-').next().unwrap_or_default();
        let with_tag = |tag: &str| Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(tag));
        with_tag(&locale).or_else(|| with_tag(base)).unwrap_or(Self::English)
    }

    /// The words, as TOML.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::English => include_str!("languages/en/words.toml"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_finds_its_language_or_english() {
        for locale in ["en", "EN-us", "en_GB.UTF-8", "en@latin", "tlh", "", "-", "zz-ZZ"] {
            assert_eq!(Language::for_locale(locale), Language::English, "{locale}");
        }
        for language in Language::ALL {
            assert_eq!(Language::for_locale(language.tag()), language);
        }
    }
}
