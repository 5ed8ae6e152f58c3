//! The one rule for an Item: what follows from an event.
//!
//! [`transition`] cannot fail: every pair of Item and event has an answer, often "nothing". A webhook is a hint and opens
//! conditions; Plaid's answer to a question closes them. Where the order of things matters, the newer question decides.

mod accounts;
mod hold;
mod letters;
mod pause;

use jiff::{SignedDuration, Timestamp};

use super::effect::{Effect, Notice};
use super::event::{Event, Fault, Health, Observation};
use super::ids::{Institution, UserId};
use super::item::{
    Arrival, Break, Claim, Deadline, Destination, Episode, Expiry, ExpiryReason, Impaired, Item, Kind, Login,
    RemovalReason, Removed, Revocation, State, Token,
};
use super::policy::{
    CLAIM_ASKS, EXPIRY_HORIZON, FLAP, IMPAIRED_ASK, NEW_ACCOUNTS_LAPSE, Policy, REASK, SESSION_ASK, SUSPECT_GAP,
};
use super::step::{Closed, Outcome, Step};

/// How long after a deadline passed without an answer that settles it to ask again.
const PASSED_DEADLINE_ASK: SignedDuration = SignedDuration::from_hours(6);

/// What follows from an event for an Item.
pub fn transition(item: &Item, event: &Event, now: Timestamp, policy: &Policy) -> Step {
    let mut step = Draft { item: item.clone(), effects: Vec::new(), closed: Vec::new(), now };
    // Gone is gone: only a new registration begins a new life.
    if item.removed.is_none() || matches!(event, Event::Registered { .. } | Event::Imported { .. }) {
        step.apply(event, policy);
    }
    step.finish(item)
}

struct Draft {
    item: Item,
    effects: Vec<Effect>,
    closed: Vec<Closed>,
    now: Timestamp,
}

impl Draft {
    fn apply(&mut self, event: &Event, policy: &Policy) {
        let now = self.now;
        match event {
            Event::Registered { user, institution } => {
                self.register(user, institution.as_ref());
                self.observe(now);
            }
            Event::Imported { user, institution } => {
                self.register(user, institution.as_ref());
                self.hold();
            }
            Event::LettersReleased => self.release(),
            Event::LoginRequired(fault) => {
                self.open_login(fault, now);
                self.observe(now);
            }
            Event::LoginRepaired => {
                self.close_login(Outcome::Healed);
                self.observe(now);
            }
            Event::Expiring { deadline, why } => self.expiring(*deadline, *why),
            Event::NewAccounts => self.open_new_accounts(),
            Event::Revoked { code } => self.open_revoked(code),
            Event::AccountRevoked { .. } => self.tell(Notice::AccountRevoked),
            Event::Suspected => {
                let asked = self.item.observed_at.filter(|asked| *asked <= now);
                let calm = asked.map_or(now, |asked| after(asked, SUSPECT_GAP));
                self.observe(calm.max(now));
            }
            Event::Observed(answer) => self.observed(answer, policy),
            Event::WebhookMissed { sent_at, code } => self.webhook_missed(*sent_at, code.as_deref()),
            Event::WebhooksAdopted => self.item.webhooks_go = Some(Destination::Here),
            Event::TokenRefused { code } => self.token_refused(code),
            Event::UpdateModeStarted { session } => {
                self.effects.push(Effect::AskSession { session: *session, not_before: after(now, SESSION_ASK) });
            }
            Event::UpdateModeFinished => {
                self.item.claim = Some(Claim { at: now });
                self.observe(now);
            }
            Event::UpdateModeLeft | Event::LetterWaits { .. } => {}
            Event::Tick => self.tick(),
            Event::Removed { why } => self.remove(*why),
            Event::Snoozed { until } => self.snooze(*until),
            Event::Resumed => self.resume(),
            Event::Superseded { by } => {
                if self.item.superseded_by.as_ref() != Some(by) {
                    self.item.superseded_by = Some(by.clone());
                    self.tell(Notice::Superseded { by: by.clone() });
                }
            }
            Event::Unsuperseded => {
                if self.item.superseded_by.take().is_some() {
                    self.tell(Notice::Unsuperseded);
                }
            }
            Event::AccountsChanged { gone, new } => self.tell(Notice::DifferentAccounts { gone: *gone, new: *new }),
            Event::LetterComposed(mention) => self.letter_composed(mention),
            Event::LetterSent(mention) => self.letter_sent(mention, policy),
            Event::LetterRefused(mention) => self.letter_refused(mention, policy),
            Event::LetterWithheld(mention) => self.letter_withheld(mention),
            Event::LetterReturned(mention) => self.letter_returned(mention),
            Event::Unreachable { why } => self.tell(Notice::Unreachable { why: *why }),
        }
    }

