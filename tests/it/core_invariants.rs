//! The invariants of `core_exhaustive`, one function each. What each means in words stands there.

use std::collections::BTreeSet;

use jiff::Timestamp;
use relinkd::domain::compose::{Composition, Line, Silence, is_addressable, speaks_at, still_wanted};
use relinkd::domain::effect::{Effect, Notice};
use relinkd::domain::event::{Event, Health, Observation, Topic};
use relinkd::domain::item::{ExpiryReason, Hold, Item, Kind, Login, Token, UNTIL_RESUMED};
use relinkd::domain::policy::{FLAP, NEW_ACCOUNTS_LAPSE, Policy};
use relinkd::domain::step::{Outcome, Step};
use relinkd::domain::transition::transition;

use super::core_support::{asks, composed, days, user};

/// One step that was taken.
pub struct Case<'a> {
    pub before: &'a Item,
    pub event: &'a Event,
    pub now: Timestamp,
    pub step: &'a Step,
    pub policy: &'a Policy,
    /// What is composed for the owner afterwards, with nothing in the way.
    pub composition: Composition,
}

type Invariant = fn(&Case<'_>) -> bool;

pub const INVARIANTS: [(&str, Invariant); 33] = [
    ("removed is terminal", removed_is_terminal),
    ("removed holds nothing", removed_holds_nothing),
    ("only the table opens", only_the_table_opens),
    ("only the table closes", only_the_table_closes),
    ("closing needs a newer answer than the claim", closing_needs_a_newer_answer),
    ("an old answer changes nothing", an_old_answer_changes_nothing),
    ("an answer about an earlier token asks again", an_earlier_token_asks_again),
    ("newer evidence is not closed", newer_evidence_is_not_closed),
    ("a newer mending is not opened", a_newer_mending_is_not_opened),
    ("an answer is believed", an_answer_is_believed),
    ("null closes no deadline", null_closes_no_deadline),
    ("numbers never fall or repeat", numbers_never_fall_or_repeat),
    ("twice is once", twice_is_once),
    ("due_at is ahead", due_at_is_ahead),
    ("asks are not in the past", asks_are_not_in_the_past),
    ("keys are unique", keys_are_unique),
    ("a change of state is told", a_change_of_state_is_told),
    ("closed is exact", closed_is_exact),
    ("only letters move ladders", only_letters_move_ladders),
    ("a foreign answer changes only the token", a_foreign_answer_changes_only_the_token),
    ("only a matching answer proves", only_a_matching_answer_proves),
    ("hints ask", hints_ask),
    ("the unproven are silent", the_unproven_are_silent),
    ("the held are silent", the_held_are_silent),
    ("the stopped are silent", the_stopped_are_silent),
    ("a stop begins and ends by the user's word", a_stop_begins_and_ends_by_word),
    ("only an import holds", only_an_import_holds),
    ("a hold ends by release or by a clean answer", a_hold_ends_by_release_or_a_clean_answer),
    ("an import asks nothing", an_import_asks_nothing),
    ("a release lets speak", a_release_lets_speak),
    ("speaks_at is what compose says", speaks_at_is_what_compose_says),
    ("what is composed is wanted", what_is_composed_is_wanted),
    ("a composed rung is behind", a_composed_rung_is_behind),
];

impl Case<'_> {
    /// The answer that the event brings, if it is about this Item and its present token, and newer than any before.
    fn accepted(&self) -> Option<&Observation> {
        let Event::Observed(answer) = self.event else { return None };
        let ours = answer.item.as_ref().is_none_or(|item| *item == self.before.id);
        let newest = !self.stale(answer);
        (ours && newest && answer.asked_at >= self.before.registered_at && self.before.removed.is_none())
            .then_some(answer)
    }

    /// Whether what was noted at a moment is newer than the answer; not if the clock was set back since.
    fn newer(&self, noted: Timestamp, answer: &Observation) -> bool {
        noted > answer.asked_at && noted <= self.now
    }

    /// Whether the answer to a newer question is known already.
    fn stale(&self, answer: &Observation) -> bool {
        self.before.observed_at.is_some_and(|newest| newest == answer.asked_at || self.newer(newest, answer))
    }

    fn nothing_happened(&self) -> bool {
        self.step.item == *self.before && self.step.effects.is_empty() && self.step.closed.is_empty()
    }

    /// Whether the answer is newer than a claim.
    fn claimed(&self, answer: &Observation) -> bool {
        self.before.claim.is_some_and(|claim| !self.newer(claim.at, answer))
    }
}

