//! The whole thing for stories: the real daemon over real HTTP, SQLite and SMTP, beside a Plaid and a mailbox of its own,
//! all on one clock that a story moves.
//!
//! It speaks the domain. After each verb the daemon is quiet: nothing is due, nothing is under way. A story ends with
//! [`World::end`], which fails on leftovers.

pub mod command;
pub mod dns;
pub mod events;
pub mod mail_server;
pub mod repair;
mod returned;
mod says;
pub mod store;
mod time;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use relinkd::config::{self, Config};
use relinkd::daemon::Daemon;
use relinkd::demo::mailbox::{self, Letter, Mailbox};
use relinkd::demo::plaid::{self, Bank, FakePlaid, Item, NewItem};
use relinkd::engine::clock::Clock;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::process::{IDLE_MAX, LIMIT, free_address};
pub use repair::Pressed;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(4);

const API_KEY: &str = "story-key-story-key-story-key-story-key";

pub const fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

pub const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count * 24)
}

/// What differs from story to story. Each text goes into its section of the configuration.
#[derive(Clone)]
pub struct Settings {
    /// Whether the story happens now, not at nine: for commands that compare Plaid's clock with this machine's.
    pub real_time: bool,
    pub environment: &'static str,
    pub plaid: &'static str,
    pub mail: String,
    pub reminders: &'static str,
    /// The mail server, if it is not the mailbox.
    pub smtp_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { real_time: false, environment: "sandbox", plaid: "", mail: String::new(), reminders: "", smtp_url: None }
    }
}

/// Everything that a story happens in.
pub struct World {
    pub clock: Clock,
    pub plaid: FakePlaid,
    pub mailbox: Mailbox,
    http: reqwest::Client,
    folder: TempDir,
    configuration: String,
    pub public_url: String,
    private_url: String,
    running: Option<Running>,
    ended: bool,
}

/// A daemon has a runtime of its own, so that it can die without a goodbye.
struct Running {
    daemon: Daemon,
    runtime: Runtime,
}

