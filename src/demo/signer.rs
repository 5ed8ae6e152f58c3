//! Signs webhooks the way Plaid does: a compact JWS, ES256, over the SHA-256 of the body.
//!
//! For the demo's Plaid and for tests. Each signer has a fresh key that leaves the process only as a public one. It does
//! not verify; that is [`crate::plaid::signature`].

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The length of one coordinate of a P-256 point, in bytes.
const COORDINATE_BYTES: usize = 32;

/// A fresh P-256 key with the name that Plaid would give it.
#[derive(Debug)]
pub struct Signer {
    kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    /// A signer with a fresh key.
    ///
    /// # Panics
    /// If the machine has no randomness.
    #[must_use]
    pub fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("P-256 keys can be made");
        Self { kid: kid.to_owned(), pair }
    }

    /// The key's name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as the `key` object of `/webhook_verification_key/get`; both times in Unix seconds.
    #[must_use]
    pub fn jwk(&self, created_at: i64, expired_at: Option<i64>) -> Value {
        // An uncompressed point: one byte 0x04, then x, then y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(COORDINATE_BYTES);
        json!({
            "alg": "ES256",
            "created_at": created_at,
            "crv": "P-256",
            "expired_at": expired_at,
            "kid": self.kid,
            "kty": "EC",
            "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// The value of `Plaid-Verification` for a body, signed at `iat` (Unix seconds).
    #[must_use]
    pub fn sign(&self, body: &[u8], iat: i64) -> String {
        let header = json!({ "alg": "ES256", "kid": self.kid, "typ": "JWT" });
        let payload = json!({ "iat": iat, "request_body_sha256": sha256_hex(body) });
        self.sign_raw(&header.to_string(), &payload.to_string())
    }

    /// A token with any header and payload, right or wrong, and a right signature over them.
    ///
    /// # Panics
    /// If the machine has no randomness.
    #[must_use]
    pub fn sign_raw(&self, header_json: &str, payload_json: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header_json), URL_SAFE_NO_PAD.encode(payload_json));
        let signature = self.sign_bytes(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The 64 bytes (r, then s) of a signature over these bytes.
    ///
    /// # Panics
    /// If the machine has no randomness.
    #[must_use]
    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message).expect("the machine has randomness");
        signature.as_ref().to_vec()
    }
}

/// The SHA-256 of a body, in lower-case hex, as Plaid writes it.
#[must_use]
pub fn sha256_hex(body: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, body).as_ref() {
        write!(hex, "{byte:02x}").expect("a String takes all that is written");
    }
    hex
}
