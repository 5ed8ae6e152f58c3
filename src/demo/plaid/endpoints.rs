//! The API: which fields an endpoint takes, and what it answers.
//!
//! Pure but for the state that is passed in; [`answer`] is the one entry. Link tokens have a file of their own.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::faults::{self, Answer, Call};
use super::truth::{Account, Bank, Item};
use super::webhooks::{self, Parcel};
use super::words::{PlaidError, Trouble};
use super::world::{State, World};
use super::{Options, events, link_token};

/// A request as an endpoint sees it.
pub(super) struct Ask<'a> {
    pub(super) options: &'a Options,
    pub(super) base_url: &'a str,
    pub(super) body: &'a Map<String, Value>,
    pub(super) request_id: &'a str,
    pub(super) now: Timestamp,
}

/// What an endpoint answers, and the webhook that follows from it.
pub(super) struct Done {
    body: Value,
    webhook: Option<Parcel>,
}

impl From<Value> for Done {
    fn from(body: Value) -> Self {
        Self { body, webhook: None }
    }
}

/// Answers one request of the API, through the faults, and writes it into the record.
pub(super) async fn answer(Shared(world): Shared<Arc<World>>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Response {
    let path = uri.path().to_owned();
    let body = serde_json::from_slice::<Value>(&bytes).ok();
    let (request_id, fault) = {
        let mut state = world.lock();
        let item = item_of(&state, body.as_ref());
        (state.id(15), faults::take(&mut state, &path, item.as_deref()))
    };
    let rule = fault.as_ref().map_or(Answer::Real, |fault| fault.answer.clone());
    if let Some(delay) = fault.map(|fault| fault.delay_ms).filter(|delay| *delay > 0) {
        tokio::select! {
            () = world.stop.cancelled() => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(delay)) => {}
        }
    }
    let result = if faults::endpoint_works(&rule) {
        Some(work(&world, &path, &headers, body.as_ref(), &request_id))
    } else {
        None
    };
    let (mut response, error_code) = match (&result, &rule) {
        (Some(Ok(done)), Answer::Cut) => (faults::cut(&done.body.to_string()), None),
        (Some(Ok(done)), _) => (Json(done.body.clone()).into_response(), None),
        (Some(Err(error)), _) => (error.answer(&request_id), Some(error.error_code.clone())),
        (None, rule) => (
            faults::instead(rule, &request_id).expect("a fault that stops the endpoint has an answer"),
            Some("(fault)".to_owned()),
        ),
    };
    // Its own time, or whoever compares clocks would compare with the machine's.
    let date = world.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert(header::DATE, HeaderValue::try_from(date).expect("ASCII"));
    note(&world, path, body, response.status().as_u16(), error_code);
    if let Some(Ok(Done { webhook: Some(parcel), .. })) = result {
        let behind = Arc::clone(&world);
        world.tracker.spawn(async move { webhooks::send(&behind, parcel).await });
    }
    response
}

/// The Item whose token a request names.
fn item_of(state: &State, body: Option<&Value>) -> Option<String> {
    let token = body.and_then(|body| body["access_token"].as_str())?;
    state.tokens.get(token).cloned()
}

fn note(world: &World, path: String, body: Option<Value>, status: u16, error_code: Option<String>) {
    let at = world.now();
    let mut state = world.lock();
    let item_id = item_of(&state, body.as_ref());
    faults::record(
        &mut state,
        Call { number: 0, at, path, body: body.unwrap_or(Value::Null), item_id, status, error_code },
    );
    drop(state);
    world.changed();
}

/// Checks keys and fields, and lets the endpoint do its work.
fn work(
    world: &World,
    path: &str,
    headers: &HeaderMap,
    body: Option<&Value>,
    request_id: &str,
) -> Result<Done, PlaidError> {
    let fields = fields_of(path).ok_or_else(|| PlaidError {
        status: 404,
        ..PlaidError::new("INVALID_REQUEST", "NOT_FOUND", "no such endpoint")
    })?;
    let body = body
        .and_then(Value::as_object)
        .ok_or_else(|| PlaidError::new("INVALID_REQUEST", "INVALID_BODY", "body could not be parsed as JSON"))?;
    check_keys(&world.options, headers, body)?;
    refuse_unknown(body, fields, &["client_id", "secret"])?;
    let base_url = world.url();
    let ask = Ask { options: &world.options, base_url: &base_url, body, request_id, now: world.now() };
    let mut state = world.lock();
    match path {
        "/item/get" => item_get(&mut state, &ask),
        "/item/remove" => item_remove(&mut state, &ask),
        "/item/webhook/update" => webhook_update(&mut state, &ask),
        "/accounts/get" => accounts_get(&mut state, &ask),
        "/institutions/get_by_id" => institution_get(&state, &ask),
        "/webhook_verification_key/get" => key_get(&state, &ask),
        "/link/token/create" => link_token::create(&mut state, &ask).map(Done::from),
        "/link/token/get" => link_token::get(&state, &ask).map(Done::from),
        "/beta/webhook_events/list" => events::list(&state, &ask),
        other => unreachable!("fields_of knows {other}"),
    }
}

