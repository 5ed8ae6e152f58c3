//! From a rendered letter to the message that goes over the wire: addresses, headers, MIME.
//!
//! The same letter always gives the same bytes: Message-ID and boundary come from the letter's id and the date is an
//! argument, so a letter that is sent twice after a crash is one message for the mailbox. Called by `engine` and by the
//! command line, right before [`smtp::send`](super::smtp::send).

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{
    ContentDisposition, ContentId, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};

use super::letter::{NAME_CHARS_MAX, Rendered};
use crate::domain::ids::LetterId;
use crate::domain::language::Language;
use crate::domain::logo::Logo;
use crate::domain::plain;

/// Longest address in the `List-Unsubscribe` header, in bytes: a line of a header ends at 998 (RFC 5322 section 2.1.1), and
/// an address cannot be folded.
pub const STOP_URL_BYTES_MAX: usize = 900;
/// Most earlier letters named in `References`: enough for a mail program to find the thread.
pub const REFERENCES_MAX: usize = 10;

/// By what the HTML part names the logo that travels with it (RFC 2392).
pub const LOGO_ID: &str = "logo@letter";

/// What stands around a letter.
#[derive(Clone, Debug)]
pub struct Addressing<'a> {
    /// Which letter.
    pub letter: LetterId,
    /// Earlier letters of the same thread, oldest first, so that mail programs show reminders together.
    pub earlier: &'a [LetterId],
    /// When the letter is sent.
    pub date: Timestamp,
    /// The brand's name.
    pub from_name: &'a str,
    /// The brand's address: also where bounces go, and its domain ends the Message-ID.
    pub from_address: &'a str,
    /// Where reports of failed delivery go, if not to `from_address`.
    pub return_path: Option<&'a str>,
    /// Where answers go, if not to `from_address`.
    pub reply_to: Option<&'a str>,
    /// The user's name: untrusted text.
    pub to_name: Option<&'a str>,
    /// The user's address.
    pub to_address: &'a str,
    /// In which language the letter is.
    pub language: Language,
    /// Where these letters can be stopped with one POST (RFC 8058).
    pub stop_url: &'a str,
    /// The picture that the HTML part shows.
    pub logo: Option<&'a Logo>,
}

