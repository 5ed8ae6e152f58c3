//! Where the words of all languages and the layout of letters are kept ready for use.
//!
//! Each sentence is a template of its own, rendered to plain text; the layout then escapes it once, for HTML. So a
//! translator writes no markup, and a bank's name reaches the HTML through one door.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use super::language::Language;

/// The layout and the words of all languages, read once at start.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

/// Why the words of a language are not fit for use.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// The file is no TOML.
    #[error("words of {language}: {source}")]
    Toml {
        /// The language.
        language: &'static str,
        /// What TOML says.
        source: Box<toml::de::Error>,
    },
    /// A value that is neither text nor a list of texts.
    #[error("words of {language}: {key} is no text")]
    NotText {
        /// The language.
        language: &'static str,
        /// Which value.
        key: String,
    },
    /// Not the same keys as in English.
    #[error("words of {language}: keys missing or unknown: {keys}")]
    Keys {
        /// The language.
        language: &'static str,
        /// Which ones.
        keys: String,
    },
    /// A text that is no template.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
}

impl Templates {
    /// Reads what is built into the program.
    ///
    /// # Errors
    /// A mistake in a language's words; a test sees to it that there is none in a release.
    pub fn built_in() -> Result<Self, WordsError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_formatter(format);
        environment.add_template("layout/letter.txt", include_str!("layout/letter.txt"))?;
        environment.add_template("layout/letter.html", include_str!("layout/letter.html"))?;
        let mut english: Option<BTreeSet<String>> = None;
        for language in Language::ALL {
            let sentences = read_words(language.tag(), language.words())?;
            let keys: BTreeSet<String> = sentences.iter().map(|(key, _)| key.clone()).collect();
            let expected = english.get_or_insert_with(|| keys.clone());
            let odd: Vec<&str> = keys.symmetric_difference(expected).map(String::as_str).collect();
            if !odd.is_empty() {
                return Err(WordsError::Keys { language: language.tag(), keys: odd.join(", ") });
            }
            for (key, text) in sentences {
                environment.add_template_owned(sentence_name(language, &key), text)?;
            }
        }
        Ok(Self { environment })
    }

    /// One sentence as plain text.
    ///
    /// # Errors
    /// The sentence does not exist or asks for something that `facts` lacks.
    pub(super) fn say(&self, language: Language, key: &str, facts: &Value) -> Result<String, minijinja::Error> {
        self.environment.get_template(&sentence_name(language, key))?.render(facts)
    }

    /// The layout, filled with sentences: `txt` or `html`.
    pub(super) fn lay_out(&self, kind: &str, view: &Value) -> Result<String, minijinja::Error> {
        self.environment.get_template(&format!("layout/letter.{kind}"))?.render(view)
    }

    /// A day as it falls in the user's time zone, with weekday and year, so that it cannot be misread.
    pub(super) fn date(&self, language: Language, at: Timestamp, zone: &TimeZone) -> Result<String, minijinja::Error> {
        let day = zone.to_datetime(at).date();
        let nothing = context! {};
        let weekday = format!("date.weekdays.{}", day.weekday().to_monday_zero_offset());
        let facts = context! {
            weekday => self.say(language, &weekday, &nothing)?,
            day => day.day(),
            month => self.say(language, &format!("date.months.{}", day.month() - 1), &nothing)?,
            year => day.year(),
        };
        self.say(language, "date.full", &facts)
    }
}

fn sentence_name(language: Language, key: &str) -> String {
    format!("{}/{key}.txt", language.tag())
}

/// All texts of a language with their dotted keys.
fn read_words(language: &'static str, words: &str) -> Result<Vec<(String, String)>, WordsError> {
    let table: toml::Table = words.parse().map_err(|source| WordsError::Toml { language, source: Box::new(source) })?;
    let mut open: Vec<(String, toml::Value)> = table.into_iter().collect();
    let mut sentences = Vec::new();
    while let Some((key, value)) = open.pop() {
        match value {
            toml::Value::String(text) => sentences.push((key, text)),
            toml::Value::Table(table) => {
                open.extend(table.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            toml::Value::Array(list) => {
                open.extend(list.into_iter().enumerate().map(|(index, value)| (format!("{key}.{index}"), value)));
            }
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => {
                return Err(WordsError::NotText { language, key });
            }
        }
    }
    Ok(sentences)
}

/// Escapes the five characters that mean something in HTML. The engine's own escaping also rewrites `/`, which makes
/// links unreadable for people and for spam filters.
fn format(out: &mut minijinja::Output, state: &mut minijinja::State, value: &Value) -> Result<(), minijinja::Error> {
    let is_html = matches!(state.auto_escape(), AutoEscape::Html);
    let Some(text) = value.as_str().filter(|_| is_html && !value.is_safe()) else {
        return minijinja::escape_formatter(out, state, value);
    };
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            other => out.write_char(other),
        }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_fall_in_the_users_zone_and_cannot_be_misread() {
        let templates = Templates::built_in().expect("words");
        let at: Timestamp = "2026-11-30T23:30:00Z".parse().expect("a time");
        let in_zone = |name: &str| {
            let zone = TimeZone::get(name).expect("a zone");
            templates.date(Language::English, at, &zone).expect("a date")
        };
        assert_eq!(in_zone("UTC"), "Monday, 30 November 2026");
        assert_eq!(in_zone("Europe/Berlin"), "Tuesday, 1 December 2026");
        assert_eq!(in_zone("Pacific/Honolulu"), "Monday, 30 November 2026");
    }

    #[test]
    fn every_month_and_weekday_has_a_name() {
        let templates = Templates::built_in().expect("words");
        let start: Timestamp = "2027-01-01T12:00:00Z".parse().expect("a time");
        let mut seen = BTreeSet::new();
        for language in Language::ALL {
            for day in 0..366 {
                let at = start + jiff::SignedDuration::from_hours(24 * day);
                seen.insert(templates.date(language, at, &TimeZone::UTC).expect("a date"));
            }
        }
        assert_eq!(seen.len(), 366 * Language::ALL.len());
    }

    #[test]
    fn a_fact_that_is_missing_is_an_error() {
        let templates = Templates::built_in().expect("words");
        let error =
            templates.say(Language::English, "login_required.title", &context! {}).expect_err("bank is missing");
        assert!(format!("{error:#}").contains("undefined"), "{error:#}");
    }

    #[test]
    fn only_texts_are_words() {
        assert!(matches!(read_words("xx", "a = 1"), Err(WordsError::NotText { .. })));
        assert!(matches!(read_words("xx", "a = "), Err(WordsError::Toml { .. })));
    }
}
