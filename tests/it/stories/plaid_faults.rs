//! Each way in which Plaid's API may fail, over HTTP, and the one action that is documented for it: the tables of
//! `engine::traffic` (when Plaid is called again) and `plaid::fault` (whose fault it is). Whatever fails, nobody is written to
//! until Plaid has answered, and afterwards nothing is lost.

use std::time::Duration;

use relinkd::demo::plaid::{Answer, Fault};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::one_item;
use crate::harness::{World, days, hours, minutes};

/// What a fault does to a login that broke, and to those who should be written to.
struct Row {
    answer: Answer,
    /// What `/readyz` says of Plaid while it lasts; nothing where Plaid did answer.
    says: Option<&'static str>,
    /// How many calls there are at most within two hours.
    calls_max: u64,
    /// The state meanwhile.
    state: &'static str,
    /// Letters after Plaid is well again.
    letters: usize,
}

/// Tried again later: the effect waits longer each time, and from the fifth failure in a row on Plaid is left alone.
const AGAIN: Row =
    Row { answer: Answer::Real, says: Some("plaid"), calls_max: 140, state: "login_required", letters: 1 };

fn raw(status: u16, body: &str) -> Answer {
    Answer::Raw { status, body: body.to_owned(), media_type: "text/html".to_owned() }
}

fn error(status: u16, error_type: &str, error_code: &str) -> Answer {
    Answer::Error { status, error_type: error_type.to_owned(), error_code: error_code.to_owned() }
}

fn limited(retry_after_secs: Option<u32>) -> Answer {
    Answer::Limited { error_code: "ITEM_GET_LIMIT".to_owned(), retry_after_secs }
}

async fn calls(world: &World) -> u64 {
    ["/item/get", "/webhook_verification_key/get", "/institutions/get_by_id"]
        .iter()
        .map(|path| world.plaid.count(path))
        .sum()
}

async fn readiness(world: &World) -> Value {
    let (status, body) = world.get("/readyz").await;
    assert_eq!(status, StatusCode::OK, "faults of Plaid's do not make us unready: {body}");
    body["plaid"].clone()
}

/// A login breaks while Plaid fails in some way for two hours, and then no longer.
async fn lives_through(row: Row) {
    let (world, item) = one_item().await;
    // The verification key is known by then: without it no webhook could be taken.
    let sync = json!({ "webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "item_id": item.id,
        "environment": "sandbox" });
    world.plaid_says(sync).await;
    world.after(minutes(5)).await;
    world.plaid.fault(Fault { path: None, ..Fault::at("", row.answer.clone()) });
    let before = calls(&world).await;
    world.breaks(&item).await;
    world.after(hours(2)).await;
    let made = calls(&world).await - before;
    assert!((1..=row.calls_max).contains(&made), "{made} calls in two hours: {:?}", row.answer);
    let said = readiness(&world).await;
    match row.says {
        Some(words) => assert!(said.as_str().is_some_and(|said| said.contains(words)), "{said}: {:?}", row.answer),
        None => assert_eq!(said, Value::Null, "{:?}", row.answer),
    }
    assert!(world.letters().is_empty(), "nobody is written to on hearsay");
    assert_eq!(world.state(&item).await, row.state);
    world.plaid.clear_faults();
    world.after(hours(2)).await;
    assert_eq!(world.letters().len(), row.letters, "{:?}", row.answer);
    assert_eq!(readiness(&world).await, Value::Null);
    world.after(days(2)).await;
    world.end().await;
}

#[tokio::test]
async fn too_many_calls_and_no_word_how_long() {
    lives_through(Row { answer: limited(None), says: Some("fewer calls"), ..AGAIN }).await;
}

#[tokio::test]
async fn too_many_calls_and_a_time() {
    // Ten minutes each time: whoever is not a person waits for them.
    lives_through(Row { answer: limited(Some(600)), says: Some("fewer calls"), calls_max: 14, ..AGAIN }).await;
}

#[tokio::test]
async fn an_error_of_plaids_own() {
    let answer = error(500, "API_ERROR", "INTERNAL_SERVER_ERROR");
    lives_through(Row { answer, says: Some("out of order"), ..AGAIN }).await;
}

#[tokio::test]
async fn planned_maintenance() {
    let answer = error(503, "API_ERROR", "PLANNED_MAINTENANCE");
    lives_through(Row { answer, says: Some("out of order"), ..AGAIN }).await;
}

#[tokio::test]
async fn a_page_of_a_gateway() {
    let answer = raw(502, "<html>Bad Gateway</html>");
    lives_through(Row { answer, says: Some("no error of Plaid's"), ..AGAIN }).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off() {
    // Cut off, or not begun: it depends on how much of it had left.
    lives_through(Row { answer: Answer::Cut, says: Some("plaid"), ..AGAIN }).await;
}

#[tokio::test]
async fn a_page_where_json_belongs() {
    lives_through(Row { answer: raw(200, "<html>Welcome</html>"), says: Some("no JSON"), ..AGAIN }).await;
}

#[tokio::test]
async fn json_that_is_not_plaids() {
    let answer = raw(200, r#"{"item": {"item_id": "x"}}"#);
    lives_through(Row { answer, says: Some("no readable"), ..AGAIN }).await;
}

#[tokio::test]
async fn wrong_keys_stop_everything_but_one_probe_a_minute() {
    let answer = error(400, "INVALID_INPUT", "INVALID_API_KEYS");
    lives_through(Row { answer, says: Some("client_id and secret"), calls_max: 122, ..AGAIN }).await;
}

#[tokio::test]
async fn keys_of_another_environment() {
    let answer = error(400, "INVALID_INPUT", "UNAUTHORIZED_ENVIRONMENT");
    lives_through(Row { answer, says: Some("client_id and secret"), calls_max: 122, ..AGAIN }).await;
}

#[tokio::test]
async fn an_item_that_plaid_does_not_know() {
    let answer = error(400, "ITEM_ERROR", "ITEM_NOT_FOUND");
    lives_through(Row { answer, says: None, calls_max: 1, state: "removed", letters: 0 }).await;
}

#[tokio::test]
async fn a_token_that_plaid_does_not_take() {
    // It says nothing about the login: the webhook stands, nobody is mailed, and the application has to give another token.
    let (world, item) = one_item().await;
    world.plaid.fault(Fault::at("/item/get", error(400, "INVALID_INPUT", "INVALID_ACCESS_TOKEN")));
    world.breaks(&item).await;
    world.after(days(1)).await;
    assert_eq!(world.view(&item).await["token"], "refused");
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_code_that_is_not_known_is_tried_again_and_mails_nobody() {
    lives_through(Row { answer: error(400, "BRAND_NEW_ERROR", "BRAND_NEW"), says: None, ..AGAIN }).await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_cut_and_told() {
    let (world, item) = one_item().await;
    world.plaid.fault(Fault::at("/item/get", Answer::Real).after(Duration::from_secs(120)));
    // The client's own limit is half a minute.
    let (status, body) = world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    assert!(readiness(&world).await.as_str().is_some_and(|said| said.contains("did not answer in time")));
    world.plaid.clear_faults();
    let (status, _) = world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    world.end().await;
}
