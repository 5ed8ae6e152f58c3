//! The pages in every language: whole, small, and with no word that cannot be translated.

use super::*;

#[test]
fn every_page_is_whole_and_small_in_every_language() {
    for language in Language::ALL {
        for name in [None, Some("First Platypus Bank")] {
            for (kind, page) in every_page_in(language, name) {
                let (tag, bare) = (language.tag(), bare(&page));
                assert!(page.html().contains(&format!("<html lang=\"{tag}\">")), "{tag} {kind}");
                assert!(!bare.contains('{') && !bare.contains("undefined"), "{tag} {kind}: {bare}");
                assert!(page.html().len() <= 25 * 1024, "{tag} {kind}: {} bytes", page.html().len());
                assert_eq!(headers(page)["content-language"], tag, "{kind}");
            }
        }
    }
}

/// What a template shows by itself: neither markup nor what is filled in.
fn own_words(template: &str) -> String {
    let text = [("{%", "%}"), ("{{", "}}"), ("<", ">")]
        .iter()
        .fold(template.to_owned(), |text, (open, close)| without(&text, open, close));
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_template_has_no_words_of_its_own_and_glues_no_sentences() {
    for (name, template) in [
        ("layout", include_str!("../templates/layout.html")),
        ("notice", include_str!("../templates/notice.html")),
        ("repair", include_str!("../templates/repair.html")),
        ("back", include_str!("../templates/back.html")),
        ("preferences", include_str!("../templates/preferences.html")),
    ] {
        assert_eq!(own_words(template), "", "{name}");
        // An address follows a sentence that leads to it; the title names the brand.
        let glued = template.lines().filter(|line| line.contains("}} {{") || line.contains("}}{{"));
        assert_eq!(glued.count(), 0, "{name}");
    }
    assert_eq!(own_words("<p>{{ a }} and {% if b %}<b>more</b>{% endif %}</p>"), "and more");
}

/// A page grows with the banks on it: here are eleven, one of every kind and each of a long name.
#[test]
fn eleven_banks_are_a_small_page_in_every_language() {
    const NAME: &str = "First Platypus Bank of the Northern Territories and the Islands";
    for language in Language::ALL {
        let banks =
            (0..).zip(all_needs()).map(|(number, what)| Bank { item: item(number), name: Some(NAME.to_owned()), what });
        let banks: Vec<Bank> = banks.collect();
        assert_eq!(banks.len(), 11);
        let page = broken(banks, embedded());
        let html = seen_in(language, |view| repair(view, &page)).html().to_owned();
        assert!(html.len() <= 25 * 1024, "{}: {} bytes", language.tag(), html.len());
    }
}
