//! `POST /plaid/webhook`: verify, commit, answer.
//!
//! | answer | when |
//! |---|---|
//! | 200 | the webhook is on disk. Also if it is of another environment, of an unknown Item, or no JSON: what Plaid signed is kept |
//! | 401 | the signature is missing or wrong |
//! | 413 | larger than 1 MiB |
//! | 429 | too much waits to be committed; Plaid honours `Retry-After` |
//! | 503 | the key cannot be looked up, or the disk refuses: Plaid tries again |
//!
//! The signature [`CHECK_SIGNATURE`] is `relinkd check --online`: refused as any that is not Plaid's, with a proof in a header
//! that its request came to this daemon as it was sent.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Peer, client_address};
use crate::engine::Engine;
use crate::engine::keys::Lookup;
use crate::plaid::signature::{self, Refusal, Verified};
use crate::store::{Age, Purpose, StoreError};

const SIGNATURE: &str = "plaid-verification";

/// The signature of `relinkd check --online`. It goes where Plaid's goes, so that a proxy which drops that header is found.
pub const CHECK_SIGNATURE: &str = "relinkd-check";

/// The header of the proof that is answered.
pub const CHECK_PROOF: &str = "relinkd-check-proof";

/// The longest body for which there is a proof, in bytes.
const CHECK_BYTES_MAX: usize = 4096;

/// How long Plaid is asked to wait when too much is under way.
const PATIENCE: HeaderValue = HeaderValue::from_static("10");

/// Why a webhook is not taken.
enum Answer {
    /// Nobody of Plaid's wrote it.
    Forged(Refusal),
    /// It may be Plaid's, but the key cannot be had now.
    NoKey,
}

pub(super) async fn receive(State(engine): State<Engine>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    if only_signature(&headers) == Some(CHECK_SIGNATURE) && body.len() <= CHECK_BYTES_MAX {
        let proof = engine.store.link_token(Purpose::Check, &what_is_proven(&body));
        return (StatusCode::UNAUTHORIZED, [(CHECK_PROOF, proof)]).into_response();
    }
    let from = client_address::of(peer.0.ip(), &headers, &engine.config.server.trusted_proxies);
    let received_at = engine.clock.now();
    let verified = match verify(&engine, &headers, &body, from, received_at).await {
        Ok(verified) => verified,
        Err(Answer::NoKey) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(Answer::Forged(refusal)) => {
            engine.status.signature_refused();
            tracing::debug!(reason = refusal.name(), %from, "webhook refused: {refusal}");
            return StatusCode::UNAUTHORIZED.into_response();
        }
    };
    let age = match verified.age {
        signature::Age::Fresh => Age::Fresh,
        signature::Age::Late => Age::Late,
        signature::Age::Early => Age::Early,
    };
    if age != Age::Fresh {
        warn_of_clocks(&engine);
    }
    let webhook = engine.store.seal_webhook(received_at, verified.iat, age, verified.body_sha256, &body);
    match engine.store.append_webhook(webhook).await {
        Ok(()) => {
            engine.webhook_came();
            StatusCode::OK.into_response()
        }
        Err(StoreError::Overloaded) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, PATIENCE)]).into_response()
        }
        Err(error) => {
            tracing::error!("a webhook is not committed: {error}");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// What the proof for `relinkd check --online` is about: these very bytes.
#[must_use]
pub fn what_is_proven(body: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, body))
}

async fn verify(
    engine: &Engine,
    headers: &HeaderMap,
    body: &[u8],
    from: std::net::IpAddr,
    now: jiff::Timestamp,
) -> Result<Verified, Answer> {
    let token = only_signature(headers).ok_or(Answer::Forged(Refusal::Parts))?;
    let token = signature::peek(token).map_err(Answer::Forged)?;
    let key = match engine.verification_key(token.kid(), Some(from)).await {
        Lookup::Known(key) => key,
        Lookup::Unknown => return Err(Answer::Forged(Refusal::WrongKey)),
        Lookup::Unavailable => return Err(Answer::NoKey),
    };
    signature::verify(&token, &key, body, now).map_err(Answer::Forged)
}

/// The signature, if there is exactly one.
fn only_signature(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(SIGNATURE).iter();
    let first = all.next()?;
    if all.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

/// One untimely signature is a retry; many are a clock that is wrong. Told at the 1st, 2nd, 4th, 8th ...
fn warn_of_clocks(engine: &Engine) {
    let count = engine.status.signature_untimely();
    if count.is_power_of_two() {
        tracing::warn!(
            count,
            "{count} webhooks since start had a right signature that was not made just now: is the clock right?"
        );
    }
}
