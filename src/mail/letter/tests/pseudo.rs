//! A language that nobody speaks, made of English: each sentence stands in brackets. Whatever a letter shows outside of them was
//! written into a layout or into the program, and cannot be translated; brackets that touch are glued sentences.

use super::*;
use crate::mail::words;

/// English with every sentence in brackets.
fn pseudo_words() -> String {
    let mut is_sentence = false;
    let lines = words::built_in(Language::English).lines().map(|line| {
        if line.starts_with('[') {
            is_sentence = !["[date]", "[bank]"].contains(&line);
        }
        match line.split_once(" = \"") {
            // A paragraph is a text of its own.
            Some((key, text)) if is_sentence => {
                format!("{key} = \"⟦{}⟧\"", text.strip_suffix('"').expect("it ends").replace("\\n", "⟧\\n⟦"))
            }
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands outside of all brackets.
fn outside(text: &str) -> String {
    let mut depth = 0_usize;
    let kept = text.chars().filter(|c| {
        match c {
            '⟦' => depth += 1,
            '⟧' => depth = depth.checked_sub(1).expect("brackets are in pairs"),
            _ => {}
        }
        depth == 0 && *c != '⟧'
    });
    kept.collect()
}

#[test]
fn nothing_is_said_that_cannot_be_translated_and_no_sentences_are_glued() {
    let words = pseudo_words();
    let templates = Templates::read(&[(Language::English, &words)]).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let mut outsiders = BTreeSet::new();
    for kind in sample::KINDS {
        let letter = letter(kind, Language::English);
        let Rendered { subject, text, html } = letter.render(&templates).expect("a letter");
        let texts = visible(&html).into_iter().chain(text.lines().map(str::to_owned)).chain([subject]);
        for one in texts {
            // A sentence within another one is a choice of the translator; side by side they are not.
            assert!(!one.contains("⟧⟦") && !one.starts_with("⟦⟧"), "{kind}: {one}");
            let bare = outside(&one);
            assert!(one.matches('⟦').count() < 2 || bare.trim().is_empty(), "{kind}: glued: {one}");
            outsiders.insert(bare.trim().trim_matches([':', '*', ' ', '-']).to_owned());
        }
    }
    // What is left are names and links, and "your bank" at the head of a section.
    let letter = letter("several", Language::English);
    let names = letter.passages.iter().map(|passage| passage.bank.clone().unwrap_or("Your bank".to_owned()));
    let mut known: BTreeSet<String> = names.collect();
    known.extend([String::new(), letter.brand.name, letter.repair_url, letter.stop_url]);
    let forgotten: Vec<&String> = outsiders.difference(&known).collect();
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}
