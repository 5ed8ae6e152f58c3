//! The real store's half of a year of letters.

use jiff::Timestamp;
use relinkd::domain::compose::{Channel, Line};
use relinkd::domain::effect::Notice;
use relinkd::domain::ids::{InstitutionId, ItemId, LetterId, UserId};
use relinkd::store::{Begun, ClaimedLetter, Composer, Departure, LetterOutcome, NewProfile, Wish};

use super::post::{Post, Written};
use super::stored::{READS, Stored};

/// More than are ever due at one moment.
const ALL: u32 = 100_000;

impl Post for Stored {
    fn put_user(&mut self, user: NewProfile, now: Timestamp) {
        self.runtime.block_on(self.store.put_user(user, now)).expect(READS);
    }

    fn wish(&mut self, user: &UserId, wish: Wish, now: Timestamp) {
        self.runtime.block_on(self.store.wish(user.clone(), wish, now)).expect(READS);
    }

    fn held_banks(&mut self, now: Timestamp) -> Vec<(InstitutionId, Timestamp)> {
        self.runtime.block_on(self.store.held_banks(now)).expect(READS)
    }

    fn due_users(&mut self, now: Timestamp) -> Vec<UserId> {
        self.runtime.block_on(self.store.due_users(now, ALL)).expect(READS)
    }

    fn compose(&mut self, user: UserId, composer: Composer, now: Timestamp) {
        let rule = self.rule(now);
        drop(self.runtime.block_on(self.store.compose(user, composer, rule)).expect(READS));
    }

    fn claim_letters(&mut self, now: Timestamp) -> Vec<ClaimedLetter> {
        self.runtime.block_on(self.store.claim_letters(now, ALL, Channel::Mail)).expect(READS)
    }

    fn written(&mut self, letter: &ClaimedLetter) -> Written {
        let written = self.runtime.block_on(self.store.written(letter)).expect(READS);
        Written { profile: written.profile, items: written.items }
    }

    fn drop_lines(&mut self, letter: LetterId, lines: Vec<Line>, now: Timestamp) {
        let rule = self.rule(now);
        drop(self.runtime.block_on(self.store.drop_lines(letter, lines, rule)).expect(READS));
    }

    fn start_data(&mut self, departure: Departure, now: Timestamp) -> Begun {
        self.runtime.block_on(self.store.start_data(departure, now)).expect(READS)
    }

    fn settle_letter(
        &mut self,
        letter: ClaimedLetter,
        outcome: LetterOutcome,
        now: Timestamp,
    ) -> Vec<(ItemId, Notice)> {
        let rule = self.rule(now);
        let settled = self.runtime.block_on(self.store.settle_letter(letter, outcome, rule)).expect(READS);
        settled.told.into_iter().map(|told| (told.item, told.notice)).collect()
    }

    fn next_letters(&mut self) -> Option<Timestamp> {
        let agenda = self.runtime.block_on(self.store.agenda(Channel::Mail)).expect(READS);
        agenda.users.into_iter().chain(agenda.letters).min()
    }
}
