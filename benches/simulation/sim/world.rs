//! A world and its time: jumps from one moment to the next at which anything happens, at Plaid or here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::config::Schedule;
use relinkd::domain::effect::Effect;
use relinkd::domain::event::Event;
use relinkd::domain::ids::{ItemId, SessionId, UserId};
use relinkd::engine::sweep::floor;
use relinkd::engine::traffic::{Caller, Leave, Traffic};
use relinkd::plaid::client::CallError;
use relinkd::store::Floors;

use super::chance::Chance;
use super::plan::{Outcome, Plan, Planted};
use super::shell::{Done, Held, NewItem, Shell, Taken};
use super::truth::{Says, Truth, Turn, life};

/// As many effects as the engine has under way at once, and lets wait before the sweep plans no more.
const UNDER_WAY_MAX: u32 = 64;
const WAITING_MAX: u32 = 120;

/// How often a round may come back to the same moment before it is called a hot loop.
const SAME_MOMENT_MAX: u32 = 2000;

/// Plaid's retries of a webhook that nobody took: its two rules, by arithmetic (plaid.com/docs/api/webhooks).
const RETRIES_SECS: [i64; 6] = [30, 150, 630, 2550, 10_230, 40_950];

/// How long relinkd may be wrong about an Item at most: the daily question, and the retries that it may need.
const WRONG_MAX: SignedDuration = SignedDuration::from_hours(25);

/// How often all Items are looked at.
const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(6);

enum What {
    Turn(usize, Turn),
    Webhook(usize, Says, Timestamp, Sending),
    Answer(usize, Effect, Held, Box<Result<Event, CallError>>),
}

/// How a webhook comes: at which try, and whether each try is signed anew.
#[derive(Clone, Copy)]
struct Sending {
    attempt: usize,
    stale: bool,
}

struct World<'a, S: Shell> {
    plan: &'a Plan,
    shell: &'a mut S,
    start: Timestamp,
    now: Timestamp,
    ids: Vec<ItemId>,
    index: HashMap<ItemId, usize>,
    truths: Vec<Truth>,
    repaired: Vec<Option<Timestamp>>,
    changed: Vec<Timestamp>,
    look_at: Timestamp,
    happenings: BTreeMap<(Timestamp, u64), What>,
    sequence: u64,
    traffic: Traffic,
    schedule: Schedule,
    sweep_began: Timestamp,
    sweep_next: Timestamp,
    under_way: u32,
    recent: VecDeque<Timestamp>,
    /// The log of all that happened, as a hash.
    log: DefaultHasher,
    outcome: Outcome,
}

/// Lives through a world.
pub fn live<S: Shell>(plan: &Plan, shell: &mut S) -> Outcome {
    let start: Timestamp = "2026-02-02T05:00:00Z".parse().expect("a time");
    let ids: Vec<ItemId> = (0..plan.items).map(|n| ItemId::parse(format!("item-{n:07}")).expect("an id")).collect();
    let mut world = World {
        plan,
        shell,
        start,
        now: start,
        index: ids.iter().cloned().zip(0..).collect(),
        truths: vec![Truth::default(); plan.items],
        repaired: vec![None; plan.items],
        changed: vec![start; plan.items],
        look_at: start + LOOK_EVERY,
        ids,
        happenings: BTreeMap::new(),
        sequence: 0,
        traffic: Traffic::new(plan.calls_per_minute),
        schedule: Schedule::default(),
        sweep_began: start,
        sweep_next: start,
        under_way: 0,
        recent: VecDeque::new(),
        log: DefaultHasher::new(),
        outcome: Outcome {
            hash: 0,
            wrong: Vec::new(),
            items: Vec::new(),
            calls: 0,
            most_calls_in_a_minute: 0,
            webhooks: 0,
            recovered_after: None,
        },
    };
    world.begin();
    let end = start + SignedDuration::from_hours(24 * plan.days) + plan.quiet;
    world.run_until(end);
    world.end()
}