/// The fields that an endpoint takes beside the keys; `None` for what is no endpoint.
fn fields_of(path: &str) -> Option<&'static [&'static str]> {
    Some(match path {
        "/item/get" => &["access_token"],
        "/item/remove" => &["access_token", "reason_code", "reason_note"],
        "/item/webhook/update" => &["access_token", "webhook"],
        "/accounts/get" => &["access_token", "options"],
        "/institutions/get_by_id" => &["institution_id", "country_codes", "options"],
        "/webhook_verification_key/get" => &["key_id"],
        "/link/token/create" => link_token::FIELDS,
        "/link/token/get" => &["link_token"],
        "/beta/webhook_events/list" => events::FIELDS,
        _ => return None,
    })
}

fn check_keys(options: &Options, headers: &HeaderMap, body: &Map<String, Value>) -> Result<(), PlaidError> {
    let given = |header: &str, field: &str| {
        let header = headers.get(header).and_then(|value| value.to_str().ok());
        header.or_else(|| body.get(field).and_then(Value::as_str)).map(str::to_owned)
    };
    let (Some(client_id), Some(secret)) = (given("PLAID-CLIENT-ID", "client_id"), given("PLAID-SECRET", "secret"))
    else {
        return Err(PlaidError::missing_fields(&["client_id", "secret"]));
    };
    if client_id == options.client_id && secret == options.secret.expose_secret() {
        Ok(())
    } else {
        Err(PlaidError::new("INVALID_INPUT", "INVALID_API_KEYS", "invalid client_id or secret provided"))
    }
}

/// Refuses fields that an endpoint or an object in it does not know.
pub(super) fn refuse_unknown(body: &Map<String, Value>, known: &[&str], also: &[&str]) -> Result<(), PlaidError> {
    let is_known = |name: &String| known.contains(&name.as_str()) || also.contains(&name.as_str());
    let unknown: Vec<&str> = body.keys().filter(|name| !is_known(name)).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!("the following fields are not recognized by this endpoint: {}", unknown.join(", "));
    Err(PlaidError::new("INVALID_REQUEST", "UNKNOWN_FIELDS", message))
}

/// A field that has to be there as a text.
pub(super) fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, PlaidError> {
    match body.get(name) {
        None | Some(Value::Null) => Err(PlaidError::missing_fields(&[name])),
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(PlaidError::invalid_field(format!("{name} must be a non-empty string"))),
    }
}

/// The Item that an access token opens, with the time's work done.
pub(super) fn opened<'a>(state: &'a mut State, ask: &Ask<'_>) -> Result<&'a mut Item, PlaidError> {
    let token = text(ask.body, "access_token")?;
    let environment = &ask.options.environment;
    let wrong = |message: String| PlaidError::new("INVALID_INPUT", "INVALID_ACCESS_TOKEN", message);
    let Some(id) = state.tokens.get(token) else {
        return Err(match token.split('-').collect::<Vec<_>>().as_slice() {
            ["access", other @ ("sandbox" | "production"), ..] if other != environment => {
                wrong(format!("provided access token is for the wrong Plaid environment, expected \"{environment}\""))
            }
            ["access", _, ..] => wrong("could not find matching access token".to_owned()),
            _ => wrong("provided access token is in an invalid format: access-<environment>-<identifier>".to_owned()),
        });
    };
    let item = state.items.get_mut(id).filter(|item| !item.removed);
    let item = item.ok_or_else(|| Trouble::new("ITEM_NOT_FOUND").refusal())?;
    item.settle(ask.now);
    Ok(item)
}

fn item_get(state: &mut State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    let item = opened(state, ask)?.clone();
    let bank = state.bank_of(&item);
    let last_webhook = item.last_webhook.as_ref().map(|(at, code)| json!({ "sent_at": at, "code_sent": code }));
    let mut body = item_body(&item, &bank, ask.request_id);
    body["created_at"] = json!(item.created_at);
    body["consented_use_cases"] = json!(["Track and manage your finances"]);
    body["consented_data_scopes"] = json!(["account_balance_info", "transactions"]);
    let transactions = json!({ "last_successful_update": item.last_success, "last_failed_update": item.last_failure });
    let status = json!({ "transactions": transactions, "last_webhook": last_webhook });
    Ok(json!({ "item": body, "status": status, "request_id": ask.request_id }).into())
}

