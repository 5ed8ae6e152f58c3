//! Letters that are due: when they leave, what stops them, what they say.

use relinkd::demo::mailbox::Letter;
use relinkd::demo::plaid::{Act, Bank, NewItem};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{one_item, one_item_in};
use crate::harness::{Settings, World, bank, days, hours, minutes};

#[tokio::test]
async fn from_the_break_to_it_works_again_and_then_no_more() {
    let (world, item) = one_item().await;
    assert_eq!(world.state(&item).await, "healthy");
    world.breaks(&item).await;
    assert_eq!(world.state(&item).await, "login_required");
    world.after(minutes(25)).await;
    assert!(world.letters().is_empty(), "a login may heal by itself within half an hour");
    world.after(minutes(6)).await;
    let letter = world.only_letter();
    assert_eq!(letter.to, ["user-1@mailbox.example"]);
    assert_eq!(letter.subject, "Story Budget: reconnect First Platypus Bank");
    assert_eq!(world.press(&letter, &item).await, "works");
    assert_eq!(world.state(&item).await, "healthy");
    let again = "Story Budget: First Platypus Bank works again";
    assert_eq!(world.subjects(), [letter.subject.as_str(), again]);
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 2, "it is over");
    let told = world.events(&item).await;
    for event in ["registered", "login_required", "letter_composed", "letter_sent", "update_mode_started"] {
        assert!(told.iter().any(|name| name == event), "{event}: {told:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_ladder_that_nobody_answers_has_four_letters() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    let began = world.clock.now();
    world.after(days(90)).await;
    let age = |letter: &Letter| (letter.at.duration_since(began) + minutes(1)).as_hours();
    let ages: Vec<i64> = world.letters().iter().map(age).collect();
    assert_eq!(ages, [0, 72, 168, 336]);
    let thread = world.letters()[3].header("References").expect("one thread").to_owned();
    assert!(thread.contains(world.letters()[0].header("Message-ID").expect("an id")), "{thread}");
    world.end().await;
}

#[tokio::test]
async fn a_login_that_heals_within_half_an_hour_is_no_letter() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(20)).await;
    world.says(&item, Act::RepairElsewhere).await;
    assert_eq!(world.state(&item).await, "healthy");
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn an_ignored_offer_of_accounts_does_not_silence_a_later_break() {
    let (world, item) = one_item().await;
    world.says(&item, Act::NewAccount).await;
    world.after(days(2)).await;
    assert_eq!(world.subjects(), ["Story Budget: new accounts, First Platypus Bank"]);
    world.after(days(3)).await;
    world.breaks(&item).await;
    assert_eq!(world.state(&item).await, "login_required");
    world.after(minutes(31)).await;
    assert_eq!(world.subjects()[1..], ["Story Budget: reconnect First Platypus Bank"]);
    assert_eq!(world.press(&world.letters()[1], &item).await, "works");
    assert_eq!(world.state(&item).await, "healthy", "update mode showed the accounts too");
    world.end().await;
}

#[tokio::test]
async fn an_ignored_end_of_consent_does_not_silence_the_break_that_follows() {
    let world = World::new().await;
    world.user("user-1").await;
    let british = Bank { country: "GB".to_owned(), ..bank("River Bank") };
    let item = world.item("user-1", british).await;
    world.says(&item, Act::ConsentEnds { at: world.clock.now() + days(6) }).await;
    assert_eq!(world.state(&item).await, "pending_expiration");
    world.after(days(6)).await;
    let renewals = world.letters().len();
    assert!(world.subjects().iter().all(|subject| subject == "Story Budget: renew River Bank"));
    assert_eq!(renewals, 2, "at once, since a week before is past, and a day before");
    world.plaid.pass_time().await;
    world.after(days(2)).await;
    assert_eq!(world.state(&item).await, "login_required");
    assert_eq!(world.subjects()[renewals..], ["Story Budget: reconnect River Bank"]);
    world.end().await;
}

#[tokio::test]
async fn the_first_letter_that_is_read_is_never_the_last() {
    let (world, item) = one_item().await;
    let until = world.clock.now() + days(20);
    world.post("/v1/users/user-1/snooze", &json!({ "until": until })).await;
    world.breaks(&item).await;
    world.after(days(19)).await;
    assert_eq!(world.letters().len(), 0, "a pause is a pause");
    world.after(days(40)).await;
    let letter = world.only_letter();
    assert_eq!(letter.subject, "Story Budget: reconnect First Platypus Bank");
    let text = letter.text.expect("a text part");
    assert!(!text.contains("last email"), "{text}");
    world.end().await;
}

#[tokio::test]
async fn break_repair_and_break_again_is_one_ladder() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    assert_eq!(world.press(&world.only_letter(), &item).await, "works");
    world.after(hours(24)).await;
    world.breaks(&item).await;
    assert_eq!(world.view(&item).await["conditions"][0]["episode"], 1, "the old episode goes on");
    world.after(hours(24)).await;
    assert_eq!(world.letters().len(), 2, "no new first letter: the letter and the word that it works");
    world.after(days(60)).await;
    let reminders = world.subjects().iter().filter(|subject| subject.contains("reconnect")).count();
    assert_eq!(reminders, 3, "the rungs of one ladder but the last");
    let last = world.letters().pop().expect("a letter");
    assert_eq!(last.subject, "Story Budget: keep First Platypus Bank connected?");
    let text = last.text.expect("a text part");
    assert!(text.contains("This is our last email about it."), "{text}");
    assert!(text.contains("open Story Budget and remove it there, or write to"), "a way to end the connection: {text}");
    world.end().await;
}

