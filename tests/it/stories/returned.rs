//! What comes back: addresses that are gone, reports, complaints, and the pauses that follow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relinkd::demo::plaid::{Act, Item};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{one_item, one_item_in};
use crate::harness::mail_server::{MailServer, Mood};
use crate::harness::{Settings, World, bank, days, hours, minutes};

const LOGIN: &str = "hook:0123456789abcdef";

/// A world with Postmark's webhooks, in which the first letter has arrived.
async fn written_to() -> (World, Item) {
    let mail = format!("postmark_login = \"{LOGIN}\"\nreturn_path = \"bounces@app.example\"");
    let world = World::with(Settings { mail, ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    assert_eq!(world.letters().len(), 1);
    (world, item)
}

fn postmark(kind: &str, id: u64) -> Value {
    let record = if kind == "SpamComplaint" { "SpamComplaint" } else { "Bounce" };
    json!({ "RecordType": record, "ID": id, "Type": kind, "Email": "User-1@mailbox.example", "Details": "550 no such user" })
}

async fn tells(world: &World, login: Option<&str>, body: &Value) -> StatusCode {
    let authorization = login.map(|login| format!("Basic {}", BASE64.encode(login)));
    world.mail_event("postmark", authorization.as_deref(), body).await
}

async fn suppressions(world: &World) -> Vec<Value> {
    let (status, body) = world.get("/v1/suppressions").await;
    assert_eq!(status, StatusCode::OK);
    body["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_hard_bounce_told_by_a_service_stops_letters_and_tells_the_application() {
    let (world, item) = written_to().await;
    assert_eq!(tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await, StatusCode::OK);
    let all = suppressions(&world).await;
    assert_eq!((all.len(), &all[0]["reason"], &all[0]["source"]), (1, &json!("gone"), &json!("postmark")));
    assert_eq!(all[0]["user_ids"], json!(["user-1"]));
    assert!(world.events(&item).await.contains(&"unreachable".to_owned()));
    let said = world.relinkd(&["explain", &item.id]).await.well();
    assert!(said.contains("bounced: HardBounce: 550 no such user"), "not what the mail server said first:\n{said}");
    let (_, letters) = world.get("/v1/letters").await;
    assert_eq!((&letters["data"][0]["status"], &letters["data"][0]["bounce"]), (&json!("bounced"), &json!("hard")));
    world.after(days(20)).await;
    assert_eq!(world.letters().len(), 1, "nobody writes to an address that is gone");
    world.end().await;
}

#[tokio::test]
async fn what_came_back_later_is_said_at_the_new_address() {
    let (world, item) = written_to().await;
    tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await;
    // Told once more as another event, it is still one letter that came back.
    tells(&world, Some(LOGIN), &postmark("HardBounce", 2)).await;
    let came_back = world.events(&item).await.iter().filter(|event| *event == "letter_returned").count();
    assert_eq!(came_back, 1);
    world.after(hours(26)).await;
    world.user_at("user-1", "user-1@other.example").await;
    world.after(hours(1)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), 2, "the first reminder, which nobody read");
    assert_eq!(letters[0].subject, letters[1].subject);
    assert!(letters[1].to == ["user-1@other.example"], "{:?}", letters[1].to);
    world.says(&item, Act::RepairElsewhere).await;
    world.after(hours(26)).await;
    assert_eq!(world.letters().len(), 3, "that it works again");
    world.end().await;
}

#[tokio::test]
async fn what_came_back_when_the_next_had_left_already_is_not_said_again() {
    let (world, _) = written_to().await;
    world.user_at("user-1", "user-1@other.example").await;
    world.after(days(4)).await;
    assert_eq!(world.letters().len(), 2, "the second rung, at the new address");
    tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await;
    let other = world.item("user-1", bank("Second Bank")).await;
    world.breaks(&other).await;
    world.after(hours(26)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), 3, "about the other bank");
    assert_eq!(letters[2].to, ["user-1@other.example"]);
    assert!(!letters[2].text.as_deref().expect("a text part").contains("First Platypus Bank"));
    world.end().await;
}

#[tokio::test]
async fn what_is_told_of_an_address_later_is_not_about_a_letter_of_long_ago() {
    let (world, item) = written_to().await;
    world.says(&item, Act::RepairElsewhere).await;
    world.after(days(9)).await;
    let letters = world.letters().len();
    tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await;
    assert!(!world.events(&item).await.contains(&"letter_returned".to_owned()));
    assert_eq!(suppressions(&world).await.len(), 1, "the address takes none all the same");
    assert_eq!(world.letters().len(), letters);
    world.end().await;
}

#[tokio::test]
async fn what_came_back_and_healed_needs_no_word() {
    let (world, item) = written_to().await;
    tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await;
    world.says(&item, Act::RepairElsewhere).await;
    world.user_at("user-1", "user-1@other.example").await;
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 1, "nobody read that it was broken");
    world.end().await;
}

