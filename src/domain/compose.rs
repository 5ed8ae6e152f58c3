//! The one rule for a user: all that is due, the history and the user's wishes -> one letter, a wait, or nothing.
//!
//! What is due is derived from the Items each time, so nothing can be forgotten and nothing is sent twice: a rung is behind
//! once a letter covers it. [`still_wanted`] asks the same question again right before a letter leaves.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::event::Topic;
use super::ids::{InstitutionId, ItemId, UserId};
use super::item::{Episode, Hold, Item, Kind, Login, Token};
use super::ladder::Standing;
use super::policy::{GATHER, ITEM_LETTERS_MAX, ITEM_LETTERS_SPAN, Policy, WORKS_AGAIN_MAX};
use super::transition::after;

/// An end user, as far as letters are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The application's name for the user.
    pub id: UserId,
    /// Where the user's day begins and ends.
    pub time_zone: TimeZone,
    /// Whether there is an address that takes letters.
    pub reach: Reach,
    /// Since when the user wants no letters at all.
    pub stopped_at: Option<Timestamp>,
    /// No letters before this moment.
    pub snoozed_until: Option<Timestamp>,
}

/// Who brings letters to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// We do, by mail to the address on file.
    Mail,
    /// The application does, told by an event: where to is its own business.
    Event,
}

/// Whether a user can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// There is an address, or the application knows how to.
    Address,
    /// The application gave none.
    NoAddress,
    /// The address takes no letters: it bounced or complained.
    Suppressed,
}

/// A letter that left, or is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When it left; while it is on its way, when it was composed.
    pub at: Timestamp,
    /// About which Items.
    pub items: Vec<ItemId>,
    /// Whether it reminded of anything; "it works again" alone does not.
    pub reminder: bool,
}

/// What holds letters back that neither the user nor the Item knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// A letter to this user is composed and not settled yet, and does not only wait.
    pub underway: bool,
    /// Banks of which so many Items fail at once that it is the bank's fault: no letters about them before then.
    pub held: Vec<(InstitutionId, Timestamp)>,
    /// The cap for the user's mailbox provider is used up until then.
    pub provider_full_until: Option<Timestamp>,
}

/// What one letter says about one Item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// About which Item.
    pub item: ItemId,
    /// About which of its episodes.
    pub episode: u32,
    /// What it says.
    pub topic: Topic,
}

/// What is to be done for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Composition {
    /// Write one letter with these lines, the most urgent first.
    Write(Vec<Line>),
    /// Look again then.
    Wait {
        /// When.
        until: Timestamp,
        /// Why not now.
        why: Delay,
    },
    /// Nothing to write, until something happens.
    Nothing(Silence),
}

/// Why a letter waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delay {
    /// No rung is due before then.
    NotDue,
    /// The user had a letter a short time ago.
    UserGap,
    /// Another Item's reminder is due within minutes: one letter for both.
    Gathering,
    /// It is night where the user is.
    SendWindow,
    /// The user asked for a pause.
    Snoozed,
    /// The mailbox provider takes no more today.
    ProviderFull,
}

/// Why there is nothing to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// No Item has a rung left, now or later.
    NothingDue,
    /// What there is to write waits for the operator: it was found at the import of the Item.
    Held,
    /// The user stopped all letters.
    Stopped,
    /// There is no address.
    NoAddress,
    /// The address takes no letters.
    Suppressed,
    /// A letter is on its way already.
    Underway,
    /// The send window never opens again.
    WindowNeverOpens,
}

/// Why one Item has nothing to say to its user now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quiet {
    /// It is gone.
    Removed,
    /// Its token is not proven, or no good.
    Token,
    /// Its repair would break a newer one.
    Superseded,
    /// The bank or Plaid is down: nobody can repair it.
    Impaired,
    /// It was found broken at its import, and waits for the operator.
    Held,
    /// No letters about it for a while, or until they are resumed.
    Snoozed,
    /// Nothing is open that its user could do something about.
    Sound,
    /// The next rung of the ladder is not due yet.
    NotDue,
    /// Every rung of the ladder was written.
    LadderEnded,
    /// Several logins broke at its bank at once: it is the bank's fault.
    BankFails,
    /// It had its letters for this month.
    Capped,
}

/// Why an Item has nothing to say now; nothing if it has.
#[must_use]
pub fn quiet(
    item: &Item,
    sent: &[Sent],
    circumstances: &Circumstances,
    now: Timestamp,
    policy: &Policy,
) -> Option<Quiet> {
    outlook(item, sent, circumstances, now, policy).quiet
}

