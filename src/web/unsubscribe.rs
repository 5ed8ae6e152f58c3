//! `/unsubscribe/{token}`: the link that stops letters. GET shows which letters come and what there is to choose, and changes
//! nothing; POST is a mail program's one click and stops all reminders to the user at once (RFC 8058);
//! `POST /unsubscribe/{token}/preferences` saves what a person chose.
//!
//! # Scanners
//!
//! Mail scanners fetch links, run the scripts behind them, and press what can be pressed; some look at an old letter again
//! after months. Neither of the two wrong ends may come of that: a person whose letters are off without a word, and a person
//! who gets the letters again that were turned off. So the page has no button that means a choice. It has one form, in which
//! what is so now is chosen already and says `keep`, and one button that saves: who presses it without having chosen
//! anything changes nothing, however old the page is; and what is so now is the last answer to each question, so that who
//! presses the answers too, one after the other, has chosen nothing either. A confirmation would not do that, for it is a
//! button too, and no order of buttons does: whatever is last undoes what somebody wanted.
//!
//! The one click has to act at once, so whoever sends it stops the letters, a scanner too. Its answer says so and takes it
//! back with one press, and so does the page behind the link at any time: the link goes on opening it, whatever was chosen.
//!
//! # Who sees what
//!
//! The link of an old letter opens the page too, or nobody could stop what it began. It names a user's banks only for as long
//! as it opens the repair page, which names them as well; later only those whose letters are off or pause, since each other
//! one that has something to say has sent a newer letter.
//!
//! # Back and reload
//!
//! Saving answers 303 to the page, so a reload fetches and sends nothing, and the way back leads to a page that is fetched
//! anew. What takes the change back stands in that address, as the fields of the form that would say it.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

use super::browser_language::BrowserLanguage;
use super::page::{self, BankLetters, Page, Preferences, UnsubscribePage};
use super::repair::{failed, with_view};
use crate::domain::compose::Reach;
use crate::domain::preferences::{Bank, Choices, Letters, banks};
use crate::engine::Engine;
use crate::store::{Profile, Purpose, StoreError, Wish};

/// The pauses that are offered.
fn pauses(now: Timestamp, zone: &TimeZone) -> [Timestamp; 3] {
    [1.week(), 2.weeks(), 1.month()].map(|wait: Span| {
        // From the beginning of that day on, where the user lives: a day is what the page names.
        let day = now.to_zoned(zone.clone()).checked_add(wait).and_then(|end| end.start_of_day());
        day.map_or(Timestamp::MAX, |day| day.timestamp())
    })
}

pub(super) async fn show(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    asked: BrowserLanguage,
    RawQuery(query): RawQuery,
) -> Page {
    let undo = page::chosen(query.unwrap_or_default().as_bytes());
    match preferences(&engine, &token, undo).await {
        Ok(Some((profile, preferences))) => {
            let page = UnsubscribePage::Preferences(preferences);
            with_view(&engine, Some(&profile), asked, |view| page::unsubscribe(view, &page))
        }
        Ok(None) => unknown(&engine, asked),
        Err(error) => failed(&engine, asked, &error),
    }
}

/// What the page shows; nothing if the link opens nothing, or its user was erased.
async fn preferences(
    engine: &Engine,
    token: &str,
    undo: Choices,
) -> Result<Option<(Profile, Preferences)>, StoreError> {
    let now = engine.clock.now();
    let Some(user) = engine.store.open_link(Purpose::Stop, token, now).await? else { return Ok(None) };
    let Some(profile) = engine.store.user(user.clone()).await? else { return Ok(None) };
    let items = engine.store.items_of(user).await?;
    let is_live = engine.store.is_live(Purpose::Stop, token, now).await?;
    let of_bank = |bank: &Bank<'_>| BankLetters {
        item: bank.items[0].id.clone(),
        name: bank.name().map(str::to_owned),
        letters: bank.letters(now),
    };
    let zone = profile.time_zone.as_ref().unwrap_or(&engine.config.app.time_zone).zone();
    let preferences = Preferences {
        path: path(engine, token),
        all: Letters::to_user(profile.stopped_at, profile.snoozed_until, now),
        off_since: profile.stopped_at,
        is_reachable: profile.for_letters(zone, engine.config.mail.channel()).reach == Reach::Address,
        banks: banks(&items).iter().map(of_bank).filter(|bank| is_live || bank.letters != Letters::On).collect(),
        pauses: pauses(now, zone),
        undo,
    };
    Ok(Some((profile, preferences)))
}

pub(super) async fn save(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    asked: BrowserLanguage,
    form: Bytes,
) -> Response {
    let user = match engine.store.open_link(Purpose::Stop, &token, engine.clock.now()).await {
        Ok(Some(user)) => user,
        Ok(None) => return unknown(&engine, asked).into_response(),
        Err(error) => return failed(&engine, asked, &error).into_response(),
    };
    match engine.prefer(&user, &page::chosen(&form)).await {
        Ok(undo) => {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(page::fields(&undo)).finish();
            let mark = if query.is_empty() { "" } else { "?" };
            Redirect::to(&format!("{}{mark}{query}", path(&engine, &token))).into_response()
        }
        Err(error) => failed(&engine, asked, &error).into_response(),
    }
}

pub(super) async fn stop(State(engine): State<Engine>, Path(token): Path<String>, asked: BrowserLanguage) -> Page {
    let now = engine.clock.now();
    let user = match engine.store.open_link(Purpose::Stop, &token, now).await {
        Ok(Some(user)) => user,
        Ok(None) => return unknown(&engine, asked),
        Err(error) => return failed(&engine, asked, &error),
    };
    match engine.store.wish(user.clone(), Wish::Stop, now).await {
        Ok(_) => {
            tracing::info!(%user, "user {user} stopped all letters");
            engine.wake();
            let profile = engine.store.user(user).await.ok().flatten();
            let page = UnsubscribePage::Done { path: path(&engine, &token) };
            with_view(&engine, profile.as_ref(), asked, |view| page::unsubscribe(view, &page))
        }
        Err(error) => failed(&engine, asked, &error),
    }
}

fn path(engine: &Engine, token: &str) -> String {
    engine.public_path(&format!("unsubscribe/{token}"))
}

fn unknown(engine: &Engine, asked: BrowserLanguage) -> Page {
    with_view(engine, None, asked, |view| page::unsubscribe(view, &UnsubscribePage::Unknown))
}
