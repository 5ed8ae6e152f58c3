//! The story as a person meets it: real letters from a real mail server, opened and followed in a real browser.
//!
//! The daemon runs in this process beside the demo's Plaid. The mail server is aiosmtpd and the browser is Chromium, each a
//! process of its own; `tests/browser/` has the walks, and `.ci/browser-tools` brings what they need. Where that is missing
//! the walks are skipped, aloud; with `TEST_REQUIRE_BROWSER` set they fail.
//! `TEST_BROWSER_SHOTS=FOLDER` has the walks take pictures of all that they see.

mod walks;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use jiff::SignedDuration;
use relinkd::config;
use relinkd::daemon::Daemon;
use relinkd::demo::plaid::{Act, Bank, Delivery, FakePlaid, NewItem, Options, Skip};
use relinkd::demo::run::{API_KEY, Addresses, Demo};
use relinkd::engine::clock::Clock;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::store::{busy_in, rows_in};
use crate::process::free_address;

/// How long anything that has to come may take. The machine can be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a whole walk may take.
const WALK_TIME_MAX: Duration = Duration::from_secs(1800);

/// The store's file.
const STORE: &str = "relinkd.db";

const CHROMIUM: &str = "/usr/bin/chromium";

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where their tools are")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the tools are, if they all are there.
pub fn tools() -> Option<PathBuf> {
    let folder = variable("TEST_BROWSER_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser-tools"), PathBuf::from);
    let runs = |program: &str| {
        let ran = std::process::Command::new(program).arg("--version").stdout(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    };
    let wanted = [
        ("chromium", Path::new(CHROMIUM).exists()),
        ("node", runs("node")),
        ("python3", runs("python3")),
        ("playwright-core", folder.join("node_modules/playwright-core").exists()),
        ("axe-core", folder.join("node_modules/axe-core").exists()),
        ("lighthouse", folder.join("node_modules/lighthouse").exists()),
        ("aiosmtpd", folder.join("python/aiosmtpd").exists()),
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Some(folder);
    }
    let why = format!("{} missing: run .ci/browser-tools {}", missing.join(", "), folder.display());
    assert!(variable("TEST_REQUIRE_BROWSER").is_none(), "{why}");
    crate::process::say(&format!("SKIPPED: the walk in a browser ({why})"));
    None
}

