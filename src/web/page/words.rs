//! All words that the pages show, one file a language, and how their places in braces are filled.
//!
//! Typed, so that a text which is asked for but not written does not compile, and one which is written but not asked for
//! does not load. Not the letters' words: those are in `mail`, which is to know nothing of pages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

use crate::domain::language::Language;
use crate::mail::grammar::Grammar;

static LANGUAGES: LazyLock<Vec<Words>> = LazyLock::new(|| {
    let read = |language| read(language, file(language)).expect("every language file is read by a test");
    Language::ALL.into_iter().map(read).collect()
});

/// The file of a language.
fn file(language: Language) -> &'static str {
    macro_rules! words {
        ($tag:literal) => {
            include_str!(concat!("languages/", $tag, ".toml"))
        };
    }
    match language {
        Language::English => words!("en"),
        Language::Spanish => words!("es"),
        Language::French => words!("fr"),
        Language::Danish => words!("da"),
        Language::Dutch => words!("nl"),
        Language::Estonian => words!("et"),
        Language::German => words!("de"),
        Language::Hindi => words!("hi"),
        Language::Italian => words!("it"),
        Language::Latvian => words!("lv"),
        Language::Lithuanian => words!("lt"),
        Language::Norwegian => words!("no"),
        Language::Polish => words!("pl"),
        Language::Portuguese => words!("pt"),
        Language::Romanian => words!("ro"),
        Language::Swedish => words!("sv"),
        Language::Vietnamese => words!("vi"),
    }
}

/// The words of a language from its file.
fn read(language: Language, file: &str) -> Result<Words, toml::de::Error> {
    Ok(Words { language, ..toml::from_str(file)? })
}

/// The words of a language.
pub(super) fn of(language: Language) -> &'static Words {
    LANGUAGES.iter().find(|words| words.language == language).expect("there are words of every language")
}

