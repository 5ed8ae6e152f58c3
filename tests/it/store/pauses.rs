//! What holds letters back: too many that come back, and the caps of mailbox providers.

use jiff::tz::TimeZone;
use relinkd::domain::compose::{Channel, Circumstances, Composition, Line};
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::event::Topic;
use relinkd::domain::ids::{LetterId, UserId};
use relinkd::domain::item::Kind;
use relinkd::domain::policy::Policy;
use relinkd::domain::provider::{Cap, Caps};
use relinkd::engine::apply::rule;
use relinkd::store::{
    Back, Begun, ClaimedLetter, Composer, Departure, EventFilter, LetterFilter, LetterOutcome, MailReport, NewProfile,
    PauseReason, Refusal, Store, Teller,
};
use uuid::Uuid;

use super::{Place, at, at_once, break_login, item_id, register};

const DAY: i64 = 24 * 60 * 60;

/// The first midnight in UTC after the tests' time begins.
const MIDNIGHT: i64 = 46_400;

fn user(number: u32) -> UserId {
    UserId::parse(format!("user-{number}")).expect("an id")
}

fn address(number: u32, domain: &str) -> EmailAddress {
    EmailAddress::parse(&format!("user-{number}@{domain}")).expect("an address")
}

fn gmail(letters: u32) -> Caps {
    Caps::new(vec![Cap { provider: "gmail.com".to_owned(), letters }])
}

/// A user with an Item whose login is broken.
async fn with_user(store: &Store, number: u32, domain: &str) {
    let profile = NewProfile {
        id: user(number),
        email: Some(address(number, domain)),
        name: None,
        locale: None,
        time_zone: None,
    };
    store.put_user(profile, at(0)).await.expect("written");
    let item = format!("item-{number}");
    register(store, &item, &format!("user-{number}"), at(0)).await;
    break_login(store, &item, 1).await;
}

/// Composes for a user as long as no provider is full. Says how the circumstances were.
async fn compose(store: &Store, number: u32, caps: Caps, second: i64) -> Circumstances {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Circumstances::default()));
    let tell = std::sync::Arc::clone(&seen);
    let line = Line {
        item: item_id(&format!("item-{number}")),
        episode: 1,
        topic: Topic::Reminder { kind: Kind::LoginRequired, rung: 0 },
    };
    let composer = Composer {
        compose: Box::new(move |_, _, _, circumstances| {
            *tell.lock().expect("no panic") = circumstances.clone();
            match circumstances.provider_full_until {
                Some(until) => Composition::Wait { until, why: relinkd::domain::compose::Delay::ProviderFull },
                None => Composition::Write(vec![line.clone()]),
            }
        }),
        held: Vec::new(),
        caps,
        default_zone: TimeZone::UTC,
        channel: Channel::Mail,
        letter: LetterId(Uuid::from_u128(u128::from(number))),
    };
    store.compose(user(number), composer, rule(&Policy::default(), at(second))).await.expect("composed");
    std::mem::take(&mut *seen.lock().expect("no panic"))
}

async fn claim(store: &Store, second: i64) -> Vec<ClaimedLetter> {
    store.claim_letters(at(second), 1000, Channel::Mail).await.expect("it claims")
}

async fn begin(store: &Store, number: u32, domain: &str, caps: &Caps, second: i64) -> Begun {
    begin_as(store, number, domain, caps, second, false).await
}

async fn begin_as(store: &Store, number: u32, domain: &str, caps: &Caps, second: i64, asked_for: bool) -> Begun {
    let to = address(number, domain);
    let departure = Departure {
        id: LetterId(Uuid::from_u128(u128::from(number))),
        user: user(number),
        cap: caps.of(to.domain()).cloned(),
        to: Some(to),
        channel: Channel::Mail,
        asked_for,
        language: "en".to_owned(),
        subject: "Subject".to_owned(),
        policy: at_once(),
        default_zone: TimeZone::UTC,
    };
    store.start_data(departure, at(second)).await.expect("it writes")
}

async fn settle(store: &Store, letter: ClaimedLetter, outcome: LetterOutcome, second: i64) -> Option<PauseReason> {
    let settled = store.settle_letter(letter, outcome, rule(&Policy::default(), at(second))).await.expect("settled");
    settled.paused.map(|pause| pause.why)
}

fn accepted() -> LetterOutcome {
    LetterOutcome::Accepted { reply: "250 ok".to_owned() }
}

fn gone(number: u32) -> LetterOutcome {
    LetterOutcome::Bounced { why: "550 5.1.1 gone".to_owned(), refusal: Refusal::Gone(address(number, "example.com")) }
}

fn number_of(letter: &ClaimedLetter) -> u32 {
    letter.user.as_str().trim_start_matches("user-").parse().expect("a number")
}

