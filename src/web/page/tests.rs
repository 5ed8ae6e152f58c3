//! The pages, seen from outside: what they say, what they never let through, and that nothing is fetched before the press.

mod languages;
mod preferences;
mod script;

use axum::http::HeaderMap;
use axum::response::IntoResponse;

use super::sample::{
    ITEM, NONCE, TOKEN, all_needs, bank, brand, broken, button, embedded, hosted, item, no_longer, preferences,
    repair_path, seen_in, time, unsubscribe_path,
};
use super::*;
use crate::domain::colour::{Colour, SHAPE_CONTRAST, TEXT_CONTRAST};
use crate::domain::preferences::{Choices, Letters};

/// What a page may weigh with style and script, in bytes: sent over a bad connection it is there at once.
const PAGE_BYTES_MAX: usize = 17 * 1024;

const NONCE_TEXT: &str = "BwcHBwcHBwcHBwcHBwcHBw";

fn seen<T>(show: impl FnOnce(&View<'_>) -> T) -> T {
    seen_in(Language::English, show)
}

/// Every kind of page, with a name for each.
fn every_page(name: Option<&str>) -> Vec<(String, Page)> {
    every_page_in(Language::English, name)
}

fn every_page_in(language: Language, name: Option<&str>) -> Vec<(String, Page)> {
    let pages = |mode| sample::every_page(language, &mode, name).into_iter();
    pages(embedded()).chain(pages(hosted())).collect()
}

/// The page without what is between two marks.
fn without(html: &str, open: &str, close: &str) -> String {
    let mut rest = html;
    let mut left = String::new();
    while let Some((before, after)) = rest.split_once(open) {
        left.push_str(before);
        rest = after.split_once(close).map_or("", |(_, tail)| tail);
    }
    left + rest
}

/// What a person reads and presses: no style, no script. Slashes are written as slashes, which the template engine escapes.
fn bare(page: &Page) -> String {
    without(&without(page.html(), "<style", "</style>"), "<script", "</script>").replace("&#x2f;", "/")
}

fn headers(page: Page) -> HeaderMap {
    page.into_response().headers().clone()
}

fn policy(page: Page) -> String {
    headers(page)["content-security-policy"].to_str().unwrap().to_owned()
}

#[test]
fn every_page_is_whole_small_and_filled_in() {
    for name in [None, Some("First Platypus Bank")] {
        for (kind, page) in every_page(name) {
            let bare = bare(&page);
            assert!(page.html().ends_with("</html>"), "{kind}");
            assert!(!bare.contains('{') && !bare.contains("undefined"), "{kind}: {bare}");
            assert_eq!(bare.matches("<h1").count(), 1, "{kind}");
            for part in
                ["Clearwater &amp; Co</p>", "https://app.clearwater.example/\"", "mailto:help@clearwater.example\""]
            {
                assert!(bare.contains(part), "{kind}: {part}");
            }
            let few = kind.starts_with("many") || page.html().len() <= PAGE_BYTES_MAX;
            assert!(few && page.html().len() <= 25 * 1024, "{kind}: {} bytes", page.html().len());
        }
    }
}

#[test]
fn the_button_has_the_letters_colours_and_can_be_read() {
    let style = include_str!("page.css");
    let grounds = |name: &str| -> [Colour; 2] {
        let told = style.split(name).skip(1).map(|rest| rest.split(';').next().unwrap());
        told.map(|text| Colour::parse(text).unwrap()).collect::<Vec<_>>().try_into().unwrap()
    };
    let ([back, back_by_night], [card, card_by_night]) = (grounds("--back:"), grounds("--card:"));
    for text in ["#1f4fbf", "#000000", "#767676", "#c00", "#007a3d", "#5b2a86", "#8a7400", "#949494"] {
        let ButtonColours { day, day_ink, night, night_ink } = button(text);
        let brand = Brand { button: button(text), ..brand() };
        let view =
            View { brand: &brand, language: Language::English, time_zone: &TimeZone::UTC, nonce: Nonce::new(NONCE) };
        let html = repair(&view, &no_longer()).html().to_owned();
        assert!(html.contains(&format!(":root{{--act:{day};--act-text:{day_ink}}}")), "{text}");
        assert!(html.contains(&format!("dark){{:root{{--act:{night};--act-text:{night_ink}}}}}")), "{text}");
        assert!(day.contrast(day_ink) >= TEXT_CONTRAST && night.contrast(night_ink) >= TEXT_CONTRAST, "{text}");
        assert!(day.contrast(card) >= SHAPE_CONTRAST && night.contrast(card_by_night) >= SHAPE_CONTRAST, "{text}");
        assert!(night.contrast(back_by_night) >= SHAPE_CONTRAST, "{text}");
    }
    assert!(button("#1f4fbf").day.contrast(back) >= SHAPE_CONTRAST);
    assert!(!style.contains("--act:") && style.matches("var(--act)").count() > 1);
}

#[test]
fn a_day_does_not_part_from_its_month() {
    let day = |language, at: &str| words::of(language).day(at.parse().unwrap(), &TimeZone::UTC);
    for (language, expected) in [
        (Language::English, "Wednesday, 12\u{a0}May 2027"),
        (Language::German, "Mittwoch, 12.\u{a0}Mai 2027"),
        (Language::Spanish, "miércoles, 12\u{a0}de\u{a0}mayo de 2027"),
        (Language::Lithuanian, "2027 m. gegužės 12\u{a0}d., trečiadienį"),
    ] {
        assert_eq!(day(language, "2027-05-12T10:00:00Z"), expected);
    }
    assert_eq!(day(Language::French, "2027-05-01T10:00:00Z"), "samedi 1er\u{a0}mai 2027");
}

#[test]
fn nothing_foreign_is_fetched_before_the_press() {
    for (kind, page) in every_page(Some("First Platypus Bank")) {
        let bare = bare(&page);
        for part in [
            " src=",
            "srcset",
            "url(",
            "<img",
            "<iframe",
            "<object",
            "<link rel=\"stylesheet",
            "preload",
            "preconnect",
            "http-equiv",
        ] {
            assert!(!bare.contains(part), "{kind}: {part}");
        }
        assert!(!page.html().contains("@import") && !page.html().contains("<script src"), "{kind}");
        let foreign = bare.matches("://").count();
        assert!(foreign > 0, "{kind}");
        assert_eq!(foreign, bare.matches("href=\"https://app.clearwater.example/\"").count(), "{kind}");
    }
}

#[test]
fn every_style_and_script_of_ours_has_the_nonce() {
    for (kind, page) in every_page(None) {
        let html = page.html();
        for open in html.match_indices("<style").chain(html.match_indices("<script")) {
            let tag = html[open.0..].split_once('>').unwrap().0;
            let marked = tag.contains(&format!("nonce=\"{NONCE_TEXT}\"")) || tag.contains("application/json");
            assert!(marked, "{kind}: {tag}");
        }
        assert!(!bare(&page).contains("style=") && !bare(&page).contains("onclick"), "{kind}");
    }
}

#[test]
fn every_page_has_every_header() {
    for (kind, page) in every_page(None) {
        let headers = headers(page);
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("content-language", "en"),
            ("vary", "Accept-Language"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin-allow-popups"),
        ] {
            assert_eq!(headers[name], value, "{kind}");
            assert_eq!(headers.get_all(name).iter().count(), 1, "{kind}: {name}");
        }
        assert!(headers["x-robots-tag"].to_str().unwrap().starts_with("noindex"), "{kind}");
        assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=()"), "{kind}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{kind}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && policy.contains(&format!("style-src 'nonce-{NONCE_TEXT}'")),
            "{kind}: {policy}"
        );
    }
}

