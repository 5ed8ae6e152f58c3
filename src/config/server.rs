//! `[server]`: where requests come in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use url::Url;

use super::address::origin;
use super::section::{Section, Wrong};

/// Where the control socket is, if nothing is said and its folder is there: systemd makes it (`RuntimeDirectory=`).
const CONTROL_SOCKET: &str = "/run/relinkd/control.sock";

/// The longest path of a Unix socket, in bytes: Linux has 108 for it, the last a NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where requests come in.
#[derive(Clone, Debug)]
pub struct Server {
    /// The origin of all links in letters and of the webhook, as the outside sees it.
    pub public_url: Url,
    /// Where Plaid and users are heard.
    pub public_listen: SocketAddr,
    /// Where the API and the dashboard are heard.
    pub private_listen: SocketAddr,
    /// The Unix socket for the commands, if the operator chose one.
    pub control_socket: Option<PathBuf>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpRange>,
}

/// The addresses that share a prefix, such as `10.0.0.0/8`; or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    first: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// The range of a prefix in which an address lies; nothing if the prefix is longer than an address.
    #[must_use]
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        first_of(address, prefix).map(|first| Self { first, prefix })
    }

    /// Whether the address lies in the range. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        first_of(address.to_canonical(), self.prefix) == Some(self.first)
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "is no IP address, and no range such as 10.0.0.0/8")?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits && digits.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| format!("has a prefix that is no number from 0 to {bits}"))?,
        };
        let first = first_of(address, prefix).expect("the prefix was checked");
        if first != address {
            let remedy = format!("Write: {first}/{prefix}, or {address} for that one.");
            return Err(Wrong::with_remedy("has bits set beyond its prefix", remedy));
        }
        if address.to_canonical() != address {
            return Err("is an IPv4 address written as IPv6; write the IPv4 address".into());
        }
        Ok(Self { first, prefix })
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The first address of the range of this prefix in which `address` lies; nothing if the prefix is longer than an
/// address.
fn first_of(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(ip) => {
            let rest = 32_u32.checked_sub(prefix.into())?;
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            Some(IpAddr::V4((u32::from(ip) & mask).into()))
        }
        IpAddr::V6(ip) => {
            let rest = 128_u32.checked_sub(prefix.into())?;
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            Some(IpAddr::V6((u128::from(ip) & mask).into()))
        }
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Server> {
    let public_url = section.required("public_url", origin);
    let public_listen = section.optional("public_listen", listen).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8080)));
    let private_listen = section.optional("private_listen", listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8081)));
    let control_socket = control_socket(section);
    let trusted_proxies = section.list("trusted_proxies", IpRange::parse).unwrap_or_default();
    if overlap(public_listen, private_listen) {
        let problem = format!("listens where public_listen does ({public_listen})");
        section.fault("private_listen", problem);
    }
    Some(Server { public_url: public_url?, public_listen, private_listen, control_socket, trusted_proxies })
}

/// The control socket, if the operator chose one. A relative path is read from the folder of the configuration file.
pub(super) fn control_socket(section: &mut Section<'_, '_>) -> Option<PathBuf> {
    let base = section.beside_file("");
    section.optional("control_socket", |text| socket(&base, text))
}

/// The control socket where the operator chose none: in the folder that systemd makes, else beside the store.
pub(super) fn default_control_socket(store: &Path) -> PathBuf {
    let usual = Path::new(CONTROL_SOCKET);
    if usual.parent().is_some_and(Path::is_dir) { usual.to_owned() } else { store.with_file_name("control.sock") }
}

fn socket(base: &Path, text: &str) -> Result<PathBuf, Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.contains('\0') {
        return Err("holds a NUL, which no path can".into());
    }
    if text.ends_with('/') {
        return Err("names a folder, not a file".into());
    }
    let path = base.join(text);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(Wrong::from(format!(
            "is longer than the {SOCKET_PATH_BYTES_MAX} bytes that a socket's path can have"
        )));
    }
    Ok(path)
}

fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| "is no IP address with a port, such as 127.0.0.1:8081 or [::1]:8081".into())
}

/// Whether the second listener could not be opened beside the first. Port 0 means "any that is free".
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_shares_its_prefix() {
        let range = |text: &str| IpRange::parse(text).ok().expect("a range");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(range("10.0.0.0/8").contains(ip("10.255.1.2")));
        assert!(range("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
        assert!(!range("10.0.0.0/8").contains(ip("11.0.0.0")));
        assert!(range("127.0.0.1").contains(ip("127.0.0.1")));
        assert!(!range("127.0.0.1").contains(ip("127.0.0.2")));
        assert!(range("0.0.0.0/0").contains(ip("203.0.113.9")));
        assert!(!range("0.0.0.0/0").contains(ip("::1")));
        assert!(range("2001:db8::/32").contains(ip("2001:db8:1::1")));
        assert!(!range("2001:db8::/32").contains(ip("2001:db9::")));
        assert!(!range("2001:db8::/64").contains(ip("127.0.0.1")));
    }
}