fn numbers(item: &Item) -> BTreeSet<(Kind, u32)> {
    Kind::ALL.into_iter().filter_map(|kind| item.open(kind).map(|episode| (kind, episode.number))).collect()
}

fn opened(case: &Case<'_>) -> Vec<(Kind, u32)> {
    numbers(&case.step.item).difference(&numbers(case.before)).copied().collect()
}

fn removed_is_terminal(case: &Case<'_>) -> bool {
    case.before.removed.is_none()
        || matches!(case.event, Event::Registered { .. } | Event::Imported { .. })
        || case.nothing_happened()
}

fn removed_holds_nothing(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    let nothing = numbers(item).is_empty()
        && item.login == Login::Sound
        && item.claim.is_none()
        && item.impaired.is_none()
        && item.superseded_by.is_none()
        && item.snoozed_until.is_none()
        && item.hold == Hold::No
        && item.consent_expires_at.is_none();
    item.removed.is_none() || nothing
}

fn only_the_table_opens(case: &Case<'_>) -> bool {
    let health = case.accepted().map(|answer| &answer.health);
    opened(case).into_iter().all(|(kind, _)| match kind {
        Kind::Revoked => matches!(case.event, Event::Revoked { .. }) || matches!(health, Some(Health::Revoked { .. })),
        Kind::LoginRequired => {
            matches!(case.event, Event::LoginRequired(_)) || matches!(health, Some(Health::Broken(_)))
        }
        Kind::PendingExpiration => {
            let near = case.accepted().and_then(|answer| answer.consent_expires_at).is_some();
            // The clock alone, seven days before the end that Plaid last named.
            let ahead = case.before.consent_expires_at.map(|ends| ends.duration_since(case.now));
            let comes_near = ahead.is_some_and(|ahead| ahead > days(0) && ahead <= days(7));
            matches!(case.event, Event::Expiring { .. })
                || matches!(health, Some(Health::Good)) && near
                || matches!(case.event, Event::Tick) && comes_near
        }
        Kind::NewAccounts => matches!(case.event, Event::NewAccounts),
    })
}

fn only_the_table_closes(case: &Case<'_>) -> bool {
    let health = case.accepted().map(|answer| &answer.health);
    let gone = matches!(case.event, Event::Removed { .. }) || matches!(health, Some(Health::Gone));
    let good = matches!(health, Some(Health::Good));
    let claimed = good && case.accepted().is_some_and(|answer| case.claimed(answer));
    case.step.closed.iter().all(|closed| {
        let by_rule = match closed.kind {
            Kind::Revoked => claimed,
            Kind::LoginRequired => good || matches!(case.event, Event::LoginRepaired),
            Kind::PendingExpiration => {
                let passed = case.before.expiry.as_ref().is_some_and(|open| open.what.deadline.at() <= case.now);
                good || passed && matches!(health, Some(Health::Broken(_)))
            }
            Kind::NewAccounts => {
                let lapses = |opened_at| case.now.duration_since(opened_at) >= NEW_ACCOUNTS_LAPSE;
                let old = case.before.new_accounts.as_ref().is_some_and(|open| lapses(open.opened_at));
                claimed || old && matches!(case.event, Event::Tick)
            }
        };
        by_rule || gone && closed.outcome == Outcome::Removed
    })
}

fn closing_needs_a_newer_answer(case: &Case<'_>) -> bool {
    let repaired =
        |kind| case.step.closed.iter().any(|closed| closed.kind == kind && closed.outcome == Outcome::Repaired);
    let any = Kind::ALL.into_iter().any(repaired);
    !any || case.accepted().is_some_and(|answer| case.claimed(answer) && answer.health == Health::Good)
}

fn an_old_answer_changes_nothing(case: &Case<'_>) -> bool {
    let Event::Observed(answer) = case.event else { return true };
    !case.stale(answer) || case.nothing_happened()
}

fn an_earlier_token_asks_again(case: &Case<'_>) -> bool {
    let Event::Observed(answer) = case.event else { return true };
    let stale = case.stale(answer);
    let earlier = answer.asked_at < case.before.registered_at && case.before.removed.is_none();
    !earlier || stale || case.step.item == *case.before && asks(case.step) == [case.now]
}

fn newer_evidence_is_not_closed(case: &Case<'_>) -> bool {
    let Some(answer) = case.accepted() else { return true };
    let newer = case.before.broken().is_some_and(|episode| case.newer(episode.what.evidence_at, answer));
    !(newer && answer.health == Health::Good)
        || case.step.item.login == case.before.login && !asks(case.step).is_empty()
}

