//! Stories about imported Items, whose letters wait for the operator.

use relinkd::domain::event::{Event, Health};
use relinkd::domain::item::{Hold, Item, Kind};

use super::core_stories::{Story, reminder};
use super::core_support::{after, answer, answer_with_consent, broken, days, fault, hours, mins};

impl Story {
    /// Items that were imported a moment ago, and of which nothing is known.
    fn imported(items: &[&str]) -> Self {
        let mut story = Self::of(items);
        for item in &mut story.items {
            let new = Item::new(item.id.clone(), item.user.clone(), None, story.now);
            let imported = Event::Imported { user: item.user.clone(), institution: None };
            *item = after(&new, &imported, story.now);
        }
        story
    }
}

#[test]
fn what_an_import_finds_waits_for_its_release_and_gets_the_whole_ladder_then() {
    let mut story = Story::imported(&["item-1"]);
    story.now += mins(5);
    story.answers(Health::Broken(fault()));
    assert_eq!(story.passes(days(20)), []);
    story.happens(&Event::LettersReleased);
    let letters = story.passes(days(30));
    let expected = [(0, 0), (3, 1), (7, 2), (14, 3)];
    assert_eq!(letters.len(), expected.len(), "{letters:?}");
    for ((at, lines), (day, rung)) in letters.iter().zip(expected) {
        // Ladders count from the break, whose first rung waits for self-healing: that wait is behind.
        let since_release = *at - days(20) - mins(5);
        let expected = if day == 0 { mins(10) } else { days(day) - mins(30) };
        assert!((expected - mins(10)..=expected + mins(10)).contains(&since_release), "rung {rung}: {since_release}");
        assert_eq!(lines[..], [("item-1".to_owned(), reminder(Kind::LoginRequired, rung))]);
    }
}

#[test]
fn an_imported_item_that_works_is_an_ordinary_one_from_the_first_answer_on() {
    let mut story = Story::imported(&["item-1"]);
    story.now += mins(5);
    story.answers(Health::Impaired { code: "INSTITUTION_DOWN".to_owned() });
    assert!(story.item().held_since().is_some(), "the bank being down says nothing about the login");
    story.now += hours(1);
    story.answers(Health::Good);
    assert_eq!(story.item().hold, Hold::No);
    story.now += hours(1);
    story.happens(&broken());
    assert_eq!(story.passes(hours(1)).len(), 1);
}

#[test]
fn who_repairs_a_held_item_by_himself_is_written_to_when_it_breaks_again() {
    let mut story = Story::imported(&["item-1"]);
    story.answers(Health::Broken(fault()));
    story.now += days(2);
    story.answers(Health::Good);
    assert_eq!(story.item().hold, Hold::No);
    assert_eq!(story.passes(hours(1)), [], "nobody was told that it was broken, so nobody hears that it works again");
    story.now += days(4);
    story.happens(&broken());
    assert_eq!(story.passes(hours(1)).len(), 1);
}

#[test]
fn several_held_items_of_a_user_go_out_as_one_letter() {
    let mut story = Story::imported(&["item-1", "item-2", "item-3", "item-4"]);
    for index in 0..3 {
        let answer = match index {
            0 | 1 => answer(&story.items[index], story.now, Health::Broken(fault())),
            _ => answer_with_consent(&story.items[index], story.now, Health::Good, Some(story.now + days(5))),
        };
        story.happens_to(index, &answer);
        story.now += hours(1);
    }
    story.happens_to(3, &Event::NewAccounts);
    let answer = answer(&story.items[3], story.now, Health::Good);
    story.happens_to(3, &answer);
    story.now += days(2);
    for index in 0..4 {
        story.happens_to(index, &Event::LettersReleased);
    }
    let letters = story.passes(hours(1));
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].1.len(), 4);
}

#[test]
fn what_is_known_already_is_not_held_by_an_import() {
    let mut story = Story::of(&["item-1"]);
    story.answers(Health::Good);
    story.now += hours(1);
    let user = story.item().user.clone();
    story.happens(&Event::Imported { user, institution: None });
    assert_eq!(story.item().hold, Hold::No);
}
