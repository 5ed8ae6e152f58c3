//! `/unsubscribe/{token}`: GET shows a button and changes nothing, POST stops all reminders to the user (RFC 8058).

use axum::extract::{Path, State};

use super::page::{self, Page, UnsubscribePage};
use super::repair::{failed, with_view};
use crate::engine::Engine;
use crate::store::{Purpose, Wish};

pub(super) async fn ask(State(engine): State<Engine>, Path(token): Path<String>) -> Page {
    match engine.store.open_link(Purpose::Stop, &token, engine.clock.now()).await {
        Ok(Some(user)) => {
            let profile = engine.store.user(user).await.ok().flatten();
            let path = engine.public_path(&format!("unsubscribe/{token}"));
            with_view(&engine, profile.as_ref(), |view| page::unsubscribe(view, &UnsubscribePage::Ask { path }))
        }
        Ok(None) => with_view(&engine, None, |view| page::unsubscribe(view, &UnsubscribePage::Unknown)),
        Err(error) => failed(&engine, &error),
    }
}

pub(super) async fn stop(State(engine): State<Engine>, Path(token): Path<String>) -> Page {
    let now = engine.clock.now();
    let user = match engine.store.open_link(Purpose::Stop, &token, now).await {
        Ok(Some(user)) => user,
        Ok(None) => return with_view(&engine, None, |view| page::unsubscribe(view, &UnsubscribePage::Unknown)),
        Err(error) => return failed(&engine, &error),
    };
    match engine.store.wish(user.clone(), Wish::Stop, now).await {
        Ok(_) => {
            tracing::info!(%user, "user {user} stopped all letters");
            engine.wake();
            let profile = engine.store.user(user).await.ok().flatten();
            with_view(&engine, profile.as_ref(), |view| page::unsubscribe(view, &UnsubscribePage::Done))
        }
        Err(error) => failed(&engine, &error),
    }
}