#[tokio::test]
async fn a_provider_gets_no_more_than_its_cap_in_a_day() {
    let place = Place::new();
    let store = place.open(at(0));
    let caps = gmail(2);
    for (number, domain) in [(1, "gmail.com"), (2, "googlemail.com"), (3, "gmail.com"), (4, "example.com")] {
        with_user(&store, number, domain).await;
    }
    for number in [1, 2] {
        assert_eq!(compose(&store, number, caps.clone(), 10).await.provider_full_until, None);
    }
    assert_eq!(
        compose(&store, 3, caps.clone(), 20).await.provider_full_until,
        Some(at(MIDNIGHT)),
        "until midnight in UTC"
    );
    assert_eq!(compose(&store, 4, caps.clone(), 20).await.provider_full_until, None, "others are not held back");
    assert_eq!(claim(&store, 30).await.len(), 3);
    assert_eq!(begin(&store, 1, "gmail.com", &caps, 40).await, Begun::Go);
    // What was composed on one day and leaves on the next counts there, and finds it full like any other.
    assert_eq!(compose(&store, 3, gmail(1), MIDNIGHT + 1).await.provider_full_until, None);
    assert_eq!(begin(&store, 2, "googlemail.com", &gmail(1), MIDNIGHT + 2).await, Begun::Full(at(MIDNIGHT + DAY)));
    let asked_for = begin_as(&store, 2, "googlemail.com", &gmail(1), MIDNIGHT + 3, true).await;
    assert_eq!(asked_for, Begun::Go, "somebody waits for it");
}

#[tokio::test]
async fn whoever_stopped_a_moment_ago_gets_nothing() {
    let place = Place::new();
    let store = place.open(at(0));
    with_user(&store, 1, "example.com").await;
    compose(&store, 1, gmail(1), 10).await;
    assert_eq!(claim(&store, 10).await.len(), 1);
    store.wish(user(1), relinkd::store::Wish::Stop, at(11)).await.expect("written");
    assert_eq!(begin(&store, 1, "example.com", &gmail(1), 12).await, Begun::Unwanted, "although it is on its way");
    assert_eq!(begin(&store, 1, "other.example", &gmail(1), 12).await, Begun::Unwanted, "the address is another now");
}

#[tokio::test]
async fn more_than_three_in_a_hundred_that_come_back_stop_all_letters() {
    let place = Place::new();
    let mut store = place.open(at(0));
    for number in 1..=205 {
        with_user(&store, number, "example.com").await;
        compose(&store, number, gmail(1), 10).await;
    }
    let mut letters = claim(&store, 10).await;
    letters.sort_by_key(number_of);
    let late = letters.split_off(200);
    let mut second = 20;
    for letter in letters {
        let number = number_of(&letter);
        let outcome = if (10..=15).contains(&number) { gone(number) } else { accepted() };
        assert_eq!(settle(&store, letter, outcome, second).await, None, "letter {number}");
        second += 1;
    }
    let mut late = late.into_iter();
    let mut next = || late.next().expect("a letter");
    assert_eq!(settle(&store, next(), gone(201), second).await, Some(PauseReason::Bounces), "7 of 200");
    assert_eq!(settle(&store, next(), gone(202), second + 1).await, None);
    assert_eq!(store.suppressions(None, 100).await.expect("it reads").len(), 7, "in the pause nobody is given up");
    assert_eq!(claim(&store, second + 2 * DAY).await, [], "all letters wait");
    store.close().await;
    drop(store);
    store = place.open(at(second + 3 * DAY));
    let pause = store.pause().await.expect("it reads").expect("it outlives the process");
    assert_eq!(
        (pause.why, pause.note.as_str()),
        (PauseReason::Bounces, "7 of the last 200 letters came back or were refused")
    );
    assert_eq!(store.agenda(Channel::Mail).await.expect("it reads").letters, None);
    let (_, lifted) = store.end_pause(true, at(second + 3 * DAY)).await.expect("it writes").expect("there is one");
    assert_eq!(
        (lifted, store.suppressions(None, 100).await.expect("it reads").len()),
        (7, 0),
        "the operator doubts it"
    );
    let events = store.events(EventFilter::default(), 0, 1000).await.expect("it reads");
    let told: Vec<&str> = events.iter().filter(|event| event.user.is_none()).map(|event| event.kind.as_str()).collect();
    assert_eq!(told, ["letters.paused", "letters.resumed"], "the application hears of it");
    let mut again = claim(&store, second + 3 * DAY).await;
    again.sort_by_key(number_of);
    assert_eq!(again.iter().map(number_of).collect::<Vec<_>>(), [202, 203, 204, 205]);
    let first = again.remove(0);
    assert_eq!(
        settle(&store, first, gone(202), second + 3 * DAY).await,
        None,
        "it counts anew from the operator's word"
    );
}

