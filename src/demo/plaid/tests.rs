//! The fake Plaid over real HTTP: answers as Plaid documents them, the truth behind them, webhooks, faults and the stage.
//! What Link does has a file of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::*;
use crate::demo::signer::sha256_hex;

mod link;

const LIMIT: Duration = Duration::from_secs(60);
const START: i64 = 1_795_000_000;

/// A fake Plaid with a clock that the test moves, and a receiver of webhooks that answers what it is told.
struct Stage {
    plaid: FakePlaid,
    clock: Arc<AtomicI64>,
    item: Item,
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    hook: String,
    http: reqwest::Client,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| (), Bank::new("ins_1", "Bank of Example"), vec![200]).await
    }

    async fn with(change: impl FnOnce(&mut Options), bank: Bank, statuses: Vec<u16>) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let hand = Arc::clone(&clock);
        let mut options = Options::new(Arc::new(move || {
            Timestamp::from_second(hand.load(Ordering::SeqCst)).expect("the test's time is a time")
        }));
        change(&mut options);
        let stop = options.stop.clone();
        let plaid = FakePlaid::start(options).unwrap();
        let tracker = TaskTracker::new();
        let received = Arc::new(Mutex::new(Vec::new()));
        let hook = receiver(Arc::clone(&received), statuses, &tracker, stop.clone());
        let mut new = NewItem::new("user-1", bank);
        new.webhook = Some(hook.clone());
        let item = plaid.add_item(new);
        Self { plaid, clock, item, received, hook, http: reqwest::Client::new(), tracker, stop }
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn ask(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.plaid.url())).header("PLAID-CLIENT-ID", "demo-client");
        let response = request.header("PLAID-SECRET", "demo-secret").json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn of_item(&self, path: &str) -> (u16, Value) {
        self.ask(path, json!({ "access_token": self.token() })).await
    }

    fn token(&self) -> &str {
        self.item.access_token.expose_secret()
    }

    async fn link_token(&self, more: Value) -> Value {
        let mut body = json!({
            "client_name": "Example App", "language": "en", "country_codes": ["US"],
            "user": { "client_user_id": "user-1" }, "access_token": self.token(),
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, answer) = self.ask("/link/token/create", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn break_login(&self) {
        let act = Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: None };
        self.plaid.act(&self.item.id, act, Delivery::Lose).await.unwrap();
    }

    fn open(&self, answer: &Value) -> View {
        let token = answer["link_token"].as_str().unwrap().to_owned();
        self.plaid.link_start(&Door::LinkToken(token)).unwrap()
    }

    fn received(&self) -> Vec<(HeaderMap, String)> {
        self.received.lock().unwrap().clone()
    }

    async fn stop(self) {
        self.plaid.stop().await;
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

fn receiver(
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    statuses: Vec<u16>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> String {
    let listener = serve::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let url = format!("http://{}/plaid/webhook", listener.local_addr().unwrap());
    let router = Router::new().fallback(move |headers: HeaderMap, body: String| {
        let mut received = received.lock().unwrap();
        let status = statuses[received.len().min(statuses.len() - 1)];
        received.push((headers, body));
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        async move { status }
    });
    serve::serve(listener, router, tracker, stop).unwrap();
    url
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error_code"].as_str().unwrap_or_default())
}

/// Whether a webhook's signature is right, and its `iat`.
fn verify(headers: &HeaderMap, body: &str, jwk: &Value) -> (bool, i64) {
    let token = headers["plaid-verification"].to_str().unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let claims = signed.split_once('.').unwrap().1;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let mut point = vec![4];
    point.extend(URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap());
    point.extend(URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap());
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    let good = key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_ok();
    let same_body = claims["request_body_sha256"] == json!(sha256_hex(body.as_bytes()));
    (good && same_body, claims["iat"].as_i64().unwrap())
}

async fn key_of(stage: &Stage, headers: &HeaderMap) -> Value {
    let token = headers["plaid-verification"].to_str().unwrap();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let (status, answer) = stage.ask("/webhook_verification_key/get", json!({ "key_id": header["kid"] })).await;
    assert_eq!(status, 200, "{answer}");
    answer["key"].clone()
}

#[tokio::test]
async fn a_broken_item_is_told_inside_a_good_answer() {
    let stage = Stage::new().await;
    let (status, healthy) = stage.of_item("/item/get").await;
    assert_eq!((status, &healthy["item"]["error"]), (200, &Value::Null));
    assert_eq!(healthy["item"]["item_id"], json!(stage.item.id));
    assert!(healthy["request_id"].is_string());

    stage.break_login().await;
    let (status, broken) = stage.of_item("/item/get").await;
    assert_eq!((status, &broken["item"]["error"]["error_code"]), (200, &json!("ITEM_LOGIN_REQUIRED")));
    assert_eq!(broken["status"]["last_webhook"]["code_sent"], json!("ERROR"), "Plaid believes that it told us");
    assert!(stage.received().is_empty(), "but the webhook was lost");
    assert_eq!(code(&stage.of_item("/accounts/get").await), (400, "ITEM_LOGIN_REQUIRED"), "others answer the error");
    stage.stop().await;
}

#[tokio::test]
async fn wrong_requests_get_plaids_errors() {
    let stage = Stage::new().await;
    let token = stage.token().to_owned();
    for (path, body, expected) in [
        ("/item/get", json!({}), (400, "MISSING_FIELDS")),
        ("/item/get", json!({ "access_token": token, "colour": 1 }), (400, "UNKNOWN_FIELDS")),
        ("/item/get", json!({ "access_token": "access-sandbox-unknown" }), (400, "INVALID_ACCESS_TOKEN")),
        ("/item/get", json!({ "access_token": "access-production-1" }), (400, "INVALID_ACCESS_TOKEN")),
        ("/item/get", json!({ "access_token": token, "client_id": "x", "secret": "y" }), (200, "")),
        ("/item/get", json!([]), (400, "INVALID_BODY")),
        ("/no/such", json!({}), (404, "NOT_FOUND")),
        ("/webhook_verification_key/get", json!({ "key_id": "k" }), (400, "INVALID_WEBHOOK_VERIFICATION_KEY_ID")),
        ("/institutions/get_by_id", json!({ "institution_id": "ins_1" }), (400, "MISSING_FIELDS")),
        (
            "/institutions/get_by_id",
            json!({ "institution_id": "ins_1", "country_codes": ["DE"] }),
            (400, "INVALID_INSTITUTION"),
        ),
        ("/institutions/get_by_id", json!({ "institution_id": "ins_1", "country_codes": ["US"] }), (200, "")),
        ("/link/token/get", json!({ "link_token": "link-sandbox-x" }), (400, "INVALID_LINK_TOKEN")),
    ] {
        let answer = stage.ask(path, body.clone()).await;
        assert_eq!(code(&answer), expected, "{path} {body} {}", answer.1);
    }
    let url = format!("{}/item/get", stage.plaid.url());
    let wrong = json!({ "client_id": "demo-client", "secret": "wrong", "access_token": token });
    let answer: Value = stage.http.post(url).json(&wrong).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["error_code"], "INVALID_API_KEYS");

    assert_eq!(stage.of_item("/item/remove").await.0, 200);
    assert_eq!(code(&stage.of_item("/item/get").await), (400, "ITEM_NOT_FOUND"));
    stage.stop().await;
}

#[tokio::test]
async fn webhooks_are_signed_over_their_exact_bytes() {
    let stage = Stage::new().await;
    let act =
        Act::BreakLogin { code: "ITEM_LOGIN_REQUIRED".to_owned(), reason: Some("OAUTH_CONSENT_EXPIRED".to_owned()) };
    let sent = stage.plaid.act(&stage.item.id, act, Delivery::Send).await.unwrap().unwrap();
    assert_eq!((sent.what.as_str(), sent.status()), ("ITEM/ERROR", Some(200)));
    let (headers, body) = stage.received().remove(0);
    assert!(body.starts_with("{\n  \""), "indented by two spaces: {body}");
    let key = key_of(&stage, &headers).await;
    assert_eq!(verify(&headers, &body, &key), (true, START));
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["error"]["error_code_reason"], "OAUTH_CONSENT_EXPIRED");
    assert!(told["error"]["request_id"].is_null() && told["error"]["status"] == 400);

    // Rotated: the next webhook names another key, and the old one can still be asked for, expired.
    let kid = stage.plaid.rotate_key();
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "LOGIN_REPAIRED", "item_id": stage.item.id });
    stage.plaid.send_webhook(&stage.hook, body, SignOptions::default()).await;
    let (headers, body) = stage.received().remove(1);
    let new = key_of(&stage, &headers).await;
    assert_eq!((verify(&headers, &body, &new).0, &new["kid"]), (true, &json!(kid)));
    let (_, old) = stage.ask("/webhook_verification_key/get", json!({ "key_id": key["kid"] })).await;
    assert_eq!(old["key"]["expired_at"], json!(START));
    stage.stop().await;
}

