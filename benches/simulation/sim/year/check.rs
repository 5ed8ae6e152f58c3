//! The claims, held against the books: what changed, what was heard, which letters left.
//!
//! Written on its own: nothing here asks `compose`, a ladder or a window what it thinks. The figures stand here once more.

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::Line;
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::effect::Notice;
use relinkd::domain::event::Topic;
use relinkd::domain::ids::ItemId;
use relinkd::domain::item::Kind;
use relinkd::store::ClaimedLetter;

use super::super::post::Post;
use super::super::truth::{Says, Truth, Turn};
use super::books::{DOMAINS, OutageKind, is_capped};
use super::plan::{Claim, Planted};
use super::waits::{ACCOUNTS, EXPIRY, LOGIN, ONE_LADDER, WORD};
use super::world::{World, number};

const DAY_SECS: i64 = 24 * 60 * 60;
const OPENS_SECS: i64 = 9 * 60 * 60;
const SHUTS_SECS: i64 = 18 * 60 * 60;
const GAP: SignedDuration = SignedDuration::from_hours(24);
const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);
const IN_A_MONTH: usize = 6;
const HEALS_BY_ITSELF: SignedDuration = SignedDuration::from_mins(30);
const SHORT_OUTAGE: SignedDuration = SignedDuration::from_hours(6);
const RUNGS: u8 = 4;
const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Until then nobody knows of a press of which the page did not tell; and Plaid never tells of accounts.
const PRESS_UNTOLD: SignedDuration = SignedDuration::from_mins(35);
/// How long ago "right before" may be.
const JUST_NOW: SignedDuration = SignedDuration::from_secs(4);

