//! Stories about the pure core, by name: what happens to one Item or one user, told in events.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::{Circumstances, Composition, Delay, Line, Reach, Sent, User, compose, still_wanted};
use relinkd::domain::effect::Notice;
use relinkd::domain::event::{Event, Health, Mention, Topic};
use relinkd::domain::ids::LetterId;
use relinkd::domain::item::{Deadline, ExpiryReason, Item, Kind, State};
use relinkd::domain::policy::Policy;
use relinkd::domain::step::Outcome;
use uuid::Uuid;

use super::core_support::{
    after, answer, answer_with_consent, any_hour, asks, broken, composed, days, hours, mins, notices, proven, secs,
    start, step, user,
};

/// One Item and its user, with a clock: what happens, and which letters come of it.
pub struct Story {
    pub items: Vec<Item>,
    sent: Vec<Sent>,
    pub now: Timestamp,
}

/// One letter: when, and what it says about which Item.
pub type Told = (SignedDuration, Vec<(String, Topic)>);

pub fn reminder(kind: Kind, rung: u8) -> Topic {
    Topic::Reminder { kind, rung }
}

impl Story {
    pub fn of(items: &[&str]) -> Self {
        Self {
            items: items.iter().map(|id| proven(id, "user-1", start() - days(60))).collect(),
            sent: Vec::new(),
            now: start(),
        }
    }

    pub fn item(&self) -> &Item {
        &self.items[0]
    }

    pub fn happens_to(&mut self, index: usize, event: &Event) {
        self.items[index] = after(&self.items[index], event, self.now);
    }

    pub fn happens(&mut self, event: &Event) {
        self.happens_to(0, event);
    }

    pub fn answers(&mut self, health: Health) {
        self.happens(&answer(self.item(), self.now, health));
    }

    /// Lets time pass and sends what is composed, looking every ten minutes.
    pub fn passes(&mut self, time: SignedDuration) -> Vec<Told> {
        let (end, mut letters) = (self.now + time, Vec::new());
        while self.now < end {
            self.now = end.min(self.now + mins(10));
            for item in &mut self.items {
                *item = after(item, &Event::Tick, self.now);
            }
            if let Composition::Write(lines) = composed(&user("user-1"), &self.items, &self.sent, self.now) {
                letters.push((self.now.duration_since(start()), told(&lines)));
                self.send(&lines);
            }
        }
        letters
    }

    fn send(&mut self, lines: &[Line]) {
        for line in lines {
            let mention = Mention { letter: LetterId(Uuid::from_u128(1)), episode: line.episode, topic: line.topic };
            for item in self.items.iter_mut().filter(|item| item.id == line.item) {
                *item = after(item, &Event::LetterComposed(mention), self.now);
                *item = after(item, &Event::LetterSent(mention), self.now);
            }
        }
        self.sent.push(Sent {
            at: self.now,
            items: lines.iter().map(|line| line.item.clone()).collect(),
            reminder: lines.iter().any(|line| line.topic != Topic::WorksAgain),
        });
    }
}

fn told(lines: &[Line]) -> Vec<(String, Topic)> {
    lines.iter().map(|line| (line.item.to_string(), line.topic)).collect()
}

/// The topics of letters about one Item, with their times.
fn topics(letters: &[Told]) -> Vec<(SignedDuration, Topic)> {
    letters.iter().flat_map(|(at, lines)| lines.iter().map(|(_, topic)| (*at, *topic))).collect()
}

#[test]
fn who_ignores_everything_gets_exactly_the_ladder() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    let rungs = [mins(30), days(3), days(7), days(14)];
    let expected: Vec<_> = (0..).zip(rungs).map(|(rung, at)| (at, reminder(Kind::LoginRequired, rung))).collect();
    assert_eq!(topics(&story.passes(days(60))), expected);
}

#[test]
fn an_ignored_new_accounts_does_not_silence_a_later_login_break() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&Event::NewAccounts);
    assert_eq!(topics(&story.passes(days(5))), [(days(1), reminder(Kind::NewAccounts, 0))]);
    story.happens(&broken());
    assert_eq!(story.item().state(), State::LoginRequired);
    assert_eq!(topics(&story.passes(days(1))), [(days(5) + mins(30), reminder(Kind::LoginRequired, 0))]);
}

#[test]
fn an_ignored_pending_expiration_does_not_silence_a_later_login_break() {
    let mut story = Story::of(&["item-1"]);
    let deadline = start() + days(7);
    story.happens(&Event::Expiring { deadline: Deadline::Known(deadline), why: ExpiryReason::ConsentEnds });
    let letters = topics(&story.passes(days(7)));
    assert_eq!(
        letters,
        [(mins(10), reminder(Kind::PendingExpiration, 0)), (days(6), reminder(Kind::PendingExpiration, 1)),]
    );
    story.happens(&broken());
    story.answers(Health::Broken(super::core_support::fault()));
    assert_eq!(story.item().expiry, None, "the end that was announced has come");
    assert_eq!(topics(&story.passes(hours(2))), [(days(7) + mins(30), reminder(Kind::LoginRequired, 0))]);
}

