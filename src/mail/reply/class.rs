//! What a refusal means: first what the words say beyond doubt, then the enhanced code, then the other words.
//!
//! Words come first where big providers are known to give a code that says another thing: 5.1.1 for "too many recipients this
//! hour", 5.2.1 for "receives mail too fast", "mailbox unavailable" above "your DNS has no MX".

use super::{About, Enhanced, Later, Never, Reply};

/// The sender's name, network, domain or login is at fault.
const SENDER: [&str; 41] = [
    "relay",
    "rcpthosts",
    "reverse dns",
    "ptr record",
    "ptr resource",
    "resource record",
    "reverse hostname",
    "your hostname",
    "ip name lookup",
    "spamhaus",
    "spamcop",
    "barracuda",
    "blacklist",
    "blocklist",
    "block list",
    "blocked using",
    "banned sending",
    "sending ip",
    "sending domain",
    "client host",
    "reputation",
    "whitelist",
    "unauthenticated",
    "not authenticated",
    "authentication information",
    "smtp authentication",
    "address is not verified",
    "sending paused",
    "sender rejected",
    "sender address",
    "sender verify",
    "sender denied",
    "sender ip",
    "callout verification",
    "domain of sender",
    "purported responsible",
    "messages from [",
    "permanently deferred",
    "connections will not be accepted",
    "mismatches client ip",
    "starttls",
];

/// The same in words so short that they are looked for whole.
const SENDER_WORDS: [&str; 8] = ["dmarc", "spf", "dkim", "rdns", "helo", "ehlo", "dnsbl", "rbl"];

/// Too much at once, whatever the code says.
const RATE: [&str; 24] = [
    "rate limit",
    "ratelimit",
    "limited",
    "too many connections",
    "too many concurrent",
    "too many messages",
    "too many recipients this hour",
    "too many recipients received",
    "too many mails",
    "too many emails",
    "too fast",
    "too quickly",
    "throttl",
    "at a rate that",
    "unusual rate",
    "sending rate",
    "excessive volume",
    "unexpected volume",
    "sending quota",
    "sending limit",
    "message quota",
    "limits on how many",
    "frequency",
    "relay limit",
];

/// The mailbox is full.
const FULL: [&str; 10] = [
    "mailbox full",
    "mailbox is full",
    "inbox is full",
    "user is full",
    "over quota",
    "quota exceeded",
    "exceeds quota",
    "storage space",
    "storage quota",
    "too many messages on the server",
];

/// The server wants to see us come back.
const GREYLISTED: [&str; 5] = ["greylist", "graylist", "grey list", "gray list", "grey-list"];

/// The letter or its kind is not wanted.
const POLICY: [&str; 16] = [
    "spam",
    "polic",
    "block",
    "content",
    "virus",
    "phish",
    "prohibit",
    "denied",
    "not allowed",
    "not accepted",
    "refused",
    "preferences",
    "filtered",
    "security",
    "unsolicited",
    "not rfc",
];

/// There is no such mailbox: said so plainly that it also counts about a letter that was taken in.
const GONE_FOR_SURE: [&str; 14] = [
    "user unknown",
    "unknown user",
    "no such user",
    "user not found",
    "user not exist",
    "user does not exist",
    "mailbox not found",
    "mailbox does not exist",
    "no mailbox",
    "doesn't have a",
    "mailbox is disabled",
    "account is disabled",
    "account has been disabled",
    "unknown local part",
];

/// The same in other words, of a recipient.
const GONE: [&str; 19] = [
    "unknown",
    "no such",
    "not exist",
    "doesn't exist",
    "not found",
    "invalid recipient",
    "invalid mailbox",
    "invalid address",
    "disabled",
    "inactive",
    "mailbox unavailable",
    "no longer",
    "not our user",
    "not our customer",
    "unrouteable address",
    "account closed",
    "not a registered",
    "frozen",
    "does not accept mail",
];

