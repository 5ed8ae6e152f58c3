//! Whether a webhook is Plaid's: the header `Plaid-Verification`, checked over the raw bytes of the body.
//!
//! Pure: no I/O, no clock. Fetching and caching keys is the engine's work, and answering is that of `web`. The order is
//! Plaid's own (webhook verification page): algorithm, key by its id, signature, time, hash of the body. [`peek`] makes
//! all the refusals that cost nothing, so that a flood of rubbish never reaches the curve; [`verify`] does the rest.
//! An old or early signature is no refusal: it comes back as [`Age`], and the caller decides (design: the body is then not
//! applied, and the Item is asked about).

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;

pub use super::key::{Key, KeyError};
use super::members::{Members, MembersError};

/// The longest value of `Plaid-Verification` that is looked at, in bytes. Plaid's have about 400.
pub const TOKEN_BYTES_MAX: usize = 2048;

/// The longest key id that is looked up, in bytes. Plaid's are UUIDs, which nothing promises.
pub const KID_BYTES_MAX: usize = 128;

/// A signature older than this is [`Age::Late`]. Plaid's own limit.
pub const AGE_MAX: SignedDuration = SignedDuration::from_secs(300);

/// A signature further ahead than this is [`Age::Early`]. Plaid documents no limit; this allows for clocks.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(60);

/// An ES256 signature: two numbers of 32 bytes.
const SIGNATURE_BYTES: usize = 64;

/// SHA-256.
const HASH_BYTES: usize = 32;

/// Header members that bring a key along or say where to get one: the key comes from Plaid's API and from nowhere else.
const FOREIGN_KEYS: [&str; 4] = ["jku", "jwk", "x5u", "x5c"];

/// Why a webhook is not taken for Plaid's. Holds nothing of the token.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Above [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Not `header.payload.signature`.
    #[error("the token has not exactly three parts")]
    Parts,
    /// The header is no canonical base64url without padding.
    #[error("the token's header is no base64url")]
    HeaderEncoding,
    /// The header is no JSON object.
    #[error("the token's header is no JSON object")]
    HeaderJson,
    /// The header names something twice: which one counts would depend on the reader.
    #[error("the token's header names a member twice")]
    HeaderDuplicate,
    /// Anything but ES256.
    #[error("the token's algorithm is not ES256")]
    Algorithm,
    /// RFC 7515, section 4.1.11: who does not understand an extension marked critical has to refuse.
    #[error("the token asks for an extension")]
    Critical,
    /// `jku`, `jwk`, `x5u` or `x5c`.
    #[error("the token brings a key along")]
    ForeignKey,
    /// No key id, or one that is no text.
    #[error("the token names no key")]
    KidMissing,
    /// An empty key id.
    #[error("the token's key id is empty")]
    KidEmpty,
    /// Above [`KID_BYTES_MAX`].
    #[error("the token's key id is longer than {KID_BYTES_MAX} bytes")]
    KidTooLong,
    /// A space, a control character or anything beyond ASCII.
    #[error("the token's key id holds a character that no key id has")]
    KidCharacter,
    /// The payload is no canonical base64url without padding.
    #[error("the token's payload is no base64url")]
    PayloadEncoding,
    /// There is no payload.
    #[error("the token's payload is empty")]
    PayloadEmpty,
    /// The signature is no canonical base64url without padding.
    #[error("the token's signature is no base64url")]
    SignatureEncoding,
    /// The signature has not the 64 bytes of ES256.
    #[error("the token's signature has not {SIGNATURE_BYTES} bytes")]
    SignatureLength,
    /// The caller brought a key of another name.
    #[error("the key is not the one that the token names")]
    WrongKey,
    /// The signature does not fit.
    #[error("the signature is wrong")]
    Forged,
    /// The payload is no JSON object.
    #[error("the token's payload is no JSON object")]
    PayloadJson,
    /// The payload names something twice.
    #[error("the token's payload names a member twice")]
    PayloadDuplicate,
    /// No `iat`.
    #[error("the token has no time")]
    IatMissing,
    /// `iat` is no JSON integer.
    #[error("the token's time is no integer")]
    IatNotInteger,
    /// `iat` lies outside of the calendar.
    #[error("the token's time is no date")]
    IatOutOfRange,
    /// The key had expired when the token was signed.
    #[error("the key had expired when the token was signed")]
    KeyExpired,
    /// No `request_body_sha256`, or one that is no text.
    #[error("the token has no hash of the body")]
    HashMissing,
    /// `request_body_sha256` is not 64 hex digits.
    #[error("the token's hash of the body is no SHA-256 in hex")]
    HashForm,
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed")]
    BodyChanged,
}

