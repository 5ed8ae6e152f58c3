//! Plaid's own example bodies of ITEM and LINK webhooks, signed as Plaid signs, over HTTP: what each does to state, journal
//! and letters. The project's own fixtures carry the same facts and are always run.

use std::path::Path;

use jiff::Timestamp;
use relinkd::demo::plaid::{Act, Bank, Item, NewItem};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::repair::repair_link;
use crate::harness::{Pressed, Settings, World, days, minutes};

/// Bodies in the shape of Plaid's, with ids of our own.
const FIXTURES: &str = include_str!("../fixtures/webhooks.json");

/// Plaid's documentation, where the folder beside this one has it. Not the project's to hand on.
const SHARED: &str = "../shared/plaid/webhooks-item-link.json";

#[derive(Deserialize)]
struct Example {
    name: String,
    #[serde(default)]
    documented: Option<bool>,
    body: Value,
}

/// What follows from a body: for an Item that is well in the eyes of Plaid unless `truth` says otherwise.
struct Expected {
    truth: Option<Act>,
    state: &'static str,
    event: Option<&'static str>,
    /// Whether Plaid is asked about the Item.
    asks: bool,
    letters: usize,
}

fn expected(body: &Value, now: Timestamp) -> Expected {
    let code = body["webhook_code"].as_str().unwrap_or_default();
    let reason = body["error"]["error_code_reason"].as_str().map(str::to_owned);
    let nothing = |state| Expected { truth: None, state, event: None, asks: false, letters: 0 };
    match (body["webhook_type"].as_str().unwrap_or_default(), code) {
        ("ITEM", "ERROR") => Expected {
            truth: Some(Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason }),
            event: Some("login_required"),
            asks: true,
            letters: 1,
            ..nothing("login_required")
        },
        ("ITEM", "LOGIN_REPAIRED") => Expected { event: Some("login_repaired"), asks: true, ..nothing("healthy") },
        ("ITEM", "NEW_ACCOUNTS_AVAILABLE") => Expected {
            truth: Some(Act::NewAccount),
            event: Some("new_accounts"),
            letters: 1,
            ..nothing("new_accounts")
        },
        ("ITEM", "PENDING_DISCONNECT" | "PENDING_EXPIRATION") => match ends(body).is_some_and(|(_, at)| at <= now) {
            true => Expected { event: Some("expiring"), asks: true, ..nothing("healthy") },
            // Asked before its letter leaves, which is due at once: seven days before is past.
            false => Expected { event: Some("expiring"), asks: true, letters: 1, ..nothing("pending_expiration") },
        },
        ("ITEM", "USER_ACCOUNT_REVOKED") => Expected { event: Some("account_revoked"), ..nothing("healthy") },
        ("ITEM", "USER_PERMISSION_REVOKED") => {
            Expected { truth: Some(Act::Revoke), event: Some("revoked"), ..nothing("revoked") }
        }
        ("ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED") | ("LINK", "EVENTS" | "ITEM_ADD_RESULT") => nothing("healthy"),
        ("LINK", "SESSION_FINISHED") => {
            Expected { event: Some("update_mode_finished"), asks: true, ..nothing("healthy") }
        }
        (kind, code) => panic!("an example of {kind} {code}, of which nothing is expected yet"),
    }
}

#[tokio::test]
async fn the_projects_own_examples_do_what_they_say() {
    let all: Vec<Example> = serde_json::from_str(FIXTURES).expect("the fixtures are JSON");
    let examples: Vec<Example> = all.into_iter().filter(|example| example.documented == Some(true)).collect();
    play(examples).await;
}

#[tokio::test]
async fn plaids_own_examples_do_what_they_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHARED);
    let Ok(text) = std::fs::read_to_string(&path) else {
        let required = std::env::vars_os().any(|(name, _)| name == "TEST_REQUIRE_SHARED");
        assert!(!required, "TEST_REQUIRE_SHARED is set, and {} is not there", path.display());
        crate::process::say(&format!(
            "SKIPPED: {} is not there; the project's own examples carry the same facts",
            path.display()
        ));
        return;
    };
    play(serde_json::from_str(&text).expect("the examples are JSON")).await;
}

