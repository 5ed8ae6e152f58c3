//! What a mail server answered, and what that means for a letter and its address.
//!
//! Codes decide where they are clear; the words of a reply only where the code says nothing. When in doubt a reply is no
//! verdict about the recipient: an address that is wrongly given up gets no more letters.

use std::fmt;

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
        let enhanced =
            texts.first().and_then(|text| parse_enhanced(text.split(' ').next()?)).filter(|e| e.0 == code / 100);
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

    /// What a 4xx means.
    #[must_use]
    pub fn later(&self) -> Later {
        let text = self.text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match self.enhanced {
            Some((_, 2, 2)) => Later::MailboxFull,
            Some((_, 7, detail)) if is_about_sender(detail) => Later::Sender,
            Some((_, 7, 28)) => Later::RateLimited,
            Some(_) | None if has(&["greylist", "graylist", "grey list", "gray list"]) => Later::Greylisted,
            Some(_) | None if has(&["rate limit", "too many", "too fast", "throttl", "unusual rate"]) => {
                Later::RateLimited
            }
            Some(_) | None if has(&["mailbox full", "mailbox is full", "over quota", "quota exceeded"]) => {
                Later::MailboxFull
            }
            Some(_) | None => Later::Busy,
        }
    }

    /// What a 5xx means.
    #[must_use]
    pub fn never(&self, about: About) -> Never {
        if matches!(self.code, 530 | 534 | 535 | 538) || about == About::Sender {
            return Never::Sender;
        }
        match self.enhanced {
            Some((_, 1, 7 | 8)) => Never::Sender,
            Some((_, 7, detail)) if is_about_sender(detail) => Never::Sender,
            Some((_, 1, 1 | 2 | 3 | 6 | 10) | (_, 2, 1)) => Never::RecipientGone,
            Some((_, 2, 2)) => Never::MailboxFull,
            Some((_, 7, _)) if self.says_relaying() => Never::Sender,
            Some((_, 7, _)) => Never::Policy,
            // 5.0.0 and 5.1.0 say "other": as much as no code at all.
            Some((_, 0 | 1, 0)) | None => self.never_by_words(about),
            Some(_) => Never::Other,
        }
    }

    fn says_relaying(&self) -> bool {
        self.text.to_lowercase().contains("relay")
    }

    fn never_by_words(&self, about: About) -> Never {
        let text = self.text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if self.says_relaying() {
            Never::Sender
        } else if has(&["full", "quota"]) || (self.code == 552 && about == About::Recipient) {
            Never::MailboxFull
        } else if has(&[
            "spam",
            "policy",
            "block",
            "blacklist",
            "blocklist",
            "reputation",
            "spf",
            "dkim",
            "dmarc",
            "denied",
        ]) {
            Never::Policy
        } else if about == About::Recipient && has(&GONE) {
            Never::RecipientGone
        } else {
            Never::Other
        }
    }
}

/// What servers without enhanced codes say of a mailbox that is not there.
const GONE: [&str; 12] = [
    "unknown",
    "no such",
    "not exist",
    "doesn't exist",
    "not found",
    "no mailbox",
    "invalid recipient",
    "invalid mailbox",
    "disabled",
    "inactive",
    "mailbox unavailable",
    "no longer",
];

/// Details of x.7.x that blame the sender: authentication (20 to 27, 29, 30), a login that is missing (57, 60), and the
/// five hundreds and up of Exchange Online (banned senders, 5.7.515 for senders who do not authenticate).
fn is_about_sender(detail: u16) -> bool {
    matches!(detail, 20..=27 | 29 | 30 | 57 | 60 | 500..)
}

