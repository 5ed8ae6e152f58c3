//! What a letter says: facts in, a subject, a text part and an HTML part out.
//!
//! It decides nothing: whether there is a letter, and about what, comes from the domain; how it is addressed and sent is
//! the business of [`message`](super::message) and [`smtp`](super::smtp). Called by `engine`, and for previews by `web` and
//! the command line.
//!
//! The rules that make a reader trust it, each held by a test over every kind of letter:
//! - the brand writes, and says which bank and whom it means;
//! - one button, and all links lead to one host. The application's own address and the support address are printed as
//!   text, not as links: the reader is told to type, and a second host would make the letter look like phishing;
//! - a letter that asks for nothing ("it works again") has no button at all;
//! - no urgency, no picture, no tracking, nothing that is loaded from anywhere;
//! - the text part has every fact and every link.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::context;
use minijinja::value::Value;

use super::language::Language;
pub use super::words::{Templates, WordsError};
use crate::domain::plain;

/// Longest subject, in characters: what phones show without cutting.
pub const SUBJECT_CHARS_MAX: usize = 50;
/// Longest name of a bank or a person in a letter, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// Most passages that a letter spells out; the page behind the button has all. Keeps the HTML part below 20 KB.
pub const PASSAGES_MAX: usize = 12;
/// What a bank's name keeps in a subject, in characters, before the app's name is shortened too.
const BANK_IN_SUBJECT_CHARS: usize = 14;

/// One letter to one user.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who writes.
    pub brand: Brand,
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
    /// A sentence or the layout is wrong: a mistake in this program.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
}

impl Message {
    /// The section of the words that says it.
    fn section(self) -> &'static str {
        match self {
            Self::LoginRequired => "login_required",
            Self::ConsentEnds { .. } => "consent_ends",
            Self::BankMoves { .. } => "bank_moves",
            Self::ConnectionEnds { .. } => "connection_ends",
            Self::NewAccounts => "new_accounts",
            Self::AccessWithdrawn => "access_withdrawn",
            Self::WorksAgain => "works_again",
        }
    }

    /// When it ends: nothing for what has no end, nothing inside where the end is not known.
    fn ends(self) -> Option<Option<Timestamp>> {
        match self {
            Self::ConsentEnds { on } | Self::BankMoves { on } | Self::ConnectionEnds { on } => Some(on),
            Self::LoginRequired | Self::NewAccounts | Self::AccessWithdrawn | Self::WorksAgain => None,
        }
    }

    /// Whether there is something that the user can do.
    fn asks(self) -> bool {
        match self {
            Self::LoginRequired
            | Self::ConsentEnds { .. }
            | Self::BankMoves { .. }
            | Self::ConnectionEnds { .. }
            | Self::NewAccounts
            | Self::AccessWithdrawn => true,
            Self::WorksAgain => false,
        }
    }
}

impl Letter {
    /// Writes the letter out.
    ///
    /// # Errors
    /// Nothing to say, a link that is none, or a mistake in the templates.
    pub fn render(&self, templates: &Templates) -> Result<Rendered, RenderError> {
        let pen = Pen::new(self, templates)?;
        let subject = pen.subject()?;
        let view = pen.view(&subject)?;
        let text = tidy(&templates.lay_out("txt", &view)?);
        let html = templates.lay_out("html", &view)?;
        Ok(Rendered { subject, text, html })
    }
}

/// A letter being written: its facts made harmless, and the words at hand.
struct Pen<'a> {
    letter: &'a Letter,
    templates: &'a Templates,
    app: String,
    /// The banks, in the order of the passages: "your bank" where the name is not known.
    banks: Vec<String>,
    first: &'a Passage,
    host: String,
}

impl<'a> Pen<'a> {
    fn new(letter: &'a Letter, templates: &'a Templates) -> Result<Self, RenderError> {
        let first = letter.passages.first().ok_or(RenderError::Empty)?;
        let host = host(&letter.repair_url).ok_or(RenderError::Link("repair link"))?;
        host_checked(&letter.stop_url)?;
        let your_bank = templates.say(letter.language, "your_bank", &context! {})?;
        let shown = |bank: &Option<String>| bank.as_deref().and_then(|bank| plain::bank(bank, NAME_CHARS_MAX));
        let banks = letter.passages.iter().map(|p| shown(&p.bank).unwrap_or_else(|| your_bank.clone())).collect();
        let app = plain::one_line(&letter.brand.name, NAME_CHARS_MAX).unwrap_or_default();
        Ok(Self { letter, templates, app, banks, first, host })
    }

    fn say(&self, key: &str, facts: &Value) -> Result<String, RenderError> {
        Ok(self.templates.say(self.letter.language, key, facts)?)
    }

    fn is_single(&self) -> bool {
        self.letter.passages.len() == 1
    }

    fn asks(&self) -> bool {
        self.letter.passages.iter().any(|passage| passage.message.asks())
    }

