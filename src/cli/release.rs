//! `relinkd letters release`: lets letters about what an import found broken go, a portion of users a day.

use clap::ArgGroup;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Failure};
use super::print::Print;
use super::table::{Fields, minute};

/// How fast; without any of it, how it stands.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("pace").args(["per_day", "all", "stop"])))]
pub struct Args {
    /// Release so many users a day, the longest broken first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub per_day: Option<u32>,
    /// Release all that is held, and all that is found yet.
    #[arg(long)]
    pub all: bool,
    /// Release nobody any more. What is released already stays so.
    #[arg(long)]
    pub stop: bool,
}

/// The plan as the API shows it.
#[derive(Debug, Deserialize)]
struct Release {
    plan: String,
    per_day: Option<u32>,
    held_users: u32,
    unreachable_users: u32,
    held_items: u32,
    released_today: u32,
    released_total: u32,
    next_portion_at: Option<Timestamp>,
    days_left: Option<u32>,
}

const PATH: &str = "/v1/letters/release";

/// Does it, and says how it stands.
///
/// # Errors
/// [`Failure`].
pub async fn run(client: &Client, print: &mut Print, args: &Args) -> Result<(), Failure> {
    let answer = match args {
        Args { per_day: Some(users), .. } => client.call(Method::PUT, PATH, Some(&json!({ "per_day": users }))).await?,
        Args { all: true, .. } => client.call(Method::PUT, PATH, Some(&json!({ "all": true }))).await?,
        Args { stop: true, .. } => client.call(Method::DELETE, PATH, None).await?,
        Args { .. } => client.get(PATH).await?,
    };
    print.one(&answer, fields)
}

fn fields(release: &Release) -> Fields {
    let planned = release.plan != "none";
    let plan = match (release.plan.as_str(), release.per_day) {
        ("none", _) if release.held_users > 0 => "none: what is held stays so (--per-day N, --all)".to_owned(),
        ("all", _) => "all, as soon as it is found".to_owned(),
        (_, Some(users)) => format!("{users} users a day"),
        (plan, None) => plan.to_owned(),
    };
    let unreachable = Some(release.unreachable_users).filter(|users| *users > 0);
    Fields::default()
        .with("Plan", plan)
        .with("Held", format!("{} users, {} Items", release.held_users, release.held_items))
        .with_some(
            "Not to be written to",
            unreachable.map(|users| format!("{users} of these users: no address, stopped, or it bounced")),
        )
        .with_some("Released today", planned.then(|| format!("{} users", release.released_today)))
        .with_some("Released so far", planned.then(|| format!("{} users", release.released_total)))
        .with_some("Next look", release.next_portion_at.map(minute))
        .with_some("Days left", release.days_left.map(|days| format!("{days}, if nothing else is found")))
}
