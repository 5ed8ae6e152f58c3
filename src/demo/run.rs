//! The demo: the real daemon on a temporary store, beside a Plaid and a mailbox of its own, with five users.
//!
//! No configuration, no account, no network: everything is on loopback, and everything written is in one folder that goes
//! with the demo. The clock is the daemon's own and can be moved on, so that nobody has to wait three days for a reminder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::mailbox::{self, Mailbox};
use super::plaid::{self, Act, Bank, Delivery, FakePlaid, Item, NewItem};
use crate::config::{self, Config};
use crate::daemon::Daemon;
use crate::engine::clock::Clock;

/// The key of the demo's API. It is printed, and opens nothing but the demo.
pub const API_KEY: &str = "demo-key-demo-key-demo-key-demo-key";

/// How often the demo looks whether a connection has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a webhook that was not answered 200 is sent again. Plaid does so too, but nobody waits minutes at a demo whose
/// disk stood still for a moment.
const RETRIES: [Duration; 60] = [Duration::from_secs(1); 60];

/// How long its own daemon may take to take an Item: beyond it something hangs.
const REGISTER_LIMIT: Duration = Duration::from_secs(60);

/// What the demo listens on.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The daemon: webhooks and the repair page.
    pub public: SocketAddr,
    /// The daemon: the API.
    pub private: SocketAddr,
    /// The fake Plaid.
    pub plaid: SocketAddr,
    /// The mailbox's pages.
    pub mailbox: SocketAddr,
}

impl Addresses {
    /// Four ports in a row on loopback.
    ///
    /// # Errors
    /// The row ends beyond 65535.
    pub fn from_port(first: u16) -> anyhow::Result<Self> {
        let at = |offset: u16| {
            let port = first.checked_add(offset).context("--port leaves no room for four ports in a row")?;
            Ok::<_, anyhow::Error>(SocketAddr::from(([127, 0, 0, 1], port)))
        };
        Ok(Self { public: at(0)?, private: at(1)?, plaid: at(2)?, mailbox: at(3)? })
    }

    /// Any four free ports.
    #[must_use]
    pub fn any() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { public: any, private: any, plaid: any, mailbox: any }
    }
}

/// A running demo.
pub struct Demo {
    /// The real daemon.
    pub daemon: Daemon,
    /// Its Plaid.
    pub plaid: FakePlaid,
    /// Its mailbox.
    pub mailbox: Mailbox,
    /// Its clock.
    pub clock: Clock,
    // Removed when the demo ends.
    _folder: tempfile::TempDir,
}

impl Demo {
    /// Starts everything, and registers five users with their Items.
    ///
    /// # Errors
    /// An address that is taken, or no temporary folder.
    pub async fn start(addresses: Addresses) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let folder = tempfile::Builder::new().prefix("relinkd-demo-").tempdir().context("no temporary folder")?;
        let time = clock.clone();
        let now: plaid::Clock = Arc::new(move || time.now());
        let moved = clock.clone();
        let options = plaid::Options {
            address: addresses.plaid,
            skip: Some(Arc::new(move |by| moved.advance(by))),
            retries: RETRIES.to_vec(),
            ..plaid::Options::new(Arc::clone(&now))
        };
        let plaid = FakePlaid::start(options)
            .with_context(|| format!("{} cannot be listened on: try --port", addresses.plaid))?;
        let mailbox = Mailbox::start(mailbox::Options { web_address: addresses.mailbox, ..mailbox::Options::new(now) })
            .with_context(|| format!("{} cannot be listened on: try --port", addresses.mailbox))?;
        // The public address stands in the letters' links, so it is fixed before the daemon has bound it.
        let public = free(addresses.public)?;
        let private = free(addresses.private)?;
        let text = configuration(&folder.path().join("demo.db"), public, private, &plaid, &mailbox);
        let config = demo_config(&text)?;
        let daemon = Daemon::start(config, clock.clone()).await?;
        let demo = Self { daemon, plaid, mailbox, clock, _folder: folder };
        demo.register().await?;
        Ok(demo)
    }

    /// The origin of the daemon's public side.
    #[must_use]
    pub fn public_url(&self) -> String {
        format!("http://{}", self.daemon.public_address())
    }

    /// The origin of the daemon's API.
    #[must_use]
    pub fn private_url(&self) -> String {
        format!("http://{}", self.daemon.private_address())
    }

    async fn register(&self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        for user in users() {
            let body =
                json!({ "email": format!("{}@mailbox.example", user.id), "name": user.name, "time_zone": "UTC" });
            put(&http, &format!("{}/v1/users/{}", self.private_url(), user.id), &body).await?;
            for bank in user.banks {
                let webhook = Some(format!("{}/plaid/webhook", self.public_url()));
                let item = self.plaid.add_item(NewItem { webhook, ..NewItem::new(user.id, bank.clone()) });
                self.register_item(&http, &item, &bank).await?;
            }
        }
        Ok(())
    }

    async fn register_item(&self, http: &reqwest::Client, item: &Item, bank: &Bank) -> anyhow::Result<()> {
        let body = json!({
            "access_token": item.access_token.expose_secret(),
            "user_id": item.user,
            "institution_id": item.bank,
            "institution_name": bank.name,
        });
        put(http, &format!("{}/v1/items/{}", self.private_url(), item.id), &body).await
    }

    /// What happens without anybody pressing anything: a password was changed, a consent runs out, an account was opened.
    ///
    /// # Errors
    /// The demo's own Items are missing.
    pub async fn break_some(&self) -> anyhow::Result<()> {
        let items = self.plaid.items();
        let of = |user: &str| items.iter().find(|item| item.user == user).ok_or_else(|| anyhow!("no Item of {user}"));
        let ends = self.clock.now() + SignedDuration::from_hours(6 * 24);
        let acts = [
            ("user-1", Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None }),
            ("user-2", Act::ConsentEnds { at: ends }),
            ("user-3", Act::NewAccount),
        ];
        for (user, act) in acts {
            self.plaid.act(&of(user)?.id, act, Delivery::Send).await?;
        }
        Ok(())
    }

    /// Has what time does to connections happen as the clock goes: consents end, banks cut.
    pub async fn let_time_pass(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.plaid.pass_time().await;
        }
    }

    /// Stops everything; the folder goes.
    pub async fn stop(self) {
        self.daemon.stop().await;
        self.plaid.stop().await;
        self.mailbox.stop().await;
    }
}

