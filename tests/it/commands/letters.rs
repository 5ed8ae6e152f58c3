//! `relinkd letters` and `relinkd explain`.

use serde_json::json;

use crate::harness::{World, bank, days, minutes};

#[tokio::test]
async fn a_plan_says_who_is_written_to_and_who_not_and_it_comes_true() {
    let world = World::new().await;
    for user in ["user-1", "user-2", "user-3"] {
        world.user(user).await;
    }
    let first = world.item("user-1", bank("First Bank")).await;
    let second = world.item("user-2", bank("Second Bank")).await;
    world.item("user-3", bank("Third Bank")).await;
    world.breaks(&first).await;
    world.breaks(&second).await;
    world.relinkd(&["users", "stop", "user-2"]).await.well();

    let plan = world.relinkd(&["letters", "plan", "--next", "24h", "--json"]).await.json();
    let of = |user: &str| plan.iter().find(|plan| plan["user_id"] == user).unwrap_or_else(|| panic!("{plan:?}"));
    assert_eq!(of("user-1")["letters"].as_array().map(Vec::len), Some(1), "{plan:?}");
    assert_eq!(of("user-1")["letters"][0]["lines"][0]["item_id"], first.id.as_str());
    assert_eq!(of("user-2")["letters"], json!([]));
    assert_eq!(of("user-2")["then"]["why"], "stopped");
    assert!(plan.iter().all(|plan| plan["user_id"] != "user-3"), "nothing is to be said about user-3: {plan:?}");
    let table = world.relinkd(&["letters", "plan"]).await.well();
    assert!(
        table.contains("reminder 1 of login_required") && table.contains("the user stopped all letters"),
        "{table}"
    );

    // The plan is the rule itself: what it said happens when it said so.
    let month = world.relinkd(&["letters", "plan", "--next", "30d", "--user", "user-1", "--json"]).await.json();
    let planned = month[0]["letters"].as_array().expect("letters").len();
    assert_eq!(planned, 4, "{month:?}");
    world.after(minutes(60)).await;
    assert_eq!(world.letters().len(), 1);
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), planned);

    let list = world.relinkd(&["letters", "list", "--item", &first.id, "--json"]).await.json();
    assert_eq!(list.len(), planned);
    let id = list[0]["letter_id"].as_str().expect("an id");
    let shown = world.relinkd(&["letters", "show", id]).await.well();
    assert!(shown.contains("accepted") && shown.contains("reminder 4 of login_required"), "{shown}");
    assert_eq!(world.relinkd(&["letters", "list", "--user", "user-2", "--json"]).await.well(), "");
    let none = world.relinkd(&["letters", "show", "no-letter"]).await;
    assert_eq!((none.code, none.stderr.as_str()), (1, "relinkd: there is no such letter\n"));
    world.end().await;
}

#[tokio::test]
async fn an_item_is_explained_from_the_webhook_to_the_letter_and_what_comes_next() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item("user-1", bank("First Bank")).await;
    world.breaks(&item).await;
    world.after(minutes(60)).await;
    assert_eq!(world.letters().len(), 1);
    let said = world.relinkd(&["explain", &item.id]).await.well();
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part:?} is not in\n{said}"));
    let webhook = at("ITEM/ERROR -> applied");
    let step = at("login_required (code ITEM_LOGIN_REQUIRED");
    let change = at("healthy -> login_required; asks Plaid");
    let letter = at("letter_composed");
    let outcome = at("accepted: 250");
    let next = at("No letter about this Item now: the next reminder is not due yet.");
    let planned = at("reminder 2 of login_required");
    assert!([webhook, step, change, letter, outcome, next, planned].is_sorted(), "{said}");

    world.relinkd(&["users", "stop", "user-1"]).await.well();
    let said = world.relinkd(&["explain", &item.id]).await.well();
    assert!(said.contains("No letter: the user stopped all letters"), "{said}");
    let unknown = world.relinkd(&["explain", "no-item"]).await;
    assert_eq!((unknown.code, unknown.stderr.as_str()), (1, "relinkd: there is no such Item\n"));
    world.end().await;
}