/// Letters on their way to so many users, in the users' order.
async fn on_their_way(store: &Store, letters: u32) -> impl Iterator<Item = ClaimedLetter> {
    for number in 1..=letters {
        with_user(store, number, "example.com").await;
        compose(store, number, gmail(1), 10).await;
    }
    let mut claimed = claim(store, 10).await;
    claimed.sort_by_key(number_of);
    claimed.into_iter()
}

/// So many letters that the mail server took, in the users' order.
async fn delivered(store: &Store, letters: u32) -> Vec<ClaimedLetter> {
    let letters: Vec<ClaimedLetter> = on_their_way(store, letters).await.collect();
    for letter in &letters {
        assert_eq!(begin(store, number_of(letter), "example.com", &gmail(1), 15).await, Begun::Go);
        assert_eq!(settle(store, letter.clone(), accepted(), 20).await, None);
    }
    letters
}

fn refused(refusal: Refusal) -> LetterOutcome {
    LetterOutcome::Bounced { why: "554 5.7.1 refused".to_owned(), refusal }
}

#[tokio::test]
async fn letters_that_nobody_takes_are_an_alarm_and_full_mailboxes_are_none() {
    let place = Place::new();
    let store = place.open(at(0));
    let mut letters = on_their_way(&store, 203).await;
    for letter in letters.by_ref().take(200) {
        let number = number_of(&letter);
        let outcome = match number {
            101..=106 => refused(Refusal::Letter),
            107..=120 => refused(Refusal::Mailbox),
            _ => accepted(),
        };
        assert_eq!(settle(&store, letter, outcome, 20 + i64::from(number)).await, None);
    }
    let mut next = || letters.next().expect("a letter");
    assert_eq!(settle(&store, next(), refused(Refusal::Mailbox), 300).await, None);
    assert_eq!(settle(&store, next(), refused(Refusal::Letter), 301).await, Some(PauseReason::Bounces), "7 of 200");
    let late = next();
    let number = number_of(&late);
    assert_eq!(settle(&store, late, refused(Refusal::Letter), 302).await, None);
    assert_eq!(claim(&store, 2 * DAY).await, [], "all letters wait");
    assert_eq!(store.agenda(Channel::Mail).await.expect("it reads").letters, None);
    assert!(store.agenda(Channel::Event).await.expect("it reads").letters.is_some(), "the application may go on");
    let by_event = store.claim_letters(at(2 * DAY), 10, Channel::Event).await.expect("it claims");
    assert_eq!(by_event.iter().map(number_of).collect::<Vec<_>>(), [number], "kept, and the application's to bring");
}

#[tokio::test]
async fn what_services_refuse_after_they_took_it_is_an_alarm_too() {
    let place = Place::new();
    let store = place.open(at(0));
    let letters = delivered(&store, 200).await;
    let tells = async |letter: &ClaimedLetter, back: Back| {
        let report = MailReport {
            source: Teller::Postmark,
            event: Some(format!("{back:?}/{}", letter.id)),
            letter: Some(letter.id),
            address: None,
            back,
            note: Some("550 5.7.515 access denied".to_owned()),
        };
        let reported = store.report_mail(report, rule(&Policy::default(), at(30))).await.expect("it writes");
        assert!(reported.known && !reported.repeated);
        reported.paused.map(|pause| pause.why)
    };
    for letter in &letters[20..40] {
        assert_eq!(tells(letter, Back::Soft).await, None, "not delivered yet");
    }
    for letter in &letters[..6] {
        assert_eq!(tells(letter, Back::Refused).await, None);
        assert_eq!(tells(letter, Back::Soft).await, None, "the order is not promised");
    }
    assert_eq!(tells(&letters[20], Back::Refused).await, Some(PauseReason::Bounces), "7 of 200");
    assert_eq!(store.suppressions(None, 100).await.expect("it reads"), [], "no address is to blame");
}

#[tokio::test]
async fn addresses_that_somebody_switches_off_say_nothing_about_the_letters_that_went_there() {
    let place = Place::new();
    let store = place.open(at(0));
    delivered(&store, 200).await;
    for number in 1..=20 {
        let report = MailReport {
            source: Teller::Postmark,
            event: None,
            letter: None,
            address: Some(address(number, "example.com")),
            back: Back::Barred,
            note: None,
        };
        let reported = store.report_mail(report, rule(&Policy::default(), at(30))).await.expect("it writes");
        assert_eq!(reported.paused, None);
    }
    assert_eq!(store.suppressions(None, 100).await.expect("it reads").len(), 20);
    let listed = store.letters(LetterFilter::default(), None, 200).await.expect("it reads");
    assert!(listed.iter().all(|letter| letter.status == "accepted"), "they were delivered");
}
