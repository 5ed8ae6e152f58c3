//! Who waits for a letter, and for how long: nobody is forgotten.
//!
//! A wait goes on while the user could be written to about something; it begins anew when what stood in the way is gone. Days on
//! which the mailbox provider's cap was reached are nobody's fault.

use jiff::{SignedDuration, Timestamp};

use super::super::post::Post;
use super::books::is_capped;
use super::plan::Claim;
use super::world::World;

/// What a letter is waited for about, the most urgent first.
pub const LOGIN: usize = 0;
pub const WORD: usize = 1;
pub const EXPIRY: usize = 2;
pub const ACCOUNTS: usize = 3;

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Until it is known here: the daily question, or the round after a start.
const FOUND: SignedDuration = hours(25);
/// The wait for self-healing, and for other Items to join.
const FIRST_RUNG: SignedDuration = hours(1);
/// The breaker.
const HOLD: SignedDuration = hours(6);
/// After another letter.
const GAP: SignedDuration = hours(24);
/// From 18:00 to 09:00, in a night in which clocks are set back; and another one, if a mail server made it late.
const NIGHTS: SignedDuration = hours(2 * 16);
/// Until the mail server takes it.
const MAIL: SignedDuration = hours(8);
/// The longest way from one rung to the next.
const NEXT_RUNG: SignedDuration = hours(7 * 24);
/// After the notice of new accounts.
const ACCOUNTS_RUNG: SignedDuration = hours(24);
/// New accounts that nobody chose lapse.
const ACCOUNTS_LAPSE: SignedDuration = hours(30 * 24);
/// "It works again" is no news after this time.
const WORD_MAX: SignedDuration = hours(72);
/// A login that breaks again this soon after its repair may go on with an old ladder.
pub const ONE_LADDER: SignedDuration = hours(8 * 24);
const MONTH: SignedDuration = hours(30 * 24);

/// A wait for a letter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    pub open: bool,
    /// Since when nothing has stood in the way.
    since: Option<Timestamp>,
    /// Letters that came.
    letters: u32,
    /// Whether nothing can be demanded, since an old ladder may go on.
    excused: bool,
}

