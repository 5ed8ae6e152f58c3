//! What a user wishes about letters: about all, and bank by bank.
//!
//! A user thinks of banks, not of Items, and is asked about each bank once, however many logins there are at it. The answer is
//! kept with each of the bank's Items that is there now: an Item that is registered later begins anew, for whoever links a
//! bank again wants to hear of it.

use jiff::Timestamp;

use super::event::Event;
use super::ids::ItemId;
use super::item::{Item, UNTIL_RESUMED};

/// How it stands with letters, and how a user may wish it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    /// They come.
    On,
    /// None before this moment.
    From(Timestamp),
    /// None until the user says otherwise.
    Off,
}

impl Letters {
    /// How it stands with all letters to a user.
    #[must_use]
    pub fn to_user(stopped_at: Option<Timestamp>, snoozed_until: Option<Timestamp>, now: Timestamp) -> Self {
        match (stopped_at, snoozed_until) {
            (Some(_), _) => Self::Off,
            (None, until) => until.map_or(Self::On, Self::From).as_of(now),
        }
    }

    fn about(item: &Item, now: Timestamp) -> Self {
        if item.is_stopped() { Self::Off } else { item.snoozed_until.map_or(Self::On, Self::From).as_of(now) }
    }

    /// The same as of a moment: a pause that is over is none.
    #[must_use]
    pub fn as_of(self, now: Timestamp) -> Self {
        match self {
            Self::From(until) if until <= now => Self::On,
            Self::On | Self::From(_) | Self::Off => self,
        }
    }

    /// What has to happen to an Item so that it stands so with it.
    #[must_use]
    pub fn events(self) -> Vec<Event> {
        match self {
            Self::On => vec![Event::Resumed],
            // A stop is not shortened by a pause, so it ends first.
            Self::From(until) => vec![Event::Resumed, Event::Snoozed { until }],
            Self::Off => vec![Event::Snoozed { until: UNTIL_RESUMED }],
        }
    }
}

/// What a user chooses. What is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// About all letters.
    pub all: Option<Letters>,
    /// About the bank of an Item.
    pub banks: Vec<(ItemId, Letters)>,
}

impl Choices {
    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.banks.is_empty()
    }
}

/// One bank of a user.
#[derive(Clone, Debug)]
pub struct Bank<'a> {
    /// The Items there, in the order of their ids. Superseded ones too: they count again if the newer one goes.
    pub items: Vec<&'a Item>,
}

impl<'a> Bank<'a> {
    /// Its name, where it is known: untrusted text.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.items.iter().find_map(|item| item.institution.as_ref()?.name.as_deref())
    }

    /// How it stands with letters about it: they come as soon as they come about any of its Items.
    #[must_use]
    pub fn letters(&self, now: Timestamp) -> Letters {
        let each = self.items.iter().filter(|item| item.superseded_by.is_none()).map(|item| Letters::about(item, now));
        let first = each.filter_map(|letters| match letters {
            Letters::On => Some(now),
            Letters::From(until) => Some(until),
            Letters::Off => None,
        });
        first.min().map_or(Letters::Off, |from| Letters::From(from).as_of(now))
    }

    /// Whether an Item is one of its own.
    #[must_use]
    pub fn has(&self, item: &ItemId) -> bool {
        self.items.iter().any(|own| own.id == *item)
    }
}

/// The banks of a user that could be written about, from all of the user's Items, in their order.
#[must_use]
pub fn banks(items: &[Item]) -> Vec<Bank<'_>> {
    let mut banks: Vec<Bank<'_>> = Vec::new();
    for item in items.iter().filter(|item| item.removed.is_none()) {
        match banks.iter_mut().find(|bank| is_same(bank.items[0], item)) {
            Some(bank) => bank.items.push(item),
            None => banks.push(Bank { items: vec![item] }),
        }
    }
    banks.retain(|bank| bank.items.iter().any(|item| item.superseded_by.is_none()));
    banks
}

