//! What the store keeps of users and letters, in memory: its tables `users`, `letters`, `breaks` and `provider_days` as maps.
//! Pauses are not here: a world in which the mail server finds the sender at fault is one for the real store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::{Circumstances, Composition, Line, Sent, Silence, says_more, still_wanted};
use relinkd::domain::effect::Notice;
use relinkd::domain::event::{Event, Mention, Topic};
use relinkd::domain::ids::{Institution, InstitutionId, ItemId, LetterId, UserId};
use relinkd::domain::item::Item;
use relinkd::domain::outage::{BURST_MINUTES, Outage, is_break, is_burst};
use relinkd::domain::provider::Cap;
use relinkd::store::{Begun, ClaimedLetter, Composer, Departure, LetterOutcome, NewProfile, Profile, Refusal, Wish};

use super::post::{Post, Written};
use super::pure::Pure;

/// How far back letters matter.
const HISTORY: SignedDuration = SignedDuration::from_hours(31 * 24);

#[derive(Default)]
pub struct Office {
    people: HashMap<UserId, Person>,
    due_users: BTreeSet<(Timestamp, UserId)>,
    letters: HashMap<LetterId, Letter>,
    due_letters: BTreeSet<(Timestamp, LetterId)>,
    banks: BTreeMap<InstitutionId, Bank>,
    /// Those whose outage may still hold.
    struck: BTreeSet<InstitutionId>,
    suppressed: HashSet<String>,
    provider_days: HashMap<(String, i64), u32>,
}

#[derive(Default)]
struct Person {
    profile: Option<Profile>,
    stopped_at: Option<Timestamp>,
    snoozed_until: Option<Timestamp>,
    owned: Vec<ItemId>,
    due_at: Option<Timestamp>,
    underway: Option<LetterId>,
    sent: Vec<Sent>,
}

struct Letter {
    claimed: ClaimedLetter,
    counted: Option<(String, i64)>,
    /// Whether it was put off before a mail server heard of it.
    waits: bool,
}

/// How much broke at a bank, by the minute, and its outage.
#[derive(Default)]
struct Bank {
    items: i64,
    breaks: BTreeMap<i64, i64>,
    outage: Option<Outage>,
}

fn minute(now: Timestamp) -> i64 {
    now.as_second() / 60
}

fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(24 * 60 * 60)
}

impl Bank {
    /// One more login broke. Says whether that is an outage.
    fn breaks(&mut self, now: Timestamp) -> bool {
        let minute = minute(now);
        *self.breaks.entry(minute).or_default() += 1;
        self.breaks = self.breaks.split_off(&(minute - BURST_MINUTES + 1));
        let broken: i64 = self.breaks.values().sum();
        let is_burst = is_burst(broken, self.items);
        if is_burst {
            self.outage = Some(self.outage.map_or(Outage::begins(minute), |outage| outage.goes_on(minute)));
        }
        is_burst
    }

    fn held_until(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.outage?.holds_until() * 60).ok()
    }
}

impl Office {
    pub(super) fn own(&mut self, user: &UserId, item: &ItemId, bank: Option<&Institution>) {
        self.people.entry(user.clone()).or_default().owned.push(item.clone());
        if let Some(bank) = bank {
            self.banks.entry(bank.id.clone()).or_default().items += 1;
        }
    }

    /// What follows for the user and the bank from a step with an Item.
    pub(super) fn stepped(&mut self, before: &Item, after: &Item, speaks_at: Option<Timestamp>, now: Timestamp) {
        if let Some(at) = speaks_at {
            let due = self.people.get(&after.user).and_then(|person| person.due_at);
            self.look_again(&after.user, Some(due.map_or(at, |due| due.min(at))));
        }
        let broke = is_break(before, after, now);
        let is_removed = after.removed.is_some() && before.removed.is_none();
        let Some(bank) = after.institution.as_ref().filter(|_| broke || is_removed) else { return };
        let counted = self.banks.entry(bank.id.clone()).or_default();
        if is_removed {
            counted.items -= 1;
        }
        if broke && counted.breaks(now) {
            self.struck.insert(bank.id.clone());
        }
    }

