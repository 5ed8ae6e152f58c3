//! What webhooks mean: the documented ones, and what is missing, wrong or new in others.

use jiff::Timestamp;
use proptest::prelude::*;
use relinkd::domain::event::{Event, Fault};
use relinkd::domain::ids::AccountId;
use relinkd::domain::item::{Cure, Deadline, ExpiryReason};
use relinkd::plaid::pairs::PAIRS;
use relinkd::plaid::webhook::{Meaning, Why, cannot_be_asked_for, meaning, read};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

/// Bodies in the shape of Plaid's, with ids of our own, and what each means when it was signed at [`signed_at`].
const FIXTURES: &str = include_str!("../fixtures/webhooks.json");

#[derive(Deserialize)]
struct Fixture {
    name: String,
    documented: bool,
    body: Value,
    meaning: Value,
}

fn signed_at() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().expect("a time")
}

fn fixtures() -> Vec<Fixture> {
    serde_json::from_str(FIXTURES).expect("the fixtures are JSON")
}

fn means(body: &Value) -> Meaning {
    meaning(&read(body.to_string().as_bytes()), signed_at())
}

fn as_json(meaning: &Meaning) -> Value {
    match meaning {
        Meaning::Item { item, events } => json!({ "item": item, "events": events }),
        Meaning::Session { link_token, event } => json!({ "session": link_token, "event": event }),
        Meaning::Nothing(why) => json!({ "nothing": why.name() }),
    }
}

#[test]
fn every_fixture_means_what_it_says() {
    let fixtures = fixtures();
    assert_eq!(fixtures.iter().filter(|fixture| fixture.documented).count(), 11, "8 of ITEM, 3 of LINK");
    for fixture in fixtures {
        assert_eq!(as_json(&means(&fixture.body)), fixture.meaning, "{}", fixture.name);
        let indented = serde_json::to_vec_pretty(&fixture.body).expect("JSON");
        assert_eq!(as_json(&meaning(&read(&indented), signed_at())), fixture.meaning, "{}, indented", fixture.name);
    }
}

#[test]
fn unknown_fields_change_nothing() {
    for mut fixture in fixtures() {
        if let Some(body) = fixture.body.as_object_mut() {
            body.insert("brand_new".to_owned(), json!({ "deep": [1, { "er": null }] }));
        }
        assert_eq!(as_json(&means(&fixture.body)), fixture.meaning, "{}", fixture.name);
    }
}

#[test]
fn every_documented_pair_is_read_and_known() {
    for (webhook_type, code) in PAIRS {
        let body = json!({ "webhook_type": webhook_type, "webhook_code": code, "item_id": "item-1", "error": null });
        let webhook = read(body.to_string().as_bytes());
        assert_eq!(webhook.known_pair(), Some((webhook_type, code)));
        let spoken = matches!(means(&body), Meaning::Item { .. });
        let health = webhook_type == "ITEM" && code != "WEBHOOK_UPDATE_ACKNOWLEDGED";
        assert_eq!(spoken, health, "{webhook_type} {code}");
    }
}

#[test]
fn pairs_stand_once_and_cover_the_codes_that_several_types_have() {
    let mut sorted = PAIRS.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), PAIRS.len());
    let with = |code: &str| PAIRS.iter().filter(|pair| pair.1 == code).count();
    assert_eq!(with("ERROR"), 4);
    assert_eq!(with("DEFAULT_UPDATE"), 6);
    assert_eq!(with("WEBHOOK_UPDATE_ACKNOWLEDGED"), 2);
}

#[test]
fn an_error_counts_in_every_pair_that_has_an_item() {
    let error = json!({ "error_type": "ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED" });
    let broken = Fault { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None, cure: Cure::LogIn };
    for (webhook_type, code) in PAIRS {
        let body = json!({ "webhook_type": webhook_type, "webhook_code": code, "item_id": "item-1", "error": error });
        let told = match means(&body) {
            Meaning::Item { events, .. } => events.contains(&Event::LoginRequired(broken.clone())),
            Meaning::Session { .. } | Meaning::Nothing(_) => false,
        };
        let elsewhere =
            [("ITEM", "USER_PERMISSION_REVOKED"), ("LINK", "SESSION_FINISHED")].contains(&(webhook_type, code));
        assert_eq!(told, !elsewhere, "{webhook_type} {code}");
    }
}

