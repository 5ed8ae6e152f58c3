//! Links, the repair page and Link: fetching changes nothing, a press opens, and only Plaid's word repairs.

use relinkd::demo::plaid::{Act, Answer, Fault, Item, Outcome};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{one_item, one_item_in};
use crate::harness::repair::{repair_link, stop_link};
use crate::harness::{Pressed, Settings, World, bank, days, hours, minutes};

/// A world in which the first letter has just arrived.
async fn written_to() -> (World, Item) {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    (world, item)
}

#[tokio::test]
async fn fetching_any_link_changes_no_row_and_calls_nobody() {
    let (world, _) = written_to().await;
    let letter = world.only_letter();
    let (rows, calls) = (world.rows(), world.plaid.calls().len());
    for link in [repair_link(&letter), stop_link(&letter)] {
        for _ in 0..20 {
            for method in [Method::GET, Method::HEAD] {
                let (status, _) = world.fetch(method, &link).await;
                assert_eq!(status, StatusCode::OK);
            }
        }
    }
    world.quiet().await;
    assert_eq!(world.rows(), rows);
    assert_eq!(world.plaid.calls().len(), calls);
    world.end().await;
}

#[tokio::test]
async fn pressing_again_and_again_gives_one_link_token() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let first = world.press_button(&link, &item).await;
    assert!(matches!(first, Pressed::Token(_)));
    for _ in 0..10 {
        assert_eq!(world.press_button(&link, &item).await, first);
    }
    assert_eq!(world.plaid.count("/link/token/create"), 1);
    world.through_link(&first).await;
    assert_eq!(world.done(&link, &item).await, "works");
    assert_eq!(world.press_button(&link, &item).await, Pressed::No(StatusCode::CONFLICT), "it works already");
    world.end().await;
}

#[tokio::test]
async fn a_link_in_an_old_mailbox_ends_with_the_address_and_brings_a_fresh_one_to_the_new() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    world.user_at("user-1", "user-1@mailbox.example").await;
    assert_eq!(world.fetch(Method::GET, &link).await.0, StatusCode::OK, "the address is the same");
    world.user_at("user-1", "user-1@other.example").await;
    let (status, page) = world.fetch(Method::GET, &link).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(!page.contains("First Platypus Bank"), "whoever reads the old mailbox learns nothing");
    world.ask_for_fresh(&link).await;
    world.after(minutes(5)).await;
    let letters = world.letters();
    assert_eq!((letters.len(), &letters[1].to[..]), (2, &["user-1@other.example".to_owned()][..]));
    assert_eq!(world.press(&letters[1], &item).await, "works");
    world.end().await;
}

#[tokio::test]
async fn a_broken_bank_is_shown_as_broken_while_a_new_token_is_not_tried_yet() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let outage = Answer::Raw { status: 502, body: "<html>".to_owned(), media_type: "text/html".to_owned() };
    world.plaid.fault(Fault::at("/item/get", outage));
    let rotated = json!({ "access_token": "access-sandbox-rotated", "user_id": "user-1" });
    assert_eq!(world.put(&format!("/v1/items/{}", item.id), &rotated).await.0, StatusCode::OK);
    let (status, page) = world.fetch(Method::GET, &link).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(&format!("value=\"{}\"", item.id)), "there is a button: {page}");
    world.plaid.clear_faults();
    world.after(hours(1)).await;
    world.end().await;
}