/// Why a letter cannot be addressed. Says which part is wrong, never what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No address, or one that is not all ASCII.
    #[error("the {0} address is none that can be written to")]
    Address(&'static str),
    /// A line break or another control character in a header.
    #[error("the {0} has a control character")]
    Control(&'static str),
    /// Too long, not ASCII, or no http(s) address.
    #[error("the link that stops letters cannot stand in a header")]
    StopUrl,
    /// lettre refused the headers: a mistake in this program.
    #[error("the headers make no message")]
    Headers,
}

/// The Message-ID of a letter, with its angle brackets: its id at the domain of the sender's address.
#[must_use]
pub fn message_id(letter: LetterId, from_address: &str) -> String {
    let domain = from_address.rsplit('@').next().unwrap_or_default();
    format!("<{letter}@{domain}>")
}

/// Makes the message. Bodies are always quoted-printable: lines stay short, everything is ASCII, and no bare CR or LF is
/// left that could be read as a command (RUSTSEC-2026-0561).
///
/// # Errors
/// An address or a header value that must not go out; see [`MessageError`].
pub fn build(rendered: &Rendered, to: &Addressing<'_>) -> Result<Message, MessageError> {
    let from = mailbox("sender's", plain::one_line(to.from_name, NAME_CHARS_MAX), to.from_address)?;
    let to_name = to.to_name.and_then(|name| plain::person(name, NAME_CHARS_MAX));
    let recipient = mailbox("recipient's", to_name, to.to_address)?;
    let path = match to.return_path {
        None => from.email.clone(),
        Some(path) => mailbox("return", None, path)?.email,
    };
    let envelope = Envelope::new(Some(path), vec![recipient.email.clone()]);
    let domain = from.email.domain().to_owned();
    if rendered.subject.chars().any(char::is_control) {
        return Err(MessageError::Control("subject"));
    }
    if !is_header_url(to.stop_url) {
        return Err(MessageError::StopUrl);
    }
    let mut builder = Message::builder()
        .envelope(envelope.map_err(|_| MessageError::Headers)?)
        .from(from)
        .to(recipient)
        .subject(rendered.subject.as_str())
        .date(date(to.date))
        .message_id(Some(message_id(to.letter, to.from_address)))
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        // Not "All": that would also suppress the reports of failed delivery, which are wanted.
        .raw_header(header("X-Auto-Response-Suppress", "OOF, AutoReply".to_owned()))
        .raw_header(header("List-Id", format!("<bank-connections.{domain}>")))
        .raw_header(header("List-Unsubscribe", format!("<{}>", to.stop_url)))
        .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()))
        .raw_header(header("Content-Language", to.language.tag().to_owned()));
    if let Some(reply_to) = to.reply_to {
        builder = builder.reply_to(mailbox("reply", None, reply_to)?);
    }
    let skipped = to.earlier.len().saturating_sub(REFERENCES_MAX);
    let earlier: Vec<String> =
        to.earlier[skipped..].iter().map(|letter| message_id(*letter, to.from_address)).collect();
    if let Some(last) = earlier.last() {
        // One a line: the line of all of them would be too long.
        builder = builder
            .raw_header(header("In-Reply-To", last.clone()))
            .raw_header(header("References", earlier.join("\r\n ")));
    }
    let parts = MultiPart::alternative()
        // "=_" never stands in quoted-printable text, so no body can hold the boundary.
        .boundary(format!("=_{}", to.letter))
        .singlepart(part(ContentType::TEXT_PLAIN, &rendered.text));
    let html = part(ContentType::TEXT_HTML, &rendered.html);
    let parts = match to.logo {
        None => parts.singlepart(html),
        Some(logo) => parts.multipart(with_logo(html, logo, to.letter)),
    };
    builder.multipart(parts).map_err(|_| MessageError::Headers)
}

/// The HTML part and its picture as one (RFC 2387): mail programs show it within the letter, not below as an attachment.
fn with_logo(html: SinglePart, logo: &Logo, letter: LetterId) -> MultiPart {
    let content_type = ContentType::parse(logo.media_type()).expect("a media type of ours");
    let picture = Body::new_with_encoding(logo.bytes().to_vec(), ContentTransferEncoding::Base64);
    let picture = SinglePart::builder()
        .header(content_type)
        .header(ContentDisposition::inline_with_name(logo.file_name()))
        .header(ContentId::from(format!("<{LOGO_ID}>")))
        .body(picture.expect("every file can be written in base64"));
    MultiPart::related().boundary(format!("=_logo_{letter}")).singlepart(html).singlepart(picture)
}

/// A mailbox. The name is one clean line: lettre panics at a line break.
fn mailbox(whose: &'static str, name: Option<String>, address: &str) -> Result<Mailbox, MessageError> {
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
    let address: Option<Address> = address.parse().ok().filter(|_| is_plain);
    Ok(Mailbox::new(name, address.ok_or(MessageError::Address(whose))?))
}

fn part(content_type: ContentType, text: &str) -> SinglePart {
    let clean: String = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "");
    let encoded = Body::new_with_encoding(clean, ContentTransferEncoding::QuotedPrintable);
    let body = encoded.expect("every text can be written as quoted-printable");
    SinglePart::builder().header(content_type).body(body)
}

/// A header of constant name whose value goes out as it is. The value is ASCII without line breaks: checked before, or ours.
fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

fn is_header_url(address: &str) -> bool {
    let is_web = matches!(url::Url::parse(address), Ok(url) if matches!(url.scheme(), "https" | "http"));
    is_web
        && address.len() <= STOP_URL_BYTES_MAX
        && address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b','))
}