fn parse_enhanced(word: &str) -> Option<Enhanced> {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(line: &str) -> Reply {
        let lines: Vec<String> = line.split('\n').map(str::to_owned).collect();
        Reply::from_lines(line[..3].parse().expect("a code"), &lines, &["user-1@example.com", "user-1"])
    }

    #[test]
    fn codes_and_text_are_told_apart() {
        let found = reply("550-5.1.1 The account does\n550-5.1.1 not exist\n550 5.1.1 at all");
        assert_eq!(found.to_string(), "550 5.1.1 The account does not exist at all");
        assert_eq!(found.enhanced, Some((5, 1, 1)));
        assert_eq!(reply("250").to_string(), "250");
        assert_eq!(reply("250 4.1.1 x").enhanced, None, "the class has to agree with the code");
        assert_eq!(reply("554 5.7.1234 x").enhanced, None);
        assert_eq!(reply("250 2.0.0 Ok: queued as 4F.2.1").text, "Ok: queued as 4F.2.1");
    }

    #[test]
    fn addresses_are_masked_and_texts_bounded() {
        assert_eq!(reply("550 <user-1@example.com>: user-1 unknown.").text, "<[address]>: [address] unknown.");
        assert_eq!(reply("550 No User-1 here, ask Help+x@example.org.").text, "No [address] here, ask [address].");
        assert_eq!(reply("550 user-10 is another").text, "user-10 is another");
        let long = reply(&format!("550 {}", "word ".repeat(500)));
        assert!(long.text.chars().count() <= REPLY_CHARS_MAX);
        assert!(!reply("550 a\u{1b}[31mb\r\n").text.contains(['\u{1b}', '\r']));
    }

    #[test]
    fn refusals_are_classed() {
        let about_recipient = [
            ("550 5.1.1 User unknown", Never::RecipientGone),
            ("550 5.1.10 RESOLVER.ADR.RecipientNotFound", Never::RecipientGone),
            ("550 5.2.1 The email account is disabled", Never::RecipientGone),
            ("556 5.1.10 null MX", Never::RecipientGone),
            ("550 No such user here", Never::RecipientGone),
            ("550 Requested action not taken: mailbox unavailable", Never::RecipientGone),
            ("552 5.2.2 Mailbox over quota", Never::MailboxFull),
            ("552 Requested mail action aborted", Never::MailboxFull),
            ("550 5.7.1 Message rejected due to content", Never::Policy),
            ("554 Blocked by spam filter; user unknown", Never::Policy),
            ("550 5.7.515 Access denied, sending domain does not meet the required level", Never::Sender),
            ("550 5.7.26 This mail is unauthenticated", Never::Sender),
            ("554 5.7.1 Relay access denied", Never::Sender),
            ("550 relaying denied", Never::Sender),
            ("530 5.7.0 Must issue a STARTTLS command first", Never::Sender),
            ("535 5.7.8 Authentication credentials invalid", Never::Sender),
            ("550 5.1.8 Sender address rejected: domain not found", Never::Sender),
            ("550 5.1.0 Address rejected", Never::Other),
            ("554 5.4.14 Hop count exceeded", Never::Other),
            ("550 no", Never::Other),
        ];
        for (line, class) in about_recipient {
            assert_eq!(reply(line).never(About::Recipient), class, "{line}");
        }
        assert_eq!(reply("550 user unknown").never(About::Sender), Never::Sender, "nobody was named yet");
        assert_eq!(reply("554 unknown error").never(About::Letter), Never::Other);
        assert_eq!(reply("552 5.3.4 message too big").never(About::Letter), Never::Other);
    }

    #[test]
    fn delays_are_classed() {
        let all = [
            ("451 4.7.1 Greylisted, please try again later", Later::Greylisted),
            ("450 4.2.0 Recipient address rejected: Greylisting in effect", Later::Greylisted),
            ("421 4.7.28 unusual rate", Later::RateLimited),
            ("421 Too many connections", Later::RateLimited),
            ("452 4.2.2 full", Later::MailboxFull),
            ("421 4.7.26 unauthenticated", Later::Sender),
            ("421 4.3.2 going down", Later::Busy),
            ("450 later", Later::Busy),
        ];
        for (line, class) in all {
            assert_eq!(reply(line).later(), class, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_shows_an_address_or_panics(before in any::<String>(), after in any::<String>()) {
            let lines = [format!("550 {before}"), format!("550 <user-1@example.com> {after}")];
            let found = Reply::from_lines(550, &lines, &["user-1@example.com", "user-1"]);
            prop_assert!(!found.text.contains("user-1@example"));
            prop_assert!(found.text.chars().count() <= REPLY_CHARS_MAX);
            let _ = (found.later(), found.never(About::Recipient), found.never(About::Letter));
        }
    }
}
