//! A simulated world around the pure core: Plaid's truth, webhooks that get lost, a mail server with moods, users who press or
//! do not; and between them the shell's protocol (outbox, due times, letters) in a few lines, without a store. Time jumps to
//! whatever is due next. What a run did stands in [`World::left`] and in a hash.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use relinkd::domain::compose::{
    Circumstances, Composition, Line, Reach, Sent, User, compose, is_addressable, speaks_at, still_wanted,
};
use relinkd::domain::effect::Effect;
use relinkd::domain::event::{Event, Mention, Topic};
use relinkd::domain::ids::{Institution, InstitutionId, LetterId};
use relinkd::domain::item::{Item, Kind};
use relinkd::domain::policy::Policy;
use relinkd::domain::transition::transition;
use uuid::Uuid;

use super::core_plaid::{Truth, Turn};
use super::core_support::{Chance, days, hours, item_id, mins, proven, secs, user};

/// How often a round may come back to the same moment before it is called a hot loop.
const SAME_MOMENT_MAX: u32 = 300;

/// One Item, what is true of it, and what waits to be done about it.
pub struct Slot {
    pub item: Item,
    pub truth: Truth,
    pub owner: usize,
    /// When to ask, if a question waits: the outbox's one row for it.
    pub observe: Option<Timestamp>,
    /// Answers under way, as of when they were asked.
    answers: Vec<(Timestamp, Event)>,
    /// Sessions to ask about, and how each ended.
    pub sessions: Vec<(Timestamp, bool)>,
    pub webhooks: Vec<(Timestamp, Event)>,
    due_at: Option<Timestamp>,
    sweep_at: Timestamp,
    pub turns: Vec<(Timestamp, Turn)>,
}

struct Letter {
    lines: Vec<Line>,
    due_at: Timestamp,
    attempts: u32,
}

pub struct Person {
    pub user: User,
    pub due_at: Option<Timestamp>,
    letter: Option<Letter>,
    sent: Vec<Sent>,
    /// How many in a hundred letters make this user press.
    presses: u64,
}

/// A letter that left.
#[derive(Clone, Debug)]
pub struct Left {
    pub at: Timestamp,
    pub person: usize,
    pub lines: Vec<Line>,
    /// What each line's Item was like then.
    pub about: Vec<About>,
    pub user: User,
}

/// An Item at the moment when a letter about it left.
#[derive(Clone, Debug)]
pub struct About {
    pub truth: Truth,
    /// Whether its user could be spoken to about it at all.
    pub addressable: bool,
    /// Since when relinkd knew that the login is broken.
    pub known_since: Option<Timestamp>,
}

/// How rough the world is, in times of a hundred.
#[derive(Clone, Copy)]
pub struct Weather {
    pub webhook_lost: u64,
    pub webhook_late: u64,
    pub plaid_fails: u64,
    pub mail_defers: u64,
}

pub const CALM: Weather = Weather { webhook_lost: 0, webhook_late: 0, plaid_fails: 0, mail_defers: 0 };
pub const ROUGH: Weather = Weather { webhook_lost: 15, webhook_late: 15, plaid_fails: 8, mail_defers: 12 };

pub struct World {
    pub now: Timestamp,
    pub slots: Vec<Slot>,
    pub people: Vec<Person>,
    pub left: Vec<Left>,
    pub policy: Policy,
    pub chance: Chance,
    pub weather: Weather,
    /// Broken logins a bank, for the breaker.
    breaks: BTreeMap<InstitutionId, Vec<Timestamp>>,
    /// So many breaks at a bank within ten minutes hold its letters; the store's own figures need thousands of Items.
    pub burst: usize,
    /// No clock, no composing and no letters until then: relinkd is down.
    pub asleep_until: Option<Timestamp>,
    /// Whether what happens goes into the hash: writing it all down takes longer than living it.
    pub logged: bool,
    log: DefaultHasher,
    pub ids: u128,
}