    fn finish(mut self, before: &Item) -> Step {
        let (from, to) = (before.state(), self.item.state());
        if from != to {
            self.item.since = self.now;
            self.tell(Notice::StateChanged { from, to });
        }
        let code = |item: &Item| item.impaired.as_ref().map(|impaired| impaired.code.clone());
        if let Some(code) = code(&self.item).filter(|now| code(before).as_ref() != Some(now)) {
            self.tell(Notice::Impaired { code });
        }
        self.ask_accounts(before);
        Step { item: self.item, effects: self.effects, closed: self.closed }
    }

    fn tell(&mut self, notice: Notice) {
        self.effects.push(Effect::Tell(notice));
    }

    /// Asks Plaid; two reasons to ask are one question, at the earlier moment.
    fn observe(&mut self, not_before: Timestamp) {
        for effect in &mut self.effects {
            if let Effect::Observe { not_before: planned } = effect {
                *planned = not_before.min(*planned);
                return;
            }
        }
        self.effects.push(Effect::Observe { not_before });
    }

    /// Whether something that was noted at a moment is newer than an answer to a question. What was noted later than now was
    /// noted before the clock was set back: it outweighs nothing, or no answer would be heard until the clock is there again.
    fn is_newer(&self, noted: Timestamp, asked_at: Timestamp) -> bool {
        noted > asked_at && noted <= self.now
    }

    /// The number of a new episode.
    fn number(&mut self) -> u32 {
        self.item.episodes += 1;
        self.item.episodes
    }

    fn open<T>(&mut self, what: T) -> Episode<T> {
        Episode { number: self.number(), opened_at: self.now, rungs_passed: 0, letters: 0, what }
    }

    fn close(&mut self, kind: Kind, number: u32, outcome: Outcome) {
        self.closed.push(Closed { kind, number, outcome });
    }

    fn register(&mut self, user: &UserId, institution: Option<&Institution>) {
        let now = self.now;
        if self.item.removed.is_some() {
            // Numbers go on, so that the keys of the old life's letters are never met again.
            let episodes = self.item.episodes;
            self.item = Item { episodes, ..Item::new(self.item.id.clone(), user.clone(), None, now) };
        }
        if self.item.user != *user {
            self.forget_stop();
            // "It works again" answers a letter, and the new owner had none.
            if let Login::Broken(episode) | Login::Mended { episode, .. } = &mut self.item.login {
                episode.what.answered = episode.letters;
            }
        }
        self.item.user = user.clone();
        self.item.registered_at = now;
        self.item.token = Token::Unproven;
        self.item.institution = institution.cloned().or(self.item.institution.take());
    }

    /// The same one is missed once, however often Plaid tells of it.
    fn webhook_missed(&mut self, sent_at: Timestamp, code: Option<&str>) {
        if self.item.missed_webhook_at.is_none_or(|known| known < sent_at) {
            self.item.missed_webhook_at = Some(sent_at);
            self.tell(Notice::WebhookMissed { sent_at, code: code.map(str::to_owned) });
        }
    }

    fn webhooks_go(&mut self, destination: Destination) {
        if self.item.webhooks_go.replace(destination) != Some(destination) && destination != Destination::Here {
            self.tell(Notice::WebhooksGo { to: destination });
        }
    }

