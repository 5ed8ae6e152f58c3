//! What the operator is told about letters, in the log.

use crate::store::{ClaimedLetter, LetterOutcome, Pause, PauseReason};

/// Tells the operator, in the log, that all letters wait.
pub(super) fn alarm(pause: &Pause) {
    let (since, note) = (pause.since, &pause.note);
    match pause.why {
        PauseReason::Bounces => tracing::error!(
            %since,
            "all letters wait: {note}. Find out why, then say `relinkd pause end` (with --lift if the addresses are good)"
        ),
        PauseReason::Sender => tracing::error!(
            %since,
            "all letters wait: the mail server says that the sender is at fault: {note}. One letter tries again from time to \
             time; once it is put right, `relinkd pause end` sends all at once"
        ),
    }
}

/// What became of an attempt.
pub(super) fn log(letter: &ClaimedLetter, outcome: &LetterOutcome) {
    let id = letter.id;
    match outcome {
        LetterOutcome::Accepted { .. } => tracing::info!(letter = %id, "letter {id} left"),
        LetterOutcome::WrittenDown { .. } => {
            tracing::info!(letter = %id, "letter {id} is written down, not sent: [mail] only_to")
        }
        LetterOutcome::Deferred { until, why, .. } => {
            tracing::warn!(letter = %id, %until, "letter {id} waits until {until}: {why}")
        }
        LetterOutcome::SenderAtFault { until, why } => {
            tracing::warn!(letter = %id, %until, "letter {id} waits, the sender is at fault: {why}")
        }
        LetterOutcome::Bounced { why, .. } => tracing::warn!(letter = %id, "letter {id} cannot be delivered: {why}"),
        LetterOutcome::Uncertain { why, .. } => tracing::warn!(letter = %id, "letter {id}: {why}"),
        LetterOutcome::Withheld { why } => tracing::info!(letter = %id, "letter {id} is withheld: {why}"),
    }
}
