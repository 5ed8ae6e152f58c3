//! A user is spoken to in one language: in the letter, on the page, in Link, and when the letters are stopped.

use relinkd::demo::plaid::Door;
use reqwest::Method;
use serde_json::json;

use crate::harness::repair::{Pressed, repair_link, stop_link};
use crate::harness::{Settings, World, bank, minutes};

/// Breaks the login of a user with this locale, and answers the tag of the language of everything that follows.
async fn spoken_to(world: &World, user: &str, locale: Option<&str>) -> String {
    let body = json!({ "email": format!("{user}@mailbox.example"), "locale": locale });
    let (status, answer) = world.put(&format!("/v1/users/{user}"), &body).await;
    assert!(status.is_success(), "{answer}");
    world.quiet().await;
    let before = world.letters().len();
    let item = world.item(user, bank("First Platypus Bank")).await;
    world.breaks(&item).await;
    world.after(minutes(31)).await;
    let letter = world.letters().swap_remove(before);
    let tag = letter.header("Content-Language").expect("the header").to_owned();
    assert!(letter.html.as_deref().expect("an HTML part").contains(&format!("<html lang=\"{tag}\">")));

    let link = repair_link(&letter);
    for address in [&link, &stop_link(&letter)] {
        let (_, page) = world.fetch(Method::GET, address).await;
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{tag}: {page}");
    }
    let Pressed::Token(token) = world.press_button(&link, &item).await else { panic!("Link opens in the page") };
    let view = world.plaid.link_start(&Door::LinkToken(token)).expect("a token of Plaid's");
    assert_eq!(view.language, tag, "Link");
    tag
}

#[tokio::test]
async fn letter_page_and_link_speak_the_users_language_or_that_of_the_application() {
    let world = World::new().await;
    assert_eq!(spoken_to(&world, "user-1", Some("es-MX")).await, "es");
    assert_eq!(spoken_to(&world, "user-2", Some("fr")).await, "fr");
    assert_eq!(spoken_to(&world, "user-3", Some("de")).await, "en", "German is off");
    assert_eq!(spoken_to(&world, "user-4", Some("tlh")).await, "en");
    assert_eq!(spoken_to(&world, "user-5", None).await, "en");
    assert!(world.subjects()[0].starts_with("Story Budget: reconecte First"), "{:?}", world.subjects());
    world.end().await;
}

#[tokio::test]
async fn a_language_that_the_operator_turns_on_is_spoken() {
    let mail = "languages = [\"en\", \"no\", \"pt\"]".to_owned();
    let world = World::with(Settings { mail, ..Settings::default() }).await;
    assert_eq!(spoken_to(&world, "user-1", Some("nb-NO")).await, "no");
    assert_eq!(spoken_to(&world, "user-2", Some("pt-BR")).await, "pt");
    assert_eq!(spoken_to(&world, "user-3", Some("es")).await, "en", "Spanish is off");
    world.end().await;
}
