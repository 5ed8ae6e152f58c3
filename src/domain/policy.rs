//! What the operator may decide about letters, and the figures that nobody needs to change.

use jiff::SignedDuration;

use super::ids::InstitutionId;
use super::item::Kind;
use super::ladder::Ladder;
use super::window::SendWindow;

/// A login that breaks within this time of its repair goes on with the old episode and ladder.
pub const FLAP: SignedDuration = SignedDuration::from_hours(72);

/// A consent that ends within this time is about to end. Plaid's own notices come seven days ahead.
pub const EXPIRY_HORIZON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// New accounts that nobody chose to share lapse after this time.
pub const NEW_ACCOUNTS_LAPSE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When to ask again while Plaid does not confirm that update mode worked: counted from when it was said to have.
pub const CLAIM_ASKS: [SignedDuration; 3] =
    [SignedDuration::from_mins(1), SignedDuration::from_mins(5), SignedDuration::from_mins(15)];

/// How long after a press to ask how the Link session ended, if nobody said so before: update-mode Link tokens live for
/// 30 minutes, and by then the session is over.
pub const SESSION_ASK: SignedDuration = SignedDuration::from_mins(31);

/// Whoever may have something to tell does not make us ask more often than this about one Item.
pub const SUSPECT_GAP: SignedDuration = SignedDuration::from_secs(60);

/// How soon to ask again when there is evidence newer than the answer.
pub const REASK: SignedDuration = SignedDuration::from_secs(30);

/// How soon to ask again while the bank is down and a letter about the Item waits for its return.
pub const IMPAIRED_ASK: SignedDuration = SignedDuration::from_hours(1);

/// At most so many letters about one Item ...
pub const ITEM_LETTERS_MAX: usize = 6;

/// ... within this time.
pub const ITEM_LETTERS_SPAN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A reminder that comes due this soon after another is waited for: banks that break together are one letter, and the second
/// does not stand back for a whole `user_gap`.
pub const GATHER: SignedDuration = SignedDuration::from_mins(15);

/// "It works again" is no news after this time.
pub const WORKS_AGAIN_MAX: SignedDuration = SignedDuration::from_hours(72);

/// Banks at which a second Item of the same login can kill the first, by Plaid's `institution_id`: Chase, PNC, Navy Federal,
/// Charles Schwab.
///
/// Which banks: <https://plaid.com/docs/link/duplicate-items/>. The ids of Chase and PNC:
/// <https://plaid.com/docs/auth/>, "Tokenized account numbers". Plaid's pages do not name those of Navy Federal and Schwab;
/// they are as published lists of Plaid's institutions have them, for instance `BalloonBox-Inc/bank-logos` on GitHub.
pub const SUPERSEDING: [&str; 4] = ["ins_56", "ins_13", "ins_15", "ins_11"];

/// What the operator decided about letters: the section `[reminders]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Counted up from the break.
    pub login_required: Ladder,
    /// Counted down to the deadline.
    pub pending_expiration: Ladder,
    /// Counted up from the notice.
    pub new_accounts: Ladder,
    /// Counted up from the withdrawal; empty unless the operator wants it.
    pub revoked: Ladder,
    /// The times at which a letter may leave, in the user's time zone.
    pub send_window: SendWindow,
    /// At least this long between two letters with reminders to one user.
    pub user_gap: SignedDuration,
    /// Banks at which a second Item of the same login kills the first: `superseding_institutions` of the section `[plaid]`.
    pub superseding: Vec<InstitutionId>,
}

impl Policy {
    /// The ladder of a kind of condition.
    #[must_use]
    pub fn ladder(&self, kind: Kind) -> &Ladder {
        match kind {
            Kind::Revoked => &self.revoked,
            Kind::LoginRequired => &self.login_required,
            Kind::PendingExpiration => &self.pending_expiration,
            Kind::NewAccounts => &self.new_accounts,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = |list: &[i64]| list.iter().map(|m| SignedDuration::from_mins(*m)).collect();
        Self {
            login_required: Ladder::up(minutes(&[30, 3 * 24 * 60, 7 * 24 * 60, 14 * 24 * 60])).expect("ascending"),
            pending_expiration: Ladder::down(minutes(&[7 * 24 * 60, 24 * 60])).expect("descending"),
            new_accounts: Ladder::up(minutes(&[24 * 60])).expect("one rung"),
            revoked: Ladder::up(Vec::new()).expect("no rung"),
            send_window: SendWindow::parse("* * 9-17 * * *").expect("a window"),
            user_gap: SignedDuration::from_hours(24),
            superseding: SUPERSEDING.map(|id| InstitutionId::parse(id).expect("an id")).to_vec(),
        }
    }
}