/// aiosmtpd in a process of its own. It ends when its standard input closes, at the latest when this process ends.
struct MailServer {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl MailServer {
    async fn start(tools: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new("python3")
            .arg(script("smtp_server.py"))
            .arg(folder.path())
            .env("PYTHONPATH", tools.join("python"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        let read = tokio::time::timeout(PATIENCE, output.read_line(&mut line)).await.expect("the mail server starts");
        read.expect("its output is text");
        Self { process, port: line.trim().parse().expect("it prints its port"), folder }
    }

    /// The letters to an address, oldest first.
    fn letters_to(&self, user: &str) -> Vec<Value> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .expect("the folder is there")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let letters = paths.iter().map(|path| json_of(&std::fs::read(path).expect("a whole file")));
        letters.filter(|letter: &Value| letter["to"] == json!([address(user)])).collect()
    }

    /// Waits for so many letters to a user, and answers the newest.
    async fn letter(&self, user: &str, count: usize) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut letters = self.letters_to(user);
            if letters.len() >= count {
                return letters.swap_remove(count - 1);
            }
            assert!(Instant::now() < end, "{user} has {} letters, not {count}", letters.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().await.expect("it is a child").success(), "the mail server had a fault");
    }
}

/// A link that stands alone on its line of the text part.
fn link_in(letter: &Value, part: &str) -> String {
    let text = letter["text"].as_str().expect("a text part");
    let link = text.lines().find(|line| line.starts_with("http") && line.contains(part));
    link.expect("a link alone on its line").to_owned()
}

fn json_of(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("it is JSON")
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Response {
    request.send().await.expect("the daemon answers").error_for_status().expect("it does as it is told")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(name)
}

fn address(user: &str) -> String {
    format!("{user}@mailbox.example")
}

/// A bank whose customers log in at its own page.
const OAUTH: (&str, &str) = ("ins_127287", "Platypus OAuth Bank");

/// The daemon with a Plaid and a mail server.
struct Stage {
    tools: PathBuf,
    clock: Clock,
    plaid: FakePlaid,
    mail: MailServer,
    daemon: Daemon,
    http: reqwest::Client,
    /// The Items by user; of several, the first.
    items: HashMap<String, String>,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn start(tools: PathBuf, link_mode: &str) -> Self {
        let clock = Clock::system();
        let time = clock.clone();
        let (hand, now) = (clock.clone(), Arc::new(move || time.now()));
        let skip: Skip = Arc::new(move |time| hand.advance(time));
        // As the real one it tries again what a busy machine did not take at once.
        let options = Options { skip: Some(skip), retries: vec![Duration::from_secs(1); 60], ..Options::new(now) };
        let plaid = FakePlaid::start(options).expect("a free port");
        let mail = MailServer::start(&tools).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = configuration(&folder.path().join(STORE), link_mode, &plaid, mail.port);
        let config = config::from_text(&text, "test.toml", std::iter::empty(), Path::new("")).expect("no fault");
        let daemon = Daemon::start(config, clock.clone()).await.expect("it starts");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { tools, clock, plaid, mail, daemon, http, items: HashMap::new(), folder }
    }

    fn public(&self) -> String {
        format!("http://{}", self.daemon.public_address())
    }

    fn api(&self) -> String {
        format!("http://{}", self.daemon.private_address())
    }

    async fn put(&self, path: &str, body: Value) {
        let request = self.http.put(format!("{}{path}", self.api())).bearer_auth(API_KEY).json(&body);
        answer(request).await;
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.api())).bearer_auth(API_KEY);
        answer(request).await.json().await.expect("answers are JSON")
    }

    /// Registers a user with Items, and lets the same happen to each.
    async fn user(&mut self, user: &str, banks: &[(&str, &str)], act: Act) {
        self.put(
            &format!("/v1/users/{user}"),
            json!({ "email": address(user), "name": "Demo User", "time_zone": "UTC" }),
        )
        .await;
        let mut items = Vec::new();
        for (id, name) in banks {
            // A branch of its own: logins of one bank that break together are an outage, and letters wait.
            let branch = format!("{id}-{user}");
            let bank = Bank { oauth: *id == OAUTH.0, ..Bank::new(&branch, name) };
            let webhook = Some(format!("{}/plaid/webhook", self.public()));
            let item = self.plaid.add_item(NewItem { webhook, ..NewItem::new(user, bank) });
            let body = json!({
                "access_token": item.access_token.expose_secret(),
                "user_id": user,
                "institution_id": branch,
                "institution_name": name,
            });
            self.put(&format!("/v1/items/{}", item.id), body).await;
            self.items.entry(user.to_owned()).or_insert_with(|| item.id.clone());
            items.push(item);
        }
        for item in items {
            let sent = self.plaid.act(&item.id, act.clone(), Delivery::Send).await;
            sent.expect("the Item is there").expect("Plaid tells of it");
        }
    }

    /// The first letter of each user, as the walks need it.
    async fn letters(&self, users: &[&str]) -> Value {
        let mut letters = serde_json::Map::new();
        for user in users {
            let letter = self.mail.letter(user, 1).await;
            let text = letter["text"].as_str().expect("a text part");
            let url = link_in(&letter, "/repair/");
            let stop_url = link_in(&letter, "/unsubscribe/");
            assert_eq!(letter["headers"]["List-Unsubscribe"], format!("<{stop_url}>"));
            let letter = json!({ "html": letter["html"], "text": text, "url": url, "stop_url": stop_url });
            letters.insert((*user).to_owned(), letter);
        }
        letters.into()
    }

