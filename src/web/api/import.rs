//! `/v1/import`: many Items or users in one request, answered row by row.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::items::{self, ItemBody};
use super::problem::{Body, Problem, without_value};
use super::users::{self, UserBody};
use crate::engine::Engine;
use crate::store::{Imported, Mode, NewUser};

/// How many rows one request may bring.
pub const ROWS_MAX: usize = 1000;

/// The largest body: [`ROWS_MAX`] rows whose every field is as long as it may be.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

/// A part of an import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportBody {
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
    rows: Vec<Value>,
}

/// What became of the rows, one for one.
#[derive(Serialize)]
pub(super) struct Answer {
    data: Vec<RowAnswer>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RowAnswer {
    Done(Imported),
    Wrong { outcome: &'static str, why: String },
}

/// An Item, as `PUT /v1/items/{item_id}` takes it, with its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a field for each column")]
struct ItemRow {
    item_id: String,
    access_token: SecretString,
    user_id: String,
    institution_id: Option<String>,
    institution_name: Option<String>,
    country_codes: Option<Vec<String>>,
}

/// A user, as `PUT /v1/users/{user_id}` takes it, with its id and what it wished elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a field for each column")]
struct UserRow {
    user_id: String,
    email: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    time_zone: Option<String>,
    stopped_at: Option<Timestamp>,
    suppressed_at: Option<Timestamp>,
    snoozed_until: Option<Timestamp>,
}

pub(super) async fn items(
    State(engine): State<Engine>,
    Body(body): Body<ImportBody>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let (mode, rows) = sized(body)?;
    let parse = |row: ItemRow| {
        let ItemRow { item_id, access_token, user_id, institution_id, institution_name, country_codes } = row;
        items::new_item(&item_id, ItemBody { access_token, user_id, institution_id, institution_name, country_codes })
    };
    let (good, wrong) = sorted(rows, parse);
    let done = engine.store.import_items(good, mode, engine.rule()).await?;
    // Webhooks may have come before their Items, and wait to be read.
    engine.wake();
    Ok((StatusCode::OK, Json(Answer { data: merged(done, wrong) })))
}

pub(super) async fn users(
    State(engine): State<Engine>,
    Body(body): Body<ImportBody>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let (mode, rows) = sized(body)?;
    let channel = engine.config.mail.channel();
    let parse = |row: UserRow| {
        let UserRow { user_id, email, name, locale, time_zone, stopped_at, suppressed_at, snoozed_until } = row;
        let profile = users::new_profile(&user_id, &UserBody { email, name, locale, time_zone }, channel)?;
        Ok(NewUser { profile, stopped_at, suppressed_at, snoozed_until })
    };
    let (good, wrong) = sorted(rows, parse);
    let done = engine.store.import_users(good, mode, engine.clock.now()).await?;
    engine.wake();
    Ok((StatusCode::OK, Json(Answer { data: merged(done, wrong) })))
}

fn sized(body: ImportBody) -> Result<(Mode, Vec<Value>), Problem> {
    if body.rows.len() > ROWS_MAX {
        return Err(Problem::invalid(format!("rows holds more than {ROWS_MAX}: send them in parts")));
    }
    Ok((if body.dry_run { Mode::DryRun } else { Mode::Write }, body.rows))
}

/// The rows that can be used, and for each row what is wrong with it, if anything is.
fn sorted<R: DeserializeOwned, T>(
    rows: Vec<Value>,
    parse: impl Fn(R) -> Result<T, Problem>,
) -> (Vec<T>, Vec<Option<String>>) {
    let (mut good, mut wrong) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let read = serde_path_to_error::deserialize::<_, R>(row).map_err(|error| {
            let (path, what) = (error.path().to_string(), without_value(error.inner()));
            // A field that is unknown or missing is named already.
            if path == "." || what.contains(" field ") { what } else { format!("{path} {what}") }
        });
        match read.and_then(|row| parse(row).map_err(Problem::into_detail)) {
            Ok(row) => {
                good.push(row);
                wrong.push(None);
            }
            Err(why) => wrong.push(Some(why)),
        }
    }
    (good, wrong)
}

fn merged(done: Vec<Imported>, wrong: Vec<Option<String>>) -> Vec<RowAnswer> {
    let mut done = done.into_iter();
    let answer = |wrong: Option<String>| match wrong {
        Some(why) => RowAnswer::Wrong { outcome: "wrong", why },
        None => RowAnswer::Done(done.next().expect("one outcome for each row that was imported")),
    };
    wrong.into_iter().map(answer).collect()
}
