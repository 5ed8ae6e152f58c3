//! The rule for a fresh link: somebody opened one that had ended, and asks for another by mail.
//!
//! It goes to the address on file and to no other, so whoever asks learns nothing and sends nothing elsewhere. It was asked
//! for, so it waits for no ladder, no gap, no daytime and no end of a pause. Who stopped all letters gets none all the same, and
//! none that names a bank whose letters were stopped: the press may be a mail scanner's.

use jiff::{SignedDuration, Timestamp};

use super::compose::{Line, Silence, User, is_addressable, silence};
use super::event::Topic;
use super::item::{Item, Kind, State};
use super::transition::after;

/// One fresh link within this time. A person who presses twice has the first one in the mailbox already.
const GAP: SignedDuration = SignedDuration::from_hours(1);

/// How many fresh links a user gets ...
const ASKED_MAX: usize = 3;
/// ... within this time. A scanner may press each time that it looks at an old letter.
pub const ASKED_SPAN: SignedDuration = SignedDuration::from_hours(24);

/// What follows from a press.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// Write one letter with these lines.
    Write(Vec<Line>),
    /// There was one a short time ago.
    TooSoon,
    /// The user has nothing left to open a page for.
    NoItem,
    /// The user cannot be written to, or wants no letters.
    Silent(Silence),
}

/// What follows from a press, given when fresh links were written to the user in the last [`ASKED_SPAN`].
///
/// The letter names the Items that need something; if none does, all of them, so that it can say that they work.
pub fn fresh_link(user: &User, items: &[Item], asked: &[Timestamp], now: Timestamp) -> Answer {
    if let Some(silence) = silence(user) {
        return Answer::Silent(silence);
    }
    let recent = |span| asked.iter().filter(|at| after(**at, span) > now).count();
    if recent(GAP) > 0 || recent(ASKED_SPAN) >= ASKED_MAX {
        return Answer::TooSoon;
    }
    let may_be_named = |item: &&Item| item.user == user.id && is_addressable(item) && !item.is_stopped();
    let mut named: Vec<&Item> = items.iter().filter(may_be_named).collect();
    if named.iter().any(|item| item.state() != State::Healthy) {
        named.retain(|item| item.state() != State::Healthy);
    }
    named.sort_by(|a, b| a.state().cmp(&b.state()).then_with(|| a.id.cmp(&b.id)));
    if named.is_empty() {
        return Answer::NoItem;
    }
    Answer::Write(named.into_iter().map(line).collect())
}

fn line(item: &Item) -> Line {
    let open = Kind::ALL.into_iter().find_map(|kind| item.open(kind));
    Line {
        item: item.id.clone(),
        // The episode that it is about, so that mail programs show it beside the letters about the same.
        episode: open.map_or(item.episodes, |episode| episode.number),
        topic: Topic::FreshLink,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::domain::compose::Reach;
    use crate::domain::ids::{ItemId, UserId};
    use crate::domain::item::{Arrival, Episode, RemovalReason, Removed, Token, UNTIL_RESUMED};

    fn now() -> Timestamp {
        "2026-11-25T03:00:00Z".parse().unwrap()
    }

    fn ago(minutes: i64) -> Timestamp {
        now() - SignedDuration::from_mins(minutes)
    }

    fn user() -> User {
        User {
            id: UserId::parse("user-1").unwrap(),
            time_zone: TimeZone::UTC,
            reach: Reach::Address,
            stopped_at: None,
            snoozed_until: None,
        }
    }

    fn item(id: &str) -> Item {
        let id = ItemId::parse(id).unwrap();
        Item { token: Token::Proven, ..Item::new(id, UserId::parse("user-1").unwrap(), None, ago(1000)) }
    }

    fn open(id: &str) -> Item {
        let episode = Episode { number: 3, opened_at: ago(100), rungs_passed: 0, letters: 0, what: Arrival };
        Item { new_accounts: Some(episode), episodes: 3, ..item(id) }
    }

    fn ids(answer: &Answer) -> Vec<&str> {
        let Answer::Write(lines) = answer else { panic!("{answer:?}") };
        assert!(lines.iter().all(|line| line.topic == Topic::FreshLink));
        lines.iter().map(|line| line.item.as_str()).collect()
    }

    #[test]
    fn it_names_what_needs_something_or_else_everything() {
        let some = fresh_link(&user(), &[item("a"), open("b"), open("c")], &[], now());
        assert_eq!(ids(&some), ["b", "c"]);
        let Answer::Write(lines) = some else { panic!() };
        assert_eq!(lines[0].episode, 3);
        assert_eq!(ids(&fresh_link(&user(), &[item("b"), item("a")], &[], now())), ["a", "b"]);
    }

    #[test]
    fn items_that_cannot_be_repaired_are_not_named() {
        let removed = Some(Removed { at: ago(1), why: RemovalReason::Application });
        let gone = Item { removed, ..open("a") };
        let refused = Item { token: Token::Refused, ..open("b") };
        let other = Item { user: UserId::parse("user-2").unwrap(), ..open("c") };
        let older = Item { superseded_by: Some(ItemId::parse("x").unwrap()), ..open("d") };
        let none = [gone, refused, other, older];
        assert_eq!(fresh_link(&user(), &none, &[], now()), Answer::NoItem);
        assert_eq!(fresh_link(&user(), &[], &[], now()), Answer::NoItem);
    }

    #[test]
    fn a_bank_whose_letters_were_stopped_is_not_named_and_one_that_pauses_is() {
        let stopped = Item { snoozed_until: Some(UNTIL_RESUMED), ..open("a") };
        let pausing = Item { snoozed_until: Some(now() + GAP), ..open("b") };
        assert_eq!(ids(&fresh_link(&user(), &[stopped.clone(), pausing], &[], now())), ["b"]);
        assert_eq!(fresh_link(&user(), &[stopped], &[], now()), Answer::NoItem);
    }

    #[test]
    fn one_an_hour_and_three_a_day() {
        let ask = |asked: &[i64]| {
            let asked: Vec<Timestamp> = asked.iter().map(|minutes| ago(*minutes)).collect();
            fresh_link(&user(), &[open("a")], &asked, now()) != Answer::TooSoon
        };
        assert!(ask(&[]) && ask(&[60]) && ask(&[60, 600]) && ask(&[60, 600, 1440]));
        assert!(!ask(&[0]) && !ask(&[59]) && !ask(&[60, 600, 1439]));
    }

    #[test]
    fn a_pause_does_not_stop_it_and_a_stop_does() {
        let pausing = User { snoozed_until: Some(now() + GAP), ..user() };
        assert_eq!(ids(&fresh_link(&pausing, &[open("a")], &[], now())), ["a"]);
        for (person, silence) in [
            (User { stopped_at: Some(ago(1)), ..user() }, Silence::Stopped),
            (User { reach: Reach::Suppressed, ..user() }, Silence::Suppressed),
            (User { reach: Reach::NoAddress, ..user() }, Silence::NoAddress),
        ] {
            assert_eq!(fresh_link(&person, &[open("a")], &[], now()), Answer::Silent(silence));
        }
    }
}
