//! `relinkd items`.

use relinkd::demo::plaid::{Act, NewItem};
use secrecy::ExposeSecret as _;

use crate::harness::{World, bank, minutes};

#[tokio::test]
async fn items_are_listed_shown_snoozed_observed_and_removed() {
    let world = World::new().await;
    world.user("user-1").await;
    world.user("user-2").await;
    let sound = world.item("user-1", bank("First Platypus Bank")).await;
    let broken = world.item("user-2", bank("Evil\u{1b}[2J Bank")).await;
    world.breaks(&broken).await;

    let list = world.relinkd(&["items", "list"]).await.well();
    let line = |id: &str| list.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{list}")).to_owned();
    assert!(line(&sound.id).contains("healthy") && line(&sound.id).contains("First Platypus Bank"), "{list}");
    assert!(line(&broken.id).contains("login_required"), "{list}");
    assert!(!list.contains('\u{1b}'), "what a bank is called moves no cursor");
    let list = world.relinkd(&["items", "list", "--state", "login_required"]).await.well();
    assert!(list.contains(&broken.id) && !list.contains(&sound.id), "{list}");
    let one = world.relinkd(&["items", "list", "--limit", "1"]).await;
    assert!(one.stderr.contains("There are more than these 1: --limit N shows more"), "{}", one.stderr);
    let none = world.relinkd(&["items", "list", "--user", "user-3"]).await;
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "None.\n"));

    // For scripts: what the API answers, an object a line.
    let all = world.relinkd(&["items", "list", "--json"]).await.json();
    assert_eq!(all.len(), 2);
    let show = world.relinkd(&["items", "show", &broken.id, "--json"]).await.json().remove(0);
    assert_eq!(show, world.view(&broken).await);

    let shown = world.relinkd(&["items", "show", &broken.id]).await.well();
    assert!(shown.contains("ITEM_LOGIN_REQUIRED") && shown.contains("no letter yet, the next not before"), "{shown}");
    let snoozed = world.relinkd(&["items", "snooze", &broken.id, "--for", "3d"]).await.well();
    assert!(snoozed.contains("Snoozed until"), "{snoozed}");
    world.after(minutes(60)).await;
    assert_eq!(world.letters().len(), 0, "a snoozed Item is left alone");
    let resumed = world.relinkd(&["items", "resume", &broken.id]).await.well();
    assert!(!resumed.contains("Snoozed until"), "{resumed}");
    world.quiet().await;
    assert_eq!(world.letters().len(), 1);

    let link = world.relinkd(&["items", "repair-link", &broken.id]).await;
    assert!(link.stdout.starts_with("http://") && link.stdout.lines().count() == 1, "{}", link.stdout);
    assert!(link.stderr.contains("It works until"), "{}", link.stderr);

    world.secretly(&broken, Act::RepairElsewhere).await;
    let observed = world.relinkd(&["items", "observe", &broken.id]).await.well();
    assert!(observed.contains("State     healthy since"), "{observed}");
    world.quiet().await;
    let removed = world.relinkd(&["items", "remove", &broken.id, "--at-plaid"]).await;
    assert_eq!((removed.code, removed.stderr.as_str()), (0, "The Item is removed at Plaid and forgotten here.\n"));
    let gone = world.relinkd(&["items", "remove", &broken.id]).await;
    assert_eq!((gone.code, gone.stderr.as_str()), (1, "relinkd: there is no such Item\n"));
    world.end().await;
}

#[tokio::test]
async fn items_whose_webhooks_go_elsewhere_are_adopted_and_one_that_fails_stops_no_other() {
    let world = World::new().await;
    world.user("user-1").await;
    let elsewhere = |name: &str| {
        let old = Some("http://127.0.0.1:9/old".to_owned());
        world.plaid.add_item(NewItem { webhook: old, ..NewItem::new("user-1", bank(name)) })
    };
    let stray = [elsewhere("First Bank"), elsewhere("Second Bank"), elsewhere("Third Bank")];
    for item in &stray {
        world.register(item, item.access_token.expose_secret()).await;
    }
    let list = world.relinkd(&["items", "list", "--astray", "--json"]).await.json();
    assert_eq!(list.len(), 3);
    let shown = world.relinkd(&["items", "show", &stray[0].id]).await.well();
    assert!(shown.contains("go elsewhere: `relinkd items adopt` has Plaid send them here"), "{shown}");

    world.secretly(&stray[1], Act::Remove).await;
    let adopted = world.relinkd(&["items", "adopt", "--all"]).await;
    assert_eq!(adopted.code, 1, "{}", adopted.whole());
    assert!(adopted.stderr.contains("Plaid sends the webhooks of 2 Items here now."), "{}", adopted.stderr);
    assert!(adopted.stderr.contains(&format!("Item {}: ", stray[1].id)), "{}", adopted.stderr);
    assert!(adopted.stderr.contains("1 of 3 are not adopted; run the command again."), "{}", adopted.stderr);
    let again = world.relinkd(&["items", "adopt", &stray[0].id]).await;
    assert_eq!((again.code, again.stderr.as_str()), (0, "Plaid sends the webhooks of 1 Item here now.\n"));
    let usage = world.relinkd(&["items", "adopt"]).await;
    assert_eq!(usage.code, 2, "{}", usage.whole());
    world.quiet().await;
    world.end().await;
}
