//! What is kept, and for how long: the daemon deletes at its appointments what nobody needs any more.

use std::time::{Duration, Instant};

use super::one_item;
use crate::harness::repair::repair_link;
use crate::harness::{World, days, minutes};
use crate::process::LIMIT;

/// Waits for the purge, which goes on in the background.
async fn until(world: &World, what: &str, so: impl Fn(&[String]) -> bool) {
    let began = Instant::now();
    loop {
        let rows = world.rows();
        if so(&rows) {
            return;
        }
        assert!(began.elapsed() < LIMIT, "not yet: {what}: {}", rows.join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The rows of a table.
fn of<'a>(rows: &'a [String], table: &str) -> Vec<&'a String> {
    let begin = format!("{table}: ");
    rows.iter().filter(|row| row.starts_with(&begin)).collect()
}

#[tokio::test]
async fn a_letter_is_explained_for_two_years_and_then_it_is_gone() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.through_link(&pressed).await;
    world.done(&link, &item).await;
    let told = world.journal(&item).await;
    let bodies = |rows: &[String]| of(rows, "inbox").iter().filter(|row| row.contains('[')).count();
    assert!(!of(&world.rows(), "sessions").is_empty());
    // The columns of schema.sql in their order.
    let has_body = |rows: &[String]| of(rows, "inbox")[0].split(" | ").nth(7) != Some("null");
    assert!(has_body(&world.rows()));

    world.sleeps(days(200));
    world.quiet().await;
    until(&world, "presses are gone", |rows| of(rows, "sessions").is_empty()).await;
    let rows = world.rows();
    assert_eq!(of(&rows, "inbox").len(), 1, "the newest webhook stays: {rows:?}");
    assert!(bodies(&rows) == 1, "with the hash of its body");
    assert!(!has_body(&rows), "and without the body: {rows:?}");
    let letters = of(&rows, "letters").len();
    assert!(letters >= 1);
    let kept = world.journal(&item).await;
    for row in &told {
        assert!(kept.contains(row), "it explains the letter: {row}");
    }

    world.sleeps(days(600));
    world.quiet().await;
    until(&world, "letters are gone", |rows| of(rows, "letters").is_empty()).await;
    until(&world, "links are gone", |rows| of(rows, "links").is_empty()).await;
    assert_eq!(world.state(&item).await, "healthy");
    // The steps were looked at before the letters; they go the next night.
    world.sleeps(days(1));
    world.quiet().await;
    until(&world, "the steps are gone", |rows| {
        let first = told[0]["id"].as_i64().expect("a number");
        of(rows, "journal").iter().all(|row| !row.starts_with(&format!("journal: {first} |")))
    })
    .await;
    world.end().await;
}
