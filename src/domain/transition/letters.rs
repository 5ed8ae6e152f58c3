//! What a letter's fate does to the ladders of the episodes that it covers. Called by the rule for an Item alone.

use super::Draft;
use crate::domain::effect::Notice;
use crate::domain::event::{Mention, Topic};
use crate::domain::item::{Episode, Kind, Login};
use crate::domain::policy::Policy;

impl Draft {
    pub(super) fn letter_composed(&mut self, mention: &Mention) {
        match mention.topic {
            Topic::Reminder { kind, rung } => self.on_ladder(kind, mention.episode, |passed, _| {
                *passed = (*passed).max(rung.saturating_add(1));
            }),
            Topic::WorksAgain => self.on_mended(mention.episode, |letters, answered| *answered = letters),
            Topic::FreshLink => {}
        }
    }

    pub(super) fn letter_sent(&mut self, mention: &Mention, policy: &Policy) {
        match mention.topic {
            Topic::Reminder { kind, rung } => {
                self.on_ladder(kind, mention.episode, |_, letters| *letters += 1);
                self.rung_is_over(kind, rung, mention, policy);
            }
            Topic::WorksAgain | Topic::FreshLink => {}
        }
    }

    /// Refused for good, and not because the address is gone: nobody had it, and it is not tried again.
    pub(super) fn letter_refused(&mut self, mention: &Mention, policy: &Policy) {
        match mention.topic {
            Topic::Reminder { kind, rung } => self.rung_is_over(kind, rung, mention, policy),
            Topic::WorksAgain | Topic::FreshLink => {}
        }
    }

    fn rung_is_over(&mut self, kind: Kind, rung: u8, mention: &Mention, policy: &Policy) {
        let is_open = self.item.open(kind).is_some_and(|open| open.number == mention.episode);
        if is_open && rung.saturating_add(1) >= policy.ladder(kind).len() {
            self.tell(Notice::LadderEnded { episode: mention.episode });
        }
    }

    pub(super) fn letter_withheld(&mut self, mention: &Mention) {
        match mention.topic {
            Topic::Reminder { kind, rung } => self.on_ladder(kind, mention.episode, |passed, _| {
                *passed = (*passed).min(rung);
            }),
            Topic::WorksAgain => self.on_mended(mention.episode, |_, answered| *answered = 0),
            Topic::FreshLink => {}
        }
    }

    /// As if it had never left: it counts no more, and what it said is to be said where it can be read. A rung that was
    /// written later stands: that letter may have been read.
    pub(super) fn letter_returned(&mut self, mention: &Mention) {
        let Topic::Reminder { kind, rung } = mention.topic else { return self.letter_withheld(mention) };
        self.on_ladder(kind, mention.episode, |passed, letters| {
            if *passed == rung.saturating_add(1) {
                *passed = rung;
            }
            *letters = letters.saturating_sub(1);
        });
        if kind == Kind::LoginRequired {
            self.on_mended(mention.episode, |letters, answered| *answered = letters.min(*answered));
        }
    }

    /// Changes how far the ladder of an episode is, and how many letters it had, if it is still there.
    fn on_ladder(&mut self, kind: Kind, number: u32, change: impl FnOnce(&mut u8, &mut u32)) {
        fn of<T>(episode: &mut Episode<T>) -> (u32, &mut u8, &mut u32) {
            (episode.number, &mut episode.rungs_passed, &mut episode.letters)
        }
        let found = match kind {
            Kind::Revoked => self.item.revoked.as_mut().map(of),
            Kind::PendingExpiration => self.item.expiry.as_mut().map(of),
            Kind::NewAccounts => self.item.new_accounts.as_mut().map(of),
            Kind::LoginRequired => match &mut self.item.login {
                Login::Sound => None,
                Login::Broken(episode) | Login::Mended { episode, .. } => Some(of(episode)),
            },
        };
        if let Some((_, passed, letters)) = found.filter(|(found, _, _)| *found == number) {
            change(passed, letters);
        }
    }

    fn on_mended(&mut self, number: u32, change: impl FnOnce(u32, &mut u32)) {
        match &mut self.item.login {
            Login::Broken(episode) | Login::Mended { episode, .. } if episode.number == number => {
                change(episode.letters, &mut episode.what.answered);
            }
            Login::Sound | Login::Broken(_) | Login::Mended { .. } => {}
        }
    }
}