    fn token_refused(&mut self, code: &str) {
        if self.item.token != Token::Refused {
            self.item.token = Token::Refused;
            self.tell(Notice::TokenRefused { code: code.to_owned() });
        }
    }

    fn remove(&mut self, why: RemovalReason) {
        self.close_login(Outcome::Removed);
        self.close_expiry(Outcome::Removed);
        self.close_new_accounts(Outcome::Removed);
        self.close_revoked(Outcome::Removed);
        let gone = Item::new(self.item.id.clone(), self.item.user.clone(), self.item.institution.take(), self.now);
        self.item = Item {
            removed: Some(Removed { at: self.now, why }),
            episodes: self.item.episodes,
            token: self.item.token,
            registered_at: self.item.registered_at,
            observed_at: self.item.observed_at,
            ..gone
        };
    }

    fn open_login(&mut self, fault: &Fault, evidence_at: Timestamp) {
        let now = self.now;
        let fresh = |answered| Break {
            code: fault.code.clone(),
            reason: fault.reason.clone(),
            cure: fault.cure,
            broken_at: now,
            evidence_at,
            answered,
        };
        self.item.login = match std::mem::replace(&mut self.item.login, Login::Sound) {
            Login::Broken(mut episode) => {
                let newest = episode.what.evidence_at.max(evidence_at);
                episode.what =
                    Break { broken_at: episode.what.broken_at, evidence_at: newest, ..fresh(episode.what.answered) };
                Login::Broken(episode)
            }
            Login::Mended { episode, at } if now.duration_since(at) < FLAP => {
                let what = fresh(episode.what.answered);
                Login::Broken(Episode { what, ..episode })
            }
            Login::Sound | Login::Mended { .. } => Login::Broken(self.open(fresh(0))),
        };
    }

    fn close_login(&mut self, outcome: Outcome) {
        self.item.login = match std::mem::replace(&mut self.item.login, Login::Sound) {
            Login::Broken(episode) => {
                self.close(Kind::LoginRequired, episode.number, outcome);
                Login::Mended { episode, at: self.now }
            }
            login @ (Login::Sound | Login::Mended { .. }) => login,
        };
    }

    fn expiring(&mut self, deadline: Deadline, why: ExpiryReason) {
        if deadline.at() <= self.now {
            self.observe(self.now);
            return;
        }
        match &mut self.item.expiry {
            None => {
                let expiry = self.open(Expiry { deadline, why });
                self.item.expiry = Some(expiry);
            }
            Some(open) => {
                open.what.deadline = match (open.what.deadline, deadline) {
                    (known @ Deadline::Known(_), Deadline::Assumed(_)) => known,
                    (Deadline::Assumed(first), Deadline::Assumed(_)) => Deadline::Assumed(first),
                    (Deadline::Known(_) | Deadline::Assumed(_), said @ Deadline::Known(_)) => said,
                };
                if why != ExpiryReason::Unsaid {
                    open.what.why = why;
                }
            }
        }
    }

    fn close_expiry(&mut self, outcome: Outcome) {
        if let Some(episode) = self.item.expiry.take() {
            self.close(Kind::PendingExpiration, episode.number, outcome);
        }
    }

    fn open_new_accounts(&mut self) {
        if self.item.new_accounts.is_none() {
            let episode = self.open(Arrival);
            self.item.new_accounts = Some(episode);
        }
    }

    fn close_new_accounts(&mut self, outcome: Outcome) {
        if let Some(episode) = self.item.new_accounts.take() {
            self.close(Kind::NewAccounts, episode.number, outcome);
        }
    }

    fn open_revoked(&mut self, code: &str) {
        if self.item.revoked.is_none() {
            let episode = self.open(Revocation { code: code.to_owned() });
            self.item.revoked = Some(episode);
        }
    }

