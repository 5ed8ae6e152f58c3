//! A bank's name made fit to be shown: it comes from the bank, so it is untrusted text.
//!
//! Escaping is not done here (templates escape by themselves); this removes what escaping leaves: characters that are not
//! seen, that turn the writing direction of the sentence around, or that make a name fill the page.

use super::words::{Words, fill};
use crate::domain::plain;
use crate::mail::grammar::Grammar;

/// The longest name that is shown, in characters. Plaid's longest are about 60; the rest of the page must stay in sight.
const NAME_CHARS_MAX: usize = 60;

/// A bank in the forms that a language has for it, with its name or without.
pub(super) struct BankName {
    forms: Vec<(&'static str, String)>,
}

impl BankName {
    /// The name as it is shown, or the words for a bank without one.
    pub(super) fn new(name: Option<&str>, words: &Words) -> Self {
        let name = name.and_then(clean);
        Self { forms: Grammar::of(words.language).bank(name.as_deref()).collect() }
    }

    /// As it stands within a sentence that needs no form of its own.
    pub(super) fn within(&self) -> &str {
        self.forms.iter().find(|(form, _)| *form == "bank").map_or("", |(_, bank)| bank)
    }

    /// The same, standing alone instead of within a sentence.
    pub(super) fn alone(&self) -> String {
        let mut chars = self.within().chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    }

    /// Fills a text's places with the bank and with these values.
    pub(super) fn fill(&self, text: &str, values: &[(&str, &str)]) -> String {
        let bank = self.forms.iter().map(|(form, bank)| (*form, bank.as_str()));
        fill(text, &bank.chain(values.iter().copied()).collect::<Vec<_>>())
    }
}

fn clean(name: &str) -> Option<String> {
    let name = plain::bank(name, NAME_CHARS_MAX)?;
    // Isolated, so that the letters around it keep their order.
    Some(if name.chars().any(is_right_to_left) { format!("\u{2068}{name}\u{2069}") } else { name })
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_what_cannot_be_seen_and_what_turns_the_sentence_around() {
        assert_eq!(clean("First  Platypus\tBank\n"), Some("First Platypus Bank".to_owned()));
        assert_eq!(clean("Bank\u{202e}moc.live\u{200b}\u{0}\u{85}\u{e0041}"), Some("Bankmoc.live".to_owned()));
        assert_eq!(clean(" \u{feff}\u{200f} "), None);
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = clean(&"ab ".repeat(400)).unwrap();
        assert_eq!(name.chars().count(), NAME_CHARS_MAX);
        assert!(name.ends_with('…'));
    }

    #[test]
    fn a_name_from_right_to_left_is_isolated() {
        assert_eq!(clean("בנק"), Some("\u{2068}בנק\u{2069}".to_owned()));
    }
}
