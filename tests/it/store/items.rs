//! An Item comes back from the store as it went in, whatever happened to it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use relinkd::domain::event::{Event, Fault, Health, Mention, Observation, Topic};
use relinkd::domain::ids::{AccountId, Institution, InstitutionId, ItemId, LetterId, SessionId, UserId};
use relinkd::domain::item::{Cure, Deadline, ExpiryReason, Hold, Item, Kind, Login, RemovalReason};
use relinkd::domain::policy::Policy;
use relinkd::domain::supersede::{self, Sibling, is_touched};
use relinkd::domain::transition::transition;
use relinkd::engine::apply::rule;
use relinkd::store::{ItemFilter, NewItem, Store};
use uuid::Uuid;

use super::{Place, at, item_id};

/// Something that happens, after a while. Moments count from then.
#[derive(Clone, Debug)]
enum Happening {
    Event(Event),
    /// Plaid's answer, asked so many seconds before.
    Answer {
        asked: i64,
        own: bool,
        health: Health,
        ends_in: Option<i64>,
        named: bool,
    },
    Expiring {
        ends_in: i64,
        known: bool,
        why: ExpiryReason,
    },
    Snoozed {
        secs: i64,
    },
    Imported {
        named: bool,
    },
    Registered {
        token: u8,
        user: u8,
        named: bool,
    },
}

fn cure() -> impl Strategy<Value = Cure> {
    prop_oneof![Just(Cure::LogIn), Just(Cure::ChooseAccounts)]
}

fn fault() -> impl Strategy<Value = Fault> {
    ("[A-Z_]{1,12}", proptest::option::of("[A-Z_]{1,12}"), cure()).prop_map(|(code, reason, cure)| Fault {
        code,
        reason,
        cure,
    })
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        6 => Just(Health::Good),
        4 => fault().prop_map(Health::Broken),
        1 => "[A-Z_]{1,12}".prop_map(|code| Health::Revoked { code }),
        1 => "[A-Z_]{1,12}".prop_map(|code| Health::Impaired { code }),
        1 => Just(Health::Gone),
    ]
}

fn mention() -> impl Strategy<Value = Mention> {
    let kind = prop_oneof![2 => Just(Kind::LoginRequired), 1 => proptest::sample::select(Kind::ALL.to_vec())];
    let topic = prop_oneof![
        (kind, 0..4_u8).prop_map(|(kind, rung)| Topic::Reminder { kind, rung }),
        Just(Topic::WorksAgain),
        Just(Topic::FreshLink)
    ];
    (1..3_u32, topic).prop_map(|(episode, topic)| Mention { letter: LetterId(Uuid::from_u128(7)), episode, topic })
}

fn happening() -> impl Strategy<Value = Happening> {
    let why = prop_oneof![Just(ExpiryReason::ConsentEnds), Just(ExpiryReason::BankMoves), Just(ExpiryReason::Unsaid)];
    let reason = prop_oneof![Just(RemovalReason::Application), Just(RemovalReason::UnknownToPlaid)];
    let days = -2 * 86_400..40 * 86_400_i64;
    let plain = prop_oneof![
        8 => fault().prop_map(Event::LoginRequired),
        2 => Just(Event::LoginRepaired),
        2 => Just(Event::NewAccounts),
        2 => "[A-Z_]{1,12}".prop_map(|code| Event::Revoked { code }),
        1 => Just(Event::AccountRevoked { account: AccountId::parse("account-1").expect("an id") }),
        1 => Just(Event::Suspected),
        1 => "[A-Z_]{1,12}".prop_map(|code| Event::TokenRefused { code }),
        1 => Just(Event::UpdateModeStarted { session: SessionId(Uuid::from_u128(9)) }),
        3 => Just(Event::UpdateModeFinished),
        1 => Just(Event::UpdateModeLeft),
        3 => Just(Event::Tick),
        1 => reason.prop_map(|why| Event::Removed { why }),
        1 => Just(Event::Resumed),
        8 => Just(Event::LettersReleased),
        1 => Just(Event::Superseded { by: item_id("item-newer") }),
        1 => Just(Event::Unsuperseded),
        8 => mention().prop_map(Event::LetterComposed),
        6 => mention().prop_map(Event::LetterSent),
        1 => mention().prop_map(Event::LetterWithheld),
        1 => mention().prop_map(Event::LetterReturned),
        1 => mention().prop_map(Event::LetterRefused),
    ];
    prop_oneof![
        10 => plain.prop_map(Happening::Event),
        8 => (0..100_i64, proptest::bool::weighted(0.9), health(), proptest::option::of(days.clone()), any::<bool>())
            .prop_map(|(asked, own, health, ends_in, named)| Happening::Answer { asked, own, health, ends_in, named }),
        3 => (days, any::<bool>(), why).prop_map(|(ends_in, known, why)| Happening::Expiring { ends_in, known, why }),
        1 => (1..90_000_i64).prop_map(|secs| Happening::Snoozed { secs }),
        1 => any::<bool>().prop_map(|named| Happening::Imported { named }),
        2 => (0..3_u8, 0..2_u8, any::<bool>())
            .prop_map(|(token, user, named)| Happening::Registered { token, user, named }),
    ]
}

