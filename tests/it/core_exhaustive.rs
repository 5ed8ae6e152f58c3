//! The rule for an Item against written invariants: every shape of an Item x every event x several moments.
//!
//! The whole product is some thousands of millions of cases, so one case in [`STRIDE`] is tried: the stride is a prime that
//! divides no axis, so every value of every axis meets every value of every other. `TEST_CORE_STRIDE=1` tries them all
//! (hours). The invariants, by the names under which they fail:
//!
//! - **removed is terminal**: nothing but a registration changes a removed Item or does anything about it.
//! - **removed holds nothing**: a removed Item has no condition, claim, snooze or consent.
//! - **only the table opens**: each condition is opened only by the events that design names for it.
//! - **only the table closes**: and closed only by those.
//! - **closing needs a newer answer than the claim**: revoked and new accounts close as repaired only by a healthy answer to
//!   a question that is not older than a claim.
//! - **an old answer changes nothing**: a question not newer than the newest one answered.
//! - **an answer about an earlier token asks again**, and changes nothing.
//! - **newer evidence is not closed**: a healthy answer to a question older than the evidence leaves the login and asks again.
//! - **a newer mending is not opened**: likewise the other way round.
//! - **an answer is believed**: without newer evidence, the login is as the answer says.
//! - **null closes no deadline**: without a claim, a deadline ahead survives a healthy answer that names no end.
//! - **numbers never fall or repeat**: new episodes have new numbers; only a login that was mended within 72 h comes back.
//! - **twice is once**: the same event at the same moment again changes nothing more (a letter that left is counted once each).
//! - **due_at is ahead**, **asks are not in the past**, **keys are unique** within a step.
//! - **a change of state is told**: exactly then `since` is now and there is one notice.
//! - **closed is exact**: the episodes that were open before and are not after.
//! - **only letters move ladders**.
//! - **a foreign answer changes only the token**, and **only a matching answer proves**.
//! - What was noted later than now was noted before the clock was set back, and counts as older in all of these.
//! - **hints ask**: each webhook about the login, a suspicion, a claim and a registration lead to a question.
//! - **the unproven are silent**: no word about Items that are unproven, foreign, refused, removed or superseded.
//! - **the held are silent**: no word about Items that are held, neither composed nor wanted, and compose says why.
//! - **the stopped are silent**: no word about Items whose letters are off until they are resumed, not even a fresh link.
//! - **a stop begins and ends by the user's word**: or with the Item, or with another owner. No pause shortens it.
//! - **only an import holds**: and only Items that were never observed.
//! - **a hold ends by release or by a clean answer**: or with the Item. A clean answer leaves nothing open that has a ladder.
//! - **an import asks nothing**, a release neither.
//! - **a release lets speak**: what would be due if it had never been held is due, and nothing else.
//! - **speaks_at is what compose says**: a moment now is a letter, a later one a wait until then, none is silence.
//! - **what is composed is wanted**: or the same letter would be composed and withheld for ever.
//! - **a composed rung is behind**: composing again does not say the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use relinkd::domain::event::{Event, Health, Mention, NoLetters, Observation, Topic};
use relinkd::domain::ids::{AccountId, LetterId, SessionId};
use relinkd::domain::item::{
    Arrival, Break, Claim, Cure, Deadline, Destination, Episode, Expiry, ExpiryReason, Hold, Impaired, Item, Kind,
    Login, RemovalReason, Removed, Revocation, Token, UNTIL_RESUMED,
};
use relinkd::domain::policy::NEW_ACCOUNTS_LAPSE;
use relinkd::domain::transition::transition;
use uuid::Uuid;

use super::core_invariants::{Case, INVARIANTS};
use super::core_support::{
    any_hour, composed, days, fault, from_environment, hours, item_id, mins, proven, secs, start, user, user_id,
};

/// One case in so many is tried.
const STRIDE: u64 = 60_013;

