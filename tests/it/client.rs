//! The client of Plaid's API against a Plaid that answers well, badly and not at all.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use relinkd::demo::signer::Signer;
use relinkd::domain::event::{Event, Health};
use relinkd::domain::ids::{InstitutionId, ItemId, UserId};
use relinkd::domain::item::Destination;
use relinkd::plaid::client::{
    ANSWER_BYTES_MAX, CallError, Client, KeyCallError, LinkTokenRequest, Logins, OptionsError, SentWebhook, Verdict,
};
use relinkd::plaid::key::KeyError;

use crate::loopback::{Loopback, Reply, SECRET, options};
use crate::process::free_address;

/// A token that may be nowhere but in the body of a request.
const CANARY: &str = "access-sandbox-c0ffee00-1111-4222-8333-444444444444";

fn token() -> SecretString {
    SecretString::from(CANARY)
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn item_body(error: &Value) -> Value {
    json!({
        "item": {
            "item_id": "item-1", "institution_id": "ins_1", "institution_name": "Example Bank",
            "webhook": "https://hooks.example/plaid/webhook", "error": error, "available_products": [],
            "billed_products": [], "consent_expiration_time": "2027-01-01T00:00:00Z", "update_type": "background",
        },
        "status": { "last_webhook": { "sent_at": "2026-11-23T08:00:00Z", "code_sent": "DEFAULT_UPDATE" } },
        "request_id": "request-1",
    })
}

fn error_body(error_type: &str, code: &str) -> Value {
    json!({ "error_type": error_type, "error_code": code, "error_message": format!("about {CANARY}"),
        "display_message": CANARY, "request_id": "request-7" })
}

/// The error of `/item/get` when Plaid answers so.
async fn refusal(reply: Reply) -> CallError {
    refusal_within(Duration::from_secs(20), reply).await
}

async fn refusal_within(total: Duration, reply: Reply) -> CallError {
    let plaid = Loopback::start(reply).await;
    let client = plaid.client_within(total);
    let answer = tokio::time::timeout(Duration::from_secs(60), client.item_get(&token())).await;
    let error = answer.expect("the client's own limit comes first").expect_err("no answer");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("c0ffee"), "{shown}");
    error
}

#[tokio::test]
async fn an_item_that_is_well() {
    let date = [("Date", "Mon, 23 Nov 2026 09:00:00 GMT")];
    let plaid = Loopback::start(Reply::with("200 OK", &date, &item_body(&Value::Null).to_string())).await;
    let answer = plaid.client().item_get(&token()).await.expect("an answer");
    assert_eq!(answer.webhook.as_deref(), Some("https://hooks.example/plaid/webhook"));
    let last = SentWebhook { sent_at: time("2026-11-23T08:00:00Z"), code: Some("DEFAULT_UPDATE".to_owned()) };
    assert_eq!(answer.last_webhook, Some(last));
    assert_eq!(answer.answered_at, Some(time("2026-11-23T09:00:00Z")));
    assert_eq!(answer.request_id.as_deref(), Some("request-1"));
    let asked_at = time("2026-11-23T08:59:59Z");
    let observation = answer.observation(asked_at, "https://hooks.example/plaid/webhook");
    assert_eq!(observation.webhooks_go, Some(Destination::Here));
    let other = answer.observation(asked_at, "https://hooks.example/plaid/webhook/");
    assert_eq!(other.webhooks_go, Some(Destination::Elsewhere));
    assert_eq!(observation.asked_at, asked_at);
    assert_eq!(observation.item.as_ref().map(ItemId::as_str), Some("item-1"));
    assert_eq!(observation.health, Health::Good);
    assert_eq!(observation.consent_expires_at, Some(time("2027-01-01T00:00:00Z")));
    assert_eq!(observation.institution.and_then(|bank| bank.name).as_deref(), Some("Example Bank"));
}

#[tokio::test]
async fn what_is_sent() {
    let plaid = Loopback::start(Reply::json("200 OK", &item_body(&Value::Null))).await;
    let client = plaid.client();
    client.item_get(&token()).await.expect("an answer");
    let [request] = &plaid.requests()[..] else { panic!("one request") };
    assert!(request.head.starts_with("post /item/get http/1.1"), "{}", request.head);
    for header in [
        "content-type: application/json",
        "plaid-client-id: client-id-of-the-test",
        &format!("plaid-secret: {SECRET}"),
        "plaid-version: 2020-09-14",
    ] {
        assert!(request.head.contains(header), "{header}: {}", request.head);
    }
    assert_eq!(request.json(), json!({ "access_token": CANARY }));
    let shown = format!("{client:?} {:?}", options(plaid.url.clone()));
    assert!(!shown.contains("c0ffee"), "{shown}");
}