impl Reply {
    /// What a 4xx means.
    #[must_use]
    pub fn later(&self) -> Later {
        let text = self.text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&GREYLISTED) {
            return Later::Greylisted;
        }
        match self.enhanced {
            Some((_, 2, 2)) => Later::MailboxFull,
            Some((_, 1, 7 | 8) | (_, 7, 20..=27)) => Later::Sender,
            Some(_) | None if has_too_much(&text) => Later::RateLimited,
            Some(_) | None if has(&FULL) => Later::MailboxFull,
            // Exchange Online's way to say "slow down": 4.7.500 and up are not its 5.7.500 and up.
            Some((_, 7, 28 | 500..)) => Later::RateLimited,
            Some((_, 7, detail)) if is_about_sender(detail) => Later::Sender,
            Some(_) | None if has(&SENDER) || has_word(&text, &SENDER_WORDS) => Later::Sender,
            Some(_) | None => Later::Busy,
        }
    }

    /// What a 5xx means.
    #[must_use]
    pub fn never(&self, about: About) -> Never {
        if matches!(self.code, 530 | 534 | 535 | 538) || about == About::Sender {
            return Never::Sender;
        }
        // Postfix names the table of recipients in which the address is not; nothing is relayed by it.
        let text = self.text.to_lowercase().replace("relay recipient table", "recipient table");
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has_too_much(&text) && !has(&["client host"]) {
            return Never::RateLimited;
        }
        if has(&FULL) || matches!(self.enhanced, Some((_, 2, 2))) {
            return Never::MailboxFull;
        }
        if has(&SENDER) || has_word(&text, &SENDER_WORDS) || self.enhanced.is_some_and(blames_sender) {
            return Never::Sender;
        }
        match self.enhanced {
            Some((_, 1, 1)) if has(&["preferences"]) => Never::Policy,
            Some((_, 1, 1 | 2 | 3 | 6 | 10 | 350 | 351) | (_, 2, 1) | (_, 4, 310) | (_, 7, 13 | 17 | 18)) => {
                Never::RecipientGone
            }
            // A directory at Exchange Online's edge that does not hold the address says so.
            Some((_, 4, 1)) if about == About::Recipient && has(&["recipient address rejected"]) => {
                Never::RecipientGone
            }
            // The domain has no mail server, or is none.
            Some((_, 4, 4)) if has(&["not found", "nxdomain", "no such domain"]) => Never::RecipientGone,
            // The recipient's mail system is at fault, and now and then calls a missing user that.
            Some((_, 3, 0)) if has(&GONE_FOR_SURE) => Never::RecipientGone,
            Some((_, 7, _)) if has(&GONE_FOR_SURE) && !has(&["spam", "polic", "block"]) => Never::RecipientGone,
            Some((_, 7, _)) => Never::Policy,
            // These say "other": as much as no code at all.
            Some((_, 0..=2 | 5, 0)) | None => self.never_by_words(about, &text),
            Some((_, 6, _)) if has(&POLICY) => Never::Policy,
            Some(_) => Never::Other,
        }
    }

    fn never_by_words(&self, about: About, text: &str) -> Never {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let is_gone = has(&GONE_FOR_SURE) && !has(&["spam", "polic", "block"]);
        if has(&POLICY) && !is_gone {
            Never::Policy
        } else if is_gone || (about == About::Recipient && has(&GONE)) {
            Never::RecipientGone
        } else if has(&["full", "quota"]) || (self.code == 552 && about == About::Recipient) {
            Never::MailboxFull
        } else {
            Never::Other
        }
    }
}

/// Too much at once; but not in a mailbox, where too much is for ever.
fn has_too_much(text: &str) -> bool {
    RATE.iter().any(|words| text.contains(words)) && !text.contains("on the server") && !text.contains("storage")
}

fn has_word(text: &str, words: &[&str]) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
}

fn blames_sender(enhanced: Enhanced) -> bool {
    match enhanced {
        (_, 1, 7 | 8) => true,
        (_, 7, detail) => is_about_sender(detail),
        _ => false,
    }
}

/// Details of x.7.x that blame the sender: authentication (20 to 27, 29, 30), a login that is missing (57, 60), and the
/// five hundreds and up of Exchange Online (banned senders, 5.7.515 for senders who do not authenticate).
fn is_about_sender(detail: u16) -> bool {
    matches!(detail, 20..=27 | 29 | 30 | 57 | 60 | 500..)
}
