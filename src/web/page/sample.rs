//! A page of every kind with invented facts, to be looked at in every language before a user sees one.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Bank, BankLetters, Brand, LinkMode, Nonce, Page, Preferences, RepairPage, Trouble, UnsubscribePage, View, What,
    fault, missing, repair, unsubscribe, way_back,
};
use crate::domain::colour::Colour;
use crate::domain::ids::ItemId;
use crate::domain::item::ExpiryReason;
use crate::domain::language::Language;
use crate::domain::preferences::{Choices, Letters};
use crate::mail::letter::ButtonColours;

/// As long as Plaid's ids are.
pub(super) const ITEM: &str = "Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr";

/// As long as a letter's are.
pub(super) const TOKEN: &str =
    "f3Jm0sQvY2hT8kLxWc5bN1aZr7uEoP4iDg6yKtMqXwA.1nS9dHq3Vg0RzC7eXbUoTj5mLwP2kYiF8aGtQx6JrDE";

pub(super) const NONCE: [u8; 16] = [7; 16];

/// Every kind of page, with a name for each. `bank` is the name of all banks.
#[must_use]
pub fn every_page(language: Language, mode: &LinkMode, bank: Option<&str>) -> Vec<(String, Page)> {
    let repairs = repairs(mode, bank);
    let mut pages: Vec<_> =
        repairs.into_iter().map(|(name, page)| (name, seen_in(language, |view| repair(view, &page)))).collect();
    pages.push(("back".to_owned(), seen_in(language, |view| way_back(view, mode))));
    let mut unsubscribes = vec![
        ("stopped".to_owned(), UnsubscribePage::Done { path: unsubscribe_path() }),
        ("dead stop link".to_owned(), UnsubscribePage::Unknown),
    ];
    for all in [Letters::On, Letters::From(time("2026-12-24T08:00:00Z")), Letters::Off] {
        unsubscribes.push((format!("preferences {all:?}"), UnsubscribePage::Preferences(preferences(all, bank))));
    }
    let unsubscribes = unsubscribes.into_iter();
    pages.extend(unsubscribes.map(|(name, page)| (name, seen_in(language, |view| unsubscribe(view, &page)))));
    pages.push(("missing".to_owned(), seen_in(language, missing)));
    pages.push(("fault".to_owned(), seen_in(language, fault)));
    pages
}

fn repairs(mode: &LinkMode, name: Option<&str>) -> Vec<(String, RepairPage)> {
    let own = || name.map(str::to_owned);
    let one = |what| (format!("{what:?}"), broken(vec![bank(name, what)], mode.clone()));
    let mut repairs: Vec<_> = all_needs().into_iter().map(one).collect();
    let banks = all_needs().into_iter().map(|what| bank(name, what)).collect();
    repairs.push(("many".to_owned(), broken(banks, mode.clone())));
    for (name, page) in [
        ("works", RepairPage::Works { banks: vec![own()] }),
        ("many work", RepairPage::Works { banks: vec![own(), own()] }),
        ("none", RepairPage::Works { banks: vec![] }),
        ("no longer", no_longer()),
        ("fresh link sent", RepairPage::FreshLinkSent),
        ("link anew", RepairPage::LinkAnew { bank: own() }),
        ("gone", RepairPage::Gone { bank: own() }),
    ] {
        repairs.push((name.to_owned(), page));
    }
    for what in [Trouble::Plaid, Trouble::Bank { name: own() }, Trouble::Ours { name: own() }, Trouble::Busy] {
        repairs.push((format!("{what:?}"), RepairPage::Trouble { what, path: repair_path() }));
    }
    repairs
}

/// An invented brand.
pub(super) fn brand() -> Brand {
    Brand {
        name: "Clearwater & Co".to_owned(),
        url: "https://app.clearwater.example/".parse().expect("an address"),
        support_email: "help@clearwater.example".to_owned(),
        button: button("#5b2a86"),
    }
}

pub(super) fn button(colour: &str) -> ButtonColours {
    ButtonColours::of(Colour::parse(colour).expect("a colour"))
}

pub(super) fn seen_in<T>(language: Language, show: impl FnOnce(&View<'_>) -> T) -> T {
    show(&View { brand: &brand(), language, time_zone: &TimeZone::UTC, nonce: Nonce::new(NONCE) })
}

/// Link inside the page, as in Plaid's sandbox.
#[must_use]
pub fn embedded() -> LinkMode {
    LinkMode::Embedded {
        script: "https://cdn.plaid.com/link/v2/stable/link-initialize.js".parse().expect("an address"),
        api: "https://sandbox.plaid.com".parse().expect("an address"),
        hosted: "https://*.plaid.com".parse().expect("an address"),
    }
}

/// Plaid's own page.
#[must_use]
pub fn hosted() -> LinkMode {
    LinkMode::Hosted { page: "https://*.plaid.com/".parse().expect("an address") }
}

pub(super) fn bank(name: Option<&str>, what: What) -> Bank {
    Bank { item: ItemId::parse(ITEM).expect("an id"), name: name.map(str::to_owned), what }
}

/// The id of one Item among others.
pub(super) fn item(number: u8) -> ItemId {
    ItemId::parse(format!("{}{number}", &ITEM[1..])).expect("an id")
}

pub(super) fn repair_path() -> String {
    format!("/repair/{TOKEN}")
}

pub(super) fn unsubscribe_path() -> String {
    format!("/unsubscribe/{TOKEN}")
}

pub(super) fn broken(banks: Vec<Bank>, mode: LinkMode) -> RepairPage {
    RepairPage::Broken { banks, path: repair_path(), mode: Box::new(mode) }
}

pub(super) fn no_longer() -> RepairPage {
    RepairPage::NoLonger { path: repair_path() }
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The page of a user with a bank of each kind, where something was saved just now.
pub(super) fn preferences(all: Letters, name: Option<&str>) -> Preferences {
    let banks = [Letters::On, Letters::From(time("2026-12-31T00:00:00Z")), Letters::Off];
    let bank = |(number, letters)| BankLetters { item: item(number), name: name.map(str::to_owned), letters };
    Preferences {
        path: unsubscribe_path(),
        all,
        off_since: (all == Letters::Off).then(|| time("2026-11-20T08:00:00Z")),
        is_reachable: all != Letters::Off,
        banks: (1..).zip(banks).map(bank).collect(),
        pauses: ["2026-12-02T00:00:00Z", "2026-12-09T00:00:00Z", "2026-12-25T00:00:00Z"].map(time),
        undo: Choices { all: Some(Letters::On), banks: vec![(item(1), Letters::Off)] },
    }
}

pub(super) fn all_needs() -> Vec<What> {
    let on = Some(time("2027-05-12T10:00:00Z"));
    let mut needs = vec![What::LoginRequired, What::NewAccounts, What::AccessWithdrawn, What::Impaired, What::Works];
    for why in [ExpiryReason::ConsentEnds, ExpiryReason::BankMoves, ExpiryReason::Unsaid] {
        needs.extend([What::Ends { on, why }, What::Ends { on: None, why }]);
    }
    needs
}
