//! What Plaid says of banks: their names, for Items whose answer names only the id, and whether one can log in there now.
//!
//! A name is asked for once and remembered. The status is asked before somebody is sent to a bank, by a letter or at a press, and
//! counts for some minutes. Of many who want to know at once one asks, and the others wait for its answer.
//!
//! | Plaid says of logins | what follows |
//! |---|---|
//! | `DOWN` | letters about the bank wait and are looked at again; a press says that the bank is down |
//! | `DEGRADED`, `HEALTHY` | all goes on; Link itself warns |
//! | nothing: in Sandbox, at banks with little traffic | all goes on |
//! | no answer | all goes on: the Item's own answer came a moment ago |
//!
//! <https://plaid.com/docs/link/institution-status/>

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::call::NoAnswer;
use super::traffic::Caller;
use crate::domain::ids::{InstitutionId, ItemId};
use crate::domain::item::Item;
use crate::plaid::client::{InstitutionAnswer, Logins};
use crate::store::StoreError;

/// How many banks are remembered. Plaid has some 12,000; who needs more begins anew.
const BANKS_MAX: usize = 20_000;

/// How long a bank whose name was not to be had is left alone.
const NAME_FAILED_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// How long Plaid's word on a bank's logins counts, and how long none is looked for after it was not to be had.
const STATUS_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// How many calls of `/institutions/get_by_id` Plaid allows in a minute
/// (<https://plaid.com/docs/errors/rate-limit-exceeded/>).
const ASKED_MAX: usize = 400;

const MINUTE: Duration = Duration::from_secs(60);

/// How long somebody in front of a page waits for the answer to another's question.
const PATIENCE_OF_PEOPLE: Duration = Duration::from_secs(3);

/// What is known of banks.
#[derive(Default)]
pub(super) struct Banks {
    /// Each behind a lock of its own, which is held while Plaid is asked.
    known: Mutex<HashMap<InstitutionId, Arc<tokio::sync::Mutex<Known>>>>,
    /// Where nobody can log in, and until when that counts.
    down: Mutex<HashMap<InstitutionId, Timestamp>>,
    /// When Plaid was asked within the last minute.
    asked: Mutex<VecDeque<Duration>>,
}

#[derive(Default)]
struct Known {
    name: Option<String>,
    logins: Option<Logins>,
    /// When it was asked, with or without an answer.
    asked_at: Option<Timestamp>,
}

/// Whether a user can be sent to a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// As far as is known.
    Open,
    /// Nobody can log in.
    Shut {
        /// When to look again.
        until: Timestamp,
    },
    /// The question has to wait.
    Unasked {
        /// When it may be put.
        until: Timestamp,
        /// Why not now.
        why: &'static str,
    },
}

impl Known {
    fn is_younger(&self, life: SignedDuration, now: Timestamp) -> bool {
        // Asked later than now means that the clock was set back: that counts no more.
        self.asked_at.is_some_and(|asked| asked <= now && now.duration_since(asked) < life)
    }
}

