//! Lists, page by page; and that of the data keys, `/v1/keys`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::problem::Problem;
use crate::engine::Engine;
use crate::store::DataKeyView;

/// How many entries a page has if nothing is said.
const LIMIT: u32 = 100;

/// How many it has at most.
const LIMIT_MAX: u32 = 1000;

/// A page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    data: Vec<T>,
    /// Ask for the next page with it; nothing on the last one.
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page, if it was asked for with `limit`: a full one may be followed by another.
    pub(super) fn new(data: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let full = data.len() >= limit as usize;
        let next_cursor = data.last().filter(|_| full).map(cursor);
        Self { data, next_cursor }
    }

    /// What is on it.
    pub(super) fn entries(&self) -> &[T] {
        &self.data
    }

    /// The same page with other entries.
    pub(super) fn of<U>(self, data: Vec<U>) -> Page<U> {
        Page { data, next_cursor: self.next_cursor }
    }

    /// The same page, shown otherwise.
    pub(super) fn map<U>(self, show: impl Fn(&T) -> U) -> Page<U> {
        Page { data: self.data.iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}

/// How many entries are wanted.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(LIMIT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Problem::invalid(format!("limit has to be from 1 to {LIMIT_MAX}"))),
    }
}

/// A cursor that is a number.
pub(super) fn number(cursor: Option<&str>) -> Result<i64, Problem> {
    let bad = |_| Problem::invalid("cursor is none that this list gave");
    cursor.map_or(Ok(0), |cursor| cursor.parse().map_err(bad))
}

/// The data keys, by their ids: which one seals, what the former ones still seal, which can be removed. All on one page.
pub(super) async fn keys(State(engine): State<Engine>) -> Result<Json<Page<DataKeyView>>, Problem> {
    let data = engine.store.data_keys().await?;
    Ok(Json(Page { data, next_cursor: None }))
}
