//! Webhooks that were lost for days, and Plaid's list of what was sent: each is found, believed as far as it may be, and
//! applied at most once.

use relinkd::demo::plaid::{Act, Answer, Fault, Item, NewItem};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{one_item, one_item_in};
use crate::harness::{Pressed, World, bank, days, hours, minutes};

const LIST: &str = "/beta/webhook_events/list";

async fn catch_up(world: &World) -> Value {
    let (status, body) = world.post("/v1/webhooks/catch-up", &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// What catching up came to: listed, known, caught up.
async fn counts(world: &World) -> (u64, u64, u64) {
    let body = catch_up(world).await;
    let count = |name: &str| body[name].as_u64().unwrap_or_else(|| panic!("{name}: {body}"));
    (count("listed"), count("known"), count("caught_up"))
}

/// The user goes through update mode in the application, which says so.
async fn repaired_by_the_app(world: &World, item: &Item) {
    let (status, token) = world.post(&format!("/v1/items/{}/link-token", item.id), &json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{token}");
    world.through_link(&Pressed::Token(token["link_token"].as_str().expect("a token").to_owned())).await;
    let finished = json!({ "update_mode_finished": true });
    let (status, body) = world.post(&format!("/v1/items/{}/observe", item.id), &finished).await;
    assert!(status.is_success(), "{body}");
    world.after(minutes(20)).await;
}

async fn receipts(world: &World) -> Vec<(String, String)> {
    let (_, body) = world.get("/v1/webhooks?limit=1000").await;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    body["data"].as_array().expect("rows").iter().map(|row| (text(row, "source"), text(row, "status"))).collect()
}

#[tokio::test]
async fn what_nobody_can_ask_for_is_found_after_days() {
    let (world, item) = one_item().await;
    world.secretly(&item, Act::NewAccount).await;
    world.secretly(&item, Act::RepairElsewhere).await;
    world.after(days(3)).await;
    assert_eq!(world.state(&item).await, "healthy", "of an Item's webhooks Plaid tells the last one only");
    assert_eq!(counts(&world).await, (2, 0, 2));
    assert_eq!(world.state(&item).await, "new_accounts");
    let applied = ("caught_up".to_owned(), "applied".to_owned());
    assert_eq!(receipts(&world).await, [applied.clone(), applied]);
    assert_eq!(counts(&world).await, (0, 0, 0), "the list goes on where it was left");
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_deadline_that_is_in_no_endpoint_is_the_one_that_plaid_said() {
    let (world, item) = one_item().await;
    let at = world.clock.now() + days(6);
    world.secretly(&item, Act::Disconnect { reason: "INSTITUTION_MIGRATION".to_owned(), at: Some(at + days(1)) }).await;
    world.secretly(&item, Act::Disconnect { reason: "INSTITUTION_MIGRATION".to_owned(), at: Some(at) }).await;
    world.after(days(2)).await;
    assert_eq!(counts(&world).await, (2, 0, 2));
    let view = world.view(&item).await;
    // The second notice was the later one.
    assert_eq!((&view["state"], &view["conditions"][0]["deadline"]), (&json!("pending_expiration"), &json!(at)));
    world.after(hours(1)).await;
    assert_eq!(world.letters().len(), 1, "the rung of seven days before is past, and due at once");
    repaired_by_the_app(&world, &item).await;
    world.end().await;
}

#[tokio::test]
async fn what_can_be_asked_is_asked_and_not_believed() {
    let (world, item) = one_item().await;
    world.secretly(&item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
    world.secretly(&item, Act::RepairElsewhere).await;
    world.after(hours(2)).await;
    let asked = world.plaid.count("/item/get");
    assert_eq!(counts(&world).await, (2, 0, 2));
    assert!(world.plaid.count("/item/get") > asked, "the Item is observed");
    assert_eq!(world.state(&item).await, "healthy");
    world.after(days(1)).await;
    assert_eq!(world.letters().len(), 0);
    world.secretly(&item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
    assert_eq!(counts(&world).await, (1, 0, 1));
    assert_eq!(world.state(&item).await, "login_required");
    world.end().await;
}

#[tokio::test]
async fn what_came_by_itself_is_not_applied_again() {
    let (world, item) = one_item().await;
    world.says(&item, Act::NewAccount).await;
    world.after(hours(1)).await;
    repaired_by_the_app(&world, &item).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(counts(&world).await, (1, 1, 0));
    assert_eq!(world.state(&item).await, "healthy", "it would be opened again");
    assert_eq!(receipts(&world).await, [("delivered".to_owned(), "applied".to_owned())]);
    world.end().await;
}

#[tokio::test]
async fn what_was_overtaken_since_is_old_news() {
    let (world, item) = one_item().await;
    // The first was lost, a second one came an hour later, and the user did what was to be done.
    world.secretly(&item, Act::NewAccount).await;
    world.after(hours(1)).await;
    world.says(&item, Act::NewAccount).await;
    repaired_by_the_app(&world, &item).await;
    // A notice was lost, and then the user logged in anew for another reason.
    world.secretly(&item, Act::Disconnect { reason: "INSTITUTION_MIGRATION".to_owned(), at: None }).await;
    world.after(hours(1)).await;
    world.breaks(&item).await;
    repaired_by_the_app(&world, &item).await;
    assert_eq!(counts(&world).await, (4, 2, 2));
    assert_eq!(world.state(&item).await, "healthy");
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_withdrawal_that_was_lost_ends_the_letters() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.secretly(&item, Act::Revoke).await;
    world.after(minutes(5)).await;
    assert_eq!(counts(&world).await, (2, 1, 1));
    assert_eq!(world.state(&item).await, "revoked");
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn items_that_are_registered_later_learn_of_it_then() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item_at_plaid(NewItem::new("user-1", bank("First Platypus Bank")));
    world.secretly(&item, Act::NewAccount).await;
    assert_eq!(counts(&world).await, (1, 0, 1));
    assert_eq!(receipts(&world).await, [("caught_up".to_owned(), "parked".to_owned())]);
    world.register(&item, item.access_token.expose_secret()).await;
    assert_eq!(world.state(&item).await, "new_accounts");
    world.after(days(2)).await;
    world.end().await;
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page_and_once() {
    let (world, item) = one_item().await;
    for _ in 0..250 {
        world.secretly(&item, Act::NewAccount).await;
    }
    let listed = 250;
    let asked = world.plaid.count(LIST);
    assert_eq!(counts(&world).await, (listed, 0, listed));
    assert_eq!(world.plaid.count(LIST) - asked, listed.div_ceil(100));
    assert_eq!(counts(&world).await, (0, 0, 0));
    let conditions = world.view(&item).await["conditions"].clone();
    assert_eq!((&conditions[0]["kind"], &conditions[0]["episode"]), (&json!("new_accounts"), &json!(1)));
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_list_is_read_again_from_any_time_and_nothing_happens_twice() {
    let (world, item) = one_item().await;
    world.secretly(&item, Act::NewAccount).await;
    assert_eq!(counts(&world).await, (1, 0, 1));
    let episodes = world.view(&item).await["conditions"].clone();
    let since = json!({ "since": world.clock.now() - hours(1) });
    let (_, again) = world.post("/v1/webhooks/catch-up", &since).await;
    assert_eq!((&again["listed"], &again["known"], &again["caught_up"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(world.view(&item).await["conditions"], episodes);
    let long_ago = json!({ "since": world.clock.now() - days(8) });
    let (status, refused) = world.post("/v1/webhooks/catch-up", &long_ago).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(refused["detail"].as_str().expect("words"), @"since: Plaid keeps webhooks for seven days. Give a later time, or none for all that it keeps");
    world.after(days(2)).await;
    world.end().await;
}

#[tokio::test]
async fn a_place_in_the_list_that_plaid_has_forgotten_is_told_and_left() {
    let (world, item) = one_item().await;
    world.secretly(&item, Act::RepairElsewhere).await;
    assert_eq!(catch_up(&world).await["gap"], false);
    world.after(days(8)).await;
    world.secretly(&item, Act::NewAccount).await;
    let body = catch_up(&world).await;
    assert_eq!((&body["gap"], &body["caught_up"]), (&json!(true), &json!(1)), "{body}");
    assert_eq!(world.state(&item).await, "new_accounts");
    assert_eq!(catch_up(&world).await["gap"], false);
    world.after(days(2)).await;
    world.end().await;
}

#[tokio::test]
async fn an_account_without_the_list_hears_what_there_is_instead() {
    let world = World::new().await;
    one_item_in(&world).await;
    let mut said = String::new();
    for answer in [
        Answer::Error {
            status: 400,
            error_type: "INVALID_REQUEST".to_owned(),
            error_code: "UNAUTHORIZED_ROUTE_ACCESS".to_owned(),
        },
        Answer::Raw { status: 404, body: "not found".to_owned(), media_type: "text/plain".to_owned() },
        Answer::Raw { status: 503, body: "<html>".to_owned(), media_type: "text/html".to_owned() },
        Answer::Cut,
    ] {
        world.plaid.fault(Fault::at(LIST, answer).times(1));
        let (status, body) = world.post("/v1/webhooks/catch-up", &json!({})).await;
        said +=
            &format!("{status} {}: {}\n", body["code"].as_str().unwrap_or("?"), body["detail"].as_str().unwrap_or("?"));
    }
    insta::assert_snapshot!(said, @"
    501 Not Implemented no_webhook_list: Plaid does not give this account its list of webhooks (UNAUTHORIZED_ROUTE_ACCESS); the list is in beta. What can be asked is found without it: the sweep asks about every Item
    501 Not Implemented no_webhook_list: Plaid does not give this account its list of webhooks (status 404); the list is in beta. What can be asked is found without it: the sweep asks about every Item
    502 Bad Gateway plaid: Plaid's list of webhooks cannot be had: plaid is out of order: the answer is no error of Plaid's (status 503)
    502 Bad Gateway plaid: Plaid's list of webhooks cannot be had: plaid cannot be reached: connection closed before message completed
    ");
    assert_eq!(counts(&world).await, (0, 0, 0), "and then it goes on");
    world.end().await;
}