fn a_newer_mending_is_not_opened(case: &Case<'_>) -> bool {
    let Some(answer) = case.accepted() else { return true };
    let newer = matches!(&case.before.login, Login::Mended { at, .. } if case.newer(*at, answer));
    !(newer && matches!(answer.health, Health::Broken(_)))
        || case.step.item.login == case.before.login && !asks(case.step).is_empty()
}

fn an_answer_is_believed(case: &Case<'_>) -> bool {
    let Some(answer) = case.accepted() else { return true };
    let outweighed = match &case.before.login {
        Login::Sound => false,
        Login::Broken(episode) => case.newer(episode.what.evidence_at, answer),
        Login::Mended { at, .. } => case.newer(*at, answer),
    };
    match &answer.health {
        Health::Good => outweighed || case.step.item.broken().is_none() && case.step.item.removed.is_none(),
        Health::Broken(_) => outweighed || case.step.item.broken().is_some(),
        Health::Revoked { .. } => case.step.item.revoked.is_some() && case.step.item.login == case.before.login,
        Health::Impaired { .. } => case.step.item.impaired.is_some() && case.step.item.login == case.before.login,
        Health::Gone => case.step.item.removed.is_some(),
    }
}

fn null_closes_no_deadline(case: &Case<'_>) -> bool {
    let (Some(answer), Some(open)) = (case.accepted(), &case.before.expiry) else { return true };
    let ahead = open.what.deadline.at() > answer.asked_at;
    let names_no_end = answer.consent_expires_at.is_none()
        || open.what.why == ExpiryReason::BankMoves && {
            // The consent that was known before says nothing about the bank's move.
            answer.consent_expires_at <= case.before.consent_expires_at || case.before.consent_expires_at.is_none()
        };
    let silent = names_no_end && !case.claimed(answer) && !matches!(answer.health, Health::Gone);
    !(ahead && silent) || case.step.item.expiry == case.before.expiry
}

fn numbers_never_fall_or_repeat(case: &Case<'_>) -> bool {
    let (before, after) = (case.before, &case.step.item);
    let flapped = |number| match &before.login {
        Login::Mended { episode, at } => episode.number == number && case.now.duration_since(*at) < FLAP,
        Login::Sound | Login::Broken(_) => false,
    };
    let all: Vec<u32> = numbers(after).into_iter().map(|(_, number)| number).collect();
    let distinct = all.iter().collect::<BTreeSet<_>>().len() == all.len();
    let fresh = |(kind, number)| {
        number > before.episodes && number <= after.episodes || kind == Kind::LoginRequired && flapped(number)
    };
    after.episodes >= before.episodes && distinct && opened(case).into_iter().all(fresh)
}

fn twice_is_once(case: &Case<'_>) -> bool {
    if matches!(case.event, Event::LetterSent(_) | Event::LetterReturned(_)) {
        return true;
    }
    let again = transition(&case.step.item, case.event, case.now, case.policy);
    again.item == case.step.item && again.closed.is_empty()
}

fn due_at_is_ahead(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    let pauses = item.snoozed_until.is_some_and(|until| until > case.now) && !item.is_stopped();
    let waits = item.expiry.is_some() || pauses;
    item.due_at(case.now).map_or(!waits, |due| due > case.now)
}

fn asks_are_not_in_the_past(case: &Case<'_>) -> bool {
    case.step.effects.iter().filter_map(Effect::not_before).all(|at| at >= case.now)
}

fn keys_are_unique(case: &Case<'_>) -> bool {
    let keys: Vec<String> = case.step.effects.iter().filter_map(|effect| effect.key(&case.before.id)).collect();
    keys.iter().collect::<BTreeSet<_>>().len() == keys.len()
}

fn a_change_of_state_is_told(case: &Case<'_>) -> bool {
    let (from, to) = (case.before.state(), case.step.item.state());
    let told: Vec<_> =
        case.step.effects.iter().filter(|effect| matches!(effect, Effect::Tell(Notice::StateChanged { .. }))).collect();
    if from == to {
        told.is_empty() && case.step.item.since == case.before.since
    } else {
        told == [&Effect::Tell(Notice::StateChanged { from, to })] && case.step.item.since == case.now
    }
}

