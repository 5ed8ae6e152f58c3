//! `relinkd webhooks`.

use relinkd::demo::plaid::{Act, Answer, Fault, NewItem};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::harness::{World, bank, days};

/// Every webhook's number, oldest first.
async fn numbers(world: &World) -> Vec<i64> {
    let mut all = Vec::new();
    for webhook in world.relinkd(&["webhooks", "list", "--json"]).await.json() {
        all.push(webhook["id"].as_i64().expect("a number"));
    }
    all.sort_unstable();
    all
}

fn says(item: &str, code: &str, error: &Value) -> Value {
    json!({ "webhook_type": "ITEM", "webhook_code": code, "item_id": item, "error": error, "environment": "sandbox" })
}

#[tokio::test]
async fn webhooks_are_listed_and_shown_without_their_tokens() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item("user-1", bank("First Bank")).await;
    world.breaks(&item).await;
    let token = "access-sandbox-de3ce8ef-33f8-452c-a685-8671031fc0f6";
    let error = json!({ "error_type": "ITEM_ERROR", "error_code": "X", "error_message": format!("{token} is wrong") });
    world.plaid_says(says("item-of-nobody", "ERROR", &error)).await;
    let list = world.relinkd(&["webhooks", "list"]).await.well();
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].contains("parked") && lines[2].contains("applied"), "the newest first: {list}");
    let parked = world.relinkd(&["webhooks", "list", "--status", "parked", "--json"]).await.json();
    assert_eq!(parked.len(), 1, "{parked:?}");
    let of_item = world.relinkd(&["webhooks", "list", "--item", &item.id, "--json"]).await.json();
    assert_eq!(of_item.len(), 1);
    let since = ["webhooks", "list", "--since", "2099-01-01T00:00:00Z", "--json"];
    assert_eq!(world.relinkd(&since).await.well(), "");
    let number = parked[0]["id"].to_string();
    let shown = world.relinkd(&["webhooks", "show", &number]).await.well();
    assert!(shown.contains("access-… is wrong") && !shown.contains("de3ce8ef"), "{shown}");
    let json = world.relinkd(&["webhooks", "show", &number, "--json"]).await.well();
    assert!(!json.contains("de3ce8ef"), "{json}");
    let none = world.relinkd(&["webhooks", "show", "999"]).await;
    assert_eq!((none.code, none.stderr.as_str()), (1, "relinkd: there is no such webhook\n"));
    world.end().await;
}

#[tokio::test]
async fn a_dry_run_says_what_a_replay_would_do_and_does_nothing() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item_at_plaid(NewItem::new("user-1", bank("First Bank")));
    // Kept as of another environment: not applied when it came.
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "NEW_ACCOUNTS_AVAILABLE", "item_id": item.id, "environment": "production" });
    world.plaid_says(body).await;
    let number = numbers(&world).await.pop().expect("a webhook").to_string();
    let foreign = world.relinkd(&["webhooks", "replay", &number, "--dry-run"]).await.well();
    assert!(foreign.contains("It is not applied: is of another environment"), "{foreign}");

    // Parked while the Item is not registered; a dry run says so.
    world.plaid_says(says(&item.id, "NEW_ACCOUNTS_AVAILABLE", &Value::Null)).await;
    let number = numbers(&world).await.pop().expect("a webhook").to_string();
    let parked = world.relinkd(&["webhooks", "replay", &number, "--dry-run"]).await.well();
    assert!(parked.contains("is not registered: it is kept until it is"), "{parked}");
    world.register(&item, item.access_token.expose_secret()).await;
    assert_eq!(world.state(&item).await, "new_accounts", "registration applied it");
    let rows = world.journal(&item).await.len();
    let before = world.rows();
    let again = world.relinkd(&["webhooks", "replay", &number, "--dry-run"]).await.well();
    assert!(again.contains("Nothing is done") && again.contains("Plaid is asked how Item"), "{again}");
    assert!(again.contains("reminder 1 of new_accounts"), "the letter that follows: {again}");
    assert_eq!(world.rows(), before, "a dry run writes nothing");
    assert_eq!(world.journal(&item).await.len(), rows);
    world.end().await;
}