fn bank(named: bool) -> Institution {
    let id = InstitutionId::parse("ins_1").expect("an id");
    Institution { id, name: named.then(|| "Example Bank".to_owned()) }
}

fn event(happening: &Happening, id: &ItemId, now: Timestamp) -> Event {
    let after = |secs: i64| now + SignedDuration::from_secs(secs);
    match happening {
        Happening::Event(event) => event.clone(),
        Happening::Answer { asked, own, health, ends_in, named } => Event::Observed(Observation {
            webhooks_go: None,
            asked_at: after(-asked),
            item: Some(if *own { id.clone() } else { item_id("item-foreign") }),
            created_at: named.then(|| after(-asked - 86_400)),
            health: health.clone(),
            consent_expires_at: ends_in.map(after),
            institution: named.then(|| bank(true)),
        }),
        Happening::Expiring { ends_in, known, why } => {
            let at = after(*ends_in);
            Event::Expiring { deadline: if *known { Deadline::Known(at) } else { Deadline::Assumed(at) }, why: *why }
        }
        Happening::Snoozed { secs } => Event::Snoozed { until: after(*secs) },
        Happening::Imported { named } => {
            Event::Imported { user: user_id(id, 0), institution: named.then(|| bank(false)) }
        }
        Happening::Registered { user, named, .. } => {
            Event::Registered { user: user_id(id, *user), institution: named.then(|| bank(false)) }
        }
    }
}

/// Each story has users of its own: others' Items are no duplicates.
fn user_id(item: &ItemId, number: u8) -> UserId {
    UserId::parse(format!("user-{number}-of-{item}")).expect("an id")
}

/// What of the domain's variants an Item shows.
fn variants(item: &Item) -> Vec<String> {
    let mut seen = vec![format!("{:?}", item.token), format!("{:?}", item.state())];
    seen.push(match &item.login {
        Login::Sound => "Sound".to_owned(),
        Login::Broken(episode) => format!("Broken {:?} {}", episode.what.cure, episode.what.reason.is_some()),
        Login::Mended { .. } => "Mended".to_owned(),
    });
    if let Some(expiry) = &item.expiry {
        let known = matches!(expiry.what.deadline, Deadline::Known(_));
        seen.push(format!("{:?} {known}", expiry.what.why));
    }
    let marks = [
        ("claim", item.claim.is_some()),
        ("impaired", item.impaired.is_some()),
        ("snoozed", item.snoozed_until.is_some()),
        ("held", item.held_since().is_some()),
        ("released", matches!(item.hold, Hold::Released { .. })),
        ("consent", item.consent_expires_at.is_some()),
        ("letters", item.broken().is_some_and(|episode| episode.letters > 0)),
        ("rungs", item.broken().is_some_and(|episode| episode.rungs_passed > 0)),
        ("word owed", item.word_owed().is_some()),
        ("all at once", item.expiry.is_some() && item.new_accounts.is_some() && item.broken().is_some()),
    ];
    seen.extend(marks.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()));
    seen.extend(item.removed.map(|removed| format!("{:?}", removed.why)));
    seen
}

