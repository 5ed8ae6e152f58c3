//! No secret in any line of the log: the real binary at TRACE, through a whole repair and much that goes wrong.

use std::sync::Arc;

use relinkd::demo::mailbox::{self, Letter, Mailbox};
use relinkd::demo::plaid::{self, Act, Bank, Delivery, Door, FakePlaid, NewItem, Outcome};
use relinkd::engine::clock::Clock;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::harness::repair::{repair_link, stop_link};
use crate::process::{API_KEY, LIMIT, Site, terminate};

const TOKEN: &str = "access-sandbox-canary1-of-the-token";
const ADDRESS: &str = "canary2@mailbox.example";
const NAME: &str = "Canary3 Example";
const BANK_LINE: &str = "First Platypus Bank";

const MORE: &str = r#"
[reminders]
login_required = ["0s", "3d"]
send_window = "* * * * * *"
[log]
level = "trace"
"#;

struct Stage {
    site: Site,
    plaid: FakePlaid,
    mailbox: Mailbox,
}

impl Stage {
    fn new() -> Self {
        let clock = Clock::system();
        let now: plaid::Clock = Arc::new(move || clock.now());
        let plaid = FakePlaid::start(plaid::Options {
            client_id: "client-id".to_owned(),
            secret: "secret-of-the-test".into(),
            ..plaid::Options::new(Arc::clone(&now))
        });
        let plaid = plaid.expect("a port on loopback");
        let mailbox = Mailbox::start(mailbox::Options::new(now)).expect("a port on loopback");
        let site = Site::with(&plaid.url(), MORE);
        Self { site, plaid, mailbox }
    }

    /// What a letter's link is on this machine.
    fn here(&self, link: &str) -> String {
        link.replace("https://repair.example.com", &format!("http://{}", self.site.public))
    }

    async fn post(&self, url: &str, body: Value) -> (StatusCode, Value) {
        let answer = self.site.http.post(url).json(&body).send().await.expect("the page answers");
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    async fn letter(&self, count: u64) -> Letter {
        let letters = self.mailbox.wait_for(count, LIMIT).await;
        let letters = letters.unwrap_or_else(|| panic!("no letter {count}: {}", self.site.said()));
        letters.last().expect("a letter").clone()
    }

    /// Registers, breaks, presses, repairs. Answers the secrets that came up on the way.
    async fn repair(&self) -> Vec<String> {
        let user = json!({ "email": ADDRESS, "name": NAME });
        self.site.api(Method::PUT, "/v1/users/user-1", Some(user)).await;
        let item = self.plaid.add_item(NewItem {
            access_token: Some(TOKEN.into()),
            webhook: Some(format!("http://{}/plaid/webhook", self.site.public)),
            ..NewItem::new("user-1", Bank::new("ins_1", BANK_LINE))
        });
        let body = json!({ "access_token": item.access_token.expose_secret(), "user_id": "user-1" });
        self.site.api(Method::PUT, &format!("/v1/items/{}", item.id), Some(body)).await;
        let broken = Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None };
        self.plaid.act(&item.id, broken, Delivery::Send).await.expect("the Item is there");
        let letter = self.letter(1).await;
        let (repair, stop) = (repair_link(&letter), stop_link(&letter));
        let page = self.here(&repair);
        self.site.http.get(&page).send().await.expect("the page answers");
        let (_, pressed) = self.post(&format!("{page}/link"), json!({ "item_id": item.id })).await;
        let token = pressed["link_token"].as_str().expect("a Link token").to_owned();
        let view = self.plaid.link_start(&Door::LinkToken(token.clone())).expect("Link opens");
        self.plaid.link_finish(&view, &Outcome::Success { accounts: None }).expect("Link ends");
        let (_, done) = self.post(&format!("{page}/done"), json!({ "item_id": item.id })).await;
        assert_eq!(done["state"], "works");
        self.letter(2).await;
        let secret_of = |link: &str| link.rsplit('/').next().expect("a token").to_owned();
        self.post(&self.here(&stop), Value::Null).await;
        vec![token, secret_of(&repair), secret_of(&stop)]
    }

    /// Requests that are refused: what is wrong with them may not be told with their words.
    async fn trouble(&self) {
        let items = format!("http://{}/v1/items/item-9", self.site.private);
        for body in [
            format!("{{\"access_token\": \"{TOKEN}\", \"user_id\": \"{ADDRESS}\"}}"),
            format!("{{\"access_token\": [\"{TOKEN}\"]"),
            format!("{{\"{TOKEN}\": 1}}"),
        ] {
            let request = self.site.http.put(&items).bearer_auth(API_KEY).body(body);
            assert_eq!(request.send().await.expect("an answer").status(), StatusCode::BAD_REQUEST);
        }
        let keyless = self.site.http.get(&items).bearer_auth("canary4-is-no-key-of-this-daemon-at-all");
        assert_eq!(keyless.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
        let webhook = format!("http://{}/plaid/webhook", self.site.public);
        let forged = self.site.http.post(webhook).header("plaid-verification", "canary5.a.b").body(TOKEN);
        assert_eq!(forged.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
        let unknown = format!("http://{}/repair/canary6.AAAA", self.site.public);
        self.site.http.get(unknown).send().await.expect("an answer");
    }
}

#[tokio::test]
async fn no_line_of_the_log_holds_a_secret() {
    let stage = Stage::new();
    let mut command = stage.site.command(&["serve"]);
    command.env("RELINKD_MAIL__SMTP_URL", stage.mailbox.smtp_url());
    let mut daemon = command.spawn().expect("the binary starts");
    assert!(stage.site.listens(&mut daemon).await, "{}", stage.site.said());
    let mut secrets = stage.repair().await;
    stage.trouble().await;
    terminate(&mut daemon).await;
    stage.plaid.stop().await;
    stage.mailbox.stop().await;
    let log = stage.site.said();
    assert!(log.contains("TRACE") && log.contains("letter"), "the log tells everything: {log}");
    secrets.extend([TOKEN, ADDRESS, "Canary3", API_KEY, "secret-of-the-test", "Y2FuYXJ5"].map(str::to_owned));
    secrets.extend((4..=6).map(|number| format!("canary{number}")));
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} is in the log: {}", line.unwrap_or_default());
    }
}