#[test]
fn break_repair_break_within_72_hours_is_one_ladder() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    assert_eq!(topics(&story.passes(hours(1))), [(mins(30), reminder(Kind::LoginRequired, 0))]);
    let number = story.item().open(Kind::LoginRequired).expect("open").number;
    story.answers(Health::Good);
    assert_eq!(topics(&story.passes(hours(1))), [(hours(1) + mins(10), Topic::WorksAgain)]);
    story.passes(hours(70));
    story.happens(&broken());
    let again = story.item().open(Kind::LoginRequired).expect("open");
    assert_eq!((again.number, again.rungs_passed), (number, 1));
    // 3 d are past half an hour after the break: the wait for self-healing is granted to each break.
    assert_eq!(topics(&story.passes(hours(2))), [(hours(72) + mins(30), reminder(Kind::LoginRequired, 1))]);
}

#[test]
fn a_break_long_after_the_repair_begins_a_new_ladder() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.passes(hours(1));
    story.answers(Health::Good);
    story.passes(hours(73));
    story.happens(&broken());
    let again = story.item().open(Kind::LoginRequired).expect("open");
    assert_eq!((again.number, again.rungs_passed, again.letters), (2, 0, 0));
}

#[test]
fn a_user_with_three_broken_banks_gets_one_letter() {
    let mut story = Story::of(&["item-1", "item-2", "item-3"]);
    for index in 0..3 {
        story.happens_to(index, &broken());
    }
    let letters = story.passes(hours(20));
    let about: Vec<&str> = letters.iter().flat_map(|(_, lines)| lines.iter().map(|(item, _)| item.as_str())).collect();
    assert_eq!((letters.len(), about), (1, vec!["item-1", "item-2", "item-3"]));
}

#[test]
fn a_bank_that_breaks_after_the_letter_waits_for_the_next_day() {
    let mut story = Story::of(&["item-1", "item-2"]);
    story.happens(&broken());
    story.passes(hours(1));
    story.happens_to(1, &broken());
    let letters = story.passes(hours(30));
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0], (mins(30) + hours(24), vec![("item-2".to_owned(), reminder(Kind::LoginRequired, 0))]));
}

#[test]
fn nobody_who_withdrew_on_purpose_is_mailed() {
    for withdrawal in [true, false] {
        let mut story = Story::of(&["item-1"]);
        story.happens(&broken());
        if withdrawal {
            story.happens(&Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() });
        } else {
            story.answers(Health::Revoked { code: "OAUTH_USER_REVOKED".to_owned() });
        }
        assert_eq!(story.passes(days(40)), []);
        // The login heals, which is no reason to believe in a new consent.
        story.answers(Health::Good);
        assert_eq!(story.item().state(), State::Revoked);
        assert_eq!(story.passes(days(40)), []);
    }
}

#[test]
fn a_word_that_is_on_its_way_is_not_sent_to_somebody_who_withdrew() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.passes(hours(1));
    story.answers(Health::Good);
    let Composition::Write(lines) = composed(&user("user-1"), &story.items, &story.sent, story.now) else {
        panic!("no letter");
    };
    assert!(still_wanted(&lines[0], story.item(), &user("user-1"), story.now, any_hour()));
    story.happens(&Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() });
    assert!(!still_wanted(&lines[0], story.item(), &user("user-1"), story.now, any_hour()));
}

#[test]
fn a_word_that_waited_for_days_is_no_news() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.passes(hours(1));
    story.answers(Health::Good);
    let line = Line { item: story.item().id.clone(), episode: 1, topic: Topic::WorksAgain };
    let wanted = |after| still_wanted(&line, story.item(), &user("user-1"), story.now + after, any_hour());
    assert_eq!((wanted(hours(71)), wanted(hours(72))), (true, false));
}

#[test]
fn a_reminder_that_waits_while_the_login_is_mended_and_breaks_again_waits_for_self_healing() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.now += mins(40);
    let line = Line { item: story.item().id.clone(), episode: 1, topic: reminder(Kind::LoginRequired, 0) };
    assert!(still_wanted(&line, story.item(), &user("user-1"), story.now, any_hour()));
    story.answers(Health::Good);
    story.now += mins(1);
    story.happens(&broken());
    let wanted = |after| still_wanted(&line, story.item(), &user("user-1"), story.now + after, any_hour());
    assert_eq!((wanted(mins(0)), wanted(mins(29)), wanted(mins(30))), (false, false, true));
}

