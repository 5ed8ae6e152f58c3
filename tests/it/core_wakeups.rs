//! The store's side of the core's clock, on a real store in a temporary folder: what is due comes up once, and what is owed
//! is looked at again. No network, no engine: the rules and the operations alone.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::{Channel, Composition, Delay, compose};
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::event::{Event, Health};
use relinkd::domain::ids::LetterId;
use relinkd::domain::item::{Deadline, ExpiryReason};
use relinkd::engine::apply::rule;
use relinkd::store::seal::Sealer;
use relinkd::store::{ClaimedLetter, Composer, LetterOutcome, NewItem, NewProfile, Store};
use uuid::Uuid;

use super::core_support::{answer, any_hour, broken, days, hours, item_id, mins, proven, start, user_id};

struct Desk {
    store: Store,
    now: Timestamp,
    letters: u128,
    _folder: tempfile::TempDir,
}

impl Desk {
    /// A store with one user and one Item, of which Plaid said that it is well.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sealer = Sealer::new(&[7; 32], &[]);
        let store = Store::open(&folder.path().join("relinkd.db"), sealer, start()).expect("a store");
        let desk = Self { store, now: start(), letters: 0, _folder: folder };
        let email = EmailAddress::parse("user-1@users.example").expect("an address");
        let profile =
            NewProfile { id: user_id("user-1"), email: Some(email), name: None, locale: None, time_zone: None };
        desk.store.put_user(profile, desk.now).await.expect("a user");
        for id in ["item-1", "item-2"] {
            let item = NewItem {
                id: item_id(id),
                user: user_id("user-1"),
                access_token: "access-sandbox-1".to_owned(),
                institution: None,
                country_codes: None,
            };
            desk.store.register(item, rule(any_hour(), desk.now)).await.expect("an Item");
            desk.happens(id, answer(&proven(id, "user-1", desk.now), desk.now, Health::Good)).await;
        }
        desk
    }

    async fn happens(&self, id: &str, event: Event) {
        let step = self.store.step(item_id(id), vec![event], "test".to_owned(), rule(any_hour(), self.now)).await;
        step.expect("a step").expect("a registered Item");
    }

    async fn ticks(&self) -> usize {
        self.store.tick(10, rule(any_hour(), self.now)).await.expect("a tick").0
    }

    /// Whether it is time to look at the user.
    async fn is_due(&self) -> bool {
        !self.store.due_users(self.now, 10).await.expect("users").is_empty()
    }

    async fn composes(&mut self) -> Composition {
        let now = self.now;
        self.letters += 1;
        let composer = Composer {
            caps: relinkd::domain::provider::Caps::default(),
            compose: Box::new(move |user, items, sent, circumstances| {
                compose(user, items, sent, circumstances, now, any_hour())
            }),
            held: Vec::new(),
            default_zone: TimeZone::UTC,
            channel: Channel::Mail,
            letter: LetterId(Uuid::from_u128(self.letters)),
        };
        let composed = self.store.compose(user_id("user-1"), composer, rule(any_hour(), now)).await;
        composed.expect("composed").composition
    }

    async fn claims(&self) -> ClaimedLetter {
        let mut claimed = self.store.claim_letters(self.now, 10, Channel::Mail).await.expect("letters");
        assert_eq!(claimed.len(), 1);
        claimed.remove(0)
    }

    async fn settles(&self, letter: ClaimedLetter, outcome: LetterOutcome) {
        self.store.settle_letter(letter, outcome, rule(any_hour(), self.now)).await.expect("settled");
    }

    fn later(&mut self, by: SignedDuration) {
        self.now += by;
    }
}

fn deferred(until: Timestamp) -> LetterOutcome {
    LetterOutcome::Deferred { until, why: "patience".to_owned(), attempt: true }
}

fn accepted() -> LetterOutcome {
    LetterOutcome::Accepted { reply: "250 ok".to_owned() }
}

#[tokio::test]
async fn a_deadline_that_passed_ticks_once_while_plaid_is_silent() {
    let mut desk = Desk::new().await;
    let deadline = Deadline::Known(desk.now + days(3));
    desk.happens("item-1", Event::Expiring { deadline, why: ExpiryReason::BankMoves }).await;
    desk.later(days(3));
    assert_eq!(desk.ticks().await, 1);
    let rows = desk.store.journal(item_id("item-1"), 0, 100).await.expect("a journal").len();
    for _ in 0..5 {
        assert_eq!(desk.ticks().await, 0, "the loop would go round and round");
    }
    assert_eq!(desk.store.journal(item_id("item-1"), 0, 100).await.expect("a journal").len(), rows);
    desk.later(hours(6));
    assert_eq!(desk.ticks().await, 1, "and it is asked again");
}

#[tokio::test]
async fn the_gap_counts_from_when_a_letter_left_not_from_when_it_was_composed() {
    let mut desk = Desk::new().await;
    desk.happens("item-1", broken()).await;
    desk.later(mins(30));
    assert!(matches!(desk.composes().await, Composition::Write(_)));
    let letter = desk.claims().await;
    // The mail server has no time for a day.
    desk.settles(letter, deferred(desk.now + days(1))).await;
    desk.later(hours(12));
    desk.happens("item-2", broken()).await;
    desk.later(hours(12));
    let letter = desk.claims().await;
    let left = desk.now;
    desk.settles(letter, accepted()).await;
    assert!(desk.is_due().await, "whoever settles a letter looks at its user again");
    let until = left + any_hour().user_gap;
    assert_eq!(desk.composes().await, Composition::Wait { until, why: Delay::UserGap });
    assert!(!desk.is_due().await);
    desk.now = until;
    assert!(desk.is_due().await);
    assert!(matches!(desk.composes().await, Composition::Write(_)));
}

#[tokio::test]
async fn a_withheld_letter_frees_its_rung_and_the_user_is_looked_at_again() {
    let mut desk = Desk::new().await;
    desk.happens("item-1", broken()).await;
    desk.later(mins(30));
    assert!(matches!(desk.composes().await, Composition::Write(_)));
    let letter = desk.claims().await;
    desk.happens("item-1", Event::Snoozed { until: desk.now + days(1) }).await;
    desk.settles(letter, LetterOutcome::Withheld { why: "snoozed".to_owned() }).await;
    assert!(desk.is_due().await);
    let until = desk.now + days(1);
    assert_eq!(desk.composes().await, Composition::Wait { until, why: Delay::NotDue });
    desk.now = until;
    assert!(desk.is_due().await);
    assert!(matches!(desk.composes().await, Composition::Write(_)));
}

#[tokio::test]
async fn what_came_due_while_a_letter_was_on_its_way_is_not_forgotten() {
    let mut desk = Desk::new().await;
    desk.happens("item-1", broken()).await;
    desk.later(mins(30));
    assert!(matches!(desk.composes().await, Composition::Write(_)));
    let letter = desk.claims().await;
    desk.happens("item-2", broken()).await;
    desk.later(hours(1));
    assert!(matches!(desk.composes().await, Composition::Nothing(_)));
    assert!(!desk.is_due().await, "no loop while the letter is on its way");
    desk.settles(letter, accepted()).await;
    assert!(desk.is_due().await);
    assert!(matches!(desk.composes().await, Composition::Wait { .. }));
    desk.later(days(1));
    assert!(desk.is_due().await);
    assert!(matches!(desk.composes().await, Composition::Write(_)));
}
