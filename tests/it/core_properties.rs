//! Properties of the pure core under a small model of Plaid: the login is broken or works, each change may say so in a
//! webhook, webhooks come in any order, many times or never, and answers are true as of when they were asked and come late.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;
use relinkd::domain::compose::{Composition, Line, Sent, still_wanted};
use relinkd::domain::event::{Event, Health, Mention, Topic};
use relinkd::domain::ids::LetterId;
use relinkd::domain::item::{Deadline, ExpiryReason, Item, Kind};
use uuid::Uuid;

use super::core_support::{
    after, answer, any_hour, asks, broken, composed, days, fault, mins, proven, secs, start, step, user,
};

#[derive(Clone, Debug)]
enum Op {
    Wait(u32),
    Breaks {
        said: bool,
    },
    Heals {
        said: bool,
    },
    /// The user repairs it on our page, and the page tells or not.
    Repairs {
        told: bool,
    },
    /// One of the webhooks under way comes; it may come again later.
    Comes {
        which: Index,
        again: bool,
    },
    Lost {
        which: Index,
    },
    /// A question leaves; its answer is under way from now on.
    Asks,
    Answers {
        which: Index,
    },
    Ticks,
    /// Time for a letter: composed, asked again, sent.
    Writes,
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        4 => prop_oneof![0_u32..5, 30_u32..4_000, 4_000_u32..400_000].prop_map(Op::Wait),
        2 => any::<bool>().prop_map(|said| Op::Breaks { said }),
        2 => any::<bool>().prop_map(|said| Op::Heals { said }),
        1 => any::<bool>().prop_map(|told| Op::Repairs { told }),
        4 => (index(), any::<bool>()).prop_map(|(which, again)| Op::Comes { which, again }),
        1 => index().prop_map(|which| Op::Lost { which }),
        2 => Just(Op::Asks),
        2 => index().prop_map(|which| Op::Answers { which }),
        1 => Just(Op::Ticks),
        2 => Just(Op::Writes),
    ]
}

struct Model {
    item: Item,
    now: Timestamp,
    /// The truth.
    broken: bool,
    webhooks: Vec<Event>,
    answers: Vec<Event>,
    sent: Vec<Sent>,
    /// How often each webhook that comes is applied.
    times: u32,
    /// When relinkd itself wants to ask next.
    wants: Option<Timestamp>,
}

impl Model {
    fn new(times: u32) -> Self {
        let (webhooks, answers, sent) = (Vec::new(), Vec::new(), Vec::new());
        let item = proven("item-1", "user-1", start() - days(1));
        Self { item, now: start(), broken: false, webhooks, answers, sent, times, wants: None }
    }

    fn apply(&mut self, event: &Event) {
        let step = step(&self.item, event, self.now);
        self.wants = self.wants.into_iter().chain(asks(&step)).min();
        self.item = step.item;
    }

    fn truth(&self) -> Event {
        answer(&self.item, self.now, if self.broken { Health::Broken(fault()) } else { Health::Good })
    }

    fn changes(&mut self, broken: bool, webhook: Option<Event>) {
        if self.broken != broken {
            self.broken = broken;
            self.webhooks.extend(webhook);
        }
    }

    fn does(&mut self, op: &Op) {
        // No two things happen in the same instant; the order within one is nobody's to know.
        self.now += SignedDuration::from_millis(1);
        match op {
            Op::Wait(time) => self.now += secs(i64::from(*time)),
            Op::Breaks { said } => self.changes(true, said.then(broken)),
            Op::Heals { said } => self.changes(false, said.then_some(Event::LoginRepaired)),
            Op::Repairs { told } => {
                self.changes(false, None);
                if *told {
                    self.apply(&Event::UpdateModeFinished);
                }
            }
            Op::Comes { which, again } => {
                if let Some(webhook) = take(&mut self.webhooks, which, *again) {
                    for _ in 0..self.times {
                        self.apply(&webhook);
                    }
                }
            }
            Op::Lost { which } => drop(take(&mut self.webhooks, which, false)),
            Op::Asks => self.answers.push(self.truth()),
            Op::Answers { which } => {
                if let Some(answer) = take(&mut self.answers, which, false) {
                    self.apply(&answer);
                }
            }
            Op::Ticks => self.apply(&Event::Tick),
            Op::Writes => self.writes(),
        }
    }

