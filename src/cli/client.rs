//! What the commands have in common that talk to the daemon: the API over the control socket, and what goes wrong there
//! in one clear sentence each.
//!
//! A command's file has its `Args`, with [`Connection`] flattened into them, and an `async fn` that takes a [`Client`] and a
//! [`Print`]; [`run`] gives it both and makes the exit code. Sends nothing over the network, and opens no store.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use url::form_urlencoded::byte_serialize;

use super::print::Print;
use super::{EVERYWHERE, EXIT_USAGE, environment, runtime};
use crate::config::{self, Faults};
use crate::domain::plain;

/// Longer than the daemon takes for anything: it asks Plaid twice at most.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(90);

/// How many entries to ask for at once.
const PAGE: u32 = 500;

/// The longest text that an answer adds to a sentence of ours, in characters.
const DETAIL_MAX: usize = 1000;

/// Arguments of every command that talks to the daemon.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// The daemon's control socket, if it is not the one that the configuration names.
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    pub socket: Option<PathBuf>,
    /// Print what the API answers, unchanged, instead of text: one JSON object a line.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
}

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration does not say where the daemon is.
    #[error("{0}\nOr name the daemon's socket: --socket PATH.")]
    Configuration(Faults),
    /// What was written on the command line cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The daemon cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon refused: a problem document.
    #[error("{detail}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// The name of the problem.
        code: String,
        /// What is wrong, in words.
        detail: String,
    },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    /// Whoever read the output has seen enough, as `head` has.
    #[error("nobody reads the output any more")]
    Unread,
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) | Self::Usage(_) => ExitCode::from(EXIT_USAGE),
            Self::Unreachable(_) | Self::Refused { .. } | Self::Failed(_) => ExitCode::FAILURE,
            Self::Unread => ExitCode::SUCCESS,
        }
    }
}

/// Something that the API answered.
#[derive(Debug)]
pub struct Answer(Box<RawValue>);

impl Answer {
    /// It, as it came.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// It, as far as a command shows it. What a newer daemon adds is passed over.
    ///
    /// # Errors
    /// It is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.json()).map_err(|error| {
            let why =
                format!("the daemon's answer does not read ({error}): is it of another version than this command?");
            Failure::Failed(why)
        })
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// The API of the daemon on this machine.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

/// Runs a command that talks to the daemon.
#[must_use]
pub fn run(
    config: &Path,
    connection: &Connection,
    command: impl AsyncFnOnce(&Client, &mut Print) -> Result<(), Failure>,
) -> ExitCode {
    let mut print = Print::new(connection.json);
    let done = runtime().block_on(async {
        let client = Client::connect(config, connection)?;
        command(&client, &mut print).await
    });
    finish(done.and_then(|()| print.finish()))
}

/// Says what went wrong, if anything did, and how the process ends.
#[must_use]
pub fn finish(done: Result<(), Failure>) -> ExitCode {
    let Err(failure) = done else { return ExitCode::SUCCESS };
    if !matches!(failure, Failure::Unread) {
        // Nobody is left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "relinkd: {failure}");
    }
    failure.exit_code()
}

