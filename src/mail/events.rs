//! What mail services tell by webhook: Postmark, Mailgun, Resend. Each proves itself in its own way, and only then is read.
//!
//! Pure: the moment is an argument. Called by `web`, which has the request, and by `engine`.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::reply::{About, Never, Reply};
use super::report::{Fate, letter_in};
use crate::domain::contact::EmailAddress;
use crate::domain::ids::LetterId;

/// How far the time of a signature of Resend's may be off, as Svix's own libraries have it.
const SVIX_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// How old a signature of Mailgun's may be: Mailgun tries again for eight hours. Its token counts once meanwhile.
const MAILGUN_AGE_MAX: SignedDuration = SignedDuration::from_hours(12);

/// How far ahead Mailgun's clock may be.
const MAILGUN_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// A mail service that tells by webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// <https://postmarkapp.com>
    Postmark,
    /// <https://www.mailgun.com>
    Mailgun,
    /// <https://resend.com>
    Resend,
}

impl Service {
    /// The service of a name, as it stands in the path.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "postmark" => Some(Self::Postmark),
            "mailgun" => Some(Self::Mailgun),
            "resend" => Some(Self::Resend),
            _ => None,
        }
    }
}

/// A request, as far as it matters here.
pub struct Request<'a> {
    /// The value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The body as it came.
    pub body: &'a [u8],
}

/// What a service tells about one letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailEvent {
    /// The service's name for it, where it has one.
    pub id: Option<String>,
    /// Which letter, where it says so.
    pub letter: Option<LetterId>,
    /// To which address.
    pub address: Option<EmailAddress>,
    /// What became of it.
    pub fate: Fate,
    /// What was said, with addresses masked.
    pub note: Option<String>,
}

/// A request that was proven.
#[derive(Debug, PartialEq, Eq)]
pub enum Proven {
    /// It tells something.
    Told(MailEvent),
    /// It tells what we do not care for, or cannot read.
    Nothing,
}

/// Reads a request of a service, if it proves that it comes from there.
#[must_use]
pub fn read(service: Service, secret: &SecretString, request: &Request<'_>, now: Timestamp) -> Option<Proven> {
    let told = match service {
        Service::Postmark => {
            is_postmark(secret, request).then(|| serde_json::from_slice(request.body).ok().and_then(postmark))?
        }
        Service::Mailgun => {
            let body: Mailgun = serde_json::from_slice(request.body).ok()?;
            is_mailgun(secret, &body.signature, now).then(|| mailgun(body))?
        }
        Service::Resend => {
            let id = svix(secret, request, now)?;
            serde_json::from_slice(request.body).ok().and_then(|body| resend(id, body))
        }
    };
    Some(told.map_or(Proven::Nothing, Proven::Told))
}

/// Postmark signs nothing: it shows the user name and password of the address that it was given (RFC 7617).
fn is_postmark(secret: &SecretString, request: &Request<'_>) -> bool {
    let given = (request.header)("authorization").unwrap_or_default();
    let Some((scheme, given)) = given.split_once(' ') else { return false };
    let Ok(given) = BASE64.decode(given.trim()) else { return false };
    scheme.eq_ignore_ascii_case("basic") && is_same(&given, secret.expose_secret().as_bytes())
}

