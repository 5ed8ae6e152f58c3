//! What a user will be written, if nothing happens: [`compose`](mod@super::compose) asked again at each moment that it names,
//! and its letters taken as sent.
//!
//! It decides nothing itself, so it cannot say anything else than what will be done. What it cannot know is assumed: Plaid
//! confirms what is noted, nobody repairs anything, every letter leaves at once.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::compose::{Circumstances, Composition, Delay, Line, Sent, Silence, User, compose};
use super::event::{Event, Mention, Topic};
use super::ids::LetterId;
use super::item::Item;
use super::policy::Policy;
use super::transition::{after, transition};

/// How often the rule is asked at most: more than any ladders fill. A plan that is longer is cut.
const STEPS_MAX: usize = 500;

/// A letter that will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Timestamp,
    /// What it will say.
    pub lines: Vec<Line>,
}

/// Why there is no letter, or none any more, within the time of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// There may be one later.
    Later {
        /// When the rule would look again.
        until: Timestamp,
        /// Why not before.
        why: Delay,
    },
    /// There is nothing to write.
    Nothing(Silence),
}

/// What a user will be written within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether a letter is on its way already.
    pub underway: bool,
    /// The letters, the next first.
    pub letters: Vec<Planned>,
    /// What comes after them, or instead of them.
    pub then: Then,
}

/// What a user will be written from `now` until `end`.
#[must_use]
pub fn plan(
    user: &User,
    items: &[Item],
    sent: &[Sent],
    circumstances: &Circumstances,
    (now, end): (Timestamp, Timestamp),
    policy: &Policy,
) -> Plan {
    let (mut items, mut sent) = (items.to_vec(), sent.to_vec());
    let mut plan =
        Plan { underway: circumstances.underway, letters: Vec::new(), then: Then::Nothing(Silence::NothingDue) };
    // The letter that is on its way counts among those sent: what comes after it is the question.
    let circumstances = Circumstances { underway: false, ..circumstances.clone() };
    let mut at = now;
    for _ in 0..STEPS_MAX {
        items = items.iter().map(|item| transition(item, &Event::Tick, at, policy).item).collect();
        match compose(user, &items, &sent, &circumstances, at, policy) {
            Composition::Nothing(why) => {
                plan.then = Then::Nothing(why);
                return plan;
            }
            Composition::Wait { until, why } => {
                plan.then = Then::Later { until, why };
                if until > end {
                    return plan;
                }
                at = until.max(after(at, SignedDuration::from_millis(1)));
            }
            Composition::Write(lines) => {
                items = items.iter().map(|item| written(item, &lines, at, policy)).collect();
                let about = lines.iter().map(|line| line.item.clone()).collect();
                let reminder = lines.iter().any(|line| line.topic != Topic::WorksAgain);
                sent.push(Sent { at, items: about, reminder });
                plan.letters.push(Planned { at, lines });
            }
        }
    }
    plan
}

/// An Item once a letter with these lines has left.
fn written(item: &Item, lines: &[Line], at: Timestamp, policy: &Policy) -> Item {
    let about = lines.iter().filter(|line| line.item == item.id);
    about.fold(item.clone(), |item, line| {
        let mention = Mention { letter: LetterId(Uuid::nil()), episode: line.episode, topic: line.topic };
        let composed = transition(&item, &Event::LetterComposed(mention), at, policy).item;
        transition(&composed, &Event::LetterSent(mention), at, policy).item
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::domain::compose::Reach;
    use crate::domain::event::Fault;
    use crate::domain::ids::{ItemId, UserId};
    use crate::domain::item::{Cure, Token};

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn user() -> User {
        User {
            id: UserId::parse("user-1").expect("an id"),
            time_zone: TimeZone::UTC,
            reach: Reach::Address,
            stopped_at: None,
            snoozed_until: None,
        }
    }

    fn broken(id: &str, at: Timestamp) -> Item {
        let id = ItemId::parse(id).expect("an id");
        let item = Item { token: Token::Proven, ..Item::new(id, user().id, None, at) };
        let fault = Fault { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None, cure: Cure::LogIn };
        transition(&item, &Event::LoginRequired(fault), at, &Policy::default()).item
    }

    fn planned(user: &User, items: &[Item], hours: i64) -> Plan {
        let now = time("2026-11-23T09:00:00Z");
        let end = now + SignedDuration::from_hours(hours);
        plan(user, items, &[], &Circumstances::default(), (now, end), &Policy::default())
    }

    fn times(plan: &Plan) -> Vec<String> {
        plan.letters.iter().map(|letter| letter.at.to_string()).collect()
    }

    #[test]
    fn a_broken_login_is_written_about_on_every_rung_and_then_no_more() {
        let item = broken("item-1", time("2026-11-23T09:00:00Z"));
        let month = planned(&user(), std::slice::from_ref(&item), 30 * 24);
        let expected = ["2026-11-23T09:30:00Z", "2026-11-26T09:00:00Z", "2026-11-30T09:00:00Z", "2026-12-07T09:00:00Z"];
        assert_eq!(times(&month), expected);
        assert_eq!(month.then, Then::Nothing(Silence::NothingDue));
        let day = planned(&user(), &[item], 24);
        assert_eq!(times(&day), expected[..1]);
        assert_eq!(day.then, Then::Later { until: time("2026-11-26T09:00:00Z"), why: Delay::NotDue });
    }

    #[test]
    fn two_banks_that_break_together_are_one_letter() {
        let at = time("2026-11-23T09:00:00Z");
        let plan = planned(&user(), &[broken("item-1", at), broken("item-2", at)], 24);
        assert_eq!(plan.letters.len(), 1);
        assert_eq!(plan.letters[0].lines.len(), 2);
    }

    #[test]
    fn who_stopped_is_not_written_to_and_the_plan_says_so() {
        let item = broken("item-1", time("2026-11-23T09:00:00Z"));
        let stopped = User { stopped_at: Some(time("2026-11-20T00:00:00Z")), ..user() };
        let plan = planned(&stopped, &[item], 24);
        assert_eq!((plan.letters.len(), plan.then), (0, Then::Nothing(Silence::Stopped)));
    }
}
