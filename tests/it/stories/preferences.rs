//! The page behind the link that stops letters: what a person chooses holds at once, is shown as it is, and is taken back
//! with one press; what a scanner presses changes nothing.

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use relinkd::demo::plaid::{Answer, Fault, Item};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{one_item, one_item_in};
use crate::harness::repair::{repair_link, stop_link};
use crate::harness::{Settings, World, bank, days, hours, minutes};

const STOPPED: &str = "9999-01-01T00:00:00Z";

/// A world in which the first letter has just arrived, and the link in it that stops letters.
async fn written_to() -> (World, Item, String) {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let link = stop_link(&world.only_letter());
    (world, item, link)
}

fn about(item: &Item) -> String {
    format!("bank:{}", item.id)
}

async fn user(world: &World) -> Value {
    world.get("/v1/users/user-1").await.1
}

async fn snoozed_until(world: &World, item: &Item) -> Value {
    world.view(item).await["snoozed_until"].clone()
}

#[tokio::test]
async fn letters_about_one_bank_are_stopped_until_they_are_wanted_again() {
    let (world, item, link) = written_to().await;
    let other = world.item("user-1", bank("Second Bank")).await;
    let (shown, page) = world.choose(&link, &[(&about(&item), "off")]).await;
    assert!(page.contains("Saved."), "{page}");
    let view = world.view(&item).await;
    assert_eq!((&view["snoozed_until"], &view["conditions"][0]["next_letter_at"]), (&json!(STOPPED), &Value::Null));
    world.breaks(&other).await;
    world.after(days(20)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), 5, "the other bank has its whole ladder");
    for letter in &letters[1..] {
        let text = letter.text.as_deref().expect("a text part");
        assert!(text.contains("Second Bank") && !text.contains("First Platypus Bank"), "{text}");
    }
    assert_eq!(world.press(&letters[0], &item).await, "works", "the link of the last letter still repairs");
    let again = world.fetch(Method::GET, &shown).await.1;
    world.press_every_button(&again).await;
    assert_eq!(snoozed_until(&world, &item).await, Value::Null, "one press took it back");
    let (_, events) = world.get(&format!("/v1/events?item_id={}", item.id)).await;
    let events =
        events["data"].as_array().expect("a list").iter().map(|event| (&event["type"], &event["data"]["until"]));
    let events: Vec<_> = events.filter(|(kind, _)| *kind != "item.state_changed").collect();
    assert_eq!(events, [(&json!("item.snoozed"), &json!(STOPPED)), (&json!("item.resumed"), &Value::Null)]);
    world.breaks(&item).await;
    world.after(days(4)).await;
    let last = world.letters().pop().expect("a letter");
    assert!(last.text.expect("a text part").contains("First Platypus Bank"));
    world.end().await;
}

