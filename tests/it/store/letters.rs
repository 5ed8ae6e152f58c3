//! A letter's life in the store: composed once, claimed, begun, settled; and what a crash leaves of it.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use relinkd::domain::compose::{Channel, Composition, Line};
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::event::{Event, Topic};
use relinkd::domain::ids::{LetterId, UserId};
use relinkd::domain::item::{Kind, RemovalReason, UNTIL_RESUMED};
use relinkd::domain::policy::Policy;
use relinkd::domain::provider::Caps;
use relinkd::domain::window::SendWindow;
use relinkd::engine::apply::rule;
use relinkd::store::{
    Begun, ClaimedLetter, Composed, Composer, Departure, EventFilter, LetterFilter, LetterOutcome, LetterView,
    NewProfile, Purpose, Refusal, Store, StoreError,
};
use uuid::Uuid;

use super::{Place, at, at_once, break_login, item_id, register};

fn user() -> UserId {
    UserId::parse("user-1").expect("an id")
}

fn letter(number: u128) -> LetterId {
    LetterId(Uuid::from_u128(number))
}

fn reminder(rung: u8) -> Line {
    Line { item: item_id("item-1"), episode: 1, topic: Topic::Reminder { kind: Kind::LoginRequired, rung } }
}

/// A store with a user whose Item is broken.
async fn with_a_broken_item(place: &Place) -> Store {
    let store = place.open(at(0));
    let email = EmailAddress::parse("user-1@example.com").expect("an address");
    let profile = NewProfile { id: user(), email: Some(email), name: None, locale: None, time_zone: None };
    store.put_user(profile, at(0)).await.expect("written");
    register(&store, "item-1", "user-1", at(0)).await;
    break_login(&store, "item-1", 1).await;
    store
}

/// Composes what is said, whatever is due.
async fn compose(store: &Store, number: u128, second: i64, lines: Vec<Line>) -> Result<Composed, StoreError> {
    let composer = Composer {
        compose: Box::new(move |_, _, _, _| Composition::Write(lines.clone())),
        held: Vec::new(),
        caps: Caps::default(),
        default_zone: TimeZone::UTC,
        channel: Channel::Mail,
        letter: letter(number),
    };
    store.compose(user(), composer, rule(&Policy::default(), at(second))).await
}

async fn claim(store: &Store, second: i64) -> Vec<ClaimedLetter> {
    store.claim_letters(at(second), 10, Channel::Mail).await.expect("it claims")
}

fn address() -> EmailAddress {
    EmailAddress::parse("user-1@example.com").expect("an address")
}

fn departure(number: u128, channel: Channel) -> Departure {
    let (language, subject) = ("en".to_owned(), "Subject".to_owned());
    Departure {
        id: letter(number),
        user: user(),
        channel,
        to: Some(address()),
        cap: None,
        asked_for: false,
        policy: at_once(),
        default_zone: TimeZone::UTC,
        language,
        subject,
    }
}

async fn begin(store: &Store, number: u128) -> Result<Begun, StoreError> {
    store.start_data(departure(number, Channel::Mail), at(10)).await
}

/// Begins while letters may leave at these times only; or a letter that was asked for.
async fn begin_in(store: &Store, number: u128, window: &str, asked_for: bool) -> Begun {
    let policy = Policy { send_window: SendWindow::parse(window).expect("a window"), ..at_once() };
    let departure = Departure { asked_for, policy, ..departure(number, Channel::Mail) };
    store.start_data(departure, at(10)).await.expect("it is leased")
}

/// The number of the event by which the application hears of the letter.
async fn hand_over(store: &Store, number: u128) -> i64 {
    let data = serde_json::json!({ "subject": "Subject" });
    let handed = store.hand_over(departure(number, Channel::Event), data, at(10)).await.expect("it writes");
    assert_eq!(handed.0, Begun::Go);
    handed.1.expect("an event")
}

async fn settle(store: &Store, claimed: ClaimedLetter, outcome: LetterOutcome, second: i64) {
    store.settle_letter(claimed, outcome, rule(&Policy::default(), at(second))).await.expect("settled");
}

