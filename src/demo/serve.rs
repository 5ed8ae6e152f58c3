//! Serves the demo's pages on loopback, and stops when told to.
//!
//! The one place of the demo that knows how a listener is run and which headers its pages carry. It is for the fake Plaid
//! and for the mailbox only: the daemon's own listeners have limits that are not needed here.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may take until its first request is there.
const FIRST_REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long requests in flight may go on after the stop.
const STOP_GRACE: Duration = Duration::from_millis(300);

/// Takes a loopback port; port 0 takes any that is free.
///
/// # Errors
/// If the address is not loopback, or is taken.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let why = format!("the demo listens on loopback only, not on {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    TcpListener::bind(address)
}

/// Serves a router on a listener until `stop`; the tracker waits for it.
///
/// # Errors
/// If the listener cannot be given to the runtime.
pub fn serve(listener: TcpListener, router: Router, tracker: &TaskTracker, stop: CancellationToken) -> io::Result<()> {
    let handle = Handle::new();
    let router = router.layer(middleware::from_fn(only_by_address));
    let server = axum_server::from_tcp(listener)?
        .handle(handle.clone())
        .first_request_timeout(FIRST_REQUEST_LIMIT)
        .serve(router.into_make_service());
    tracker.spawn(server);
    tracker.spawn(async move {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(STOP_GRACE));
    });
    Ok(())
}

/// Refuses requests by a name that is not this machine's: a foreign web page could otherwise point its own name at
/// 127.0.0.1 and read the demo through the browser.
async fn only_by_address(request: Request, next: Next) -> Response {
    if is_own_host(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "the demo answers to 127.0.0.1 and localhost only\n").into_response()
    }
}

fn is_own_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

/// What a page may load and who may frame it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Nobody may show it inside another page.
    Never,
    /// Any page may: Link stands inside the application's page.
    Anywhere,
}

/// A page of the demo: HTML that loads nothing but the demo's own script and style.
#[must_use]
pub fn page(html: &'static str, frames: Frames, style: &'static str) -> Response {
    let ancestors = match frames {
        Frames::Never => "'none'",
        Frames::Anywhere => "*",
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src {style}; connect-src 'self'; img-src 'self' data:; \
         frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, html).into_response()
}

/// A script, a style or a picture that belongs to a page.
#[must_use]
pub fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

/// The media type of scripts.
pub const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The media type of styles.
pub const STYLE: &str = "text/css; charset=utf-8";

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_loopback_is_bound() {
        assert!(bind("0.0.0.0:0".parse().unwrap()).is_err());
        assert!(bind("127.0.0.1:0".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_foreign_name_is_refused() {
        let own = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            is_own_host(&headers)
        };
        for host in ["127.0.0.1:8080", "127.0.0.1", "localhost:1", "[::1]:80"] {
            assert!(own(host), "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:80", ""] {
            assert!(!own(host), "{host}");
        }
        assert!(!is_own_host(&HeaderMap::new()));
    }
}