impl World {
    /// A daemon with the defaults of the configuration, at nine in the morning UTC.
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let clock = Clock::system();
        if !settings.real_time {
            clock.advance(until_nine(clock.now()));
        }
        let time = clock.clone();
        let now: plaid::Clock = Arc::new(move || time.now());
        let environment = settings.environment.to_owned();
        let plaid = FakePlaid::start(plaid::Options { environment, ..plaid::Options::new(Arc::clone(&now)) });
        let plaid = plaid.expect("a port on loopback");
        let mailbox = Mailbox::start(mailbox::Options::new(now)).expect("a port on loopback");
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let mut world = Self {
            clock,
            plaid,
            mailbox,
            http: client.timeout(LIMIT).pool_idle_timeout(IDLE_MAX).build().expect("a client"),
            folder: tempfile::tempdir().expect("a folder"),
            configuration: String::new(),
            public_url: String::new(),
            private_url: String::new(),
            running: None,
            ended: false,
        };
        world.start_anywhere(&settings).await;
        world.quiet().await;
        world
    }

    /// The public address stands in letters, so it is chosen before the daemon listens; another test may be faster.
    async fn start_anywhere(&mut self, settings: &Settings) {
        for _ in 0..20 {
            let (public, private) = (free_address().port(), free_address().port());
            self.public_url = format!("http://127.0.0.1:{public}");
            self.private_url = format!("http://127.0.0.1:{private}");
            self.configuration = self.written(settings, public, private);
            match self.launch().await {
                Ok(()) => return,
                Err(error) => eprintln!("another port: {error:#}"),
            }
        }
        panic!("no daemon starts");
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (config, clock) = (self.config(), self.clock.clone());
        let started = runtime.spawn(Daemon::start(config, clock)).await?;
        match started {
            Ok(daemon) => {
                self.running = Some(Running { daemon, runtime });
                Ok(())
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    fn config(&self) -> Config {
        let nowhere = std::path::Path::new("");
        config::from_text(&self.configuration, "story.toml", std::iter::empty(), nowhere)
            .unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn written(&self, settings: &Settings, public: u16, private: u16) -> String {
        let Settings { environment, plaid, mail, reminders, smtp_url, .. } = settings;
        format!(
            r#"
[app]
name = "Story Budget"
url = "https://app.example"
support_email = "help@app.example"
[server]
public_url = "http://127.0.0.1:{public}"
public_listen = "127.0.0.1:{public}"
private_listen = "127.0.0.1:{private}"
control_socket = "{control}"
[plaid]
environment = "{environment}"
base_url = "{plaid_url}"
link_script_url = "{script}"
client_id = "demo-client"
secret = "demo-secret"
country_codes = ["US"]
{plaid}
[store]
path = "{store}"
data_key = "c3RvcnktZGF0YS1rZXktc3RvcnktZGF0YS1rZXktMDE="
[mail]
from = "Story Budget <hello@app.example>"
smtp_url = "{smtp}"
{mail}
[[api.keys]]
name = "story"
key = "{API_KEY}"
scope = "write"
[reminders]
{reminders}
"#,
            plaid_url = self.plaid.url(),
            script = self.plaid.link_script_url(),
            store = self.store_path().display(),
            control = self.control_socket().display(),
            smtp = smtp_url.clone().unwrap_or_else(|| self.mailbox.smtp_url()),
        )
    }

    pub fn store_path(&self) -> std::path::PathBuf {
        self.folder.path().join("story.db")
    }

    /// Where the commands reach the daemon.
    pub fn control_socket(&self) -> std::path::PathBuf {
        self.folder.path().join("control.sock")
    }
}

/// The application's side: users and Items, through the API.
impl World {
    /// Registers a user with an address in the mailbox.
    pub async fn user(&self, id: &str) {
        self.user_at(id, &format!("{id}@mailbox.example")).await;
    }

    pub async fn user_at(&self, id: &str, email: &str) {
        let (status, body) = self.put(&format!("/v1/users/{id}"), &json!({ "email": email })).await;
        assert!(status.is_success(), "{status} {body}");
        self.quiet().await;
    }

    /// A user's new Item at a bank: at Plaid and registered here.
    pub async fn item(&self, user: &str, bank: Bank) -> Item {
        let item = self.item_at_plaid(NewItem::new(user, bank));
        self.register(&item, item.access_token.expose_secret()).await;
        item
    }

    /// An Item that only Plaid knows so far.
    pub fn item_at_plaid(&self, new: NewItem) -> Item {
        self.plaid.add_item(NewItem { webhook: Some(self.webhook_url()), ..new })
    }

    pub async fn register(&self, item: &Item, access_token: &str) {
        let body = json!({ "access_token": access_token, "user_id": item.user });
        let (status, body) = self.put(&format!("/v1/items/{}", item.id), &body).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        self.quiet().await;
    }

    pub fn webhook_url(&self) -> String {
        format!("{}/plaid/webhook", self.public_url)
    }

    pub async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.api(self.http.put(format!("{}{path}", self.private_url)).json(body)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.api(self.http.post(format!("{}{path}", self.private_url)).json(body)).await;
        self.quiet().await;
        answer
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.api(self.http.get(format!("{}{path}", self.private_url))).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.api(self.http.delete(format!("{}{path}", self.private_url))).await;
        self.quiet().await;
        answer
    }

    async fn api(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let answer = request.bearer_auth(API_KEY).send().await.expect("the API answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
        (status, body)
    }
}

/// What is to be seen.
impl World {
    /// The letters that arrived, oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.mailbox.letters()
    }

    pub fn subjects(&self) -> Vec<String> {
        self.letters().into_iter().map(|letter| letter.subject).collect()
    }

    /// The only letter that arrived so far.
    pub fn only_letter(&self) -> Letter {
        let [letter] = <[Letter; 1]>::try_from(self.letters()).unwrap_or_else(|all| panic!("{} letters", all.len()));
        letter
    }

    pub async fn view(&self, item: &Item) -> Value {
        let (status, body) = self.get(&format!("/v1/items/{}", item.id)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    pub async fn state(&self, item: &Item) -> String {
        self.view(item).await["state"].as_str().expect("a state").to_owned()
    }

    /// The journal's rows, oldest first.
    pub async fn journal(&self, item: &Item) -> Vec<Value> {
        let (status, body) = self.get(&format!("/v1/items/{}/journal?limit=1000", item.id)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].as_array().expect("rows").clone()
    }

    /// The names of the events in the journal.
    pub async fn events(&self, item: &Item) -> Vec<String> {
        let name = |row: &Value| {
            let event = &row["event"];
            let named = event.as_str().or_else(|| event.as_object()?.keys().next().map(String::as_str));
            named.unwrap_or_else(|| panic!("an event is a text or an object: {event}")).to_owned()
        };
        self.journal(item).await.iter().map(name).collect()
    }

    /// The statuses of all letters in the store, oldest first.
    pub async fn statuses(&self) -> Vec<String> {
        let (_, body) = self.get("/v1/letters?limit=1000").await;
        let rows = body["data"].as_array().expect("rows");
        rows.iter().rev().map(|row| row["status"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Ends and beginnings of the daemon.
impl World {
    /// Stops the daemon as a signal does.
    pub async fn stop(&mut self) {
        let Running { daemon, runtime } = self.running.take().expect("the daemon runs");
        daemon.stop().await;
        runtime.shutdown_background();
    }

    /// The daemon dies, whatever it was doing.
    pub fn crash(&mut self) {
        let Running { daemon, runtime } = self.running.take().expect("the daemon runs");
        runtime.shutdown_background();
        drop(daemon);
    }

    /// The key of the store is lost, and there is another in the configuration.
    pub fn loses_its_data_key(&mut self) {
        let (lost, other) =
            ("c3RvcnktZGF0YS1rZXktc3RvcnktZGF0YS1rZXktMDE=", "YW5vdGhlci1kYXRhLWtleS0wMTIzNDU2Nzg5YWJjZGU=");
        assert!(self.configuration.contains(lost));
        self.configuration = self.configuration.replace(lost, other);
    }

    /// What the daemon says that does not start.
    pub async fn refuses_to_start(&mut self) -> String {
        match self.launch().await {
            Ok(()) => panic!("it starts"),
            Err(error) => format!("{error:#}"),
        }
    }

    /// Starts the daemon again on its store. The old one's threads may need a moment to let go of it.
    pub async fn start(&mut self) {
        let began = Instant::now();
        while let Err(error) = self.launch().await {
            assert!(began.elapsed() < LIMIT, "{error:#}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.quiet().await;
    }

    /// The story is over. What waits for a later hour may do so for one more; then nothing is left to do at once or
    /// soon, and nothing is stuck.
    pub async fn end(mut self) {
        self.after(hours(1)).await;
        let leftovers = self.leftovers();
        assert!(leftovers.is_empty(), "left over: {leftovers:?}");
        self.ended = true;
        self.stop().await;
        self.plaid.stop().await;
        self.mailbox.stop().await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(Running { runtime, .. }) = self.running.take() {
            runtime.shutdown_background();
        }
        assert!(self.ended || std::thread::panicking(), "a story closes with world.end()");
    }
}

fn until_nine(now: Timestamp) -> SignedDuration {
    let wall = now.to_zoned(TimeZone::UTC);
    let today = wall.date().to_datetime(time(9, 0, 0, 0)).to_zoned(TimeZone::UTC).expect("UTC has no gaps");
    let ahead = today.timestamp().duration_since(now);
    if ahead.is_negative() { ahead + days(1) } else { ahead }
}

/// A bank of the stories.
pub fn bank(name: &str) -> Bank {
    Bank::new(&format!("ins_{}", name.to_lowercase().replace(' ', "_")), name)
}