#[tokio::test]
async fn a_hundred_webhooks_replayed_twice_send_nothing_extra() {
    let world = World::new().await;
    world.user("user-1").await;
    world.user("user-2").await;
    let items = [world.item("user-1", bank("First Bank")).await, world.item("user-2", bank("Second Bank")).await];
    let broken = json!({ "error_type": "ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED" });
    for item in &items {
        world.breaks(item).await;
    }
    world.after(days(1)).await;
    for item in &items {
        world.says(item, Act::RepairElsewhere).await;
        for _ in 0..12 {
            world.plaid_says(says(&item.id, "ERROR", &broken)).await;
            world.plaid_says(says(&item.id, "NEW_ACCOUNTS_AVAILABLE", &Value::Null)).await;
            world.plaid_says(says(&item.id, "LOGIN_REPAIRED", &Value::Null)).await;
            world.plaid_says(says(&item.id, "PENDING_EXPIRATION", &Value::Null)).await;
        }
    }
    world.after(days(45)).await;
    let (letters, numbers) = (world.letters().len(), numbers(&world).await);
    assert_eq!(numbers.len(), 100);
    assert!(letters >= 6, "the first time there were letters: {letters}");
    for _ in 0..2 {
        for number in &numbers {
            let (status, done) = world.post(&format!("/v1/webhooks/{number}/replay"), &json!({})).await;
            assert!(status.is_success(), "{done}");
            assert_eq!(done["action"], "ask", "{done}");
        }
        world.after(days(3)).await;
    }
    assert_eq!(world.letters().len(), letters, "{:?}", world.subjects());
    world.end().await;
}

#[tokio::test]
async fn webhooks_that_were_lost_are_caught_up_with() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item("user-1", bank("First Bank")).await;
    world.says(&item, Act::NewAccount).await;
    // More than one portion of twenty pages of a hundred.
    for _ in 0..2_050 {
        world.secretly(&item, Act::RepairElsewhere).await;
    }
    let fetched = world.relinkd(&["webhooks", "catch-up"]).await;
    assert_eq!((fetched.code, fetched.stderr.as_str()), (0, "2000 webhooks so far …\n"), "{fetched:?}");
    assert!(fetched.stdout.starts_with("Plaid lists 2051 webhooks, the last of "), "{fetched:?}");
    assert!(fetched.stdout.contains(": 1 were here, 2050 had been missed and are in the inbox now."), "{fetched:?}");
    world.quiet().await;
    let shown = world.relinkd(&["webhooks", "show", "2051"]).await.well();
    assert!(shown.contains("(caught up with, from Plaid's list; not signed)"), "{shown}");
    assert_eq!(world.relinkd(&["webhooks", "catch-up"]).await.well(), "Plaid lists nothing new.\n");
    let yesterday = (world.clock.now() - days(1)).to_string();
    let portions = world.relinkd(&["webhooks", "catch-up", "--since", &yesterday, "--json"]).await.json();
    assert_eq!(portions.iter().map(|portion| portion["known"].as_u64().unwrap_or_default()).sum::<u64>(), 2051);
    let unknown = Answer::Error {
        status: 400,
        error_type: "INVALID_REQUEST".to_owned(),
        error_code: "UNAUTHORIZED_ROUTE_ACCESS".to_owned(),
    };
    world.plaid.fault(Fault::at("/beta/webhook_events/list", unknown));
    let refused = world.relinkd(&["webhooks", "catch-up"]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(refused.stderr, @"relinkd: Plaid does not give this account its list of webhooks (UNAUTHORIZED_ROUTE_ACCESS); the list is in beta. What can be asked is found without it: the sweep asks about every Item");
    world.after(days(2)).await;
    world.end().await;
}
