//! The outage breaker: when very many logins break at one bank at once, it is the bank's fault, and letters wait.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};

use super::Result;
use crate::domain::ids::InstitutionId;

/// How long letters wait for a bank at which much broke at once.
const HOLD: SignedDuration = SignedDuration::from_hours(6);
/// Within so many minutes.
const BURST_MINUTES: i64 = 10;
/// More logins than this are a burst ...
const BURST_MIN: i64 = 20;
/// ... if they are more than one in so many of the bank's Items.
const BURST_SHARE: i64 = 20;

pub(super) fn held_banks(connection: &Connection, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
    let since = (now.as_second() - HOLD.as_secs()) / 60 - BURST_MINUTES;
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
    let mut held: HashMap<String, i64> = HashMap::new();
    for (bank, minute, broken) in bursts {
        if broken * BURST_SHARE > items_at_most(connection, &bank, broken * BURST_SHARE)? {
            let newest = held.entry(bank).or_insert(minute);
            *newest = minute.max(*newest);
        }
    }
    let until = |minute: i64| Timestamp::from_second((minute + 1) * 60).map(|end| crate::store::later(end, HOLD)).ok();
    Ok(held
        .into_iter()
        .filter_map(|(bank, minute)| Some((InstitutionId::parse(bank).ok()?, until(minute)?)))
        .filter(|(_, until)| *until > now)
        .collect())
}

/// How many Items a bank has, counted only as far as it matters.
fn items_at_most(connection: &Connection, bank: &str, most: i64) -> Result<i64> {
    let mut statement = connection
        .prepare_cached("select count(*) from (select 1 from items where institution_id = :bank limit :most)")?;
    Ok(statement.query_row(named_params! { ":bank": bank, ":most": most }, |row| row.get(0))?)
}