#[test]
fn duplicates_of_the_same_webhook_change_nothing() {
    let webhooks = [
        broken(),
        Event::Expiring { deadline: Deadline::Assumed(start() + days(7)), why: ExpiryReason::BankMoves },
        Event::NewAccounts,
        Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() },
        Event::LoginRepaired,
    ];
    for webhook in &webhooks {
        let once = after(&proven("item-1", "user-1", start() - days(1)), webhook, start());
        let mut many = once.clone();
        for minute in 0..10 {
            let next = step(&many, webhook, start() + mins(minute));
            assert!(notices(&next).is_empty(), "{webhook:?}");
            many = next.item;
        }
        if let relinkd::domain::item::Login::Broken(episode) = &mut many.login {
            assert_eq!(episode.what.evidence_at, start() + mins(9), "the newest evidence counts");
            episode.what.evidence_at = start();
        }
        assert_eq!(many, once, "{webhook:?}");
    }
}

#[test]
fn a_migrations_deadline_survives_a_healthy_answer() {
    let mut story = Story::of(&["item-1"]);
    let deadline = Deadline::Known(start() + days(5));
    story.happens(&Event::Expiring { deadline, why: ExpiryReason::BankMoves });
    story.now += hours(1);
    story.answers(Health::Good);
    assert_eq!(story.item().state(), State::PendingExpiration);
    // A consent that outlives the move says nothing about the move.
    let ends = Some(start() + days(80));
    story.now += hours(1);
    story.happens(&answer_with_consent(story.item(), story.now, Health::Good, ends));
    assert_eq!(story.item().state(), State::PendingExpiration);
    story.happens(&Event::UpdateModeFinished);
    story.now += secs(2);
    let confirmed = step(story.item(), &answer_with_consent(story.item(), story.now, Health::Good, ends), story.now);
    assert_eq!(confirmed.item.state(), State::Healthy);
    assert_eq!(confirmed.closed.iter().map(|closed| closed.outcome).collect::<Vec<_>>(), [Outcome::Repaired]);
}

#[test]
fn a_claim_with_an_old_consent_date_is_not_believed() {
    let mut story = Story::of(&["item-1"]);
    let ends = start() + days(5);
    story.happens(&answer_with_consent(story.item(), story.now, Health::Good, Some(ends)));
    assert_eq!(story.item().state(), State::PendingExpiration);
    story.happens(&Event::UpdateModeFinished);
    let claimed_at = story.now;
    for (waited, next) in [(secs(2), mins(1)), (mins(1), mins(5)), (mins(5), mins(15))] {
        story.now = claimed_at + waited;
        let doubted =
            step(story.item(), &answer_with_consent(story.item(), story.now, Health::Good, Some(ends)), story.now);
        assert_eq!(asks(&doubted), [claimed_at + next]);
        story.items[0] = doubted.item;
    }
    story.now = claimed_at + mins(15);
    let given_up =
        step(story.item(), &answer_with_consent(story.item(), story.now, Health::Good, Some(ends)), story.now);
    assert_eq!(notices(&given_up), [&Notice::ClaimNotConfirmed]);
    assert_eq!(given_up.item.state(), State::PendingExpiration);
    let renewed = Some(start() + days(185));
    let later = story.now + hours(1);
    assert_eq!(
        after(&given_up.item, &answer_with_consent(story.item(), later, Health::Good, renewed), later).state(),
        State::Healthy
    );
}

#[test]
fn an_answer_that_is_older_than_the_webhook_closes_nothing_and_is_asked_again() {
    let mut story = Story::of(&["item-1"]);
    let asked_at = story.now;
    story.now += secs(1);
    story.happens(&broken());
    story.now += secs(1);
    let late = step(story.item(), &answer(story.item(), asked_at, Health::Good), story.now);
    assert_eq!((late.item.state(), asks(&late)), (State::LoginRequired, vec![story.now + secs(30)]));
    let newer = answer(story.item(), story.now, Health::Good);
    assert_eq!(after(&late.item, &newer, story.now + secs(1)).state(), State::Healthy);
}

#[test]
fn two_reasons_to_ask_are_one_question_at_the_earlier_moment() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&Event::UpdateModeFinished);
    let asked_at = story.now;
    story.now += secs(1);
    story.happens(&broken());
    story.now += secs(1);
    // The evidence is newer than the answer, and the claim is not confirmed by it.
    let late = step(story.item(), &answer(story.item(), asked_at, Health::Good), story.now);
    assert_eq!(asks(&late), [story.now + secs(30)]);
}

