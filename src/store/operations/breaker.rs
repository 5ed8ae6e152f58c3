//! What the outage breaker of [`outage`](crate::domain::outage) has counted.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::Result;
use crate::domain::ids::InstitutionId;
use crate::domain::outage::{BURST_MIN, BURST_MINUTES, HOLD, Outage, is_burst, items_that_matter};

pub(super) fn held_banks(connection: &Connection, now: Timestamp) -> Result<Vec<(InstitutionId, Timestamp)>> {
    // An outage that holds now began within the last six hours, after six hours of calm: twice that is enough to see.
    let since = (now.as_second() - 2 * HOLD.as_secs()) / 60 - BURST_MINUTES;
    let mut statement = connection.prepare_cached(
        "select institution_id, minute, within from
           (select institution_id, minute, sum(count) over (partition by institution_id order by minute
              range between :before preceding and current row) as within
            from breaks where minute >= :since)
         where within >= :min order by institution_id, minute",
    )?;
    let named = named_params! { ":since": since, ":min": BURST_MIN, ":before": BURST_MINUTES - 1 };
    let mut banks: HashMap<String, Vec<(i64, i64)>> = HashMap::new();
    let mut rows = statement.query(named)?;
    while let Some(row) = rows.next()? {
        banks.entry(row.get("institution_id")?).or_default().push((row.get("minute")?, row.get("within")?));
    }
    let mut held = Vec::new();
    for (bank, counts) in banks {
        let most = counts.iter().map(|(_, broken)| *broken).max().unwrap_or(0);
        let items = items_at_most(connection, &bank, items_that_matter(most))?;
        let bursts = counts.into_iter().filter(|(_, broken)| is_burst(*broken, items)).map(|(minute, _)| minute);
        let outage = bursts.fold(None, |outage: Option<Outage>, minute| {
            Some(outage.map_or(Outage::begins(minute), |outage| outage.goes_on(minute)))
        });
        let until = outage.and_then(|outage| Timestamp::from_second(outage.holds_until() * 60).ok());
        if let (Ok(bank), Some(until)) = (InstitutionId::parse(bank), until.filter(|until| *until > now)) {
            held.push((bank, until));
        }
    }
    Ok(held)
}

/// How many Items a bank has that can break, counted only as far as it matters.
fn items_at_most(connection: &Connection, bank: &str, most: i64) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "select count(*) from
           (select 1 from items where institution_id = :bank and state <> 'removed' limit :most)",
    )?;
    Ok(statement.query_row(named_params! { ":bank": bank, ":most": most }, |row| row.get(0))?)
}
