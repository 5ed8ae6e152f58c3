//! Addresses of pages and servers as the configuration takes them: https, and http only where no wire is between.

use std::net::IpAddr;

use url::{Host, Url};

use super::section::Wrong;

/// A page or an endpoint: https, or http on loopback; no user's name, no fragment.
pub(super) fn page(text: &str) -> Result<Url, Wrong> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => {}
        "http" => return Err("has to begin with https:// (http is for loopback only)".into()),
        _ => return Err("has to begin with https://".into()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password, which do not belong here".into());
    }
    if url.fragment().is_some() {
        return Err("holds a #, which does not belong here".into());
    }
    Ok(url)
}

/// A bare origin: what [`page`] takes, without a path and a query. A slash at the end is tolerated.
pub(super) fn origin(text: &str) -> Result<Url, Wrong> {
    let url = page(text)?;
    if url.path() != "/" || url.query().is_some() {
        let bare = url.origin().ascii_serialization();
        return Err(Wrong::with_value("holds more than scheme, host and port", bare));
    }
    Ok(url)
}

/// Whether a host is this machine, by its name or number alone.
pub(super) fn is_loopback(host: &Host<impl AsRef<str>>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost" || name.as_ref().ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => IpAddr::V6(*ip).to_canonical().is_loopback(),
    }
}

/// One line of text without control characters and without space around it.
pub(super) fn line(chars_max: usize) -> impl Fn(&str) -> Result<String, Wrong> {
    move |text| {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty".into());
        }
        if text.chars().any(char::is_control) {
            return Err("holds a control character or a line break".into());
        }
        match text.chars().count() {
            count if count > chars_max => {
                Err(format!("has {count} characters; at most {chars_max} are allowed").into())
            }
            _ => Ok(text.to_owned()),
        }
    }
}

/// One of the words that a key takes.
pub(super) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, Wrong> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let allowed: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("is none of {}", allowed.join(", ")).into()
        })
    }
}
