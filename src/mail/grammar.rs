//! What a language does to a day and to a bank's name: names of weekdays and months and their order, and the forms in which a
//! bank stands in a sentence. Letters and pages say both in the same way.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::words;
use crate::domain::language::Language;

/// The grammar of one language.
#[derive(Debug, Deserialize)]
pub struct Grammar {
    date: Date,
    /// Each form by name: with the bank's name, and without.
    bank: BTreeMap<String, [String; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Date {
    /// With `{weekday}`, `{day}`, `{month}` and `{year}`.
    full: String,
    /// How the first day of a month is written, where it is not "1".
    first: Option<String>,
    /// From Monday on.
    weekdays: [String; 7],
    /// As they stand after the day: in many languages not as they stand alone.
    months: [String; 12],
}

static GRAMMARS: LazyLock<Vec<(Language, Grammar)>> = LazyLock::new(|| {
    let read = |language: Language| {
        let grammar = toml::from_str(words::built_in(language));
        (language, grammar.expect("the grammar of every language is read by a test"))
    };
    Language::ALL.into_iter().map(read).collect()
});

impl Grammar {
    /// The grammar of a language.
    ///
    /// # Panics
    /// Never in a release: a test reads all of them.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        let found = GRAMMARS.iter().find(|(its, _)| *its == language);
        found.map(|(_, grammar)| grammar).expect("there is one for every language")
    }

    /// A day as it falls in the user's time zone, with weekday and year, so that it cannot be misread.
    #[must_use]
    pub fn day(&self, at: Timestamp, zone: &TimeZone) -> String {
        let date = zone.to_datetime(at).date();
        let place = |number: i8| usize::try_from(number).unwrap_or_default();
        let weekday = &self.date.weekdays[place(date.weekday().to_monday_zero_offset())];
        let month = &self.date.months[place(date.month() - 1)];
        let first = self.date.first.as_ref().filter(|_| date.day() == 1);
        let day = first.cloned().unwrap_or_else(|| date.day().to_string());
        let text = self.date.full.replace("{day}", &day).replace("{year}", &date.year().to_string());
        text.replace("{weekday}", weekday).replace("{month}", month)
    }

    /// A bank in each form of the language, by the form's name: `bank`, and what else the language needs.
    pub fn bank<'a>(&'static self, name: Option<&'a str>) -> impl Iterator<Item = (&'static str, String)> + use<'a> {
        self.bank.iter().map(move |(form, [named, unnamed])| {
            (form.as_str(), name.map_or_else(|| unnamed.clone(), |name| named.replace("{name}", name)))
        })
    }

    /// A bank as it stands alone, within a sentence.
    #[must_use]
    pub fn bank_alone(&'static self, name: Option<&str>) -> String {
        self.bank(name).find(|(form, _)| *form == "bank").map(|(_, bank)| bank).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn days_fall_in_the_users_zone_and_cannot_be_misread() {
        let at = time("2026-11-30T23:30:00Z");
        let in_zone = |name: &str| Grammar::of(Language::English).day(at, &TimeZone::get(name).expect("a zone"));
        assert_eq!(in_zone("UTC"), "Monday, 30 November 2026");
        assert_eq!(in_zone("Europe/Berlin"), "Tuesday, 1 December 2026");
        assert_eq!(in_zone("Pacific/Honolulu"), "Monday, 30 November 2026");
    }

    #[test]
    fn days_are_written_as_each_language_writes_them() {
        let at = [time("2026-12-01T12:00:00Z"), time("2027-05-23T12:00:00Z")];
        for (language, first, other) in [
            (Language::English, "Tuesday, 1 December 2026", "Sunday, 23 May 2027"),
            (Language::Spanish, "martes, 1 de diciembre de 2026", "domingo, 23 de mayo de 2027"),
            (Language::French, "mardi 1er décembre 2026", "dimanche 23 mai 2027"),
            (Language::Danish, "tirsdag den 1. december 2026", "søndag den 23. maj 2027"),
            (Language::Dutch, "dinsdag 1 december 2026", "zondag 23 mei 2027"),
            (Language::Estonian, "teisipäeval, 1. detsembril 2026", "pühapäeval, 23. mail 2027"),
            (Language::German, "Dienstag, 1. Dezember 2026", "Sonntag, 23. Mai 2027"),
            (Language::Hindi, "मंगलवार, 1 दिसंबर 2026", "रविवार, 23 मई 2027"),
            (Language::Italian, "martedì 1º dicembre 2026", "domenica 23 maggio 2027"),
            (Language::Latvian, "otrdien, 2026. gada 1. decembrī", "svētdien, 2027. gada 23. maijā"),
            (Language::Lithuanian, "2026 m. gruodžio 1 d., antradienį", "2027 m. gegužės 23 d., sekmadienį"),
            (Language::Norwegian, "tirsdag 1. desember 2026", "søndag 23. mai 2027"),
            (Language::Polish, "we wtorek, 1 grudnia 2026 roku", "w niedzielę, 23 maja 2027 roku"),
            (Language::Portuguese, "na terça-feira, 1 de dezembro de 2026", "no domingo, 23 de maio de 2027"),
            (Language::Romanian, "marți, 1 decembrie 2026", "duminică, 23 mai 2027"),
            (Language::Swedish, "tisdagen den 1 december 2026", "söndagen den 23 maj 2027"),
            (Language::Vietnamese, "thứ Ba, ngày 1 tháng 12 năm 2026", "Chủ nhật, ngày 23 tháng 5 năm 2027"),
        ] {
            assert_eq!(at.map(|at| Grammar::of(language).day(at, &TimeZone::UTC)), [first, other]);
        }
    }

    #[test]
    fn every_day_of_the_year_differs_in_every_language() {
        let start = time("2027-01-01T12:00:00Z");
        for language in Language::ALL {
            let day = |day: i64| {
                Grammar::of(language).day(start + jiff::SignedDuration::from_hours(24 * day), &TimeZone::UTC)
            };
            let seen: BTreeSet<String> = (0..366).map(day).collect();
            assert_eq!(seen.len(), 366, "{}", language.tag());
            assert!(seen.iter().all(|day| day.contains("202") && !day.contains(['{', '}'])), "{}", language.tag());
        }
    }

    #[test]
    fn every_language_has_the_bank_alone_and_each_form_with_and_without_a_name() {
        for language in Language::ALL {
            let grammar = Grammar::of(language);
            assert_eq!(grammar.bank_alone(Some("Example Bank")), "Example Bank", "{}", language.tag());
            for (form, [named, unnamed]) in &grammar.bank {
                assert!(named.contains("{name}") && !unnamed.contains('{'), "{}: {form}", language.tag());
                assert!(form == "bank" || form.starts_with("bank_"), "{}: {form}", language.tag());
            }
        }
    }

    #[test]
    fn a_name_is_filled_in_once() {
        let bank = Grammar::of(Language::English).bank_alone(Some("{name} {day}"));
        assert_eq!(bank, "{name} {day}");
    }
}