impl Refusal {
    /// Every refusal, in the order of the checks.
    pub const ALL: [Self; 27] = [
        Self::TooLong,
        Self::Parts,
        Self::HeaderEncoding,
        Self::HeaderJson,
        Self::HeaderDuplicate,
        Self::Algorithm,
        Self::Critical,
        Self::ForeignKey,
        Self::KidMissing,
        Self::KidEmpty,
        Self::KidTooLong,
        Self::KidCharacter,
        Self::PayloadEncoding,
        Self::PayloadEmpty,
        Self::SignatureEncoding,
        Self::SignatureLength,
        Self::WrongKey,
        Self::Forged,
        Self::PayloadJson,
        Self::PayloadDuplicate,
        Self::IatMissing,
        Self::IatNotInteger,
        Self::IatOutOfRange,
        Self::KeyExpired,
        Self::HashMissing,
        Self::HashForm,
        Self::BodyChanged,
    ];

    /// The name that the metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Parts => "parts",
            Self::HeaderEncoding => "header_encoding",
            Self::HeaderJson => "header_json",
            Self::HeaderDuplicate => "header_duplicate",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::ForeignKey => "foreign_key",
            Self::KidMissing => "kid_missing",
            Self::KidEmpty => "kid_empty",
            Self::KidTooLong => "kid_too_long",
            Self::KidCharacter => "kid_character",
            Self::PayloadEncoding => "payload_encoding",
            Self::PayloadEmpty => "payload_empty",
            Self::SignatureEncoding => "signature_encoding",
            Self::SignatureLength => "signature_length",
            Self::WrongKey => "wrong_key",
            Self::Forged => "forged",
            Self::PayloadJson => "payload_json",
            Self::PayloadDuplicate => "payload_duplicate",
            Self::IatMissing => "iat_missing",
            Self::IatNotInteger => "iat_not_integer",
            Self::IatOutOfRange => "iat_out_of_range",
            Self::KeyExpired => "key_expired",
            Self::HashMissing => "hash_missing",
            Self::HashForm => "hash_form",
            Self::BodyChanged => "body_changed",
        }
    }
}

/// A token that looks right and has not been verified. Nothing in it may be believed.
#[must_use]
pub struct Token<'a> {
    /// Header and payload as they came: what the signature covers.
    signed: &'a str,
    /// The signature in base64url.
    signature: &'a str,
    /// The payload, decoded and unread.
    payload: Vec<u8>,
    kid: String,
}

impl Token<'_> {
    /// The id of the key that the token says it was signed with: 1 to [`KID_BYTES_MAX`] visible ASCII characters.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// How old a right signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Signed within [`AGE_MAX`] before now and [`AHEAD_MAX`] after.
    Fresh,
    /// Signed longer ago. A replay, a late retry, or a clock that is wrong.
    Late,
    /// Signed in the future: a clock is wrong.
    Early,
}

/// A webhook that Plaid signed.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When it was signed, in whole seconds.
    pub iat: Timestamp,
    /// The SHA-256 of the body.
    pub body_sha256: [u8; HASH_BYTES],
    /// Whether `iat` is near enough to now for the body to be applied.
    pub age: Age,
}

