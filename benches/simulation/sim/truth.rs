//! What is really so at Plaid and at the bank, how it changes, and what Plaid says of it.

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::event::{Fault, Health, Observation};
use relinkd::domain::ids::ItemId;
use relinkd::domain::item::{Cure, Destination, Item};

use super::chance::Chance;

pub const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);
const CONSENT: SignedDuration = SignedDuration::from_hours(180 * 24);

/// What is really so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub broken: bool,
    pub withdrawn: bool,
    pub gone: bool,
    pub bank_down: bool,
    pub consent_ends: Option<Timestamp>,
}

/// What happens at Plaid, at the bank, or in a user's hand.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    Breaks,
    /// Repaired in another application, or healed; Plaid says so or does not.
    Heals {
        said: bool,
    },
    /// A consent is given that ends in some days; Plaid says so seven days ahead.
    Consents {
        ends: Timestamp,
    },
    ConsentNears {
        ends: Timestamp,
    },
    ConsentEnds {
        ends: Timestamp,
    },
    AccountsOpen,
    Withdraws,
    Vanishes,
    BankDown,
    BankUp,
    /// Update mode behind our page; the page tells, or only Plaid's record of the session does.
    Repairs {
        told: bool,
    },
}

/// What a webhook says.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    Broken,
    Repaired,
    Ends(Timestamp),
    Accounts,
    Withdrawn,
}

impl Says {
    /// Tells one kind from another.
    pub fn number(self) -> u64 {
        match self {
            Self::Broken => 1,
            Self::Repaired => 2,
            Self::Ends(_) => 3,
            Self::Accounts => 4,
            Self::Withdrawn => 5,
        }
    }

