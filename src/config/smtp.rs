//! Who sends the letters: a mail server, as `[mail] smtp_url` names it, or the application.

use url::Host;

use super::address::is_loopback;
use super::section::Wrong;
use crate::domain::compose::Channel;

/// Who sends the letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// We do, through this mail server.
    Smtp(Smtp),
    /// The application does, told by an event.
    Event,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// How the connection is kept private.
    pub security: Security,
    /// A name in A-labels, or an IP address (IPv6 without brackets).
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// Whether the server is this machine.
    pub is_loopback: bool,
}

/// How a connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// STARTTLS, and no letter without it (RFC 3207).
    StartTls,
}

impl Smtp {
    /// The server as it is written in `smtp_url`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.security {
            Security::Plain => "smtp",
            Security::Tls => "smtps",
            Security::StartTls => "smtp+starttls",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// Host and port, as programs take them.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let begins = "has to begin with smtp://, smtps:// or smtp+starttls://";
        let (scheme, rest) = text.split_once("://").ok_or(begins)?;
        let (security, default_port) = match scheme {
            "smtp" => (Security::Plain, 25),
            "smtps" => (Security::Tls, 465),
            "smtp+starttls" => (Security::StartTls, 587),
            _ => return Err(begins.into()),
        };
        if rest.contains('@') {
            let remedy =
                format!("Write: smtp_url = \"{scheme}://<host>:<port>\", username = \"…\" and password_file = \"…\".");
            return Err(Wrong::with_remedy("holds a user name or a password", remedy));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A colon inside the brackets of an IPv6 address divides nothing.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            None => default_port,
            Some(digits) => digits
                .parse::<u16>()
                .ok()
                .filter(|port| *port > 0 && digits.bytes().all(|b| b.is_ascii_digit()))
                .ok_or("has a port that is no number from 1 to 65535")?,
        };
        let host = Host::parse(host).map_err(|_| "has no valid host after ://")?;
        let is_loopback = is_loopback(&host);
        let host = match host {
            Host::Domain(name) => name,
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        Ok(Self { security, host, port, is_loopback })
    }
}

pub(super) fn delivery(text: &str) -> Result<Channel, Wrong> {
    match text {
        "smtp" => Ok(Channel::Mail),
        "event" => Ok(Channel::Event),
        _ => Err("is neither \"smtp\" nor \"event\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_the_port_of_their_kind() {
        let smtp =
            |text: &str| Smtp::parse(text).ok().map(|smtp| (smtp.security, smtp.host, smtp.port, smtp.is_loopback));
        let server = |security, host: &str, port, is_loopback| Some((security, host.to_owned(), port, is_loopback));
        assert_eq!(smtp("smtp://localhost"), server(Security::Plain, "localhost", 25, true));
        assert_eq!(smtp("smtps://Mail.Example.com/"), server(Security::Tls, "mail.example.com", 465, false));
        assert_eq!(
            smtp("smtp+starttls://mail.example.com"),
            server(Security::StartTls, "mail.example.com", 587, false)
        );
        assert_eq!(smtp("smtp://127.0.0.1:1025"), server(Security::Plain, "127.0.0.1", 1025, true));
        assert_eq!(smtp("smtp://[::1]:1025"), server(Security::Plain, "::1", 1025, true));
        assert_eq!(smtp("smtps://[::1]"), server(Security::Tls, "::1", 465, true));
    }
}
