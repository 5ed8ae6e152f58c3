//! A million Items as they might be: ids without order, banks of very different size, and, after a life, states.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

/// How many banks there are: as many as Plaid has.
pub const BANKS: u64 = 12_000;

/// Four Items in five have a user of their own.
pub fn users(items: usize) -> usize {
    (items * 4).div_ceil(5)
}

/// Numbers without order, the same in each run: SplitMix64 (Steele, Lea and Flood, 2014).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// As long as Plaid's.
pub fn item_id(number: usize) -> String {
    let (a, b) = (scatter(number as u64 * 2), scatter(number as u64 * 2 + 1));
    format!("{a:016x}{b:016x}Qxyzw")
}

pub fn user_id(number: usize) -> String {
    format!("user-{:016x}", scatter(number as u64 ^ 0x5555_5555))
}

/// The largest has a tenth of all Items, most have a handful.
pub fn bank_id(number: usize) -> String {
    let share = scatter(number as u64 ^ 0x3333_3333) % 1_000_000;
    let skewed = u128::from(share).pow(4) * u128::from(BANKS) / 1_000_000_u128.pow(4);
    format!("ins_{skewed}")
}

pub fn item(number: usize, items: usize) -> Value {
    let bank = bank_id(number);
    json!({
        "item_id": item_id(number),
        "access_token": format!("access-sandbox-{:016x}-{:016x}", scatter(number as u64 ^ 0x7777), number),
        "user_id": user_id(number % users(items)),
        "institution_id": bank,
        "institution_name": format!("Bank {bank}"),
    })
}

pub fn user(number: usize) -> Value {
    json!({
        "user_id": user_id(number),
        "email": format!("person-{number}@example.com"),
        "name": format!("Person {number}"),
        "locale": "en",
        "time_zone": "America/New_York",
    })
}

/// Lives on for the stopped store: of a hundred Items four wait for their user's login, one each for the end of its consent
/// and with new accounts, half a one is revoked, two are gone. Half of what is broken is held.
pub fn live(directory: &Path, items: usize) -> anyhow::Result<()> {
    let store = rusqlite::Connection::open(directory.join(super::daemon::STORE)).context("the store does not open")?;
    store.execute_batch("begin")?;
    {
        let mut settle = store.prepare(
            "update items set token = 'proven', state = ?2, held_since = case when ?3 then held_since end,
               removed_at = case when ?2 = 'removed' then since end, episodes = ?2 not in ('healthy', 'removed'),
               removed_why = case when ?2 = 'removed' then 'application' end, observed_at = registered_at + 60000
             where item_id = ?1",
        )?;
        let mut open = store.prepare(
            "insert into episodes (item_id, number, kind, opened_at, rungs_passed, letters, code, cure, broken_at,
               evidence_at, answered, deadline_at, deadline_known, why)
             select item_id, 1, state, since, 4, 4, 'ITEM_LOGIN_REQUIRED', 'log_in', since, since, 0, since + 9000000000, 1,
               'consent_ends' from items where item_id = ?1",
        )?;
        for number in 0..items {
            let state = match number % 200 {
                0..8 => "login_required",
                8..10 => "pending_expiration",
                10..12 => "new_accounts",
                12 => "revoked",
                13..17 => "removed",
                _ => "healthy",
            };
            let id = item_id(number);
            let held = state == "login_required" && number % 2 == 0;
            settle.execute((&id, state, held))?;
            if !matches!(state, "removed" | "healthy") {
                open.execute([&id])?;
            }
        }
    }
    store.execute_batch("commit; pragma wal_checkpoint(truncate)")?;
    Ok(())
}
