//! The release of letters about imported Items: the operator's plan, and its portions.

use jiff::Timestamp;
use rusqlite::Connection;

use super::Result;
use crate::domain::compose::Channel;
use crate::domain::event::Event;
use crate::domain::ids::UserId;
use crate::store::releases::{self, Pace, Plan, Waiting};
use crate::store::steps::{Rule, Told};
use crate::store::{Store, items, steps};

/// What the release of letters could do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// Release these.
    Users(Vec<UserId>),
    /// Nobody now; but what is not looked at yet may be found broken, or an address may come.
    NoneYet,
    /// Nothing is held any more.
    NoneEver,
}

/// What a portion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// How many users it released.
    pub users: u32,
    /// The plan as it is now; nothing if it is over.
    pub plan: Option<Plan>,
    /// What the operator and the application are told.
    pub told: Vec<Told>,
}

impl Store {
    /// Plans the release, or changes the pace of the one that is planned: what was released today counts on.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn plan_release(&self, pace: Pace, now: Timestamp) -> Result<Plan> {
        let operation = move |connection: &Connection| {
            let plan = match releases::plan(connection)? {
                Some(known) => Plan { pace, due_at: now, ..known },
                None => Plan::begin(pace, now),
            };
            releases::put(connection, &plan)?;
            Ok(plan)
        };
        self.threads.write(operation).await
    }

    /// Ends the plan: what is still held stays so. Says whether there was one.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn stop_release(&self) -> Result<bool> {
        self.threads.write(releases::end).await
    }

    /// The plan, if there is one, and what waits.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn release_status(&self, channel: Channel) -> Result<(Option<Plan>, Waiting)> {
        let query =
            move |connection: &Connection| Ok((releases::plan(connection)?, releases::waiting(connection, channel)?));
        self.threads.read(query).await
    }

    /// Whom to release next, at most so many.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn release_candidates(&self, channel: Channel, limit: u32) -> Result<Candidates> {
        let query = move |connection: &Connection| {
            let users = releases::next_users(connection, channel, limit)?;
            Ok(match users.is_empty() {
                false => Candidates::Users(users),
                true if releases::any_undecided(connection)? => Candidates::NoneYet,
                true => Candidates::NoneEver,
            })
        };
        self.threads.read(query).await
    }

    /// Releases users, as many as the day's portion has room for: all that is held of each, so that it goes out as one letter.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn release(&self, candidates: Candidates, rule: Rule) -> Result<Released> {
        let operation = move |connection: &Connection| {
            let mut told = Vec::new();
            let Some(plan) = releases::plan(connection)? else { return Ok(Released { users: 0, plan: None, told }) };
            let plan = plan.on(rule.now);
            let users = match &candidates {
                Candidates::Users(users) => users.as_slice(),
                Candidates::NoneYet => &[],
                Candidates::NoneEver => {
                    releases::end(connection)?;
                    return Ok(Released { users: 0, plan: None, told });
                }
            };
            let mut released = 0;
            for user in users {
                if released == plan.room() {
                    break;
                }
                released += u32::from(release_user(connection, &rule, user, &mut told)?);
            }
            let plan = plan.after(released, rule.now);
            releases::put(connection, &plan)?;
            Ok(Released { users: released, plan: Some(plan), told })
        };
        self.threads.write(operation).await
    }
}

/// Says whether anything of the user was held.
fn release_user(connection: &Connection, rule: &Rule, user: &UserId, told: &mut Vec<Told>) -> Result<bool> {
    let mut any = false;
    for item in items::of_user(connection, user.as_str())? {
        if item.held_since().is_some() {
            steps::take(connection, rule, &item, &Event::LettersReleased, "release", told)?;
            any = true;
        }
    }
    Ok(any)
}
