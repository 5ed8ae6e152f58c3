//! Webhooks that never came, went elsewhere, or never existed: what Plaid's answer tells of them.

use relinkd::demo::plaid::{Act, NewItem};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::one_item;
use crate::harness::{Settings, World, bank, days, hours, minutes};

async fn missed(world: &World) -> u64 {
    world.get("/readyz").await.1["missed_webhooks"].as_u64().expect("a number")
}

#[tokio::test]
async fn new_accounts_of_which_the_webhook_was_lost_are_found_by_its_code() {
    let (world, item) = one_item().await;
    world.after(hours(1)).await;
    world.secretly(&item, Act::NewAccount).await;
    world.after(days(1)).await;
    assert_eq!(world.state(&item).await, "new_accounts", "no other endpoint tells of them");
    assert_eq!(missed(&world).await, 1);
    world.after(days(3)).await;
    assert_eq!(missed(&world).await, 1, "the same one is missed once");
    assert_eq!(world.events(&item).await.iter().filter(|name| *name == "webhook_missed").count(), 1);
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_move_of_the_bank_of_which_the_webhook_was_lost_names_no_date() {
    let (world, item) = one_item().await;
    world.after(hours(1)).await;
    let at = world.clock.now() + days(7);
    world.secretly(&item, Act::Disconnect { at: Some(at), reason: "INSTITUTION_MIGRATION".to_owned() }).await;
    world.after(days(1)).await;
    let view = world.view(&item).await;
    assert_eq!(view["state"], "pending_expiration", "{view}");
    assert_eq!(view["conditions"][0]["deadline"], Value::Null, "only the code is known");
    world.end().await;
}

#[tokio::test]
async fn what_came_is_not_missed_and_what_is_on_its_way_is_waited_for() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(days(2)).await;
    assert_eq!(missed(&world).await, 0);
    world.secretly(&item, Act::NewAccount).await;
    let (status, _) = world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(missed(&world).await, 0, "Plaid tries again within minutes");
    world.after(minutes(16)).await;
    world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    assert_eq!(missed(&world).await, 1);
    world.end().await;
}

#[tokio::test]
async fn an_item_whose_webhooks_go_elsewhere_is_shown_and_adopted_when_somebody_says_so() {
    let (world, item) = one_item().await;
    let elsewhere =
        NewItem { webhook: Some("http://127.0.0.1:9/old".to_owned()), ..NewItem::new("user-1", bank("Second Bank")) };
    let stray = world.plaid.add_item(elsewhere);
    world.register(&stray, stray.access_token.expose_secret()).await;
    assert_eq!(world.view(&item).await["webhooks_go"], "here");
    assert_eq!(world.view(&stray).await["webhooks_go"], "elsewhere");
    let (_, list) = world.get("/v1/items?astray=true").await;
    assert_eq!(list["data"].as_array().expect("a list").len(), 1);
    assert_eq!(list["data"][0]["item_id"], json!(stray.id));
    let (status, view) = world.post(&format!("/v1/items/{}/adopt", stray.id), &json!({})).await;
    assert_eq!((status, &view["webhooks_go"]), (StatusCode::OK, &json!("here")));
    world.breaks(&world.plaid.item(&stray.id).expect("it is there")).await;
    assert_eq!(world.state(&stray).await, "login_required", "its webhooks come here now");
    assert_eq!(world.get("/v1/items?astray=true").await.1["data"], json!([]));
    world.end().await;
}

#[tokio::test]
async fn adoption_by_itself_if_it_is_configured() {
    let world = World::with(Settings { plaid: "webhook_elsewhere = \"adopt\"", ..Settings::default() }).await;
    world.user("user-1").await;
    let nowhere = world.plaid.add_item(NewItem { webhook: None, ..NewItem::new("user-1", bank("First Bank")) });
    world.register(&nowhere, nowhere.access_token.expose_secret()).await;
    assert_eq!(world.view(&nowhere).await["webhooks_go"], "here");
    assert_eq!(world.plaid.item(&nowhere.id).expect("it is there").webhook, Some(world.webhook_url()));
    assert_eq!(world.plaid.count("/item/webhook/update"), 1);
    world.end().await;
}

#[tokio::test]
async fn a_consent_that_ends_is_noticed_seven_days_ahead_without_a_webhook() {
    let world = World::new().await;
    world.user("user-1").await;
    let ends = world.clock.now() + days(10) + hours(2);
    let new = NewItem { consent_ends_at: Some(ends), ..NewItem::new("user-1", bank("First Bank")) };
    let item = world.item_at_plaid(new);
    world.register(&item, item.access_token.expose_secret()).await;
    world.after(days(3) + hours(2) - minutes(10)).await;
    assert_eq!(world.state(&item).await, "healthy");
    world.after(minutes(11)).await;
    let view = world.view(&item).await;
    assert_eq!(view["state"], "pending_expiration", "{view}");
    assert_eq!(view["conditions"][0]["deadline"], json!(ends));
    world.secretly(&item, Act::RepairElsewhere).await;
    world.after(days(2)).await;
    assert_ne!(world.view(&item).await["consent_expires_at"], json!(ends), "the sweep hears of the new end");
    world.end().await;
}
