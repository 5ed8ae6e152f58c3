//! How an attempt to send a letter ended, and its columns in the table `letters`.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::columns::ms;
use super::error::StoreError;
use crate::domain::contact::EmailAddress;
use crate::domain::ids::LetterId;

/// How an attempt to send a letter ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterOutcome {
    /// The mail server took it.
    Accepted {
        /// Its reply.
        reply: String,
    },
    /// `only_to` keeps letters to this address here.
    WrittenDown {
        /// The language that it would have had.
        language: String,
        /// The subject that it would have had.
        subject: String,
    },
    /// To be tried again.
    Deferred {
        /// When.
        until: Timestamp,
        /// Why.
        why: String,
        /// Whether this counts as an attempt; waiting for daytime or for Plaid does not.
        attempt: bool,
    },
    /// The mail server says that the sender is at fault: all letters wait, and this one is tried again.
    SenderAtFault {
        /// When.
        until: Timestamp,
        /// What the mail server said.
        why: String,
    },
    /// It cannot be delivered.
    Bounced {
        /// What the mail server said.
        why: String,
        /// What is refused.
        refusal: Refusal,
    },
    /// The body went out and no reply came.
    Uncertain {
        /// When to send it once more; nothing if that was done.
        again_at: Option<Timestamp>,
        /// What happened.
        why: String,
    },
    /// Nothing of what it says is so any more, or nobody wants it.
    Withheld {
        /// Why.
        why: String,
    },
}

/// What a letter that cannot be delivered says about others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This address takes no letters at all.
    Gone(EmailAddress),
    /// It is about this mailbox, and for now: it is full, or nobody took the letter for days.
    Mailbox,
    /// The letter is not wanted, or nobody says why: others may meet the same.
    Letter,
}

impl Refusal {
    /// What stands in the column `bounce`.
    fn bounce(&self) -> Option<&'static str> {
        match self {
            Self::Gone(_) => Some("hard"),
            Self::Mailbox => Some("soft"),
            Self::Letter => None,
        }
    }
}

/// Notes how an attempt ended. The steps of the Items follow in the same operation.
pub(crate) fn settle(
    connection: &Connection,
    id: LetterId,
    outcome: &LetterOutcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (status, due, text, attempt, uncertain) = match outcome {
        LetterOutcome::Accepted { reply } => ("accepted", None, reply.as_str(), true, false),
        LetterOutcome::WrittenDown { .. } => ("written_down", None, "kept here: [mail] only_to", true, false),
        LetterOutcome::Deferred { until, why, attempt } => ("deferred", Some(*until), why.as_str(), *attempt, false),
        LetterOutcome::SenderAtFault { until, why } => ("deferred", Some(*until), why.as_str(), true, false),
        LetterOutcome::Bounced { why, .. } => ("bounced", None, why.as_str(), true, false),
        LetterOutcome::Uncertain { again_at, why } => ("uncertain", *again_at, why.as_str(), true, true),
        LetterOutcome::Withheld { why } => ("withheld", None, why.as_str(), false, false),
    };
    // One that leaves has both since its body began to go out.
    let (language, subject) = if let LetterOutcome::WrittenDown { language, subject } = outcome {
        (Some(language), Some(subject))
    } else {
        (None, None)
    };
    let bounce = if let LetterOutcome::Bounced { refusal, .. } = outcome { refusal.bounce() } else { None };
    let is_reply = matches!(outcome, LetterOutcome::Accepted { .. } | LetterOutcome::Bounced { .. });
    let mut statement = connection.prepare_cached(
        "update letters set status = :status, due_at = :due, attempts = attempts + :attempt,
           uncertain = uncertain + :uncertain, reply = coalesce(:reply, reply), note = :note, settled_at = :settled,
           bounce = coalesce(:bounce, bounce), language = coalesce(:language, language),
           subject = coalesce(:subject, subject)
         where letter_id = :letter",
    )?;
    statement.execute(named_params! {
        ":letter": id.to_string(),
        ":status": status,
        ":due": due.map(ms),
        ":attempt": attempt,
        ":uncertain": uncertain,
        ":reply": is_reply.then_some(text),
        ":note": (!is_reply).then_some(text),
        ":settled": due.is_none().then_some(ms(now)),
        ":bounce": bounce,
        ":language": language,
        ":subject": subject,
    })?;
    Ok(())
}