#[tokio::test]
async fn a_press_never_opens_somebody_elses_connection() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    world.user("user-2").await;
    let other = world.item("user-2", bank("Other Bank")).await;
    let outage = Answer::Raw { status: 502, body: "<html>".to_owned(), media_type: "text/html".to_owned() };
    world.plaid.fault(Fault::at("/item/get", outage));
    let mistaken = json!({ "access_token": other.access_token.expose_secret(), "user_id": "user-1" });
    assert_eq!(world.put(&format!("/v1/items/{}", item.id), &mistaken).await.0, StatusCode::OK);
    world.plaid.clear_faults();
    assert_eq!(world.press_button(&link, &item).await, Pressed::No(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(world.plaid.count("/link/token/create"), 0);
    world.end().await;
}

#[tokio::test]
async fn links_that_do_not_open_look_alike() {
    let (world, _) = written_to().await;
    let link = repair_link(&world.only_letter());
    let unknown = format!("{}0.AAAA", link.trim_end_matches(|c: char| c != '/'));
    let (_, page_of_unknown) = world.fetch(Method::GET, &unknown).await;
    let (status, _) = world.delete("/v1/users/user-1").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, page_of_erased) = world.fetch(Method::GET, &link).await;
    assert_eq!(bare(&page_of_unknown, &unknown), bare(&page_of_erased, &link), "{status}");
    let (expired_world, _) = written_to().await;
    let old = repair_link(&expired_world.only_letter());
    expired_world.after(days(31)).await;
    let (_, page_of_expired) = expired_world.fetch(Method::GET, &old).await;
    assert_eq!(bare(&page_of_unknown, &unknown), bare(&page_of_expired, &old));
    world.after(days(30)).await;
    assert_eq!(world.letters().len(), 1, "the erased are not written to");
    expired_world.end().await;
    world.end().await;
}

/// A page without its nonces and without the link's own token, which its form holds.
fn bare(page: &str, link: &str) -> String {
    let mut out = String::new();
    let token = link.rsplit('/').next().expect("a token");
    let page = page.replace(token, "TOKEN");
    let mut rest = page.as_str();
    while let Some(at) = rest.find("nonce=\"") {
        let after = &rest[at + 7..];
        let end = after.find('"').expect("a nonce ends");
        out.push_str(&rest[..at]);
        rest = &after[end..];
    }
    out + rest
}

#[tokio::test]
async fn an_exit_from_link_repairs_nothing() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.ends_link(&pressed, &Outcome::Exit { error_code: None }).await;
    assert_eq!(world.state(&item).await, "login_required");
    world.after(hours(2)).await;
    assert!(world.events(&item).await.contains(&"update_mode_left".to_owned()), "Plaid was asked how it ended");
    world.after(days(4)).await;
    assert_eq!(world.letters().len(), 2, "the ladder goes on");
    world.end().await;
}

#[tokio::test]
async fn a_claim_that_is_not_so_is_not_believed() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    world.press_button(&link, &item).await;
    assert_eq!(world.done(&link, &item).await, "checking");
    world.after(minutes(20)).await;
    assert_eq!(world.state(&item).await, "login_required");
    assert_eq!(world.done(&link, &item).await, "broken");
    world.end().await;
}

#[tokio::test]
async fn a_page_that_is_lost_on_the_way_back_is_no_loss() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.state(&item).await, "login_required", "nobody said a word");
    world.after(minutes(35)).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.letters().len(), 2, "and it works again");
    world.end().await;
}

