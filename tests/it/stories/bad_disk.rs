//! While the disk refuses, nothing is forgotten; and when it does not any more, no restart is needed.

use relinkd::demo::plaid::{Act, SignOptions};
use rusqlite::Connection;

use super::one_item;
use crate::harness::{World, bank, minutes};
use crate::process::LIMIT;

/// Another program's connection to the store, patient with the daemon's writer.
fn beside(world: &World) -> Connection {
    let raw = Connection::open(world.store_path()).expect("the store");
    raw.busy_timeout(LIMIT).expect("a time limit");
    raw
}

/// A disk that refuses this statement, as on an I/O error: SQLite takes the whole transaction back.
fn fails(world: &World, statement: &str) -> Connection {
    let raw = beside(world);
    let fail = "begin select raise(rollback, 'as a bad disk'); end";
    raw.execute_batch(&format!("create trigger fail before {statement} {fail}")).expect("SQL");
    raw
}

fn works_again(raw: &Connection) {
    raw.execute_batch("drop trigger fail").expect("SQL");
}

/// Whatever was asked of the store's writer by now has been answered.
async fn all_was_tried(world: &World) {
    for _ in 0..30 {
        world.get("/readyz").await;
    }
}

async fn wait(fact: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(10));
    for _ in 0..6_000 {
        if holds().await {
            return;
        }
        pause.tick().await;
    }
    panic!("it never came: {fact}");
}

#[tokio::test]
async fn an_answer_of_plaids_that_could_not_be_kept_is_kept_later() {
    let (world, item) = one_item().await;
    world.secretly(&item, Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }).await;
    let raw = fails(&world, "delete on outbox");
    // It only makes us ask; a minute must have passed since the last question.
    world.sleeps(minutes(2));
    let body = serde_json::json!({ "webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": item.id,
        "error": null, "environment": "sandbox" });
    let sent = world.plaid.send_webhook(&world.webhook_url(), body, SignOptions::default()).await;
    assert_eq!(sent.status(), Some(200), "{sent:?}");
    let asks = "select count(*) from outbox where lease is not null";
    wait("it is asked", async || raw.query_row(asks, [], |row| row.get::<_, i64>(0)).expect("SQL") == 1).await;
    all_was_tried(&world).await;
    assert_eq!(world.state(&item).await, "healthy");
    works_again(&raw);
    wait("the answer is kept", async || world.state(&item).await == "login_required").await;
    world.quiet().await;
    world.end().await;
}

#[tokio::test]
async fn a_letter_that_left_and_could_not_be_settled_is_settled_later_and_not_sent_again() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    let raw = fails(&world, "update on letters when new.status = 'accepted'");
    world.sleeps(minutes(31));
    wait("the letter is there", async || !world.letters().is_empty()).await;
    all_was_tried(&world).await;
    works_again(&raw);
    world.quiet().await;
    assert_eq!(world.statuses().await, ["accepted"]);
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_user_whose_row_does_not_open_stops_nobody_elses_letters() {
    let (world, first) = one_item().await;
    world.user("user-2").await;
    let second = world.item("user-2", bank("Second Platypus Bank")).await;
    let raw = beside(&world);
    raw.execute("update users set contact = x'0102030405' where user_id = 'user-1'", []).expect("SQL");
    world.breaks(&first).await;
    world.breaks(&second).await;
    world.after(minutes(31)).await;
    assert_eq!(world.only_letter().to, ["user-2@mailbox.example"]);
    world.end().await;
}
