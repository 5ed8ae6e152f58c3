//! Link tokens, sessions and Hosted Link: what they check, what they change, and what is told of them.

use super::*;

#[tokio::test]
async fn link_tokens_are_checked_as_plaid_does() {
    let stage = Stage::new().await;
    let good = json!({
        "client_name": "Example App", "language": "en", "country_codes": ["US"],
        "user": { "client_user_id": "user-1" }, "access_token": stage.token(),
        "update": { "account_selection_enabled": true }, "webhook": "https://app.example/hook",
        "redirect_uri": "https://app.example/back", "products": [],
    });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, expected) in [
        (good.clone(), ""),
        (with("language", json!("xx")), "INVALID_FIELD"),
        (with("country_codes", json!([])), "INVALID_FIELD"),
        (with("country_codes", json!(["XX"])), "INVALID_FIELD"),
        (with("user", json!({ "client_user_id": "someone@mail.example" })), "INVALID_FIELD"),
        (with("user", json!({ "client_user_id": "+1 555 0100" })), "INVALID_FIELD"),
        (with("user", json!({ "client_user_id": "u", "age": 3 })), "UNKNOWN_FIELDS"),
        (with("user", json!({})), "MISSING_FIELDS"),
        (with("products", json!(["transactions"])), "INVALID_FIELD"),
        (with("access_token", Value::Null), "MISSING_FIELDS"),
        (with("redirect_uri", json!("https://app.example/back?x=1")), "INVALID_FIELD"),
        (with("redirect_uri", json!("http://app.example/back")), "INVALID_FIELD"),
        (with("update", json!({ "account_selection_enabled": "yes" })), "INVALID_FIELD"),
        (with("hosted_link", json!({ "url_lifetime_seconds": 0 })), "INVALID_FIELD"),
        (with("hosted_link", json!({ "url_lifetime_seconds": 22 * 86_400 })), "INVALID_FIELD"),
        (with("colour", json!("blue")), "UNKNOWN_FIELDS"),
    ] {
        let answer = stage.ask("/link/token/create", body.clone()).await;
        assert_eq!(code(&answer).1, expected, "{body} {}", answer.1);
    }
    let long = stage.link_token(json!({ "client_name": "An application with a much too long name" })).await;
    assert_eq!(stage.open(&long).client_name, "This Application");
    stage.stop().await;
}

#[tokio::test]
async fn link_repairs_the_item_and_uses_the_token_up() {
    let production = |options: &mut Options| options.environment = "production".to_owned();
    let stage = Stage::with(production, Bank::new("ins_1", "Bank of Example"), vec![200]).await;
    stage.break_login().await;
    let answer = stage.link_token(json!({})).await;
    let view = stage.open(&answer);
    assert_eq!((view.bank.as_str(), view.choose_accounts), ("Bank of Example", false));
    let shown = stage.plaid.link_wrong_password(&view).unwrap();
    assert_eq!(shown["error_code"], "INVALID_CREDENTIALS");
    let left = stage.plaid.link_finish(&view, &Outcome::Exit { error_code: Some("INVALID_CREDENTIALS".to_owned()) });
    let left = left.unwrap();
    assert_eq!((&left.error["error_code"], &left.public_token), (&json!("INVALID_CREDENTIALS"), &None));
    assert!(stage.plaid.item(&stage.item.id).unwrap().trouble.is_some(), "leaving repairs nothing");

    let view = stage.open(&answer);
    let done = stage.plaid.link_finish(&view, &Outcome::Success { accounts: None }).unwrap();
    assert!(done.public_token.unwrap().starts_with("public-production-"));
    assert_eq!(done.metadata["accounts"].as_array().unwrap().len(), 2);
    assert!(stage.plaid.item(&stage.item.id).unwrap().trouble.is_none());
    assert!(stage.received().is_empty(), "nothing announces a repair by the SDK");
    assert_eq!(
        stage.plaid.link_start(&Door::LinkToken(view.link_token.clone())).unwrap_err().error_code,
        "INVALID_LINK_TOKEN"
    );

    let (_, told) = stage.ask("/link/token/get", json!({ "link_token": view.link_token })).await;
    let sessions = told["link_sessions"].as_array().unwrap();
    assert_eq!(sessions[0]["exit"]["error"]["error_code"], "INVALID_CREDENTIALS");
    assert_eq!(sessions[1]["results"]["item_add_results"][0]["institution"]["institution_id"], "ins_1");
    assert!(sessions[1]["events"].is_null(), "events are told for Hosted Link only");
    stage.pass(6 * 3600 + 1);
    let (_, told) = stage.ask("/link/token/get", json!({ "link_token": view.link_token })).await;
    assert_eq!(told["link_sessions"], json!([]), "forgotten after six hours");
    stage.stop().await;
}

#[tokio::test]
async fn the_sandbox_opens_a_used_token_again() {
    let stage = Stage::new().await;
    let answer = stage.link_token(json!({})).await;
    stage.plaid.link_finish(&stage.open(&answer), &Outcome::Success { accounts: None }).unwrap();
    stage.open(&answer);
    stage.stop().await;
}

