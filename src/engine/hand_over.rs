//! Hands letters over to the application, where it sends them itself: `[mail] delivery = "event"`.
//!
//! All that decides on a letter is the same as for one by mail, to the last moment: Plaid was asked, the user's day and wishes
//! are kept. Only the caps of mailbox providers are not ours to keep. Then, instead of a dialogue with a mail server, the event
//! `letter.due` is written, with the facts of each passage; the link's address is added when the event is read.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::Engine;
use super::post::{Post, SOON, is_asked_for};
use super::schedule::REST;
use crate::domain::compose::Line;
use crate::mail::letter::{Message, Passage};
use crate::store::LetterOutcome;

/// What is said about one Item.
#[derive(Serialize)]
struct Said<'a> {
    item_id: &'a str,
    /// Of which episode; a reminder of the same episode is a further one.
    episode: u32,
    institution_name: Option<&'a str>,
    message: &'static str,
    /// The deadline, where one is known.
    on: Option<Timestamp>,
}

impl Engine {
    /// Tells the application that a letter is due.
    pub(super) async fn hand_over(&self, post: &Post) -> LetterOutcome {
        let departure = post.departure(&self.config);
        match self.store.hand_over(departure, facts(post), self.clock.now()).await {
            Ok((begun, told)) => match told {
                Some(event) => {
                    self.status.letter_left(self.clock.now());
                    LetterOutcome::Accepted { reply: format!("handed over to the application: event {event}") }
                }
                None => post.not_begun(begun, self.after(SOON)),
            },
            Err(error) => {
                let until = self.after(jiff::SignedDuration::try_from(REST).unwrap_or_default());
                LetterOutcome::Deferred { until, why: error.to_string(), attempt: false }
            }
        }
    }
}

/// What a letter says, as facts.
fn facts(post: &Post) -> Value {
    let said = |(line, passage): (&Line, &Passage)| {
        let (message, on) = name(passage.message);
        let said = Said {
            item_id: line.item.as_str(),
            episode: line.episode,
            institution_name: passage.bank.as_deref(),
            message,
            on,
        };
        json!(said)
    };
    let passages: Vec<Value> = post.letter.lines.iter().zip(&post.passages).map(said).collect();
    json!({
        "subject": post.rendered.subject,
        "occasion": if is_asked_for(&post.letter.lines) { "fresh_link" } else { "due" },
        "language": post.language.tag(),
        "passages": passages,
        "earlier_letters": post.letter.references.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What a message is called, and the deadline in it.
fn name(message: Message) -> (&'static str, Option<Timestamp>) {
    match message {
        Message::LoginRequired => ("login_required", None),
        Message::LoginRequiredLast => ("login_required_last", None),
        Message::ConsentEnds { on } => ("consent_ends", on),
        Message::BankMoves { on } => ("bank_moves", on),
        Message::ConnectionEnds { on } => ("connection_ends", on),
        Message::NewAccounts => ("new_accounts", None),
        Message::AccessWithdrawn => ("access_withdrawn", None),
        Message::WorksAgain => ("works_again", None),
    }
}