impl<S: Post> World<'_, S> {
    pub fn begins_to_wait(&mut self, item: u32, about: usize) {
        let unit = &mut self.books.units[item as usize];
        let goes_on = self.now.duration_since(unit.mended_at) < ONE_LADDER;
        let wait = &mut unit.waits[about];
        if !wait.open {
            *wait = Wait { open: true, since: None, letters: 0, excused: goes_on && about == LOGIN };
        }
        self.look(item);
    }

    /// Something may have changed: who waits, or whether anything stands in the way.
    pub fn look(&mut self, item: u32) {
        let now = self.now;
        for about in [LOGIN, WORD, EXPIRY, ACCOUNTS] {
            let wait = self.books.units[item as usize].waits[about];
            if !wait.open {
                continue;
            }
            let goes_on = self.is_still_waited_for(item, about);
            let able = goes_on && self.is_able(item, about);
            if let Some(since) = wait.since.filter(|_| !able) {
                self.judge(item, about, since);
            }
            let wait = &mut self.books.units[item as usize].waits[about];
            wait.since = if able { wait.since.or(Some(now)) } else { None };
            wait.open = goes_on;
        }
    }

    /// Whether the reason to write is still there.
    fn is_still_waited_for(&self, item: u32, about: usize) -> bool {
        let unit = &self.books.units[item as usize];
        let truth = &unit.truth;
        if unit.forgotten || truth.gone || truth.withdrawn {
            return false;
        }
        match about {
            LOGIN => truth.broken && !unit.ended,
            WORD => !truth.broken && unit.owed > 0 && self.now.duration_since(unit.mended_at) < WORD_MAX,
            EXPIRY => truth.consent_ends.is_some_and(|ends| ends > self.now && ends <= self.now + hours(7 * 24)),
            _ => unit.accounts && self.now.duration_since(unit.accounts_at) < ACCOUNTS_LAPSE,
        }
    }

    /// Whether nothing stands in the way of a letter.
    fn is_able(&self, item: u32, about: usize) -> bool {
        let unit = &self.books.units[item as usize];
        let one = &self.books.people[unit.person as usize];
        let bank = &self.books.banks[unit.bank as usize];
        let reachable = one.address > 0 && !one.is_dead && !one.stopped && one.snoozed_until <= self.now;
        let said_down = bank.outage.is_some_and(|outage| self.books.outages[outage as usize].said);
        let calm = !unit.truth.bank_down && !said_down && unit.snoozed_until <= self.now && !unit.foreign;
        let urgent = match about {
            LOGIN => true,
            WORD => !unit.truth.broken,
            EXPIRY => !unit.truth.broken && !unit.waits[WORD].open,
            _ => !unit.truth.broken && !unit.waits[WORD].open && !self.is_still_waited_for(item, EXPIRY),
        };
        reachable && calm && urgent && self.books.is_down(self.now).is_none()
    }

    /// A letter about an Item left.
    pub fn written_about(&mut self, item: u32, about: usize) {
        let now = self.now;
        let wait = self.books.units[item as usize].waits[about];
        if let Some(since) = wait.since {
            self.judge(item, about, since);
            let is_capped = is_capped(self.books.people[self.books.units[item as usize].person as usize].domain);
            if about == LOGIN && wait.letters == 0 && !wait.excused && !is_capped {
                let minutes = now.duration_since(since).as_mins();
                self.outcome.waited.push(u32::try_from(minutes).unwrap_or(0));
            }
        }
        let wait = &mut self.books.units[item as usize].waits[about];
        wait.letters += 1;
        wait.since = wait.since.map(|_| now);
        // Of the others only the first letter is demanded.
        if about != LOGIN {
            self.ends_to_wait(item, about);
        }
    }

    /// All that can be demanded was written.
    pub fn ends_to_wait(&mut self, item: u32, about: usize) {
        let wait = &mut self.books.units[item as usize].waits[about];
        (wait.open, wait.since) = (false, None);
    }

    /// Whether a wait that ends now was too long.
    fn judge(&mut self, item: u32, about: usize, since: Timestamp) {
        let (now, unit) = (self.now, &self.books.units[item as usize]);
        let (wait, person) = (unit.waits[about], unit.person);
        let had_its_letters = unit.recent.iter().filter(|at| since.duration_since(**at) < MONTH).count() >= 6;
        let over = match about {
            WORD => unit.mended_at + WORD_MAX,
            EXPIRY => unit.truth.consent_ends.unwrap_or(now),
            ACCOUNTS => unit.accounts_at + ACCOUNTS_LAPSE,
            _ => now,
        };
        let waited = now.min(over).duration_since(since);
        let mut allowed = FOUND + FIRST_RUNG + HOLD + GAP + NIGHTS + MAIL;
        if about == LOGIN && wait.letters > 0 {
            allowed += NEXT_RUNG;
        }
        if about == ACCOUNTS {
            allowed += ACCOUNTS_RUNG;
        }
        if about == WORD {
            // It answers, and stands back for no other letter.
            allowed = FOUND + NIGHTS + MAIL;
        }
        if is_capped(self.books.people[person as usize].domain) {
            allowed += hours(24 * self.full_days(since));
        }
        if wait.excused || had_its_letters {
            return;
        }
        if waited > allowed {
            let what = ["a broken login", "the word that it works", "an ending consent", "new accounts"][about];
            let so_far = wait.letters;
            self.wrong(
                person,
                Claim::Written,
                format!("waits for a letter about {what} of Item {item} since {since}: {waited:#} and {so_far} letters so far"),
            );
        }
    }

    /// Days since a moment on which the capped provider had nearly all that it may have, and the one after each.
    fn full_days(&self, since: Timestamp) -> i64 {
        let day = |at: Timestamp| at.as_second().div_euclid(24 * 60 * 60);
        let days = self.books.provider_days.range(day(since) - 1..=day(self.now));
        let full = days.filter(|(_, letters)| **letters * 10 >= self.plan.provider_cap * 9).count();
        i64::try_from(full).expect("few").saturating_mul(2)
    }

    /// The year is over: whoever still waits has waited until now.
    pub fn end_of_waits(&mut self) {
        let fullest = self.books.provider_days.values().copied().max().unwrap_or(0);
        self.outcome.counts.insert("letters on the fullest day of the provider that has a cap", u64::from(fullest));
        for item in 0..u32::try_from(self.books.units.len()).expect("few") {
            self.look(item);
            for about in [LOGIN, WORD, EXPIRY, ACCOUNTS] {
                let wait = self.books.units[item as usize].waits[about];
                if let Some(since) = wait.since.filter(|_| wait.open) {
                    self.judge(item, about, since);
                }
            }
        }
    }
}