#[test]
fn only_a_page_that_opens_link_may_name_plaids_hosts() {
    let one = || vec![bank(None, What::LoginRequired)];
    assert_eq!(
        policy(seen(|view| repair(view, &broken(one(), embedded())))),
        format!(
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
             script-src 'nonce-{NONCE_TEXT}' https://cdn.plaid.com; style-src 'nonce-{NONCE_TEXT}' https://cdn.plaid.com; \
             img-src data: https://cdn.plaid.com; font-src https://cdn.plaid.com; frame-src https://cdn.plaid.com; \
             connect-src 'self' https://cdn.plaid.com https://sandbox.plaid.com; form-action 'self' https://*.plaid.com"
        )
    );
    let hosted = policy(seen(|view| repair(view, &broken(one(), hosted()))));
    assert!(hosted.ends_with("connect-src 'self'; form-action 'self' https://*.plaid.com"), "{hosted}");
    for page in [no_longer(), RepairPage::FreshLinkSent, RepairPage::Works { banks: vec![] }] {
        let policy = policy(seen(|view| repair(view, &page)));
        assert!(!policy.contains("plaid") && !policy.contains("script-src"), "{policy}");
    }
}

#[test]
fn a_hostile_name_stays_text() {
    let hostile = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{brand}{{ 7*1777 }}\u{202e}";
    for (kind, page) in every_page(Some(hostile)) {
        let html = page.html();
        assert!(!html.contains("<script>alert") && !html.contains("<img") && !html.contains('\u{202e}'), "{kind}");
        assert!(!html.contains("12439") && !html.contains("\"'><"), "{kind}");
    }
}