#[tokio::test]
async fn an_item_with_an_error_is_an_answer() {
    let table = [
        ("ITEM_LOGIN_REQUIRED", "broken"),
        ("NO_ACCOUNTS", "broken"),
        ("USER_PERMISSION_REVOKED", "revoked"),
        ("INSTITUTION_DOWN", "impaired"),
        ("BRAND_NEW", "impaired"),
        ("ITEM_NOT_FOUND", "gone"),
    ];
    for (code, expected) in table {
        let plaid = Loopback::start(Reply::json("200 OK", &item_body(&error_body("ITEM_ERROR", code)))).await;
        let answer = plaid.client().item_get(&token()).await.expect("an answer");
        let health = match answer.observation(time("2026-11-23T09:00:00Z"), "").health {
            Health::Good => "good",
            Health::Broken(_) => "broken",
            Health::Revoked { .. } => "revoked",
            Health::Impaired { .. } => "impaired",
            Health::Gone => "gone",
        };
        assert_eq!(health, expected, "{code}");
        assert!(!format!("{answer:?}").contains("c0ffee"), "messages are not kept");
    }
}

#[tokio::test]
async fn nulls_and_missing_fields_are_none() {
    let body = json!({ "item": { "item_id": "item-1", "error": null, "institution_id": null, "webhook": null,
        "consent_expiration_time": null }, "status": null });
    let plaid = Loopback::start(Reply::json("200 OK", &body)).await;
    let answer = plaid.client().item_get(&token()).await.expect("an answer");
    assert_eq!((answer.institution, answer.webhook, answer.consent_expires_at), (None, None, None));
    assert_eq!((answer.last_webhook, answer.answered_at, answer.request_id), (None, None, None));
}

#[tokio::test]
async fn an_answer_without_the_error_field_is_not_taken_for_health() {
    let mut body = item_body(&Value::Null);
    body["item"].as_object_mut().expect("an object").remove("error");
    let error = refusal(Reply::json("200 OK", &body)).await;
    assert!(matches!(&error, CallError::Unreadable { at } if at.starts_with("item")), "{error:?}");
    for wrong in [json!(CANARY), json!(7), json!([])] {
        let error = refusal(Reply::json("200 OK", &item_body(&wrong))).await;
        assert_eq!(error, CallError::Unreadable { at: "item.error".to_owned() }, "{wrong}");
    }
}

#[tokio::test]
async fn json_that_is_not_what_plaid_documents_says_where() {
    let mut body = item_body(&Value::Null);
    body["item"]["item_id"] = json!({ "token": CANARY });
    let error = refusal(Reply::json("200 OK", &body)).await;
    assert_eq!(error, CallError::Unreadable { at: "item.item_id".to_owned() });
    let error = refusal(Reply::json("200 OK", &json!([CANARY]))).await;
    assert_eq!(error.name(), "unreadable");
}

