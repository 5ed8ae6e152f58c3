//! What happens in the year, one moment after the other, and what relinkd does about it at each.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::effect::Effect;
use relinkd::domain::event::{Event, Health};
use relinkd::domain::ids::{Institution, InstitutionId, ItemId, SessionId, UserId};
use relinkd::domain::policy::Policy;
use relinkd::store::ClaimedLetter;

use super::super::chance::Chance;
use super::super::post::Post;
use super::super::shell::{Done, NewItem, Taken};
use super::super::truth::{Says, Turn};
use super::books::{Books, OutageKind};
use super::life::{self, MINUTES_A_DAY, Whim};
use super::plan::{Claim, Outcome, Plan, Planted, Wrong};
use super::waits::ACCOUNTS;

/// How often a round may come back to the same moment before it is called a hot loop.
const SAME_MOMENT_MAX: u32 = 5000;

/// When Plaid tries again to bring a webhook, counted from the first time (plaid.com/docs/api/webhooks).
const RETRIES_SECS: [i64; 6] = [30, 180, 810, 3360, 13_590, 54_540];

/// Of a hundred webhooks so many never come, and of a hundred questions so many get no answer.
const LOST: i64 = 12;
const UNANSWERED: i64 = 3;

/// How soon after a start every Item of which something is not known yet was asked about.
const FIRST_ROUND_MINS: i64 = 180;

/// What happens.
#[derive(Clone, Debug)]
pub enum What {
    Turn(u32, Turn),
    /// It breaks in an outage, and works again at the end of it.
    Fails(u32, u32),
    Webhook(u32, Says),
    /// The daily question, where its answer is news.
    Sweep(u32),
    ItemSnoozes(u32, Timestamp),
    ItemSnoozeEnds(u32),
    ItemResumes(u32),
    /// The application removes the Item.
    Forgets(u32),
    Whim(u32, Whim),
    OutageBegins(u32),
    OutageEnds(u32),
    RelinkdStops,
    RelinkdStarts,
    /// The body of a letter is about to go out.
    Leaves(Box<Leaving>),
}

/// A letter about which Plaid was asked a moment ago.
#[derive(Clone, Debug)]
pub struct Leaving {
    pub letter: ClaimedLetter,
    pub to: EmailAddress,
    pub asked_at: Timestamp,
}

struct Entry {
    at: Timestamp,
    sequence: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

pub struct World<'a, S: Post> {
    pub plan: &'a Plan,
    pub shell: &'a mut S,
    pub policy: Arc<Policy>,
    pub now: Timestamp,
    pub books: Books,
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    pub letters: u128,
    /// What Plaid's institution status said of a bank, and when it was asked.
    pub statuses: BTreeMap<u32, (bool, Timestamp)>,
    pub outcome: Outcome,
}

/// The operator's rules, with the mistakes that are mistakes of the rules.
pub fn policy(planted: Planted) -> Policy {
    use relinkd::domain::ladder::Ladder;
    use relinkd::domain::window::SendWindow;
    let up =
        |hours: &[i64]| Ladder::up(hours.iter().map(|h| SignedDuration::from_hours(*h)).collect()).expect("a ladder");
    let rules = Policy::default();
    match planted {
        Planted::WindowIgnored => Policy { send_window: SendWindow::parse("* * * * * *").expect("a window"), ..rules },
        Planted::GapIgnored => Policy { user_gap: SignedDuration::ZERO, ..rules },
        Planted::NoWaitForHealing => Policy { login_required: up(&[0, 72, 168, 336]), ..rules },
        Planted::LadderWithoutEnd => Policy { login_required: up(&[1, 72, 168, 336, 504, 672]), ..rules },
        Planted::LadderCutShort => Policy { login_required: up(&[1]), ..rules },
        Planted::RevokedMailed => Policy { revoked: up(&[0]), ..rules },
        Planted::Nothing
        | Planted::MoveUnheard
        | Planted::StopIgnored
        | Planted::SnoozeIgnored
        | Planted::ItemSnoozeIgnored
        | Planted::BounceIgnored
        | Planted::NotAskedAgain
        | Planted::CapIgnored
        | Planted::ItemCapIgnored
        | Planted::BreakerIgnored
        | Planted::StatusIgnored
        | Planted::DownTakenForBroken
        | Planted::ForeignMailed
        | Planted::EndUntold
        | Planted::SomeForgotten => rules,
    }
}