/// Whether two Items are at the same bank. Where a bank is not known, each Item stands for itself.
fn is_same(one: &Item, other: &Item) -> bool {
    match (&one.institution, &other.institution) {
        (Some(one), Some(other)) => one.id == other.id,
        (Some(_) | None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Institution, InstitutionId, UserId};
    use crate::domain::item::{RemovalReason, Removed};
    use crate::domain::policy::Policy;
    use crate::domain::transition::transition;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        time("2026-11-25T09:00:00Z")
    }

    fn item(id: &str, bank: Option<&str>) -> Item {
        let institution = bank.map(|bank| Institution {
            id: InstitutionId::parse(format!("ins_{bank}")).unwrap(),
            name: (id != "item-1").then(|| bank.to_owned()),
        });
        Item::new(ItemId::parse(id).unwrap(), UserId::parse("user-1").unwrap(), institution, now())
    }

    fn wished(item: &Item, letters: Letters) -> Item {
        let step = |item: Item, event: &Event| transition(&item, event, now(), &Policy::default()).item;
        letters.events().iter().fold(item.clone(), step)
    }

    #[test]
    fn each_wish_is_kept_whatever_was_wished_before() {
        let ends = time("2026-12-02T00:00:00Z");
        let all = [Letters::On, Letters::From(ends), Letters::From(time("2026-12-09T00:00:00Z")), Letters::Off];
        for before in all {
            for after in all {
                let item = wished(&wished(&item("item-1", None), before), after);
                assert_eq!(Letters::about(&item, now()), after, "after {before:?}");
            }
        }
        assert_eq!(Letters::From(ends).as_of(ends), Letters::On);
        assert_eq!(Letters::to_user(Some(now()), Some(ends), now()), Letters::Off);
        assert_eq!(Letters::to_user(None, Some(ends), now()), Letters::From(ends));
    }

    #[test]
    fn a_pause_does_not_shorten_a_stop_and_the_stop_is_its_owners() {
        let stopped = wished(&item("item-1", None), Letters::Off);
        let pause = Event::Snoozed { until: time("2026-11-26T00:00:00Z") };
        let after = |event: &Event| transition(&stopped, event, now(), &Policy::default()).item;
        assert!(after(&pause).is_stopped());
        assert_eq!(stopped.due_at(now()), None, "the clock does not end it");
        let registered = |user: &str| Event::Registered { user: UserId::parse(user).unwrap(), institution: None };
        assert!(after(&registered("user-1")).is_stopped(), "another token is no other wish");
        assert_eq!(after(&registered("user-2")).snoozed_until, None);
        let gone = after(&Event::Removed { why: RemovalReason::Application });
        let back = transition(&gone, &registered("user-1"), now(), &Policy::default()).item;
        assert_eq!(back.snoozed_until, None, "whoever links it again begins anew");
    }

    #[test]
    fn a_bank_is_all_logins_at_it_and_is_as_loud_as_the_loudest() {
        let removed = Some(Removed { at: now(), why: RemovalReason::Application });
        let items = [
            item("item-1", Some("a")),
            wished(&item("item-2", Some("b")), Letters::Off),
            wished(&item("item-3", Some("a")), Letters::Off),
            item("item-4", None),
            item("item-5", None),
            Item { removed, ..item("item-6", Some("c")) },
            Item { superseded_by: Some(ItemId::parse("item-2").unwrap()), ..item("item-7", Some("b")) },
            Item { superseded_by: Some(ItemId::parse("item-2").unwrap()), ..item("item-8", Some("d")) },
        ];
        let seen: Vec<_> = banks(&items)
            .iter()
            .map(|bank| (bank.items.iter().map(|item| item.id.to_string()).collect(), bank.letters(now())))
            .collect();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            seen,
            [
                (ids(&["item-1", "item-3"]), Letters::On),
                (ids(&["item-2", "item-7"]), Letters::Off),
                (ids(&["item-4"]), Letters::On),
                (ids(&["item-5"]), Letters::On),
            ]
        );
        assert_eq!(banks(&items)[0].name(), Some("a"), "whichever of them knows it");
    }
}