#[tokio::test]
async fn webhooks_can_be_stale_forged_and_doubled() {
    let stage = Stage::new().await;
    let body = json!({ "webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": stage.item.id });
    let sign = |signature, iat_offset_secs, duplicates| SignOptions { signature, iat_offset_secs, duplicates };
    for options in [
        sign(Signature::Good, -301, 2),
        sign(Signature::Broken, 0, 0),
        sign(Signature::OtherBody, 0, 0),
        sign(Signature::Missing, 0, 0),
    ] {
        stage.plaid.send_webhook(&stage.hook, body.clone(), options).await;
    }
    let received = stage.received();
    assert_eq!(received.len(), 6);
    let key = key_of(&stage, &received[0].0).await;
    assert_eq!(verify(&received[0].0, &received[0].1, &key), (true, START - 301));
    let headers = |n: usize| received[n].0["plaid-verification"].clone();
    assert!(headers(0) == headers(1) && headers(1) == headers(2), "duplicates are the same bytes");
    assert!(!verify(&received[3].0, &received[3].1, &key).0, "broken");
    assert!(!verify(&received[4].0, &received[4].1, &key).0, "another body");
    assert!(!received[5].0.contains_key("plaid-verification"));
    stage.stop().await;
}

#[tokio::test]
async fn refused_webhooks_are_tried_again_when_asked() {
    let quick = |options: &mut Options| options.retries = vec![Duration::from_millis(1); 3];
    let stage = Stage::with(quick, Bank::new("ins_1", "Bank of Example"), vec![503, 500, 200]).await;
    stage.plaid.act(&stage.item.id, Act::NewAccount, Delivery::Send).await.unwrap();
    let tried = |plaid: &FakePlaid| plaid.sent()[0].tries.iter().map(|t| t.status.unwrap()).eq([503, 500, 200]);
    assert!(stage.plaid.wait_until(LIMIT, tried).await, "{:?}", stage.plaid.sent());
    stage.stop().await;
}

