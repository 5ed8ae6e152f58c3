//! Composing, and a letter's way out: what `engine::compose` and `engine::post` do, without the network between.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::{Channel, Composition, Line, Reach, compose, still_wanted};
use relinkd::domain::event::Topic;
use relinkd::domain::ids::{InstitutionId, LetterId};
use relinkd::domain::provider::{Cap, Caps};
use relinkd::store::{Begun, ClaimedLetter, Composer, Departure, LetterOutcome, Refusal};
use uuid::Uuid;

use super::super::post::{Post, Written};
use super::super::truth::Turn;
use super::books::DOMAINS;
use super::plan::Planted;
use super::world::{Leaving, What, World, number, user_id};

/// How long Plaid's word on a bank's logins counts.
const STATUS_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// Of a hundred questions before a letter so many get no answer, and of a hundred letters so many are put off.
const UNANSWERED: i64 = 3;
const PUT_OFF: i64 = 4;

impl<S: Post> World<'_, S> {
    fn caps(&self) -> Caps {
        let letters = if self.plan.planted == Planted::CapIgnored { u32::MAX } else { self.plan.provider_cap };
        Caps::new(vec![Cap { provider: DOMAINS[0].to_owned(), letters }])
    }

    /// Composes for the users that are due.
    pub fn compose(&mut self) {
        let mut due = self.shell.due_users(self.now);
        if due.is_empty() {
            return;
        }
        due.sort();
        let held = self.held();
        for user in due {
            self.letters += 1;
            let composer = self.composer(number(user.as_str()), held.clone());
            self.shell.compose(user, composer, self.now);
        }
    }

    fn composer(&self, person: u32, held: Vec<(InstitutionId, Timestamp)>) -> Composer {
        let (now, policy, planted) = (self.now, std::sync::Arc::clone(&self.policy), self.plan.planted);
        Composer {
            compose: Box::new(move |user, items, sent, circumstances| {
                let (mut user, mut sent) = (user.clone(), sent.to_vec());
                if planted == Planted::SomeForgotten && person % 20 == 7 {
                    return Composition::Nothing(relinkd::domain::compose::Silence::NothingDue);
                }
                if planted == Planted::BounceIgnored {
                    user.reach = Reach::Address;
                }
                if planted == Planted::ItemCapIgnored {
                    sent.iter_mut().for_each(|sent| sent.items.clear());
                }
                compose(&user, items, &sent, circumstances, now, &policy)
            }),
            held,
            caps: self.caps(),
            default_zone: TimeZone::UTC,
            channel: Channel::Mail,
            letter: LetterId(Uuid::from_u128(self.letters)),
        }
    }

    /// Claims the letters that are due, and begins to send them.
    pub fn post(&mut self) {
        let mut claimed = self.shell.claim_letters(self.now);
        claimed.sort_by(|a, b| a.user.cmp(&b.user));
        for letter in claimed {
            if let Some((letter, outcome)) = self.make_ready(letter) {
                self.shell.settle_letter(letter, outcome, self.now);
            }
        }
    }

    /// Asks Plaid about each Item of the letter, and looks whether it is still wanted. Answers with what becomes of a letter
    /// that does not leave now.
    fn make_ready(&mut self, mut letter: ClaimedLetter) -> Option<(ClaimedLetter, LetterOutcome)> {
        let now = self.now;
        let person = number(letter.user.as_str());
        if self.plan.planted != Planted::NotAskedAgain {
            for line in letter.lines.clone() {
                let item = number(line.item.as_str());
                if self.dice(item, 105).percent(UNANSWERED) {
                    return Some(self.wait(letter, now, "Plaid does not answer"));
                }
                let answer = self.answer(item);
                self.shell.step(&line.item, answer, now);
            }
        }
        let Written { profile, items } = self.shell.written(&letter);
        let profile = profile.expect("nobody is erased");
        let mut user = profile.for_letters(&TimeZone::UTC, Channel::Mail);
        if self.plan.planted == Planted::BounceIgnored {
            user.reach = Reach::Address;
        }
        let is_wanted =
            |line: &Line| items.get(&line.item).is_some_and(|item| still_wanted(line, item, &user, now, &self.policy));
        let (wanted, unwanted): (Vec<Line>, Vec<Line>) = letter.lines.iter().cloned().partition(is_wanted);
        if wanted.is_empty() {
            self.outcome.count("letters withheld");
            self.note(person, || "the letter is withheld".to_owned());
            return Some((letter, LetterOutcome::Withheld { why: "not so any more".to_owned() }));
        }
        match self.policy.send_window.opens_at(now, &user.time_zone) {
            Some(until) if until > now => return Some(put_off(letter, until, "night")),
            Some(_) | None => {}
        }
        let (open, shut): (Vec<Line>, Vec<Line>) = wanted.into_iter().partition(|line| self.is_open(line));
        if open.is_empty() {
            self.note(person, || "the letter waits for the bank".to_owned());
            return Some(self.wait(letter, now + STATUS_LIFE, "the bank is down"));
        }
        let dropped: Vec<Line> = unwanted.into_iter().chain(shut).collect();
        if !dropped.is_empty() {
            self.shell.drop_lines(letter.id, dropped, now);
        }
        letter.lines = open;
        // The dialogue with the mail server takes a moment, in which things happen.
        let leaves_at = now + SignedDuration::from_millis(self.dice(person, 106).between(0, 3000));
        let to = profile.email.expect("whoever is written to has an address");
        self.plan_for(leaves_at, What::Leaves(Box::new(Leaving { letter, to, asked_at: now })));
        None
    }

    fn wait(&self, letter: ClaimedLetter, again_at: Timestamp, why: &str) -> (ClaimedLetter, LetterOutcome) {
        let waited = self.now.duration_since(letter.composed_at);
        let patience = waited.clamp(SignedDuration::from_secs(2), SignedDuration::from_mins(15));
        put_off(letter, again_at.max(self.now + patience), why)
    }

    /// Whether the bank of a line is up, as Plaid's institution status says; its word counts for some minutes.
    fn is_open(&mut self, line: &Line) -> bool {
        if line.topic == Topic::WorksAgain || self.plan.planted == Planted::StatusIgnored {
            return true;
        }
        let bank = self.books.units[number(line.item.as_str()) as usize].bank;
        let (now, outages) = (self.now, &self.books.outages);
        let said = self.books.banks[bank as usize].outage.is_some_and(|outage| outages[outage as usize].said);
        self.statuses.retain(|_, (_, asked)| now.duration_since(*asked) < STATUS_LIFE);
        let known = self.statuses.get(&bank).copied();
        let (is_down, _) = *self.statuses.entry(bank).insert_entry(known.unwrap_or((said, now))).get();
        !is_down
    }

    pub fn banks_down(&self) -> Vec<(InstitutionId, Timestamp)> {
        let down = self.statuses.iter().filter(|(_, (is_down, _))| *is_down);
        let until = down.map(|(bank, (_, asked))| (self.books.banks[*bank as usize].id.clone(), *asked + STATUS_LIFE));
        until.filter(|(_, until)| *until > self.now).collect()
    }

    /// The mail server is ready for the body.
    pub fn leaves(&mut self, Leaving { letter, to, asked_at }: Leaving) {
        let now = self.now;
        let person = number(letter.user.as_str());
        let departure = Departure {
            id: letter.id,
            user: user_id(person),
            channel: Channel::Mail,
            to: Some(to.clone()),
            cap: self.caps().of(to.domain()).cloned(),
            asked_for: false,
            policy: (*self.policy).clone(),
            default_zone: TimeZone::UTC,
            language: "en".to_owned(),
            subject: "subject".to_owned(),
        };
        let bounces = self.books.people[person as usize].is_dead;
        let mut begun = self.shell.start_data(departure, now);
        if begun == Begun::Unwanted && self.plan.planted == Planted::BounceIgnored {
            begun = Begun::Go;
        }
        let outcome = match begun {
            Begun::Unwanted => {
                self.outcome.count("stopped at the last moment");
                LetterOutcome::Withheld { why: "the user wants no letters since a moment ago".to_owned() }
            }
            Begun::Night(until) => {
                self.outcome.count("night fell at the last moment");
                LetterOutcome::Deferred { until, why: "night".to_owned(), attempt: false }
            }
            Begun::Full(until) => {
                self.outcome.count("put off by the cap at the last moment");
                LetterOutcome::Deferred { until, why: "the cap".to_owned(), attempt: false }
            }
            Begun::Go => {
                let mut dice = self.dice(person, 107);
                self.begun(person, &letter, &to);
                if self.sulks() {
                    self.outcome.count("refused for the sender's sake");
                    let until = now + SignedDuration::from_mins(5);
                    LetterOutcome::SenderAtFault { until, why: "550 5.7.515".to_owned() }
                } else if dice.percent(PUT_OFF) {
                    let wait = SignedDuration::from_mins(5 << letter.attempts.min(5));
                    LetterOutcome::Deferred { until: now + wait, why: "451".to_owned(), attempt: true }
                } else if bounces {
                    self.outcome.count("bounces");
                    self.bounced(person);
                    LetterOutcome::Bounced { why: "550 gone".to_owned(), refusal: Refusal::Gone(to) }
                } else {
                    LetterOutcome::Accepted { reply: "250 ok".to_owned() }
                }
            }
        };
        let left = matches!(outcome, LetterOutcome::Accepted { .. });
        if left {
            self.left(person, &letter, asked_at);
        }
        let lines = letter.lines.clone();
        let told = self.shell.settle_letter(letter, outcome, now);
        if left {
            self.told(&lines, &told);
            self.reacts(person, &lines);
        }
    }

    /// For two hours on the first of each month the mail server does not believe in the sender.
    fn sulks(&self) -> bool {
        let utc = self.now.to_zoned(TimeZone::UTC);
        self.plan.server_sulks && utc.day() == 1 && (12..14).contains(&utc.hour())
    }

    /// Some who are reminded go and repair.
    fn reacts(&mut self, person: u32, lines: &[Line]) {
        let presses = self.books.people[person as usize].presses;
        for line in lines.iter().filter(|line| line.topic != Topic::WorksAgain) {
            let item = number(line.item.as_str());
            let mut dice = self.dice(item, 108);
            if dice.percent(presses) {
                let at = self.now + SignedDuration::from_mins(dice.between(1, 48 * 60));
                self.plan_for(at, What::Turn(item, Turn::Repairs { told: dice.percent(80) }));
            }
        }
    }
}

fn put_off(letter: ClaimedLetter, until: Timestamp, why: &str) -> (ClaimedLetter, LetterOutcome) {
    (letter, LetterOutcome::Deferred { until, why: why.to_owned(), attempt: false })
}