/// Compares without telling by the time it takes how much is right; the length is no secret here.
fn is_same(given: &[u8], expected: &[u8]) -> bool {
    verify_slices_are_equal(given, expected).is_ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Postmark {
    record_type: String,
    #[serde(rename = "ID")]
    id: Option<u64>,
    #[serde(rename = "Type")]
    kind: Option<String>,
    #[serde(alias = "Recipient")]
    email: Option<String>,
    details: Option<String>,
    // Of a SubscriptionChange, which has neither an id nor a type.
    origin: Option<String>,
    suppress_sending: Option<bool>,
    suppression_reason: Option<String>,
}

fn postmark(body: Postmark) -> Option<MailEvent> {
    let is_change = body.record_type == "SubscriptionChange";
    // What follows from a bounce or a complaint is told as such, too; and whom we suppress, we let go by our own list.
    if is_change && !(body.suppress_sending? && body.suppression_reason? == "ManualSuppression") {
        return None;
    }
    let kind = if is_change { body.origin } else { body.kind }.unwrap_or_default();
    let fate = match (body.record_type.as_str(), kind.as_str()) {
        ("SpamComplaint", _) | ("Bounce", "SpamComplaint" | "Unsubscribe") | ("SubscriptionChange", "Recipient") => {
            Fate::Complaint
        }
        // Somebody of ours switched it off at Postmark.
        ("SubscriptionChange", _) | ("Bounce", "ManuallyDeactivated") => Fate::Barred,
        ("Bounce", "HardBounce" | "BadEmailAddress") => Fate::Gone,
        ("Bounce", "Blocked" | "SpamNotification") => Fate::Failed(Never::Policy),
        ("Bounce", "DMARCPolicy") => Fate::Failed(Never::Sender),
        ("Bounce", "Transient" | "DnsError" | "SoftBounce") => Fate::Delayed,
        ("Bounce", "Unknown" | "AddressChange" | "VirusNotification") => Fate::Failed(Never::Other),
        // Autoresponders and the like.
        (_, _) => return None,
    };
    let note = note(&format!("{kind}: {}", body.details.unwrap_or_default()));
    // Postmark gives each letter a Message-ID of its own, so the address has to do.
    // A change has no id. Told again it changes nothing: its address takes no letters already.
    let id = if is_change { None } else { Some(format!("{}/{}", body.record_type, body.id?)) };
    Some(MailEvent { id, letter: None, address: address(body.email.as_deref()), fate, note })
}

#[derive(Deserialize)]
struct Mailgun {
    signature: MailgunSignature,
    #[serde(rename = "event-data")]
    event: Option<MailgunEvent>,
}

#[derive(Deserialize)]
struct MailgunSignature {
    timestamp: TextOrNumber,
    token: String,
    signature: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MailgunEvent {
    event: String,
    severity: Option<String>,
    reason: Option<String>,
    recipient: Option<String>,
    delivery_status: Option<MailgunStatus>,
    message: Option<MailgunMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MailgunStatus {
    code: Option<serde_json::Value>,
    message: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct MailgunMessage {
    headers: Option<MailgunHeaders>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MailgunHeaders {
    message_id: Option<String>,
}

/// Mailgun signs a time and a token, not the body: the token has to count once, or an old signature would carry a new body.
fn is_mailgun(secret: &SecretString, signature: &MailgunSignature, now: Timestamp) -> bool {
    let at = match &signature.timestamp {
        TextOrNumber::Text(text) => text.clone(),
        TextOrNumber::Number(number) => number.to_string(),
    };
    let Some(moment) = at.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()) else { return false };
    let age = now.duration_since(moment);
    let is_timely = age <= MAILGUN_AGE_MAX && -age <= MAILGUN_AHEAD_MAX;
    let key = hmac::Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
    let expected = hex(hmac::sign(&key, format!("{at}{}", signature.token).as_bytes()).as_ref());
    is_same(signature.signature.as_bytes(), expected.as_bytes()) && is_timely && !signature.token.is_empty()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mailgun(body: Mailgun) -> Option<MailEvent> {
    let event = body.event?;
    let status = event.delivery_status.as_ref();
    let said = status
        .and_then(|status| status.message.as_deref().filter(|said| !said.is_empty()))
        .or_else(|| status.and_then(|status| status.description.as_deref()))
        .unwrap_or_default();
    let code = status.and_then(|status| status.code.as_ref()?.as_u64()).and_then(|code| u16::try_from(code).ok());
    let fate = match (event.event.as_str(), event.severity.as_deref(), event.reason.as_deref()) {
        ("complained" | "unsubscribed", _, _) | ("failed", _, Some("suppress-complaint" | "suppress-unsubscribe")) => {
            Fate::Complaint
        }
        ("failed", _, Some("suppress-bounce")) => Fate::Gone,
        ("failed", Some("permanent"), _) => failed(code.unwrap_or(550), said),
        ("failed", _, _) => Fate::Delayed,
        (_, _, _) => return None,
    };
    let id = event.message.and_then(|message| message.headers?.message_id);
    Some(MailEvent {
        id: Some(body.signature.token),
        letter: id.as_deref().and_then(letter_in),
        address: address(event.recipient.as_deref()),
        fate,
        note: note(said),
    })
}

/// What a refusal that a service passes on means.
fn failed(code: u16, said: &str) -> Fate {
    let code = if (500..600).contains(&code) { code } else { 550 };
    let line = if said.starts_with(&code.to_string()) { said.to_owned() } else { format!("{code} {said}") };
    match Reply::from_lines(code, &[line], &[]).never(About::Recipient) {
        Never::RecipientGone => Fate::Gone,
        never @ (Never::MailboxFull | Never::RateLimited | Never::Policy | Never::Sender | Never::Other) => {
            Fate::Failed(never)
        }
    }
}

/// The id of a request of Resend's, which signs as Svix does: HMAC over id, time and body.
fn svix(secret: &SecretString, request: &Request<'_>, now: Timestamp) -> Option<String> {
    let header = |name: &str| (request.header)(name);
    let (id, at, signatures) = (header("svix-id")?, header("svix-timestamp")?, header("svix-signature")?);
    let moment = Timestamp::from_second(at.parse().ok()?).ok()?;
    if now.duration_since(moment).abs() > SVIX_TOLERANCE {
        return None;
    }
    let secret = secret.expose_secret();
    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
    let signed = [format!("{id}.{at}.").as_bytes(), request.body].concat();
    let expected = BASE64.encode(hmac::sign(&hmac::Key::new(HMAC_SHA256, &key), &signed));
    let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
    given.fold(false, |found, given| found | is_same(given.as_bytes(), expected.as_bytes())).then_some(id)
}

#[derive(Deserialize)]
struct Resend {
    #[serde(rename = "type")]
    kind: String,
    data: ResendLetter,
}

#[derive(Deserialize)]
struct ResendLetter {
    #[serde(default)]
    to: Vec<String>,
    message_id: Option<String>,
    bounce: Option<ResendBounce>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResendBounce {
    #[serde(rename = "type")]
    kind: Option<String>,
    sub_type: Option<String>,
    message: Option<String>,
}

fn resend(id: String, body: Resend) -> Option<MailEvent> {
    let bounce = body.data.bounce.as_ref();
    let kind = bounce.and_then(|bounce| bounce.kind.as_deref());
    let sub_type = bounce.and_then(|bounce| bounce.sub_type.as_deref());
    let fate = match (body.kind.as_str(), kind, sub_type) {
        ("email.complained", _, _) => Fate::Complaint,
        ("email.suppressed", _, _)
        | (
            "email.bounced",
            Some("Permanent"),
            Some("General" | "NoEmail" | "Suppressed" | "OnAccountSuppressionList"),
        ) => Fate::Gone,
        ("email.bounced", Some("Permanent"), _) | ("email.failed", _, _) => Fate::Failed(Never::Other),
        ("email.bounced" | "email.delivery_delayed", _, _) => Fate::Delayed,
        (_, _, _) => return None,
    };
    let said = bounce.and_then(|bounce| bounce.message.as_deref()).unwrap_or_default();
    let to = body.data.to.first().map(String::as_str);
    let letter = body.data.message_id.as_deref().and_then(letter_in);
    Some(MailEvent { id: Some(id), letter, address: address(to), fate, note: note(said) })
}

/// A bare address, or the one between angle brackets.
fn address(text: Option<&str>) -> Option<EmailAddress> {
    let text = text?.trim();
    let bare = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    EmailAddress::parse(bare).ok()
}

/// What was said, bounded and masked as a reply is.
fn note(said: &str) -> Option<String> {
    let text = Reply::from_lines(550, &[format!("550 {said}")], &[]);
    let shown = match text.enhanced {
        Some((class, subject, detail)) => format!("{class}.{subject}.{detail} {}", text.text),
        None => text.text,
    };
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests;