    /// Composes, asks again, sends what is still wanted. What is sent has to be true.
    fn writes(&mut self) {
        let user = user("user-1");
        let Composition::Write(lines) = composed(&user, std::slice::from_ref(&self.item), &self.sent, self.now) else {
            return;
        };
        let mention =
            |line: &Line| Mention { letter: LetterId(Uuid::from_u128(1)), episode: line.episode, topic: line.topic };
        for line in &lines {
            self.apply(&Event::LetterComposed(mention(line)));
        }
        let truth = self.truth();
        self.apply(&truth);
        for line in &lines {
            if !still_wanted(line, &self.item, &user, self.now, any_hour()) {
                self.apply(&Event::LetterWithheld(mention(line)));
                continue;
            }
            match line.topic {
                Topic::WorksAgain => assert!(!self.broken, "told that it works"),
                Topic::FreshLink => panic!("nobody asked for a link"),
                Topic::Reminder { kind, .. } => {
                    assert_eq!(kind, Kind::LoginRequired);
                    assert!(self.broken, "reminded of what works");
                }
            }
            self.apply(&Event::LetterSent(mention(line)));
            let reminder = line.topic != Topic::WorksAgain;
            self.sent.push(Sent { at: self.now, items: vec![line.item.clone()], reminder });
        }
    }

    fn knows(&self) -> bool {
        self.item.broken().is_some() == self.broken
    }
}

/// One of a list, by chance; it stays in the list if it is to come again.
fn take<T: Clone>(list: &mut Vec<T>, which: &Index, again: bool) -> Option<T> {
    if list.is_empty() {
        return None;
    }
    let index = which.index(list.len());
    Some(if again { list[index].clone() } else { list.remove(index) })
}

fn webhooks() -> Vec<Event> {
    let expiring = |why, day| Event::Expiring { deadline: Deadline::Known(start() + days(day)), why };
    vec![
        broken(),
        Event::LoginRepaired,
        Event::NewAccounts,
        expiring(ExpiryReason::ConsentEnds, 6),
        Event::Expiring { deadline: Deadline::Assumed(start() + days(7)), why: ExpiryReason::BankMoves },
        Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() },
        Event::Suspected,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_one_answer_in_the_quiet_tells_the_truth(ops in prop::collection::vec(op(), 0..60)) {
        let mut model = Model::new(1);
        ops.iter().for_each(|op| model.does(op));
        // What was under way comes last of all, in whatever order; then one question and its answer.
        model.answers.clone().iter().rev().for_each(|answer| model.apply(answer));
        model.webhooks.clone().iter().rev().for_each(|webhook| model.apply(webhook));
        model.now += secs(1);
        let truth = model.truth();
        model.apply(&truth);
        prop_assert!(model.knows(), "{:#?}", model.item);
    }

    #[test]
    fn after_any_hint_its_own_questions_lead_to_the_truth(
        ops in prop::collection::vec(op(), 0..40),
        hint in prop_oneof![Just(broken()), Just(Event::LoginRepaired), Just(Event::Suspected), Just(Event::UpdateModeFinished)],
        late in 0_i64..20,
    ) {
        let mut model = Model::new(1);
        ops.iter().for_each(|op| model.does(op));
        model.does(&Op::Wait(0));
        model.apply(&hint);
        let mut rounds = 0;
        while let Some(at) = model.wants.take() {
            model.now = at.max(model.now) + SignedDuration::from_millis(1);
            let truth = model.truth();
            model.now += secs(late);
            model.apply(&truth);
            rounds += 1;
            prop_assert!(rounds < 10, "it asks for ever");
        }
        prop_assert!(model.knows(), "{:#?}", model.item);
    }

    #[test]
    fn ten_times_each_webhook_is_once(ops in prop::collection::vec(op(), 0..40)) {
        let (mut once, mut ten_times) = (Model::new(1), Model::new(10));
        for op in &ops {
            once.does(op);
            ten_times.does(op);
            prop_assert_eq!(&once.item, &ten_times.item);
            prop_assert_eq!(once.wants, ten_times.wants);
        }
    }

    #[test]
    fn the_order_of_webhooks_does_not_matter_once_plaid_was_asked(
        webhooks in Just(webhooks()).prop_shuffle(),
        repeats in prop::collection::vec(1_usize..4, 7),
        works in any::<bool>(),
    ) {
        let ends = |order: &[Event]| {
            let mut item = proven("item-1", "user-1", start() - days(1));
            for (event, times) in order.iter().zip(&repeats) {
                for _ in 0..*times {
                    item = after(&item, event, start());
                }
            }
            let health = if works { Health::Good } else { Health::Broken(fault()) };
            after(&item, &answer(&item, start() + mins(1), health), start() + mins(1))
        };
        let (ordered, shuffled) = (ends(&super::core_properties::webhooks()), ends(&webhooks));
        let open = |item: &Item| Kind::ALL.map(|kind| item.open(kind).is_some());
        prop_assert_eq!(open(&ordered), open(&shuffled));
        prop_assert_eq!(shuffled.broken().is_some(), !works);
        let deadline = |item: &Item| item.expiry.as_ref().map(|open| open.what.deadline);
        prop_assert_eq!(deadline(&ordered), deadline(&shuffled));
    }
}
