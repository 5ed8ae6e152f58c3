//! `/v1/events`: what the application is told, as a list and as a stream (server-sent events).
//!
//! Both are in the order of the numbers, and both go on after any number, so that an application which stood still misses
//! nothing that `[retention]` keeps. An event that was read is not gone: who reads twice has to know it by its number.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::items::item_id;
use super::lists::{Page, limit, number};
use super::problem::Problem;
use super::users::user_id;
use crate::engine::Engine;
use crate::store::{EventFilter, EventRow, LETTER_DUE, Purpose};

/// How often a stream looks for news.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many events a stream reads at once.
const AT_ONCE: u32 = 100;

/// How often a stream without news says that it is still there: proxies cut what is silent for a minute.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    r#type: Option<String>,
    item_id: Option<String>,
    user_id: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// An event as the application sees it.
#[derive(Serialize)]
struct EventView {
    id: i64,
    at: Timestamp,
    r#type: String,
    item_id: Option<String>,
    user_id: Option<String>,
    letter_id: Option<String>,
    data: Value,
}

/// Events in the order of their numbers: a page, or, for whoever accepts `text/event-stream`, all that come.
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = EventFilter {
        kind: query.r#type,
        item: query.item_id.as_deref().map(item_id).transpose()?,
        user: query.user_id.as_deref().map(user_id).transpose()?,
    };
    let cursor = query.cursor.as_deref();
    if accepts_stream(&headers) {
        let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(cursor);
        // Without a number it begins with what comes next, as a browser does.
        let after = match seen {
            Some(seen) => number(Some(seen))?,
            None => engine.store.newest_event().await?,
        };
        let alive = KeepAlive::new().interval(ALIVE_EVERY);
        return Ok(Sse::new(news(engine, filter, after)).keep_alive(alive).into_response());
    }
    let limit = limit(query.limit)?;
    let events = engine.store.events(filter, number(cursor)?, limit).await?;
    let page = Page::new(events, limit, |event| event.id.to_string());
    Ok(Json(page.map(|event| view(&engine, event))).into_response())
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/event-stream")
}

/// All events after a number, as they come. It ends when relinkd stops, or the store does not answer: the reader comes back
/// with the last number.
fn news(
    engine: Engine,
    filter: EventFilter,
    after: i64,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static {
    let waiting = std::collections::VecDeque::new();
    stream::unfold((engine, filter, after, waiting), async |(engine, filter, mut after, mut waiting)| {
        loop {
            if let Some(event) = waiting.pop_front() {
                return Some((Ok(written(&engine, &event)), (engine, filter, after, waiting)));
            }
            match engine.store.events(filter.clone(), after, AT_ONCE).await {
                Ok(events) => waiting.extend(events),
                Err(error) => {
                    tracing::error!("store: {error}");
                    return None;
                }
            }
            if let Some(last) = waiting.back() {
                after = last.id;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = engine.stop.cancelled() => return None,
            }
        }
    })
}

fn written(engine: &Engine, event: &EventRow) -> sse::Event {
    let (id, kind) = (event.id.to_string(), event.kind.clone());
    let data = serde_json::to_string(&view(engine, event)).expect("our types have text keys");
    sse::Event::default().id(id).event(kind).data(data)
}

/// The event with the addresses of its letter's links.
fn view(engine: &Engine, event: &EventRow) -> EventView {
    let mut data = event.data.clone();
    if let (LETTER_DUE, Some(link), Some(said)) = (event.kind.as_str(), &event.link, data.as_object_mut()) {
        let stop = engine.store.link_token(Purpose::Stop, link);
        said.insert("repair_url".to_owned(), engine.repair_url(link).into());
        said.insert("stop_url".to_owned(), engine.public(&format!("unsubscribe/{stop}")).into());
    }
    EventView {
        id: event.id,
        at: event.at,
        r#type: event.kind.clone(),
        item_id: event.item.clone(),
        user_id: event.user.clone(),
        letter_id: event.letter.clone(),
        data,
    }
}