/// Makes the refusals that need neither a key nor the curve.
///
/// # Errors
/// [`Refusal`], one for each check.
pub fn peek(header: &str) -> Result<Token<'_>, Refusal> {
    if header.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let (signed, signature) = header.rsplit_once('.').ok_or(Refusal::Parts)?;
    let (jose, payload) = signed.split_once('.').ok_or(Refusal::Parts)?;
    if payload.contains('.') {
        return Err(Refusal::Parts);
    }
    let jose = URL_SAFE_NO_PAD.decode(jose).map_err(|_| Refusal::HeaderEncoding)?;
    let kid = read_header(&jose)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refusal::PayloadEncoding)?;
    if payload.is_empty() {
        return Err(Refusal::PayloadEmpty);
    }
    let signature_bytes = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::SignatureEncoding)?;
    if signature_bytes.len() != SIGNATURE_BYTES {
        return Err(Refusal::SignatureLength);
    }
    Ok(Token { signed, signature, payload, kid })
}

/// Verifies a token against the key that it names and the body as it was received.
///
/// # Errors
/// [`Refusal`], one for each check. An age beyond the limits is none: see [`Verified::age`].
pub fn verify(token: &Token<'_>, key: &Key, body: &[u8], now: Timestamp) -> Result<Verified, Refusal> {
    if token.kid != key.kid() {
        return Err(Refusal::WrongKey);
    }
    // The bare verification: the crate's `decode` would read header and payload twice more, and demand an `exp`.
    let fits = jsonwebtoken::crypto::verify(token.signature, token.signed.as_bytes(), key.decoding(), Algorithm::ES256);
    if !fits.unwrap_or(false) {
        return Err(Refusal::Forged);
    }
    let claims = Members::strict(&token.payload).map_err(|error| match error {
        MembersError::NotAnObject => Refusal::PayloadJson,
        MembersError::Duplicate => Refusal::PayloadDuplicate,
    })?;
    let iat = read_iat(&claims)?;
    if key.expired_at().is_some_and(|expired_at| iat >= expired_at) {
        return Err(Refusal::KeyExpired);
    }
    let claimed = claims.text("request_body_sha256").ok_or(Refusal::HashMissing)?;
    let claimed = hash_from_hex(&claimed).ok_or(Refusal::HashForm)?;
    let mut body_sha256 = [0; HASH_BYTES];
    body_sha256.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    verify_slices_are_equal(&claimed, &body_sha256).map_err(|_| Refusal::BodyChanged)?;
    Ok(Verified { iat, body_sha256, age: age(iat, now) })
}

/// Checks the header; the answer is the key id.
fn read_header(jose: &[u8]) -> Result<String, Refusal> {
    let members = Members::strict(jose).map_err(|error| match error {
        MembersError::NotAnObject => Refusal::HeaderJson,
        MembersError::Duplicate => Refusal::HeaderDuplicate,
    })?;
    if members.text("alg").as_deref() != Some("ES256") {
        return Err(Refusal::Algorithm);
    }
    if members.has("crit") {
        return Err(Refusal::Critical);
    }
    if FOREIGN_KEYS.iter().any(|name| members.has(name)) {
        return Err(Refusal::ForeignKey);
    }
    let kid = members.text("kid").ok_or(Refusal::KidMissing)?;
    if kid.is_empty() {
        return Err(Refusal::KidEmpty);
    }
    if kid.len() > KID_BYTES_MAX {
        return Err(Refusal::KidTooLong);
    }
    if !kid.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::KidCharacter);
    }
    Ok(Cow::into_owned(kid))
}

/// `iat`: Unix seconds as a JSON integer, so neither `1.0`, `1e9` nor `"1"`.
fn read_iat(claims: &Members<'_>) -> Result<Timestamp, Refusal> {
    let raw = claims.raw("iat").ok_or(Refusal::IatMissing)?;
    let seconds: i64 = raw.parse().map_err(|_| Refusal::IatNotInteger)?;
    Timestamp::from_second(seconds).map_err(|_| Refusal::IatOutOfRange)
}

fn hash_from_hex(hex: &str) -> Option<[u8; HASH_BYTES]> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let mut hash = [0; HASH_BYTES];
    if pairs.len() != HASH_BYTES {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(hash)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn age(iat: Timestamp, now: Timestamp) -> Age {
    let age = now.duration_since(iat);
    if age > AGE_MAX {
        Age::Late
    } else if age < -AHEAD_MAX {
        Age::Early
    } else {
        Age::Fresh
    }
}
