//! A page on its way out: status, security headers, body.
//!
//! The headers belong to the page and not to a layer, because what the policy allows follows from what the page does: only a
//! page that can open Link may name Plaid's hosts.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::words::Words;
use super::{LinkMode, View};

/// When to come back after trouble, in seconds. For programs; people are told in words.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("600");

/// What is the same for every page.
const ALWAYS: [(HeaderName, HeaderValue); 12] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
    // The address holds a token: it leaves this browser neither as a referrer nor through a cache.
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    // Who is not known is spoken to in the browser's language. The same address can be of either kind: a link ends.
    (header::VARY, HeaderValue::from_static("Accept-Language")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // The bank's own login comes as a pop-up, and has to find its way back to Link.
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin-allow-popups")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"),
    ),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow, noarchive")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
    (HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1")),
];

/// The number that marks this answer's own style and script. Never used twice.
pub struct Nonce(String);

impl Nonce {
    /// Makes one of 16 bytes that nobody can guess.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A whole answer. No `Debug`: its addresses hold tokens.
#[must_use]
pub struct Page {
    status: StatusCode,
    language: &'static str,
    policy: String,
    html: String,
}

impl Page {
    pub(super) fn new(
        view: &View<'_>,
        words: &'static Words,
        status: StatusCode,
        link: Option<&LinkMode>,
        html: String,
    ) -> Self {
        Self { status, language: words.language.tag(), policy: policy(&view.nonce, link), html }
    }

    /// What it says.
    #[must_use]
    pub fn html(&self) -> &str {
        &self.html
    }

    /// How it is answered.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::from_iter(ALWAYS);
        let policy =
            HeaderValue::try_from(self.policy).expect("made of constants, a nonce and the origins of parsed addresses");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(self.language));
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        (self.status, headers, self.html).into_response()
    }
}

/// The content security policy. With Link inside the page it is the one that Plaid's documentation gives for the web SDK,
/// with a nonce instead of `unsafe-inline` and without a default that allows everything from Plaid's host.
fn policy(nonce: &Nonce, link: Option<&LinkMode>) -> String {
    let nonce = nonce.as_str();
    let common = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";
    match link {
        None => format!("{common}; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'"),
        Some(LinkMode::Hosted { page }) => format!(
            "{common}; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; form-action 'self' {}",
            origin(page)
        ),
        Some(LinkMode::Embedded { script, api, hosted }) => {
            let (script, api, hosted) = (origin(script), origin(api), origin(hosted));
            format!(
                "{common}; script-src 'nonce-{nonce}' {script}; style-src 'nonce-{nonce}' {script}; img-src data: {script}; \
                 font-src {script}; frame-src {script}; connect-src 'self' {script} {api}; form-action 'self' {hosted}"
            )
        }
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
