//! The real binary as a process of its own: started on a folder, killed, told to stop, asked over its two listeners.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::{Child, Command};

/// Longer than anything here takes: what has not happened by then does not happen.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The key of the API.
pub const API_KEY: &str = "0123456789abcdef0123456789abcdef";

/// How long a connection may lie unused: less than the ten seconds after which the daemon closes it, or a request would
/// now and then meet the end.
pub const IDLE_MAX: Duration = Duration::from_secs(5);

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_relinkd");

/// A folder with a configuration and a store, and the addresses at which its daemon is heard.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub public: SocketAddr,
    pub private: SocketAddr,
    pub http: reqwest::Client,
}

impl Site {
    pub fn new(plaid_url: &str) -> Self {
        Self::with(plaid_url, "")
    }

    /// A site with more lines at the end of the configuration.
    pub fn with(plaid_url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (public, private) = (free_address(), free_address());
        let http = reqwest::Client::builder().pool_idle_timeout(IDLE_MAX).build().expect("a client");
        let site = Self { folder, public, private, http };
        std::fs::write(site.config(), configuration(plaid_url, public, private) + more).expect("written");
        site
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("relinkd.toml")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("relinkd.db")
    }

    /// What `relinkd COMMAND` is on this site. Its log is kept beside the store.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(words).arg("--config").arg(self.config());
        self.quiet(&mut command);
        command
    }

    /// Where its output goes, and that it does not outlive the test.
    pub fn quiet(&self, command: &mut Command) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The daemon, once it listens.
    pub async fn serve(&self) -> Child {
        let mut child = self.command(&["serve"]).spawn().expect("the binary starts");
        assert!(self.listens(&mut child).await, "it ended: {}", self.said());
        child
    }

    /// Waits until the daemon listens. Says no if it ends before.
    pub async fn listens(&self, child: &mut Child) -> bool {
        let begun = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(3));
        while tokio::net::TcpStream::connect(self.public).await.is_err() {
            if child.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            assert!(begun.elapsed() < LIMIT, "it does not listen: {}", self.said());
            pause.tick().await;
        }
        true
    }

    /// All that was logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// A call of the API.
    pub async fn api(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("http://{}{path}", self.private)).bearer_auth(API_KEY);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("the API answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    pub async fn register(&self, item: &str, user: &str) {
        let token = format!("{}{item}", super::small_plaid::TOKEN_PREFIX);
        let body = serde_json::json!({ "access_token": token, "user_id": user });
        self.api(reqwest::Method::PUT, &format!("/v1/items/{item}"), Some(body)).await;
    }
}

/// Tells a process to stop, and waits until it has.
pub async fn terminate(child: &mut Child) -> ExitStatus {
    let pid = child.id().expect("it runs");
    signal(pid, "TERM");
    wait(child).await
}

pub async fn wait(child: &mut Child) -> ExitStatus {
    tokio::time::timeout(LIMIT, child.wait()).await.expect("it ends").expect("a child of ours")
}

/// Sends a signal to one process.
pub fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

/// An address that nobody listens on. Not among the ports that the system gives to outgoing connections: while the daemon
/// is down, one of those would be taken, or would even be connected with itself.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 11_000).expect("small");
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A configuration whose store lies beside it, and whose mail server is nowhere.
pub fn configuration(plaid_url: &str, public: SocketAddr, private: SocketAddr) -> String {
    format!(
        r#"
[app]
name = "Example"
url = "https://www.example.com"
support_email = "support@example.com"
[server]
public_url = "https://repair.example.com"
public_listen = "{public}"
private_listen = "{private}"
control_socket = "control.sock"
[plaid]
environment = "sandbox"
base_url = "{plaid_url}"
client_id = "client-id"
secret = "secret-of-the-test"
country_codes = ["US"]
[store]
path = "relinkd.db"
data_key = "Y2FuYXJ5LWRhdGEta2V5LTAxMjM0NTY3ODlhYmNkZWY="
[mail]
from = "Example <hello@example.com>"
smtp_url = "smtp://127.0.0.1:9"
[schedule]
sweep = "0 0 0 1 1 * 2099"
purge = "0 0 0 1 1 * 2099"
[[api.keys]]
name = "test"
key = "{API_KEY}"
scope = "write"
"#
    )
}

/// Whether a program can be started here.
pub fn has(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder: PathBuf| exists(&folder, program))
}

fn exists(folder: &Path, program: &str) -> bool {
    folder.join(program).is_file()
}

/// Says aloud what is skipped: past the test runner, which keeps to itself what a passing test prints.
pub fn say(line: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