#[test]
fn nothing_is_left_of_an_item_that_plaid_no_longer_knows() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    let gone = answer_with_consent(story.item(), story.now, Health::Gone, Some(start() + days(3)));
    story.happens(&gone);
    let item = story.item();
    assert_eq!((item.state(), item.consent_expires_at), (State::Removed, None));
    assert_eq!(story.passes(days(30)), []);
}

#[test]
fn a_login_that_flaps_for_a_month_brings_six_letters_at_most() {
    let mut story = Story::of(&["item-1"]);
    let mut letters = Vec::new();
    // Each break is new, and each repair is owed a word.
    for _ in 0..9 {
        story.happens(&broken());
        letters.extend(story.passes(hours(2)));
        story.answers(Health::Good);
        letters.extend(story.passes(hours(73)));
    }
    assert!(story.now < start() + days(30));
    assert_eq!(letters.len(), 6, "{letters:?}");
}

#[test]
fn while_the_bank_is_down_nobody_is_asked_to_repair_and_plaid_is_asked_again() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.now += mins(40);
    let line = Line { item: story.item().id.clone(), episode: 1, topic: reminder(Kind::LoginRequired, 0) };
    let down = answer(story.item(), story.now, Health::Impaired { code: "INSTITUTION_DOWN".to_owned() });
    let silent = step(story.item(), &down, story.now);
    assert_eq!(asks(&silent), [story.now + hours(1)]);
    assert!(!still_wanted(&line, &silent.item, &user("user-1"), story.now, any_hour()));
    story.items[0] = silent.item;
    assert_eq!(story.passes(hours(1)), []);
    story.answers(Health::Broken(super::core_support::fault()));
    let begun = mins(40) + hours(1);
    assert_eq!(topics(&story.passes(hours(1))), [(begun + mins(10), reminder(Kind::LoginRequired, 0))]);
}

#[test]
fn a_clock_that_was_set_back_neither_deafens_nor_spins() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&Event::Registered { user: story.item().user.clone(), institution: None });
    story.answers(Health::Good);
    story.happens(&broken());
    story.happens(&Event::UpdateModeFinished);
    story.now -= days(1);
    assert_eq!(asks(&step(story.item(), &Event::Suspected, story.now)), [story.now]);
    let asked_at = story.now;
    story.now += secs(1);
    let heard = step(story.item(), &answer(story.item(), asked_at, Health::Good), story.now);
    assert_eq!(
        (heard.item.state(), asks(&heard)),
        (State::Healthy, vec![]),
        "what was noted later than now outweighs nothing"
    );
    story.items[0] = heard.item;
    story.now += mins(1);
    story.answers(Health::Broken(super::core_support::fault()));
    assert_eq!(story.item().state(), State::LoginRequired);
}

#[test]
fn a_new_owner_is_not_told_that_what_the_old_one_was_reminded_of_works_again() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    assert_eq!(story.passes(hours(1)).len(), 1);
    story.happens(&Event::Registered { user: super::core_support::user_id("user-2"), institution: None });
    story.now += secs(1);
    story.answers(Health::Good);
    let silence = composed(&user("user-2"), &story.items, &[], story.now);
    assert!(matches!(silence, Composition::Nothing(_)), "{silence:?}");
}

#[test]
fn a_letter_on_its_way_is_not_wanted_by_whoever_stopped_or_snoozed_or_cannot_be_reached() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.now += mins(30);
    let line = Line { item: story.item().id.clone(), episode: 1, topic: reminder(Kind::LoginRequired, 0) };
    let wanted = |user: &User| still_wanted(&line, story.item(), user, story.now, any_hour());
    let user = user("user-1");
    assert!(wanted(&user));
    assert!(wanted(&User { snoozed_until: Some(story.now), ..user.clone() }), "the pause is over");
    assert!(!wanted(&User { snoozed_until: Some(story.now + secs(1)), ..user.clone() }));
    assert!(!wanted(&User { stopped_at: Some(story.now), ..user.clone() }));
    assert!(!wanted(&User { reach: Reach::Suppressed, ..user.clone() }));
    assert!(!wanted(&User { reach: Reach::NoAddress, ..user }));
}

#[test]
fn a_letter_that_is_due_at_night_waits_for_the_morning_where_the_user_is() {
    let mut story = Story::of(&["item-1"]);
    story.happens(&broken());
    story.now += mins(30);
    let tokyo = User { time_zone: TimeZone::get("Asia/Tokyo").expect("a zone"), ..user("user-1") };
    let circumstances = Circumstances::default();
    let composition = compose(&tokyo, &story.items, &[], &circumstances, story.now, &Policy::default());
    let morning = "2026-11-24T00:00:00Z".parse().expect("a time");
    assert_eq!(composition, Composition::Wait { until: morning, why: Delay::SendWindow });
}