#[tokio::test]
async fn who_does_not_prove_who_they_are_changes_nothing() {
    let (world, _) = written_to().await;
    let rows = world.rows();
    for login in [None, Some("hook:0123456789abcdee"), Some(""), Some("hook")] {
        assert_eq!(tells(&world, login, &postmark("HardBounce", 1)).await, StatusCode::UNAUTHORIZED, "{login:?}");
    }
    assert_eq!(world.mail_event("mailgun", None, &json!({})).await, StatusCode::UNAUTHORIZED, "it is not configured");
    assert_eq!(world.mail_event("resend", None, &json!({})).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.mail_event("other", None, &json!({})).await, StatusCode::NOT_FOUND);
    assert_eq!(world.rows(), rows);
    world.end().await;
}

#[tokio::test]
async fn what_is_told_twice_counts_once() {
    let (world, _) = written_to().await;
    assert_eq!(tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await, StatusCode::OK);
    let (status, _) = world.delete_with("/v1/suppressions", &json!({ "user_id": "user-1" })).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "the operator knows better");
    assert_eq!(tells(&world, Some(LOGIN), &postmark("HardBounce", 1)).await, StatusCode::OK);
    assert_eq!(suppressions(&world).await, Vec::<Value>::new(), "and an old event is no news");
    world.after(days(4)).await;
    assert_eq!(world.letters().len(), 3, "what came back is said again, and letters go on");
    world.end().await;
}

#[tokio::test]
async fn a_complaint_stops_the_user_and_outlives_it() {
    let (world, _) = written_to().await;
    assert_eq!(tells(&world, Some(LOGIN), &postmark("SpamComplaint", 7)).await, StatusCode::OK);
    let (_, user) = world.get("/v1/users/user-1").await;
    assert!(user["stopped_at"].is_string() && user["suppressed_at"].is_string(), "{user}");
    let (status, _) = world.delete("/v1/users/user-1").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    world.user_at("user-2", "user-1@mailbox.example").await;
    let (_, user) = world.get("/v1/users/user-2").await;
    assert!(user["suppressed_at"].is_string(), "the address is the same: {user}");
    assert_eq!(suppressions(&world).await[0]["user_ids"], json!(["user-2"]));
    world.end().await;
}