struct DemoUser {
    id: &'static str,
    name: &'static str,
    banks: Vec<Bank>,
}

/// No two have a bank in common: logins of one bank that break one after the other are taken for an outage of the bank, and
/// who tries things out would wait hours for the letters.
fn users() -> Vec<DemoUser> {
    let platypus = Bank::new("ins_109508", "First Platypus Bank");
    let river = Bank::new("ins_demo_river", "Riverside Credit Union");
    let north = Bank::new("ins_demo_north", "Bank of the North");
    let harbor = Bank::new("ins_demo_harbor", "Harbor Savings Bank");
    let valley = Bank::new("ins_demo_valley", "Bank of the Valley");
    let summit = Bank::new("ins_demo_summit", "Summit Credit Union");
    let lake = Bank::new("ins_demo_lake", "Lakeside Bank");
    vec![
        DemoUser { id: "user-1", name: "Demo User One", banks: vec![platypus] },
        DemoUser { id: "user-2", name: "Demo User Two", banks: vec![river] },
        DemoUser { id: "user-3", name: "Demo User Three", banks: vec![north] },
        DemoUser { id: "user-4", name: "Demo User Four", banks: vec![harbor, valley, summit] },
        DemoUser { id: "user-5", name: "Demo User Five", banks: vec![lake] },
    ]
}

/// The address itself, with a port that is free if any will do.
fn free(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener =
        std::net::TcpListener::bind(address).with_context(|| format!("{address} cannot be listened on: try --port"))?;
    Ok(listener.local_addr()?)
}

/// The demo's configuration: what an operator would write, with short waits. Letters may leave at night.
fn configuration(
    store: &std::path::Path,
    public: SocketAddr,
    private: SocketAddr,
    plaid: &FakePlaid,
    mailbox: &Mailbox,
) -> String {
    format!(
        r#"
[app]
name = "Demo Budget"
url = "https://app.example"
support_email = "help@app.example"

[server]
public_url = "http://{public}"
public_listen = "{public}"
private_listen = "{private}"
control_socket = "{control}"

[plaid]
environment = "sandbox"
base_url = "{plaid_url}"
link_script_url = "{link_script}"
client_id = "demo-client"
secret = "demo-secret"
country_codes = ["US"]

[store]
path = "{store}"
data_key = "{data_key}"

[mail]
from = "Demo Budget <hello@app.example>"
smtp_url = "{smtp}"

[[api.keys]]
name = "demo"
key = "{API_KEY}"
scope = "write"

[reminders]
login_required = ["2s", "3d", "7d", "14d"]
pending_expiration = ["7d", "1d"]
new_accounts = ["2s"]
send_window = "* * * * * *"
"#,
        plaid_url = plaid.url(),
        link_script = plaid.link_script_url(),
        store = store.display(),
        control = store.with_file_name("control.sock").display(),
        data_key = data_key(),
        smtp = mailbox.smtp_url(),
    )
}

/// A key for this run only.
fn data_key() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(Clock::system().random::<32>())
}

fn demo_config(text: &str) -> anyhow::Result<Config> {
    config::from_text(text, "demo.toml", std::iter::empty(), std::path::Path::new(""))
        .map_err(|faults| anyhow!("the demo's own configuration has faults: {faults}"))
}

async fn put(http: &reqwest::Client, url: &str, body: &serde_json::Value) -> anyhow::Result<()> {
    let request = http.put(url).bearer_auth(API_KEY).json(body).timeout(REGISTER_LIMIT);
    request.send().await?.error_for_status().map(drop).context("the demo's daemon does not take its Items")
}