#[tokio::test]
async fn three_broken_banks_are_one_letter_and_one_page() {
    let world = World::new().await;
    world.user("user-1").await;
    let mut items = Vec::new();
    for name in ["First Bank", "Second Bank", "Third Bank"] {
        items.push(world.item("user-1", bank(name)).await);
    }
    world.after(hours(11)).await;
    for item in &items {
        world.breaks(item).await;
        world.after(minutes(10)).await;
    }
    assert!(world.letters().is_empty(), "it is night");
    world.after(hours(24)).await;
    let letter = world.only_letter();
    assert_eq!(letter.at.to_string().get(11..16), Some("09:00"), "when the window opens");
    let text = letter.text.as_deref().expect("a text");
    assert!(["First Bank", "Second Bank", "Third Bank"].iter().all(|name| text.contains(name)), "{text}");
    for item in &items {
        assert_eq!(world.press(&letter, item).await, "works");
    }
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 2, "one that they work again, in the morning, and then no more");
    let text = world.letters()[1].text.clone().expect("a text");
    assert_eq!(text.matches("works again").count(), 3, "{text}");
    world.end().await;
}

#[tokio::test]
async fn a_letter_that_is_no_longer_so_is_withheld() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.secretly(&item, Act::RepairElsewhere).await;
    world.after(days(30)).await;
    assert!(world.letters().is_empty(), "Plaid was asked before it left");
    assert_eq!(world.statuses().await, ["withheld"]);
    assert_eq!(world.state(&item).await, "healthy");
    world.end().await;
}

#[tokio::test]
async fn a_token_that_opens_another_item_is_never_mailed_about() {
    let world = World::new().await;
    world.user("user-1").await;
    let other = world.item_at_plaid(NewItem::new("user-2", bank("Other Bank")));
    let item = world.item_at_plaid(NewItem::new("user-1", bank("First Bank")));
    world.register(&item, other.access_token.expose_secret()).await;
    assert_eq!(world.view(&item).await["token"], "foreign");
    world.breaks(&item).await;
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_token_that_plaid_refuses_is_never_mailed_about() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item_at_plaid(NewItem::new("user-1", bank("First Bank")));
    world.register(&item, "access-sandbox-of-nobody").await;
    assert_eq!(world.view(&item).await["token"], "refused");
    world.breaks(&item).await;
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn webhooks_before_the_registration_are_applied_by_it() {
    let world = World::new().await;
    world.user("user-1").await;
    let item = world.item_at_plaid(NewItem::new("user-1", bank("First Bank")));
    world.breaks(&item).await;
    let (_, receipts) = world.get("/v1/webhooks").await;
    assert_eq!(receipts["data"][0]["status"], "parked");
    world.register(&item, item.access_token.expose_secret()).await;
    assert_eq!(world.state(&item).await, "login_required");
    let (_, receipts) = world.get("/v1/webhooks").await;
    assert_eq!(receipts["data"][0]["status"], "applied");
    world.after(minutes(31)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn to_register_again_under_the_banks_other_name_changes_nothing() {
    let (world, item) = one_item().await;
    let before = world.journal(&item).await.len();
    let body = json!({
        "access_token": item.access_token.expose_secret(),
        "user_id": item.user,
        "institution_id": item.bank,
        "institution_name": "What the application calls it",
    });
    let (status, view) = world.put(&format!("/v1/items/{}", item.id), &body).await;
    assert_eq!((status.as_u16(), &view["token"]), (200, &json!("proven")));
    assert_eq!(world.journal(&item).await.len(), before);
    world.end().await;
}

#[tokio::test]
async fn after_a_week_of_downtime_there_is_one_letter() {
    let (mut world, item) = one_item().await;
    world.breaks(&item).await;
    world.stop().await;
    world.sleeps(days(8));
    world.start().await;
    assert_eq!(world.letters().len(), 1, "two rungs are past");
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 1);
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 2, "the last rung");
    world.end().await;
}

#[tokio::test]
async fn a_restart_goes_on_with_the_ladder_and_repeats_nothing() {
    let (mut world, item) = one_item().await;
    world.breaks(&item).await;
    for _ in 0..6 {
        world.after(minutes(10)).await;
        world.crash();
        world.start().await;
    }
    let first = world.only_letter();
    world.after(days(2)).await;
    world.stop().await;
    world.start().await;
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 2, "the second rung");
    assert_eq!(world.press(&first, &item).await, "works", "a link of before the restarts");
    world.end().await;
}

#[tokio::test]
async fn the_operators_ladder_counts() {
    let settings = Settings { reminders: "login_required = [\"0s\", \"1d\"]", ..Settings::default() };
    let world = World::with(settings).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    assert_eq!(world.letters().len(), 1, "no wait");
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 2);
    world.end().await;
}
#[tokio::test]
async fn banks_that_break_minutes_apart_are_one_letter() {
    let world = World::new().await;
    world.user("user-1").await;
    for name in ["First Bank", "Second Bank", "Third Bank"] {
        let item = world.item("user-1", bank(name)).await;
        world.breaks(&item).await;
        world.after(minutes(4)).await;
    }
    world.after(days(2)).await;
    let letter = world.only_letter();
    let text = letter.text.as_deref().expect("a text");
    assert!(["First Bank", "Second Bank", "Third Bank"].iter().all(|name| text.contains(name)), "{text}");
    world.end().await;
}