    /// At most [`SUBJECT_CHARS_MAX`] characters: first the bank's name gives way, then the app's.
    fn subject(&self) -> Result<String, RenderError> {
        let bank = &self.banks[0];
        let other = self.banks.iter().find(|other| *other != bank);
        let is_two = self.banks.iter().all(|any| any == bank || Some(any) == other);
        let key = match other {
            None if self.is_single() => format!("{}.subject", self.first.message.section()),
            Some(_) if is_two => "several.subject_two".to_owned(),
            None | Some(_) => "several.subject_more".to_owned(),
        };
        let other = other.map_or("", String::as_str);
        let whole = self.say(&key, &context! { app => &self.app, bank, other })?;
        if whole.chars().count() <= SUBJECT_CHARS_MAX {
            return Ok(whole);
        }
        if key == "several.subject_two" {
            let more = self.say("several.subject_more", &context! { app => &self.app, bank })?;
            if more.chars().count() <= SUBJECT_CHARS_MAX {
                return Ok(more);
            }
        }
        let key = if self.is_single() { key } else { "several.subject_more".to_owned() };
        let fixed = self.say(&key, &context! { app => "", bank => "" })?.chars().count();
        let room = SUBJECT_CHARS_MAX.saturating_sub(fixed);
        let for_bank = bank.chars().count().min(BANK_IN_SUBJECT_CHARS);
        let app = plain::shorten(&self.app, room.saturating_sub(for_bank));
        let bank = plain::shorten(bank, room.saturating_sub(app.chars().count()));
        self.say(&key, &context! { app, bank })
    }

    /// All that both layouts show.
    fn view(&self, subject: &str) -> Result<Value, RenderError> {
        let letter = self.letter;
        let name = letter.recipient_name.as_deref().and_then(|name| plain::person(name, NAME_CHARS_MAX));
        let greeting = match name {
            Some(name) => self.say("greeting.named", &context! { name })?,
            None => self.say("greeting.unnamed", &context! {})?,
        };
        let (title, meaning, sections) = if self.is_single() {
            let facts = context! { app => &self.app, bank => &self.banks[0] };
            let title = self.say(&format!("{}.title", self.first.message.section()), &facts)?;
            (title, self.sentence(self.first.message, "meaning", &self.banks[0])?, Vec::new())
        } else {
            let facts = context! { app => &self.app };
            (self.say("several.title", &facts)?, self.say("several.meaning", &facts)?, self.sections()?)
        };
        let meaning: Vec<String> = meaning.lines().map(str::to_owned).collect();
        let has_more = letter.passages.len() > PASSAGES_MAX;
        let more = match (has_more, self.asks()) {
            (false, _) => None,
            (true, true) => Some(self.say("several.more", &context! {})?),
            (true, false) => Some(self.say("several.more_without_button", &context! {})?),
        };
        Ok(context! {
            lang => letter.language.tag(), subject, app => &self.app, greeting, title, meaning, sections, more,
            button => self.button()?, check => self.check()?, footer => self.footer()?,
        })
    }

    /// A sentence that may name a date.
    fn sentence(&self, message: Message, what: &str, bank: &str) -> Result<String, RenderError> {
        let section = message.section();
        match message.ends() {
            Some(Some(on)) => {
                let date = self.templates.date(self.letter.language, on, &self.letter.time_zone)?;
                self.say(&format!("{section}.{what}"), &context! { app => &self.app, bank, date })
            }
            Some(None) => self.say(&format!("{section}.{what}_undated"), &context! { app => &self.app, bank }),
            None => self.say(&format!("{section}.{what}"), &context! { app => &self.app, bank }),
        }
    }

    fn sections(&self) -> Result<Vec<Value>, RenderError> {
        let passages = self.letter.passages.iter().zip(&self.banks).take(PASSAGES_MAX);
        passages
            .map(|(passage, bank)| {
                let text = self.sentence(passage.message, "brief", bank)?;
                Ok(context! { title => capitalised(bank), text })
            })
            .collect()
    }

    fn button(&self) -> Result<Option<Value>, RenderError> {
        if !self.asks() {
            return Ok(None);
        }
        let section = if self.is_single() { self.first.message.section() } else { "several" };
        let label = self.say(&format!("{section}.button"), &context! { app => &self.app, bank => &self.banks[0] })?;
        Ok(Some(context! { label, url => &self.letter.repair_url }))
    }

    fn check(&self) -> Result<Value, RenderError> {
        let facts =
            context! { app => &self.app, host => &self.host, address => without_scheme(&self.letter.brand.url) };
        let keys: &[&str] = if self.asks() {
            &["check.open_yourself", "check.where_it_leads", "check.password"]
        } else {
            &["check.open_yourself_without_button", "check.password"]
        };
        let lines = keys.iter().map(|key| self.say(key, &facts)).collect::<Result<Vec<_>, _>>()?;
        Ok(context! { title => self.say("check.title", &facts)?, lines })
    }

    fn footer(&self) -> Result<Value, RenderError> {
        let brand = &self.letter.brand;
        let why = if self.is_single() { "footer.why" } else { "footer.why_several" };
        let postal = brand.postal_address.as_deref().and_then(|address| plain::one_line(address, 200));
        let sender = match postal {
            Some(address) => self.say("footer.sender", &context! { app => &self.app, address })?,
            None => self.app.clone(),
        };
        Ok(context! {
            why => self.say(why, &context! { app => &self.app, bank => &self.banks[0] })?,
            help => self.say("footer.help", &context! { support => &brand.support_email })?,
            stop => self.say("footer.stop", &context! {})?,
            stop_url => &self.letter.stop_url,
            sender,
        })
    }
}

fn host_checked(stop_url: &str) -> Result<String, RenderError> {
    host(stop_url).ok_or(RenderError::Link("link that stops letters"))
}

fn host(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    // What the URL parser would drop or rewrite must not stand in a letter either.
    let is_one_word = address.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\'));
    url.host_str().filter(|_| is_one_word).map(str::to_owned)
}

/// The address as people say it: no scheme, so that it stays a text, and no slash at the end.
fn without_scheme(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    bare.trim_end_matches('/')
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// No more than one empty line at a time, none at the ends.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = if line == "-- " { line } else { line.trim_end() };
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 && !(line.is_empty() && out.is_empty()) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests;