/// lettre's dates begin in 1970 and end before the year 10000, and outside of that it panics.
fn date(at: Timestamp) -> SystemTime {
    let earliest = Timestamp::UNIX_EPOCH;
    let latest = Timestamp::from_second(253_402_207_200).unwrap_or(Timestamp::MAX);
    SystemTime::from(at.clamp(earliest, latest))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn rendered() -> Rendered {
        Rendered {
            subject: "Acorn Budget: reconnect First Platypus Bank".to_owned(),
            text: "Hello,\n\nyour link:\nhttps://links.acorn.example/repair/x?a=b\n.\n.\n".to_owned(),
            html: "<html lang=\"en\"><p>Grüße</p></html>\n".to_owned(),
        }
    }

    fn id(number: u128) -> LetterId {
        LetterId(Uuid::from_u128(number))
    }

    fn addressing() -> Addressing<'static> {
        Addressing {
            letter: id(7),
            earlier: &[],
            date: "2026-11-23T09:00:00Z".parse().expect("a time"),
            from_name: "Acorn Budget",
            from_address: "hello@acorn.example",
            return_path: None,
            reply_to: Some("help@acorn.example"),
            to_name: Some("Robin Example"),
            to_address: "user-1@example.com",
            language: Language::English,
            stop_url: "https://links.acorn.example/unsubscribe/abc.def",
            logo: None,
        }
    }

    fn wire(rendered: &Rendered, to: &Addressing<'_>) -> String {
        let message = build(rendered, to).expect("a message");
        String::from_utf8(message.formatted()).expect("all ASCII")
    }

    /// The names of the headers, and whether each line of them is whole.
    fn header_names(wire: &str) -> Vec<String> {
        let head = wire.split_once("\r\n\r\n").expect("a head").0;
        let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        lines.map(|line| line.split_once(": ").expect("name and value").0.to_owned()).collect()
    }

    fn has_bare_line_break(bytes: &[u8]) -> bool {
        let pairs = bytes.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
        pairs || bytes.first() == Some(&b'\n') || bytes.last() == Some(&b'\r')
    }

    #[test]
    fn the_whole_message() {
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        let _bound = settings.bind_to_scope();
        let earlier = [id(5), id(6)];
        insta::assert_snapshot!(
            wire(&rendered(), &Addressing { earlier: &earlier, ..addressing() }).replace("\r\n", "\n")
        );
    }

    #[test]
    fn the_same_letter_is_the_same_message() {
        assert_eq!(wire(&rendered(), &addressing()), wire(&rendered(), &addressing()));
        assert_eq!(message_id(id(7), "hello@acorn.example"), "<00000000-0000-0000-0000-000000000007@acorn.example>");
    }

    #[test]
    fn bodies_hold_no_line_break_of_their_own() {
        let mut evil = rendered();
        evil.text = "a\n.\nb\r.\rc\r\n.\r\nMAIL FROM:<x>\0\n".to_owned();
        evil.html = format!("{}\r.\n{}", "x".repeat(5000), "ü".repeat(2000));
        let wire = wire(&evil, &addressing());
        assert!(!has_bare_line_break(wire.as_bytes()));
        assert!(wire.is_ascii());
        assert!(wire.split("\r\n").all(|line| line.len() <= 998));
        assert_eq!(wire.matches("quoted-printable").count(), 2);
    }

    #[test]
    fn a_logo_travels_beside_the_html_part_and_is_named_by_it() {
        let logo = Logo::parse(b"GIF89a\x40\x01\x20\0;".to_vec()).expect("a GIF");
        let wire = wire(&rendered(), &Addressing { logo: Some(&logo), ..addressing() });
        let related = wire.split_once("multipart/related").expect("a part of two").1;
        let html = related.find("text/html").expect("the HTML part");
        let picture = related.find("Content-Type: image/gif").expect("the picture");
        assert!(html < picture && wire.find("text/plain") < wire.find("multipart/related"), "{wire}");
        assert!(related.contains("Content-ID: <logo@letter>\r\n"), "{related}");
        assert!(related.contains("Content-Disposition: inline; filename=\"logo.gif\"\r\n"), "{related}");
        assert!(related.contains(&BASE64.encode(logo.bytes())), "{related}");
        assert!(!has_bare_line_break(wire.as_bytes()) && wire.is_ascii());
    }

    #[test]
    fn threads_name_the_latest_letters() {
        let earlier: Vec<LetterId> = (1..=30).map(id).collect();
        let wire = wire(&rendered(), &Addressing { earlier: &earlier, ..addressing() });
        assert!(wire.contains(&format!("In-Reply-To: {}\r\n", message_id(id(30), "x@acorn.example"))));
        assert!(!wire.contains(&message_id(id(20), "x@acorn.example")));
        assert!(wire.contains(&message_id(id(21), "x@acorn.example")));
        assert!(wire.split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn what_could_break_a_header_is_refused() {
        let to = addressing();
        for bad in ["a\r\nBcc: x", "a\nb", "a\0b", "a\u{1b}b"] {
            let rendered = Rendered { subject: bad.to_owned(), ..rendered() };
            assert_eq!(build(&rendered, &to).err(), Some(MessageError::Control("subject")), "{bad:?}");
        }
        for bad in [
            "",
            "x",
            "a@b\r\n",
            "a@b.example\r\nBcc: x@y.example",
            "ü@b.example",
            "a@ü.example",
            "\"a b\"@c.example",
            "<a@b.example>",
        ] {
            let found = build(&rendered(), &Addressing { to_address: bad, ..to.clone() }).err();
            assert_eq!(found, Some(MessageError::Address("recipient's")), "{bad:?}");
            let found = build(&rendered(), &Addressing { from_address: bad, ..to.clone() }).err();
            assert_eq!(found, Some(MessageError::Address("sender's")), "{bad:?}");
        }
        let long = format!("https://x.example/{}", "a".repeat(STOP_URL_BYTES_MAX));
        for bad in [
            "",
            "/x",
            "mailto:x@y.example",
            "https://x.example/a\r\nb",
            "https://x.example/>",
            "https://x.example/ü",
            &long,
        ] {
            let found = build(&rendered(), &Addressing { stop_url: bad, ..to.clone() }).err();
            assert_eq!(found, Some(MessageError::StopUrl), "{bad:?}");
        }
    }

    #[test]
    fn a_name_with_a_line_break_is_one_line() {
        let to = Addressing { to_name: Some("Evil\r\nBcc: x\0"), ..addressing() };
        let wire = wire(&rendered(), &to);
        assert_eq!(header_names(&wire).iter().filter(|name| *name == "Bcc").count(), 0, "{wire}");
        assert_eq!(header_names(&wire), header_names(&self::wire(&rendered(), &addressing())));
    }

    #[test]
    fn a_clock_far_off_is_no_panic() {
        for date in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            build(&rendered(), &Addressing { date, ..addressing() }).expect("a message");
        }
    }

    proptest! {
        #[test]
        fn no_text_adds_a_header_or_panics(
            to_name in any::<String>(), from_name in any::<String>(), subject in any::<String>(), text in any::<String>(), html in any::<String>(),
        ) {
            let to = Addressing { to_name: Some(&to_name), from_name: &from_name, ..addressing() };
            let letter = Rendered { subject: subject.clone(), text, html };
            match build(&letter, &to) {
                Ok(message) => {
                    let bytes = message.formatted();
                    prop_assert!(!has_bare_line_break(&bytes));
                    let wire = String::from_utf8(bytes).expect("all ASCII");
                    prop_assert_eq!(header_names(&wire), header_names(&self::wire(&rendered(), &addressing())));
                    prop_assert_eq!(message.envelope().to()[0].to_string(), "user-1@example.com");
                }
                Err(error) => {
                    prop_assert_eq!(error, MessageError::Control("subject"));
                    prop_assert!(subject.chars().any(char::is_control));
                }
            }
        }

        #[test]
        fn no_address_or_link_panics(address in any::<String>(), url in any::<String>()) {
            let _ = build(&rendered(), &Addressing { to_address: &address, ..addressing() });
            let _ = build(&rendered(), &Addressing { from_address: &address, ..addressing() });
            let _ = build(&rendered(), &Addressing { stop_url: &url, ..addressing() });
        }
    }
}