const REASONS: [ExpiryReason; 3] = [ExpiryReason::ConsentEnds, ExpiryReason::BankMoves, ExpiryReason::Unsaid];

/// One value of each axis, by an index into the product.
struct Pick(u64);

impl Pick {
    fn of<T: Clone>(&mut self, axis: &[T]) -> T {
        let len = axis.len() as u64;
        let value = axis[usize::try_from(self.0 % len).expect("an index")].clone();
        self.0 /= len;
        value
    }
}

struct Axes {
    tokens: Vec<Token>,
    revoked: Vec<Option<Episode<Revocation>>>,
    logins: Vec<Login>,
    expiries: Vec<Option<Episode<Expiry>>>,
    arrivals: Vec<Option<Episode<Arrival>>>,
    claims: Vec<Option<Claim>>,
    snoozes: Vec<Option<Timestamp>>,
    holds: Vec<Hold>,
    superseded: Vec<bool>,
    impaired: Vec<bool>,
    observed: Vec<Option<Timestamp>>,
    consents: Vec<Option<Timestamp>>,
    removed: Vec<bool>,
    events: Vec<Event>,
    nows: Vec<Timestamp>,
}

fn episode<T>(number: u32, opened_at: Timestamp, rungs_passed: u8, letters: u32, what: T) -> Episode<T> {
    Episode { number, opened_at, rungs_passed, letters, what }
}

fn logins() -> Vec<Login> {
    let zero = start();
    let with = |opened, passed, letters, answered, evidence| {
        let what = Break {
            code: "ITEM_LOGIN_REQUIRED".to_owned(),
            reason: None,
            cure: Cure::LogIn,
            broken_at: opened,
            evidence_at: evidence,
            answered,
        };
        episode(2, opened, passed, letters, what)
    };
    let fresh = zero - mins(10);
    let (four, twenty) = (zero - days(4), zero - days(20));
    vec![
        Login::Sound,
        Login::Broken(with(fresh, 0, 0, 0, fresh)),
        Login::Broken(with(fresh, 0, 0, 0, zero - secs(1))),
        Login::Broken(with(four, 2, 2, 1, four)),
        Login::Broken(with(twenty, 4, 4, 0, zero - secs(20))),
        Login::Mended { episode: with(four, 1, 0, 0, four), at: zero - hours(1) },
        Login::Mended { episode: with(four, 2, 2, 1, four), at: zero - secs(8) },
        Login::Mended { episode: with(twenty, 4, 4, 4, twenty), at: zero - hours(80) },
    ]
}

fn expiries() -> Vec<Option<Episode<Expiry>>> {
    let zero = start();
    let mut all = vec![None];
    for why in REASONS {
        for (deadline, passed) in [
            (Deadline::Known(zero + days(3)), 1),
            (Deadline::Assumed(zero + days(6)), 0),
            (Deadline::Known(zero - mins(5)), 2),
            (Deadline::Assumed(zero - days(1)), 3),
        ] {
            all.push(Some(episode(3, zero - days(4), passed, u32::from(passed), Expiry { deadline, why })));
        }
    }
    all
}

fn mentions() -> Vec<Mention> {
    let letter = LetterId(Uuid::from_u128(7));
    let mut all = Vec::new();
    for (number, kind) in
        [(1, Kind::Revoked), (2, Kind::LoginRequired), (3, Kind::PendingExpiration), (4, Kind::NewAccounts)]
    {
        for rung in [0, 2] {
            all.push(Mention { letter, episode: number, topic: Topic::Reminder { kind, rung } });
        }
        all.push(Mention { letter, episode: 99, topic: Topic::Reminder { kind, rung: 1 } });
    }
    all.push(Mention { letter, episode: 2, topic: Topic::WorksAgain });
    all.push(Mention { letter, episode: 2, topic: Topic::FreshLink });
    all.push(Mention { letter, episode: 99, topic: Topic::WorksAgain });
    all
}

