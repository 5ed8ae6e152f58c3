//! `[mail]`: who writes, and which mail server takes the letters.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::SecretString;
use url::Host;

use super::address::{is_loopback, line};
use super::app::language;
use super::plaid::Environment;
use super::section::{Section, Wrong};
use crate::domain::colour::{Colour, SHAPE_CONTRAST, TEXT_CONTRAST};
use crate::domain::contact::EmailAddress;
use crate::domain::language::Language;
use crate::domain::logo::{LOGO_BYTES_MAX, Logo};
use crate::domain::provider::{Cap, Caps};

/// The longest display name of a sender, in characters.
const NAME_CHARS_MAX: usize = 100;

/// The longest postal address, in characters: it is one line at the foot of a letter.
const POSTAL_ADDRESS_CHARS_MAX: usize = 200;

/// Who writes, and which mail server takes the letters.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The sender.
    pub from: Mailbox,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// The mail server.
    pub smtp: Smtp,
    /// How to log in there, if that is needed.
    pub login: Option<Login>,
    /// Only to addresses that match one of these a letter is sent; to all, if there are none.
    pub only_to: Vec<AddressPattern>,
    /// Where reports of failed delivery go, each with its letter's id; to the sender's address, if nothing is said.
    pub return_path: Option<EmailAddress>,
    /// How mail services that tell by webhook prove themselves.
    pub events: Events,
    /// How many letters a day mailbox providers get at most.
    pub daily_caps: Caps,
    /// A line for the foot of a letter.
    pub postal_address: Option<String>,
    /// The languages that are spoken to users; never empty.
    pub languages: Vec<Language>,
    /// The colour of a letter's button, if it was chosen.
    pub colour: Option<Colour>,
    /// The picture above a letter.
    pub logo: Option<Logo>,
    /// The folder with the operator's own templates.
    pub templates_dir: Option<PathBuf>,
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
}

impl Mail {
    /// Whether a letter to this address may be sent; otherwise it is written down only.
    #[must_use]
    pub fn may_send_to(&self, address: &EmailAddress) -> bool {
        self.only_to.is_empty() || self.only_to.iter().any(|pattern| pattern.matches(address))
    }
}

/// How mail services that tell by webhook prove themselves; nothing for those that are not used.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// `user:password`, as they stand in the address that Postmark was given.
    pub postmark: Option<SecretString>,
    /// Mailgun's webhook signing key.
    pub mailgun: Option<SecretString>,
    /// Resend's signing secret, `whsec_…`.
    pub resend: Option<SecretString>,
}

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// One line without control characters.
    pub name: Option<String>,
    /// The address.
    pub address: EmailAddress,
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

/// How to log in to a mail server. Both parts are secret: some providers give one token for both.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub username: SecretString,
    /// The password.
    pub password: SecretString,
}

/// A pattern for addresses: an exact one, `@domain`, or one with `*` for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPattern(String);

impl AddressPattern {
    /// Whether the address matches. Case does not matter.
    #[must_use]
    pub fn matches(&self, address: &EmailAddress) -> bool {
        let address = address.for_lookup();
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(last) = pieces.next_back() else { return self.0 == address };
        let Some(mut rest) = address.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
        // Each piece at its first place: what an earlier place leaves for the others is never less.
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let problem = "is no address, no \"@domain\" and no pattern such as \"*@example.com\"";
        let (local, domain) = text.split_once('@').ok_or(problem)?;
        let local = if local.is_empty() { "*" } else { local };
        // With a letter for each star what is no address is no pattern either.
        let sample = format!("{local}@{domain}").replace('*', "x");
        let sample = if domain.contains('.') { sample } else { sample.replace("@x", "@x.x") };
        let address = EmailAddress::parse(&sample).map_err(|_| problem)?;
        let domain = if domain.contains('*') { domain } else { address.domain() };
        if !domain.is_ascii() {
            return Err("mixes * and letters beyond ASCII in its domain; write the domain in A-labels (xn--…)".into());
        }
        Ok(Self(format!("{local}@{domain}").to_ascii_lowercase()))
    }
}

