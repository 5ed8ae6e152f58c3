//! One of Plaid's keys for webhooks, checked once when it is loaded.
//!
//! A key that is not what it should be is found here, and not later as a flood of forged webhooks. It does not fetch or
//! cache; used by [`super::signature`], the client and whoever caches keys.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::DecodingKey;

use super::members::{Members, MembersError};

/// One coordinate of a point on P-256.
const COORDINATE_BYTES: usize = 32;

/// Why something is no key for webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a JSON object.
    #[error("the key is no JSON object")]
    NotAnObject,
    /// A member is there twice.
    #[error("the key names a member twice")]
    Duplicate,
    /// Its `kid` is not the one that was asked for.
    #[error("the key is not the one that was asked for")]
    OtherKid,
    /// Not `"kty": "EC"`.
    #[error("the key's type is not EC")]
    Type,
    /// Not `"crv": "P-256"`.
    #[error("the key's curve is not P-256")]
    Curve,
    /// Not `"use": "sig"`.
    #[error("the key is not for signatures")]
    Use,
    /// Not `"alg": "ES256"`.
    #[error("the key's algorithm is not ES256")]
    Algorithm,
    /// `x` or `y` is not 32 bytes of base64url.
    #[error("a coordinate of the key is not {COORDINATE_BYTES} bytes of base64url")]
    Coordinate,
    /// The point is not on the curve.
    #[error("the key's point is not on the curve")]
    Point,
    /// `created_at` or `expired_at` is no Unix time.
    #[error("a time of the key is no Unix time")]
    Time,
}

/// One verification key: EC, P-256, for ES256 signatures.
#[derive(Debug, Clone)]
pub struct Key {
    kid: String,
    created_at: Option<Timestamp>,
    expired_at: Option<Timestamp>,
    decoding: DecodingKey,
    json: String,
}

impl Key {
    /// Parses the `key` object of an answer of `/webhook_verification_key/get`.
    ///
    /// # Errors
    /// [`KeyError`], one for each check.
    pub fn parse(json: &str, asked_kid: &str) -> Result<Self, KeyError> {
        let members = Members::strict(json.as_bytes()).map_err(|error| match error {
            MembersError::NotAnObject => KeyError::NotAnObject,
            MembersError::Duplicate => KeyError::Duplicate,
        })?;
        let is = |name, value| members.text(name).as_deref() == Some(value);
        if !is("kid", asked_kid) {
            return Err(KeyError::OtherKid);
        }
        if !is("kty", "EC") {
            return Err(KeyError::Type);
        }
        if !is("crv", "P-256") {
            return Err(KeyError::Curve);
        }
        if !is("use", "sig") {
            return Err(KeyError::Use);
        }
        if !is("alg", "ES256") {
            return Err(KeyError::Algorithm);
        }
        Ok(Self {
            kid: asked_kid.to_owned(),
            created_at: time(&members, "created_at")?,
            expired_at: time(&members, "expired_at")?,
            decoding: point(&members)?,
            json: json.to_owned(),
        })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When Plaid made it, where Plaid says so.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    /// When it expired; nothing for a key in use. What was signed earlier stays good.
    #[must_use]
    pub fn expired_at(&self) -> Option<Timestamp> {
        self.expired_at
    }

    /// The object as it was parsed, to be kept over a restart.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

/// A Unix time that may be missing or null.
fn time(members: &Members<'_>, name: &str) -> Result<Option<Timestamp>, KeyError> {
    let Some(raw) = members.raw(name).filter(|raw| *raw != "null") else { return Ok(None) };
    let seconds = raw.parse().map_err(|_| KeyError::Time)?;
    Timestamp::from_second(seconds).map(Some).map_err(|_| KeyError::Time)
}

fn point(members: &Members<'_>) -> Result<DecodingKey, KeyError> {
    let x = members.text("x").ok_or(KeyError::Coordinate)?;
    let y = members.text("y").ok_or(KeyError::Coordinate)?;
    let mut point = vec![0x04]; // uncompressed: x, then y
    for coordinate in [&x, &y] {
        let bytes = URL_SAFE_NO_PAD.decode(coordinate.as_bytes()).map_err(|_| KeyError::Coordinate)?;
        if bytes.len() != COORDINATE_BYTES {
            return Err(KeyError::Coordinate);
        }
        point.extend(bytes);
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(|_| KeyError::Point)?;
    DecodingKey::from_ec_components(&x, &y).map_err(|_| KeyError::Coordinate)
}