#[tokio::test]
async fn an_ending_consent_is_told_by_country_and_breaks_at_its_time() {
    let mut bank = Bank::new("ins_2", "Exempelbank");
    bank.country = "SE".to_owned();
    let stage = Stage::with(|_| (), bank, vec![200]).await;
    let now = Timestamp::from_second(START).unwrap();
    let far = Act::ConsentEnds { at: now + jiff::SignedDuration::from_hours(24 * 8) };
    assert!(stage.plaid.act(&stage.item.id, far, Delivery::Send).await.unwrap().is_none(), "not before its time");
    let at = now + NOTICE;
    let sent = stage.plaid.act(&stage.item.id, Act::ConsentEnds { at }, Delivery::Send).await.unwrap().unwrap();
    assert_eq!(sent.what, "ITEM/PENDING_EXPIRATION");

    stage.pass(NOTICE.as_secs());
    let sent = stage.plaid.pass_time().await;
    assert_eq!(sent.len(), 1);
    assert!(stage.plaid.pass_time().await.is_empty(), "told once");
    let (_, answer) = stage.of_item("/item/get").await;
    assert_eq!(answer["item"]["error"]["error_code_reason"], "OAUTH_CONSENT_EXPIRED");
    stage.stop().await;
}

#[tokio::test]
async fn a_migration_may_name_no_time() {
    let stage = Stage::new().await;
    let act = Act::Disconnect { reason: "INSTITUTION_MIGRATION".to_owned(), at: None };
    let sent = stage.plaid.act(&stage.item.id, act, Delivery::Send).await.unwrap().unwrap();
    assert_eq!(sent.what, "ITEM/PENDING_DISCONNECT");
    assert!(!sent.body.contains("disconnect_time"), "{}", sent.body);
    let (_, answer) = stage.of_item("/item/get").await;
    assert_eq!((&answer["item"]["error"], &answer["item"]["consent_expiration_time"]), (&Value::Null, &Value::Null));
    stage.stop().await;
}

#[tokio::test]
async fn a_new_address_is_acknowledged_there() {
    let stage = Stage::new().await;
    let url = format!("{}/new", stage.hook);
    let (status, _) = stage.ask("/item/webhook/update", json!({ "access_token": stage.token(), "webhook": url })).await;
    assert_eq!(status, 200);
    let told = |plaid: &FakePlaid| plaid.sent().iter().any(|sent| sent.status() == Some(200));
    assert!(stage.plaid.wait_until(LIMIT, told).await);
    let sent = stage.plaid.sent().remove(0);
    assert_eq!((sent.what.as_str(), sent.url), ("ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED", Some(url)));
    stage.stop().await;
}

