//! A user is spoken to in one language: in the letter, on the page, in Link, and when the letters are stopped.
//! Who is not known is spoken to in the browser's.

use relinkd::demo::plaid::Door;
use reqwest::Method;
use serde_json::json;

use crate::harness::repair::{Pressed, repair_link, stop_link};
use crate::harness::{Settings, World, bank, days, minutes};

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

#[tokio::test]
async fn who_is_not_known_is_spoken_to_in_the_browsers_language() {
    let world = World::new().await;
    let at = |path: &str| format!("{}{path}", world.public_url);
    let (dead, dead_stop) = (at("/repair/abc.def"), at("/unsubscribe/abc.def"));
    let said = [
        (Method::GET, at("/repair-return"), "Ha vuelto"),
        (Method::GET, dead.clone(), "Este enlace ya no funciona"),
        (Method::POST, format!("{dead}/fresh"), "Mire su correo"),
        (Method::GET, dead_stop.clone(), "Este enlace ya no sirve"),
        (Method::POST, dead_stop, "Este enlace ya no sirve"),
        (Method::GET, at("/nowhere"), "Aquí no hay nada"),
    ];
    for (method, link, words) in said {
        let (tag, page) = world.fetch_in("es-MX,es;q=0.9,en;q=0.8", method.clone(), &link).await;
        assert!(tag == "es" && page.contains(&format!("{words}</h1>")), "{link}: {page}");
        for languages in ["de-DE,de;q=0.9", "tlh", "es;q=0", "es;q=much", ""] {
            let (tag, _) = world.fetch_in(languages, method.clone(), &link).await;
            assert_eq!(tag, "en", "{link}: {languages}");
        }
    }
    // What the script of the way back says later is with the page.
    let (_, page) = world.fetch_in("es", Method::GET, &at("/repair-return")).await;
    assert!(page.contains("Continúe en la ventana de Plaid."), "{page}");
    world.end().await;
}

#[tokio::test]
async fn a_users_own_language_comes_before_the_browsers() {
    let world = World::new().await;
    assert_eq!(spoken_to(&world, "user-1", Some("fr")).await, "fr");
    assert_eq!(spoken_to(&world, "user-2", None).await, "en");
    for (place, tag, words) in [(0, "fr", "continuer dans la fenêtre de Plaid"), (1, "en", "in the Plaid window")] {
        let letter = world.letters().swap_remove(place);
        let (link, stop) = (repair_link(&letter), stop_link(&letter));
        for link in [&link, &stop] {
            let (page_tag, _) = world.fetch_in("es", Method::GET, link).await;
            assert_eq!(page_tag, tag, "{link}");
        }
        let said = world.words_of_press("es", &link).await;
        assert!(said["open"].as_str().is_some_and(|said| said.contains(words)), "{tag}: {said}");
    }
    world.after(days(32)).await;
    let letter = world.letters().swap_remove(0);
    let (tag, page) = world.fetch_in("es", Method::GET, &repair_link(&letter)).await;
    assert!(tag == "es" && page.contains("Este enlace ya no funciona"), "it has ended, and names nobody: {page}");
    world.end().await;
}