impl<S: Post> World<'_, S> {
    /// Something may have changed at Plaid. Says whether it did.
    pub fn turned(&mut self, item: u32, before: &Truth, turn: Turn, outage: Option<u32>) -> bool {
        let now = self.now;
        let unit = &mut self.books.units[item as usize];
        let (was, is) = (before.broken, unit.truth.broken);
        if let Turn::ConsentNears { ends } = turn
            && unit.truth.consent_ends == Some(ends)
        {
            self.begins_to_wait(item, EXPIRY);
        }
        let unit = &mut self.books.units[item as usize];
        let accounts = matches!(turn, Turn::AccountsOpen) && !unit.truth.gone;
        if *before == unit.truth && !accounts && !matches!(turn, Turn::Repairs { .. }) {
            self.look(item);
            return false;
        }
        unit.changed_at = now;
        unit.accounts |= accounts;
        if let Turn::Repairs { .. } = turn {
            unit.repaired_at = now;
            unit.accounts = false;
        }
        if is && !was {
            unit.unheard = unit.answered_at < unit.mended_at;
            let broke_before = std::mem::replace(&mut unit.broke_at, now);
            if now.duration_since(unit.mended_at) > ONE_LADDER {
                // What was not said by now is no news any more.
                unit.owed = 0;
            }
            unit.outage = outage;
            // The same login a moment ago is no second one.
            unit.is_known = now.duration_since(broke_before) < SignedDuration::from_mins(10);
            (unit.reminders, unit.ended) = (0, false);
            self.outcome.count("breaks");
            self.begins_to_wait(item, LOGIN);
        }
        if was && !is {
            self.books.units[item as usize].mended_at = now;
            self.break_over(item);
        }
        self.look(item);
        true
    }

    fn break_over(&mut self, item: u32) {
        let unit = &self.books.units[item as usize];
        let (person, reminders) = (unit.person, unit.reminders);
        let lasted = self.now.duration_since(unit.broke_at);
        if lasted < HEALS_BY_ITSELF {
            let unheard = unit.unheard;
            self.outcome.count("breaks that healed within 30 minutes");
            if reminders > 0 && !unheard {
                self.wrong(
                    person,
                    Claim::Healed,
                    format!("Item {item} healed after {lasted:#}, and there was a letter"),
                );
            }
        }
        if reminders > 0 {
            self.begins_to_wait(item, WORD);
        }
    }

    /// A webhook came.
    pub fn heard(&mut self, item: u32, says: Says) {
        let unit = &self.books.units[item as usize];
        match says {
            Says::Broken => self.learns_of_break(item),
            Says::Accounts if unit.accounts => {
                self.books.units[item as usize].accounts_at = self.now;
                self.begins_to_wait(item, ACCOUNTS);
            }
            Says::Accounts | Says::Repaired | Says::Ends(_) | Says::Withdrawn => {}
        }
    }

    /// Plaid said something of an Item. With a foreign token nobody knows more of it, and what is taken for broken since
    /// the last time breaks no more.
    pub fn learns_of_break(&mut self, item: u32) {
        let unit = &mut self.books.units[item as usize];
        if unit.truth.broken && !unit.foreign && !unit.unheard && !std::mem::replace(&mut unit.is_known, true) {
            let outage = unit.outage.map(|outage| &mut self.books.outages[outage as usize]);
            outage.into_iter().for_each(|outage| outage.known.push(self.now));
        }
    }

    /// The body of a letter begins to go out.
    pub fn begun(&mut self, person: u32, letter: &ClaimedLetter, to: &EmailAddress) {
        let now = self.now;
        let one = &self.books.people[person as usize];
        let offset = i64::from(self.books.zones[one.zone].to_offset(now).seconds());
        let of_the_day = (now.as_second() + offset).rem_euclid(DAY_SECS);
        let address = format!("user-{person}-{}@{}", one.address, DOMAINS[one.domain]);
        let (stopped, snoozed, bounced) = (one.stopped, one.snoozed_until > now, one.has_bounced);
        let about: Vec<u32> = letter.lines.iter().map(|line| number(line.item.as_str())).collect();
        self.note(person, || format!("letter {} begins to leave: {:?}", letter.id, letter.lines));
        if !(OPENS_SECS..SHUTS_SECS).contains(&of_the_day) {
            let clock = format!("{:02}:{:02}:{:02}", of_the_day / 3600, of_the_day / 60 % 60, of_the_day % 60);
            self.wrong(person, Claim::ByDay, format!("it is {clock} where the user is"));
        }
        if stopped || snoozed {
            self.wrong(person, Claim::Wanted, "the user wants no letters now".to_owned());
        }
        if bounced || to.as_str() != address {
            self.wrong(person, Claim::Reachable, "the address takes no letters, or is not the user's".to_owned());
        }
        for item in about {
            if self.books.units[item as usize].snoozed_until > now {
                self.wrong(person, Claim::Wanted, format!("Item {item} is snoozed"));
            }
        }
    }

    pub fn bounced(&mut self, person: u32) {
        self.books.people[person as usize].has_bounced = true;
    }

    /// A letter was taken by the mail server.
    pub fn left(&mut self, person: u32, letter: &ClaimedLetter, asked_at: Timestamp) {
        let now = self.now;
        self.outcome.count("letters");
        if self.plan.users <= 5000 {
            self.outcome.letters.push((now, person, letter.lines.clone()));
        }
        let one = &mut self.books.people[person as usize];
        if letter.lines.iter().any(|line| line.topic != Topic::WorksAgain) {
            let before = std::mem::replace(&mut one.reminded_at, now);
            if now.duration_since(before) < GAP {
                self.wrong(person, Claim::Gap, format!("the last reminder left at {before}"));
            }
        }
        if is_capped(self.books.people[person as usize].domain) {
            let count = self.books.provider_days.entry(now.as_second().div_euclid(DAY_SECS)).or_default();
            *count += 1;
            let (count, cap) = (*count, self.plan.provider_cap);
            if count > cap {
                self.wrong(person, Claim::ProviderCap, format!("number {count} of the day, and the cap is {cap}"));
            }
        }
        for line in &letter.lines {
            self.line(person, line, asked_at);
        }
    }

    fn line(&mut self, person: u32, line: &Line, asked_at: Timestamp) {
        let now = self.now;
        let item = number(line.item.as_str());
        let unit = &mut self.books.units[item as usize];
        unit.recent.retain(|at| now.duration_since(*at) < MONTH * 2);
        unit.recent.push(now);
        let in_a_month = unit.recent.iter().filter(|at| now.duration_since(**at) < MONTH).count();
        let overtaken = unit.changed_at > asked_at;
        let asked = unit.answered_at >= asked_at && now.duration_since(asked_at) < JUST_NOW;
        let truth = &unit.truth;
        let helpless = unit.foreign || unit.forgotten || truth.gone || truth.withdrawn || truth.bank_down;
        if in_a_month > IN_A_MONTH {
            self.wrong(person, Claim::ItemCap, format!("{in_a_month} letters about Item {item} in 30 days"));
        }
        if !asked {
            self.wrong(person, Claim::Asked, format!("Plaid was not asked about Item {item}"));
        }
        if helpless && !overtaken {
            self.wrong(person, Claim::Fixable, format!("there is nothing to be done about Item {item}"));
        }
        let so = match line.topic {
            Topic::FreshLink => false,
            Topic::WorksAgain => self.word(item),
            Topic::Reminder { kind, rung } => self.reminder(item, kind, rung),
        };
        match (so, overtaken) {
            (true, _) => {}
            (false, true) => self.outcome.count("overtaken within the last three seconds"),
            (false, false) => self.wrong(person, Claim::So, format!("of Item {item} it is not so: {:?}", line.topic)),
        }
    }

    fn word(&mut self, item: u32) -> bool {
        self.outcome.count("lines: it works again");
        self.written_about(item, WORD);
        let unit = &mut self.books.units[item as usize];
        let was_owed = std::mem::take(&mut unit.owed) > 0;
        was_owed && !unit.truth.broken
    }

    /// Whether a reminder says what is so.
    fn reminder(&mut self, item: u32, kind: Kind, rung: u8) -> bool {
        let now = self.now;
        match kind {
            Kind::Revoked => {
                let person = self.books.units[item as usize].person;
                self.wrong(person, Claim::Fixable, format!("its user withdrew permission for Item {item}"));
                self.books.units[item as usize].truth.withdrawn
            }
            Kind::LoginRequired => {
                const NAMES: [&str; 4] =
                    ["lines: login, rung 1", "lines: login, rung 2", "lines: login, rung 3", "lines: login, the last"];
                self.outcome.count(NAMES.get(usize::from(rung)).unwrap_or(&"lines: login, beyond the last"));
                self.written_about(item, LOGIN);
                self.login(item, rung)
            }
            Kind::PendingExpiration => {
                self.outcome.count("lines: consent ends");
                self.written_about(item, EXPIRY);
                let ends = self.books.units[item as usize].truth.consent_ends;
                ends.is_some_and(|ends| ends > now && ends <= now + NOTICE)
            }
            Kind::NewAccounts => {
                self.outcome.count("lines: new accounts");
                self.written_about(item, ACCOUNTS);
                let unit = &self.books.units[item as usize];
                unit.accounts || now.duration_since(unit.repaired_at) < PRESS_UNTOLD
            }
        }
    }

    fn login(&mut self, item: u32, rung: u8) -> bool {
        let unit = &mut self.books.units[item as usize];
        let (person, broken, ended) = (unit.person, unit.truth.broken, unit.ended);
        unit.owed += 1;
        unit.reminders += 1;
        unit.ended |= rung + 1 >= RUNGS;
        let reminders = unit.reminders;
        if let Some(outage) = unit.outage
            && self.books.banks[unit.bank as usize].outage == Some(outage)
        {
            let outage = &mut self.books.outages[outage as usize];
            if outage.letters == 0 {
                outage.first_letter_to = person;
            }
            outage.letters += 1;
        }
        if rung + 1 >= RUNGS {
            self.ends_to_wait(item, LOGIN);
        }
        if ended || reminders > RUNGS {
            self.wrong(person, Claim::Ladder, format!("reminder {reminders} about one break of Item {item}"));
        }
        broken
    }

    /// What the operator and the application were told when a letter had left.
    pub fn told(&mut self, lines: &[Line], told: &[(ItemId, Notice)]) {
        for line in lines {
            let Topic::Reminder { kind: Kind::LoginRequired, rung } = line.topic else { continue };
            let item = number(line.item.as_str());
            let unit = &self.books.units[item as usize];
            if rung + 1 < RUNGS || !unit.truth.broken {
                continue;
            }
            let person = unit.person;
            let said =
                told.iter().any(|(about, notice)| *about == line.item && matches!(notice, Notice::LadderEnded { .. }));
            if said && self.plan.planted != Planted::EndUntold {
                self.outcome.count("ladders that ended, and it was told");
            } else {
                self.wrong(person, Claim::EndTold, format!("the last letter about Item {item} left"));
            }
        }
    }

    pub fn outage_over(&mut self, number: u32) {
        let outage = &self.books.outages[number as usize];
        let (letters, person) = (outage.letters, outage.first_letter_to);
        let lasted = outage.ends.duration_since(outage.begins);
        let minutes = |n: i64| SignedDuration::from_mins(n);
        let within = |from: &Timestamp| {
            outage.known.iter().filter(|at| **at >= *from && at.duration_since(*from) < minutes(9)).count()
        };
        let burst = outage.known.iter().map(within).max().unwrap_or(0);
        let what = match (outage.kind, lasted < SHORT_OUTAGE) {
            (OutageKind::Down, _) => "outages: the bank is down",
            (OutageKind::Logins, false) => "outages: logins fail for longer than six hours",
            (OutageKind::Logins, true) if burst >= 2 => "outages: logins fail together, shorter than six hours",
            (OutageKind::Logins, true) if outage.said => "outages: a login fails, and Plaid says that the bank is down",
            (OutageKind::Logins, true) if burst == 1 => "outages: no second login is known to fail with the first",
            (OutageKind::Logins, true) => "outages: no login fails, or nobody knows",
        };
        let tellable = burst >= 2 || outage.said;
        self.outcome.count(what);
        if letters == 0 || lasted >= SHORT_OUTAGE {
            return;
        }
        if tellable {
            let what = format!(
                "{letters} letters about an outage of {lasted:#} at bank {}",
                self.books.outages[number as usize].bank
            );
            self.wrong(person, Claim::Outage, what);
        } else {
            *self.outcome.counts.entry("letters in outages of which no two logins are known").or_default() +=
                u64::from(letters);
        }
    }
}