/// What is to be done for a user: one letter, a wait, or nothing.
///
/// `sent` holds the letters of the last 30 days at least.
pub fn compose(
    user: &User,
    items: &[Item],
    sent: &[Sent],
    circumstances: &Circumstances,
    now: Timestamp,
    policy: &Policy,
) -> Composition {
    if let Some(silence) = silence(user) {
        return Composition::Nothing(silence);
    }
    if circumstances.underway {
        return Composition::Nothing(Silence::Underway);
    }
    if let Some(until) = user.snoozed_until.filter(|until| *until > now) {
        return Composition::Wait { until, why: Delay::Snoozed };
    }
    let outlooks: Vec<Outlook> = items.iter().map(|item| outlook(item, sent, circumstances, now, policy)).collect();
    let mut lines: Vec<Line> = outlooks.iter().flat_map(|outlook| outlook.due.clone()).collect();
    if lines.is_empty() {
        return match outlooks.iter().filter_map(|outlook| outlook.next).min() {
            Some(until) => Composition::Wait { until, why: Delay::NotDue },
            None => Composition::Nothing(nothing_due(items)),
        };
    }
    let gap_ends = sent.iter().filter(|letter| letter.reminder).map(|letter| after(letter.at, policy.user_gap)).max();
    if let Some(until) = gap_ends.filter(|until| *until > now) {
        // "It works again" answers a letter, so it does not wait for the next one's turn.
        lines.retain(|line| line.topic == Topic::WorksAgain);
        if lines.is_empty() {
            return Composition::Wait { until, why: Delay::UserGap };
        }
    }
    if let Some(until) = gathered_at(&lines, &outlooks, user, now, policy) {
        return Composition::Wait { until, why: Delay::Gathering };
    }
    if let Some(until) = circumstances.provider_full_until.filter(|until| *until > now) {
        return Composition::Wait { until, why: Delay::ProviderFull };
    }
    match policy.send_window.opens_at(now, &user.time_zone) {
        None => Composition::Nothing(Silence::WindowNeverOpens),
        Some(until) if until > now => Composition::Wait { until, why: Delay::SendWindow },
        Some(_) => {
            sort(&mut lines);
            Composition::Write(lines)
        }
    }
}

/// Why no Item has anything to say.
fn nothing_due(items: &[Item]) -> Silence {
    let holds = |item: &Item| {
        item.held_since().is_some() && is_addressable(item) && Kind::ALL.iter().any(|kind| item.open(*kind).is_some())
    };
    if items.iter().any(holds) { Silence::Held } else { Silence::NothingDue }
}

/// When the reminders that are about to come due are there too, if any are and the window is open then. Each Item is waited
/// for once at most, so the wait ends. "It works again" waits for nobody.
fn gathered_at(
    lines: &[Line],
    outlooks: &[Outlook],
    user: &User,
    now: Timestamp,
    policy: &Policy,
) -> Option<Timestamp> {
    if lines.iter().any(|line| line.topic == Topic::WorksAgain) {
        return None;
    }
    let soon = outlooks.iter().filter_map(|outlook| outlook.next).filter(|next| *next <= after(now, GATHER));
    soon.max().filter(|until| policy.send_window.opens_at(*until, &user.time_zone) == Some(*until))
}

/// Whether a letter that could be written takes the place of one that waits: if it reminds of another Item. What comes up about
/// an Item of which the waiting one speaks stands behind what that one says.
#[must_use]
pub fn says_more(lines: &[Line], waiting: &[Line]) -> bool {
    let is_news = |line: &Line| waiting.iter().all(|said| said.item != line.item);
    lines.iter().any(|line| line.topic != Topic::WorksAgain && is_news(line))
}

/// Whether a line of a composed letter is still so. Asked again right before the letter leaves: it may have waited for days.
#[must_use]
pub fn still_wanted(line: &Line, item: &Item, user: &User, now: Timestamp, policy: &Policy) -> bool {
    if silence(user).is_some() || item.user != user.id {
        return false;
    }
    if line.topic == Topic::FreshLink {
        // Asked for by a person who is there now: neither a pause nor the bank's outage speaks against it. A stop does.
        return is_addressable(item) && !item.is_stopped();
    }
    let paused = user.snoozed_until.is_some_and(|until| until > now);
    if paused || !matches!(addressable(item, now), Addressable::Now) {
        return false;
    }
    match line.topic {
        Topic::FreshLink => true,
        Topic::WorksAgain => match &item.login {
            Login::Mended { episode, at } => episode.number == line.episode && is_news(item, *at, now),
            Login::Sound | Login::Broken(_) => false,
        },
        Topic::Reminder { kind, .. } => urgent(item, now).is_some_and(|(most, episode)| {
            // A login that was mended and broke again meanwhile is the same episode, but gets its wait for self-healing.
            most == kind && episode.number == line.episode && anchor_and_floor(item, kind, &episode, policy).1 <= now
        }),
    }
}