    async fn walk(&self, story: &str, mut given: Value) -> Walked {
        given["items"] = json!(self.items);
        given["plaid"] = json!(self.plaid.url());
        given["public"] = json!(self.public());
        given["api"] = json!(self.api());
        given["key"] = json!(API_KEY);
        walk(&self.tools, story, given).await
    }

    async fn state(&self, user: &str) -> String {
        let item = self.get(&format!("/v1/items/{}", self.items[user])).await;
        item["state"].as_str().expect("an Item has a state").to_owned()
    }

    /// Waits until an Item has a state.
    async fn until(&self, user: &str, state: &str) {
        let end = Instant::now() + PATIENCE;
        while self.state(user).await != state {
            assert!(Instant::now() < end, "{user} is {}, not {state}", self.state(user).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn rows(&self) -> Vec<String> {
        rows_in(&self.folder.path().join(STORE))
    }

    /// Waits until nothing is due and nothing under way.
    async fn until_quiet(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let busy = busy_in(&self.folder.path().join(STORE), &self.clock);
            if busy.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "not quiet: {busy:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.daemon.stop().await;
        self.plaid.stop().await;
        self.mail.stop().await;
    }
}

/// What an operator would write, with no wait before the first letter, letters at night too, and nothing done by the clock:
/// a test may be running at any hour.
fn configuration(store: &Path, link_mode: &str, plaid: &FakePlaid, mail_port: u16) -> String {
    format!(
        r#"
[app]
name = "Demo Budget"
url = "https://app.example"
support_email = "help@app.example"
[server]
public_url = "http://{public}"
public_listen = "{public}"
private_listen = "127.0.0.1:0"
control_socket = "{control}"
[plaid]
environment = "sandbox"
base_url = "{plaid}"
link_script_url = "{link_script}"
client_id = "demo-client"
secret = "demo-secret"
country_codes = ["US"]
link_mode = "{link_mode}"
[store]
path = "{store}"
data_key = "{data_key}"
[mail]
from = "Demo Budget <hello@app.example>"
smtp_url = "smtp://127.0.0.1:{mail_port}"
[schedule]
sweep = "0 0 0 1 1 * 2099"
purge = "0 0 0 1 1 * 2099"
[[api.keys]]
name = "test"
key = "{API_KEY}"
scope = "write"
[reminders]
login_required = ["0s", "3d", "7d", "14d"]
new_accounts = ["0s"]
send_window = "* * * * * *"
"#,
        public = free_address(),
        plaid = plaid.url(),
        link_script = plaid.link_script_url(),
        control = store.with_file_name("control.sock").display(),
        store = store.display(),
        data_key =
            base64::engine::general_purpose::STANDARD.encode(std::array::from_fn::<u8, 32, _>(|place| place as u8)),
    )
}

/// What a walk saw.
pub struct Walked {
    pub steps: Vec<String>,
    pub looks: u64,
}

/// Runs a walk, and fails with all of its faults.
pub async fn walk(tools: &Path, story: &str, mut given: Value) -> Walked {
    given["story"] = json!(story);
    given["tools"] = json!(tools);
    given["shots"] = json!(variable("TEST_BROWSER_SHOTS"));
    let mut process = Command::new("node")
        .arg(script("walk.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut input = process.stdin.take().expect("it is piped");
    input.write_all(given.to_string().as_bytes()).await.expect("node reads");
    drop(input);
    let ended = tokio::time::timeout(WALK_TIME_MAX, process.wait_with_output()).await.expect("the walk ends");
    let output = ended.expect("it is a child");
    assert!(output.status.success(), "the walk {story} broke down");
    let result = json_of(&output.stdout);
    let list = |name: &str| -> Vec<String> { serde_json::from_value(result[name].clone()).expect("a list of texts") };
    let faults = list("faults");
    assert!(faults.is_empty(), "{} faults in the walk {story}:\n{}", faults.len(), faults.join("\n"));
    Walked { steps: list("steps"), looks: result["looks"].as_u64().expect("a count") }
}