#[tokio::test]
async fn faults_count_down_and_leave_a_trace() {
    let stage = Stage::new().await;
    stage.plaid.fault(
        Fault::at("/item/get", Answer::Limited { error_code: "ITEM_GET_LIMIT".to_owned(), retry_after_secs: Some(7) })
            .times(1),
    );
    let url = format!("{}/item/get", stage.plaid.url());
    let limited = stage.http.post(&url).json(&json!({})).send().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(stage.of_item("/item/get").await.0, 200, "only once");

    stage.plaid.fault(Fault::at("/item/get", Answer::Cut).times(1));
    let body = json!({ "client_id": "demo-client", "secret": "demo-secret", "access_token": stage.token() });
    let cut = stage.http.post(&url).json(&body).send().await;
    let read = async { cut?.text().await };
    assert!(read.await.is_err(), "cut in the middle of the body");

    let raw = Answer::Raw { status: 502, body: "<html>".to_owned(), media_type: html() };
    stage.plaid.fault(Fault { path: None, times: None, item_id: None, delay_ms: 1, answer: raw });
    let gateway = stage.http.post(&url).json(&body).send().await.unwrap();
    assert_eq!((gateway.status().as_u16(), gateway.text().await.unwrap().as_str()), (502, "<html>"));
    stage.plaid.clear_faults();
    assert_eq!(stage.of_item("/item/get").await.0, 200);

    assert_eq!(stage.plaid.count("/item/get"), 5);
    let call = stage.plaid.calls().pop().unwrap();
    assert_eq!((call.item_id.as_deref(), call.status), (Some(stage.item.id.as_str()), 200));
    assert_eq!(call.body["access_token"], json!(stage.token()), "tests see the token");
    assert!(!format!("{call:?}").contains(stage.token()), "eyes do not");
    stage.stop().await;
}

fn html() -> String {
    "text/html".to_owned()
}

#[tokio::test]
async fn a_bank_that_is_down_lets_nobody_in() {
    let stage = Stage::new().await;
    stage.plaid.act(&stage.item.id, Act::BankDown, Delivery::Lose).await.unwrap();
    let (_, answer) = stage.of_item("/item/get").await;
    assert_eq!(answer["item"]["error"]["error_type"], "INSTITUTION_ERROR");
    let asked = json!({ "institution_id": "ins_1", "country_codes": ["US"], "options": { "include_status": true } });
    let (_, bank) = stage.ask("/institutions/get_by_id", asked).await;
    assert_eq!(bank["institution"]["status"]["item_logins"]["status"], "DOWN");
    let view = stage.open(&stage.link_token(json!({})).await);
    let refused = stage.plaid.link_finish(&view, &Outcome::Success { accounts: None }).unwrap_err();
    assert!(view.bank_down && refused.error_code == "INSTITUTION_DOWN");
    stage.plaid.act(&stage.item.id, Act::BankUp, Delivery::Lose).await.unwrap();
    assert!(stage.of_item("/item/get").await.1["item"]["error"].is_null());
    stage.stop().await;
}

#[tokio::test]
async fn the_stage_controls_by_json_and_shows_no_token() {
    let stage = Stage::new().await;
    let post = async |path: &str, body: Value| {
        let response = stage.http.post(format!("{}{path}", stage.plaid.url())).json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap_or_default())
    };
    let act = format!("/demo/items/{}/act", stage.item.id);
    let (status, answer) = post(&act, json!({ "act": "break_login", "webhook": "send" })).await;
    assert_eq!((status, &answer["webhook"]["tries"][0]["status"]), (200, &json!(200)));
    assert_eq!(post("/demo/items/none/act", json!({ "act": "revoke" })).await.0, 404);
    let raw = json!({
        "item_id": stage.item.id, "iat_offset_secs": -400, "duplicates": 1,
        "body": { "webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": stage.item.id },
    });
    let (_, answer) = post("/demo/webhooks", raw).await;
    assert_eq!(answer["webhook"]["tries"].as_array().unwrap().len(), 2);
    assert_eq!(post("/demo/key", json!({})).await.0, 200);
    assert_eq!(post("/demo/faults", json!({ "path": "/item/get", "answer": { "kind": "cut" } })).await.0, 204);
    assert_eq!(post("/demo/faults/clear", json!({})).await.0, 204);
    let bank = json!({ "id": "ins_9", "name": "Other" });
    assert_eq!(post("/demo/items", json!({ "user": "user-2", "bank": bank })).await.0, 201);

    let answer = stage.link_token(json!({ "hosted_link": {} })).await;
    let done = stage.plaid.link_finish(&stage.open(&answer), &Outcome::Success { accounts: None }).unwrap();
    let told = |plaid: &FakePlaid| plaid.sent().iter().any(|sent| sent.what == "LINK/SESSION_FINISHED");
    assert!(stage.plaid.wait_until(LIMIT, told).await);
    stage.of_item("/item/get").await;
    let state = stage.http.get(format!("{}/demo/state.json", stage.plaid.url())).send().await.unwrap();
    let state = state.text().await.unwrap();
    let link_token = answer["link_token"].as_str().unwrap();
    for secret in [stage.token(), "demo-secret", link_token, done.public_token.as_deref().unwrap()] {
        assert!(!state.contains(secret), "{secret} in {state}");
    }
    let simple = stage.http.post(format!("{}{act}", stage.plaid.url())).body(r#"{"act":"remove"}"#);
    let simple = simple.header("content-type", "text/plain").send().await.unwrap();
    assert_eq!(simple.status().as_u16(), 415, "a form of a foreign page changes nothing");
    stage.stop().await;
}