/// Whether "it works again" is worth a letter: soon after, and not to somebody who withdrew.
fn is_news(item: &Item, mended_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(mended_at) < WORKS_AGAIN_MAX && item.revoked.is_none()
}

/// The first moment at which this Item may have something to say to its user; nothing if it has nothing to say.
#[must_use]
pub fn speaks_at(item: &Item, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
    let outlook = outlook(item, &[], &Circumstances::default(), now, policy);
    if outlook.due.is_empty() { outlook.next } else { Some(now) }
}

/// Whether a user is to get no letter at this moment, whatever there is to say.
#[must_use]
pub fn is_silent(user: &User, now: Timestamp) -> bool {
    silence(user).is_some() || user.snoozed_until.is_some_and(|until| until > now)
}

/// Why a user gets no letters at all, whatever there is to say and until somebody changes that.
#[must_use]
pub fn silence(user: &User) -> Option<Silence> {
    if user.stopped_at.is_some() {
        return Some(Silence::Stopped);
    }
    match user.reach {
        Reach::Address => None,
        Reach::NoAddress => Some(Silence::NoAddress),
        Reach::Suppressed => Some(Silence::Suppressed),
    }
}

/// What one Item has to say now, when it will have something to say next, and why it has not now.
struct Outlook {
    due: Vec<Line>,
    next: Option<Timestamp>,
    quiet: Option<Quiet>,
}

impl Outlook {
    fn says(line: Line) -> Self {
        Self { due: vec![line], next: None, quiet: None }
    }

    fn silent(why: Quiet, next: Option<Timestamp>) -> Self {
        Self { due: Vec::new(), next, quiet: Some(why) }
    }
}

enum Addressable {
    Now,
    From(Timestamp),
    Never(Quiet),
}

/// Whether an Item may be spoken of to its user at all: its token is proven, it is there, and its repair would break no
/// other.
#[must_use]
pub fn is_addressable(item: &Item) -> bool {
    match item.token {
        Token::Proven => item.removed.is_none() && item.superseded_by.is_none(),
        Token::Unproven | Token::Foreign | Token::Refused => false,
    }
}

/// Whether letters about an Item may be written now. While the bank is down nobody can repair anything, and Plaid's answer
/// says nothing about the login: the answer after it decides. What is held waits for its release and what is stopped for its
/// user, neither for a time.
fn addressable(item: &Item, now: Timestamp) -> Addressable {
    let barred = if !is_addressable(item) {
        Some(why_not_addressable(item))
    } else if item.impaired.is_some() {
        Some(Quiet::Impaired)
    } else if item.held_since().is_some() {
        Some(Quiet::Held)
    } else {
        item.is_stopped().then_some(Quiet::Snoozed)
    };
    match (barred, item.snoozed_until) {
        (Some(why), _) => Addressable::Never(why),
        (None, Some(until)) if until > now => Addressable::From(until),
        (None, Some(_) | None) => Addressable::Now,
    }
}

fn why_not_addressable(item: &Item) -> Quiet {
    if item.removed.is_some() {
        Quiet::Removed
    } else if item.superseded_by.is_some() {
        Quiet::Superseded
    } else {
        Quiet::Token
    }
}

/// The most urgent condition: the only one whose ladder runs, since update mode cures them all.
fn urgent(item: &Item, now: Timestamp) -> Option<(Kind, Episode<()>)> {
    // A deadline that passed is a question for Plaid, not for the user.
    let passed = item.expiry.as_ref().is_some_and(|expiry| expiry.what.deadline.at() <= now);
    Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::PendingExpiration || !passed)
        .find_map(|kind| item.open(kind).map(|episode| (kind, episode)))
}

