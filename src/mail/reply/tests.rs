//! Replies as servers give them.

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

/// One line of `replies.txt`.
struct Real {
    class: &'static str,
    about: About,
    whose: &'static str,
    lines: Vec<String>,
}

fn real_replies() -> Vec<Real> {
    let parse = |line: &'static str| {
        let mut parts = line.splitn(4, " | ");
        let mut next = || parts.next().unwrap_or_else(|| panic!("four parts: {line}"));
        let (class, stage, whose) = (next(), next(), next());
        let about = match stage {
            "greeting" => About::Sender,
            "recipient" => About::Recipient,
            "letter" => About::Letter,
            other => panic!("no such stage: {other}"),
        };
        Real { class, about, whose, lines: next().split("\\n").map(str::to_owned).collect() }
    };
    let lines = include_str!("replies.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(parse).collect()
}

/// The name of a class as `replies.txt` writes it.
fn class(reply: &Reply, about: About) -> &'static str {
    if reply.code < 500 {
        return match reply.later() {
            Later::Greylisted => "greylisted",
            Later::RateLimited => "rate",
            Later::MailboxFull => "full",
            Later::Sender => "sender",
            Later::Busy => "busy",
        };
    }
    match reply.never(about) {
        Never::RecipientGone => "gone",
        Never::MailboxFull => "full",
        Never::RateLimited => "rate",
        Never::Policy => "policy",
        Never::Sender => "sender",
        Never::Other => "other",
    }
}

#[test]
fn real_replies_are_classed() {
    let all = real_replies();
    let mut wrong = Vec::new();
    for real in &all {
        let code = real.lines[0][..3].parse().expect("a code");
        let reply = Reply::from_lines(code, &real.lines, &["user-1@example.com"]);
        let found = class(&reply, real.about);
        if found != real.class {
            wrong.push(format!("{found} instead of {}: {}: {reply}", real.class, real.whose));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    assert!(all.len() >= 120, "{}", all.len());
}