impl World {
    pub fn new(seed: u64, start: Timestamp, weather: Weather) -> Self {
        Self {
            now: start,
            slots: Vec::new(),
            people: Vec::new(),
            left: Vec::new(),
            policy: Policy::default(),
            chance: Chance::new(seed),
            weather,
            breaks: BTreeMap::new(),
            burst: usize::MAX,
            asleep_until: None,
            logged: false,
            log: DefaultHasher::new(),
            ids: 0,
        }
    }

    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    pub fn person(&mut self, zone: &str, presses: u64) -> usize {
        let mut user = user(&format!("user-{}", self.people.len()));
        user.time_zone = jiff::tz::TimeZone::get(zone).expect("a zone");
        self.people.push(Person { user, due_at: None, letter: None, sent: Vec::new(), presses });
        self.people.len() - 1
    }

    pub fn item(&mut self, owner: usize, bank: &str, turns: Vec<(Timestamp, Turn)>) -> usize {
        let index = self.slots.len();
        let bank = Institution { id: InstitutionId::parse(bank).expect("an id"), name: None };
        let item = Item {
            institution: Some(bank),
            ..proven(&format!("item-{index}"), self.people[owner].user.id.as_str(), self.now)
        };
        // The daily round comes to each Item at another hour.
        let sweep_at = self.now + mins(self.chance.between(1, 24 * 60));
        self.slots.push(Slot {
            item,
            truth: Truth::default(),
            owner,
            observe: None,
            answers: Vec::new(),
            sessions: Vec::new(),
            webhooks: Vec::new(),
            due_at: None,
            sweep_at,
            turns,
        });
        index
    }

    pub fn hash(&self) -> u64 {
        self.log.finish()
    }

    pub fn note(&mut self, what: &str, value: &impl std::fmt::Debug) {
        if self.logged {
            format!("{} {what} {value:?}", self.now).hash(&mut self.log);
        }
    }

