//! The configuration: the file as written, and [`Config`], valid by construction.
//!
//! [`load`] reads a file, [`from_text`] a text; both answer with the configuration or with *every* fault at once. Who
//! holds a [`Config`] checks nothing again. Does not open the store, look up a name or ask a server. Called by the
//! command line, once.
//!
//! To add a key: `schema.rs` gets its line, the section's file its field and how to parse it, and `config.example.toml`
//! its sentence; a test compares the three.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

mod address;
mod api;
mod app;
mod fault;
mod log;
mod mail;
mod plaid;
mod reminders;
mod retention;
mod schedule;
mod schema;
mod section;
mod server;
mod smtp;
mod store;
mod written;

#[cfg(test)]
mod tests;

pub use api::{ApiKey, Scope};
pub use app::App;
pub use fault::{Fault, Faults, Place};
pub use log::{Log, LogFormat};
pub use mail::{AddressPattern, Events, Login, Mail, Mailbox};
pub use plaid::{CountryCode, Environment, LateWebhooks, LinkMode, Plaid, WebhookElsewhere};
pub use retention::Retention;
pub use schedule::Schedule;
pub use server::{IpRange, Server};
pub use smtp::{Delivery, Security, Smtp};
pub use store::{DataKey, Store};

use crate::domain::contact::Locale;
use crate::domain::language::Language;
use crate::domain::policy::Policy;
use written::Written;

/// The largest configuration file, in bytes. Only keeps a mistaken path (a disk, a pipe without end) from hanging us.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How many errors of TOML's own are told. After some, each is only a consequence of the one before.
const SYNTAX_ERRORS_MAX: usize = 10;

/// What the operator decided, complete and valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// The brand that writes to the users.
    pub app: App,
    /// Where requests come in.
    pub server: Server,
    /// Which Plaid, and as whom.
    pub plaid: Plaid,
    /// Where the state lies, and the keys that seal it.
    pub store: Store,
    /// Who writes, and which mail server takes the letters.
    pub mail: Mail,
    /// Who may use the API.
    pub api_keys: Vec<ApiKey>,
    /// When letters leave.
    pub reminders: Policy,
    /// When relinkd looks by itself.
    pub schedule: Schedule,
    /// How long what happened is kept.
    pub retention: Retention,
    /// How much is logged, and in which form.
    pub log: Log,
    /// What is allowed and not wise.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// The language in which a user is spoken to, in letters, on the page and in Link.
    #[must_use]
    pub fn language(&self, locale: Option<&Locale>) -> Language {
        locale.and_then(|locale| Language::nearest(locale, &self.mail.languages)).unwrap_or(self.app.language)
    }

    /// Where the commands on this machine talk to the daemon.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.server.control_socket.clone().unwrap_or_else(|| server::default_control_socket(&self.store.path))
    }
}

/// Reads the configuration from a file and the environment.
///
/// # Errors
/// [`Faults`]: all that is wrong, at least one.
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Faults> {
    let text = read_file(path)?;
    from_text(&text, &path.display().to_string(), environment, path.parent().unwrap_or(Path::new("")))
}

/// Reads from the configuration where the daemon's control socket is, and nothing else: whoever may use the socket need
/// not be able to read the files that hold secrets, and a fault elsewhere keeps no command from running.
///
/// # Errors
/// [`Faults`]: why it cannot be told.
pub fn control_socket(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<PathBuf, Faults> {
    let text = read_file(path)?;
    let (root, errors) = DeTable::parse_recoverable(&text);
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let mut written = Written::new(&text, &path.display().to_string(), base_dir, root.get_ref(), !errors.is_empty());
    if let Some(error) = errors.first() {
        written.syntax(error.message(), error.span());
        return Err(Faults::new(written.faults));
    }
    written.take_environment(environment);
    written.faults.clear();
    let mut server = written.section("server");
    let found = match server.has("control_socket") {
        true => server::control_socket(&mut server),
        false => store::file(&mut written.section("store")).map(|store| server::default_control_socket(&store)),
    };
    found.ok_or_else(|| Faults::new(written.faults))
}

/// Reads the configuration from a text and the environment. `file_name` is how faults name the text; relative paths are
/// read from `base_dir`.
///
/// # Errors
/// [`Faults`]: all that is wrong, at least one.
pub fn from_text(
    text: &str,
    file_name: &str,
    environment: impl Iterator<Item = (String, String)>,
    base_dir: &Path,
) -> Result<Config, Faults> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut written = Written::new(text, file_name, base_dir, root.get_ref(), !errors.is_empty());
    for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
        written.syntax(error.message(), error.span());
        // A bracket that was not closed makes an error of each line below.
        if error.message().contains("array") || error.message().contains("inline table") {
            break;
        }
    }
    written.take_environment(environment);
    written.check_sections();
    let app = app::read(&mut written.section("app"));
    let server = server::read(&mut written.section("server"));
    let (environment, plaid) = plaid::read(&mut written.section("plaid"));
    let store = store::read(&mut written.section("store"));
    let language = app.as_ref().map(|app| app.language);
    let mail = mail::read(&mut written.section("mail"), environment, language);
    let api_keys = api::read(&mut written);
    let reminders = reminders::read(&mut written.section("reminders"));
    let schedule = schedule::read(&mut written.section("schedule"));
    let retention = retention::read(&mut written.section("retention"));
    let log = log::read(&mut written.section("log"));
    if !written.faults.is_empty() {
        return Err(Faults::new(written.faults));
    }
    let whole = "a section that is not whole has a fault";
    let plaid = plaid.expect(whole);
    Ok(Config {
        app: app.expect(whole),
        server: server.expect(whole),
        store: store.expect(whole),
        mail: mail.expect(whole),
        api_keys,
        reminders: Policy { superseding: plaid.superseding_institutions.clone(), ..reminders },
        plaid,
        schedule,
        retention,
        log,
        warnings: written.warnings,
    })
}

fn read_file(path: &Path) -> Result<String, Faults> {
    read(path).map_err(|why| {
        Faults::new(vec![Fault {
            place: Place::File { file: path.display().to_string() },
            key: None,
            value: None,
            problem: format!("cannot be read: {why}"),
            remedy: "Name another file with --config FILE, or begin with a copy of config.example.toml.".to_owned(),
            nearest: None,
        }])
    })
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
}