/// What the store has of the Item is what the domain made of it.
async fn comes_back(store: &Store, expected: &Item) -> Result<(), TestCaseError> {
    let found = store.item(expected.id.clone()).await.expect("it reads").expect("it is there");
    prop_assert_eq!(&found.item, expected);
    let filter = ItemFilter { state: Some(expected.state()), ..ItemFilter::default() };
    let before = expected.id.as_str().strip_suffix('x').map(str::to_owned);
    let listed = store.items(filter, before, 1).await.expect("it reads");
    prop_assert_eq!(listed.first(), Some(expected), "the list by state");
    Ok(())
}

/// The Item after the rule about duplicates: it is its user's only one.
fn settled(before: &Item, after: Item, now: Timestamp) -> Item {
    if !is_touched(before, &after) {
        return after;
    }
    let sibling = Sibling { item: after.clone(), accounts: BTreeSet::new() };
    let events = supersede::settle(&[sibling], &Policy::default().superseding);
    events.into_iter().fold(after, |item, (_, event)| transition(&item, &event, now, &Policy::default()).item)
}

async fn live(store: &Store, id: ItemId, story: &[(i64, Happening)]) -> Result<BTreeSet<String>, TestCaseError> {
    let policy = Policy::default();
    let mut now = at(0);
    let register = async |token: u8, user: u8, named: bool, now: Timestamp| {
        let institution = named.then(|| bank(false));
        let access_token = format!("access-sandbox-{token}");
        let new = NewItem { id: id.clone(), user: user_id(&id, user), access_token, institution, country_codes: None };
        store.register(new, rule(&policy, now)).await.expect("it is registered").record.item
    };
    let mut item = register(0, 0, false, now).await;
    let mut seen = BTreeSet::new();
    for (wait, happening) in story {
        now += SignedDuration::from_millis(*wait);
        let event = event(happening, &id, now);
        let expected = settled(&item, transition(&item, &event, now, &policy).item, now);
        let stored = match happening {
            Happening::Registered { token, user, named } => register(*token, *user, *named, now).await,
            Happening::Event(_)
            | Happening::Answer { .. }
            | Happening::Expiring { .. }
            | Happening::Snoozed { .. }
            | Happening::Imported { .. } => {
                let stepped = store.step(id.clone(), vec![event], "test".to_owned(), rule(&policy, now)).await;
                let (stepped, _) = stepped.expect("a step").expect("it is registered");
                prop_assert_eq!(&stepped, &expected);
                stepped
            }
        };
        comes_back(store, &stored).await?;
        seen.extend(variants(&stored));
        item = stored;
    }
    Ok(seen)
}

/// Everything that [`variants`] can say of the enums of the domain.
const ALL: [&str; 33] = [
    "held",
    "released",
    "Unproven",
    "Proven",
    "Foreign",
    "Refused",
    "Removed",
    "Revoked",
    "LoginRequired",
    "PendingExpiration",
    "NewAccounts",
    "Healthy",
    "Sound",
    "Broken LogIn true",
    "Broken LogIn false",
    "Broken ChooseAccounts true",
    "Broken ChooseAccounts false",
    "Mended",
    "ConsentEnds true",
    "ConsentEnds false",
    "BankMoves true",
    "BankMoves false",
    "Unsaid true",
    "Unsaid false",
    "claim",
    "impaired",
    "snoozed",
    "consent",
    "letters",
    "rungs",
    "all at once",
    "Application",
    "UnknownToPlaid",
];

#[test]
fn an_item_comes_back_as_it_went_in_after_every_step() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let place = Place::new();
    let store = place.open(at(0));
    let waits = prop_oneof![4 => 0..5_000_i64, 3 => 0..3_600_000_i64, 2 => 0..10 * 86_400_000_i64];
    let story = proptest::collection::vec((waits, happening()), 1..40);
    // The same stories each time, so that what they reach can be asserted.
    let config = ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (number, seen) = (std::cell::Cell::new(0), std::cell::RefCell::new(BTreeSet::new()));
    let outcome = runner.run(&story, |story| {
        number.set(number.get() + 1);
        let id = item_id(&format!("item-{:06}x", number.get()));
        seen.borrow_mut().extend(runtime.block_on(live(&store, id, &story))?);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, story)) => panic!("{why}\n{story:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let missed: Vec<&str> = ALL.into_iter().filter(|name| !seen.borrow().contains(*name)).collect();
    assert_eq!(missed, [""; 0], "what no story reached");
}