pub(super) fn read(
    section: &mut Section<'_, '_>,
    environment: Option<Environment>,
    fallback: Option<Language>,
) -> Option<Mail> {
    let from = section.required("from", Mailbox::parse);
    let reply_to = section.optional("reply_to", Mailbox::parse);
    let smtp = section.required("smtp_url", Smtp::parse);
    let login = read_login(section);
    let only_to = section.list("only_to", AddressPattern::parse);
    let return_path = section.optional("return_path", EmailAddress::parse);
    let events = Events {
        postmark: section.optional_secret("postmark_login", postmark_login),
        mailgun: section.optional_secret("mailgun_signing_key", secret),
        resend: section.optional_secret("resend_signing_secret", resend_secret),
    };
    let daily_caps = section.list("daily_caps", cap).map(Caps::new).unwrap_or_default();
    let postal_address = section.optional("postal_address", line(POSTAL_ADDRESS_CHARS_MAX));
    let languages = read_languages(section, fallback);
    let colour = section.optional("colour", colour);
    let path = section.optional("logo_file", |path| Ok::<_, Wrong>(path.to_owned()));
    let logo = path.and_then(|path| read_logo(section, &path));
    let templates_dir = section.optional("templates_dir", |path| Ok::<_, Wrong>(path.to_owned()));
    let templates_dir = templates_dir.and_then(|path| read_folder(section, &path));
    let is_open = smtp.as_ref().is_some_and(|smtp| smtp.security == Security::Plain && !smtp.is_loopback);
    if is_open && login.is_some() {
        let problem = "sends the password over the network in clear";
        let remedy = "Write: smtp_url = \"smtp+starttls://…\" or \"smtps://…\", or leave the password out.";
        match environment {
            Some(Environment::Production) => section.fault("smtp_url", Wrong::with_remedy(problem, remedy)),
            Some(Environment::Sandbox) | None => section.warn("smtp_url", Wrong::with_remedy(problem, remedy)),
        }
    }
    let only_to = only_to.unwrap_or_default();
    Some(Mail {
        from: from?,
        reply_to,
        smtp: smtp?,
        login,
        only_to,
        return_path,
        events,
        daily_caps,
        postal_address,
        languages,
        colour,
        logo,
        templates_dir,
    })
}

fn postmark_login(text: &str) -> Result<SecretString, Wrong> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() && password.len() >= 16 => secret(text),
        Some(_) | None => Err("is no user:password with a password of at least 16 characters".into()),
    }
}

fn resend_secret(text: &str) -> Result<SecretString, Wrong> {
    let key = text.strip_prefix("whsec_").ok_or("does not begin with whsec_")?;
    let is_key = BASE64.decode(key).is_ok_and(|key| key.len() >= 16);
    if is_key { secret(text) } else { Err("is no signing secret as Resend shows it".into()) }
}

fn cap(text: &str) -> Result<Cap, Wrong> {
    let wrong = "is no domain and number, such as \"gmail.com 4000\"";
    let (domain, letters) = text.trim().split_once(' ').ok_or(wrong)?;
    // The domain is judged as that of an address, and so becomes lower case.
    let address = EmailAddress::parse(&format!("a@{domain}")).map_err(|_| wrong)?;
    let letters = letters.trim().parse().map_err(|_| wrong)?;
    Ok(Cap { provider: address.domain().to_owned(), letters })
}

/// The languages that are spoken. The one to fall back to has to be among them.
fn read_languages(section: &mut Section<'_, '_>, fallback: Option<Language>) -> Vec<Language> {
    let languages = section.list("languages", language).unwrap_or_else(|| Language::BY_DEFAULT.to_vec());
    if let Some(fallback) = fallback.filter(|fallback| !languages.contains(fallback)) {
        let tags = languages.iter().chain([&fallback]).map(|language| format!("\"{}\"", language.tag()));
        let remedy = format!("Write: languages = [{}], or choose another locale.", tags.collect::<Vec<_>>().join(", "));
        let problem = format!("has no \"{}\", which is the locale in [app]", fallback.tag());
        section.fault("languages", Wrong::with_remedy(problem, remedy));
    }
    languages
}

/// A colour on which white or dark text can be read, and which can be told from the white of the letter.
fn colour(text: &str) -> Result<Colour, Wrong> {
    let colour = Colour::parse(text).ok_or("is no colour such as \"#1f4fbf\"")?;
    let stands_out = |colour: &Colour| colour.contrast(Colour::WHITE) >= SHAPE_CONTRAST;
    let darker = colour.shade(Colour::BLACK, |shade| stands_out(&shade) && shade.ink().is_some());
    if !stands_out(&colour) {
        let contrast = colour.contrast(Colour::WHITE);
        let problem =
            format!("is too pale for a button on white: its contrast is {contrast:.1}, and {SHAPE_CONTRAST} is needed");
        return Err(Wrong::with_value(problem, darker));
    }
    if colour.ink().is_none() {
        let (white, dark) = (colour.contrast(Colour::WHITE), colour.contrast(Colour::DARK));
        let problem = format!(
            "is a button on which no text can be read well: the contrast of white text is {white:.1}, of dark text \
             {dark:.1}, and {TEXT_CONTRAST} is needed"
        );
        return Err(Wrong::with_value(problem, darker));
    }
    Ok(colour)
}

fn read_folder(section: &mut Section<'_, '_>, path: &str) -> Option<PathBuf> {
    let folder = section.beside_file(path);
    if !folder.is_dir() {
        section.fault("templates_dir", "is no folder");
        return None;
    }
    Some(folder)
}

