//! The page on which letters are chosen: what its form says, and that a press alone says nothing.

use super::*;

fn html(all: Letters) -> String {
    let page = UnsubscribePage::Preferences(preferences(all, Some("First Platypus Bank")));
    bare(&seen(|view| unsubscribe(view, &page)))
}

/// The values of the answers to each question, and which is chosen already.
fn answers(html: &str) -> Vec<Vec<(String, bool)>> {
    let answer = |text: &str| {
        let value = text.split_once("value=\"").unwrap().1.split_once('"').unwrap().0;
        (value.to_owned(), text.split_once('>').unwrap().0.contains("checked"))
    };
    let question =
        |text: &str| text.split_once("</fieldset>").unwrap().0.split("type=\"radio\"").skip(1).map(answer).collect();
    html.split("<fieldset>").skip(1).map(question).collect()
}

#[test]
fn what_is_so_is_chosen_and_says_nothing() {
    let week = time("2026-12-02T00:00:00Z");
    for all in [Letters::On, Letters::From(week), Letters::From(time("2027-01-01T00:00:00Z")), Letters::Off] {
        let questions = answers(&html(all));
        assert_eq!(questions.len(), 4);
        for answers in questions {
            let chosen: Vec<_> = answers.iter().filter(|(_, chosen)| *chosen).collect();
            assert_eq!(chosen, [&("keep".to_owned(), true)], "{all:?}");
            assert_eq!(answers.last(), Some(chosen[0]), "who presses all answers ends with what is so");
            let others: Vec<_> = answers.iter().filter(|(_, chosen)| !chosen).collect();
            assert!(others.iter().all(|(value, _)| chosen_by(value).all.is_some()), "{others:?}");
            let mut values: Vec<_> = answers.iter().map(|(value, _)| value).collect();
            values.dedup();
            assert_eq!(values.len(), answers.len(), "{answers:?}");
        }
    }
}

fn chosen_by(value: &str) -> Choices {
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("all", value).finish();
    chosen(form.as_bytes())
}

#[test]
fn eleven_banks_are_a_small_page_in_every_language() {
    for language in Language::ALL {
        let bank = |number| BankLetters {
            item: ItemId::parse(format!("eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBFL9D{number:03}")).unwrap(),
            name: Some("First Platypus Bank of the Northern Territories and the Islands".to_owned()),
            letters: if number % 2 == 0 { Letters::On } else { Letters::From(time("2026-12-31T00:00:00Z")) },
        };
        let many = Preferences { banks: (0..11).map(bank).collect(), ..preferences(Letters::On, None) };
        let page = seen_in(language, |view| unsubscribe(view, &UnsubscribePage::Preferences(many)));
        assert!(page.html().len() <= 25 * 1024, "{}: {} bytes", language.tag(), page.html().len());
    }
}

#[test]
fn a_form_says_what_is_heard() {
    let item = |id: &str| ItemId::parse(id).unwrap();
    let choices = Choices {
        all: Some(Letters::From(time("2026-12-02T00:00:00Z"))),
        banks: vec![(item("item&1="), Letters::Off), (item("item-2"), Letters::On)],
    };
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields(&choices)).finish();
    assert_eq!(chosen(form.as_bytes()), choices);
    for nothing in [
        "",
        "all=keep",
        "all",
        "all=tomorrow",
        "every=off",
        "bank:=off",
        "bank:item-1=",
        "%ff=%fe&&=",
        "List-Unsubscribe=One-Click",
    ] {
        assert!(chosen(nothing.as_bytes()).is_empty(), "{nothing}");
    }
}

#[test]
fn the_page_offers_to_take_back_only_what_was_saved() {
    assert!(html(Letters::On).contains("Undo"));
    let plain = Preferences { undo: Choices::default(), ..preferences(Letters::On, None) };
    let plain = bare(&seen(|view| unsubscribe(view, &UnsubscribePage::Preferences(plain))));
    assert_eq!(plain.matches("<form").count(), 1, "one button, and it means no choice");
    assert!(!plain.contains("Saved.") && !plain.contains("type=\"hidden\""), "{plain}");
}

#[test]
fn who_cannot_be_reached_is_told_so() {
    assert!(html(Letters::Off).contains("do not reach you") && !html(Letters::On).contains("do not reach you"));
    assert!(html(Letters::Off).contains("turned off on Friday, 20\u{a0}November 2026"));
}
