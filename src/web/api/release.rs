//! `/v1/letters/release`: letters about what was found at the import of Items are let go, a portion of users a day.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::{Body, Problem};
use crate::engine::Engine;
use crate::store::{Pace, Plan, Waiting};

/// How fast.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    per_day: Option<u32>,
    #[serde(default)]
    all: bool,
}

/// The plan, and what waits.
#[derive(Serialize)]
pub(super) struct ReleaseView {
    /// `none`, `per_day` or `all`.
    plan: &'static str,
    per_day: Option<u32>,
    /// Users whose Items were found broken, and who are not written to yet.
    held_users: u32,
    /// Those of them who would not be: they have no address, want no letters, or the address bounced.
    unreachable_users: u32,
    held_items: u32,
    released_today: u32,
    released_total: u32,
    next_portion_at: Option<Timestamp>,
    /// Until all that waits now is released, if nothing else is found.
    days_left: Option<u32>,
}

pub(super) async fn show(State(engine): State<Engine>) -> Result<Json<ReleaseView>, Problem> {
    let (plan, waiting) = engine.store.release_status(engine.config.mail.channel()).await?;
    Ok(view(&engine, plan, waiting))
}

pub(super) async fn plan(
    State(engine): State<Engine>,
    Body(body): Body<ReleaseBody>,
) -> Result<Json<ReleaseView>, Problem> {
    let pace = match (body.per_day, body.all) {
        (Some(users @ 1..), false) => Pace::PerDay(users),
        (None, true) => Pace::All,
        (Some(0), false) => return Err(Problem::invalid("per_day is 0: to release nobody any more, DELETE the plan")),
        (Some(_), true) | (None, false) => {
            return Err(Problem::invalid("give either per_day, a number of users, or all: true"));
        }
    };
    let planned = engine.store.plan_release(pace, engine.clock.now()).await?;
    let (_, waiting) = engine.store.release_status(engine.config.mail.channel()).await?;
    engine.wake();
    // As planned: if nothing waits, the plan is over before it can be looked at.
    Ok(view(&engine, Some(planned), waiting))
}

pub(super) async fn stop(State(engine): State<Engine>) -> Result<Json<ReleaseView>, Problem> {
    engine.store.stop_release().await?;
    show(State(engine)).await
}

fn view(engine: &Engine, plan: Option<Plan>, waiting: Waiting) -> Json<ReleaseView> {
    let plan = plan.map(|plan| plan.on(engine.clock.now()));
    let per_day = plan.and_then(|plan| match plan.pace {
        Pace::PerDay(users) => Some(users),
        Pace::All => None,
    });
    let reachable = waiting.users.saturating_sub(waiting.unreachable_users);
    Json(ReleaseView {
        plan: match plan.map(|plan| plan.pace) {
            None => "none",
            Some(Pace::PerDay(_)) => "per_day",
            Some(Pace::All) => "all",
        },
        per_day,
        held_users: waiting.users,
        unreachable_users: waiting.unreachable_users,
        held_items: waiting.items,
        released_today: plan.map_or(0, |plan: Plan| plan.today),
        released_total: plan.map_or(0, |plan| plan.total),
        next_portion_at: plan.map(|plan| plan.due_at),
        days_left: per_day.map(|users| reachable.div_ceil(users)),
    })
}
