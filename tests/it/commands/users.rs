//! `relinkd users`.

use crate::harness::World;

#[tokio::test]
async fn users_are_set_found_by_address_stopped_resumed_and_erased() {
    let world = World::new().await;
    let missing = world.relinkd(&["users", "set", "user-9", "--name", "A. User"]).await;
    let said = "relinkd: email is missing; only with [mail] delivery = \"event\" it is not needed\n";
    assert_eq!((missing.code, missing.stderr.as_str()), (1, said));
    world.relinkd(&["users", "set", "user-9", "--email", "User.Nine@example.com", "--name", "A. User"]).await.well();
    world.relinkd(&["users", "set", "user-8", "--email", "user-8@example.com"]).await.well();
    // What is not given stays.
    let set = world.relinkd(&["users", "set", "user-9", "--time-zone", "Europe/Berlin"]).await.well();
    assert!(set.contains("User.Nine@example.com") && set.contains("A. User") && set.contains("Europe/Berlin"), "{set}");
    let bad = world.relinkd(&["users", "set", "user-9", "--email", "nobody"]).await;
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("email needs exactly one @"), "{}", bad.stderr);

    let list = world.relinkd(&["users", "list"]).await.well();
    assert!(list.contains("u…@example.com") && !list.contains("user-8@example.com"), "masked: {list}");
    let found = world.relinkd(&["users", "list", "--email", "user.nine@EXAMPLE.com", "--json"]).await.json();
    assert_eq!(found.len(), 1, "by address, in whatever case");
    assert_eq!(found[0]["user_id"], "user-9");
    assert_eq!(world.relinkd(&["users", "list", "--email", "nobody@example.com", "--json"]).await.well(), "");

    let stopped = world.relinkd(&["users", "stop", "user-9"]).await.well();
    assert!(stopped.contains("Letters      stopped"), "{stopped}");
    assert!(world.relinkd(&["users", "resume", "user-9"]).await.well().contains("Letters      yes"));
    let snoozed = world.relinkd(&["users", "snooze", "user-9", "--until", "2099-01-01T00:00:00Z"]).await.well();
    assert!(snoozed.contains("snoozed until 2099-01-01 00:00:00Z"), "{snoozed}");
    let past = world.relinkd(&["users", "snooze", "user-9", "--until", "2020-01-01T00:00:00Z"]).await;
    assert_eq!((past.code, past.stderr.as_str()), (1, "relinkd: until is in the past\n"));

    let erased = world.relinkd(&["users", "erase", "user-9"]).await;
    assert_eq!((erased.code, erased.stderr.as_str()), (0, "The user is erased: nothing personal is left here.\n"));
    let gone = world.relinkd(&["users", "show", "user-9"]).await;
    assert_eq!((gone.code, gone.stderr.as_str()), (1, "relinkd: there is no such user\n"));
    assert_eq!(world.relinkd(&["users", "list", "--json"]).await.json().len(), 1);
    world.end().await;
}