fn closed_is_exact(case: &Case<'_>) -> bool {
    let listed: Vec<(Kind, u32)> = case.step.closed.iter().map(|closed| (closed.kind, closed.number)).collect();
    let gone: BTreeSet<_> = numbers(case.before).difference(&numbers(&case.step.item)).copied().collect();
    listed.len() == gone.len() && listed.into_iter().collect::<BTreeSet<_>>() == gone
}

fn only_letters_move_ladders(case: &Case<'_>) -> bool {
    let composed = matches!(case.event, Event::LetterComposed(_));
    let sent = matches!(case.event, Event::LetterSent(_));
    let returned = matches!(case.event, Event::LetterReturned(_));
    let withheld = matches!(case.event, Event::LetterWithheld(_)) || returned;
    let kept = Kind::ALL.into_iter().all(|kind| {
        let (Some(before), Some(after)) = (case.before.open(kind), case.step.item.open(kind)) else { return true };
        before.number != after.number
            || (after.rungs_passed >= before.rungs_passed || withheld)
                && (after.rungs_passed <= before.rungs_passed || composed)
                && (after.letters == before.letters
                    || sent && after.letters == before.letters + 1
                    || returned && after.letters + 1 == before.letters)
                && after.opened_at == before.opened_at
    });
    // Nothing is owed to a new owner.
    let moved = case.before.user != case.step.item.user;
    let answered = |item: &Item| match &item.login {
        Login::Sound => None,
        Login::Broken(episode) | Login::Mended { episode, .. } => Some((episode.number, episode.what.answered)),
    };
    let word = match (answered(case.before), answered(&case.step.item)) {
        (Some(before), Some(after)) => before.0 != after.0 || before.1 == after.1 || composed || withheld || moved,
        (Some(_) | None, None) | (None, Some(_)) => true,
    };
    kept && word
}

fn a_foreign_answer_changes_only_the_token(case: &Case<'_>) -> bool {
    let Event::Observed(answer) = case.event else { return true };
    let foreign = answer.item.as_ref().is_some_and(|item| *item != case.before.id);
    !foreign || Item { token: case.before.token, ..case.step.item.clone() } == *case.before
}

fn only_a_matching_answer_proves(case: &Case<'_>) -> bool {
    let proven = case.step.item.token == Token::Proven && case.before.token != Token::Proven;
    !proven || case.accepted().is_some_and(|answer| answer.item.as_ref() == Some(&case.before.id))
}

fn hints_ask(case: &Case<'_>) -> bool {
    let hint = matches!(
        case.event,
        Event::LoginRequired(_) | Event::LoginRepaired | Event::Suspected | Event::UpdateModeFinished
    );
    let registered = matches!(case.event, Event::Registered { .. });
    !(hint && case.before.removed.is_none() || registered) || asks(case.step).len() == 1
}

fn the_unproven_are_silent(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    is_addressable(item)
        || speaks_at(item, case.now, case.policy).is_none() && matches!(case.composition, Composition::Nothing(_))
}

/// All that could be said about an Item.
fn every_line(item: &Item) -> Vec<Line> {
    let line = |episode, topic| Line { item: item.id.clone(), episode, topic };
    let reminder =
        |kind| item.open(kind).map(|open| line(open.number, Topic::Reminder { kind, rung: open.rungs_passed }));
    let word = item.word_owed().map(|(episode, _)| line(episode.number, Topic::WorksAgain));
    Kind::ALL.into_iter().filter_map(reminder).chain(word).collect()
}

fn the_held_are_silent(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    let owner = user(item.user.as_str());
    let unsaid = every_line(item).iter().all(|line| !still_wanted(line, item, &owner, case.now, case.policy));
    let open = Kind::ALL.into_iter().any(|kind| item.open(kind).is_some());
    let reason = if open && is_addressable(item) { Silence::Held } else { Silence::NothingDue };
    item.held_since().is_none()
        || unsaid
            && speaks_at(item, case.now, case.policy).is_none()
            && case.composition == Composition::Nothing(reason)
}

fn the_stopped_are_silent(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    let owner = user(item.user.as_str());
    // A link that somebody asks for is a letter about the bank too.
    let fresh = Line { item: item.id.clone(), episode: item.episodes, topic: Topic::FreshLink };
    let mut lines = every_line(item).into_iter().chain([fresh]);
    !item.is_stopped()
        || lines.all(|line| !still_wanted(&line, item, &owner, case.now, case.policy))
            && speaks_at(item, case.now, case.policy).is_none()
            && matches!(case.composition, Composition::Nothing(_))
}