fn answers() -> Vec<Event> {
    let zero = start();
    let (ours, other) = (item_id("item-1"), item_id("item-9"));
    let code = || "CODE".to_owned();
    let healths = [
        Health::Good,
        Health::Broken(fault()),
        Health::Revoked { code: code() },
        Health::Impaired { code: code() },
        Health::Gone,
    ];
    let mut all = Vec::new();
    // Before the registration; before claim, evidence and mending; as the newest known; between; now.
    for asked_at in [zero - days(31), zero - mins(12), zero - secs(10), zero - secs(5), zero - secs(3), zero] {
        for item in [Some(ours.clone()), Some(other.clone()), None] {
            for health in &healths {
                for consent_expires_at in [None, Some(zero + days(3)), Some(zero + days(90))] {
                    let (item, health) = (item.clone(), health.clone());
                    all.push(Event::Observed(Observation {
                        webhooks_go: (asked_at == zero).then_some(Destination::Elsewhere),
                        asked_at,
                        item,
                        created_at: None,
                        health,
                        consent_expires_at,
                        institution: None,
                    }));
                }
            }
        }
    }
    all
}

fn events() -> Vec<Event> {
    let zero = start();
    let by = item_id("item-2");
    let mut all = vec![
        Event::Registered { user: user_id("user-1"), institution: None },
        Event::Registered { user: user_id("user-2"), institution: None },
        Event::Imported { user: user_id("user-1"), institution: None },
        Event::Imported { user: user_id("user-2"), institution: None },
        Event::LettersReleased,
        Event::LoginRequired(fault()),
        Event::LoginRepaired,
        Event::NewAccounts,
        Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() },
        Event::AccountRevoked { account: AccountId::parse("account-1").expect("an id") },
        Event::Suspected,
        Event::WebhookMissed { sent_at: zero - days(1), code: None },
        Event::WebhooksAdopted,
        Event::TokenRefused { code: "INVALID_ACCESS_TOKEN".to_owned() },
        Event::UpdateModeStarted { session: SessionId(Uuid::from_u128(3)) },
        Event::UpdateModeFinished,
        Event::UpdateModeLeft,
        Event::Tick,
        Event::Removed { why: RemovalReason::Application },
        Event::Snoozed { until: zero + days(2) },
        Event::Snoozed { until: zero - days(2) },
        Event::Snoozed { until: UNTIL_RESUMED },
        Event::Resumed,
        Event::Superseded { by },
        Event::Unsuperseded,
        Event::Unreachable { why: NoLetters::Gone },
        Event::AccountsChanged { gone: 1, new: 2 },
        Event::LetterWaits { letter: LetterId(Uuid::from_u128(7)), why: "night".to_owned() },
    ];
    for why in REASONS {
        for deadline in [
            Deadline::Known(zero + days(5)),
            Deadline::Known(zero + days(41)),
            Deadline::Known(zero - days(1)),
            Deadline::Assumed(zero + days(7)),
        ] {
            all.push(Event::Expiring { deadline, why });
        }
    }
    for mention in mentions() {
        all.extend([Event::LetterComposed(mention), Event::LetterSent(mention)]);
        all.extend([Event::LetterRefused(mention), Event::LetterWithheld(mention), Event::LetterReturned(mention)]);
    }
    all.extend(answers());
    all
}