#[tokio::test]
async fn whoever_called_a_letter_spam_gets_none_at_another_address_either() {
    let (world, _) = written_to().await;
    let (_, letters) = world.get("/v1/letters").await;
    let id = letters["data"][0]["letter_id"].as_str().expect("an id").to_owned();
    world.user_at("user-1", "user-1@other.example").await;
    let complaint = format!(
        "To: bounces+{id}@app.example\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
         \r\n--b--\r\n"
    );
    assert_eq!(world.report(&complaint).await, "complaint");
    let (_, user) = world.get("/v1/users/user-1").await;
    assert!(user["stopped_at"].is_string() && user["suppressed_at"].is_null(), "{user}");
    world.after(days(20)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_report_by_mail_counts_for_the_letter_that_it_names_and_for_nothing_else() {
    let (world, _) = written_to().await;
    let (_, letters) = world.get("/v1/letters").await;
    let id = letters["data"][0]["letter_id"].as_str().expect("an id").to_owned();
    let report = |id: &str, status: &str| {
        format!(
            "To: bounces+{id}@app.example\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
             Final-Recipient: rfc822; user-1@mailbox.example\r\nAction: failed\r\nStatus: {status}\r\n\r\n--b--\r\n"
        )
    };
    let rows = world.rows();
    let stranger = "0198c0de-0000-7000-8000-000000000007";
    assert_eq!(world.report(&report(stranger, "5.1.1")).await, "not_ours");
    assert_eq!(world.report("Subject: hello\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n").await, "not_ours");
    assert_eq!(world.rows(), rows, "a report that names no letter is believed about no address");
    assert_eq!(world.report(&report(&id, "4.2.2")).await, "soft");
    assert_eq!(suppressions(&world).await, Vec::<Value>::new());
    assert_eq!(world.report(&report(&id, "5.1.1")).await, "hard");
    assert_eq!(suppressions(&world).await[0]["source"], json!("report"));
    world.end().await;
}

#[tokio::test]
async fn the_operator_lets_an_address_take_no_letters_also_one_that_waits_already() {
    let (world, item) = one_item().await;
    world.user_at("user-2", "user-1@mailbox.example").await;
    world.breaks(&item).await;
    let (status, added) = world.post("/v1/suppressions", &json!({ "email": "USER-1@mailbox.example" })).await;
    assert_eq!((status, &added["reason"]), (StatusCode::CREATED, &json!("operator")));
    assert_eq!(added["user_ids"], json!(["user-1", "user-2"]));
    let (status, _) = world.post("/v1/suppressions", &json!({ "user_id": "user-2" })).await;
    assert_eq!(status, StatusCode::OK, "it is there already");
    for bad in [json!({}), json!({ "email": "x" }), json!({ "email": "a@b.example", "user_id": "user-1" })] {
        assert_eq!(world.post("/v1/suppressions", &bad).await.0, StatusCode::BAD_REQUEST);
    }
    world.after(days(1)).await;
    assert_eq!(world.letters().len(), 0);
    let id = added["suppression_id"].as_str().expect("an id");
    assert_eq!(world.delete(&format!("/v1/suppressions/{id}")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.delete(&format!("/v1/suppressions/{id}")).await.0, StatusCode::NOT_FOUND);
    world.after(days(1)).await;
    assert_eq!(world.letters().len(), 1, "the letter comes once it may");
    world.end().await;
}

#[tokio::test]
async fn a_sender_at_fault_pauses_all_letters_until_one_passes() {
    let reply =
        "550 5.7.515 Access denied, sending domain app.example does not meet the required authentication level.";
    let server = MailServer::start(Mood::Refuses { address: "user-1@", reply }).await;
    let settings = Settings { smtp_url: Some(server.url()), ..Settings::default() };
    let world = World::with(settings).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let (_, ready) = world.get("/readyz").await;
    assert_eq!(ready["letters_paused"]["why"], "sender", "{ready}");
    assert_eq!(suppressions(&world).await, Vec::<Value>::new(), "nobody is to blame but the sender");
    assert_eq!(world.statuses().await, ["deferred"]);
    world.after(hours(2)).await;
    assert_eq!(world.get("/v1/pause").await.1["pause"]["why"], "sender");
    world.after(days(6)).await;
    assert_eq!(world.statuses().await, ["deferred"], "however long it takes the operator, no letter is given up");
    server.becomes(Mood::Fine);
    world.after(hours(5)).await;
    assert_eq!(world.get("/v1/pause").await.1["pause"], Value::Null, "a letter passed");
    assert_eq!((server.letters().len(), world.statuses().await), (1, vec!["accepted".to_owned()]));
    world.end().await;
}

#[tokio::test]
async fn one_letter_that_is_refused_for_its_sender_while_others_arrive_is_given_up() {
    let reply = "550 DMARC check failed.";
    let server = MailServer::start(Mood::Refuses { address: "user-1@", reply }).await;
    let world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.user("user-2").await;
    let other = world.item("user-2", bank("River Bank")).await;
    world.breaks(&item).await;
    world.breaks(&other).await;
    world.after(days(4)).await;
    assert!(!world.statuses().await.contains(&"bounced".to_owned()));
    world.after(days(5)).await;
    let statuses = world.statuses().await;
    assert!(statuses.contains(&"bounced".to_owned()) && server.letters().len() == 3, "{statuses:?}");
    server.becomes(Mood::Fine);
    world.after(hours(5)).await;
    world.end().await;
}
