//! Webhooks that come late, twice, from elsewhere or not at all, and what leaves the daemon beside letters.

use relinkd::demo::plaid::{Act, SignOptions};
use serde_json::json;

use super::{one_item, one_item_in};
use crate::harness::{Settings, World, days, minutes};

fn aged(hours: i64) -> SignOptions {
    SignOptions { iat_offset_secs: -hours * 3600, ..SignOptions::default() }
}

#[tokio::test]
async fn a_late_webhook_is_not_believed_but_asked_about() {
    let (world, item) = one_item().await;
    world.after(minutes(5)).await;
    let asked = world.plaid.count("/item/get");
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "NEW_ACCOUNTS_AVAILABLE", "item_id": item.id, "error": null,
        "environment": "sandbox" });
    world.plaid_says_signed(body, aged(2)).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.plaid.count("/item/get"), asked + 1);
    world.end().await;
}

#[tokio::test]
async fn late_webhooks_can_be_believed_once_and_for_a_day() {
    let world = World::with(Settings { plaid: "late_webhooks = \"apply\"", ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.after(minutes(5)).await;
    let body = |code: &str| {
        json!({ "webhook_type": "ITEM", "webhook_code": code, "item_id": item.id, "environment": "sandbox",
            "error": null })
    };
    world.plaid_says_signed(body("NEW_ACCOUNTS_AVAILABLE"), aged(25)).await;
    assert_eq!(world.state(&item).await, "healthy", "older than a day");
    let twice = SignOptions { duplicates: 1, ..aged(2) };
    world.plaid_says_signed(body("NEW_ACCOUNTS_AVAILABLE"), twice).await;
    assert_eq!(world.state(&item).await, "new_accounts");
    let believed = world.events(&item).await.into_iter().filter(|name| name == "new_accounts").count();
    assert_eq!(believed, 1, "the same bytes under the same signature count once");
    world.end().await;
}

#[tokio::test]
async fn the_same_webhook_ten_times_is_one_break() {
    let (world, item) = one_item().await;
    world.secretly(&item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": item.id, "environment": "sandbox",
        "error": { "error_type": "ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED" } });
    world.plaid_says_signed(body, SignOptions { duplicates: 9, ..SignOptions::default() }).await;
    let view = world.view(&item).await;
    assert_eq!((&view["state"], &view["conditions"][0]["episode"]), (&json!("login_required"), &json!(1)));
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_webhook_that_lies_writes_to_nobody() {
    let (world, item) = one_item().await;
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": item.id, "environment": "sandbox",
        "error": { "error_type": "ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED" } });
    world.plaid_says(body).await;
    world.after(days(3)).await;
    assert_eq!(world.state(&item).await, "healthy", "Plaid's answer is the truth");
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn another_environment_is_kept_and_not_applied() {
    let (world, item) = one_item().await;
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "USER_PERMISSION_REVOKED", "item_id": item.id, "error": null,
        "environment": "production" });
    world.plaid_says(body).await;
    assert_eq!(world.state(&item).await, "healthy");
    let (_, receipts) = world.get("/v1/webhooks").await;
    assert_eq!(receipts["data"][0]["status"], "noted", "{receipts}");
    world.end().await;
}

#[tokio::test]
async fn the_api_and_the_journal_hold_no_token_address_or_link() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let letter = world.only_letter();
    let link = crate::harness::repair::repair_link(&letter);
    let pressed = world.press_button(&link, &item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.done(&link, &item).await, "works");
    let crate::harness::Pressed::Token(link_token) = pressed else { panic!("embedded mode") };
    let mut seen = world.rows().join("\n");
    for path in [
        "/v1/items".to_owned(),
        format!("/v1/items/{}", item.id),
        format!("/v1/items/{}/journal", item.id),
        "/v1/letters".to_owned(),
        "/v1/webhooks".to_owned(),
    ] {
        seen += &world.get(&path).await.1.to_string();
    }
    let token = secrecy::ExposeSecret::expose_secret(&item.access_token);
    let mac = link.rsplit('.').next().expect("a mac");
    for secret in [token, "user-1@mailbox.example", link_token.as_str(), mac] {
        assert!(!seen.contains(secret), "{secret} is in the store or in an answer");
    }
    world.end().await;
}