fn axes() -> Axes {
    let zero = start();
    Axes {
        tokens: vec![Token::Proven, Token::Proven, Token::Unproven, Token::Foreign, Token::Refused],
        revoked: vec![None, Some(episode(1, zero - days(2), 0, 0, Revocation { code: "CODE".to_owned() }))],
        logins: logins(),
        expiries: expiries(),
        arrivals: vec![
            None,
            Some(episode(4, zero - hours(30), 0, 0, Arrival)),
            Some(episode(4, zero - NEW_ACCOUNTS_LAPSE, 1, 1, Arrival)),
        ],
        claims: vec![None, Some(Claim { at: zero - secs(4) }), Some(Claim { at: zero - mins(20) })],
        snoozes: vec![None, Some(zero + hours(5)), Some(zero - hours(5)), Some(UNTIL_RESUMED)],
        holds: vec![
            Hold::No,
            Hold::Held { since: zero - days(30) },
            Hold::Released { at: zero - mins(40) },
            Hold::Released { at: zero - days(5) },
        ],
        superseded: vec![false, true],
        impaired: vec![false, true],
        observed: vec![None, Some(zero - secs(5))],
        consents: vec![None, Some(zero + days(3)), Some(zero + days(90))],
        removed: vec![false, false, false, false, false, false, true],
        events: events(),
        nows: vec![zero, zero - mins(5), zero + mins(31), zero + days(8), zero + days(40)],
    }
}

impl Axes {
    fn size(&self) -> u64 {
        let lens = [
            self.tokens.len(),
            self.revoked.len(),
            self.logins.len(),
            self.expiries.len(),
            self.arrivals.len(),
            self.claims.len(),
            self.snoozes.len(),
            self.holds.len(),
            self.superseded.len(),
            self.impaired.len(),
            self.observed.len(),
            self.consents.len(),
            self.removed.len(),
            self.events.len(),
            self.nows.len(),
        ];
        assert!(lens.iter().all(|len| *len == 1 || !STRIDE.is_multiple_of(*len as u64)), "the stride divides an axis");
        lens.iter().map(|len| *len as u64).product()
    }

    fn case(&self, index: u64) -> (Item, Event, Timestamp) {
        let (mut pick, zero) = (Pick(index), start());
        let (event, now) = (pick.of(&self.events), pick.of(&self.nows));
        let bare = proven("item-1", "user-1", zero - days(30));
        if pick.of(&self.removed) {
            let removed = Some(Removed { at: zero - days(1), why: RemovalReason::UnknownToPlaid });
            return (Item { removed, token: pick.of(&self.tokens), episodes: 4, ..bare }, event, now);
        }
        let item = Item {
            token: pick.of(&self.tokens),
            revoked: pick.of(&self.revoked),
            login: pick.of(&self.logins),
            expiry: pick.of(&self.expiries),
            new_accounts: pick.of(&self.arrivals),
            claim: pick.of(&self.claims),
            snoozed_until: pick.of(&self.snoozes),
            hold: pick.of(&self.holds),
            superseded_by: pick.of(&self.superseded).then(|| item_id("item-2")),
            impaired: pick.of(&self.impaired).then(|| Impaired { since: zero - days(1), code: "CODE".to_owned() }),
            observed_at: pick.of(&self.observed),
            consent_expires_at: pick.of(&self.consents),
            episodes: 4,
            ..bare
        };
        (item, event, now)
    }
}

#[test]
fn every_step_keeps_the_invariants() {
    let (axes, policy) = (axes(), any_hour());
    let (size, stride) = (axes.size(), from_environment("TEST_CORE_STRIDE", STRIDE));
    // The first case of each invariant that does not hold: one run shows them all.
    let mut faults: BTreeMap<&str, String> = BTreeMap::new();
    let mut index = 0;
    while index < size {
        let (before, event, now) = axes.case(index);
        let step = transition(&before, &event, now, policy);
        let owner = user(step.item.user.as_str());
        let composition = composed(&owner, std::slice::from_ref(&step.item), &[], now);
        let case = Case { before: &before, event: &event, now, step: &step, policy, composition };
        for (name, holds) in INVARIANTS {
            if !faults.contains_key(name) && !holds(&case) {
                faults.insert(
                    name,
                    format!("case {index}, now {now}\nevent {event:?}\nbefore {before:?}\nstep {step:?}"),
                );
            }
        }
        index += stride;
    }
    assert!(
        faults.is_empty(),
        "{}",
        faults.iter().map(|(name, case)| format!("{name}: {case}\n\n")).collect::<String>()
    );
}