    /// The webhook's body, in Plaid's words.
    pub fn body(self, item: &ItemId) -> String {
        let said = match self {
            Self::Broken => {
                r#""webhook_code":"ERROR","error":{"error_type":"ITEM_ERROR","error_code":"ITEM_LOGIN_REQUIRED"}"#
                    .to_owned()
            }
            Self::Repaired => r#""webhook_code":"LOGIN_REPAIRED""#.to_owned(),
            Self::Ends(at) => format!(r#""webhook_code":"PENDING_EXPIRATION","consent_expiration_time":"{at}""#),
            Self::Accounts => r#""webhook_code":"NEW_ACCOUNTS_AVAILABLE","error":null"#.to_owned(),
            Self::Withdrawn => r#""webhook_code":"USER_PERMISSION_REVOKED""#.to_owned(),
        };
        format!(r#"{{"webhook_type":"ITEM",{said},"item_id":"{item}","environment":"production"}}"#)
    }
}

impl Truth {
    /// Lets something happen. Answers what Plaid says of it, and what follows later.
    pub fn suffer(&mut self, turn: Turn, now: Timestamp) -> (Option<Says>, Vec<(Timestamp, Turn)>) {
        if self.gone {
            return (None, Vec::new());
        }
        let mut later = Vec::new();
        let says = match turn {
            Turn::Breaks if !self.broken && !self.withdrawn => {
                self.broken = true;
                Some(Says::Broken)
            }
            Turn::Heals { said } if self.broken => {
                self.broken = false;
                said.then_some(Says::Repaired)
            }
            Turn::Consents { ends } => {
                self.consent_ends = Some(ends);
                later.push((ends - NOTICE, Turn::ConsentNears { ends }));
                later.push((ends, Turn::ConsentEnds { ends }));
                None
            }
            Turn::ConsentNears { ends } if self.consent_ends == Some(ends) => Some(Says::Ends(ends)),
            Turn::ConsentEnds { ends } if self.consent_ends == Some(ends) && !self.broken => {
                self.broken = true;
                Some(Says::Broken)
            }
            Turn::AccountsOpen => Some(Says::Accounts),
            Turn::Withdraws if !self.withdrawn => {
                self.withdrawn = true;
                Some(Says::Withdrawn)
            }
            Turn::Vanishes => {
                self.gone = true;
                None
            }
            Turn::BankDown => {
                self.bank_down = true;
                None
            }
            Turn::BankUp => {
                self.bank_down = false;
                None
            }
            Turn::Repairs { .. } if !self.bank_down && !self.withdrawn => {
                self.broken = false;
                if let Some(ends) = self.consent_ends.map(|_| now + CONSENT) {
                    later = self.suffer(Turn::Consents { ends }, now).1;
                }
                None
            }
            Turn::Breaks
            | Turn::Heals { .. }
            | Turn::ConsentNears { .. }
            | Turn::ConsentEnds { .. }
            | Turn::Withdraws
            | Turn::Repairs { .. } => None,
        };
        (says, later)
    }

    /// Plaid's answer to `/item/get`.
    pub fn answer(&self, item: &ItemId, asked_at: Timestamp) -> Observation {
        let code = || "CODE".to_owned();
        let health = if self.gone {
            Health::Gone
        } else if self.withdrawn {
            Health::Revoked { code: code() }
        } else if self.bank_down {
            Health::Impaired { code: code() }
        } else if self.broken {
            Health::Broken(Fault { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None, cure: Cure::LogIn })
        } else {
            Health::Good
        };
        Observation {
            asked_at,
            item: (!self.gone).then(|| item.clone()),
            created_at: None,
            health,
            consent_expires_at: self.consent_ends,
            institution: None,
            webhooks_go: (!self.gone).then_some(Destination::Here),
        }
    }

    /// What is wrong with what is known of an Item, as far as Plaid's answers tell. Of new accounts no answer tells.
    pub fn denies(&self, item: &Item, now: Timestamp) -> Option<&'static str> {
        if item.removed.is_some() != self.gone {
            return Some("removed");
        }
        if self.gone || self.bank_down {
            return None;
        }
        if item.revoked.is_some() != self.withdrawn {
            return Some("revoked");
        }
        if self.withdrawn {
            return None;
        }
        if item.broken().is_some() != self.broken {
            return Some("login_required");
        }
        // Around the end, and around seven days before it, a tick or a question is on its way.
        let hour = SignedDuration::from_hours(1);
        let turns = self.consent_ends.into_iter().flat_map(|ends| [ends, ends - NOTICE]);
        if turns.into_iter().any(|turn| turn.duration_since(now).abs() < hour) {
            return None;
        }
        let near = self.consent_ends.filter(|ends| *ends > now && *ends <= now + NOTICE);
        let noted = item.expiry.as_ref().map(|expiry| expiry.what.deadline.at());
        if !self.broken && noted != near {
            return Some("pending_expiration");
        }
        item.impaired.is_some().then_some("impaired")
    }
}

/// Some weeks in the life of an Item.
pub fn life(chance: &mut Chance, start: Timestamp, days: i64) -> Vec<(Timestamp, Turn)> {
    let minutes = |count| SignedDuration::from_mins(count);
    let end = start + minutes(days * 24 * 60);
    let mut turns = Vec::new();
    if chance.percent(30) {
        turns.push((
            start,
            Turn::Consents { ends: start + minutes(chance.between(2 * 24 * 60, (days + 20) * 24 * 60)) },
        ));
    }
    let mut at = start;
    loop {
        at += minutes(chance.between(60, 40 * 24 * 60));
        if at >= end {
            return turns.into_iter().filter(|(at, _)| *at < end).collect();
        }
        match chance.between(0, 99) {
            0..60 => {
                turns.push((at, Turn::Breaks));
                let mended = at + minutes(chance.between(1, 20 * 24 * 60));
                match chance.between(0, 3) {
                    0 => turns.push((mended, Turn::Heals { said: true })),
                    1 => turns.push((mended, Turn::Heals { said: false })),
                    2 => turns.push((mended, Turn::Repairs { told: chance.percent(70) })),
                    _ => {}
                }
            }
            60..75 => {
                turns.push((at, Turn::BankDown));
                turns.push((at + minutes(chance.between(5, 30 * 60)), Turn::BankUp));
            }
            75..88 => turns.push((at, Turn::AccountsOpen)),
            88..94 => turns.push((at, Turn::Repairs { told: true })),
            94..98 => turns.push((at, Turn::Withdraws)),
            _ => turns.push((at, Turn::Vanishes)),
        }
    }
}