impl Client {
    /// A client for the daemon of this configuration.
    ///
    /// # Errors
    /// The configuration does not say where the socket is.
    pub fn connect(config: &Path, connection: &Connection) -> Result<Self, Failure> {
        let socket = match &connection.socket {
            Some(path) => path.clone(),
            None => config::control_socket(config, environment()).map_err(Failure::Configuration)?,
        };
        // No authorities are loaded: nothing is encrypted here, and a machine may have none.
        let http = reqwest::Client::builder().unix_socket(socket.as_path()).tls_certs_only([]).timeout(ANSWER_TIME_MAX);
        let http = http.build().map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Self { http, socket })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// One call of the API: what it answers, `null` if that is nothing.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let mut request = self.http.request(method, format!("http://relinkd{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    /// Hands a mail over as it came.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn post_mail(&self, path: &str, raw: Vec<u8>) -> Result<Answer, Failure> {
        let request = self.http.post(format!("http://relinkd{path}")).header("content-type", "message/rfc822");
        self.answer(request.body(raw)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            return Err(refused(status, &bytes));
        }
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map(Answer).map_err(|_| {
            Failure::Failed(format!("what {} answers is no JSON: is that relinkd?", self.socket.display()))
        })
    }

    /// The entries of a list, page by page, at most `limit`. `path` may have a query. Says whether there may be more.
    ///
    /// # Errors
    /// [`Failure`], also what `entry` says.
    pub async fn list(
        &self,
        path: &str,
        limit: Option<u32>,
        mut entry: impl FnMut(Answer) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let mut left = limit.unwrap_or(u32::MAX);
        let mut cursor = String::new();
        while left > 0 {
            let wanted = left.min(PAGE);
            let mark = if path.contains('?') { '&' } else { '?' };
            let page: Page = self.get(&format!("{path}{mark}limit={wanted}{cursor}")).await?.read()?;
            left -= wanted;
            for value in page.data {
                entry(Answer(value))?;
            }
            let Some(next) = page.next_cursor else { return Ok(false) };
            cursor = format!("&cursor={}", escaped(&next));
        }
        Ok(true)
    }

    /// Why the daemon cannot be reached, and what to do.
    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let socket = self.socket.display();
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut kind = None;
        while let Some(cause) = source {
            kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
            source = cause.source();
        }
        Failure::Unreachable(match kind {
            Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) if error.is_connect() => {
                format!(
                    "no daemon answers at {socket}. Start it (`relinkd serve`, or `systemctl start relinkd`), or name its \
                     socket: --socket PATH, or --config FILE with the configuration that it runs with."
                )
            }
            Some(std::io::ErrorKind::PermissionDenied) => {
                format!("you may not use {socket}. Be the user as whom relinkd runs: `sudo -u relinkd relinkd …`.")
            }
            _ if error.is_timeout() => {
                format!("the daemon at {socket} gave no answer for {} s; its log says more.", ANSWER_TIME_MAX.as_secs())
            }
            Some(_) | None => format!("the daemon at {socket} broke off; its log says more ({error})."),
        })
    }
}

/// The path of something that has an id. What is no id of anything is not asked for.
///
/// # Errors
/// [`Failure::Usage`].
pub fn path_of(list: &str, id: &str) -> Result<String, Failure> {
    // A path with these would lead elsewhere, written as it may be.
    if matches!(id, "" | "." | "..") {
        return Err(Failure::Usage(format!("\"{id}\" is no id: `relinkd {list} list` shows those that there are")));
    }
    Ok(format!("/v1/{list}/{}", escaped(id)))
}

/// A part of a path, or a value of a query.
fn escaped(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A moment on the command line.
///
/// # Errors
/// What to write.
pub fn moment(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "is no time: write it as 2026-12-01T09:00:00Z, or with an offset such as +01:00")
}

/// A path with those parameters that are given.
#[must_use]
pub fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped((*value)?))));
    let query = given.collect::<Vec<_>>().join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A problem document as one sentence.
fn refused(status: StatusCode, text: &[u8]) -> Failure {
    let problem: Value = serde_json::from_slice(text).unwrap_or_default();
    let said = problem["detail"].as_str().and_then(|detail| plain::one_line(detail, DETAIL_MAX));
    let detail = said.unwrap_or_else(|| format!("the daemon answers {status} and does not say why; its log may"));
    Failure::Refused { status, code: problem["code"].as_str().unwrap_or_default().to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_of_strangers_stay_one_part_of_a_path() {
        assert_eq!(escaped("a/../b?c=d&e f%#é"), "a%2F..%2Fb%3Fc%3Dd%26e%20f%25%23%C3%A9");
        assert_eq!(path_of("items", "Abc-1_2.3").expect("an id"), "/v1/items/Abc-1_2.3");
        assert_eq!(
            path_of("items", "..").expect_err("none").to_string(),
            "\"..\" is no id: `relinkd items list` shows those that there are"
        );
        assert_eq!(with_query("/v1/items", &[("state", None), ("user_id", None)]), "/v1/items");
        let query = with_query("/v1/items", &[("state", Some("healthy")), ("a", None), ("user_id", Some("a&b"))]);
        assert_eq!(query, "/v1/items?state=healthy&user_id=a%26b");
    }

    #[test]
    fn a_problem_is_one_sentence_without_what_moves_the_cursor() {
        let said = |text: &str| refused(StatusCode::BAD_GATEWAY, text.as_bytes()).to_string();
        assert_eq!(said(&json!({ "detail": "the bank\u{1b}[2J\r\nis down" }).to_string()), "the bank [2J is down");
        assert_eq!(said("<html>"), "the daemon answers 502 Bad Gateway and does not say why; its log may");
    }

    #[test]
    fn exit_codes_tell_usage_from_failure() {
        let code = |failure: Failure| format!("{:?}", failure.exit_code());
        assert_eq!(code(Failure::Usage(String::new())), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(Failure::Unreachable(String::new())), format!("{:?}", ExitCode::from(1)));
    }
}