/// A world in which the link of the only letter has just ended, and the Item is still broken.
async fn a_link_that_ended() -> (World, Item, String) {
    let world = World::with(Settings { reminders: "login_required = [\"30m\"]", ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let link = repair_link(&world.only_letter());
    world.after(days(31)).await;
    assert_eq!(world.letters().len(), 1);
    (world, item, link)
}

#[tokio::test]
async fn a_link_that_ended_brings_a_fresh_one_by_mail() {
    let (world, item, old) = a_link_that_ended().await;
    world.after(hours(16)).await;
    let (status, sent) = world.ask_for_fresh(&old).await;
    assert_eq!(status, StatusCode::OK);
    let letters = world.letters();
    assert_eq!(letters.len(), 2, "at once, although it is night: somebody is waiting for it");
    let fresh = repair_link(&letters[1]);
    assert_ne!(fresh, old);
    assert_eq!(letters[1].to, letters[0].to);
    let (_, again) = world.ask_for_fresh(&old).await;
    assert_eq!(world.letters().len(), 2, "one an hour");
    assert_eq!(bare(&sent, &old), bare(&again, &old), "and nobody is told");
    let pressed = world.press_button(&fresh, &item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.done(&fresh, &item).await, "works");
    assert!(world.events(&item).await.iter().any(|event| event == "letter_composed"));
    world.end().await;
}

#[tokio::test]
async fn a_fresh_link_is_answered_alike_for_all_and_sent_to_few() {
    let (world, _, old) = a_link_that_ended().await;
    let unknown = format!("{}0.AAAA", old.trim_end_matches(|c: char| c != '/'));
    // After a month the bodies of webhooks are deleted, in the background and meanwhile.
    let rows = || world.rows().into_iter().filter(|row| !row.starts_with("inbox: ")).collect::<Vec<_>>();
    let before = rows();
    let (status, of_unknown) = world.ask_for_fresh(&unknown).await;
    assert_eq!((status, rows()), (StatusCode::OK, before));
    world.one_click_stop(&world.only_letter()).await;
    let (status, of_stopped) = world.ask_for_fresh(&old).await;
    assert_eq!((status, world.letters().len()), (StatusCode::OK, 1), "who stopped the letters gets none");
    let (status, _) = world.delete("/v1/users/user-1").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, of_erased) = world.ask_for_fresh(&old).await;
    assert_eq!((status, world.letters().len()), (StatusCode::OK, 1));
    assert_eq!(bare(&of_unknown, &unknown), bare(&of_stopped, &old));
    assert_eq!(bare(&of_unknown, &unknown), bare(&of_erased, &old));
    world.end().await;
}

#[tokio::test]
async fn a_scanner_that_asks_for_fresh_links_all_day_gets_three_letters_sent() {
    let (world, _, old) = a_link_that_ended().await;
    for _ in 0..23 {
        world.ask_for_fresh(&old).await;
        world.after(hours(1)).await;
    }
    assert_eq!(world.letters().len(), 4);
    world.end().await;
}

/// What a mail scanner without scripts does: sends every form of the page that it sees.
#[tokio::test]
async fn a_scanner_that_presses_every_button_makes_one_link_token_and_uses_nothing_up() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    for _ in 0..20 {
        let (_, page) = world.fetch(Method::GET, &link).await;
        world.press_every_button(&page).await;
    }
    assert_eq!(world.plaid.count("/link/token/create"), 1);
    assert_eq!(world.state(&item).await, "login_required");
    let pressed = world.press_button(&link, &item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.done(&link, &item).await, "works");
    assert_eq!(world.plaid.count("/link/token/create"), 1, "the person goes on with the scanner's");
    world.end().await;
}

#[tokio::test]
async fn a_press_without_script_or_inside_a_mail_app_goes_to_plaids_own_page() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let (_, page) = world.fetch(Method::GET, &link).await;
    assert!(page.contains("link-initialize.js"));
    let (_, page) = world.fetch_as(IN_APP, &link).await;
    assert!(!page.contains("link-initialize.js"), "no pop-up is to be counted on");
    let pressed = world.press_as(IN_APP, &link, &item).await;
    assert!(matches!(pressed, Pressed::Hosted(_)), "{pressed:?}");
    let hosted = world.press_every_button(&page).await;
    assert_eq!(hosted, [(StatusCode::SEE_OTHER, pressed.address())], "the same one without script");
    world.through_link(&pressed).await;
    assert_eq!(world.state(&item).await, "healthy");
    world.end().await;
}

const IN_APP: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";

#[tokio::test]
async fn what_only_the_application_or_the_operator_can_do_is_said_so() {
    for (code, status, words) in [
        ("INSTITUTION_NO_LONGER_SUPPORTED", StatusCode::CONFLICT, "Link this bank again"),
        ("PRODUCTS_NOT_SUPPORTED", StatusCode::CONFLICT, "Link this bank again"),
        ("INVALID_FIELD", StatusCode::SERVICE_UNAVAILABLE, "on our side"),
        ("INSTITUTION_DOWN", StatusCode::SERVICE_UNAVAILABLE, "cannot reach"),
        ("INTERNAL_SERVER_ERROR", StatusCode::SERVICE_UNAVAILABLE, "does not answer"),
    ] {
        let (world, _) = written_to().await;
        let link = repair_link(&world.only_letter());
        let (_, page) = world.fetch(Method::GET, &link).await;
        let refusal = Answer::Error { status: 400, error_type: String::new(), error_code: code.to_owned() };
        world.plaid.fault(Fault::at("/link/token/create", refusal));
        let (answered, said) = world.press_only_button(&page).await;
        assert_eq!(answered, status, "{code}");
        assert!(said.contains(words), "{code}: {said}");
        world.plaid.clear_faults();
        world.end().await;
    }
}

