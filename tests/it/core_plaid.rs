//! The other side of a simulated world: what is true at Plaid and at the bank, how it changes, and what Plaid says of it.

use jiff::Timestamp;
use relinkd::domain::event::{Event, Health, Observation};
use relinkd::domain::ids::SessionId;
use relinkd::domain::item::{Deadline, ExpiryReason};
use uuid::Uuid;

use super::core_support::{days, fault, mins, secs};
use super::core_world::World;

/// What is really so at Plaid and at the bank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Since when the user has to log in.
    pub broken_since: Option<Timestamp>,
    /// When it last began to work again.
    pub works_since: Option<Timestamp>,
    pub withdrawn: bool,
    pub gone: bool,
    pub bank_down: bool,
    pub consent_ends: Option<Timestamp>,
    /// When the bank moves, unless the user repairs before.
    pub moves: Option<Timestamp>,
    pub new_accounts: bool,
    /// When the user last repaired it on our page.
    pub repaired_at: Option<Timestamp>,
}

impl Truth {
    fn health(&self) -> Health {
        let code = || "CODE".to_owned();
        if self.gone {
            Health::Gone
        } else if self.withdrawn {
            Health::Revoked { code: code() }
        } else if self.bank_down {
            Health::Impaired { code: code() }
        } else if self.broken_since.is_some() {
            Health::Broken(fault())
        } else {
            Health::Good
        }
    }
}

/// What happens at Plaid, at the bank, or in a user's hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    Breaks,
    /// By itself or in another application: `LOGIN_REPAIRED` comes if it is said.
    Heals {
        said: bool,
    },
    ConsentWillEnd,
    /// The end comes, if it is still this one.
    ConsentEnds(Timestamp),
    BankWillMove {
        said: bool,
    },
    BankMoves(Timestamp),
    AccountsOpen,
    Withdraws,
    Vanishes,
    BankGoesDown,
    BankComesBack,
    /// The user goes through update mode; the page can tell, or only `/link/token/get`.
    Repairs {
        told: bool,
    },
    Stops,
}

impl World {
    pub fn turn(&mut self, index: usize) {
        for turn in Self::due(&mut self.slots[index].turns, self.now) {
            self.note("turn", &(index, &turn));
            self.take_turn(index, &turn);
        }
    }

    fn take_turn(&mut self, index: usize, turn: &Turn) {
        let now = self.now;
        let slot = &mut self.slots[index];
        match turn {
            Turn::Breaks => {
                if slot.truth.broken_since.is_none() && !slot.truth.withdrawn {
                    slot.truth.broken_since = Some(now);
                    self.says(index, Event::LoginRequired(fault()));
                }
            }
            Turn::Heals { said } => {
                if slot.truth.broken_since.take().is_some() {
                    slot.truth.works_since = Some(now);
                    if *said {
                        self.says(index, Event::LoginRepaired);
                    }
                }
            }
            Turn::ConsentWillEnd => {
                let ends = now + days(7);
                slot.truth.consent_ends = Some(ends);
                slot.turns.push((ends, Turn::ConsentEnds(ends)));
                let deadline = Deadline::Known(ends);
                self.says(index, Event::Expiring { deadline, why: ExpiryReason::ConsentEnds });
            }
            Turn::ConsentEnds(at) => {
                if slot.truth.consent_ends == Some(*at) {
                    self.take_turn(index, &Turn::Breaks);
                }
            }
            Turn::BankWillMove { said } => {
                let at = now + days(7);
                slot.truth.moves = Some(at);
                slot.turns.push((at, Turn::BankMoves(at)));
                let deadline = if *said { Deadline::Known(at) } else { Deadline::Assumed(at) };
                self.says(index, Event::Expiring { deadline, why: ExpiryReason::BankMoves });
            }
            Turn::BankMoves(at) => {
                if slot.truth.moves == Some(*at) {
                    slot.truth.moves = None;
                    self.take_turn(index, &Turn::Breaks);
                }
            }
            Turn::AccountsOpen => {
                slot.truth.new_accounts = true;
                self.says(index, Event::NewAccounts);
            }
            Turn::Withdraws => {
                slot.truth.withdrawn = true;
                self.says(index, Event::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() });
            }
            Turn::Vanishes => slot.truth.gone = true,
            Turn::BankGoesDown => slot.truth.bank_down = true,
            Turn::BankComesBack => slot.truth.bank_down = false,
            Turn::Repairs { told } => self.repairs(index, *told),
            Turn::Stops => {
                let owner = slot.owner;
                self.people[owner].user.stopped_at = Some(now);
                self.people[owner].due_at = Some(now);
            }
        }
    }

    fn repairs(&mut self, index: usize, told: bool) {
        let now = self.now;
        let truth = &mut self.slots[index].truth;
        if truth.withdrawn || truth.gone || truth.bank_down {
            return;
        }
        if truth.broken_since.take().is_some() {
            truth.works_since = Some(now);
        }
        truth.consent_ends = truth.consent_ends.map(|_| now + days(180));
        truth.moves = None;
        truth.new_accounts = false;
        truth.repaired_at = Some(now);
        self.ids += 1;
        let session = SessionId(Uuid::from_u128(self.ids));
        self.step(index, &Event::UpdateModeStarted { session });
        if told {
            self.slots[index].sessions.clear();
            self.step(index, &Event::UpdateModeFinished);
        }
    }

    /// Plaid sends a webhook: at once, twice, late or never.
    fn says(&mut self, index: usize, event: Event) {
        if self.chance.percent(self.weather.webhook_lost) {
            return;
        }
        let mut soon = self.now + secs(self.chance.between(1, 20));
        if self.chance.percent(self.weather.webhook_late) {
            // Signed anew, it is applied when it comes; with its old signature it only makes us ask.
            soon = self.now + mins(self.chance.between(6, 11 * 60));
            let event = if self.chance.percent(50) && is_asked_for(&event) { event } else { Event::Suspected };
            self.slots[index].webhooks.push((soon, event));
            return;
        }
        for _ in 0..self.chance.between(1, 3) {
            let at = soon + secs(self.chance.between(0, 120));
            self.slots[index].webhooks.push((at, event.clone()));
        }
    }

    pub fn observation(&self, index: usize) -> Event {
        let slot = &self.slots[index];
        let health = slot.truth.health();
        Event::Observed(Observation {
            webhooks_go: None,
            asked_at: self.now,
            item: (health != Health::Gone).then(|| slot.item.id.clone()),
            created_at: None,
            health,
            consent_expires_at: slot.truth.consent_ends,
            institution: None,
        })
    }
}

/// Whether an answer of Plaid would tell the same, so that it may come late without harm.
fn is_asked_for(event: &Event) -> bool {
    matches!(event, Event::LoginRequired(_) | Event::LoginRepaired)
}