/// Lives through a year.
pub fn live<S: Post>(plan: &Plan, shell: &mut S) -> Outcome {
    let life = life::draw(plan);
    let mut world = World {
        plan,
        shell,
        policy: Arc::new(policy(plan.planted)),
        now: life::start(),
        books: life.books,
        heap: BinaryHeap::new(),
        sequence: 0,
        letters: 0,
        statuses: BTreeMap::new(),
        outcome: Outcome::default(),
    };
    for (at, what) in life.happenings {
        world.plan_for(at, what);
    }
    for (from, until) in world.books.downtimes.clone() {
        world.plan_for(from, What::RelinkdStops);
        world.plan_for(until, What::RelinkdStarts);
    }
    world.begin();
    world.run_until(life::start() + SignedDuration::from_mins(plan.days * MINUTES_A_DAY));
    world.end_of_waits();
    world.outcome
}

pub fn item_id(number: u32) -> ItemId {
    ItemId::parse(format!("item-{number:07}")).expect("an id")
}

pub fn user_id(number: u32) -> UserId {
    UserId::parse(format!("user-{number:07}")).expect("an id")
}

pub fn number(id: &str) -> u32 {
    id[5..].parse().expect("a number of seven digits")
}

impl<S: Post> World<'_, S> {
    fn begin(&mut self) {
        let mut items = Vec::new();
        for (number, unit) in (0..).zip(&self.books.units) {
            let bank = Institution { id: self.books.banks[unit.bank as usize].id.clone(), name: None };
            items.push(NewItem { id: item_id(number), user: user_id(unit.person), bank: Some(bank) });
        }
        self.shell.register(&items, self.now);
        for person in 0..self.plan.users {
            if self.books.people[person as usize].address > 0 {
                self.put_user(person);
            }
        }
    }

    /// The dice for one thing that happens now. They hang on nothing else, so that two shells see the same world.
    pub fn dice(&self, whose: u32, what: u64) -> Chance {
        let moment = self.now.as_millisecond().cast_unsigned();
        let mut dice = Chance::new(self.plan.seed ^ moment.rotate_left(20) ^ u64::from(whose).rotate_left(44) ^ what);
        dice.next();
        dice
    }

    pub fn plan_for(&mut self, at: Timestamp, what: What) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, what }));
    }

    pub fn wrong(&mut self, user: u32, claim: Claim, what: String) {
        self.outcome.count("wrong");
        if self.outcome.wrong.len() < 1000 {
            self.note(user, || format!("WRONG, {claim:?}: {what}"));
            self.outcome.wrong.push(Wrong { at: self.now, user, claim, what });
        }
    }

    /// Writes down what happens to the one whose story is told.
    pub fn note(&mut self, user: u32, what: impl FnOnce() -> String) {
        if self.plan.story_of == Some(user) {
            let there = self.books.zones[self.books.people[user as usize].zone].to_datetime(self.now);
            self.outcome.story.push(format!("{:.0} ({there:.0} there) {}", self.now, what()));
        }
    }

    pub fn note_item(&mut self, item: u32, what: impl FnOnce() -> String) {
        self.note(self.books.units[item as usize].person, || format!("Item {item}: {}", what()));
    }

    fn run_until(&mut self, end: Timestamp) {
        let (mut last, mut same) = (Timestamp::MIN, 0);
        loop {
            let happening = self.heap.peek().map(|Reverse(entry)| entry.at);
            let ours = self.next_of_ours();
            let Some(next) = happening.into_iter().chain(ours).min().filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            same = if self.now == last { same + 1 } else { 0 };
            last = self.now;
            assert!(same < SAME_MOMENT_MAX, "a hot loop at {}", self.now);
            while self.heap.peek().is_some_and(|Reverse(entry)| entry.at <= self.now) {
                let Reverse(entry) = self.heap.pop().expect("there is one");
                self.happen(entry.what);
            }
            if self.books.is_down(self.now).is_none() {
                self.round();
            }
            if self.plan.stops && !self.outcome.wrong.is_empty() {
                break;
            }
        }
        self.now = self.now.max(end.min(self.now.max(last)));
    }

    fn next_of_ours(&mut self) -> Option<Timestamp> {
        let next = self.shell.next();
        let ours = [next.ticks, next.effects, self.shell.next_letters()].into_iter().flatten().min()?;
        Some(self.books.is_down(self.now).map_or(ours, |until| ours.max(until)))
    }

    fn round(&mut self) {
        let next = self.shell.next();
        let now = self.now;
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let (ticks, effects) = (is_due(next.ticks), is_due(next.effects));
        if ticks {
            self.shell.tick(self.now);
        }
        if ticks || effects {
            self.ask();
        }
        if is_due(self.shell.next_letters()) {
            self.compose();
            self.post();
        }
    }

    /// Puts the questions that are due.
    fn ask(&mut self) {
        let mut claimed = self.shell.claim(self.now, u32::MAX);
        claimed.sort_by(|a, b| a.2.cmp(&b.2));
        for (id, effect, held) in claimed {
            let item = number(id.as_str());
            self.outcome.count("questions");
            let done = if self.dice(item, 100).percent(UNANSWERED) {
                Done::Retry(self.now + SignedDuration::from_secs(2 << held.attempts.min(8)))
            } else {
                Done::Events(match &effect {
                    Effect::Observe { .. } => vec![self.answer(item)],
                    Effect::AskSession { .. } => self.session(item),
                    Effect::AskAccounts { .. } | Effect::Tell(_) => Vec::new(),
                })
            };
            self.shell.settle(&id, &effect, &held, done, self.now);
        }
    }

    /// How the last Link session of an Item ended, if nobody said so before.
    fn session(&mut self, item: u32) -> Vec<Event> {
        let unit = &self.books.units[item as usize];
        if unit.session_told {
            return Vec::new();
        }
        // Accounts that came since then are taken for chosen: the session may have shown them.
        self.ends_to_wait(item, ACCOUNTS);
        vec![Event::UpdateModeFinished]
    }

    /// Plaid's answer about an Item now.
    pub fn answer(&mut self, item: u32) -> Event {
        let now = self.now;
        let unit = &mut self.books.units[item as usize];
        unit.answered_at = now;
        self.learns_of_break(item);
        let unit = &mut self.books.units[item as usize];
        let mut answer = unit.truth.answer(&item_id(item), now);
        if unit.foreign && self.plan.planted != Planted::ForeignMailed {
            answer.item = answer.item.map(|_| item_id(9_000_000 + item));
            answer.health = Health::Good;
        }
        if self.plan.planted == Planted::DownTakenForBroken && matches!(answer.health, Health::Impaired { .. }) {
            let fault = relinkd::domain::event::Fault {
                code: "ITEM_LOGIN_REQUIRED".to_owned(),
                reason: None,
                cure: relinkd::domain::item::Cure::LogIn,
            };
            answer.health = Health::Broken(fault);
        }
        self.note_item(item, || format!("Plaid answers {:?}", answer.health));
        Event::Observed(answer)
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Turn(item, turn) => self.turn(item, turn, None),
            What::Fails(item, outage) => self.turn(item, Turn::Breaks, Some(outage)),
            What::Webhook(item, says) => self.webhook(item, says),
            What::Sweep(item) => self.sweep(item),
            What::ItemSnoozes(item, until) => self.item_snoozes(item, until),
            What::ItemSnoozeEnds(item) => self.look(item),
            What::ItemResumes(item) => self.item_resumes(item),
            What::Forgets(item) => self.forget(item),
            What::Whim(person, whim) => self.whim(person, whim),
            What::OutageBegins(outage) => self.outage(outage, true),
            What::OutageEnds(outage) => self.outage(outage, false),
            What::RelinkdStops | What::RelinkdStarts => {
                (0..u32::try_from(self.books.units.len()).expect("few")).for_each(|item| self.look(item));
            }
            What::Leaves(leaving) => self.leaves(*leaving),
        }
    }

    /// Something changes at Plaid or at the bank.
    fn turn(&mut self, item: u32, turn: Turn, outage: Option<u32>) {
        let now = self.now;
        let unit = &self.books.units[item as usize];
        if unit.forgotten {
            return;
        }
        let mut repaired = None;
        if let Turn::Repairs { told } = turn {
            let bank = &self.books.banks[unit.bank as usize];
            let no_way = unit.truth.bank_down || unit.truth.withdrawn || unit.truth.gone || bank.outage.is_some();
            if no_way || unit.foreign || self.books.is_down(now).is_some() {
                return;
            }
            repaired = Some(told);
        }
        let before = unit.truth.clone();
        let (says, later) = self.books.units[item as usize].truth.suffer(turn, now);
        for (at, turn) in later {
            self.plan_for(at.max(now), What::Turn(item, turn));
        }
        let was_broken = before.broken || before.bank_down;
        if self.turned(item, &before, turn, outage) {
            self.note_item(item, || format!("{turn:?}{}", if outage.is_some() { " in an outage" } else { "" }));
            self.plan_sweep(item, was_broken);
        }
        if let Some(told) = repaired {
            self.outcome.count("repairs on the page");
            self.books.units[item as usize].session_told = told;
            let session = SessionId(uuid::Uuid::from_u128(u128::from(self.dice(item, 102).next())));
            self.shell.step(&item_id(item), Event::UpdateModeStarted { session }, now);
            if told {
                self.shell.step(&item_id(item), Event::UpdateModeFinished, now);
            }
        }
        if let Some(says) = says {
            let mut dice = self.dice(item, says.number());
            if !dice.percent(LOST) {
                let at = now + SignedDuration::from_secs(dice.between(1, 200));
                self.plan_for(at, What::Webhook(item, says));
            }
        }
    }

    /// When the sweep would find what is news: the broken are asked about every six hours, the others every day.
    fn plan_sweep(&mut self, item: u32, was_broken: bool) {
        let period = if was_broken { 6 * 60 } else { MINUTES_A_DAY } * 60;
        let phase = (i64::from(item) * 7919).rem_euclid(period);
        let wait = period - (self.now.as_second() - phase).rem_euclid(period);
        self.plan_for(self.now + SignedDuration::from_secs(wait), What::Sweep(item));
    }

    fn sweep(&mut self, item: u32) {
        match self.books.is_down(self.now) {
            Some(until) => {
                let within = self.dice(item, 103).between(0, FIRST_ROUND_MINS * 60);
                self.plan_for(until + SignedDuration::from_secs(within), What::Sweep(item));
            }
            None => self.shell.step(&item_id(item), Event::Suspected, self.now),
        }
    }

    fn webhook(&mut self, item: u32, says: Says) {
        if let Some(until) = self.books.is_down(self.now) {
            // Plaid tries again, and gives up after the sixth time.
            let tries = RETRIES_SECS.map(|wait| self.now + SignedDuration::from_secs(wait));
            if let Some(at) = tries.into_iter().find(|at| *at >= until) {
                self.plan_for(at, What::Webhook(item, says));
            }
            return;
        }
        self.outcome.count("webhooks");
        self.note_item(item, || format!("a webhook says {says:?}"));
        self.heard(item, says);
        let body = says.body(&item_id(item));
        let taken = Taken { body, signed_at: self.now, received_at: self.now, fresh: true };
        self.shell.take_webhook(&taken);
        self.shell.ingest(self.now);
    }

    fn outage(&mut self, number: u32, begins: bool) {
        let outage = &self.books.outages[number as usize];
        let (bank, kind, share, ends) = (outage.bank, outage.kind, outage.share, outage.ends);
        self.books.banks[bank as usize].outage = begins.then_some(number);
        for item in self.books.banks[bank as usize].items.clone() {
            let mut dice = self.dice(item, 104);
            match (kind, begins) {
                (OutageKind::Down, true) => self.turn(item, Turn::BankDown, None),
                (OutageKind::Down, false) => self.turn(item, Turn::BankUp, None),
                (OutageKind::Logins, true) if dice.percent(share) => {
                    // An outage of some minutes strikes within the first of them.
                    let within = ends.duration_since(self.now).as_secs() / 2;
                    let at = self.now + SignedDuration::from_secs(dice.between(0, within.min(8 * 60)));
                    self.plan_for(at, What::Fails(item, number));
                }
                (OutageKind::Logins, false) if self.books.units[item as usize].outage == Some(number) => {
                    self.turn(item, Turn::Heals { said: dice.percent(50) }, None);
                }
                (OutageKind::Logins, _) => {}
            }
            self.look(item);
        }
        if !begins {
            self.outage_over(number);
        }
    }

    /// Banks whose letters wait, as relinkd sees it.
    pub fn held(&mut self) -> Vec<(InstitutionId, Timestamp)> {
        let planted = self.plan.planted;
        let mut held = if planted == Planted::BreakerIgnored { Vec::new() } else { self.shell.held_banks(self.now) };
        held.extend(self.banks_down());
        held
    }
}