    fn look_again(&mut self, id: &UserId, at: Option<Timestamp>) {
        let Some(person) = self.people.get_mut(id) else { return };
        if let Some(due) = std::mem::replace(&mut person.due_at, at) {
            self.due_users.remove(&(due, id.clone()));
        }
        if let Some(at) = at {
            self.due_users.insert((at, id.clone()));
        }
    }

    fn profile(&self, id: &UserId) -> Option<Profile> {
        let person = self.people.get(id)?;
        let profile = person.profile.clone()?;
        let is_suppressed = profile.email.as_ref().is_some_and(|email| self.suppressed.contains(email.as_str()));
        let (stopped_at, snoozed_until) = (person.stopped_at, person.snoozed_until);
        let suppressed_at = is_suppressed.then_some(Timestamp::UNIX_EPOCH);
        Some(Profile { stopped_at, snoozed_until, suppressed_at, ..profile })
    }

    fn full_until(&self, cap: &Cap, now: Timestamp) -> Option<Timestamp> {
        let letters = self.provider_days.get(&(cap.provider.clone(), day(now))).copied().unwrap_or(0);
        let tomorrow = Timestamp::from_second((day(now) + 1) * 24 * 60 * 60).expect("a time");
        (letters >= cap.letters).then_some(tomorrow)
    }

    fn count(&mut self, provider: &str, now: Timestamp) -> (String, i64) {
        let place = (provider.to_owned(), day(now));
        *self.provider_days.entry(place.clone()).or_default() += 1;
        place
    }

    fn count_for_provider(&mut self, id: LetterId, cap: &Cap, now: Timestamp) -> Option<Timestamp> {
        let today = (cap.provider.clone(), day(now));
        if self.letters.get(&id).is_some_and(|letter| letter.counted.as_ref() == Some(&today)) {
            return None;
        }
        let full = self.full_until(cap, now);
        if full.is_none() {
            let counted = self.count(&cap.provider, now);
            self.letters.get_mut(&id).expect("it is under way").counted = Some(counted);
        }
        full
    }

    /// The letters of the last 31 days, and the one that is on its way.
    fn history(&mut self, id: &UserId, now: Timestamp) -> Vec<Sent> {
        let Some(person) = self.people.get_mut(id) else { return Vec::new() };
        person.sent.retain(|sent| now.duration_since(sent.at) < HISTORY);
        person.sent.clone()
    }
}

impl Pure {
    fn mention(
        &mut self,
        letter: LetterId,
        lines: &[Line],
        now: Timestamp,
        event: impl Fn(Mention) -> Event,
    ) -> Vec<(ItemId, Notice)> {
        let mut told = Vec::new();
        for line in lines {
            let mention = Mention { letter, episode: line.episode, topic: line.topic };
            told.extend(self.take(&line.item, &event(mention), now).into_iter().map(|told| (line.item.clone(), told)));
        }
        told
    }

    /// Writes a letter's row.
    fn write(&mut self, id: LetterId, user: &UserId, lines: &[Line], cap: Option<&Cap>, now: Timestamp) {
        let claimed = ClaimedLetter {
            id,
            user: user.clone(),
            composed_at: now,
            link_id: String::new(),
            attempts: 0,
            note: None,
            uncertain: 0,
            lines: lines.to_vec(),
            references: Vec::new(),
        };
        let counted = cap.map(|cap| self.office.count(&cap.provider, now));
        self.office.letters.insert(id, Letter { claimed, counted, waits: false });
        self.office.due_letters.insert((now, id));
        self.office.people.get_mut(user).expect("whoever is written to is there").underway = Some(id);
        self.mention(id, lines, now, Event::LetterComposed);
    }

    fn drop_all(&mut self, letter: LetterId, lines: &[Line], now: Timestamp) {
        if let Some(kept) = self.office.letters.get_mut(&letter) {
            kept.claimed.lines.retain(|line| !lines.contains(line));
        }
        self.mention(letter, lines, now, Event::LetterWithheld);
    }

