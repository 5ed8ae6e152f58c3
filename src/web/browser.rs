//! Which browser asks: one that mail and chat programs show inside themselves, or one of its own.
//!
//! A bank's login may open in a new window. Browsers inside other programs often open none, and then the login cannot be
//! finished. Plaid's own page needs no second window, so these are led there. A guess from the `User-Agent`: wrong either
//! way, the person still gets to the bank.

use axum::http::{HeaderMap, header};

/// How programs name themselves that show web pages inside themselves.
const IN_APP: [&str; 19] = [
    "; wv)", // any Android program with a WebView
    "FBAN/", // Facebook, Messenger
    "FBAV/",
    "FB_IAB/",
    "Instagram ",
    "Line/",
    "MicroMessenger/", // WeChat
    "WhatsApp/",
    "Snapchat/",
    "Pinterest/",
    "Twitter for ",
    "LinkedInApp",
    "BytedanceWebview", // TikTok
    "musical_ly",
    "KAKAOTALK",
    "NAVER(",
    "GSA/", // Google's search program and Gmail's page view on iOS
    "YahooMobile",
    "Outlook-", // Outlook-iOS, Outlook-Android
];

/// Whether the browser looks like one inside another program.
pub(super) fn is_in_app(headers: &HeaderMap) -> bool {
    let name = headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    IN_APP.iter().any(|part| name.contains(part)) || is_bare_webkit(name)
}

/// On iOS only a browser of its own says `Safari/`; a program's web view leaves it out.
fn is_bare_webkit(name: &str) -> bool {
    let is_ios = ["iPhone;", "iPad;", "iPod"].iter().any(|device| name.contains(device));
    is_ios && name.contains("AppleWebKit/") && !name.contains("Safari/")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sees(name: &'static str) -> bool {
        is_in_app(&HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(name))]))
    }

    const IOS: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";

    #[test]
    fn browsers_inside_other_programs_are_told() {
        for name in [
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/370.0.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/450.0;FBDV/iPhone14,5]",
            "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 13; SM-S911B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36 Instagram 330.0.0",
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 Line/14.2.0",
            "Mozilla/5.0 (Linux; Android 12; M2101K6G) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.49",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Outlook-iOS/2.0",
        ] {
            assert!(sees(name), "{name}");
        }
    }

    #[test]
    fn browsers_of_their_own_are_left_as_configured() {
        for name in [
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
            "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "",
        ] {
            assert!(!sees(name), "{name}");
        }
        assert!(!is_in_app(&HeaderMap::new()));
        assert!(sees(IOS), "a web view says no more than this");
    }
}