#[tokio::test]
async fn an_oauth_bank_leads_out_of_link_and_back() {
    let bank = Bank { oauth: true, ..Bank::new("ins_1", "Bank of Example") };
    let stage = Stage::with(|_| (), bank, vec![200]).await;
    let post = async |path: &str, body: Value| -> Value {
        let url = format!("{}{path}", stage.plaid.url());
        stage.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let back = "https://app.example/back";
    let hosted = json!({ "hosted_link": {} });
    for (more, allow) in [(json!({ "redirect_uri": back }), true), (json!({}), true), (hosted, false)] {
        let answer = stage.link_token(more).await;
        let view = stage.open(&answer);
        let has_back = answer["hosted_link_url"].is_string() || view.redirects;
        assert!(view.oauth && view.choose_accounts && view.returned.is_none());
        let step = json!({ "link_token": view.link_token, "link_session_id": view.link_session_id });
        let out = post("/link/api/bank/leave", step).await;
        let state = out["oauth_state_id"].clone();
        let opening = json!({ "door": { "link_token": view.link_token }, "oauth_state_id": state });
        assert_eq!(post("/link/api/start", opening.clone()).await["error_code"], "INVALID_LINK_TOKEN", "not decided");
        let seen = post("/link/api/bank/view", json!({ "oauth_state_id": state })).await;
        assert_eq!((&seen["bank"], &seen["client_name"]), (&json!("Bank of Example"), &json!("Example App")));
        let decided = post("/link/api/bank/decide", json!({ "oauth_state_id": state, "allow": allow })).await;
        assert_eq!(decided["redirect"].is_string(), has_back, "{decided}");
        let again = post("/link/api/start", opening).await;
        assert_eq!(again["link_session_id"], view.link_session_id, "the same session goes on");
        assert_eq!(again["returned"], allow);
        let foreign = stage.link_token(json!({})).await;
        let foreign = json!({ "door": { "link_token": foreign["link_token"] }, "oauth_state_id": state });
        assert_eq!(post("/link/api/start", foreign).await["error_code"], "INVALID_LINK_TOKEN", "the same token only");
    }
    stage.stop().await;
}

#[tokio::test]
async fn link_tokens_die_of_age_and_of_wrong_passwords() {
    let stage = Stage::new().await;
    let view = stage.open(&stage.link_token(json!({})).await);
    for _ in 0..link_token::WRONG_PASSWORDS_MAX {
        stage.plaid.link_wrong_password(&view).unwrap();
    }
    assert_eq!(stage.plaid.link_wrong_password(&view).unwrap_err().error_code, "INVALID_LINK_TOKEN");

    let answer = stage.link_token(json!({})).await;
    stage.pass(30 * 60 - 1);
    let view = stage.open(&answer);
    stage.pass(1);
    let late = stage.plaid.link_finish(&view, &Outcome::Success { accounts: None });
    assert_eq!(late.unwrap_err().error_code, "INVALID_LINK_TOKEN", "half an hour is over");
    stage.stop().await;
}

#[tokio::test]
async fn accounts_are_shared_by_choice() {
    let stage = Stage::new().await;
    stage.plaid.act(&stage.item.id, Act::NewAccount, Delivery::Send).await.unwrap();
    let view = stage.open(&stage.link_token(json!({ "update": { "account_selection_enabled": true } })).await);
    assert_eq!(view.accounts.iter().filter(|account| account["shared"] == json!(false)).count(), 1);
    let chosen = view.accounts[1..].iter().map(|account| account["id"].as_str().unwrap().to_owned()).collect();
    stage.plaid.link_finish(&view, &Outcome::Success { accounts: Some(chosen) }).unwrap();
    let item = stage.plaid.item(&stage.item.id).unwrap();
    assert_eq!((item.shared.len(), item.unshared.len()), (2, 1));
    assert_eq!(item.unshared[0].name, "Checking", "the one that was not ticked is lost");
    stage.stop().await;
}

#[tokio::test]
async fn hosted_link_sends_a_webhook_and_goes_back() {
    let stage = Stage::new().await;
    stage.break_login().await;
    let hosted = json!({ "hosted_link": { "completion_redirect_uri": "https://app.example/back?ok=1" } });
    let answer = stage.link_token(hosted).await;
    let url = answer["hosted_link_url"].as_str().unwrap();
    let page = stage.http.get(url).send().await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    let id = url.rsplit('/').next().unwrap();

    let post = async |path: &str, body: Value| -> Value {
        let url = format!("{}{path}", stage.plaid.url());
        stage.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    for (outcome, status) in [(json!({ "kind": "exit" }), "EXITED"), (json!({ "kind": "success" }), "SUCCESS")] {
        let view = post("/link/api/start", json!({ "door": { "hosted": id } })).await;
        let mut step = json!({ "link_token": view["link_token"], "link_session_id": view["link_session_id"] });
        step["outcome"] = outcome;
        let done = post("/link/api/finish", step).await;
        assert_eq!(done["redirect"], "https://app.example/back?ok=1", "{done}");
        let told = |plaid: &FakePlaid| {
            plaid.sent().iter().any(|sent| sent.body.contains(status) && sent.status() == Some(200))
        };
        assert!(stage.plaid.wait_until(LIMIT, told).await, "{status}");
    }
    assert!(stage.plaid.item(&stage.item.id).unwrap().trouble.is_none());
    let (_, told) = stage.ask("/link/token/get", json!({ "link_token": answer["link_token"] })).await;
    assert_eq!(told["link_sessions"][1]["events"][1]["event_name"], "HANDOFF");
    assert_eq!(post("/link/api/start", json!({ "door": { "hosted": id } })).await["error_code"], "INVALID_LINK_TOKEN");
    stage.stop().await;
}
