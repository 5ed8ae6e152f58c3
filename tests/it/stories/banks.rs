//! Nobody is sent to a bank that is down: letters wait for it, presses say so, and what Plaid does not know holds nothing.

use relinkd::demo::plaid::{Act, Answer, Fault, Item};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::one_item;
use crate::harness::repair::repair_link;
use crate::harness::{Pressed, World, bank, days, hours, minutes};

const STATUS: &str = "/institutions/get_by_id";

/// How often Plaid was asked about banks.
fn asked(world: &World) -> u64 {
    world.plaid.count(STATUS)
}

async fn waits(world: &World, item: &Item) -> usize {
    world.events(item).await.iter().filter(|name| *name == "letter_waits").count()
}

fn said(status: &serde_json::Value) -> Fault {
    let institution = json!({ "institution_id": "ins_1", "name": "First Platypus Bank", "status": status });
    let body = json!({ "institution": institution, "request_id": "r" }).to_string();
    Fault::at(STATUS, Answer::Raw { status: 200, body, media_type: "application/json".to_owned() })
}

#[tokio::test]
async fn a_letter_waits_for_a_bank_that_is_down_says_so_once_and_goes_on_when_it_is_back() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.secretly(&item, Act::BankDown).await;
    world.after(hours(7)).await;
    assert!(world.letters().is_empty());
    assert_eq!(waits(&world, &item).await, 1);
    let questions = asked(&world);
    assert!((10..=100).contains(&questions), "every some minutes: {questions}");
    world.secretly(&item, Act::BankUp).await;
    world.after(minutes(20)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_press_says_that_the_bank_is_down_with_and_without_a_fresh_token() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let link = repair_link(&world.only_letter());
    let down = Pressed::No(StatusCode::SERVICE_UNAVAILABLE);
    world.secretly(&item, Act::BankDown).await;
    world.after(minutes(6)).await;
    assert_eq!(world.press_button(&link, &item).await, down);
    world.secretly(&item, Act::BankUp).await;
    assert_eq!(world.press_button(&link, &item).await, down, "Plaid is asked again after some minutes");
    world.after(minutes(6)).await;
    assert!(matches!(world.press_button(&link, &item).await, Pressed::Token(_)));
    world.secretly(&item, Act::BankDown).await;
    world.after(minutes(6)).await;
    assert_eq!(world.press_button(&link, &item).await, down, "the token of a moment ago helps nobody");
    world.end().await;
}

#[tokio::test]
async fn a_bank_that_is_down_does_not_hold_back_the_word_about_another() {
    let world = World::new().await;
    world.user("user-1").await;
    let up = world.item("user-1", bank("Open Bank")).await;
    let down = world.item("user-1", bank("Shut Bank")).await;
    world.breaks(&up).await;
    world.breaks(&down).await;
    world.secretly(&down, Act::BankDown).await;
    world.after(hours(1)).await;
    let first = world.only_letter().text.expect("a text part");
    assert!(first.contains("Open Bank") && !first.contains("Shut Bank"), "{first}");
    world.secretly(&down, Act::BankUp).await;
    world.after(days(2)).await;
    let letters = world.letters();
    let second = letters[1].text.as_ref().expect("a text part");
    assert_eq!(letters.len(), 2);
    assert!(second.contains("Shut Bank"), "{second}");
    world.end().await;
}

#[tokio::test]
async fn a_letter_that_waits_for_a_bank_does_not_hold_back_what_breaks_later() {
    let world = World::new().await;
    world.user("user-1").await;
    let up = world.item("user-1", bank("Open Bank")).await;
    let down = world.item("user-1", bank("Shut Bank")).await;
    world.breaks(&down).await;
    world.secretly(&down, Act::BankDown).await;
    world.after(hours(1)).await;
    assert_eq!(world.statuses().await, ["deferred"]);
    world.breaks(&up).await;
    world.after(hours(1)).await;
    let text = world.only_letter().text.expect("a text part");
    assert!(text.contains("Open Bank") && !text.contains("Shut Bank"), "{text}");
    world.secretly(&down, Act::BankUp).await;
    world.after(days(2)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    assert!(letters[1].text.as_ref().expect("a text part").contains("Shut Bank"));
    world.end().await;
}

#[tokio::test]
async fn one_item_that_plaid_cannot_be_asked_about_does_not_hold_back_the_others_for_long() {
    let world = World::new().await;
    world.user("user-1").await;
    let known = world.item("user-1", bank("Known Bank")).await;
    let mute = world.item("user-1", bank("Mute Bank")).await;
    for item in [&known, &mute] {
        world.breaks(item).await;
    }
    let body = "{\"item\": 7}".to_owned();
    let unreadable = Answer::Raw { status: 200, body, media_type: "application/json".to_owned() };
    world.plaid.fault(Fault::at("/item/get", unreadable).about(&mute.id));
    world.after(minutes(50)).await;
    assert_eq!(world.letters().len(), 0, "for a while all of a letter waits");
    world.after(hours(3)).await;
    let text = world.only_letter().text.expect("a text part");
    assert!(text.contains("Known Bank") && !text.contains("Mute Bank"), "{text}");
    world.end().await;
}

#[tokio::test]
async fn what_plaid_does_not_know_holds_nothing() {
    let outage = Answer::Raw { status: 502, body: "<html>".to_owned(), media_type: "text/html".to_owned() };
    for fault in [said(&json!(null)), said(&json!({ "item_logins": null })), Fault::at(STATUS, outage)] {
        let (world, item) = one_item().await;
        world.plaid.fault(fault);
        world.breaks(&item).await;
        world.after(minutes(31)).await;
        let letter = world.only_letter();
        assert_eq!(world.press(&letter, &item).await, "works");
        world.end().await;
    }
}

#[tokio::test]
async fn many_letters_are_one_question_and_each_is_about_the_items_own_country() {
    let world = World::new().await;
    for number in 0..12 {
        let user = format!("user-{number}");
        world.user(&user).await;
        let item = world.item(&user, bank("Busy Bank")).await;
        let body = json!({ "access_token": item.access_token.expose_secret(), "user_id": user, "country_codes": ["US", "CA"] });
        let (status, body) = world.put(&format!("/v1/items/{}", item.id), &body).await;
        assert!(status.is_success(), "{body}");
        world.breaks(&item).await;
    }
    let before = asked(&world);
    world.after(hours(6) - minutes(1)).await;
    assert_eq!(world.letters().len(), 0, "all of a bank's logins at once are an outage");
    world.after(minutes(3)).await;
    assert_eq!(world.letters().len(), 12);
    assert_eq!(asked(&world) - before, 1);
    let calls = world.plaid.calls();
    let about = calls.iter().rfind(|call| call.path == STATUS).expect("a question");
    assert_eq!(about.body["country_codes"], json!(["US", "CA"]));
    world.end().await;
}
