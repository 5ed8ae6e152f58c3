//! What a letter says: facts in, a subject, a text part and an HTML part out.
//!
//! It decides nothing: whether there is a letter, and about what, comes from the domain; how it is addressed and sent is
//! the business of [`message`](super::message) and [`smtp`](super::smtp). Called by `engine`, and for previews by `web` and
//! the command line.
//!
//! The rules that make a reader trust it are in [`lint`](super::lint), and a test holds every kind of letter in every language
//! to them:
//! - the brand writes, and says which bank and whom it means;
//! - one button, and all links lead to one host. The application's own address and the support address are printed as
//!   text, not as links: the reader is told to type, and a second host would make the letter look like phishing;
//! - a letter that asks for nothing ("it works again") has no button at all;
//! - no urgency, no tracking, nothing that is loaded from anywhere: a logo travels in the letter;
//! - the text part has every fact and every link.

mod pen;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::TemplateFault;
pub use super::words::Templates;
use crate::domain::colour::{Colour, TEXT_CONTRAST};
use crate::domain::language::Language;
use crate::domain::logo::Logo;
pub(super) use pen::without_scheme as address_to_type;

/// Longest subject, in characters: what phones show without cutting.
pub const SUBJECT_CHARS_MAX: usize = 50;
/// Longest name of a bank or a person in a letter, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// Most passages that a letter spells out; the page behind the button has all. Keeps the HTML part below 20 KB.
pub const PASSAGES_MAX: usize = 12;
/// The colour of the button where the operator chose none.
pub const COLOUR: Colour = Colour::new(0x1f, 0x4f, 0xbf);
/// What a letter lies on at night, in the layout.
const NIGHT: Colour = Colour::new(0x1c, 0x22, 0x29);
/// How far a button stands out from it: more than by day, since around it is no white that shines.
const NIGHT_CONTRAST: f64 = 6.5;

/// One letter to one user.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who writes.
    pub brand: Brand,
    /// Why it is written.
    pub occasion: Occasion,
    /// The user's name, where the application gave one: untrusted text.
    pub recipient_name: Option<String>,
    /// In which language.
    pub language: Language,
    /// Where the user lives: dates are told in this zone.
    pub time_zone: TimeZone,
    /// What is said about each Item, at least one, the most urgent first.
    pub passages: Vec<Passage>,
    /// Where the button leads.
    pub repair_url: String,
    /// Where these letters can be stopped. The same address is in the `List-Unsubscribe` header.
    pub stop_url: String,
}

/// Why a letter is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A reminder is due, or there is news.
    Due,
    /// Somebody asked for a fresh link on the page of one that had ended. The letter says so, then what each bank needs.
    FreshLink,
}

/// The application in whose name letters are written, as the operator configured it.
#[derive(Clone, Debug)]
pub struct Brand {
    /// Its name, as users know it.
    pub name: String,
    /// Its own address, for "or open the app yourself".
    pub url: String,
    /// Where users can ask.
    pub support_email: String,
    /// The company's postal address, where the law wants one.
    pub postal_address: Option<String>,
    /// The button's colour.
    pub colour: Colour,
    /// A picture above the letter, instead of the name in words.
    pub logo: Option<Logo>,
}

/// The colours of a button and of the text on it, by day and by night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ButtonColours {
    /// The button by day.
    pub day: Colour,
    /// Its text by day.
    pub day_ink: Colour,
    /// The button by night.
    pub night: Colour,
    /// Its text by night.
    pub night_ink: Colour,
}

/// What a letter says about one Item.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The bank's name, where it is known: untrusted text.
    pub bank: Option<String>,
    /// What is said.
    pub message: Message,
}

/// What can be said about an Item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The user has to log in again.
    LoginRequired,
    /// The same for the last time: who no longer needs the connection is told how to remove it.
    LoginRequiredLast,
    /// The user's consent runs out.
    ConsentEnds {
        /// When, where that is known.
        on: Option<Timestamp>,
    },
    /// The bank moves to another kind of connection.
    BankMoves {
        /// When the present connection ends, where that is known.
        on: Option<Timestamp>,
    },
    /// The connection ends, and nobody said why.
    ConnectionEnds {
        /// When, where that is known.
        on: Option<Timestamp>,
    },
    /// There are accounts that could be shared.
    NewAccounts,
    /// The user withdrew the permission.
    AccessWithdrawn,
    /// It works again: the user was written to before.
    WorksAgain,
}