    /// Takes back a letter that waits, in favour of one that says more.
    fn withdraw(&mut self, letter: LetterId, user: &UserId, now: Timestamp) {
        let lines = self.office.letters[&letter].claimed.lines.clone();
        self.drop_all(letter, &lines, now);
        self.office.due_letters.retain(|(_, due)| *due != letter);
        let counted = self.office.letters.remove(&letter).and_then(|letter| letter.counted);
        if let Some(letters) = counted.and_then(|place| self.office.provider_days.get_mut(&place)) {
            *letters -= 1;
        }
        self.office.people.get_mut(user).expect("whoever is written to is there").underway = None;
    }

    fn put_off(&mut self, letter: LetterId, until: Timestamp, why: String, attempt: bool) {
        let kept = self.office.letters.get_mut(&letter).expect("it is under way");
        kept.claimed.attempts += u32::from(attempt);
        kept.waits = kept.claimed.attempts == 0;
        kept.claimed.note = Some(why);
        self.office.due_letters.insert((until, letter));
    }
}

impl Post for Pure {
    fn put_user(&mut self, user: NewProfile, now: Timestamp) {
        let person = self.office.people.entry(user.id.clone()).or_default();
        person.profile = Some(Profile {
            id: user.id.clone(),
            email: user.email,
            name: user.name,
            locale: user.locale,
            time_zone: user.time_zone,
            stopped_at: None,
            suppressed_at: None,
            snoozed_until: None,
            created_at: now,
            updated_at: now,
        });
        let has_items = !person.owned.is_empty();
        self.office.look_again(&user.id, has_items.then_some(now));
    }

    fn wish(&mut self, user: &UserId, wish: Wish, now: Timestamp) {
        let person = self.office.people.entry(user.clone()).or_default();
        (person.stopped_at, person.snoozed_until) = match wish {
            Wish::Stop => (person.stopped_at.or(Some(now)), None),
            Wish::Resume => (None, None),
            Wish::SnoozeUntil(until) => (None, Some(until)),
            Wish::PauseUntil(_) => unreachable!("nobody pauses letters for others here"),
        };
        self.office.look_again(user, Some(now));
    }

    fn held_banks(&mut self, now: Timestamp) -> Vec<(InstitutionId, Timestamp)> {
        let Office { banks, struck, .. } = &mut self.office;
        let held_until = |id: &InstitutionId| banks[id].held_until().filter(|until| *until > now);
        struck.retain(|id| held_until(id).is_some());
        struck.iter().filter_map(|id| Some((id.clone(), held_until(id)?))).collect()
    }

    fn due_users(&mut self, now: Timestamp) -> Vec<UserId> {
        self.office.due_users.iter().take_while(|(due, _)| *due <= now).map(|(_, user)| user.clone()).collect()
    }

    fn compose(&mut self, user: UserId, composer: Composer, now: Timestamp) {
        self.office.look_again(&user, None);
        let Some(profile) = self.office.profile(&user) else { return };
        let sent = self.office.history(&user, now);
        let waiting = self.office.people[&user].underway.filter(|letter| self.office.letters[letter].waits);
        let underway = waiting.is_none() && self.office.people[&user].underway.is_some();
        let cap = profile.email.as_ref().and_then(|email| composer.caps.of(email.domain()));
        let someone = profile.for_letters(&composer.default_zone, composer.channel);
        let compose = |pure: &Self| {
            let person = &pure.office.people[&user];
            let owned: Vec<Item> = person.owned.iter().filter_map(|id| pure.item(id).cloned()).collect();
            let provider_full_until = cap.and_then(|cap| pure.office.full_until(cap, now));
            let circumstances = Circumstances { underway, held: composer.held.clone(), provider_full_until };
            (composer.compose)(&someone, &owned, &sent, &circumstances)
        };
        let mut composition = compose(self);
        if let (Composition::Write(lines), Some(waiting)) = (&composition, waiting) {
            composition = if says_more(lines, &self.office.letters[&waiting].claimed.lines) {
                self.withdraw(waiting, &user, now);
                compose(self)
            } else {
                Composition::Nothing(Silence::Underway)
            };
        }
        self.office.look_again(&user, None);
        match composition {
            Composition::Nothing(_) => {}
            Composition::Wait { until, .. } => self.office.look_again(&user, Some(until)),
            Composition::Write(lines) => self.write(composer.letter, &user, &lines, cap, now),
        }
    }

