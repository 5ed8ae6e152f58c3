//! What the application is told: a list, a stream, and, where it sends letters itself, each letter that is due.

use relinkd::demo::plaid::{Act, Item, NewItem};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::one_item;
use crate::harness::{Pressed, Settings, World, bank, days, hours, minutes};

/// A world in which the application sends the letters itself, and gave no address.
async fn by_event() -> (World, Item) {
    let world = World::with(Settings { mail: "delivery = \"event\"".to_owned(), ..Settings::default() }).await;
    let said = json!({ "locale": "es", "time_zone": "Europe/Madrid" });
    let (status, body) = world.put("/v1/users/user-1", &said).await;
    assert_eq!((status, &body["email"]), (StatusCode::CREATED, &Value::Null), "{body}");
    assert_eq!(world.put("/v1/users/user-1", &said).await.0, StatusCode::OK, "it is known now");
    let item = world.item("user-1", bank("First Platypus Bank")).await;
    (world, item)
}

async fn told(world: &World, query: &str) -> Vec<Value> {
    let (status, page) = world.get(&format!("/v1/events?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["data"].as_array().expect("a list").clone()
}

fn texts(events: &[Value], name: &str) -> Vec<String> {
    events.iter().map(|event| event[name].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn the_application_hears_of_states_and_of_the_end_of_a_ladder_in_their_order() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(days(20)).await;
    let events = told(&world, "").await;
    assert_eq!(texts(&events, "type"), ["item.state_changed", "item.ladder_ended"]);
    assert_eq!(events[0]["data"], json!({ "from": "healthy", "to": "login_required" }));
    assert_eq!((&events[0]["item_id"], &events[0]["user_id"]), (&json!(item.id), &json!("user-1")));
    assert_eq!(events[1]["data"], json!({ "episode": 1 }));
    let numbers: Vec<i64> = events.iter().filter_map(|event| event["id"].as_i64()).collect();
    assert!(numbers[0] < numbers[1], "{numbers:?}");
    assert_eq!(told(&world, &format!("cursor={}", numbers[0])).await, events[1..], "it goes on after any number");
    assert_eq!(told(&world, "type=item.ladder_ended").await, events[1..]);
    assert_eq!(told(&world, &format!("item_id={}&user_id=user-1", item.id)).await, events);
    assert!(told(&world, "item_id=another").await.is_empty());
    let listed = world.relinkd(&["events", "list", "--type", "item.ladder_ended"]).await.well();
    assert!(listed.contains("item.ladder_ended") && listed.contains("episode 1"), "{listed}");
    let listed = world.relinkd(&["events", "list", "--after", &numbers[0].to_string(), "--json"]).await.json();
    assert_eq!(listed, events[1..]);
    world.end().await;
}

#[tokio::test]
async fn the_application_hears_what_a_user_wishes_once_a_wish() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let letter = world.only_letter();
    for _ in 0..2 {
        world.one_click_stop(&letter).await;
    }
    let until = json!({ "until": "2099-01-01T00:00:00Z" });
    // No pause takes back what the user stopped.
    let (_, user) = world.post("/v1/users/user-1/snooze", &until).await;
    assert!(user["stopped_at"].is_string() && user["snoozed_until"].is_null(), "{user}");
    world.post("/v1/users/user-1/resume", &json!({})).await;
    world.post("/v1/users/user-1/snooze", &until).await;
    let events = told(&world, "user_id=user-1&cursor=1").await;
    assert_eq!(texts(&events, "type"), ["user.stopped", "user.resumed", "user.snoozed"]);
    assert_eq!(events[2]["data"], json!({ "until": "2099-01-01T00:00:00Z" }));
    world.end().await;
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_and_ends_with_the_daemon() {
    let (mut world, item) = one_item().await;
    world.breaks(&item).await;
    let first = told(&world, "").await[0]["id"].as_i64().expect("a number");
    let mut all = world.stream("0").await;
    assert_eq!(all.next().await["data"]["to"], "login_required");
    let mut news = world.stream(&first.to_string()).await;
    world.after(days(20)).await;
    let heard = news.next().await;
    assert_eq!(heard["type"], "item.ladder_ended", "nothing twice");
    assert_eq!(all.next().await, heard);
    world.stop().await;
    assert!(all.ends().await && news.ends().await);
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn a_letter_that_is_due_is_an_event_with_all_facts_and_the_link() {
    let (world, item) = by_event().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let [event] = <[Value; 1]>::try_from(told(&world, "type=letter.due").await).expect("one letter");
    assert_eq!(event["user_id"], "user-1");
    let said = &event["data"];
    assert_eq!(said["language"], "es");
    assert!(said["subject"].as_str().expect("a text").contains("First Platypus Bank"), "{said}");
    assert_eq!(
        said["passages"],
        json!([{ "item_id": item.id, "episode": 1, "institution_name": "First Platypus Bank",
            "message": "login_required", "on": null }])
    );
    assert!(world.letters().is_empty(), "nothing goes by mail");
    assert_eq!(world.statuses().await, ["accepted"]);
    // The link works as that of a letter.
    let link = said["repair_url"].as_str().expect("a link").to_owned();
    let stop = said["stop_url"].as_str().expect("a link").to_owned();
    assert!(stop.contains("/unsubscribe/"));
    let (status, page) = world.fetch(Method::GET, &stop).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("First Platypus Bank") && !page.contains("no le llegan"), "without an address too: {page}");
    let pressed = world.press_button(&link, &item).await;
    assert!(matches!(pressed, Pressed::Token(_)), "{pressed:?}");
    world.through_link(&pressed).await;
    assert_eq!(world.done(&link, &item).await, "works");
    world.after(days(3)).await;
    let messages: Vec<Value> = told(&world, "type=letter.due").await;
    let messages: Vec<&str> =
        messages.iter().filter_map(|event| event["data"]["passages"][0]["message"].as_str()).collect();
    assert_eq!(messages, ["login_required", "works_again"], "and no reminder after the repair");
    world.end().await;
}

#[tokio::test]
async fn the_application_is_not_told_to_write_to_whom_nobody_may() {
    let (world, item) = by_event().await;
    let (status, _) = world.post("/v1/users/user-1/stop", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    world.breaks(&item).await;
    world.after(days(4)).await;
    assert!(told(&world, "type=letter.due").await.is_empty(), "the user stopped all");
    world.secretly(&item, Act::RepairElsewhere).await;
    let (status, _) = world.post("/v1/users/user-1/resume", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    world.after(days(4)).await;
    assert!(told(&world, "type=letter.due").await.is_empty(), "Plaid says that it works");
    world.end().await;
}

#[tokio::test]
async fn reminders_of_an_episode_name_those_before_and_the_last_says_so() {
    let (world, item) = by_event().await;
    world.breaks(&item).await;
    world.after(days(20)).await;
    let events = told(&world, "type=letter.due").await;
    let messages: Vec<&str> =
        events.iter().filter_map(|event| event["data"]["passages"][0]["message"].as_str()).collect();
    assert_eq!(messages, ["login_required", "login_required", "login_required", "login_required_last"]);
    let ids = texts(&events, "letter_id");
    assert_eq!(events[3]["data"]["earlier_letters"], json!(ids[..3]));
    world.end().await;
}

#[tokio::test]
async fn letters_about_an_import_are_released_to_whom_the_application_reaches_without_an_address() {
    let (world, _) = by_event().await;
    let mut items = Vec::new();
    // One user gave no address, of the other nothing is known but the Item.
    for user in ["user-1", "user-2"] {
        let item = world.item_at_plaid(NewItem::new(user, bank("Second Platypus Bank")));
        world.secretly(&item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
        items.push(item);
    }
    let row = |item: &Item| json!({ "item_id": item.id, "user_id": item.user, "access_token": item.access_token.expose_secret() });
    let rows: Vec<Value> = items.iter().map(row).collect();
    assert_eq!(world.post("/v1/import/items", &json!({ "rows": rows })).await.0, StatusCode::OK);
    for item in &items {
        assert_eq!(world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await.0, StatusCode::OK);
    }
    assert_eq!(world.get("/v1/letters/release").await.1["unreachable_users"], 0);
    assert!(told(&world, "type=letter.due").await.is_empty(), "they are held");
    assert_eq!(world.put("/v1/letters/release", &json!({ "all": true })).await.0, StatusCode::OK);
    world.after(hours(1)).await;
    let mut users = texts(&told(&world, "type=letter.due").await, "user_id");
    users.sort();
    assert_eq!(users, ["user-1", "user-2"]);
    world.end().await;
}

#[tokio::test]
async fn an_address_is_asked_for_only_where_letters_go_by_mail() {
    let world = World::new().await;
    let (status, problem) = world.put("/v1/users/user-1", &json!({ "locale": "es" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().expect("a text").contains("email is missing"), "{problem}");
    world.after(hours(1)).await;
    world.end().await;
}