    /// Lives until a moment.
    pub fn run_until(&mut self, end: Timestamp) {
        let (mut last, mut same) = (Timestamp::MIN, 0);
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            same = if self.now == last { same + 1 } else { 0 };
            last = self.now;
            assert!(same < SAME_MOMENT_MAX, "a hot loop at {}", self.now);
            self.round();
        }
        self.now = end;
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let asleep = self.asleep_until.unwrap_or(Timestamp::MIN);
        let ours = |at: Timestamp| at.max(asleep);
        let mut next: Option<Timestamp> = None;
        let mut consider = |at: Option<Timestamp>| next = next.into_iter().chain(at).min();
        for slot in &self.slots {
            consider(slot.turns.iter().map(|(at, _)| *at).min());
            consider(slot.webhooks.iter().map(|(at, _)| ours(*at)).min());
            consider(slot.answers.iter().map(|(at, _)| ours(*at)).min());
            consider(slot.sessions.iter().map(|(at, _)| ours(*at)).min());
            consider(slot.observe.map(ours));
            consider(slot.due_at.map(ours));
            consider(Some(ours(slot.sweep_at)));
        }
        for person in &self.people {
            consider(person.due_at.map(ours));
            consider(person.letter.as_ref().map(|letter| ours(letter.due_at)));
        }
        next
    }

    fn round(&mut self) {
        for index in 0..self.slots.len() {
            self.turn(index);
            if self.asleep_until.is_none_or(|until| until <= self.now) {
                self.tend(index);
            }
        }
        if self.asleep_until.is_none_or(|until| until <= self.now) {
            for index in 0..self.people.len() {
                self.compose(index);
                self.post(index);
            }
        }
    }

    /// Takes what is due out of a list.
    pub fn due<T>(list: &mut Vec<(Timestamp, T)>, now: Timestamp) -> Vec<T> {
        let (due, later) = std::mem::take(list).into_iter().partition(|(at, _)| *at <= now);
        *list = later;
        due.into_iter().map(|(_, what): (Timestamp, T)| what).collect()
    }

    /// What relinkd does about one Item now.
    fn tend(&mut self, index: usize) {
        let now = self.now;
        for event in Self::due(&mut self.slots[index].webhooks, now) {
            self.step(index, &event);
        }
        for event in Self::due(&mut self.slots[index].answers, now) {
            self.step(index, &event);
        }
        for finished in Self::due(&mut self.slots[index].sessions, now) {
            let event = if finished { Event::UpdateModeFinished } else { Event::UpdateModeLeft };
            self.step(index, &event);
        }
        if self.slots[index].due_at.is_some_and(|due| due <= now) {
            self.slots[index].due_at = self.slots[index].item.due_at(now);
            self.step(index, &Event::Tick);
        }
        if self.slots[index].sweep_at <= now {
            self.slots[index].sweep_at =
                now + if self.slots[index].item.broken().is_some() { hours(6) } else { days(1) };
            self.step(index, &Event::Suspected);
        }
        if self.slots[index].observe.is_some_and(|at| at <= now) {
            self.ask(index);
        }
    }

    fn ask(&mut self, index: usize) {
        let now = self.now;
        if self.slots[index].item.removed.is_some() {
            self.slots[index].observe = None;
        } else if self.chance.percent(self.weather.plaid_fails) {
            self.slots[index].observe = Some(now + secs(self.chance.between(2, 900)));
        } else {
            let answer = self.observation(index);
            // Most answers come at once; some are overtaken by what happens meanwhile.
            let late = if self.chance.percent(10) { self.chance.between(5, 90) } else { 1 };
            self.slots[index].observe = None;
            self.slots[index].answers.push((now + secs(late), answer));
        }
    }

    pub fn step(&mut self, index: usize, event: &Event) {
        let now = self.now;
        let before = self.slots[index].item.clone();
        let step = transition(&before, event, now, &self.policy);
        self.note("step", &(event, &step));
        for effect in &step.effects {
            match effect {
                Effect::Observe { not_before } => {
                    let slot = &mut self.slots[index];
                    slot.observe = Some(slot.observe.map_or(*not_before, |planned| planned.min(*not_before)));
                }
                Effect::AskSession { not_before, .. } => self.slots[index].sessions.push((*not_before, true)),
                Effect::AskAccounts { .. } | Effect::Tell(_) => {}
            }
        }
        if step.item.broken().is_some() && before.broken().is_none() {
            let bank = step.item.institution.as_ref().expect("a bank").id.clone();
            self.breaks.entry(bank).or_default().push(now);
        }
        let slot = &mut self.slots[index];
        slot.due_at = step.item.due_at(now);
        let owner = &mut self.people[slot.owner];
        if let Some(at) = speaks_at(&step.item, now, &self.policy) {
            owner.due_at = Some(owner.due_at.map_or(at, |due| due.min(at)));
        }
        slot.item = step.item;
    }

    fn held(&self) -> Vec<(InstitutionId, Timestamp)> {
        let newest_burst = |times: &[Timestamp]| {
            times
                .windows(self.burst.min(times.len() + 1))
                .filter(|w| w[w.len() - 1].duration_since(w[0]) <= mins(10))
                .map(|w| w[w.len() - 1])
                .max()
        };
        self.breaks.iter().filter_map(|(bank, times)| Some((bank.clone(), newest_burst(times)? + hours(6)))).collect()
    }

    fn compose(&mut self, index: usize) {
        let now = self.now;
        if self.people[index].due_at.is_none_or(|due| due > now) {
            return;
        }
        let owned: Vec<Item> =
            self.slots.iter().filter(|slot| slot.owner == index).map(|slot| slot.item.clone()).collect();
        let circumstances = Circumstances {
            underway: self.people[index].letter.is_some(),
            held: self.held(),
            provider_full_until: None,
        };
        let person = &mut self.people[index];
        let composition = compose(&person.user, &owned, &person.sent, &circumstances, now, &self.policy);
        person.due_at = None;
        self.note("compose", &composition);
        match composition {
            Composition::Nothing(_) => {}
            Composition::Wait { until, .. } => {
                assert!(until > now, "a wait that is over");
                self.people[index].due_at = Some(until);
            }
            Composition::Write(lines) => {
                self.mention(&lines, Event::LetterComposed);
                self.people[index].letter = Some(Letter { lines, due_at: now, attempts: 0 });
            }
        }
    }

    fn mention(&mut self, lines: &[Line], event: impl Fn(Mention) -> Event) {
        let letter = LetterId(Uuid::from_u128(0));
        for line in lines {
            let mention = Mention { letter, episode: line.episode, topic: line.topic };
            let index = self.slots.iter().position(|slot| slot.item.id == line.item).expect("an Item of this world");
            self.step(index, &event(mention));
        }
    }

    /// Tries to send the letter of a user: asks Plaid again, looks at the clock, speaks to the mail server.
    fn post(&mut self, index: usize) {
        let now = self.now;
        let Some(mut letter) = self.people[index].letter.take_if(|letter| letter.due_at <= now) else { return };
        for line in &letter.lines {
            if self.chance.percent(self.weather.plaid_fails) {
                letter.due_at = now + mins(15);
                self.people[index].letter = Some(letter);
                return;
            }
            let slot = self.slots.iter().position(|slot| slot.item.id == line.item).expect("an Item of this world");
            let answer = self.observation(slot);
            self.step(slot, &answer);
        }
        let user = self.people[index].user.clone();
        let (wanted, unwanted): (Vec<Line>, Vec<Line>) = letter.lines.iter().cloned().partition(|line| {
            let slot = self.slots.iter().find(|slot| slot.item.id == line.item).expect("an Item of this world");
            still_wanted(line, &slot.item, &user, now, &self.policy)
        });
        if let Some(until) =
            self.policy.send_window.opens_at(now, &user.time_zone).filter(|until| *until > now && !wanted.is_empty())
        {
            letter.due_at = until;
            self.people[index].letter = Some(letter);
            return;
        }
        self.mention(&unwanted, Event::LetterWithheld);
        letter.lines = wanted;
        if !letter.lines.is_empty() {
            if letter.attempts < 12 && self.chance.percent(self.weather.mail_defers) {
                letter.due_at = now + mins(5 << letter.attempts.min(5));
                letter.attempts += 1;
                self.people[index].letter = Some(letter);
                return;
            }
            self.leaves(index, letter);
        }
        // Whoever settles a letter looks at its user again.
        self.people[index].due_at = Some(now);
    }

    fn leaves(&mut self, index: usize, letter: Letter) {
        let now = self.now;
        self.note("left", &letter.lines);
        let about = |line: &Line| {
            let slot = self.slots.iter().find(|slot| slot.item.id == line.item).expect("an Item of this world");
            let known_since = slot.item.broken().map(|episode| episode.what.broken_at);
            About { truth: slot.truth.clone(), addressable: is_addressable(&slot.item), known_since }
        };
        let about = letter.lines.iter().map(about).collect();
        self.mention(&letter.lines, Event::LetterSent);
        let person = &mut self.people[index];
        person.sent.push(Sent {
            at: now,
            items: letter.lines.iter().map(|line| line.item.clone()).collect(),
            reminder: letter.lines.iter().any(|line| line.topic != Topic::WorksAgain),
        });
        self.left.push(Left { at: now, person: index, lines: letter.lines.clone(), about, user: person.user.clone() });
        if self.chance.percent(2) {
            self.people[index].user.reach = Reach::Suppressed;
        }
        let presses = self.people[index].presses;
        for line in letter.lines {
            if matches!(line.topic, Topic::Reminder { .. }) && self.chance.percent(presses) {
                let slot = self.slots.iter().position(|slot| slot.item.id == line.item).expect("an Item of this world");
                let at = now + mins(self.chance.between(1, 48 * 60));
                let told = self.chance.percent(80);
                self.slots[slot].turns.push((at, Turn::Repairs { told }));
            }
        }
    }

    /// Whether what is known of an Item's login is what is true.
    pub fn knows(&self, index: usize) -> bool {
        let slot = &self.slots[index];
        slot.item.removed.is_some() == slot.truth.gone
            && (slot.truth.gone || slot.item.open(Kind::LoginRequired).is_some() == slot.truth.broken_since.is_some())
    }
}

/// Ids of a world's Items, for tests that name one.
pub fn id_of(index: usize) -> relinkd::domain::ids::ItemId {
    item_id(&format!("item-{index}"))
}
