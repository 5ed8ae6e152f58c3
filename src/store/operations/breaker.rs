//! The outage breaker: when very many logins break at one bank at once, it is the bank's fault, and letters wait.
//!
//! They wait six hours from the outage's beginning, however long bursts go on: what is broken for longer is news to its user,
//! and whether the bank is still down Plaid's institution status says better. A burst within six hours of another is the same
//! outage.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};

use super::Result;
use crate::domain::ids::InstitutionId;

/// How long letters wait for a bank at which much broke at once, from the outage's beginning; and how long it has to be calm
/// until a burst is another outage.
const HOLD: SignedDuration = SignedDuration::from_hours(6);
/// Within so many minutes.
const BURST_MINUTES: i64 = 10;
/// More logins than this are a burst ...
const BURST_MIN: i64 = 20;
/// ... if they are more than one in so many of the bank's Items.
const BURST_SHARE: i64 = 20;

pub(super) fn held_banks(connection: &Connection, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
    // An outage that holds now began within the last six hours, after six hours of calm: twice that is enough to see.
    let since = (now.as_second() - 2 * HOLD.as_secs()) / 60 - BURST_MINUTES;
    let mut statement = connection.prepare_cached(
        "select institution_id, minute, within from
           (select institution_id, minute, sum(count) over (partition by institution_id order by minute
              range between :before preceding and current row) as within
            from breaks where minute >= :since)
         where within > :min order by institution_id, minute",
    )?;
    let named = named_params! { ":since": since, ":min": BURST_MIN, ":before": BURST_MINUTES - 1 };
    let bursts: Vec<(String, i64, i64)> = statement
        .query_map(named, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<std::result::Result<_, _>>()?;
    let mut outages: HashMap<String, Outage> = HashMap::new();
    for (bank, minute, broken) in bursts {
        if broken * BURST_SHARE > items_at_most(connection, &bank, broken * BURST_SHARE)? {
            outages.entry(bank).and_modify(|outage| outage.burst(minute)).or_insert(Outage::new(minute));
        }
    }
    let held =
        outages.into_iter().filter_map(|(bank, outage)| Some((InstitutionId::parse(bank).ok()?, outage.until()?)));
    Ok(held.filter(|(_, until)| *until > now).collect())
}

/// Bursts at one bank without six hours of calm between them, in minutes since 1970.
struct Outage {
    began: i64,
    newest: i64,
}

impl Outage {
    fn new(minute: i64) -> Self {
        Self { began: minute, newest: minute }
    }

    /// One more burst, later than those before.
    fn burst(&mut self, minute: i64) {
        if minute - self.newest > HOLD.as_secs() / 60 {
            self.began = minute;
        }
        self.newest = minute;
    }

    fn until(&self) -> Option<Timestamp> {
        Timestamp::from_second((self.began + 1) * 60).map(|began| crate::store::later(began, HOLD)).ok()
    }
}

/// How many Items a bank has, counted only as far as it matters.
fn items_at_most(connection: &Connection, bank: &str, most: i64) -> Result<i64> {
    let mut statement = connection
        .prepare_cached("select count(*) from (select 1 from items where institution_id = :bank limit :most)")?;
    Ok(statement.query_row(named_params! { ":bank": bank, ":most": most }, |row| row.get(0))?)
}
