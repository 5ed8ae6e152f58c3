//! What no webhook tells is found by asking: routine questions, after a start, and when the machine slept.

use relinkd::demo::plaid::Act;

use super::one_item;
use crate::harness::{days, hours, minutes};

fn broken() -> Act {
    Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }
}

#[tokio::test]
async fn a_break_that_nobody_told_of_is_found_within_a_day_and_mailed() {
    let (world, item) = one_item().await;
    world.secretly(&item, broken()).await;
    world.after(hours(24)).await;
    assert_eq!(world.state(&item).await, "login_required");
    world.after(days(1)).await;
    assert_eq!(world.letters().len(), 1);
    world.secretly(&item, Act::RepairElsewhere).await;
    world.after(hours(6)).await;
    assert_eq!(world.state(&item).await, "healthy", "a broken Item is asked about every six hours");
    world.end().await;
}

#[tokio::test]
async fn answers_that_say_nothing_new_leave_no_rows() {
    let (world, item) = one_item().await;
    let (rows, asked) = (world.journal(&item).await.len(), world.plaid.count("/item/get"));
    let before = world.view(&item).await["observed_at"].clone();
    world.after(days(10)).await;
    assert_eq!(world.journal(&item).await.len(), rows);
    let more = world.plaid.count("/item/get") - asked;
    assert!((10..=20).contains(&more), "once a day, and at the appointments of the sweep: {more}");
    assert_ne!(world.view(&item).await["observed_at"], before);
    world.end().await;
}

#[tokio::test]
async fn a_start_asks_about_every_item() {
    let (mut world, item) = one_item().await;
    world.secretly(&item, broken()).await;
    world.stop().await;
    world.sleeps(minutes(1));
    world.start().await;
    assert_eq!(world.state(&item).await, "login_required");
    world.end().await;
}

#[tokio::test]
async fn a_machine_that_slept_asks_when_it_wakes() {
    let (world, item) = one_item().await;
    world.secretly(&item, broken()).await;
    world.clock.sleep_machine(minutes(29));
    world.quiet().await;
    assert_eq!(world.state(&item).await, "healthy", "Plaid repeats what came within half an hour");
    let asked = world.plaid.count("/item/get");
    world.clock.sleep_machine(minutes(31));
    // It looks at the clock when it is woken, and once in 30 s where nobody wakes it: real sleep wakes nobody.
    assert!(world.plaid.wait_until(std::time::Duration::from_secs(60), |plaid| plaid.count("/item/get") > asked).await);
    world.quiet().await;
    assert_eq!(world.state(&item).await, "login_required");
    world.end().await;
}
