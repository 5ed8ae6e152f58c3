//! What an operator's own templates begin with: the built-in layouts and words, as files that
//! `overrides` reads as they are. Called by the command line, which writes them.

use super::overrides::GRAMMAR;
use super::words::{HTML, HTML_LAYOUT, TEXT, TEXT_LAYOUT, built_in};
use crate::domain::language::Language;

/// Stands above the sentences, in the place of what translators are told.
const HEAD: &str = "\
# The sentences of letters in this language, as they are built in.
#
# Each one that stands here takes the place of the built-in one: keep what you change and delete the rest, which then
# follows every release. In a sentence places stand in double braces, and \\n begins a paragraph. A subject has at most
# 50 characters: names are cut until it fits. docs/letters.md says what else holds.
#
# [date] and [bank] cannot be replaced. They show in which forms a bank can be named, first with its name, then where
# the name is not known; each form is a place: {{ bank }}.
";

/// A file of an operator's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name there.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Both layouts, and the sentences of these languages.
#[must_use]
pub fn files(languages: &[Language]) -> Vec<File> {
    let layouts = [(HTML, HTML_LAYOUT), (TEXT, TEXT_LAYOUT)];
    let layouts = layouts.map(|(name, text)| File { name: name.to_owned(), text: text.to_owned() });
    let sentences = |language: &Language| File {
        name: format!("{}.toml", language.tag()),
        text: format!("{HEAD}\n{}", with_grammar_as_comments(built_in(*language))),
    };
    layouts.into_iter().chain(languages.iter().map(sentences)).collect()
}

/// The tables of a language without what stands above them. Its grammar would be read over, so it is made a comment:
/// nobody is to change it and wonder.
fn with_grammar_as_comments(words: &str) -> String {
    let (_, tables) = words.split_once("\n\n").unwrap_or(("", words));
    let mut is_grammar = false;
    let line = |line: &str| {
        if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_grammar = GRAMMAR.contains(&table);
        }
        let mark = if is_grammar && !line.is_empty() { "# " } else { "" };
        format!("{mark}{line}\n")
    };
    tables.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::mail::letter::Templates;
    use crate::mail::overrides;
    use crate::mail::sample::{self, KINDS};
    use crate::mail::words::keys_of_english;

    #[test]
    fn what_is_written_is_read_as_it_is_and_makes_the_very_same_letters() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files(&Language::ALL) {
            fs::write(folder.path().join(file.name), file.text).expect("written");
        }
        let (found, faults) = overrides::read(folder.path(), &Language::ALL);
        assert_eq!(faults, []);
        assert_eq!(found.len(), 2 + keys_of_english().len() * Language::ALL.len(), "every sentence is there");
        let built_in = Templates::load(&Language::ALL, None).expect("good templates");
        let own = Templates::load(&Language::ALL, Some(folder.path())).expect("good templates");
        assert_eq!(sample::check(&own, &sample::brand(), &Language::ALL), Ok(()));
        for language in Language::ALL {
            for kind in KINDS {
                let letter = sample::letter(kind, sample::brand(), language).expect("a kind");
                let render = |templates| letter.render(templates).expect("a letter");
                let (now, then) = (render(&own), render(&built_in));
                assert_eq!((now.subject, now.text, now.html), (then.subject, then.text, then.html), "{kind}");
            }
        }
    }

    #[test]
    fn the_grammar_is_shown_and_cannot_be_mistaken_for_sentences() {
        let files = files(&[Language::German]);
        let german = files.iter().find(|file| file.name == "de.toml").expect("it is there");
        assert!(german.text.contains("\n# [bank]\n# bank = [\"{name}\", \"Ihre Bank\"]\n# bank_dat = "), "{german:?}");
        assert!(german.text.contains("\n\n[when]\non = \"am {{ date }}\"\n"), "{german:?}");
        assert!(!german.text.contains("translators"), "{german:?}");
    }
}
