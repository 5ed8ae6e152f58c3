//! From which address a request comes: that of the connection, or what a trusted proxy says.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::config::IpRange;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The nearest address that is not a trusted proxy's. What stands further left in the header was said by somebody whom
/// nobody trusts.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpRange]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let named = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut nearest = peer;
    for hop in hops.into_iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        nearest = address;
        if !is_trusted(address) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusted() -> Vec<IpRange> {
        let range = |address, prefix| IpRange::around(ip(address), prefix).unwrap();
        vec![range("10.0.0.0", 8), range("127.0.0.1", 32)]
    }

    #[test]
    fn whoever_is_not_trusted_speaks_for_himself_only() {
        let forged = headers(&["52.21.26.131"]);
        assert_eq!(of(ip("203.0.113.9"), &forged, &trusted()), ip("203.0.113.9"));
        assert_eq!(of(ip("203.0.113.9"), &forged, &[]), ip("203.0.113.9"));
    }

    #[test]
    fn behind_proxies_the_nearest_stranger_counts() {
        let peer = ip("127.0.0.1");
        assert_eq!(of(peer, &headers(&["198.51.100.7"]), &trusted()), ip("198.51.100.7"));
        // What the stranger said before the proxies added theirs is not believed.
        assert_eq!(of(peer, &headers(&["52.21.26.131, 198.51.100.7, 10.1.2.3"]), &trusted()), ip("198.51.100.7"));
        assert_eq!(of(peer, &headers(&["52.21.26.131", "198.51.100.7"]), &trusted()), ip("198.51.100.7"));
        assert_eq!(of(peer, &headers(&["nonsense"]), &trusted()), peer);
        assert_eq!(of(peer, &headers(&[]), &trusted()), peer);
    }
}