fn a_stop_begins_and_ends_by_word(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    match (case.before.is_stopped(), item.is_stopped()) {
        (false, true) => matches!(case.event, Event::Snoozed { until } if *until >= UNTIL_RESUMED),
        (true, false) => {
            matches!(case.event, Event::Resumed) || item.removed.is_some() || item.user != case.before.user
        }
        (false, false) | (true, true) => true,
    }
}

fn only_an_import_holds(case: &Case<'_>) -> bool {
    let (before, after) = (case.before.held_since(), case.step.item.held_since());
    let anew = case.before.removed.is_some() || case.before.observed_at.is_none();
    let imported = matches!(case.event, Event::Imported { .. }) && anew;
    match (before, after) {
        (Some(since), Some(still)) => since == still,
        (None, Some(since)) => imported && since == case.now,
        (None, None) => !imported,
        (Some(_), None) => true,
    }
}

fn a_hold_ends_by_release_or_a_clean_answer(case: &Case<'_>) -> bool {
    let (before, item) = (case.before, &case.step.item);
    let wordless = Kind::ALL.into_iter().all(|kind| item.open(kind).is_none() || case.policy.ladder(kind).is_empty());
    let said = case.accepted().is_some_and(|answer| !matches!(answer.health, Health::Impaired { .. }));
    let clean = said && item.token == Token::Proven && wordless;
    let released = matches!(case.event, Event::LettersReleased);
    match (before.hold, item.hold) {
        (Hold::Held { .. }, Hold::Held { .. }) => !clean && !released,
        (Hold::Held { .. }, Hold::Released { at }) => released && at == case.now,
        (Hold::Held { .. }, Hold::No) => clean || item.removed.is_some(),
        (Hold::Released { at }, Hold::Released { at: still }) => at == still,
        (Hold::Released { .. }, Hold::No) => item.removed.is_some(),
        (Hold::Released { .. }, Hold::Held { .. }) => before.observed_at.is_none(),
        (Hold::No, Hold::No | Hold::Held { .. }) => true,
        (Hold::No, Hold::Released { .. }) => false,
    }
}

fn an_import_asks_nothing(case: &Case<'_>) -> bool {
    !matches!(case.event, Event::Imported { .. } | Event::LettersReleased) || asks(case.step).is_empty()
}

fn a_release_lets_speak(case: &Case<'_>) -> bool {
    let released = matches!(case.event, Event::LettersReleased) && case.before.held_since().is_some();
    let unheld = Item { hold: Hold::No, ..case.before.clone() };
    // Nothing of a held Item was written, so no rung of it is behind.
    let unwritten = Kind::ALL.into_iter().all(|kind| unheld.open(kind).is_none_or(|open| open.rungs_passed == 0));
    let speaks = |item| speaks_at(item, case.now, case.policy);
    !(released && unwritten) || speaks(&case.step.item) == speaks(&unheld)
}

fn speaks_at_is_what_compose_says(case: &Case<'_>) -> bool {
    let speaks = speaks_at(&case.step.item, case.now, case.policy);
    match case.composition {
        Composition::Write(_) => speaks == Some(case.now),
        Composition::Wait { until, .. } => speaks == Some(until) && until > case.now,
        Composition::Nothing(_) => speaks.is_none(),
    }
}

fn lines(case: &Case<'_>) -> Vec<Line> {
    match &case.composition {
        Composition::Write(lines) => lines.clone(),
        Composition::Wait { .. } | Composition::Nothing(_) => Vec::new(),
    }
}

fn what_is_composed_is_wanted(case: &Case<'_>) -> bool {
    let item = &case.step.item;
    let owner = user(item.user.as_str());
    lines(case).iter().all(|line| still_wanted(line, item, &owner, case.now, case.policy))
}

fn a_composed_rung_is_behind(case: &Case<'_>) -> bool {
    use relinkd::domain::event::Mention;
    use relinkd::domain::ids::LetterId;
    let letter = LetterId(uuid::Uuid::from_u128(1));
    let owner = user(case.step.item.user.as_str());
    lines(case).into_iter().all(|line| {
        let mention = Mention { letter, episode: line.episode, topic: line.topic };
        let item = transition(&case.step.item, &Event::LetterComposed(mention), case.now, case.policy).item;
        match composed(&owner, &[item], &[], case.now) {
            Composition::Write(next) => {
                line.topic == Topic::WorksAgain && next.iter().all(|other| other.topic != line.topic)
            }
            Composition::Wait { .. } | Composition::Nothing(_) => true,
        }
    })
}
