//! Accounts: an Item that Plaid calls healthy and that has none is not; another login after a repair is told; a newer Item in
//! an older one's place spares its user the letter.

use relinkd::demo::plaid::{Account, Act, Answer, Bank, Fault, Item, NewItem, Outcome};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::one_item_in;
use crate::harness::repair::repair_link;
use crate::harness::{Pressed, Settings, World, bank, days, hours, minutes};

/// A bank at which a second Item of the same login kills the first.
fn strict_bank() -> Bank {
    Bank::new("ins_56", "Strict Bank")
}

async fn probing() -> World {
    World::with(Settings { plaid: "probe_accounts = true", ..Settings::default() }).await
}

async fn observed(world: &World, item: &Item) -> String {
    let (status, body) = world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    assert!(status.is_success(), "{body}");
    world.state(item).await
}

fn asked(world: &World) -> u64 {
    world.plaid.count("/accounts/get")
}

#[tokio::test]
async fn lost_accounts_of_a_healthy_item_are_found_and_repaired_with_a_choice() {
    let world = probing().await;
    let item = one_item_in(&world).await;
    world.secretly(&item, Act::LoseAccounts).await;
    assert_eq!(observed(&world, &item).await, "login_required");
    assert_eq!(world.view(&item).await["conditions"][0]["code"], "NO_ACCOUNTS");
    world.after(minutes(31)).await;
    let letter = world.only_letter();
    assert_eq!(world.press(&letter, &item).await, "works");
    let calls = world.plaid.calls();
    let created = calls.iter().rfind(|call| call.path == "/link/token/create").expect("a Link token");
    assert_eq!(created.body["update"]["account_selection_enabled"], true);
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 2, "and the word that it works again");
    world.end().await;
}

#[tokio::test]
async fn who_was_not_told_to_probe_asks_for_accounts_once_to_have_something_to_compare() {
    let world = World::new().await;
    let item = one_item_in(&world).await;
    assert_eq!(asked(&world), 1);
    world.secretly(&item, Act::LoseAccounts).await;
    assert_eq!(observed(&world, &item).await, "healthy");
    world.after(days(3)).await;
    assert_eq!(asked(&world), 1);
    world.end().await;
}

