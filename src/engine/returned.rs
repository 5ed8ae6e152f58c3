//! Takes what comes back of letters: reports by mail, and what mail services tell.

use jiff::SignedDuration;

use super::Engine;
use super::apply::tell;
use super::told::alarm;
use crate::domain::ids::LetterId;
use crate::mail::events::{MailEvent, Service};
use crate::mail::reply::Never;
use crate::mail::report::{self, Fate};
use crate::store::{Back, MailReport, Pause, StoreError, Teller};

/// What a report by mail came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is noted.
    Noted(Back),
    /// It is no report about a letter of ours.
    NotOurs,
}

impl Engine {
    /// Takes a report by mail. `sent_to` is the address to which it came, where that is known.
    ///
    /// # Errors
    /// What the store says.
    pub async fn take_report(&self, raw: &[u8], sent_to: Option<&str>) -> Result<Taken, StoreError> {
        let Some(found) = report::read(raw, sent_to) else { return Ok(Taken::NotOurs) };
        let Some(letter) = found.letter else { return Ok(Taken::NotOurs) };
        let report = MailReport {
            source: Teller::Report,
            event: None,
            letter: Some(letter),
            address: None,
            // Anybody can write a report: one of a refusal pauses nothing.
            back: match back(found.fate) {
                Back::Refused => Back::Soft,
                believed @ (Back::Hard | Back::Soft | Back::Complaint | Back::Barred) => believed,
            },
            note: found.note,
        };
        self.take(report, found.fate).await
    }

    /// Takes what a mail service tells. It was proven before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn take_event(&self, service: Service, event: MailEvent) -> Result<Taken, StoreError> {
        let source = match service {
            Service::Postmark => Teller::Postmark,
            Service::Mailgun => Teller::Mailgun,
            Service::Resend => Teller::Resend,
        };
        let fate = event.fate;
        let report = MailReport {
            source,
            event: event.id,
            letter: event.letter,
            address: event.address,
            back: back(fate),
            note: event.note,
        };
        self.take(report, fate).await
    }

    async fn take(&self, report: MailReport, fate: Fate) -> Result<Taken, StoreError> {
        let (source, letter, back, note) = (report.source.name(), report.letter, report.back, report.note.clone());
        let reported = self.store.report_mail(report, self.rule()).await?;
        if !reported.known {
            tracing::info!(source, "what {source} tells is about no letter and no address of ours");
            return Ok(Taken::NotOurs);
        }
        if !reported.repeated {
            log(source, letter, fate, note.as_deref());
            tell(&reported.told);
            if let Some(pause) = &reported.paused {
                alarm(pause);
            }
            self.wake();
        }
        Ok(Taken::Noted(back))
    }

    /// Ends a pause by the operator's word. `lift` lets the addresses take letters again that were found gone meanwhile.
    ///
    /// # Errors
    /// What the store says.
    pub async fn end_pause(&self, lift: bool) -> Result<Option<(Pause, usize)>, StoreError> {
        let ended = self.store.end_pause(lift, self.clock.now()).await?;
        if let Some((pause, lifted)) = &ended {
            let waited: SignedDuration = self.clock.now().duration_since(pause.since);
            tracing::warn!(lifted, "letters go on after {} s, by the operator's word", waited.as_secs());
            self.wake();
        }
        Ok(ended)
    }
}

fn back(fate: Fate) -> Back {
    match fate {
        Fate::Gone => Back::Hard,
        Fate::Complaint => Back::Complaint,
        Fate::Barred => Back::Barred,
        Fate::Failed(Never::Policy | Never::Sender | Never::Other) => Back::Refused,
        Fate::Failed(Never::RecipientGone | Never::MailboxFull | Never::RateLimited) | Fate::Delayed => Back::Soft,
    }
}

fn log(source: &str, letter: Option<LetterId>, fate: Fate, note: Option<&str>) {
    let which = letter.map_or_else(|| "a letter".to_owned(), |letter| format!("letter {letter}"));
    let note = note.unwrap_or_default();
    match fate {
        Fate::Failed(Never::Sender) => {
            tracing::error!(source, "{which} was refused, and the sender is at fault: {note}");
        }
        Fate::Failed(never) => tracing::warn!(source, why = never.name(), "{which} was not delivered: {note}"),
        Fate::Gone => tracing::warn!(source, "{which} came back, and the address takes no letters any more: {note}"),
        Fate::Delayed => tracing::info!(source, "{which} is delayed: {note}"),
        Fate::Barred => tracing::info!(source, "no more letters to an address, by the word of {source}: {note}"),
        Fate::Complaint => tracing::warn!(source, "{which} was called spam: no more letters to its reader"),
    }
}
