//! What a mail server answered, and what that means for a letter and its address.
//!
//! What a refusal means stands in `class`, and `replies.txt` holds what real servers say. When in doubt a reply is no verdict
//! about the recipient: an address that is wrongly given up gets no more letters.

use std::fmt;

mod class;

/// Longest text of a reply that is kept, in characters.
pub const REPLY_CHARS_MAX: usize = 300;
/// Most bytes of one reply, all its lines together: what a sane server never comes near.
pub const REPLY_BYTES_MAX: usize = 16 * 1024;

/// An enhanced status code after RFC 3463, like 5.1.1.
pub type Enhanced = (u16, u16, u16);

/// A server's reply: bounded, and with addresses masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The enhanced status code, where there is one.
    pub enhanced: Option<Enhanced>,
    /// The text without the codes, on one line.
    pub text: String,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((class, subject, detail)) = self.enhanced {
            write!(f, " {class}.{subject}.{detail}")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", self.text) }
    }
}

/// Why a letter may pass later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Later {
    /// The server wants to see us come back.
    Greylisted,
    /// Too many letters or connections.
    RateLimited,
    /// The mailbox is full.
    MailboxFull,
    /// Something about the sender: his login, his domain, his server's name. For the operator.
    Sender,
    /// Anything else: the server is busy, goes down, or gives no reason.
    Busy,
}

/// Why a letter will never pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Never {
    /// There is no such mailbox, or not any more: write there no more.
    RecipientGone,
    /// The mailbox is full, and the server does not want to be asked again.
    MailboxFull,
    /// Too many letters: said as if for ever, and meant for now.
    RateLimited,
    /// The server or the recipient does not want this letter.
    Policy,
    /// Something about the sender: his login, his domain, his server's name. Says nothing about the recipient: pause, tell
    /// the operator, and keep the letter.
    Sender,
    /// Anything else.
    Other,
}

impl Later {
    /// Its name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Greylisted => "greylisted",
            Self::RateLimited => "rate_limited",
            Self::MailboxFull => "mailbox_full",
            Self::Sender => "sender",
            Self::Busy => "busy",
        }
    }
}

impl Never {
    /// Its name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RecipientGone => "recipient_gone",
            Self::MailboxFull => "mailbox_full",
            Self::RateLimited => "rate_limited",
            Self::Policy => "policy",
            Self::Sender => "sender",
            Self::Other => "other",
        }
    }
}

/// How far the dialogue had come: before the recipient was named a refusal cannot be about the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The connection, the login, the sender.
    Sender,
    /// The recipient.
    Recipient,
    /// The letter itself.
    Letter,
}

impl Reply {
    /// Makes a reply from the lines of the wire, without their line breaks: `NNN-text`.
    ///
    /// `private` are texts that must not be kept, such as the recipient's address.
    #[must_use]
    pub fn from_lines(code: u16, lines: &[String], private: &[&str]) -> Self {
        let text_of = |line: &String| line.get(4..).unwrap_or_default().trim().to_owned();
        let mut texts: Vec<String> = lines.iter().map(text_of).collect();
        let enhanced = texts
            .first()
            .and_then(|text| parse_enhanced(text.split(' ').next()?))
            .or_else(|| texts.last().and_then(|text| enhanced_at_the_end(text)))
            .filter(|enhanced| enhanced.0 == code / 100);
        if enhanced.is_some() {
            for text in &mut texts {
                let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
                if parse_enhanced(first).is_some() {
                    *text = rest.trim().to_owned();
                }
            }
        }
        let text = mask(&texts.join(" "), private);
        Self { code, enhanced, text: crate::domain::plain::one_line(&text, REPLY_CHARS_MAX).unwrap_or_default() }
    }
}

/// "(#5.1.1)" at the end of a line, as qmail and its kin write it.
fn enhanced_at_the_end(text: &str) -> Option<Enhanced> {
    parse_enhanced(text.strip_suffix(')')?.rsplit_once("(#")?.1)
}

fn parse_enhanced(word: &str) -> Option<Enhanced> {
    let word = word.strip_prefix('#').unwrap_or(word);
    let mut parts = word.split('.').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if is_number { part.parse::<u16>().ok() } else { None }
    });
    let enhanced = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && matches!(enhanced.0, 2 | 4 | 5)).then_some(enhanced)
}

/// Replaces everything that looks like an address, and the `private` texts, by `[address]`.
fn mask(text: &str, private: &[&str]) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-@".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let bare = word.trim_end_matches(['.', '?', '!']);
        let is_private = private.iter().any(|one| !one.is_empty() && bare.eq_ignore_ascii_case(one));
        if bare.contains('@') || is_private {
            out.push_str("[address]");
            out.push_str(&word[bare.len()..]);
        } else {
            out.push_str(word);
        }
        let separators = after.find(is_part).unwrap_or(after.len());
        out.push_str(&after[..separators]);
        rest = &after[separators..];
    }
    out
}

#[cfg(test)]
mod tests;