async fn view(store: &Store) -> LetterView {
    store.letters(LetterFilter::default(), None, 1).await.expect("it reads").pop().expect("a letter")
}

/// How far the ladder is, and how many letters left.
async fn ladder(store: &Store) -> (u8, u32) {
    let item = store.item(item_id("item-1")).await.expect("it reads").expect("it is there").item;
    let episode = item.open(Kind::LoginRequired).expect("it is broken");
    (episode.rungs_passed, episode.letters)
}

async fn reopened(place: &Place, store: Store, second: i64) -> Store {
    store.close().await;
    drop(store);
    place.open(at(second))
}

#[tokio::test]
async fn a_letter_goes_from_composed_to_accepted() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    assert_eq!((view(&store).await.status.as_str(), ladder(&store).await), ("composed", (1, 0)));
    assert_eq!(claim(&store, 9).await, []);
    let claimed = claim(&store, 10).await.pop().expect("a claim");
    assert_eq!((claimed.id, claimed.attempts, claimed.uncertain), (letter(1), 0, 0));
    assert_eq!(claimed.lines, [reminder(0)]);
    assert_eq!(claim(&store, 1_000).await, [], "it is leased");
    let token = store.link_token(Purpose::Repair, &claimed.link_id);
    assert_eq!(store.open_link(Purpose::Repair, &token, at(10)).await.expect("it reads"), Some(user()));
    assert_eq!(begin(&store, 1).await.expect("it is leased"), Begun::Go);
    assert_eq!(view(&store).await.status, "data_started");
    settle(&store, claimed, LetterOutcome::Accepted { reply: "250 ok".to_owned() }, 11).await;
    let view = view(&store).await;
    assert_eq!((view.status.as_str(), view.due_at, view.attempts), ("accepted", None, 1));
    assert_eq!((view.settled_at, view.reply.as_deref()), (Some(at(11)), Some("250 ok")));
    assert_eq!(ladder(&store).await, (1, 1));
    assert_eq!(claim(&store, 1_000_000).await, []);
}

#[tokio::test]
async fn the_most_urgent_line_stands_first_whatever_its_item_is_called() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    register(&store, "item-0", "user-1", at(0)).await;
    let word = Line { item: item_id("item-0"), episode: 1, topic: Topic::WorksAgain };
    compose(&store, 1, 10, vec![reminder(0), word.clone()]).await.expect("composed");
    let claimed = claim(&store, 10).await.pop().expect("a claim");
    assert_eq!(claimed.lines, [reminder(0), word]);
}

#[tokio::test]
async fn a_body_goes_out_only_under_a_lease() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    assert!(begin(&store, 1).await.is_err(), "nobody claimed it");
    assert_eq!(claim(&store, 10).await.len(), 1);
    assert_eq!(begin(&store, 1).await.expect("it is leased"), Begun::Go);
    assert!(begin(&store, 1).await.is_err(), "it began already");
    let store = reopened(&place, store, 20).await;
    assert!(begin(&store, 1).await.is_err(), "the lease ended with the process");
}

#[tokio::test]
async fn a_body_does_not_go_out_about_a_bank_that_was_paused_a_moment_ago() {
    for (until, topic, begun) in [
        (at(60), reminder(0).topic, Begun::Unwanted),
        (UNTIL_RESUMED, reminder(0).topic, Begun::Unwanted),
        (at(60), Topic::FreshLink, Begun::Go),
        (UNTIL_RESUMED, Topic::FreshLink, Begun::Unwanted),
    ] {
        let place = Place::new();
        let store = with_a_broken_item(&place).await;
        compose(&store, 1, 10, vec![Line { topic, ..reminder(0) }]).await.expect("composed");
        assert_eq!(claim(&store, 10).await.len(), 1);
        let rule = rule(&Policy::default(), at(11));
        let paused = vec![Event::Snoozed { until }];
        store.step(item_id("item-1"), paused, "test".to_owned(), rule).await.expect("a step");
        assert_eq!(begin(&store, 1).await.expect("it is leased"), begun, "{topic:?} until {until}");
    }
}

