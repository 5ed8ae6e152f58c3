//! All words that the pages show, one file a language, and how their places in braces are filled.
//!
//! Typed, so that a text which is asked for but not written does not compile, and one which is written but not asked for
//! does not load. Not the letters' words: those are in `mail`, which is to know nothing of pages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

/// Every language there is. The first is the one to fall back to.
const FILES: &[(&str, &str)] = &[("en", include_str!("languages/en.toml"))];

static LANGUAGES: LazyLock<Vec<Words>> = LazyLock::new(|| {
    let parse = |(tag, file): &(&'static str, &str)| {
        let mut words: Words = toml::from_str(file).expect("every language file is loaded by a test");
        words.tag = tag;
        words
    };
    FILES.iter().map(parse).collect()
});

/// The words of the nearest language: `pt-BR`, then `pt`, then English.
pub(super) fn of(language: &str) -> &'static Words {
    let mut wanted = language;
    loop {
        if let Some(words) = LANGUAGES.iter().find(|words| words.tag.eq_ignore_ascii_case(wanted)) {
            return words;
        }
        match wanted.rsplit_once(['-', '_']) {
            Some((shorter, _)) => wanted = shorter,
            None => return LANGUAGES.first().expect("English is always there"),
        }
    }
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
    /// The language's BCP 47 tag.
    #[serde(skip)]
    pub(super) tag: &'static str,
    date: String,
    months: [String; 12],
    /// For a bank without a name, within a sentence.
    pub(super) your_bank: String,
    /// The same, standing alone.
    pub(super) your_bank_alone: String,
    pub(super) frame: Frame,
    pub(super) repair: Repair,
    pub(super) works: Works,
    pub(super) no_longer: NoLonger,
    pub(super) gone: Gone,
    pub(super) anew: Anew,
    pub(super) trouble: Trouble,
    pub(super) back: Back,
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
texts!(Unsubscribe: ask_heading, ask_text, ask_button, done_heading, done_text, done_next, unknown_heading, unknown_text,
    unknown_next);
texts!(Missing: heading, text);
texts!(Fault: heading, text);

impl Words {
    /// The day of a moment where the user lives, with the month in words.
    pub(super) fn day(&self, at: Timestamp, time_zone: &TimeZone) -> String {
        let date = at.to_zoned(time_zone.clone()).date();
        let month = usize::try_from(date.month()).ok().and_then(|month| self.months.get(month.checked_sub(1)?));
        let month = month.expect("a month is between 1 and 12");
        fill(&self.date, &[("day", &date.day().to_string()), ("month", month), ("year", &date.year().to_string())])
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

    #[test]
    fn every_language_loads_and_has_the_places_of_english() {
        for ((tag, file), words) in FILES.iter().zip(LANGUAGES.iter()) {
            assert_eq!(places(file), places(FILES[0].1), "{tag}");
            assert_eq!(&words.tag, tag);
        }
    }

    #[test]
    fn only_the_places_that_somebody_fills_are_used() {
        for (key, names) in places(FILES[0].1) {
            let allowed: &[&str] = match key.as_str() {
                ".date" => &["day", "month", "year"],
                key if key.ends_with("_on") && key.starts_with(".repair") => &["brand", "bank", "date"],
                _ => &["brand", "bank"],
            };
            assert!(names.iter().all(|name| allowed.contains(&name.as_str())), "{key}: {names:?}");
        }
    }

    #[test]
    fn a_language_that_is_not_there_falls_back() {
        for tag in ["en", "EN", "en-GB", "en_US", "xx", "", "-"] {
            assert_eq!(of(tag).tag, "en", "{tag}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        assert_eq!(fill("{bank} and {brand}", &[("bank", "{brand}"), ("brand", "{bank}")]), "{brand} and {bank}");
        assert_eq!(fill("{bank", &[("bank", "x")]), "{bank");
    }

    #[test]
    fn a_day_is_that_of_the_users_zone() {
        let at: Timestamp = "2027-01-31T23:30:00Z".parse().unwrap();
        assert_eq!(of("en").day(at, &TimeZone::UTC), "31 January 2027");
        assert_eq!(of("en").day(at, &TimeZone::get("Europe/Berlin").unwrap()), "1 February 2027");
    }
}
