//! What mail servers and mail services tell about a letter that left, whatever the form in which they tell it.
//!
//! Here are reports by mail: of failed delivery (RFC 3464) and of abuse (RFC 5965). Anybody can send such a mail, so nothing in
//! it is believed about an address; it only counts for the letter that it names, by an id that nobody can guess: in the
//! Message-ID of what it returns, or in the address to which it was sent (see [`return_path`]). Called by `engine`.

use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};
use uuid::Uuid;

use super::reply::{About, Never, Reply};
use crate::domain::ids::LetterId;

/// The largest report that is read, in bytes. The returned letter may stand in it, and a picture or two of the other's.
pub const REPORT_BYTES_MAX: usize = 1024 * 1024;

/// How deep parts within parts are looked at.
const DEPTH_MAX: u32 = 8;

/// What became of a letter after it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// There is no such mailbox, or not any more.
    Gone,
    /// Not delivered, for another reason.
    Failed(Never),
    /// Not delivered yet.
    Delayed,
    /// Its reader called it spam, or wants no more.
    Complaint,
    /// Nothing goes to the address any more, by somebody's word; of the letters that went there it says nothing.
    Barred,
}

/// A report that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// About which letter, where it says so.
    pub letter: Option<LetterId>,
    /// What became of it.
    pub fate: Fate,
    /// What was said, with addresses masked.
    pub note: Option<String>,
}

/// The envelope's sender for a letter: `bounces@example.com` becomes `bounces+ID@example.com`, so that a report which returns
/// nothing of the letter names it all the same.
#[must_use]
pub fn return_path(address: &str, letter: LetterId) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}+{letter}@{domain}"),
        None => address.to_owned(),
    }
}

/// The letter that an address or a Message-ID names, if it is one of ours in form.
#[must_use]
pub fn letter_in(text: &str) -> Option<LetterId> {
    let local = text.trim().trim_start_matches('<').split('@').next()?;
    let id = local.rsplit('+').next()?;
    // Only as we write it: the form with hyphens.
    (id.len() == 36).then(|| Uuid::parse_str(id).ok().map(LetterId)).flatten()
}

/// Reads a report; nothing if it is none, or tells of a success. `sent_to` is the address to which it came, where that is known.
#[must_use]
pub fn read(raw: &[u8], sent_to: Option<&str>) -> Option<Report> {
    let message = MessageParser::default().parse(raw.get(..REPORT_BYTES_MAX).unwrap_or(raw))?;
    let mut found = Found::default();
    look(&message, DEPTH_MAX, &mut found);
    let (fate, note) = found.fate?;
    let by_path = sent_to.and_then(letter_in).or_else(|| {
        let named = ["To", "Delivered-To", "X-Original-To", "Envelope-To"];
        named.iter().find_map(|name| message.header_raw(*name).and_then(letter_in_list))
    });
    Some(Report { letter: by_path.or(found.letter), fate, note })
}

fn letter_in_list(value: &str) -> Option<LetterId> {
    value.split([',', ' ', '\t', '\r', '\n']).find_map(letter_in)
}

#[derive(Default)]
struct Found {
    letter: Option<LetterId>,
    fate: Option<(Fate, Option<String>)>,
}

fn look(message: &Message<'_>, depth: u32, found: &mut Found) {
    for part in &message.parts {
        let kind = part
            .content_type()
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase());
        let text = match &part.body {
            PartType::Text(text) | PartType::Html(text) => text.as_bytes(),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes,
            PartType::Message(inner) => inner.raw_message(),
            PartType::Multipart(_) => continue,
        };
        match kind.as_deref() {
            Some("message/delivery-status" | "message/global-delivery-status") => {
                found.fate = found.fate.take().or_else(|| delivery_status(&String::from_utf8_lossy(text)));
                found.letter = found.letter.or_else(|| field_anywhere(text, "x-original-message-id"));
            }
            Some("message/feedback-report") => {
                found.fate = found.fate.take().or_else(|| feedback(&String::from_utf8_lossy(text)));
            }
            Some("message/rfc822" | "message/global" | "text/rfc822-headers" | "message/global-headers") => {
                found.letter = found.letter.or_else(|| field_anywhere(text, "message-id"));
                if let PartType::Message(inner) = &part.body
                    && depth > 0
                    && found.fate.is_none()
                {
                    look(inner, depth - 1, found);
                }
            }
            Some(_) | None => {}
        }
    }
}

/// The letter that a field of a head names.
fn field_anywhere(text: &[u8], name: &str) -> Option<LetterId> {
    let text = String::from_utf8_lossy(text);
    // A head is short; what follows it may be long.
    fields(&text).take(500).find(|(known, _)| known == name).and_then(|(_, value)| letter_in(&value))
}

/// Fields as `name: value`, with folded lines put together, the name in lower case.
fn fields(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let Some((name, value)) = line.split_once(':') else { continue };
            let mut value = value.trim().to_owned();
            while let Some(more) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
                value.push(' ');
                value.push_str(more.trim());
            }
            return Some((name.trim().to_ascii_lowercase(), value));
        }
    })
}

/// What a delivery status says of its recipient: the letters of relinkd have one.
fn delivery_status(text: &str) -> Option<(Fate, Option<String>)> {
    let field = |name: &str| fields(text).find(|(known, _)| known == name).map(|(_, value)| value);
    let status = field("status").unwrap_or_default();
    let diagnostic = field("diagnostic-code").unwrap_or_default();
    let said = diagnostic.split_once(';').map_or(diagnostic.as_str(), |(_, said)| said).trim();
    let reply = reply_of(said, &status);
    let note = reply.as_ref().map(ToString::to_string);
    match field("action")?.to_ascii_lowercase().split([' ', '(']).next()? {
        "failed" => {
            let never = reply.map_or(Never::Other, |reply| match reply.code {
                500.. => reply.never(About::Recipient),
                _ => Never::Other,
            });
            Some((if never == Never::RecipientGone { Fate::Gone } else { Fate::Failed(never) }, note))
        }
        "delayed" => Some((Fate::Delayed, note)),
        _ => None,
    }
}

/// The reply of the server that did not take the letter, or what its status code amounts to.
fn reply_of(said: &str, status: &str) -> Option<Reply> {
    let code: Option<u16> =
        said.get(..3).and_then(|digits| digits.parse().ok()).filter(|code| (400..600).contains(code));
    if let Some(code) = code {
        // The lines of a reply stand in one, each with its code again.
        let said = said.replace(&format!(" {code}-"), " ").replace(&format!(" {code} "), " ");
        return Some(Reply::from_lines(code, &[said], &[]));
    }
    let class: u16 = status.get(..1)?.parse().ok().filter(|class| matches!(class, 4 | 5))?;
    let code = class * 100 + 50;
    let status = status.split([' ', '(']).next().unwrap_or_default();
    Some(Reply::from_lines(code, &[format!("{code} {status} {said}")], &[]))
}

fn feedback(text: &str) -> Option<(Fate, Option<String>)> {
    let (_, kind) = fields(text).find(|(name, _)| name == "feedback-type")?;
    let kind = kind.to_ascii_lowercase();
    matches!(kind.as_str(), "abuse" | "fraud" | "other" | "virus" | "opt-out" | "opt-out-list")
        .then(|| (Fate::Complaint, Some(format!("feedback report: {kind}"))))
}

#[cfg(test)]
mod tests;