fn item_body(item: &Item, bank: &Bank, request_id: &str) -> Value {
    json!({
        "auth_method": null,
        "available_products": ["auth", "balance", "identity"],
        "billed_products": ["transactions"],
        "consent_expiration_time": item.consent_ends_at,
        "consented_products": ["transactions"],
        "error": item.trouble_seen(bank.down).map(|trouble| trouble.in_item(request_id)),
        "institution_id": bank.id,
        "institution_name": bank.name,
        "item_id": item.id,
        "products": ["transactions"],
        "update_type": "background",
        "webhook": item.webhook,
    })
}

fn item_remove(state: &mut State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    opened(state, ask)?.removed = true;
    Ok(json!({ "request_id": ask.request_id }).into())
}

fn webhook_update(state: &mut State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    let url = match ask.body.get("webhook") {
        None => return Err(PlaidError::missing_fields(&["webhook"])),
        Some(Value::Null) => None,
        Some(Value::String(url)) if url.is_empty() => None,
        Some(Value::String(url)) if url.starts_with("http://") || url.starts_with("https://") => Some(url.clone()),
        Some(_) => return Err(PlaidError::new("INVALID_REQUEST", "INVALID_FIELD", "webhook must be a valid URL")),
    };
    let item = opened(state, ask)?;
    item.webhook.clone_from(&url);
    let item = item.clone();
    let bank = state.bank_of(&item);
    let body = json!({ "item": item_body(&item, &bank, ask.request_id), "request_id": ask.request_id });
    let webhook = url.map(|url| {
        let acknowledged = json!({
            "webhook_type": "ITEM",
            "webhook_code": "WEBHOOK_UPDATE_ACKNOWLEDGED",
            "item_id": item.id,
            "error": null,
            "new_webhook_url": url,
            "environment": ask.options.environment,
        });
        Parcel::to(&item, acknowledged)
    });
    Ok(Done { body, webhook })
}

fn accounts_get(state: &mut State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    let item = opened(state, ask)?.clone();
    let bank = state.bank_of(&item);
    if let Some(trouble) = item.trouble_seen(bank.down) {
        return Err(trouble.refusal());
    }
    if item.shared.is_empty() {
        return Err(Trouble::new("NO_ACCOUNTS").refusal());
    }
    let accounts: Vec<Value> = item.shared.iter().map(account_body).collect();
    let body = item_body(&item, &bank, ask.request_id);
    Ok(json!({ "accounts": accounts, "item": body, "request_id": ask.request_id }).into())
}

fn account_body(account: &Account) -> Value {
    let mut body = json!({
        "account_id": account.id,
        "balances": {
            "available": 100, "current": 110, "iso_currency_code": "USD", "limit": null, "unofficial_currency_code": null,
        },
        "holder_category": "personal",
        "mask": account.mask,
        "name": account.name,
        "official_name": null,
        "subtype": account.subtype,
        "type": account.kind,
    });
    if let Some(id) = &account.persistent_id {
        body["persistent_account_id"] = json!(id);
    }
    body
}

fn institution_get(state: &State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    let id = text(ask.body, "institution_id")?;
    let countries = link_token::countries(ask.body)?;
    let option = |name: &str| ask.body.get("options").is_some_and(|options| options[name] == json!(true));
    let known = state.banks.get(id).filter(|bank| countries.contains(&bank.country));
    let Some(bank) = known else {
        return Err(PlaidError::new("INVALID_INPUT", "INVALID_INSTITUTION", "invalid institution_id provided"));
    };
    let mut body = json!({
        "country_codes": [bank.country],
        "institution_id": bank.id,
        "name": bank.name,
        "oauth": bank.oauth,
        "products": ["auth", "balance", "identity", "transactions"],
        "routing_numbers": [],
        "dtc_numbers": [],
    });
    if option("include_status") {
        let (status, success) = if bank.down { ("DOWN", 0.0) } else { ("HEALTHY", 0.98) };
        let breakdown = json!({ "success": success, "error_plaid": 0.0, "error_institution": 1.0 - success });
        let logins = json!({ "status": status, "last_status_change": ask.now, "breakdown": breakdown });
        body["status"] = json!({ "item_logins": logins });
    }
    if option("include_optional_metadata") {
        body["url"] = Value::Null;
        body["primary_color"] = json!("#2b5d8a");
        body["logo"] = Value::Null;
    }
    Ok(json!({ "institution": body, "request_id": ask.request_id }).into())
}

fn key_get(state: &State, ask: &Ask<'_>) -> Result<Done, PlaidError> {
    let id = text(ask.body, "key_id")?;
    let key = state.keys.iter().find(|key| key.signer.kid() == id);
    let key = key.ok_or_else(|| {
        PlaidError::new("INVALID_INPUT", "INVALID_WEBHOOK_VERIFICATION_KEY_ID", "invalid key_id provided")
    })?;
    let jwk = key.signer.jwk(key.created_at.as_second(), key.expired_at.map(Timestamp::as_second));
    Ok(json!({ "key": jwk, "request_id": ask.request_id }).into())
}