#[test]
fn what_is_no_json_is_a_webhook_all_the_same() {
    for body in ["", "{", "null", "ITEM", "{\"webhook_type\": \"ITEM\"} x", "\u{0}", "[[[[[["] {
        assert_eq!(meaning(&read(body.as_bytes()), signed_at()), Meaning::Nothing(Why::NotJson), "{body:?}");
    }
    assert_eq!(meaning(&read(b"{\"a\": \"\xff\"}"), signed_at()), Meaning::Nothing(Why::NotJson));
    let deep = format!("{{\"webhook_type\":\"ITEM\",\"x\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let _ = meaning(&read(deep.as_bytes()), signed_at());
}

#[test]
fn texts_are_cut_and_messages_are_not_kept() {
    let secret = "access-production-c0ffee00-1111-4222-8333-444444444444";
    let body = json!({
        "webhook_type": "T".repeat(5_000), "webhook_code": "A\nB", "item_id": "item-1",
        "link_token": "link-production-c0ffee", "error": {
            "error_code": "C".repeat(5_000), "error_message": format!("the token {secret}"), "display_message": secret,
        },
    });
    let webhook = read(body.to_string().as_bytes());
    assert_eq!(webhook.webhook_type.as_ref().map(String::len), Some(100));
    assert_eq!(webhook.webhook_code.as_deref(), Some("A?B"));
    assert_eq!(webhook.error.as_ref().map(|error| error.error_code.len()), Some(100));
    let token = webhook.link_token.as_ref().expect("a token");
    assert_eq!(token.expose_secret(), "link-production-c0ffee");
    let debug = format!("{webhook:?} {:?}", means(&body));
    assert!(!debug.contains("c0ffee"), "{debug}");
    let session = means(&json!({ "webhook_type": "LINK", "webhook_code": "SESSION_FINISHED", "status": "SUCCESS",
        "link_token": "link-production-c0ffee" }));
    assert!(matches!(session, Meaning::Session { .. }));
    assert!(!format!("{session:?}").contains("c0ffee"));
}

#[test]
fn an_odd_spelling_is_no_known_code() {
    let body = json!({ "webhook_type": "ITEM ", "webhook_code": "LOGIN_REPAIRED", "item_id": "item-1" });
    assert_eq!(means(&body), Meaning::Nothing(Why::Unknown));
}

#[test]
fn the_last_moment_of_the_calendar_has_a_deadline_too() {
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "PENDING_DISCONNECT", "item_id": "item-1" });
    let told = meaning(&read(body.to_string().as_bytes()), Timestamp::MAX);
    let Meaning::Item { events, .. } = told else { panic!("{told:?}") };
    let deadline = Deadline::Assumed(Timestamp::MAX);
    assert_eq!(events, [Event::Expiring { deadline, why: ExpiryReason::Unsaid }]);
}

#[test]
fn some_things_can_never_be_asked_for() {
    let expiring = |why| Event::Expiring { deadline: Deadline::Known(signed_at()), why };
    let account = AccountId::parse("acct-1").expect("an id");
    for event in [
        expiring(ExpiryReason::BankMoves),
        expiring(ExpiryReason::Unsaid),
        Event::NewAccounts,
        Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() },
        Event::AccountRevoked { account },
    ] {
        assert!(cannot_be_asked_for(&event), "{event:?}");
    }
    let fault = Fault { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None, cure: Cure::LogIn };
    for event in [
        expiring(ExpiryReason::ConsentEnds),
        Event::LoginRequired(fault),
        Event::LoginRepaired,
        Event::Suspected,
        Event::UpdateModeFinished,
        Event::UpdateModeLeft,
    ] {
        assert!(!cannot_be_asked_for(&event), "{event:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("ITEM")),
        Just(json!("ITEM_LOGIN_REQUIRED")),
        Just(json!("2026-11-30T08:00:00Z")),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{0,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Real pairs with anything in the fields that count.
fn any_webhook() -> impl Strategy<Value = Value> {
    let fields = ["item_id", "error", "disconnect_time", "consent_expiration_time", "reason", "status", "link_token"];
    let values = proptest::collection::vec(proptest::option::of(any_json()), fields.len());
    (proptest::sample::select(PAIRS.to_vec()), values).prop_map(move |((webhook_type, code), values)| {
        let mut body = json!({ "webhook_type": webhook_type, "webhook_code": code });
        for (field, value) in fields.iter().zip(values) {
            if let Some(value) = value {
                body[*field] = value;
            }
        }
        body
    })
}

proptest! {
    #[test]
    fn any_bytes_have_a_meaning(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = meaning(&read(&body), signed_at());
    }

    #[test]
    fn any_json_has_a_meaning(body in any_json()) {
        prop_assert!(read(body.to_string().as_bytes()).is_object == body.is_object());
        let _ = means(&body);
    }

    #[test]
    fn any_webhook_has_a_meaning_and_events_only_with_an_item(body in any_webhook()) {
        if let Meaning::Item { item, events } = means(&body) {
            prop_assert_eq!(Some(item.as_str()), body["item_id"].as_str());
            prop_assert!(!events.is_empty());
        }
    }
}