#[tokio::test]
async fn a_bank_that_is_down_is_no_bank_that_works() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.through_link(&pressed).await;
    assert_eq!(world.done(&link, &item).await, "works");
    world.secretly(&item, Act::BankDown).await;
    world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
    let (status, page) = world.fetch(Method::GET, &link).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("cannot reach"), "{page}");
    world.secretly(&item, Act::BankUp).await;
    for (code, words) in [("INSTITUTION_NO_LONGER_SUPPORTED", "Link this bank again"), ("INVALID_FIELD", "on our side")]
    {
        world.secretly(&item, Act::BreakLogin { code: code.to_owned(), reason: None }).await;
        world.post(&format!("/v1/items/{}/observe", item.id), &json!({})).await;
        let (_, page) = world.fetch(Method::GET, &link).await;
        assert!(page.contains(words), "{code}: {page}");
    }
    world.end().await;
}

async fn hosted_world() -> (World, Item) {
    let world = World::with(Settings { plaid: "link_mode = \"hosted\"", ..Settings::default() }).await;
    let item = one_item_in(&world).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    (world, item)
}

#[tokio::test]
async fn hosted_link_repairs_by_its_webhook_alone() {
    let (world, item) = hosted_world().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    assert!(matches!(pressed, Pressed::Hosted(_)), "{pressed:?}");
    world.through_link(&pressed).await;
    assert_eq!(world.state(&item).await, "healthy");
    assert_eq!(world.done(&link, &item).await, "works");
    assert_eq!(world.letters().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn hosted_link_that_is_left_repairs_nothing_and_can_be_tried_again() {
    let (world, item) = hosted_world().await;
    let link = repair_link(&world.only_letter());
    let pressed = world.press_button(&link, &item).await;
    world.ends_link(&pressed, &Outcome::Exit { error_code: None }).await;
    assert_eq!(world.state(&item).await, "login_required");
    assert_ne!(world.done(&link, &item).await, "works");
    let again = world.press_button(&link, &item).await;
    world.through_link(&again).await;
    assert_eq!(world.state(&item).await, "healthy");
    world.end().await;
}

#[tokio::test]
async fn an_application_repairs_inside_itself() {
    let (world, item) = one_item().await;
    world.breaks(&item).await;
    let (status, token) = world.post(&format!("/v1/items/{}/link-token", item.id), &json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{token}");
    let pressed = Pressed::Token(token["link_token"].as_str().expect("a token").to_owned());
    world.through_link(&pressed).await;
    let path = format!("/v1/items/{}/observe", item.id);
    let (status, view) = world.post(&path, &json!({ "update_mode_finished": true })).await;
    assert_eq!((status, view["state"].as_str()), (StatusCode::OK, Some("healthy")), "{view}");
    world.after(days(30)).await;
    assert!(world.letters().is_empty());
    world.end().await;
}

#[tokio::test]
async fn too_many_presses_are_told_to_wait() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    for _ in 0..6 {
        assert!(matches!(world.press_anew(&link, &item).await, Pressed::Token(_)));
    }
    assert_eq!(world.press_anew(&link, &item).await, Pressed::No(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(world.plaid.count("/link/token/create"), 6);
    world.after(hours(1)).await;
    assert!(matches!(world.press_anew(&link, &item).await, Pressed::Token(_)));
    world.end().await;
}
#[tokio::test]
async fn pressing_at_the_same_time_gives_one_link_token() {
    let (world, item) = written_to().await;
    let link = repair_link(&world.only_letter());
    let (a, b, c) = tokio::join!(
        world.press_button(&link, &item),
        world.press_button(&link, &item),
        world.press_button(&link, &item)
    );
    assert!(a == b && b == c, "{a:?} {b:?} {c:?}");
    assert_eq!(world.plaid.count("/link/token/create"), 1);
    world.end().await;
}