/// A letter, ready to be addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The subject, one line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// Why a letter cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// There is nothing to say.
    #[error("the letter has no passage")]
    Empty,
    /// A link that is no address of a web page.
    #[error("the {0} is no http(s) address")]
    Link(&'static str),
    /// A sentence or a layout is wrong: the operator's, or a mistake in this program.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
}

impl RenderError {
    /// Where the operator is to look.
    pub(super) fn fault(&self, templates: &Templates) -> TemplateFault {
        match self {
            Self::Template(error) => templates.fault(error),
            Self::Empty | Self::Link(_) => {
                TemplateFault { file: "letter".to_owned(), line: None, problem: self.to_string() }
            }
        }
    }
}

/// The sentences that say a [`Message`], by their keys.
struct Keys {
    subject: &'static str,
    title: &'static str,
    meaning: &'static str,
    brief: &'static str,
    button: Option<&'static str>,
}

impl Message {
    fn keys(self) -> Keys {
        macro_rules! keys {
            ($section:literal, $meaning:literal, $brief:literal, $button:expr) => {
                Keys {
                    subject: concat!($section, ".subject"),
                    title: concat!($section, ".title"),
                    meaning: concat!($section, ".", $meaning),
                    brief: concat!($section, ".", $brief),
                    button: $button,
                }
            };
        }
        match self {
            Self::LoginRequired => keys!("login_required", "meaning", "brief", Some("login_required.button")),
            Self::LoginRequiredLast => keys!("login_required_last", "meaning", "brief", Some("login_required.button")),
            Self::ConsentEnds { .. } => keys!("ends", "consent", "consent_brief", Some("ends.button")),
            Self::BankMoves { .. } => keys!("ends", "moves", "moves_brief", Some("ends.button")),
            Self::ConnectionEnds { .. } => keys!("ends", "unsaid", "unsaid_brief", Some("ends.button")),
            Self::NewAccounts => keys!("new_accounts", "meaning", "brief", Some("new_accounts.button")),
            Self::AccessWithdrawn => keys!("access_withdrawn", "meaning", "brief", Some("access_withdrawn.button")),
            Self::WorksAgain => keys!("works_again", "meaning", "brief", None),
        }
    }

    /// The date that is told, where there is one.
    pub(super) fn date(self) -> Option<Timestamp> {
        self.ends().flatten()
    }

    /// When it ends: nothing for what has no end, nothing inside where the end is not known.
    fn ends(self) -> Option<Option<Timestamp>> {
        match self {
            Self::ConsentEnds { on } | Self::BankMoves { on } | Self::ConnectionEnds { on } => Some(on),
            Self::LoginRequired
            | Self::LoginRequiredLast
            | Self::NewAccounts
            | Self::AccessWithdrawn
            | Self::WorksAgain => None,
        }
    }
}

impl ButtonColours {
    /// Those of a brand's colour: by night as light as the dark asks for.
    #[must_use]
    pub fn of(colour: Colour) -> Self {
        let reads =
            |colour: Colour| colour.contrast(NIGHT) >= NIGHT_CONTRAST && colour.contrast(Colour::DARK) >= TEXT_CONTRAST;
        Self {
            day: colour,
            // The configuration lets no other colour in.
            day_ink: colour.ink().unwrap_or(Colour::WHITE),
            night: colour.shade(Colour::WHITE, reads),
            night_ink: Colour::DARK,
        }
    }
}

impl Letter {
    /// Writes the letter out.
    ///
    /// # Errors
    /// Nothing to say, a link that is none, or a mistake in the templates.
    pub fn render(&self, templates: &Templates) -> Result<Rendered, RenderError> {
        pen::write(self, templates)
    }

    /// The sentence that the subject is, by its key; of two that fit two banks, the shorter one.
    pub(super) fn subject_key(&self) -> &'static str {
        match (self.occasion, self.passages.as_slice()) {
            (Occasion::FreshLink, _) => "fresh_link.subject",
            // Several logins at one bank are no several banks.
            (Occasion::Due, [first, others @ ..]) if others.iter().all(|other| other.bank == first.bank) => {
                first.message.keys().subject
            }
            (Occasion::Due, _) => "several.subject_more",
        }
    }

    /// Whether there is something that the user can do.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.occasion == Occasion::FreshLink
            || self.passages.iter().any(|passage| passage.message.keys().button.is_some())
    }
}

#[cfg(test)]
mod tests;