impl<S: Shell> World<'_, S> {
    fn begin(&mut self) {
        let user = UserId::parse("user-1").expect("an id");
        let new = |id: &ItemId| NewItem { id: id.clone(), user: user.clone(), bank: None };
        let items: Vec<NewItem> = self.ids.iter().map(new).collect();
        self.shell.register(&items, self.start);
        let mut chance = Chance::new(self.plan.seed);
        for item in 0..self.ids.len() {
            for (at, turn) in life(&mut chance, self.start, self.plan.days) {
                self.plan_for(at, What::Turn(item, turn));
            }
        }
    }

    /// The dice for one thing that happens to an Item now. They hang on nothing else, so that a moment at which one of two
    /// shells does more than the other changes nothing that comes later.
    fn dice(&self, item: usize, what: u64) -> Chance {
        let moment = self.now.as_millisecond().cast_unsigned();
        let mut dice = Chance::new(self.plan.seed ^ moment.rotate_left(20) ^ (item as u64).rotate_left(44) ^ what);
        dice.next();
        dice
    }

    fn plan_for(&mut self, at: Timestamp, what: What) {
        self.sequence += 1;
        self.happenings.insert((at, self.sequence), what);
    }

    /// Whether the last disturbance is over: from then on nothing new happens, and the truth stands still.
    fn is_over(&self, at: Timestamp) -> bool {
        at >= self.start + SignedDuration::from_hours(24 * self.plan.days)
    }

    fn outage(&self) -> Option<(Timestamp, Timestamp)> {
        let (from, lasts) = self.plan.outage?;
        let from = self.start + SignedDuration::from_hours(from);
        Some((from, from + SignedDuration::from_hours(lasts)))
    }

    fn is_out(&self) -> bool {
        self.outage().is_some_and(|(from, until)| self.now >= from && self.now < until)
    }

    fn run_until(&mut self, end: Timestamp) {
        let (mut last, mut same) = (Timestamp::MIN, 0);
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            same = if self.now == last { same + 1 } else { 0 };
            last = self.now;
            assert!(same < SAME_MOMENT_MAX, "a hot loop at {}: {:?}", self.now, self.shell.next());
            while let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let what = entry.remove();
                self.happen(what);
            }
            self.round();
        }
        self.now = end;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Turn(item, turn) => self.turn(item, turn),
            What::Webhook(item, says, signed_at, sending) => self.webhook(item, says, signed_at, sending),
            What::Answer(item, effect, held, answer) => self.hear(item, &effect, &held, *answer),
        }
    }

    fn turn(&mut self, item: usize, turn: Turn) {
        if self.is_over(self.now) {
            return;
        }
        let before = self.truths[item].broken;
        let (says, later) = self.truths[item].suffer(turn, self.now);
        self.changed[item] = self.now;
        (format!("{turn:?}"), item, self.now).hash(&mut self.log);
        for (at, turn) in later {
            self.plan_for(at.max(self.now), What::Turn(item, turn));
        }
        if let Turn::Repairs { told } = turn {
            self.repair(item, told, before);
        }
        if let Some(says) = says {
            self.say(item, says);
        }
    }

    /// Somebody was at our page.
    fn repair(&mut self, item: usize, told: bool, was_broken: bool) {
        if self.truths[item].bank_down || self.truths[item].withdrawn {
            return;
        }
        if was_broken {
            self.repaired[item] = Some(self.now);
        }
        let session = SessionId(uuid::Uuid::from_u128(u128::from(self.dice(item, 102).next())));
        let id = self.ids[item].clone();
        self.shell.step(&id, Event::UpdateModeStarted { session }, self.now);
        if told {
            self.shell.step(&id, Event::UpdateModeFinished, self.now);
        }
    }

    /// Plaid sends a webhook: at once, up to ten times, in disorder, with an old signature, or never.
    fn say(&mut self, item: usize, says: Says) {
        let weather = self.plan.weather;
        let mut dice = self.dice(item, says.number());
        if self.is_out() || dice.percent(weather.lost) {
            return;
        }
        let copies = if dice.percent(weather.doubled) { dice.between(2, 10) } else { 1 };
        for _ in 0..copies {
            let stale = dice.percent(weather.late);
            let after = if stale { dice.between(301, 40_000) } else { dice.between(1, 200) };
            let at = self.now + SignedDuration::from_secs(after);
            let signed_at = if stale { self.now } else { at };
            self.plan_for(at, What::Webhook(item, says, signed_at, Sending { attempt: 0, stale }));
        }
    }

    fn webhook(&mut self, item: usize, says: Says, signed_at: Timestamp, sending: Sending) {
        if self.is_out() {
            // Nobody answers: Plaid tries again, and gives up after the sixth time.
            if let Some(wait) = RETRIES_SECS.get(sending.attempt) {
                let at = self.now + SignedDuration::from_secs(*wait);
                let signed_at = if sending.stale { signed_at } else { at };
                let again = Sending { attempt: sending.attempt + 1, ..sending };
                self.plan_for(at, What::Webhook(item, says, signed_at, again));
            }
            return;
        }
        self.outcome.webhooks += 1;
        let fresh = self.now.duration_since(signed_at) <= SignedDuration::from_secs(300);
        let body = says.body(&self.ids[item]);
        self.shell.take_webhook(&Taken { body, signed_at, received_at: self.now, fresh });
    }

    fn round(&mut self) {
        self.shell.ingest(self.now);
        self.shell.tick(self.now);
        if self.sweep_next <= self.now {
            self.sweep_began = self.now;
            self.sweep_next = self.schedule.sweep.next_after(self.now, &TimeZone::UTC).expect("every night");
        }
        self.sweep();
        self.dispatch();
        self.check_recovery();
        self.look();
    }

    /// When the sweep's next Item is due.
    fn turn_at(&mut self) -> Option<Timestamp> {
        let next = self.shell.next();
        let due = |checked: Option<Timestamp>, every: SignedDuration| {
            let checked = checked?;
            Some(if checked < self.sweep_began { self.now } else { checked + every })
        };
        let suspects = due(next.suspects_from, self.schedule.observe_broken_every);
        let others = due(next.others_from, self.schedule.observe_healthy_every);
        match self.plan.planted {
            Planted::SuspectsLeftOut => others,
            Planted::NobodySwept => None,
            Planted::Nothing | Planted::FailuresForgotten => suspects.into_iter().chain(others).min(),
        }
    }

    fn sweep(&mut self) {
        let clock = self.clock();
        while self.turn_at().is_some_and(|at| at <= self.now) && self.traffic.room(clock) > 0 {
            let before = |every: SignedDuration| floor(every, self.sweep_began, self.now);
            let suspects = match self.plan.planted {
                Planted::SuspectsLeftOut => Timestamp::UNIX_EPOCH,
                Planted::Nothing | Planted::NobodySwept | Planted::FailuresForgotten => {
                    before(self.schedule.observe_broken_every)
                }
            };
            let floors = Floors { suspects, others: before(self.schedule.observe_healthy_every) };
            if self.shell.plan_sweep(floors, self.now, WAITING_MAX) == 0 {
                return;
            }
        }
    }

    fn clock(&self) -> Duration {
        Duration::try_from(self.now.duration_since(self.start)).expect("time goes on")
    }

    fn dispatch(&mut self) {
        let clock = self.clock();
        let room = self.traffic.room(clock).min(UNDER_WAY_MAX - self.under_way);
        if room == 0 {
            return;
        }
        let mut claimed = self.shell.claim(self.now, room);
        claimed.sort_by(|a, b| a.2.cmp(&b.2));
        for (id, effect, held) in claimed {
            match self.traffic.take(Caller::Routine, Some(&id), clock) {
                Leave::Go => self.ask(&id, effect, held),
                Leave::Wait { wait, .. } => {
                    let until = self.now + SignedDuration::try_from(wait).expect("short");
                    self.shell.settle(&id, &effect, &held, Done::PutOff(until), self.now);
                }
            }
        }
    }

    fn ask(&mut self, id: &ItemId, effect: Effect, held: Held) {
        self.outcome.calls += 1;
        self.recent.push_back(self.now);
        while self.recent.front().is_some_and(|at| self.now.duration_since(*at) >= SignedDuration::from_mins(1)) {
            self.recent.pop_front();
        }
        self.outcome.most_calls_in_a_minute = self.outcome.most_calls_in_a_minute.max(self.recent.len());
        self.under_way += 1;
        let item = self.index[id];
        let calm = self.is_over(self.now);
        let mut dice = self.dice(item, if matches!(effect, Effect::Observe { .. }) { 100 } else { 101 });
        let answer = if self.is_out() || !calm && dice.percent(self.plan.weather.fails) {
            Err(CallError::TimedOut)
        } else if !calm && dice.percent(self.plan.weather.limited) {
            let retry_after = dice.percent(50).then(|| Duration::from_secs(20));
            Err(CallError::RateLimited { retry_after })
        } else {
            Ok(match &effect {
                Effect::AskSession { .. } if self.repaired[item].is_some() => Event::UpdateModeFinished,
                Effect::AskSession { .. } => Event::UpdateModeLeft,
                Effect::Observe { .. } | Effect::AskAccounts { .. } | Effect::Tell(_) => {
                    Event::Observed(self.truths[item].answer(id, self.now))
                }
            })
        };
        // Most answers come at once; some are overtaken by what happens meanwhile.
        let millis = if dice.percent(5) { dice.between(2000, 90_000) } else { dice.between(50, 900) };
        let at = self.now + SignedDuration::from_millis(millis);
        self.plan_for(at, What::Answer(item, effect, held, Box::new(answer)));
    }

    fn hear(&mut self, item: usize, effect: &Effect, held: &Held, answer: Result<Event, CallError>) {
        self.under_way -= 1;
        let id = self.ids[item].clone();
        let done = match answer {
            Ok(event) => {
                self.traffic.answered();
                (item, self.now, event.name()).hash(&mut self.log);
                Done::Events(vec![event])
            }
            Err(error) => {
                let clock = self.clock();
                self.traffic.failed(&error, Some(&id), clock);
                match self.plan.planted {
                    Planted::FailuresForgotten => Done::Events(Vec::new()),
                    Planted::Nothing | Planted::SuspectsLeftOut | Planted::NobodySwept => {
                        let doubled =
                            SignedDuration::from_secs(2 << held.attempts.min(9)).min(SignedDuration::from_mins(15));
                        Done::Retry(self.now + doubled)
                    }
                }
            }
        };
        self.shell.settle(&id, effect, held, done, self.now);
    }

    fn next_moment(&mut self) -> Option<Timestamp> {
        let clock = self.clock();
        let next = self.shell.next();
        let turn = self.turn_at();
        // What waits for Plaid waits for room; while all places are taken, for an answer.
        let room_at = match self.traffic.room(clock) {
            _ if self.under_way >= UNDER_WAY_MAX => Timestamp::MAX,
            0 => self.now + SignedDuration::try_from(self.traffic.room_after(clock)).expect("short"),
            _ => Timestamp::MIN,
        };
        let question =
            next.effects.into_iter().chain(turn).min().map(|at| at.max(room_at)).filter(|at| *at < Timestamp::MAX);
        let happening = self.happenings.first_key_value().map(|((at, _), _)| *at);
        [next.ticks, question, happening, Some(self.sweep_next)].into_iter().flatten().min()
    }

    /// Nobody is known wrongly for long, whatever was lost.
    fn look(&mut self) {
        // A large world is looked at in the end: its first round takes hours.
        if self.look_at > self.now || self.plan.items > 1000 {
            return;
        }
        self.look_at = self.now + LOOK_EVERY;
        let recovered = self.outage().map(|(from, until)| if self.now < from { self.start } else { until });
        let items = self.shell.items();
        for (index, (item, truth)) in items.iter().zip(&self.truths).enumerate() {
            let since = self.changed[index].max(recovered.unwrap_or(self.start));
            if self.now > since + WRONG_MAX
                && let Some(what) = truth.denies(item, self.now)
            {
                self.outcome.wrong.push((item.id.clone(), what));
            }
        }
    }

    /// After an outage: looks once a minute whether every Item is known as it is.
    fn check_recovery(&mut self) {
        let Some((_, until)) = self.outage() else { return };
        let looks = self.now >= until && self.outcome.recovered_after.is_none() && self.under_way == 0;
        if looks && self.is_over(self.now) && self.all_is_known(until) {
            self.outcome.recovered_after = Some(self.now.duration_since(until));
        }
    }

    /// Whether every Item was asked about since a moment and is known as it is.
    fn all_is_known(&mut self, since: Timestamp) -> bool {
        let items = self.shell.items();
        items.iter().zip(&self.truths).all(|(item, truth)| {
            let asked = item.removed.is_some() || item.observed_at.is_some_and(|at| at >= since);
            asked && truth.denies(item, self.now).is_none()
        })
    }

    fn end(mut self) -> Outcome {
        self.outcome.items = self.shell.items();
        let told = self.outcome.items.iter().zip(&self.truths);
        let wrong = told.filter_map(|(item, truth)| Some((item.id.clone(), truth.denies(item, self.now)?)));
        self.outcome.wrong.extend(wrong.collect::<Vec<_>>());
        for item in &self.outcome.items {
            format!("{item:?}").hash(&mut self.log);
        }
        self.outcome.hash = self.log.finish();
        self.outcome
    }
}
