//! Nobody is written to who cannot do anything, does not want it, or cannot be reached; and what waits, leaves later.

use relinkd::demo::plaid::{Act, Answer, Fault};

use serde_json::json;

use super::{one_item, one_item_in};
use crate::harness::mail_server::{MailServer, Mood};
use crate::harness::{Settings, World, bank, days, hours, minutes};

fn login_lost(reason: &str) -> Act {
    Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: Some(reason.to_owned()) }
}

#[tokio::test]
async fn who_withdrew_on_purpose_is_not_written_to() {
    for act in [Act::Revoke, login_lost("OAUTH_USER_REVOKED")] {
        let (world, item) = one_item().await;
        world.says(&item, act).await;
        assert_eq!(world.state(&item).await, "revoked");
        world.after(days(60)).await;
        assert!(world.letters().is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn who_withdraws_after_a_letter_gets_no_other() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    world.says(&item, Act::Revoke).await;
    world.after(days(60)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_outage_of_the_bank_is_nobodys_letter() {
    let (world, item) = one_item().await;
    world.says(&item, Act::BankDown).await;
    world.after(minutes(2)).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.view(&item).await["impaired"]["code"], "INSTITUTION_DOWN");
    world.after(days(3)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn only_to_writes_down_and_does_not_send() {
    let settings = Settings { mail: "only_to = [\"@team.example\"]".to_owned(), ..Settings::default() };
    let world = World::with(settings).await;
    world.user_at("user-2", "someone@team.example").await;
    let item = one_item_in(&world).await;
    let theirs = world.item("user-2", bank("Second Bank")).await;
    world.breaks(&item).await;
    world.breaks(&theirs).await;
    world.after(minutes(31)).await;
    assert_eq!(world.only_letter().to, ["someone@team.example"]);
    let mut statuses = world.statuses().await;
    statuses.sort();
    assert_eq!(statuses, ["accepted", "written_down"]);

    let kept = world.relinkd(&["letters", "list", "--user", "user-1", "--json"]).await.json();
    assert_eq!(kept[0]["subject"], "Story Budget: reconnect First Platypus Bank");
    assert_eq!((&kept[0]["language"], &kept[0]["attempts"]), (&json!("en"), &json!(1)), "{kept:?}");
    let table = world.relinkd(&["letters", "list"]).await.well();
    assert!(table.contains("Story Budget: reconnect First Platypus Bank"), "{table}");
    world.end().await;
}

#[tokio::test]
async fn a_template_that_fails_is_told_also_of_a_letter_that_is_only_written_down() {
    let folder = tempfile::tempdir().expect("a folder");
    // The samples, with which templates are tried out at start, know no such bank.
    let flawed = "[login_required]\nbutton = \"{% if bank == 'Flawed Bank' %}{{ nothing }}{% endif %}Log in\"\n";
    std::fs::write(folder.path().join("en.toml"), flawed).expect("written");
    let mail = format!("only_to = [\"@team.example\"]\ntemplates_dir = \"{}\"", folder.path().display());
    let world = World::with(Settings { mail, ..Settings::default() }).await;
    world.user("user-1").await;
    let item = world.item("user-1", bank("Flawed Bank")).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let (_, page) = world.get("/v1/letters").await;
    assert_eq!(page["data"][0]["status"], "bounced", "{page}");
    assert!(page["data"][0]["reply"].as_str().is_some_and(|why| why.contains("undefined value")), "{page}");
    world.end().await;
}

#[tokio::test]
async fn a_mailbox_provider_gets_its_cap_in_a_day_and_the_rest_the_next_day() {
    let mail = "daily_caps = [\"capped.example 2\"]".to_owned();
    let world = World::with(Settings { mail, ..Settings::default() }).await;
    let mut items = Vec::new();
    for (user, domain) in [("user-1", "capped"), ("user-2", "capped"), ("user-3", "capped"), ("user-4", "other")] {
        world.user_at(user, &format!("{user}@{domain}.example")).await;
        items.push(world.item(user, bank(&format!("Bank of {user}"))).await);
    }
    for item in &items {
        world.breaks(item).await;
    }
    world.after(hours(2)).await;
    let capped =
        |world: &World| world.letters().iter().filter(|letter| letter.to[0].ends_with("@capped.example")).count();
    assert_eq!((capped(&world), world.letters().len()), (2, 3), "others are not held back");
    let (_, plan) = world.get("/v1/letters/plan").await;
    let planned: Vec<&str> =
        plan["data"].as_array().expect("a list").iter().filter_map(|user| user["letters"][0]["at"].as_str()).collect();
    let midnight = format!("{}T00:00:00Z", world.clock.now().strftime("%F"));
    assert!(planned.len() == 1 && planned[0] > &*midnight && planned[0][..10] != midnight[..10], "{plan}");
    world.after(days(1)).await;
    assert_eq!((capped(&world), world.letters().len()), (3, 4), "the day after, by day where the user is");
    world.end().await;
}

#[tokio::test]
async fn a_mail_server_that_is_away_gets_the_letter_later() {
    let server = MailServer::start(Mood::Away).await;
    let world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(hours(2)).await;
    assert_eq!(world.statuses().await, ["deferred"]);
    server.becomes(Mood::Fine);
    world.after(hours(5)).await;
    assert_eq!(world.statuses().await, ["accepted"]);
    assert_eq!(server.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_letter_without_a_reply_is_sent_once_more_as_the_same_letter() {
    let server = MailServer::start(Mood::Silent).await;
    let world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(hours(7)).await;
    assert_eq!(world.statuses().await, ["uncertain"]);
    let ids: Vec<String> = server.letters().iter().map(|letter| header(letter, "Message-ID")).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    server.becomes(Mood::Fine);
    world.after(days(4)).await;
    assert_eq!(world.statuses().await, ["uncertain", "accepted"], "the ladder goes on");
    world.end().await;
}

#[tokio::test]
async fn a_crash_while_a_letter_is_on_its_way_repeats_the_same_letter_once() {
    let server = MailServer::start(Mood::Stalls).await;
    let mut world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.sleeps(minutes(31));
    server.saw(1).await;
    world.crash();
    server.becomes(Mood::Fine);
    world.start().await;
    assert_eq!(world.statuses().await, ["accepted"]);
    let ids: Vec<String> = server.letters().iter().map(|letter| header(letter, "Message-ID")).collect();
    assert_eq!(ids.len(), 2, "nobody knows whether the first arrived");
    assert_eq!(ids[0], ids[1], "so it is the same to the mailbox");
    world.after(days(2)).await;
    assert_eq!(server.letters().len(), 2);
    world.end().await;
}

fn header(letter: &str, name: &str) -> String {
    let line = letter.lines().find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())));
    line.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

#[tokio::test]
async fn a_recipient_that_is_gone_gets_no_more_until_there_is_a_new_address() {
    let gone = Mood::Refuses { address: "user-1@mailbox.example", reply: "550 5.1.1 no such user" };
    let server = MailServer::start(gone).await;
    let world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(days(5)).await;
    assert_eq!(world.statuses().await, ["bounced"]);
    let (_, user) = world.get("/v1/users/user-1").await;
    assert!(user["suppressed_at"].is_string(), "{user}");
    world.user_at("user-1", "user-1@other.example").await;
    world.after(days(1)).await;
    assert_eq!(world.statuses().await, ["bounced", "accepted"]);
    assert!(server.letters()[0].contains("user-1@other.example"));
    world.end().await;
}

#[tokio::test]
async fn what_could_not_be_delivered_is_said_at_the_new_address() {
    let gone = Mood::Refuses { address: "user-1@mailbox.example", reply: "550 5.1.1 no such user" };
    let server = MailServer::start(gone).await;
    let world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.says(&item, Act::NewAccount).await;
    world.after(hours(30)).await;
    assert_eq!(world.statuses().await, ["bounced"], "the only letter that there is about new accounts");
    world.user_at("user-1", "user-1@other.example").await;
    world.after(hours(1)).await;
    assert_eq!(world.statuses().await, ["bounced", "accepted"]);
    assert!(server.letters()[0].contains("user-1@other.example"));
    world.after(days(40)).await;
    assert_eq!(server.letters().len(), 1, "once");
    world.end().await;
}

#[tokio::test]
async fn the_end_of_the_ladder_is_told_also_where_the_last_letter_is_refused() {
    let server = MailServer::start(Mood::Fine).await;
    let world = World::with(Settings { smtp_url: Some(server.url()), ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(days(9)).await;
    assert_eq!(server.letters().len(), 3);
    server.becomes(Mood::Refuses { address: "user-1@", reply: "552 5.2.2 mailbox full" });
    world.after(days(20)).await;
    assert_eq!(world.statuses().await.last().map(String::as_str), Some("bounced"));
    let (_, events) = world.get("/v1/events?type=item.ladder_ended").await;
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1), "{events}");
    assert!(world.events(&item).await.contains(&"letter_refused".to_owned()));
    world.end().await;
}

/// A letter of which nobody knows whether it arrived.
#[tokio::test]
async fn a_letter_that_may_have_arrived_counts_although_it_is_not_sent_again() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.plaid.fault(Fault::at(
        "/item/get",
        Answer::Limited { error_code: "ITEM_GET_LIMIT".to_owned(), retry_after_secs: None },
    ));
    world.after(minutes(40)).await;
    assert_eq!(world.statuses().await, ["deferred"]);
    let raw = rusqlite::Connection::open(world.store_path()).expect("a store");
    raw.busy_timeout(crate::process::LIMIT).expect("a time limit");
    raw.execute("update letters set status = 'uncertain', uncertain = 1, attempts = 1", []).expect("SQL");
    world.plaid.clear_faults();
    world.secretly(&item, Act::RepairElsewhere).await;
    world.after(hours(2)).await;
    assert_eq!(world.statuses().await[0], "uncertain", "it is not so any more, and may have been read");
    let letter = world.only_letter();
    assert!(letter.subject.contains("works again"), "an answer to it: {}", letter.subject);
    world.end().await;
}

#[tokio::test]
async fn a_removed_item_is_not_written_about() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.secretly(&item, Act::Remove).await;
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    assert_eq!(world.state(&item).await, "removed");
    world.end().await;
}

#[tokio::test]
async fn a_snoozed_item_speaks_when_the_pause_is_over() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    let until = world.clock.now() + days(10);
    let path = format!("/v1/items/{}/snooze", item.id);
    let (status, body) = world.post(&path, &serde_json::json!({ "until": until })).await;
    assert!(status.is_success(), "{body}");
    world.after(days(9)).await;
    assert!(world.letters().is_empty());
    world.after(days(2)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}
#[tokio::test]
async fn a_letter_waits_while_plaid_cannot_be_asked_and_says_so() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.plaid.fault(Fault::at(
        "/item/get",
        Answer::Raw { status: 502, body: "<html>bad gateway</html>".to_owned(), media_type: "text/html".to_owned() },
    ));
    world.after(hours(3)).await;
    assert!(world.letters().is_empty(), "nobody knows whether it is still so");
    let waits = world.events(&item).await.iter().filter(|name| *name == "letter_waits").count();
    assert!((1..=40).contains(&waits), "said, and not at each breath: {waits} times");
    world.plaid.clear_faults();
    world.after(minutes(20)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn one_click_stops_at_once_and_also_what_is_composed() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let letter = world.only_letter();
    world.plaid.fault(Fault::at(
        "/item/get",
        Answer::Limited { error_code: "ITEM_GET_LIMIT".to_owned(), retry_after_secs: None },
    ));
    world.after(days(3)).await;
    assert_eq!(world.statuses().await, ["accepted", "deferred"], "the second is composed and waits for Plaid");
    world.one_click_stop(&letter).await;
    world.plaid.clear_faults();
    world.after(days(7)).await;
    assert_eq!(world.letters().len(), 1);
    assert_eq!(world.statuses().await, ["accepted", "withheld"]);
    let (_, user) = world.get("/v1/users/user-1").await;
    assert!(user["stopped_at"].is_string(), "{user}");
    assert_eq!(world.press(&letter, &item).await, "works", "the link still repairs");
    world.after(days(60)).await;
    assert_eq!(world.letters().len(), 1);
    world.end().await;
}
