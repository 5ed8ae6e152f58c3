//! `[mail]`: who writes, and which mail server takes the letters.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::SecretString;

use super::address::line;
use super::app::language;
use super::plaid::Environment;
use super::section::{Section, Wrong};
use super::smtp::{self, Delivery, Security, Smtp};
use crate::domain::colour::{Colour, SHAPE_CONTRAST, TEXT_CONTRAST};
use crate::domain::compose::Channel;
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
    /// Who sends the letters.
    pub delivery: Delivery,
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

impl Mail {
    /// The mail server, if there is one.
    #[must_use]
    pub fn smtp(&self) -> Option<&Smtp> {
        match &self.delivery {
            Delivery::Smtp(smtp) => Some(smtp),
            Delivery::Event => None,
        }
    }

    /// Who brings letters to users.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match &self.delivery {
            Delivery::Smtp(_) => Channel::Mail,
            Delivery::Event => Channel::Event,
        }
    }

    /// Whether a letter to this address may be sent; otherwise it is written down only.
    #[must_use]
    pub fn may_send_to(&self, address: &EmailAddress) -> bool {
        self.only_to.is_empty() || self.only_to.iter().any(|pattern| pattern.matches(address))
    }

    /// The same where there may be no address: then only the application can send, and only if it may to all.
    #[must_use]
    pub fn may_write_to(&self, address: Option<&EmailAddress>) -> bool {
        match address {
            Some(address) => self.may_send_to(address),
            None => self.channel() == Channel::Event && self.only_to.is_empty(),
        }
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
    let by_event = section.optional("delivery", smtp::delivery).unwrap_or(Channel::Mail) == Channel::Event;
    let smtp =
        if by_event { section.optional("smtp_url", Smtp::parse) } else { section.required("smtp_url", Smtp::parse) };
    let login = read_login(section);
    let only_to = section.list("only_to", AddressPattern::parse);
    let return_path = section.optional("return_path", EmailAddress::parse);
    let events = Events {
        postmark: section.optional_secret("postmark_login", postmark_login),
        mailgun: section.optional_secret("mailgun_signing_key", secret),
        resend: section.optional_secret("resend_signing_secret", resend_secret),
    };
    let daily_caps = section.list("daily_caps", cap).map(Caps::new).unwrap_or_default();
    // What the mailbox provider thinks of senders is the business of whoever sends.
    let daily_caps = if by_event { Caps::new(Vec::new()) } else { daily_caps };
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
    let delivery = if by_event { Some(Delivery::Event) } else { smtp.map(Delivery::Smtp) };
    let only_to = only_to.unwrap_or_default();
    Some(Mail {
        from: from?,
        reply_to,
        delivery: delivery?,
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
            delivery: Delivery::Event,
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