#[tokio::test]
async fn what_is_composed_already_does_not_leave_about_a_bank_that_was_stopped() {
    let (world, item, link) = written_to().await;
    let other = world.item("user-1", bank("Second Bank")).await;
    world.breaks(&other).await;
    world.after(hours(1)).await;
    world.plaid.fault(Fault::at(
        "/item/get",
        Answer::Limited { error_code: "ITEM_GET_LIMIT".to_owned(), retry_after_secs: None },
    ));
    world.after(days(3)).await;
    let mut statuses = world.statuses().await;
    statuses.retain(|status| status != "withheld");
    assert_eq!(
        statuses,
        ["accepted", "deferred"],
        "the last is composed, says all there is to say, and waits for Plaid"
    );
    world.choose(&link, &[(&about(&item), "off")]).await;
    world.plaid.clear_faults();
    world.after(hours(12)).await;
    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    let text = letters[1].text.as_deref().expect("a text part");
    assert!(text.contains("Second Bank") && !text.contains("First Platypus Bank"), "{text}");
    world.choose(&link, &[(&about(&other), "off")]).await;
    world.after(days(40)).await;
    assert_eq!(world.letters().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn all_letters_pause_until_a_day_that_is_named_where_the_user_lives() {
    let settings = Settings { mail: "languages = [\"en\", \"de\"]".to_owned(), ..Settings::default() };
    let world = World::with(settings).await;
    let item = one_item_in(&world).await;
    let where_they_live = json!({ "email": "user-1@mailbox.example", "locale": "de", "time_zone": "Pacific/Auckland" });
    world.put("/v1/users/user-1", &where_they_live).await;
    world.breaks(&item).await;
    world.after(days(1)).await;
    let link = stop_link(&world.only_letter());
    let (_, page) = world.fetch(Method::GET, &link).await;
    let today = world.clock.now().to_zoned(TimeZone::get("Pacific/Auckland").expect("a zone"));
    let day = today.checked_add(2.weeks()).and_then(|day| day.start_of_day()).expect("a day");
    let until = day.timestamp().to_string();
    let answer = page.split_once(&format!("value=\"{until}\"")).expect("that day is offered").1;
    let label = answer.split_once("</label>").expect("a label").0;
    let months = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September"];
    let months = [&months[..], &["Oktober", "November", "Dezember"]].concat();
    let named =
        format!("{}.\u{a0}{} {}", day.day(), months[usize::try_from(day.month()).expect("a month") - 1], day.year());
    assert!(label.contains("Zwei Wochen Pause") && label.contains(&named), "{named}: {label}");
    let (_, page) = world.choose(&link, &[("all", &until)]).await;
    assert!(page.contains("Gespeichert.") && page.contains(&named), "{page}");
    assert_eq!(user(&world).await["snoozed_until"], json!(until));
    world.after(days(12)).await;
    assert_eq!(world.letters().len(), 1);
    world.after(days(4)).await;
    assert_eq!(world.letters().len(), 2, "the pause is over");
    world.end().await;
}

#[tokio::test]
async fn each_choice_is_taken_back_with_one_press() {
    let (world, item, link) = written_to().await;
    let until = (world.clock.now() + days(7)).to_string();
    for choice in [[("all", "off")], [("all", until.as_str())], [(about(&item).as_str(), "off")]] {
        let (_, page) = world.choose(&link, &choice).await;
        let changed = user(&world).await;
        let stopped = [&changed["stopped_at"], &changed["snoozed_until"], &snoozed_until(&world, &item).await];
        assert_eq!(stopped.iter().filter(|value| !value.is_null()).count(), 1, "{choice:?}");
        // The form that takes it back, and the one that saves, which changes nothing.
        let answers = world.press_every_button(&page).await;
        assert_eq!(answers.iter().map(|(status, _)| status.as_u16()).collect::<Vec<_>>(), [303, 303]);
        let back = user(&world).await;
        assert!(back["stopped_at"].is_null() && back["snoozed_until"].is_null(), "{choice:?}: {back}");
        assert_eq!(snoozed_until(&world, &item).await, Value::Null, "{choice:?}");
    }
    let (shown, page) = world.choose(&link, &[("all", "on"), ("all", "tomorrow"), ("every", "off")]).await;
    assert_eq!(shown, link, "nothing was saved, so there is nothing to take back");
    assert!(!page.contains("Saved."), "{page}");
    world.end().await;
}

#[tokio::test]
async fn one_click_stops_at_once_and_one_press_on_its_answer_takes_it_back() {
    let (world, item, link) = written_to().await;
    let (status, page) = world.fetch(Method::POST, &link).await;
    assert_eq!(status, StatusCode::OK);
    assert!(user(&world).await["stopped_at"].is_string());
    assert!(
        page.replace("&#x2f;", "/").contains(&format!(
            "href=\"{}\"",
            link.split_once("//")
                .expect("a host")
                .1
                .split_once('/')
                .map(|(_, path)| format!("/{path}"))
                .expect("a path")
        )),
        "{page}"
    );
    let (status, _) = world.press_only_button(&page).await;
    assert_eq!((status, &user(&world).await["stopped_at"]), (StatusCode::SEE_OTHER, &Value::Null));
    world.quiet().await;
    world.after(days(3)).await;
    assert_eq!(world.letters().len(), 2);
    assert_eq!(world.press(&world.letters()[1], &item).await, "works");
    world.end().await;
}

#[tokio::test]
async fn another_users_bank_is_not_touched() {
    let (world, _, link) = written_to().await;
    world.user("user-2").await;
    let theirs = world.item("user-2", bank("Second Bank")).await;
    let rows = world.rows();
    let (shown, page) = world.choose(&link, &[(&about(&theirs), "off"), ("bank:no-such-item", "off")]).await;
    assert_eq!((shown, world.rows()), (link, rows));
    assert!(!page.contains("Second Bank"), "{page}");
    world.end().await;
}

#[tokio::test]
async fn a_bank_is_all_logins_at_it_and_a_new_one_begins_anew() {
    let (world, item, link) = written_to().await;
    let second = world.item("user-1", bank("First Platypus Bank")).await;
    let (_, page) = world.fetch(Method::GET, &link).await;
    assert_eq!(page.matches("<legend>First Platypus Bank</legend>").count(), 1, "{page}");
    world.choose(&link, &[(&about(&second), "off")]).await;
    assert_eq!(
        [snoozed_until(&world, &item).await, snoozed_until(&world, &second).await],
        [json!(STOPPED), json!(STOPPED)]
    );
    let third = world.item("user-1", bank("First Platypus Bank")).await;
    assert_eq!(snoozed_until(&world, &third).await, Value::Null);
    world.end().await;
}

/// What mail scanners do: look again and again, and send every form that they see, on the page and on what it leads to.
#[tokio::test]
async fn a_scanner_that_presses_all_it_sees_changes_no_row() {
    let (world, item, link) = written_to().await;
    let other = world.item("user-1", bank("Second Bank")).await;
    // Something is off and something pauses: neither may come back by itself.
    let until = (world.clock.now() + days(20)).to_string();
    world.choose(&link, &[("all", &until), (&about(&other), "off")]).await;
    let (_, old) = world.fetch(Method::GET, &link).await;
    world.choose(&link, &[("all", "off"), (&about(&item), "off"), (&about(&other), "on")]).await;
    let (rows, calls) = (world.rows(), world.plaid.calls().len());
    for _ in 0..20 {
        for method in [Method::HEAD, Method::GET] {
            assert_eq!(world.fetch(method, &link).await.0, StatusCode::OK);
        }
        let (_, page) = world.fetch(Method::GET, &link).await;
        for page in [&page, &old] {
            let answers = world.press_every_button(page).await;
            assert_eq!(answers.len(), 1);
            assert!(link.ends_with(&answers[0].1) && answers[0].0 == StatusCode::SEE_OTHER, "{answers:?}");
        }
        // The addresses that a press leads to can be fetched too.
        let saved = format!("{link}?all=on&{}=on", about(&other));
        assert_eq!(world.fetch(Method::GET, &saved).await.0, StatusCode::OK);
        assert_eq!(world.fetch(Method::GET, &format!("{link}/preferences")).await.0, StatusCode::OK);
    }
    assert_eq!(world.rows(), rows);
    assert_eq!(world.plaid.calls().len(), calls);
    world.end().await;
}

#[tokio::test]
async fn after_a_scanner_that_presses_everything_the_person_repairs_and_gets_letters_again() {
    let (world, item, link) = written_to().await;
    let letter = world.only_letter();
    let repair = repair_link(&letter);
    for _ in 0..20 {
        for link in [&repair, &link] {
            let (_, page) = world.fetch(Method::GET, link).await;
            world.press_every_button(&page).await;
        }
        // Some send a POST to each link of the header, as a mail program's one click does.
        let (_, answer) = world.fetch(Method::POST, &link).await;
        assert!(answer.contains("The reminders are off"), "{answer}");
    }
    assert_eq!(world.plaid.count("/link/token/create"), 1);
    assert_eq!(world.press(&letter, &item).await, "works");
    assert_eq!(world.plaid.count("/link/token/create"), 1, "the person goes on with the scanner's");
    let (_, page) = world.fetch(Method::GET, &link).await;
    assert!(page.contains("turned off on"), "it is said: {page}");
    assert_eq!(world.letters().len(), 1);
    world.choose(&link, &[("all", "on")]).await;
    world.after(days(4)).await;
    world.breaks(&item).await;
    world.after(days(1)).await;
    assert_eq!(world.letters().len(), 3, "letters come again: that it works, and that it broke");
    world.end().await;
}

#[tokio::test]
async fn the_link_of_an_old_letter_names_only_what_is_off() {
    let (world, item, link) = written_to().await;
    world.item("user-1", bank("Second Bank")).await;
    let named = async || {
        let (_, page) = world.fetch(Method::GET, &link).await;
        ["First Platypus Bank", "Second Bank"].map(|name| page.contains(name))
    };
    world.choose(&link, &[(&about(&item), "off")]).await;
    assert_eq!(named().await, [true, true]);
    world.after(days(31)).await;
    assert_eq!(named().await, [true, false]);
    world.choose(&link, &[("all", "off"), (&about(&item), "on")]).await;
    assert_eq!(named().await, [false, false]);
    assert!(user(&world).await["stopped_at"].is_string(), "it still stops all");
    world.end().await;
}

#[tokio::test]
async fn who_was_erased_or_cannot_be_reached_is_told_so() {
    let (world, _, link) = written_to().await;
    let (status, _) = world.post("/v1/suppressions", &json!({ "email": "user-1@mailbox.example" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, page) = world.fetch(Method::GET, &link).await;
    assert!(page.contains("do not reach you"), "{page}");
    world.delete("/v1/users/user-1").await;
    assert_eq!(world.fetch(Method::GET, &link).await.0, StatusCode::GONE);
    let unknown = format!("{}0.AAAA", link.trim_end_matches(|c: char| c != '/'));
    assert_eq!(world.fetch(Method::GET, &unknown).await.0, StatusCode::GONE);
    assert_eq!(world.fetch(Method::POST, &format!("{unknown}/preferences")).await.0, StatusCode::GONE);
    world.end().await;
}
