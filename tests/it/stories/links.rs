//! Links, the repair page and Link: fetching changes nothing, a press opens, and only Plaid's word repairs.

use relinkd::demo::plaid::{Item, Outcome};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{one_item, one_item_in};
use crate::harness::repair::{repair_link, stop_link};
use crate::harness::{Pressed, Settings, World, days, hours, minutes};

/// A world in which the first letter has just arrived.
async fn written_to() -> (World, Item) {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    (world, item)
}

#[tokio::test]
async fn fetching_any_link_changes_no_row_and_calls_nobody() {
    let (world, _) = written_to().await;
    let letter = world.only_letter();
    let (rows, calls) = (world.rows(), world.plaid.calls().len());
    for link in [repair_link(&letter), stop_link(&letter)] {
        for _ in 0..20 {
            for method in [Method::GET, Method::HEAD] {
                let (status, _) = world.fetch(method, &link).await;
                assert_eq!(status, StatusCode::OK);
            }
        }
    }
    world.quiet().await;
    assert_eq!(world.rows(), rows);
    assert_eq!(world.plaid.calls().len(), calls);
    world.end().await;
}

#[tokio::test]
async fn pressing_again_and_again_gives_one_link_token() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let first = world.press_button(&link, &item).await;
    assert!(matches!(first, Pressed::Token(_)));
    for _ in 0..10 {
        assert_eq!(world.press_button(&link, &item).await, first);
    }
    assert_eq!(world.plaid.count("/link/token/create"), 1);
    world.through_link(&first).await;
    assert_eq!(world.done(&link, &item).await, "works");
    assert_eq!(world.press_button(&link, &item).await, Pressed::No(StatusCode::CONFLICT), "it works already");
    world.end().await;
}

#[tokio::test]
async fn links_that_do_not_open_look_alike() {
    let (world, _) = written_to().await;
    let link = repair_link(&world.only_letter());
    let unknown = format!("{}0.AAAA", link.trim_end_matches(|c: char| c != '/'));
    let (_, page_of_unknown) = world.fetch(Method::GET, &unknown).await;
    let (status, _) = world.delete("/v1/users/user-1").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, page_of_erased) = world.fetch(Method::GET, &link).await;
    assert_eq!(without_nonce(&page_of_unknown), without_nonce(&page_of_erased), "{status}");
    let (expired_world, _) = written_to().await;
    let old = repair_link(&expired_world.only_letter());
    expired_world.after(days(31)).await;
    let (_, page_of_expired) = expired_world.fetch(Method::GET, &old).await;
    assert_eq!(without_nonce(&page_of_unknown), without_nonce(&page_of_expired));
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 1, "the erased are not written to");
    expired_world.end().await;
    world.end().await;
}

fn without_nonce(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find("nonce=\"") {
        let after = &rest[at + 7..];
        let end = after.find('"').expect("a nonce ends");
        out.push_str(&rest[..at]);
        rest = &after[end..];
    }
    out + rest
}

#[tokio::test]
async fn an_exit_from_link_repairs_nothing() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.ends_link(&pressed, &Outcome::Exit { error_code: None }).await;
    assert_eq!(world.state(&item).await, "login_required");
    world.after(hours(2)).await;
    assert!(world.events(&item).await.contains(&"update_mode_left".to_owned()), "Plaid was asked how it ended");
    world.after(days(4)).await;
    assert_eq!(world.letters().len(), 2, "the ladder goes on");
    world.end().await;
}

#[tokio::test]
async fn a_claim_that_is_not_so_is_not_believed() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    world.press_button(&link, &item).await;
    assert_eq!(world.done(&link, &item).await, "checking");
    world.after(minutes(20)).await;
    assert_eq!(world.state(&item).await, "login_required");
    assert_eq!(world.done(&link, &item).await, "broken");
    world.end().await;
}

#[tokio::test]
async fn a_page_that_is_lost_on_the_way_back_is_no_loss() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.state(&item).await, "login_required", "nobody said a word");
    world.after(minutes(35)).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.letters().len(), 2, "and it works again");
    world.end().await;
}

async fn hosted_world() -> (World, Item) {
    let world = World::with(Settings { plaid: "link_mode = \"hosted\"", ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    (world, item)
}

#[tokio::test]
async fn hosted_link_repairs_by_its_webhook_alone() {
    let (world, item) = hosted_world().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    assert!(matches!(pressed, Pressed::Hosted(_)), "{pressed:?}");
    world.through_link(&pressed).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.done(&link, &item).await, "works");
    assert_eq!(world.letters().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn hosted_link_that_is_left_repairs_nothing_and_can_be_tried_again() {
    let (world, item) = hosted_world().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.ends_link(&pressed, &Outcome::Exit { error_code: None }).await;
    assert_eq!(world.state(&item).await, "login_required");
    assert_ne!(world.done(&link, &item).await, "works");
    let again = world.press_button(&link, &item).await;
    world.through_link(&again).await;
    assert_eq!(world.state(&item).await, "healthy");
    world.end().await;
}

#[tokio::test]
async fn an_application_repairs_inside_itself() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    let (status, token) = world.post(&format!("/v1/items/{}/link-token", item.id), &json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{token}");
    let pressed = Pressed::Token(token["link_token"].as_str().expect("a token").to_owned());
    world.through_link(&pressed).await;
    let path = format!("/v1/items/{}/observe", item.id);
    let (status, view) = world.post(&path, &json!({ "update_mode_finished": true })).await;
    assert_eq!((status, view["state"].as_str()), (StatusCode::OK, Some("healthy")), "{view}");
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn too_many_presses_are_told_to_wait() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    for _ in 0..6 {
        assert!(matches!(world.press_anew(&link, &item).await, Pressed::Token(_)));
    }
    assert_eq!(world.press_anew(&link, &item).await, Pressed::No(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(world.plaid.count("/link/token/create"), 6);
    world.after(hours(1)).await;
    assert!(matches!(world.press_anew(&link, &item).await, Pressed::Token(_)));
    world.end().await;
}
#[tokio::test]
async fn pressing_at_the_same_time_gives_one_link_token() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let (a, b, c) = tokio::join!(
        world.press_button(&link, &item),
        world.press_button(&link, &item),
        world.press_button(&link, &item)
    );
    assert!(a == b && b == c, "{a:?} {b:?} {c:?}");
    assert_eq!(world.plaid.count("/link/token/create"), 1);
    world.end().await;
}