#[tokio::test]
async fn a_body_does_not_go_out_about_what_is_not_so_since_a_moment_ago() {
    let removed = Event::Removed { why: RemovalReason::Application };
    let moved = Event::Registered { user: UserId::parse("user-2").expect("an id"), institution: None };
    for (event, begun) in [
        (Event::NewAccounts, Begun::Go),
        (Event::LoginRepaired, Begun::Unwanted),
        (removed, Begun::Unwanted),
        (moved, Begun::Unwanted),
    ] {
        let place = Place::new();
        let store = with_a_broken_item(&place).await;
        compose(&store, 1, 5, vec![reminder(0)]).await.expect("composed");
        assert_eq!(claim(&store, 5).await.len(), 1);
        let other = UserId::parse("user-2").expect("an id");
        let profile = NewProfile { id: other, email: None, name: None, locale: None, time_zone: None };
        store.put_user(profile, at(0)).await.expect("written");
        let said = vec![event.clone()];
        store.step(item_id("item-1"), said, "test".to_owned(), rule(&Policy::default(), at(8))).await.expect("a step");
        assert_eq!(begin(&store, 1).await.expect("it is leased"), begun, "{event:?}");
    }
}

#[tokio::test]
async fn a_body_does_not_go_out_at_night_however_long_the_dialogue_took() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    assert_eq!(claim(&store, 10).await.len(), 1);
    let (day, night) = ("* * 9-17 * * *", "* * 18-23,0-8 * * *");
    let open = [day, night].map(|window| SendWindow::parse(window).expect("a window").opens_at(at(10), &TimeZone::UTC));
    let (shut, until) = if open[0] == Some(at(10)) { (night, open[1]) } else { (day, open[0]) };
    assert_eq!(begin_in(&store, 1, shut, false).await, Begun::Night(until.expect("later")));
    assert_eq!(view(&store).await.status, "leased");
    assert_eq!(begin_in(&store, 1, shut, true).await, Begun::Go, "somebody waits for it");
}

#[tokio::test]
async fn a_claimed_letter_that_was_not_begun_is_surely_not_sent() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    assert_eq!(claim(&store, 10).await.len(), 1);
    let store = reopened(&place, store, 20).await;
    let claimed = claim(&store, 20).await.pop().expect("it is claimed anew");
    assert_eq!((claimed.uncertain, claimed.lines.as_slice()), (0, [reminder(0)].as_slice()));
}

#[tokio::test]
async fn a_crash_while_the_body_went_out_is_uncertain_and_ends_the_second_time() {
    let place = Place::new();
    let mut store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    for crash in 1..=2 {
        let claimed = claim(&store, crash * 100).await.pop().expect("a claim");
        assert_eq!(i64::from(claimed.uncertain), crash - 1);
        assert_eq!(begin(&store, 1).await.expect("it is leased"), Begun::Go);
        store = reopened(&place, store, crash * 100 + 50).await;
        assert_eq!(view(&store).await.status, "uncertain");
    }
    let claimed = claim(&store, 1_000).await.pop().expect("a claim");
    assert_eq!(claimed.uncertain, 2, "whoever claims it sees that it was sent twice");
    settle(&store, claimed, LetterOutcome::Uncertain { again_at: None, why: "twice".to_owned() }, 1_000).await;
    assert_eq!(ladder(&store).await, (1, 1), "it counts as sent");
    assert_eq!(claim(&store, 1_000_000).await, []);
    let store = reopened(&place, store, 2_000).await;
    assert_eq!(claim(&store, 1_000_000).await, [], "also after another start");
}