fn outlook(item: &Item, sent: &[Sent], circumstances: &Circumstances, now: Timestamp, policy: &Policy) -> Outlook {
    match addressable(item, now) {
        Addressable::Never(why) => return Outlook::silent(why, None),
        Addressable::From(until) => return Outlook::silent(Quiet::Snoozed, Some(until)),
        Addressable::Now => {}
    }
    let line = |episode: &Episode<()>, topic| Line { item: item.id.clone(), episode: episode.number, topic };
    if let Some((episode, at)) = item.word_owed()
        && is_news(item, at, now)
    {
        return match capped_until(item, sent, now) {
            Some(until) => Outlook::silent(Quiet::Capped, Some(until)),
            None => Outlook::says(line(&episode.bare(), Topic::WorksAgain)),
        };
    }
    let Some((kind, episode)) = urgent(item, now) else { return Outlook::silent(Quiet::Sound, None) };
    match standing(item, kind, &episode, now, policy) {
        Standing::Ended => Outlook::silent(Quiet::LadderEnded, None),
        Standing::Next { at } => Outlook::silent(Quiet::NotDue, Some(at)),
        Standing::Due { rung } => {
            let held = held_until(item, circumstances).map(|until| (until, Quiet::BankFails));
            let capped = capped_until(item, sent, now).map(|until| (until, Quiet::Capped));
            match held.into_iter().chain(capped).filter(|(until, _)| *until > now).max_by_key(|(until, _)| *until) {
                Some((until, why)) => Outlook::silent(why, Some(until)),
                None => Outlook::says(line(&episode, Topic::Reminder { kind, rung })),
            }
        }
    }
}

/// Where the ladder of an open condition stands.
fn standing(item: &Item, kind: Kind, episode: &Episode<()>, now: Timestamp, policy: &Policy) -> Standing {
    let (anchor, floor) = anchor_and_floor(item, kind, episode, policy);
    policy.ladder(kind).standing(anchor, episode.rungs_passed, floor, now)
}

/// From when a ladder counts (or down to when), and before when nothing of it is due.
fn anchor_and_floor(item: &Item, kind: Kind, episode: &Episode<()>, policy: &Policy) -> (Timestamp, Timestamp) {
    match kind {
        Kind::Revoked | Kind::NewAccounts => (counted_from(item, kind, episode, policy), episode.opened_at),
        Kind::PendingExpiration => {
            (item.expiry.as_ref().map_or(episode.opened_at, |expiry| expiry.what.deadline.at()), episode.opened_at)
        }
        Kind::LoginRequired => {
            // Each break gets the wait for self-healing, also one that goes on with an old ladder.
            let broken_at = item.broken().map_or(episode.opened_at, |broken| broken.what.broken_at);
            let floor = after(broken_at, policy.login_required.first().unwrap_or_default());
            (counted_from(item, kind, episode, policy), floor)
        }
    }
}

/// From when a ladder that counts up counts: from the opening, but if letters waited for the operator, so that the first
/// rung is due at their release. The user hears of it for the first time then, and the other rungs follow at their distance.
fn counted_from(item: &Item, kind: Kind, episode: &Episode<()>, policy: &Policy) -> Timestamp {
    match item.hold {
        Hold::No | Hold::Held { .. } => episode.opened_at,
        Hold::Released { at } => {
            let first = policy.ladder(kind).first().unwrap_or_default();
            episode.opened_at.max(at.checked_sub(first).unwrap_or(Timestamp::MIN))
        }
    }
}

fn held_until(item: &Item, circumstances: &Circumstances) -> Option<Timestamp> {
    let bank = &item.institution.as_ref()?.id;
    circumstances.held.iter().filter(|(held, _)| held == bank).map(|(_, until)| *until).max()
}

/// When the Item may be written about again, if it had its letters for this month: reminders and "it works again" alike,
/// or a login that flaps would bring twelve.
fn capped_until(item: &Item, sent: &[Sent], now: Timestamp) -> Option<Timestamp> {
    let mut times: Vec<Timestamp> = sent
        .iter()
        .filter(|letter| letter.items.contains(&item.id))
        .map(|letter| letter.at)
        .filter(|at| after(*at, ITEM_LETTERS_SPAN) > now)
        .collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.get(ITEM_LETTERS_MAX - 1).map(|oldest| after(*oldest, ITEM_LETTERS_SPAN))
}

/// Puts the lines of a letter into their order: the most urgent first, "it works again" last.
pub fn sort(lines: &mut [Line]) {
    lines.sort_by(|a, b| urgency(a.topic).cmp(&urgency(b.topic)).then_with(|| a.item.cmp(&b.item)));
}

fn urgency(topic: Topic) -> u8 {
    match topic {
        Topic::Reminder { kind: Kind::Revoked, .. } => 0,
        Topic::Reminder { kind: Kind::LoginRequired, .. } => 1,
        Topic::Reminder { kind: Kind::PendingExpiration, .. } => 2,
        Topic::Reminder { kind: Kind::NewAccounts, .. } => 3,
        Topic::WorksAgain | Topic::FreshLink => 4,
    }
}