    fn close_revoked(&mut self, outcome: Outcome) {
        if let Some(episode) = self.item.revoked.take() {
            self.close(Kind::Revoked, episode.number, outcome);
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        if self.item.snoozed_until.is_some_and(|until| until <= now) {
            self.item.snoozed_until = None;
        }
        match (&self.item.expiry, self.item.consent_expires_at) {
            (Some(expiry), _) if expiry.what.deadline.at() <= now => self.observe(now),
            (None, Some(ends)) if is_near(ends, now) => {
                self.expiring(Deadline::Known(ends), ExpiryReason::ConsentEnds);
            }
            (Some(_), _) | (None, _) => {}
        }
        if self.item.new_accounts.as_ref().is_some_and(|arrival| after(arrival.opened_at, NEW_ACCOUNTS_LAPSE) <= now) {
            self.close_new_accounts(Outcome::Lapsed);
        }
    }

    fn observed(&mut self, answer: &Observation, policy: &Policy) {
        let asked_at = answer.asked_at;
        if self.item.observed_at.is_some_and(|newest| newest == asked_at || self.is_newer(newest, asked_at)) {
            return;
        }
        if self.is_newer(self.item.registered_at, asked_at) {
            // It was asked with the token that the present one replaced.
            self.observe(self.now);
            return;
        }
        let was_proven = self.item.token == Token::Proven;
        match &answer.item {
            Some(opened) if *opened != self.item.id => {
                if self.item.token != Token::Foreign {
                    self.item.token = Token::Foreign;
                    self.tell(Notice::TokenForeign { opens: opened.clone() });
                }
                return;
            }
            Some(_) => self.item.token = Token::Proven,
            None => {}
        }
        self.item.observed_at = Some(asked_at);
        self.item.created_at = answer.created_at.unwrap_or(self.item.created_at);
        if let Some(bank) = &answer.institution {
            if let Some(known) = self.item.institution.as_ref().filter(|known| was_proven && known.id != bank.id) {
                let (before, now) = (known.id.clone(), bank.id.clone());
                self.tell(Notice::DifferentInstitution { before, now });
            }
            // An answer without the name does not take away the one that the application gave.
            let known = self.item.institution.take().filter(|known| known.id == bank.id).and_then(|known| known.name);
            self.item.institution = Some(Institution { id: bank.id.clone(), name: bank.name.clone().or(known) });
        }
        self.hear(answer);
        if self.item.removed.is_some() {
            return;
        }
        self.item.consent_expires_at = answer.consent_expires_at;
        if let Some(destination) = answer.webhooks_go {
            self.webhooks_go(destination);
        }
        self.lift_hold(policy);
        if self.item.claim.is_some_and(|claim| self.is_newer(claim.at, asked_at)) {
            self.observe(self.now);
        }
    }

    /// What an answer about the right Item changes.
    fn hear(&mut self, answer: &Observation) {
        let claimed = self.item.claim.is_some_and(|claim| !self.is_newer(claim.at, answer.asked_at));
        let impaired_since = self.item.impaired.take().map_or(self.now, |impaired| impaired.since);
        let confirmed = match &answer.health {
            Health::Gone => return self.remove(RemovalReason::UnknownToPlaid),
            Health::Good => self.heard_good(answer, claimed),
            Health::Broken(fault) => {
                self.heard_broken(fault, answer);
                false
            }
            Health::Revoked { code } => {
                self.open_revoked(code);
                false
            }
            Health::Impaired { code } => {
                self.item.impaired = Some(Impaired { since: impaired_since, code: code.clone() });
                if self.item.state() != State::Healthy || self.item.word_owed().is_some() {
                    self.observe(after(self.now, IMPAIRED_ASK));
                }
                false
            }
        };
        match (claimed, confirmed) {
            (true, true) => {
                self.close_revoked(Outcome::Repaired);
                self.close_new_accounts(Outcome::Repaired);
                self.item.claim = None;
            }
            (true, false) => self.doubt_claim(),
            (false, _) => {}
        }
    }

    /// No error. Answers whether a claimed repair is confirmed by it.
    fn heard_good(&mut self, answer: &Observation, claimed: bool) -> bool {
        let outcome = if claimed { Outcome::Repaired } else { Outcome::Healed };
        if self.item.broken().is_some_and(|episode| self.is_newer(episode.what.evidence_at, answer.asked_at)) {
            self.observe(after(self.now, REASK));
            return false;
        }
        self.close_login(outcome);
        self.settle_expiry(answer, claimed, outcome)
    }

    fn heard_broken(&mut self, fault: &Fault, answer: &Observation) {
        if let Login::Mended { at, .. } = &self.item.login
            && self.is_newer(*at, answer.asked_at)
        {
            self.observe(after(self.now, REASK));
            return;
        }
        self.open_login(fault, answer.asked_at);
        if self.item.expiry.as_ref().is_some_and(|expiry| expiry.what.deadline.at() <= answer.asked_at) {
            self.close_expiry(Outcome::Overtaken);
        }
    }

    /// What a healthy answer says about the end of the consent. Answers whether it agrees with a claimed repair: an old
    /// end that is still there does not.
    fn settle_expiry(&mut self, answer: &Observation, claimed: bool, outcome: Outcome) -> bool {
        let (now, before) = (self.now, self.item.consent_expires_at);
        let ends = answer.consent_expires_at;
        let near = ends.filter(|ends| is_near(*ends, now));
        let Some(noted) = self.item.expiry.as_ref().map(|episode| episode.what.clone()) else {
            if let Some(ends) = near {
                self.expiring(Deadline::Known(ends), ExpiryReason::ConsentEnds);
            }
            return true;
        };
        let deadline = noted.deadline.at();
        // A consent that outlives a bank's move says nothing about the move, unless it is a new one.
        let renewed = ends.is_some_and(|ends| match noted.why {
            ExpiryReason::BankMoves => ends > deadline && before.is_some_and(|before| ends > before),
            ExpiryReason::ConsentEnds | ExpiryReason::Unsaid => ends > deadline,
        });
        let cured = renewed || claimed && ends.is_none_or(|ends| ends > deadline);
        match near {
            Some(ends) if cured => self.expiring(Deadline::Known(ends), ExpiryReason::ConsentEnds),
            None if cured => self.close_expiry(outcome),
            // Plaid's word on the end counts, be it earlier than what was noted or the first that names a moment.
            Some(ends) if noted.why != ExpiryReason::BankMoves => {
                self.expiring(Deadline::Known(ends), ExpiryReason::ConsentEnds);
            }
            Some(_) | None if deadline <= answer.asked_at => self.close_expiry(Outcome::Lapsed),
            Some(_) | None => {}
        }
        cured || deadline <= answer.asked_at
    }

    /// Plaid did not confirm a claimed repair: ask again while it may only lag.
    fn doubt_claim(&mut self) {
        let Some(claim) = self.item.claim else { return };
        match CLAIM_ASKS.into_iter().map(|wait| after(claim.at, wait)).find(|at| *at > self.now) {
            Some(next) => self.observe(next),
            None => {
                self.item.claim = None;
                self.tell(Notice::ClaimNotConfirmed);
            }
        }
    }
}

impl Item {
    /// The next moment, later than `now`, at which the clock alone changes something.
    #[must_use]
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let deadline = self.expiry.as_ref().map(|expiry| match expiry.what.deadline.at() {
            ahead if ahead > now => ahead,
            _ => after(now, PASSED_DEADLINE_ASK),
        });
        // The moment from which on a consent is about to end, if it is not noted yet.
        let horizon = self.consent_expires_at.filter(|_| self.expiry.is_none());
        let horizon = horizon.map(|ends| ends.checked_sub(EXPIRY_HORIZON).unwrap_or(Timestamp::MIN));
        let lapse = self.new_accounts.as_ref().map(|arrival| after(arrival.opened_at, NEW_ACCOUNTS_LAPSE));
        [deadline, horizon, lapse, self.pause_ends()].into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// Whether a consent is about to end. Nobody need say so: the clock does.
fn is_near(ends: Timestamp, now: Timestamp) -> bool {
    ends > now && ends <= after(now, EXPIRY_HORIZON)
}

/// Later by a duration; the end of time where there is no later.
pub(crate) fn after(moment: Timestamp, wait: SignedDuration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}