/// Fills the places in braces, once: what is filled in is not looked at again, whatever it holds.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let value = after
            .split_once('}')
            .and_then(|(name, tail)| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, tail)));
        match value {
            Some((value, tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            // Left for the script, which fills in the bank.
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

macro_rules! texts {
    ($name:ident: $($key:ident),+) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name { $(pub(super) $key: String),+ }
    };
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    #[serde(skip, default = "english")]
    pub(super) language: Language,
    pub(super) frame: Frame,
    pub(super) repair: Repair,
    pub(super) works: Works,
    pub(super) no_longer: NoLonger,
    pub(super) gone: Gone,
    pub(super) anew: Anew,
    pub(super) trouble: Trouble,
    pub(super) back: Back,
    pub(super) preferences: Preferences,
    pub(super) unsubscribe: Unsubscribe,
    pub(super) missing: Missing,
    pub(super) fault: Fault,
    /// For `page.js`, which names them itself.
    pub(super) script: BTreeMap<String, String>,
}

texts!(Frame: open_app, own_way, help);
texts!(Repair: many_heading, many_lead, login_heading, login_reason, ends_heading, consent_ends_on, consent_ends_soon,
    bank_moves_on, bank_moves_soon, unsaid_ends_on, unsaid_ends_soon, new_accounts_heading, new_accounts_reason,
    withdrawn_heading, withdrawn_reason, works, reconnect_button, renew_button, accounts_button, share_button,
    next_heading, next_plaid, next_bank, next_back, safety, impaired);
texts!(Works: one_heading, many_heading, text, many_text, next);
texts!(NoLonger: heading, text, next, button, sent_heading, sent_text, sent_next);
texts!(Gone: heading, text, next);
texts!(Anew: heading, text, next);
texts!(Trouble: heading, bank, plaid, busy, ours, later, soon, write, again);
texts!(Back: heading, text, next, finishing, again);
texts!(Preferences: heading, lead, all, wanted, week_on, fortnight_on, month_on, paused_on, unwanted, unwanted_on, bank_wanted,
    bank_unwanted, save, saved, undo, later, unreachable);
texts!(Unsubscribe: done_heading, done_text, done_next, done_undo, done_choices, unknown_heading, unknown_text, unknown_next);
texts!(Missing: heading, text);
texts!(Fault: heading, text);

/// The longest number of a day as it is written: "23.", "1er". A year is longer.
const NUMBER_BYTES_MAX: usize = 3;

fn english() -> Language {
    Language::English
}

impl Words {
    /// The day of a moment where the user lives, with the month in words. The number stays with what follows it.
    pub(super) fn day(&self, at: Timestamp, time_zone: &TimeZone) -> String {
        let day = Grammar::of(self.language).day(at, time_zone);
        let (mut together, mut ties) = (String::with_capacity(day.len() + 4), false);
        for word in day.split(' ') {
            if !together.is_empty() {
                together.push(if ties { '\u{a0}' } else { ' ' });
            }
            together.push_str(word);
            let is_number = word.len() <= NUMBER_BYTES_MAX && word.starts_with(|c: char| c.is_ascii_digit());
            // "1 de mayo"
            ties = is_number || (ties && word == "de");
        }
        together
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each text's key, and the places in it.
    fn places(file: &str) -> BTreeMap<String, BTreeSet<String>> {
        fn walk(key: &str, value: &toml::Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
            if let Some(table) = value.as_table() {
                for (name, value) in table {
                    walk(&format!("{key}.{name}"), value, found);
                }
            } else if let Some(text) = value.as_str() {
                let names =
                    text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned());
                found.insert(key.to_owned(), names.collect());
            }
        }
        let mut found = BTreeMap::new();
        walk("", &toml::from_str(file).unwrap(), &mut found);
        found
    }

    /// Bank's forms differ from language to language: they count as one place.
    fn comparable(file: &str) -> BTreeMap<String, BTreeSet<String>> {
        let one = |name: &String| if name.starts_with("bank_") { "bank".to_owned() } else { name.clone() };
        places(file).into_iter().map(|(key, names)| (key, names.iter().map(one).collect())).collect()
    }

    #[test]
    fn every_language_has_every_text_with_the_places_of_english() {
        let english = comparable(file(Language::English));
        let mut wrong = Vec::new();
        for language in Language::ALL {
            let (tag, own) = (language.tag(), comparable(file(language)));
            wrong.extend(
                english.keys().filter(|key| !own.contains_key(*key)).map(|key| format!("{tag}{key} is missing")),
            );
            for (key, names) in &own {
                match english.get(key) {
                    None => wrong.push(format!("{tag}{key} is not in English")),
                    Some(expected) if names != expected => {
                        wrong.push(format!("{tag}{key} has {names:?}, not {expected:?}"))
                    }
                    Some(_) => {}
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for language in Language::ALL {
            read(language, file(language)).unwrap_or_else(|error| panic!("{}: {error}", language.tag()));
        }
    }

    #[test]
    fn no_text_was_left_in_english() {
        let texts = |language| {
            let mut texts = BTreeSet::new();
            let mut open = vec![toml::Value::Table(toml::from_str(file(language)).unwrap())];
            while let Some(value) = open.pop() {
                if let Some(text) = value.as_str() {
                    texts.insert(text.to_owned());
                } else if let toml::Value::Table(table) = value {
                    open.extend(table.into_iter().map(|(_, value)| value));
                }
            }
            texts
        };
        let english = texts(Language::English);
        for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
            let same: Vec<_> = texts(language).intersection(&english).cloned().collect();
            assert_eq!(same, [""; 0], "{}", language.tag());
        }
    }

    #[test]
    fn only_the_places_that_somebody_fills_are_used() {
        for language in Language::ALL {
            let forms: Vec<&str> = Grammar::of(language).bank(None).map(|(form, _)| form).collect();
            for (key, names) in places(file(language)) {
                let own: &[&str] = match key.as_str() {
                    // The script knows one form only.
                    key if key.starts_with(".script") || key == ".back.finishing" => &["brand", "bank"],
                    key if key.ends_with("_on") && key.starts_with(".repair") => &["brand", "date"],
                    key if key.ends_with("_on") && key.starts_with(".preferences") => &["date"],
                    _ => &["brand"],
                };
                let is_known = |name: &str| own.contains(&name) || (forms.contains(&name) && !own.contains(&"bank"));
                assert!(names.iter().all(|name| is_known(name)), "{}{key}: {names:?}", language.tag());
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        assert_eq!(fill("{bank} and {brand}", &[("bank", "{brand}"), ("brand", "{bank}")]), "{brand} and {bank}");
        assert_eq!(fill("{bank", &[("bank", "x")]), "{bank");
    }
}
