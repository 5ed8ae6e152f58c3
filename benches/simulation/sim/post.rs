//! What a year of letters needs of relinkd: users, composing, and a letter's way from its row to the mail server.

use std::collections::HashMap;

use jiff::Timestamp;
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::effect::Notice;
use relinkd::domain::ids::{InstitutionId, ItemId, LetterId, UserId};
use relinkd::domain::item::Item;
use relinkd::store::{Begun, ClaimedLetter, Composer, Departure, LetterOutcome, NewProfile, Profile, Wish};

use super::shell::Shell;

/// A claimed letter, with all that it is made of.
pub struct Written {
    pub profile: Option<Profile>,
    pub items: HashMap<ItemId, Item>,
}

/// The second half of the protocol: letters.
pub trait Post: Shell {
    fn put_user(&mut self, user: NewProfile, now: Timestamp);
    fn wish(&mut self, user: &UserId, wish: Wish, now: Timestamp);
    /// Banks at which so much broke at once that letters wait.
    fn held_banks(&mut self, now: Timestamp) -> Vec<(InstitutionId, Timestamp)>;
    fn due_users(&mut self, now: Timestamp) -> Vec<UserId>;
    fn compose(&mut self, user: UserId, composer: Composer, now: Timestamp);
    fn claim_letters(&mut self, now: Timestamp) -> Vec<ClaimedLetter>;
    fn written(&mut self, letter: &ClaimedLetter) -> Written;
    fn drop_lines(&mut self, letter: LetterId, lines: Vec<relinkd::domain::compose::Line>, now: Timestamp);
    fn start_data(&mut self, departure: Departure, now: Timestamp) -> Begun;
    /// Settles a letter. Answers what is told about each Item.
    fn settle_letter(&mut self, letter: ClaimedLetter, outcome: LetterOutcome, now: Timestamp)
    -> Vec<(ItemId, Notice)>;
    /// When a user is to be looked at, or a letter to be sent.
    fn next_letters(&mut self) -> Option<Timestamp>;
}

/// The address as an address.
pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("an address")
}
