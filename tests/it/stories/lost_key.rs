//! The data key is lost: what the daemon says, and the way on that docs/operations.md tells.

use reqwest::Method;
use rusqlite::Connection;
use secrecy::ExposeSecret as _;

use super::one_item;
use crate::harness::repair::repair_link;
use crate::harness::{bank, hours, minutes};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// What the queries of the document find in a store that was moved aside.
fn lists(path: &std::path::Path) -> Vec<Vec<String>> {
    let old = Connection::open(path).expect("a database");
    let queries: Vec<&str> = OPERATIONS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("sqlite3 old.db \"")?.split_once('"'))
        .map(|(query, _)| query)
        .collect();
    assert_eq!(queries.len(), 3);
    let list = |query: &&str| {
        let mut statement = old.prepare(query).expect("the document's SQL is right");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("texts")
    };
    queries.iter().map(list).collect()
}

#[tokio::test]
async fn a_store_whose_key_is_lost_is_not_opened_and_a_new_one_goes_on() {
    let (mut world, item) = one_item().await;
    world.user("user-2").await;
    let other = world.item("user-2", bank("Second Platypus Bank")).await;
    world.breaks(&item).await;
    world.breaks(&other).await;
    world.after(minutes(31)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    let of_user =
        |user: &str| letters.iter().find(|letter| letter.to == [format!("{user}@mailbox.example")]).expect("one");
    world.one_click_stop(of_user("user-2")).await;
    let link = repair_link(of_user("user-1"));
    world.stop().await;
    world.loses_its_data_key();
    let said = world.refuses_to_start().await;
    assert!(
        said.contains("story.db was sealed with another data_key: put the key back, in [store] data_key"),
        "{said}"
    );
    assert!(said.contains("if it is lost, docs/operations.md says how to go on"), "{said}");

    let aside = world.store_path().with_file_name("old.db");
    std::fs::rename(world.store_path(), &aside).expect("moved");
    let lists = lists(&aside);
    assert_eq!(lists, [vec!["user-2".to_owned()], vec![], vec![]]);
    world.start().await;
    world.user("user-1").await;
    for item in [&item, &other] {
        world.register(item, item.access_token.expose_secret()).await;
    }
    world.after(hours(2)).await;
    assert_eq!(world.letters().len(), 3, "user-1 is written to again, user-2 is not");
    let newest = world.letters().pop().expect("a letter");
    assert_eq!(newest.to, ["user-1@mailbox.example"]);
    let (status, _) = world.fetch(Method::GET, &link).await;
    assert!(!status.is_success(), "the old link opens nothing: {status}");
    let pressed = world.press_button(&repair_link(&newest), &item).await;
    world.through_link(&pressed).await;
    world.done(&repair_link(&newest), &item).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.state(&other).await, "login_required");
    world.end().await;
}