#[test]
fn a_hostile_brand_does_not_end_the_script_element() {
    let mut brand = brand();
    brand.name = "</script><script>alert(1)//<!--".to_owned();
    let view = View { brand: &brand, language: Language::English, time_zone: &TimeZone::UTC, nonce: Nonce::new(NONCE) };
    let page = way_back(&view, &embedded());
    assert!(!page.html().contains("<script>alert") && !page.html().contains("<!--"));
}

#[test]
fn a_dead_link_tells_nothing_apart_and_trouble_says_when_to_return() {
    let status = |page: &RepairPage| seen(|view| repair(view, page)).status().as_u16();
    let trouble = |what| RepairPage::Trouble { what, path: repair_path() };
    assert_eq!(status(&no_longer()), 410);
    assert_eq!(status(&RepairPage::FreshLinkSent), 200);
    assert_eq!(status(&trouble(Trouble::Plaid)), 503);
    assert_eq!(status(&trouble(Trouble::Busy)), 429);
    assert_eq!(status(&broken(vec![bank(None, What::LoginRequired)], hosted())), 200);
    assert_eq!(seen(|view| unsubscribe(view, &UnsubscribePage::Unknown)).status().as_u16(), 410);
    let page = seen(|view| repair(view, &trouble(Trouble::Plaid)));
    assert!(bare(&page).contains(&format!("href=\"/repair/{TOKEN}\"")), "{}", bare(&page));
    assert!(headers(page).contains_key("retry-after"));
}

#[test]
fn a_deadline_that_nobody_named_is_not_shown() {
    let text = |on, why| bare(&seen(|view| repair(view, &broken(vec![bank(None, What::Ends { on, why })], hosted()))));
    let on = Some("2027-05-12T10:00:00Z".parse().unwrap());
    for why in [ExpiryReason::ConsentEnds, ExpiryReason::BankMoves, ExpiryReason::Unsaid] {
        assert!(text(on, why).contains("12\u{a0}May 2027"));
        assert!(text(None, why).contains(" soon.") && !text(None, why).contains("20"), "{}", text(None, why));
    }
}

#[test]
fn the_button_works_without_script() {
    let page = |mode| seen(|view| repair(view, &broken(vec![bank(None, What::LoginRequired)], mode)));
    for mode in [hosted(), embedded()] {
        let html = bare(&page(mode));
        assert!(html.contains(&format!("method=\"post\" action=\"/repair/{TOKEN}/link\"")), "{html}");
        assert!(html.contains(&format!("name=\"item_id\" value=\"{ITEM}\"")), "{html}");
    }
}

#[test]
fn what_a_person_reads() {
    let two = || vec![bank(Some("First Platypus Bank"), What::LoginRequired), bank(None, What::Works)];
    insta::assert_snapshot!("many", bare(&seen(|view| repair(view, &broken(two(), embedded())))));
    insta::assert_snapshot!("no_longer", bare(&seen(|view| repair(view, &no_longer()))));
    insta::assert_snapshot!("fresh_link_sent", bare(&seen(|view| repair(view, &RepairPage::FreshLinkSent))));
    let done = UnsubscribePage::Done { path: unsubscribe_path() };
    insta::assert_snapshot!("unsubscribed", bare(&seen(|view| unsubscribe(view, &done))));
    let pause = preferences(Letters::From(time("2026-12-09T00:00:00Z")), Some("First Platypus Bank"));
    let pause = UnsubscribePage::Preferences(pause);
    insta::assert_snapshot!("preferences", bare(&seen(|view| unsubscribe(view, &pause))));
    insta::assert_snapshot!("back", bare(&seen(|view| way_back(view, &hosted()))));
}