    fn claim_letters(&mut self, now: Timestamp) -> Vec<ClaimedLetter> {
        let office = &mut self.office;
        let due: Vec<_> = office.due_letters.iter().take_while(|(due, _)| *due <= now).copied().collect();
        due.into_iter()
            .map(|entry| {
                office.due_letters.remove(&entry);
                let letter = office.letters.get_mut(&entry.1).expect("it is under way");
                letter.waits = false;
                letter.claimed.clone()
            })
            .collect()
    }

    fn written(&mut self, letter: &ClaimedLetter) -> Written {
        let found = letter.lines.iter().filter_map(|line| Some((line.item.clone(), self.item(&line.item)?.clone())));
        let items = found.collect();
        Written { profile: self.office.profile(&letter.user), items }
    }

    fn drop_lines(&mut self, letter: LetterId, lines: Vec<Line>, now: Timestamp) {
        self.drop_all(letter, &lines, now);
    }

    fn start_data(&mut self, letter: Departure, now: Timestamp) -> Begun {
        let Some(profile) = self.office.profile(&letter.user) else { return Begun::Unwanted };
        let person = profile.for_letters(&letter.default_zone, letter.channel);
        let lines = &self.office.letters[&letter.id].claimed.lines;
        let is_wanted = |line: &Line| {
            self.item(&line.item).is_some_and(|item| still_wanted(line, item, &person, now, &letter.policy))
        };
        if profile.email != letter.to || !lines.iter().all(is_wanted) {
            return Begun::Unwanted;
        }
        if let Some(until) = letter.policy.send_window.opens_at(now, &person.time_zone).filter(|until| *until > now) {
            return Begun::Night(until);
        }
        let full = letter.cap.as_ref().and_then(|cap| self.office.count_for_provider(letter.id, cap, now));
        full.map_or(Begun::Go, Begun::Full)
    }

    fn settle_letter(
        &mut self,
        letter: ClaimedLetter,
        outcome: LetterOutcome,
        now: Timestamp,
    ) -> Vec<(ItemId, Notice)> {
        let mut told = Vec::new();
        let left = match outcome {
            LetterOutcome::Deferred { until, why, attempt } => {
                self.put_off(letter.id, until, why, attempt);
                if !attempt {
                    self.office.look_again(&letter.user, Some(now));
                }
                return told;
            }
            LetterOutcome::SenderAtFault { until, why } | LetterOutcome::Uncertain { again_at: Some(until), why } => {
                self.put_off(letter.id, until, why, true);
                return told;
            }
            LetterOutcome::Accepted { .. }
            | LetterOutcome::WrittenDown { .. }
            | LetterOutcome::Uncertain { again_at: None, .. } => {
                told = self.mention(letter.id, &letter.lines, now, Event::LetterSent);
                true
            }
            LetterOutcome::Withheld { .. } => {
                self.drop_all(letter.id, &letter.lines, now);
                false
            }
            LetterOutcome::Bounced { refusal: Refusal::Gone(address), .. } => {
                self.drop_all(letter.id, &letter.lines, now);
                self.office.suppressed.insert(address.as_str().to_owned());
                false
            }
            LetterOutcome::Bounced { refusal: Refusal::Mailbox | Refusal::Letter, .. } => {
                told = self.mention(letter.id, &letter.lines, now, Event::LetterRefused);
                false
            }
        };
        self.office.letters.remove(&letter.id);
        let person = self.office.people.get_mut(&letter.user).expect("whoever is written to is there");
        person.underway = None;
        if left {
            let reminder = letter.lines.iter().any(|line| line.topic != Topic::WorksAgain);
            let items = letter.lines.iter().map(|line| line.item.clone()).collect();
            person.sent.push(Sent { at: now, items, reminder });
        }
        self.office.look_again(&letter.user, Some(now));
        told
    }

    fn next_letters(&mut self) -> Option<Timestamp> {
        let users = self.office.due_users.first().map(|(at, _)| *at);
        let letters = self.office.due_letters.first().map(|(at, _)| *at);
        users.into_iter().chain(letters).min()
    }
}