fn read_logo(section: &mut Section<'_, '_>, path: &str) -> Option<Logo> {
    let mut bytes = Vec::new();
    let limit = LOGO_BYTES_MAX as u64 + 1;
    let read = File::open(section.beside_file(path)).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    let logo = read.map_err(|error| format!("cannot be read: {error}"));
    let logo = logo.and_then(|_| Logo::parse(bytes).map_err(|error| error.to_string()));
    logo.map_err(|problem| section.fault("logo_file", problem)).ok()
}

fn read_login(section: &mut Section<'_, '_>) -> Option<Login> {
    let username = section.optional("username", secret);
    let password = section.optional_secret("password", secret);
    let has_password = section.has("password") || section.has("password_file");
    match (section.has("username"), has_password) {
        (true, false) => section.fault("password", "is missing although username is given"),
        (false, true) => section.fault("username", "is missing although a password is given"),
        (true, true) | (false, false) => {}
    }
    Some(Login { username: username?, password: password? })
}

fn secret(text: &str) -> Result<SecretString, Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character or a line break".into());
    }
    Ok(SecretString::from(text))
}

impl Mailbox {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let Some(before) = text.strip_suffix('>') else {
            return Ok(Self { name: None, address: EmailAddress::parse(text)? });
        };
        let (name, address) = before.rsplit_once('<').ok_or("has a > without a <")?;
        let address = EmailAddress::parse(address)?;
        let name = name.trim();
        let unquoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        let name = match unquoted {
            "" => None,
            name => Some(line(NAME_CHARS_MAX)(name)?),
        };
        Ok(Self { name, address })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address.as_str()),
            None => f.write_str(self.address.as_str()),
        }
    }
}

impl Smtp {
    fn parse(text: &str) -> Result<Self, Wrong> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, address: &str) -> bool {
        let pattern = AddressPattern::parse(pattern).ok().expect("a pattern");
        pattern.matches(&EmailAddress::parse(address).expect("an address"))
    }

    #[test]
    fn patterns_match_whole_addresses() {
        assert!(matches("user-1@example.com", "User-1@Example.com"));
        assert!(!matches("user-1@example.com", "user-11@example.com"));
        assert!(!matches("user-1@example.com", "user-1@example.com.evil.example"));
        assert!(matches("@example.com", "anybody@example.com"));
        assert!(matches("*@EXAMPLE.com", "anybody@example.com"));
        assert!(!matches("@example.com", "anybody@sub.example.com"));
        assert!(!matches("@example.com", "anybody@evil-example.com"));
        assert!(matches("@*.example.com", "a@sub.example.com"));
        assert!(matches("test+*@example.com", "test+17@example.com"));
        assert!(!matches("test+*@example.com", "test@example.com"));
        assert!(matches("a*b*c@example.com", "aXbbYc@example.com"));
        assert!(!matches("a*bb*c@example.com", "abc@example.com"));
        assert!(!matches("ab*ba@example.com", "aba@example.com"));
        assert!(matches("*@*", "anybody@example.com"));
        assert!(matches("@bücher.example", "a@xn--bcher-kva.example"));
    }

    #[test]
    fn without_patterns_letters_go_to_everybody_and_with_them_to_nobody_else() {
        let config = |only_to: &[&str]| Mail {
            from: Mailbox::parse("a@example.com").ok().expect("a mailbox"),
            reply_to: None,
            smtp: Smtp::parse("smtp://localhost").ok().expect("a server"),
            login: None,
            return_path: None,
            events: Events::default(),
            daily_caps: Caps::default(),
            only_to: only_to.iter().filter_map(|text| AddressPattern::parse(text).ok()).collect(),
            postal_address: None,
            languages: Vec::new(),
            colour: None,
            logo: None,
            templates_dir: None,
        };
        let address = EmailAddress::parse("user-1@example.com").expect("an address");
        assert!(config(&[]).may_send_to(&address));
        assert!(config(&["@example.org", "user-1@example.com"]).may_send_to(&address));
        assert!(!config(&["@example.org"]).may_send_to(&address));
    }

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

    #[test]
    fn a_mailbox_may_have_a_name() {
        let shown = |text: &str| Mailbox::parse(text).ok().map(|mailbox| mailbox.to_string());
        assert_eq!(shown("a@example.com"), Some("a@example.com".to_owned()));
        assert_eq!(shown("<a@example.com>"), Some("a@example.com".to_owned()));
        assert_eq!(shown("Example <a@example.com>"), Some("Example <a@example.com>".to_owned()));
        assert_eq!(shown("\"Example, Inc.\" <a@example.com>"), Some("Example, Inc. <a@example.com>".to_owned()));
        for bad in ["", "Example", "a@example.com>", "Example <a@example.com", "Ex\nample <a@example.com>", "<>"] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
    }
}
