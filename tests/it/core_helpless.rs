//! No letter about what Plaid says is gone, and none to somebody whom nothing can help: every answer that Plaid can give, to
//! an Item in every state, at many times after.
//!
//! The answers are all codes of the table of fault owners, some that nobody knows, withdrawn consents, and no error at all. What
//! is asserted goes by the owner of the code, not by what the rule made of it.

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::compose::{Composition, Line, User, still_wanted};
use relinkd::domain::event::{Event, Health, Topic};
use relinkd::domain::item::{Deadline, ExpiryReason, Item, Kind};
use relinkd::plaid::error::PlaidError;
use relinkd::plaid::fault::{Owner, TABLE, health, owner};

use super::core_support::{
    after, answer, answer_with_consent, any_hour, broken, composed, days, hours, mins, proven, secs, start, user,
};

/// Items in every state and in several at once, each as events made it within the days before the start.
fn items() -> Vec<(String, Item)> {
    let ends = |ahead: SignedDuration, why| Event::Expiring { deadline: Deadline::Known(start() + ahead), why };
    let openings: [(&str, Event); 6] = [
        ("broken", broken()),
        ("ending", ends(days(5), ExpiryReason::ConsentEnds)),
        ("moving", ends(days(5), ExpiryReason::BankMoves)),
        ("new accounts", Event::NewAccounts),
        ("revoked", Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() }),
        ("claimed", Event::UpdateModeFinished),
    ];
    let mut all = Vec::new();
    for set in 0..1_u32 << openings.len() {
        for opened in [start() - mins(2), start() - days(1)] {
            let mut item = proven("item-1", "user-1", start() - days(2));
            let mut name = String::new();
            for (place, (what, event)) in openings.iter().enumerate() {
                if set & (1 << place) != 0 {
                    item = after(&item, event, opened);
                    name = format!("{name} {what}");
                }
            }
            all.push((format!("{name} since {opened}"), item));
        }
    }
    all
}

/// What Plaid may say: a name, whose it is to cure, and how that is the Item's health.
fn answers() -> Vec<(String, Option<Owner>, Health)> {
    let error = |code: &str, reason: Option<&str>| PlaidError {
        error_type: "ITEM_ERROR".to_owned(),
        error_code: code.to_owned(),
        reason: reason.map(str::to_owned),
        request_id: None,
    };
    let unknown = ["", "SOMETHING_NEW", "item_login_required", "ITEM_LOGIN_REQUIRED_AGAIN", "SOME_ENDPOINT_LIMIT"];
    let codes = TABLE.iter().map(|row| row.code).chain(unknown);
    let mut all: Vec<(String, Option<Owner>, Health)> =
        codes.map(|code| (code.to_owned(), Some(owner(code)), health(&error(code, None)))).collect();
    let withdrawn = health(&error("ITEM_LOGIN_REQUIRED", Some("OAUTH_USER_REVOKED")));
    all.push(("withdrawn at the bank".to_owned(), Some(Owner::UserWithdrew), withdrawn));
    all.push(("no error".to_owned(), None, Health::Good));
    all
}

fn times() -> Vec<Timestamp> {
    let waits = [secs(0), mins(31), hours(25), days(3), days(4), days(6), days(8), days(15), days(29), days(100)];
    waits.into_iter().map(|wait| start() + wait).collect()
}

/// Every line that a letter could hold about the Item as it was: those of letters that are on their way.
fn lines(item: &Item) -> Vec<Line> {
    let mut lines = Vec::new();
    for episode in 1..=item.episodes {
        for kind in Kind::ALL {
            for rung in 0..4 {
                lines.push(Line { item: item.id.clone(), episode, topic: Topic::Reminder { kind, rung } });
            }
        }
    }
    lines
}

/// What may be said of an Item after Plaid's answer, at the latest until the next one.
fn may_say(owner: Option<Owner>, kind: Kind) -> bool {
    match (owner, kind) {
        // Whoever withdrew is reminded only where the operator wants it; here the ladder for it is empty.
        (_, Kind::Revoked) => false,
        (Some(Owner::User { .. }), _) => true,
        (None, Kind::LoginRequired) => false,
        (None, Kind::PendingExpiration | Kind::NewAccounts) => true,
        (
            Some(
                Owner::UserWithdrew
                | Owner::Bank
                | Owner::Plaid
                | Owner::Operator
                | Owner::NewItem
                | Owner::Gone
                | Owner::Nobody,
            ),
            _,
        ) => false,
    }
}

fn reminders(lines: &[Line]) -> impl Iterator<Item = Kind> + '_ {
    lines.iter().filter_map(|line| match line.topic {
        Topic::Reminder { kind, .. } => Some(kind),
        Topic::WorksAgain | Topic::FreshLink => None,
    })
}

fn check(name: &str, owner: Option<Owner>, item: &Item, before: &Item, owner_of_item: &User) -> usize {
    let mut said = 0;
    for now in times() {
        if let Composition::Write(lines) = composed(owner_of_item, std::slice::from_ref(item), &[], now) {
            for kind in reminders(&lines) {
                assert!(may_say(owner, kind), "{name}: composed {kind:?} at {now}\n{item:?}");
                said += 1;
            }
        }
        let wanted: Vec<Line> =
            lines(before).into_iter().filter(|line| still_wanted(line, item, owner_of_item, now, any_hour())).collect();
        for line in &wanted {
            let Topic::Reminder { kind, .. } = line.topic else { continue };
            let is_open = item.open(kind).is_some_and(|open| open.number == line.episode);
            // An empty ladder composes nothing; what is on its way was written under another one.
            let withdrew = kind == Kind::Revoked
                && owner.is_none_or(|owner| matches!(owner, Owner::User { .. } | Owner::UserWithdrew));
            assert!(is_open && (withdrew || may_say(owner, kind)), "{name}: {kind:?} leaves at {now}\n{item:?}");
        }
    }
    said
}

#[test]
fn no_letter_about_what_is_gone_and_none_to_whom_nothing_can_help() {
    let (items, answers, owner_of_item) = (items(), answers(), user("user-1"));
    let mut said = 0;
    for (state, before) in &items {
        for (code, owner, health) in &answers {
            let item = after(before, &answer(before, start(), health.clone()), start());
            said += check(&format!("{state}, then {code}"), *owner, &item, before, &owner_of_item);
        }
    }
    assert!(said > 1_000, "what the user can cure is told: {said}");
}

#[test]
fn no_letter_about_an_end_that_plaid_moved_away() {
    for why in [ExpiryReason::ConsentEnds, ExpiryReason::Unsaid] {
        let item = proven("item-1", "user-1", start() - days(2));
        let ending = Event::Expiring { deadline: Deadline::Known(start() + days(5)), why };
        let before = after(&item, &ending, start() - days(1));
        let renewed = answer_with_consent(&before, start(), Health::Good, Some(start() + days(180)));
        let item = after(&before, &renewed, start());
        for now in times().into_iter().filter(|now| *now < start() + days(170)) {
            assert!(!matches!(composed(&user("user-1"), std::slice::from_ref(&item), &[], now), Composition::Write(_)));
            assert!(!lines(&before).iter().any(|line| still_wanted(line, &item, &user("user-1"), now, any_hour())));
        }
    }
}
