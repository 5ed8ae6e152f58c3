//! `GET /v1/items/{item_id}/explain`: why an Item is as it is, why its user was written to, and what comes next.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::items::known;
use super::problem::Problem;
use super::view::{ItemView, UserView};
use crate::domain::compose::Quiet;
use crate::engine::Engine;
use crate::engine::plan::{PREVIEW, UserPlan};
use crate::store::{JournalRow, LetterFilter, LetterView, Receipt, WebhookFilter};

/// How much of the past: the latest steps, webhooks and letters.
const STEPS: u32 = 60;
const WEBHOOKS: u32 = 30;
const LETTERS: u32 = 20;

/// The whole why of an Item. What happened is newest first.
#[derive(Serialize)]
pub(super) struct Explanation {
    item: ItemView,
    user: Option<UserView>,
    webhooks: Vec<Receipt>,
    journal: Vec<JournalRow>,
    letters: Vec<LetterView>,
    /// Why the Item has nothing to say to its user now; nothing if it has.
    quiet: Option<Quiet>,
    /// What the user will be written within 30 days, if nothing happens and Plaid agrees.
    plan: Option<UserPlan>,
}

pub(super) async fn explain(
    State(engine): State<Engine>,
    Path(id): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let item = known(&engine, &id).await?;
    let webhooks = WebhookFilter { item: Some(item.id.clone()), newest_first: true, ..WebhookFilter::default() };
    let letters =
        LetterFilter { user: Some(item.user.clone()), item: Some(item.id.clone()), ..LetterFilter::default() };
    let user = engine.store.user(item.user.clone()).await?;
    Ok(Json(Explanation {
        user: user.as_ref().map(|user| UserView::of(user, engine.config.mail.channel(), engine.clock.now())),
        webhooks: engine.store.receipts(webhooks, None, WEBHOOKS).await?,
        journal: engine.store.journal_end(item.id.clone(), STEPS).await?,
        letters: engine.store.letters(letters, None, LETTERS).await?,
        quiet: engine.quiet(&item).await?,
        plan: engine.plan(item.user.clone(), PREVIEW).await?,
        item: ItemView::of(&item, engine.clock.now(), &engine.config.reminders),
    }))
}