/// Plays each example as it stands, and those with a date also with one that lies ahead. A date of our own fixtures may
/// lie on either side of the day on which the test runs, so they get one.
async fn play(examples: Vec<Example>) {
    assert_eq!(examples.len(), 11, "8 of ITEM, 3 of LINK");
    for Example { name, body, .. } in examples {
        eprintln!("{name}");
        let Some((key, at)) = ends(&body) else {
            play_one(body, None).await;
            continue;
        };
        let long_past = at.to_string().starts_with("2020");
        play_one(body.clone(), (!long_past).then_some((key, -days(1)))).await;
        play_one(body, Some((key, days(6)))).await;
    }
}

/// The date of a body, and where it stands.
fn ends(body: &Value) -> Option<(&'static str, Timestamp)> {
    let key = ["disconnect_time", "consent_expiration_time"].into_iter().find(|key| body.get(key).is_some())?;
    Some((key, body[key].as_str()?.parse().expect("a time")))
}

async fn play_one(mut body: Value, date: Option<(&str, jiff::SignedDuration)>) {
    let environment = match body["environment"].as_str() {
        Some("production") => "production",
        Some("sandbox") => "sandbox",
        other => panic!("no such environment: {other:?}"),
    };
    let world = World::with(Settings { environment, ..Settings::default() }).await;
    world.user("user-1").await;
    let item = registered(&world, body["item_id"].as_str()).await;
    if let Some((key, ahead)) = date {
        body[key] = json!(world.clock.now() + ahead);
    }
    if body["webhook_code"] == "SESSION_FINISHED" {
        body["link_token"] = json!(finished_link(&world, &item).await);
    }
    let Expected { truth, state, event, asks, letters } = expected(&body, world.clock.now());
    if let Some(act) = truth {
        world.secretly(&item, act).await;
    }
    let name = format!("{} {:?}", body["webhook_code"], date);
    let before = (world.events(&item).await.len(), world.letters().len());
    let asked = world.plaid.count("/item/get");
    world.plaid_says(body).await;
    assert_eq!(world.plaid.count("/item/get") > asked, asks, "{name}");
    assert_eq!(world.state(&item).await, state, "{name}");
    let told = world.events(&item).await.split_off(before.0);
    match event {
        Some(event) => assert!(told.iter().any(|name| name == event), "{name}: {told:?}"),
        None => assert!(told.is_empty(), "{name}: {told:?}"),
    }
    let (_, receipts) = world.get("/v1/webhooks?limit=1000").await;
    let last = receipts["data"].as_array().and_then(|all| all.last()).expect("a receipt").clone();
    let applied = if event.is_some() { "applied" } else { "noted" };
    assert_eq!(last["status"], applied, "{name}: {last}");
    world.after(days(1) + minutes(1)).await;
    let works_again = usize::from(event == Some("update_mode_finished"));
    assert_eq!(world.letters().len(), before.1 + letters + works_again, "{name}: {:?}", world.subjects());
    world.end().await;
}

/// The Item of the example, known to Plaid by its id and registered here.
async fn registered(world: &World, id: Option<&str>) -> Item {
    let new = NewItem { id: id.map(str::to_owned), ..NewItem::new("user-1", Bank::new("ins_1", "Example Bank")) };
    let item = world.item_at_plaid(new);
    world.register(&item, secrecy::ExposeSecret::expose_secret(&item.access_token)).await;
    item
}

/// A broken login that was repaired in Link, of which nobody has said a word yet: the example names the minted token.
async fn finished_link(world: &World, item: &Item) -> String {
    world.breaks(item).await;
    world.after(minutes(31)).await;
    let pressed = world.press_button(&repair_link(&world.only_letter()), item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.state(item).await, "login_required");
    let Pressed::Token(token) = pressed else { panic!("embedded mode") };
    token
}