impl Banks {
    fn of(&self, id: &InstitutionId) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = lock(&self.known);
        if known.len() >= BANKS_MAX && !known.contains_key(id) {
            known.clear();
        }
        Arc::clone(known.entry(id.clone()).or_default())
    }

    /// Banks at which nobody can log in, each with the moment until which that counts.
    pub(super) fn down(&self, now: Timestamp) -> Vec<(InstitutionId, Timestamp)> {
        let mut down = lock(&self.down);
        down.retain(|_, until| *until > now);
        down.iter().map(|(id, until)| (id.clone(), *until)).collect()
    }

    fn note(&self, id: &InstitutionId, logins: Option<Logins>, until: Timestamp) {
        let mut down = lock(&self.down);
        match logins {
            Some(Logins::Down) => drop(down.insert(id.clone(), until)),
            Some(Logins::Degraded | Logins::Healthy) | None => drop(down.remove(id)),
        }
    }

    /// Takes one of the calls that Plaid allows in a minute; if there is none left, says how long until there is.
    fn take(&self, now: Duration) -> Result<(), Duration> {
        let mut asked = lock(&self.asked);
        while asked.front().is_some_and(|oldest| now.saturating_sub(*oldest) >= MINUTE) {
            asked.pop_front();
        }
        match asked.front() {
            Some(oldest) if asked.len() >= ASKED_MAX => Err((*oldest + MINUTE).saturating_sub(now)),
            Some(_) | None => {
                asked.push_back(now);
                Ok(())
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// What a bank is called, if Plaid says so. A name that cannot be had is no reason to wait: letters then say "your bank".
    pub(super) async fn bank_name(&self, caller: Caller, item: &ItemId, id: &InstitutionId) -> Option<String> {
        let bank = self.banks.of(id);
        let mut known = bank.lock().await;
        if known.name.is_some() || known.is_younger(NAME_FAILED_LIFE, self.clock.now()) {
            return known.name.clone();
        }
        let codes = self.countries_of(item).await.ok()?;
        if let Err(error) = self.ask_bank(caller, id, &codes, &mut known).await {
            tracing::warn!(institution = %id, "bank {id}: its name is not known: {error}");
        }
        known.name.clone()
    }

    /// Whether the user of an Item can be sent to its bank now.
    pub(super) async fn door(&self, caller: Caller, item: &Item) -> Result<Door, StoreError> {
        let Some(id) = item.institution.as_ref().map(|bank| &bank.id) else { return Ok(Door::Open) };
        let bank = self.banks.of(id);
        let mut known = match caller {
            Caller::Letter | Caller::Routine => bank.lock().await,
            Caller::Person => match tokio::time::timeout(PATIENCE_OF_PEOPLE, bank.lock()).await {
                Ok(known) => known,
                Err(_) => return Ok(Door::Open),
            },
        };
        if !known.is_younger(STATUS_LIFE, self.clock.now()) {
            let codes = self.countries_of(&item.id).await?;
            match self.ask_bank(caller, id, &codes, &mut known).await {
                Ok(()) => {}
                Err(NoAnswer::Held { until, why }) => return Ok(Door::Unasked { until, why }),
                Err(NoAnswer::Call(error)) => {
                    tracing::warn!(institution = %id, "bank {id}: whether one can log in there is not known: {error}");
                }
            }
        }
        Ok(match (known.logins, known.asked_at) {
            (Some(Logins::Down), Some(asked)) => Door::Shut { until: later(asked, STATUS_LIFE) },
            (Some(Logins::Down | Logins::Degraded | Logins::Healthy) | None, _) => Door::Open,
        })
    }

    /// Asks Plaid, and notes what it says. A question that is held leaves what was known.
    async fn ask_bank(
        &self,
        caller: Caller,
        id: &InstitutionId,
        codes: &[String],
        known: &mut Known,
    ) -> Result<(), NoAnswer> {
        self.banks.take(self.clock.monotonic()).map_err(|wait| NoAnswer::Held {
            until: self.after(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)),
            why: "Plaid allows no more questions about banks within this minute",
        })?;
        let answer = self.call_beside(caller, None, self.plaid.institution(id, codes)).await;
        if let Err(NoAnswer::Held { .. }) = answer {
            return answer.map(drop);
        }
        let now = self.clock.now();
        known.asked_at = Some(now);
        known.logins = answer.as_ref().ok().and_then(|answer| answer.logins);
        self.banks.note(id, known.logins, later(now, STATUS_LIFE));
        let InstitutionAnswer { name, .. } = answer?;
        known.name = Some(name);
        Ok(())
    }

    /// The countries of an Item's bank: Plaid wants to know them, although the id says it all.
    async fn countries_of(&self, item: &ItemId) -> Result<Vec<String>, StoreError> {
        let own = self.store.item(item.clone()).await?.and_then(|record| record.country_codes);
        let configured = || self.config.plaid.country_codes.iter().map(|code| code.as_str().to_owned()).collect();
        Ok(own.filter(|codes| !codes.is_empty()).unwrap_or_else(configured))
    }
}

fn later(moment: Timestamp, wait: SignedDuration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaid_is_asked_no_more_often_than_it_allows() {
        let banks = Banks::default();
        let at = |millis: u64| Duration::from_millis(millis);
        for call in 0..400 {
            assert_eq!(banks.take(at(call)), Ok(()));
        }
        assert_eq!(banks.take(at(30_000)), Err(at(30_000)));
        assert_eq!(banks.take(at(60_000)), Ok(()), "the first is a minute ago");
        assert_eq!(banks.take(at(60_000)), Err(at(1)));
    }

    #[test]
    fn a_bank_is_down_until_it_is_up_or_the_word_is_old() {
        let banks = Banks::default();
        let id = InstitutionId::parse("ins_1").unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        banks.note(&id, Some(Logins::Down), at(300));
        assert_eq!(banks.down(at(299)), [(id.clone(), at(300))]);
        assert_eq!(banks.down(at(300)), []);
        banks.note(&id, Some(Logins::Down), at(600));
        banks.note(&id, None, at(900));
        assert_eq!(banks.down(at(599)), []);
    }

    #[test]
    fn what_was_asked_later_than_now_is_not_young() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let known = Known { asked_at: Some(at(1000)), ..Known::default() };
        assert!(known.is_younger(STATUS_LIFE, at(1000)) && known.is_younger(STATUS_LIFE, at(1299)));
        assert!(!known.is_younger(STATUS_LIFE, at(1300)) && !known.is_younger(STATUS_LIFE, at(999)));
    }
}