#[tokio::test]
async fn errors_are_told_apart_by_what_is_to_be_done() {
    let table = [
        ("400 Bad Request", "ITEM_ERROR", "ITEM_NOT_FOUND", "refused"),
        ("400 Bad Request", "INVALID_INPUT", "INVALID_ACCESS_TOKEN", "refused"),
        ("400 Bad Request", "INVALID_REQUEST", "UNKNOWN_FIELDS", "refused"),
        ("500 Internal Server Error", "INSTITUTION_ERROR", "INSTITUTION_DOWN", "refused"),
        ("400 Bad Request", "INVALID_INPUT", "INVALID_API_KEYS", "credentials"),
        ("401 Unauthorized", "INVALID_INPUT", "UNAUTHORIZED_ENVIRONMENT", "credentials"),
        ("429 Too Many Requests", "RATE_LIMIT_EXCEEDED", "ITEM_GET_LIMIT", "rate_limited"),
        ("400 Bad Request", "RATE_LIMIT_EXCEEDED", "BRAND_NEW", "rate_limited"),
        ("429 Too Many Requests", "BRAND_NEW", "BRAND_NEW", "rate_limited"),
        ("500 Internal Server Error", "API_ERROR", "INTERNAL_SERVER_ERROR", "plaid_down"),
        ("503 Service Unavailable", "API_ERROR", "PLANNED_MAINTENANCE", "plaid_down"),
        ("400 Bad Request", "API_ERROR", "BRAND_NEW", "plaid_down"),
        ("502 Bad Gateway", "BRAND_NEW", "BRAND_NEW", "plaid_down"),
    ];
    for (status, error_type, code, expected) in table {
        let error = refusal(Reply::json(status, &error_body(error_type, code))).await;
        assert_eq!(error.name(), expected, "{status} {error_type} {code}");
        let refused = matches!(error, CallError::Refused(_) | CallError::Credentials(_));
        assert_eq!(error.code(), refused.then_some(code));
        if refused {
            assert!(error.to_string().contains(code) && error.to_string().contains("request-7"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_of_plaids_is_plaid_being_down() {
    let page = "<html><body>Bad gateway, access-sandbox-c0ffee</body></html>";
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{\"item\": {\"item_id\": ".to_vec();
    let half = "{\"item\": {\"item_id\": ";
    let long = format!("{{\"x\": \"{}\"}}", "x".repeat(ANSWER_BYTES_MAX));
    let table = [
        ("an error page", Reply::with("502 Bad Gateway", &[("Content-Type", "text/html")], page), 502),
        ("an error page as a success", Reply::with("200 OK", &[], page), 200),
        ("an empty error", Reply::with("500 Internal Server Error", &[], ""), 500),
        ("an empty answer", Reply::with("200 OK", &[], ""), 200),
        ("an answer cut off on the way", Reply::Bytes(cut), 200),
        ("an answer cut off before it left", Reply::with("200 OK", &[], half), 200),
        ("a redirection", Reply::with("302 Found", &[("Location", "http://127.0.0.1:9/")], ""), 302),
        ("a refusal without words", Reply::with("403 Forbidden", &[], "{}"), 403),
        ("a refusal that is a list", Reply::with("400 Bad Request", &[], "[1]"), 400),
        ("an answer without end", Reply::with("200 OK", &[], &long), 200),
    ];
    for (name, reply, expected) in table {
        let error = refusal(reply).await;
        assert!(matches!(error, CallError::PlaidDown { status, .. } if status == expected), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_cut_by_the_time_limit() {
    let silent = Reply::Stall(Vec::new());
    let half = Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec());
    let cut = |reply| refusal_within(Duration::from_millis(1_500), reply);
    let (silent, half, drip) = tokio::join!(cut(silent), cut(half), cut(Reply::Drip));
    assert_eq!([silent, half, drip], [CallError::TimedOut, CallError::TimedOut, CallError::TimedOut]);
}

#[tokio::test]
async fn nobody_there() {
    let url = Url::parse(&format!("http://{}", free_address())).expect("an address");
    let client = Client::new(&options(url.clone())).expect("a client");
    let error = client.item_get(&token()).await.expect_err("nobody");
    assert!(matches!(&error, CallError::Unreachable { cause } if cause.contains("refused")), "{error:?}");
    assert!(!error.to_string().contains(url.as_str()), "{error}");
    let error = refusal(Reply::Bytes(Vec::new())).await;
    assert_eq!(error.name(), "unreachable", "hung up without an answer");
}

#[tokio::test]
async fn how_long_to_wait() {
    let date = ("Date", "Mon, 23 Nov 2026 09:00:00 GMT");
    let table = [
        (vec![], None),
        (vec![("Retry-After", "7")], Some(7)),
        (vec![("Retry-After", "86400")], Some(3600)),
        (vec![("Retry-After", "soon")], None),
        (vec![date, ("Retry-After", "Mon, 23 Nov 2026 09:02:00 GMT")], Some(120)),
        (vec![date, ("Retry-After", "Mon, 23 Nov 2026 08:00:00 GMT")], Some(0)),
    ];
    for (headers, seconds) in table {
        let body = error_body("RATE_LIMIT_EXCEEDED", "ITEM_GET_LIMIT").to_string();
        for body in [body.as_str(), "slow down"] {
            let error = refusal(Reply::with("429 Too Many Requests", &headers, body)).await;
            assert_eq!(error, CallError::RateLimited { retry_after: seconds.map(Duration::from_secs) }, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn what_a_refusal_tells_about_the_item() {
    let asked_at = time("2026-11-23T09:00:00Z");
    let told =
        async |code| refusal(Reply::json("400 Bad Request", &error_body("ITEM_ERROR", code))).await.event(asked_at);
    let health = |event: Option<Event>| match event {
        Some(Event::Observed(observation)) => {
            assert_eq!((observation.item, observation.asked_at), (None, asked_at));
            observation.health
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(health(told("ITEM_NOT_FOUND").await), Health::Gone);
    let revoked = Health::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() };
    assert_eq!(health(told("USER_PERMISSION_REVOKED").await), revoked);
    let refused = Event::TokenRefused { code: "INVALID_ACCESS_TOKEN".to_owned() };
    assert_eq!(told("INVALID_ACCESS_TOKEN").await, Some(refused));
    for code in ["INVALID_API_KEYS", "ITEM_LOGIN_REQUIRED", "INSTITUTION_DOWN", "BRAND_NEW"] {
        assert_eq!(told(code).await, None, "{code}");
    }
}

#[tokio::test]
async fn a_link_token_is_secret() {
    let body = json!({ "link_token": "link-sandbox-c0ffee", "expiration": "2026-11-23T09:30:00Z",
        "hosted_link_url": "https://secure.plaid.com/hl/c0ffee", "request_id": "request-1" });
    let plaid = Loopback::start(Reply::json("200 OK", &body)).await;
    let request = LinkTokenRequest {
        client_name: "Example".to_owned(),
        language: "en".to_owned(),
        country_codes: vec!["US".to_owned()],
        client_user_id: UserId::parse("user-1").expect("an id"),
        access_token: token(),
        account_selection: false,
        redirect_uri: None,
        hosted: None,
    };
    let answer = plaid.client().link_token_create(&request).await.expect("a token");
    assert_eq!(answer.link_token.expose_secret(), "link-sandbox-c0ffee");
    assert_eq!(answer.expiration, time("2026-11-23T09:30:00Z"));
    assert_eq!(answer.hosted_link_url.as_deref(), Some("https://secure.plaid.com/hl/c0ffee"));
    let shown = format!("{answer:?} {request:?}");
    assert!(!shown.contains("c0ffee"), "{shown}");
}

#[tokio::test]
async fn what_became_of_a_link_token() {
    let open =
        json!({ "link_session_id": "s", "started_at": "2026-11-23T09:00:00Z", "finished_at": null, "events": [] });
    let ended = json!({ "link_session_id": "s", "finished_at": "2026-11-23T09:01:00Z", "exit": null });
    let left = json!({ "link_session_id": "s", "finished_at": "2026-11-23T09:01:00Z",
        "exit": { "error": null, "metadata": { "status": "requires_credentials" } } });
    let left_by_event = json!({ "link_session_id": "s", "finished_at": "2026-11-23T09:01:00Z",
        "events": [{ "event_name": "EXIT" }] });
    let left_long_ago = json!({ "link_session_id": "s", "on_exit": { "error": null, "metadata": null } });
    let good_by_event =
        json!({ "link_session_id": "s", "events": [{ "event_name": "HANDOFF" }, { "event_name": "EXIT" }] });
    let good = json!({ "link_session_id": "s", "results": { "item_add_results": [{ "public_token": "p" }] } });
    let good_long_ago = json!({ "link_session_id": "s", "on_success": { "public_token": "p", "metadata": null } });
    let table = [
        ("never opened", json!([]), Verdict::Open),
        ("no list", Value::Null, Verdict::Open),
        ("open", json!([open]), Verdict::Open),
        ("over, no sign", json!([ended]), Verdict::Succeeded),
        ("left", json!([left]), Verdict::Left),
        ("left, by its events", json!([left_by_event]), Verdict::Left),
        ("left, old form", json!([left_long_ago]), Verdict::Left),
        ("good, by its events", json!([good_by_event]), Verdict::Succeeded),
        ("good", json!([good]), Verdict::Succeeded),
        ("good, old form", json!([good_long_ago]), Verdict::Succeeded),
        ("left, then open again", json!([left, open]), Verdict::Open),
        ("left, then good", json!([left, good]), Verdict::Succeeded),
        ("good, then opened again", json!([good, open]), Verdict::Succeeded),
    ];
    for (name, sessions, expected) in table {
        let body = json!({ "link_token": "l", "link_sessions": sessions, "request_id": "r" });
        let plaid = Loopback::start(Reply::json("200 OK", &body)).await;
        let answer = plaid.client().link_token_get(&SecretString::from("link-1")).await.expect("an answer");
        assert_eq!(answer.verdict(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_key_an_unknown_key_and_no_answer() {
    let signer = Signer::new("key-1");
    let jwk = signer.jwk(1_795_000_000, None);
    let plaid = Loopback::start(Reply::json("200 OK", &json!({ "key": jwk, "request_id": "r" }))).await;
    let key = plaid.client().verification_key("key-1").await.expect("a key");
    assert_eq!((key.kid(), key.json()), ("key-1", jwk.to_string().as_str()));
    let other = plaid.client().verification_key("key-2").await.map(|_| ());
    assert_eq!(other, Err(KeyCallError::Unusable(KeyError::OtherKid)));
    let unknown = error_body("INVALID_INPUT", "INVALID_WEBHOOK_VERIFICATION_KEY_ID");
    let plaid = Loopback::start(Reply::json("400 Bad Request", &unknown)).await;
    assert_eq!(plaid.client().verification_key("key-1").await.map(|_| ()), Err(KeyCallError::Unknown));
    let plaid = Loopback::start(Reply::with("500 Internal Server Error", &[], "")).await;
    let down = plaid.client().verification_key("key-1").await.map(|_| ());
    assert!(matches!(down, Err(KeyCallError::Call(CallError::PlaidDown { .. }))), "{down:?}");
}

#[tokio::test]
async fn a_bank_and_its_logins() {
    let id = InstitutionId::parse("ins_1").expect("an id");
    let table = [
        (json!({ "item_logins": { "status": "HEALTHY" } }), Some(Logins::Healthy)),
        (json!({ "item_logins": { "status": "DEGRADED" } }), Some(Logins::Degraded)),
        (json!({ "item_logins": { "status": "DOWN" } }), Some(Logins::Down)),
        (json!({ "item_logins": { "status": "NEW" } }), None),
        (json!({ "item_logins": null }), None),
        (Value::Null, None),
    ];
    for (status, expected) in table {
        let body = json!({ "institution": { "institution_id": "ins_1", "name": "Example Bank", "status": status } });
        let plaid = Loopback::start(Reply::json("200 OK", &body)).await;
        let answer = plaid.client().institution(&id, &["US".to_owned()]).await.expect("an answer");
        assert_eq!((answer.name.as_str(), answer.logins), ("Example Bank", expected), "{status}");
    }
}

#[tokio::test]
async fn an_item_is_removed() {
    let plaid = Loopback::start(Reply::json("200 OK", &json!({ "request_id": "r" }))).await;
    assert_eq!(plaid.client().item_remove(&token()).await, Ok(()));
    let gone = Reply::json("400 Bad Request", &error_body("ITEM_ERROR", "ITEM_NOT_FOUND"));
    let plaid = Loopback::start(gone).await;
    let error = plaid.client().item_remove(&token()).await.expect_err("gone");
    assert_eq!(error.code(), Some("ITEM_NOT_FOUND"));
}

#[tokio::test]
async fn a_path_in_the_address_is_kept() {
    let plaid = Loopback::start(Reply::json("200 OK", &json!({ "request_id": "r" }))).await;
    let client = Client::new(&options(plaid.url.join("fake/plaid").expect("an address"))).expect("a client");
    client.item_remove(&token()).await.expect("an answer");
    assert!(plaid.requests()[0].head.starts_with("post /fake/plaid/item/remove "), "{}", plaid.requests()[0].head);
}

#[test]
fn the_secret_goes_in_clear_to_nobody_but_this_machine() {
    let try_url = |url: &str| Client::new(&options(Url::parse(url).expect("an address"))).map(|_| ());
    for url in ["http://127.0.0.1:1", "http://localhost:1/x", "http://[::1]:1", "https://plaid.example"] {
        assert_eq!(try_url(url), Ok(()), "{url}");
    }
    for url in ["http://plaid.example", "http://10.0.0.1", "http://localhost.example", "ftp://127.0.0.1"] {
        assert_eq!(try_url(url), Err(OptionsError::Insecure), "{url}");
    }
    let mut wrong = options(Url::parse("https://sandbox.plaid.com/").expect("an address"));
    wrong.secret = SecretString::from("two\nlines");
    assert_eq!(Client::new(&wrong).map(|_| ()), Err(OptionsError::Credentials));
}