/// Accounts are only compared: Plaid is as well as before if it cannot list them.
#[tokio::test]
async fn an_endpoint_for_accounts_that_fails_holds_nothing_else_up() {
    let world = World::new().await;
    let mut items = Vec::new();
    for number in 0..8 {
        let user = format!("user-{number}");
        world.user(&user).await;
        items.push(world.item(&user, bank(&format!("Bank {number}"))).await);
    }
    let outage = Answer::Raw { status: 502, body: "<h1>Bad Gateway".to_owned(), media_type: "text/html".to_owned() };
    world.plaid.fault(Fault::at("/accounts/get", outage));
    for item in &items {
        world.breaks(item).await;
        world.says(item, Act::RepairElsewhere).await;
    }
    assert!(asked(&world) >= 16, "{}", asked(&world));
    for item in &items {
        world.secretly(item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
    }
    world.after(minutes(2)).await;
    for item in &items {
        let doubt = json!({ "webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": item.id, "error": null,
            "environment": "sandbox" });
        world.plaid_says(doubt).await;
        assert_eq!(world.state(item).await, "login_required");
    }
    world.end().await;
}

#[tokio::test]
async fn it_works_is_not_believed_before_the_accounts_were_seen() {
    let world = probing().await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.secretly(&item, Act::RepairElsewhere).await;
    let error = json!({ "error_type": "API_ERROR", "error_code": "INTERNAL_SERVER_ERROR", "error_message": "x" });
    let body = error.to_string();
    world.plaid.fault(Fault::at(
        "/accounts/get",
        Answer::Raw { status: 500, body, media_type: "application/json".to_owned() },
    ));
    let (status, _) = world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    assert!(!status.is_success(), "{status}");
    assert_eq!(world.state(&item).await, "login_required");
    world.after(minutes(45)).await;
    assert!(world.letters().is_empty(), "nor is the opposite");
    world.plaid.clear_faults();
    assert_eq!(observed(&world, &item).await, "healthy");
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

/// The rows of the journal that say that accounts changed.
async fn changes(world: &World, item: &Item) -> Vec<Value> {
    let rows = world.journal(item).await;
    rows.iter().map(|row| row["event"]["accounts_changed"].clone()).filter(|change| !change.is_null()).collect()
}

/// The login breaks, and the user repairs it with these accounts.
async fn breaks_and_is_repaired(world: &World, item: &Item, accounts: Option<Vec<String>>) {
    let before = world.letters().len();
    world.breaks(item).await;
    world.after(minutes(31)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), before + 1);
    let link = repair_link(letters.last().expect("a letter"));
    let pressed = world.press_button(&link, item).await;
    world.ends_link(&pressed, &Outcome::Success { accounts }).await;
    assert_eq!(world.done(&link, item).await, "works");
    world.after(days(4)).await;
}

#[tokio::test]
async fn other_accounts_after_a_repair_are_told_with_and_without_the_probe() {
    for plaid in ["probe_accounts = true", ""] {
        let world = World::with(Settings { plaid, ..Settings::default() }).await;
        world.user("user-1").await;
        let item = world.item("user-1", Bank { oauth: true, ..bank("Choice Bank") }).await;
        let before = asked(&world);
        breaks_and_is_repaired(&world, &item, None).await;
        assert_eq!(changes(&world, &item).await, [Value::Null; 0], "the same as before");
        assert!(asked(&world) > before, "after a repair the accounts are asked for");
        world.secretly(&item, Act::NewAccount).await;
        let opened = world.plaid.item(&item.id).expect("it is there").unshared[0].id.clone();
        breaks_and_is_repaired(&world, &item, Some(vec![opened])).await;
        assert_eq!(changes(&world, &item).await, [json!({ "gone": 2, "new": 1 })]);
        let rows = world.rows().join("\n");
        for clear in ["Checking", "New savings"] {
            assert!(!rows.contains(clear), "{clear} is in the store");
        }
        // As a word: four digits stand in one id or another now and then.
        let is_part = |c: char| c.is_alphanumeric() || c == '-';
        for clear in ["4821", "9002"] {
            assert!(!rows.split(|c| !is_part(c)).any(|word| word == clear), "{clear} is in the store");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn other_accounts_after_the_very_first_repair_are_told() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item("user-1", Bank { oauth: true, ..bank("Choice Bank") }).await;
    world.secretly(&item, Act::NewAccount).await;
    let opened = world.plaid.item(&item.id).expect("it is there").unshared[0].id.clone();
    breaks_and_is_repaired(&world, &item, Some(vec![opened])).await;
    assert_eq!(changes(&world, &item).await, [json!({ "gone": 2, "new": 1 })]);
    world.end().await;
}

/// Two Items of a user at a bank, one a day after the other, with the same accounts.
async fn twice(world: &World, bank: &Bank) -> (Item, Item) {
    let older = world.item("user-1", bank.clone()).await;
    world.after(days(1)).await;
    (older, world.item("user-1", bank.clone()).await)
}

async fn superseded_by(world: &World, item: &Item) -> Value {
    world.view(item).await["superseded_by"].clone()
}

#[tokio::test]
async fn who_linked_the_bank_anew_gets_no_letter_about_the_old_item() {
    let world = World::new().await;
    world.user("user-1").await;
    let older = world.item("user-1", strict_bank()).await;
    world.breaks(&older).await;
    world.after(minutes(31)).await;
    let letter = world.only_letter();
    let newer = world.item("user-1", strict_bank()).await;
    assert_eq!(superseded_by(&world, &older).await, json!(newer.id));
    assert_eq!(superseded_by(&world, &newer).await, Value::Null);
    let link = repair_link(&letter);
    assert_eq!(world.press_button(&link, &older).await, Pressed::No(StatusCode::CONFLICT), "it would kill the newer");
    let (_, page) = world.fetch(Method::GET, &link).await;
    assert!(page.contains("Strict Bank"), "{page}");
    world.after(days(60)).await;
    assert_eq!(world.letters().len(), 1, "none after the newer was there");
    world.end().await;
}

#[tokio::test]
async fn the_old_item_counts_again_when_the_newer_is_gone_or_broken_or_not_the_users() {
    for end in ["removed", "broken", "moved"] {
        let world = World::new().await;
        world.user("user-1").await;
        world.user("user-2").await;
        let (older, newer) = twice(&world, &strict_bank()).await;
        world.breaks(&older).await;
        assert_eq!(superseded_by(&world, &older).await, json!(newer.id), "{end}");
        world.after(days(2)).await;
        assert!(world.letters().is_empty(), "{end}");
        match end {
            "removed" => drop(world.delete(&format!("/v1/items/{}", newer.id)).await),
            "broken" => world.breaks(&newer).await,
            _ => {
                let body = json!({ "access_token": newer.access_token.expose_secret(), "user_id": "user-2" });
                let (status, body) = world.put(&format!("/v1/items/{}", newer.id), &body).await;
                assert_eq!(status, StatusCode::OK, "{body}");
                world.quiet().await;
            }
        }
        assert_eq!(superseded_by(&world, &older).await, Value::Null, "{end}");
        world.after(hours(2)).await;
        assert_eq!(world.only_letter().to, ["user-1@mailbox.example"], "{end}");
        let events = world.events(&older).await;
        assert_eq!(events.iter().filter(|name| *name == "unsuperseded").count(), 1, "{end}: {events:?}");
        world.end().await;
    }
}

#[tokio::test]
async fn elsewhere_an_item_is_only_superseded_by_one_with_its_accounts() {
    let account = |name: &str, mask: &str| Account::new(name, mask, "checking");
    for (plaid, accounts, bank, expected) in [
        ("probe_accounts = true", vec![], bank("Other Bank"), true),
        ("probe_accounts = true", vec![account("Checking", "4821")], bank("Other Bank"), true),
        ("probe_accounts = true", vec![account("Checking", "0001")], bank("Other Bank"), false),
        ("probe_accounts = true\nsuperseding_institutions = []", vec![account("Mine", "4")], strict_bank(), false),
        ("superseding_institutions = []", vec![], strict_bank(), true),
        ("", vec![], bank("Other Bank"), true),
        ("", vec![account("Checking", "0001")], bank("Other Bank"), false),
    ] {
        let case = format!("{plaid} {accounts:?} {}", bank.name);
        let world = World::with(Settings { plaid, ..Settings::default() }).await;
        world.user("user-1").await;
        let older = world.item("user-1", bank.clone()).await;
        world.after(days(1)).await;
        let newer = world.item_at_plaid(NewItem { accounts, ..NewItem::new("user-1", bank) });
        world.register(&newer, newer.access_token.expose_secret()).await;
        world.breaks(&older).await;
        assert_eq!(superseded_by(&world, &older).await == json!(newer.id), expected, "{case}");
        world.after(minutes(31)).await;
        assert_eq!(world.letters().len(), usize::from(!expected), "{case}");
        world.end().await;
    }
}