#[tokio::test]
async fn a_rung_is_written_at_most_once() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    let links = |store: &Store| {
        let _ = store;
        let raw = rusqlite::Connection::open(place.path()).expect("a database");
        raw.query_row("select count(*) from links", [], |row| row.get::<_, i64>(0)).expect("SQL")
    };
    assert!(compose(&store, 2, 11, vec![reminder(0)]).await.is_err());
    assert_eq!(
        store.letters(LetterFilter::default(), None, 10).await.expect("it reads").len(),
        1,
        "nothing of the second is there"
    );
    assert_eq!(links(&store), 1, "nor of its link");
    assert_eq!(ladder(&store).await, (1, 0));
    let claimed = claim(&store, 10).await.pop().expect("a claim");
    settle(&store, claimed, LetterOutcome::Accepted { reply: "250 ok".to_owned() }, 12).await;
    assert!(compose(&store, 3, 13, vec![reminder(0)]).await.is_err(), "also after it left");
    compose(&store, 4, 14, vec![reminder(1)]).await.expect("the next one is another");
    let claimed = claim(&store, 14).await.pop().expect("a claim");
    assert_eq!(claimed.references, [letter(1)], "and stands below the first");
}

#[tokio::test]
async fn a_withheld_letter_gives_its_rungs_back() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    let claimed = claim(&store, 10).await.pop().expect("a claim");
    settle(&store, claimed, LetterOutcome::Withheld { why: "not so any more".to_owned() }, 11).await;
    assert_eq!(ladder(&store).await, (0, 0));
    compose(&store, 2, 12, vec![reminder(0)]).await.expect("the rung is free again");
    assert_eq!(claim(&store, 12).await.pop().expect("a claim").references, [], "what did not leave is not referred to");
}

#[tokio::test]
async fn a_deferred_letter_comes_back_and_counts_only_real_attempts() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    for (round, attempt) in [(1, true), (2, false), (3, true)] {
        let claimed = claim(&store, round * 100).await.pop().expect("a claim");
        let until = at(round * 100) + SignedDuration::from_secs(50);
        let outcome = LetterOutcome::Deferred { until, why: "later".to_owned(), attempt };
        settle(&store, claimed, outcome, round * 100).await;
        assert_eq!(view(&store).await.due_at, Some(until));
        assert_eq!(claim(&store, round * 100 + 49).await, []);
    }
    assert_eq!((view(&store).await.attempts, ladder(&store).await), (2, (1, 0)));
}

#[tokio::test]
async fn a_bounce_that_names_the_address_stops_letters_to_it() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    let claimed = claim(&store, 10).await.pop().expect("a claim");
    settle(
        &store,
        claimed,
        LetterOutcome::Bounced { why: "550 gone".to_owned(), refusal: Refusal::Gone(address()) },
        11,
    )
    .await;
    let profile = store.user(user()).await.expect("it reads").expect("it is there");
    assert_eq!(profile.suppressed_at, Some(at(11)));
    assert_eq!(ladder(&store).await, (0, 0), "nobody read it: another address is to get the same letter");
    assert_eq!(claim(&store, 1_000_000).await, []);
    compose(&store, 2, 12, vec![reminder(0)]).await.expect("the rung is free again");
}

#[tokio::test]
async fn a_bounce_that_blames_nobody_is_not_written_again() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    compose(&store, 1, 10, vec![reminder(0)]).await.expect("composed");
    let claimed = claim(&store, 10).await.pop().expect("a claim");
    settle(&store, claimed, LetterOutcome::Bounced { why: "554 no".to_owned(), refusal: Refusal::Letter }, 11).await;
    assert_eq!(ladder(&store).await, (1, 0), "or it would be refused again and again");
}

#[tokio::test]
async fn a_letter_that_was_handed_over_before_a_crash_is_the_same_event_after_it() {
    let place = Place::new();
    let store = with_a_broken_item(&place).await;
    for number in [1, 2] {
        compose(&store, number, 10, vec![reminder(number as u8)]).await.expect("composed");
    }
    claim(&store, 10).await;
    let (first, second) = (hand_over(&store, 1).await, hand_over(&store, 2).await);
    assert!(first < second);
    let store = reopened(&place, store, 20).await;
    assert_eq!(claim(&store, 1_000).await.len(), 2, "they are tried again");
    assert_eq!((hand_over(&store, 1).await, hand_over(&store, 2).await), (first, second));
    let due = EventFilter { kind: Some("letter.due".to_owned()), ..EventFilter::default() };
    let events = store.events(due, 0, 10).await.expect("it reads");
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [first, second]);
    assert!(events.iter().all(|event| event.link.is_some()), "its address is written when it is read");
}
