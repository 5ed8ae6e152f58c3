//! Adopting many Items: what is found broken waits for the operator, and goes out a portion a day.

use std::collections::BTreeSet;

use relinkd::demo::plaid::{Act, Item, NewItem};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::harness::{World, bank, days, hours, minutes};

/// Items at Plaid that are not registered yet, one for each user.
fn at_plaid(world: &World, users: &[&str]) -> Vec<Item> {
    let new = |user: &&str| world.item_at_plaid(NewItem::new(user, bank("First Platypus Bank")));
    users.iter().map(new).collect()
}

async fn import(world: &World, items: &[Item]) -> Value {
    let row = |item: &Item| json!({ "item_id": item.id, "user_id": item.user, "access_token": item.access_token.expose_secret() });
    let rows: Vec<Value> = items.iter().map(row).collect();
    let (status, body) = world.post("/v1/import/items", &json!({ "rows": rows })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["data"].clone()
}

/// Each is asked about, as the sweep does sooner or later.
async fn observe(world: &World, items: &[Item]) {
    for item in items {
        let (status, body) = world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

/// Imported Items of users with addresses, all broken for a long time already.
async fn broken_ones(world: &World, users: &[&str]) -> Vec<Item> {
    let items = at_plaid(world, users);
    for item in &items {
        world.user(&item.user).await;
        world.secretly(item, break_login()).await;
    }
    import(world, &items).await;
    observe(world, &items).await;
    items
}

fn break_login() -> Act {
    Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }
}

async fn release(world: &World, body: Value) -> Value {
    let (status, view) = world.put("/v1/letters/release", &body).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    world.quiet().await;
    view
}

async fn status(world: &World) -> Value {
    world.get("/v1/letters/release").await.1
}

/// Who has been written to.
fn recipients(world: &World) -> Vec<String> {
    let all: BTreeSet<String> = world.letters().into_iter().flat_map(|letter| letter.to).collect();
    all.into_iter().collect()
}

#[tokio::test]
async fn adopting_broken_items_mails_nobody_until_the_operator_says_so_and_then_a_portion_a_day() {
    let mut world = World::new().await;
    let items = broken_ones(&world, &["user-1", "user-2", "user-3", "user-4", "user-5"]).await;
    world.after(days(20)).await;
    assert!(world.letters().is_empty());
    let view = world.view(&items[0]).await;
    assert_eq!(view["state"], "login_required");
    assert!(view["held_since"].is_string(), "{view}");
    assert_eq!(view["conditions"][0]["next_letter_at"], Value::Null);
    insta::assert_json_snapshot!(status(&world).await, @r#"
    {
      "days_left": null,
      "held_items": 5,
      "held_users": 5,
      "next_portion_at": null,
      "per_day": null,
      "plan": "none",
      "released_today": 0,
      "released_total": 0,
      "unreachable_users": 0
    }
    "#);
    let planned = release(&world, json!({ "per_day": 2 })).await;
    assert_eq!(planned["per_day"], 2);
    world.after(hours(1)).await;
    assert_eq!(recipients(&world).len(), 2);
    let view = status(&world).await;
    assert_eq!((&view["held_users"], &view["released_today"], &view["days_left"]), (&json!(3), &json!(2), &json!(2)));
    release(&world, json!({ "per_day": 2 })).await;
    world.after(hours(1)).await;
    assert_eq!(recipients(&world).len(), 2, "to say it again brings no second portion");
    world.stop().await;
    world.sleeps(days(3));
    world.start().await;
    world.after(hours(1)).await;
    assert_eq!(recipients(&world).len(), 4, "days of downtime bring one portion, not three");
    world.after(days(1)).await;
    assert_eq!(recipients(&world).len(), 5);
    assert_eq!(status(&world).await["plan"], "none", "the plan ends when nothing is held any more");
    world.after(days(20)).await;
    assert_eq!(world.letters().len(), 5 * 4, "each gets the whole ladder");
    world.end().await;
}

#[tokio::test]
async fn an_imported_item_that_works_is_mailed_as_usual_when_it_breaks() {
    let world = World::new().await;
    world.user("user-1").await;
    let items = at_plaid(&world, &["user-1"]);
    assert_eq!(import(&world, &items).await, json!([{ "outcome": "new" }]));
    assert_eq!(world.view(&items[0]).await["token"], "proven", "the sweep asks about new Items first");
    assert_eq!(world.view(&items[0]).await["held_since"], Value::Null);
    world.breaks(&items[0]).await;
    world.after(minutes(31)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn webhooks_that_came_before_the_import_are_applied_by_it() {
    let world = World::new().await;
    world.user("user-1").await;
    let items = at_plaid(&world, &["user-1"]);
    world.breaks(&items[0]).await;
    import(&world, &items).await;
    assert_eq!(world.state(&items[0]).await, "login_required");
    assert_eq!(world.events(&items[0]).await, ["imported", "login_required", "observed"]);
    world.after(days(2)).await;
    assert!(world.letters().is_empty(), "it was broken before it was ours");
    world.end().await;
}

#[tokio::test]
async fn a_user_with_several_held_items_is_one_letter_and_counts_once() {
    let world = World::new().await;
    broken_ones(&world, &["user-1"]).await;
    world.after(minutes(5)).await;
    broken_ones(&world, &["user-2"]).await;
    world.after(hours(1)).await;
    broken_ones(&world, &["user-1"]).await;
    world.after(hours(1)).await;
    assert_eq!(status(&world).await["held_items"], 3);
    release(&world, json!({ "per_day": 1 })).await;
    world.after(hours(1)).await;
    assert_eq!(recipients(&world), ["user-1@mailbox.example"]);
    assert_eq!(world.letters().len(), 1);
    let (_, letters) = world.get("/v1/letters").await;
    assert_eq!(letters["data"][0]["lines"].as_array().map(Vec::len), Some(2), "{letters}");
    world.after(days(1)).await;
    assert_eq!(recipients(&world).len(), 2);
    world.end().await;
}

#[tokio::test]
async fn all_at_once_and_stopped_at_once() {
    let world = World::new().await;
    broken_ones(&world, &["user-1", "user-2", "user-3"]).await;
    release(&world, json!({ "per_day": 1 })).await;
    world.after(hours(1)).await;
    let (_, view) = world.delete("/v1/letters/release").await;
    assert_eq!((&view["plan"], &view["held_users"]), (&json!("none"), &json!(2)));
    world.after(days(2)).await;
    assert_eq!(recipients(&world).len(), 1, "what is held stays so");
    release(&world, json!({ "all": true })).await;
    world.after(hours(1)).await;
    assert_eq!(recipients(&world).len(), 3);
    world.end().await;
}

#[tokio::test]
async fn who_cannot_be_written_to_is_not_released_until_there_is_an_address() {
    let world = World::new().await;
    let items = at_plaid(&world, &["user-1", "user-2"]);
    for item in &items {
        world.secretly(item, break_login()).await;
    }
    import(&world, &items).await;
    observe(&world, &items).await;
    world.user("user-2").await;
    release(&world, json!({ "per_day": 1 })).await;
    world.after(hours(1)).await;
    assert_eq!(recipients(&world), ["user-2@mailbox.example"]);
    world.after(days(2)).await;
    assert!(world.view(&items[0]).await["held_since"].is_string(), "or a file of addresses would mail all at once");
    assert_eq!(status(&world).await["unreachable_users"], 1);
    world.user("user-1").await;
    world.after(hours(2)).await;
    assert_eq!(recipients(&world).len(), 2, "the plan still stands");
    world.end().await;
}

#[tokio::test]
async fn what_an_import_finds_is_no_outage_of_the_bank() {
    let world = World::new().await;
    world.user("user-ordinary").await;
    let ordinary = world.item("user-ordinary", bank("First Platypus Bank")).await;
    let users: Vec<String> = (0..25).map(|number| format!("user-{number}")).collect();
    broken_ones(&world, &users.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.breaks(&ordinary).await;
    world.after(minutes(31)).await;
    assert_eq!(recipients(&world), ["user-ordinary@mailbox.example"]);
    world.end().await;
}

#[tokio::test]
async fn wrong_rows_are_told_one_by_one_and_never_with_the_token() {
    let world = World::new().await;
    let token = "access-sandbox-secret";
    let good = json!({ "item_id": "item-1", "user_id": "user-1", "access_token": token });
    let with = |key: &str, value: Value| {
        let mut row = good.clone();
        row[key] = value;
        row
    };
    let rows = json!([
        good,
        with("user_id", json!("user@example.com")),
        with("access_token", json!(format!("{token} {token}"))),
        with("access_token", json!([token])),
        with("institution_name", json!("Example Bank")),
        with("country_codes", json!(["usa"])),
        with("token", json!(token)),
        { "item_id": "item-2" },
        token,
    ]);
    let (status, body) = world.post("/v1/import/items", &json!({ "dry_run": true, "rows": rows })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(!body.to_string().contains(token), "{body}");
    insta::assert_json_snapshot!(body["data"], @r#"
    [
      {
        "outcome": "new"
      },
      {
        "outcome": "wrong",
        "why": "user_id holds an @: Plaid refuses addresses as client_user_id, and logs would show them"
      },
      {
        "outcome": "wrong",
        "why": "access_token is empty, too long or holds a space"
      },
      {
        "outcome": "wrong",
        "why": "access_token has the wrong type or value; expected a string"
      },
      {
        "outcome": "wrong",
        "why": "institution_name needs institution_id beside it"
      },
      {
        "outcome": "wrong",
        "why": "country_codes holds one that Plaid does not serve: two capital letters such as \"US\""
      },
      {
        "outcome": "wrong",
        "why": "unknown field `token`, expected one of `item_id`, `access_token`, `user_id`, `institution_id`, `institution_name`, `country_codes`"
      },
      {
        "outcome": "wrong",
        "why": "missing field `access_token`"
      },
      {
        "outcome": "wrong",
        "why": "has the wrong type or value; expected an object with a field for each column"
      }
    ]
    "#);
    let (status, body) = world.post("/v1/import/items", &json!({ "rows": vec![good; 1001] })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(world.get("/v1/items").await.1["data"], json!([]));
    for body in [json!({}), json!({ "per_day": 0 }), json!({ "per_day": 5, "all": true })] {
        assert_eq!(world.put("/v1/letters/release", &body).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    world.end().await;
}
