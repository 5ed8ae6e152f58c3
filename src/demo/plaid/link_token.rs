//! `/link/token/create` and `/link/token/get`: Link tokens for update mode, and the sessions that used them.
//!
//! Only update mode is known here, because relinkd opens nothing else. The rules are those of Plaid's reference; where it
//! says that a field has no effect, it has none here.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::endpoints::{Ask, opened, refuse_unknown, text};
use super::truth::{Account, Bank};
use super::words::PlaidError;
use super::world::State;

/// The life of a Link token for update mode.
pub const LIFE: SignedDuration = SignedDuration::from_mins(30);

/// The longest life that `url_lifetime_seconds` may ask for.
const HOSTED_SECS_MAX: i64 = 21 * 24 * 3600;

/// The longest `client_name`, in characters. A longer one is taken, and Link shows another.
const CLIENT_NAME_CHARS_MAX: usize = 30;

/// What Link shows in the place of a `client_name` that is too long.
const CLIENT_NAME_INSTEAD: &str = "This Application";

/// How long sessions can be read after they ended.
const SESSION_KEPT: SignedDuration = SignedDuration::from_hours(6);

/// How many wrong passwords kill a Link token.
pub(super) const WRONG_PASSWORDS_MAX: u32 = 5;

const LANGUAGES: &[&str] =
    &["da", "nl", "en", "et", "fr", "de", "hi", "it", "lv", "lt", "no", "pl", "pt", "ro", "es", "sv", "vi"];

const COUNTRIES: &[&str] = &[
    "US", "GB", "ES", "NL", "FR", "IE", "CA", "DE", "IT", "PL", "DK", "NO", "SE", "EE", "LT", "LV", "PT", "BE", "AT",
    "FI",
];

/// The fields that `/link/token/create` takes.
pub(super) const FIELDS: &[&str] = &[
    "client_name",
    "language",
    "country_codes",
    "user",
    "user_id",
    "products",
    "required_if_supported_products",
    "optional_products",
    "additional_consented_products",
    "webhook",
    "access_token",
    "access_tokens",
    "link_customization_name",
    "appearance_mode",
    "redirect_uri",
    "android_package_name",
    "institution_data",
    "card_switch",
    "account_filters",
    "eu_config",
    "institution_id",
    "payment_configuration",
    "payment_initiation",
    "employment",
    "income_verification",
    "base_report",
    "credit_partner_insights",
    "cra_options",
    "consumer_report_permissible_purpose",
    "auth",
    "transfer",
    "update",
    "identity_verification",
    "statements",
    "third_party_user_token",
    "investments",
    "investments_auth",
    "hosted_link",
    "transactions",
    "cashflow_report",
    "cra_enabled",
    "identity",
    "financekit_supported",
    "enable_multi_item_link",
    "user_token",
];

const USER_FIELDS: &[&str] = &[
    "client_user_id",
    "legal_name",
    "name",
    "phone_number",
    "phone_number_verified_time",
    "email_address",
    "email_address_verified_time",
    "ssn",
    "date_of_birth",
    "address",
    "id_number",
];

/// A Link token, and what was asked for with it.
#[derive(Clone)]
pub(super) struct LinkToken {
    pub(super) token: String,
    pub(super) item_id: String,
    pub(super) client_name: String,
    pub(super) language: String,
    pub(super) choose_accounts: bool,
    pub(super) hosted: Option<Hosted>,
    pub(super) redirect_uri: Option<String>,
    pub(super) expires_at: Timestamp,
    /// Too many wrong passwords used it up, or a success: only in the Sandbox the SDK's tokens open again after one.
    pub(super) used: bool,
    pub(super) wrong_passwords: u32,
    pub(super) sessions: Vec<Session>,
    created_at: Timestamp,
    metadata: Value,
}

/// What Hosted Link needs.
#[derive(Clone)]
pub(super) struct Hosted {
    pub(super) id: String,
    pub(super) completion_redirect_uri: Option<String>,
}

/// One person's way through Link.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) events: Vec<Value>,
    pub(super) end: Option<End>,
    pub(super) detour: Option<Detour>,
}

/// A way through the bank's own page.
#[derive(Clone)]
pub(super) struct Detour {
    /// Plaid's `oauth_state_id`.
    pub(super) state_id: String,
    /// What the person decided there; nothing as long as they are there.
    pub(super) allowed: Option<bool>,
}

/// How a session ended.
#[derive(Clone)]
pub(super) enum End {
    /// Update mode went through.
    Success { public_token: String, accounts: Vec<Value>, institution: Value },
    /// The user left, perhaps because of an error.
    Exit { error: Value, metadata: Value },
}

impl LinkToken {
    /// Whether Link would open with it.
    pub(super) fn opens(&self, now: Timestamp) -> bool {
        !self.used && now < self.expires_at
    }
}

/// An account as Link's callbacks name it.
pub(super) fn account_in_link(account: &Account) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "mask": account.mask,
        "type": account.kind,
        "subtype": account.subtype,
        "verification_status": null,
        "class_type": null,
    })
}

/// A bank as Link's callbacks name it.
pub(super) fn institution_in_link(bank: &Bank) -> Value {
    json!({ "name": bank.name, "institution_id": bank.id })
}

/// `/link/token/create`.
pub(super) fn create(state: &mut State, ask: &Ask<'_>) -> Result<Value, PlaidError> {
    let body = ask.body;
    let missing: Vec<&str> =
        ["client_name", "language", "country_codes"].into_iter().filter(|name| !body.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(PlaidError::missing_fields(&missing));
    }
    let client_name = text(body, "client_name")?;
    let language = text(body, "language")?;
    if !LANGUAGES.contains(&language) {
        return Err(PlaidError::invalid_field(format!("language must be one of {}", LANGUAGES.join(", "))));
    }
    let countries = countries(body)?;
    check_user(body)?;
    check_products(body)?;
    check_redirect_uri(body, &ask.options.environment)?;
    let choose_accounts = check_update(body)?;
    let asked_life = check_hosted(body)?;
    let item_id = opened(state, ask)?.id.clone();

    let life = match asked_life {
        // Plaid's Sandbox keeps Hosted Link for update mode at half an hour, whatever was asked for.
        Some(Some(seconds)) if ask.options.environment != "sandbox" => SignedDuration::from_secs(seconds),
        _ => LIFE,
    };
    let token = format!("link-{}-{}", ask.options.environment, state.uuid());
    let hosted = body.get("hosted_link").filter(|hosted| hosted.is_object()).map(|hosted| Hosted {
        id: state.id(24),
        completion_redirect_uri: hosted["completion_redirect_uri"].as_str().map(str::to_owned),
    });
    let hosted_url = hosted.as_ref().map(|hosted| format!("{}/link/hosted/{}", ask.base_url, hosted.id));
    let too_long = client_name.chars().count() > CLIENT_NAME_CHARS_MAX;
    let link = LinkToken {
        token: token.clone(),
        item_id,
        client_name: if too_long { CLIENT_NAME_INSTEAD } else { client_name }.to_owned(),
        language: language.to_owned(),
        choose_accounts,
        hosted,
        redirect_uri: body.get("redirect_uri").and_then(Value::as_str).map(str::to_owned),
        expires_at: ask.now + life,
        used: false,
        wrong_passwords: 0,
        sessions: Vec::new(),
        created_at: ask.now,
        metadata: json!({
            "client_name": client_name,
            "country_codes": countries,
            "initial_products": body.get("products").filter(|products| products.is_array()).unwrap_or(&json!([])),
            "language": language,
            "redirect_uri": body.get("redirect_uri"),
            "webhook": body.get("webhook"),
        }),
    };
    let mut answer = json!({ "link_token": token, "expiration": link.expires_at, "request_id": ask.request_id });
    if let Some(url) = hosted_url {
        answer["hosted_link_url"] = json!(url);
    }
    state.links.insert(token, link);
    Ok(answer)
}

/// The country codes of a request: at least one, each known.
pub(super) fn countries(body: &Map<String, Value>) -> Result<Vec<String>, PlaidError> {
    let list = match body.get("country_codes") {
        None | Some(Value::Null) => return Err(PlaidError::missing_fields(&["country_codes"])),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) => return Err(PlaidError::invalid_field("country_codes must be a non-empty array")),
    };
    let code = |value: &Value| value.as_str().filter(|code| COUNTRIES.contains(code)).map(str::to_owned);
    let codes: Option<Vec<String>> = list.iter().map(code).collect();
    codes.ok_or_else(|| PlaidError::invalid_field("country_codes must be an array of valid ISO-3166-1 alpha-2 codes"))
}

fn check_user(body: &Map<String, Value>) -> Result<(), PlaidError> {
    let user = match body.get("user") {
        None | Some(Value::Null) => return Err(PlaidError::missing_fields(&["user.client_user_id"])),
        Some(Value::Object(user)) => user,
        Some(_) => return Err(PlaidError::invalid_field("user must be an object")),
    };
    refuse_unknown(user, USER_FIELDS, &[])?;
    let id = text(user, "client_user_id")?;
    let is_phone =
        id.strip_prefix('+').is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || "-(). ".contains(c)));
    if id.contains('@') || is_phone {
        return Err(PlaidError::invalid_field("user.client_user_id must not be an email address or a phone number"));
    }
    Ok(())
}

fn check_products(body: &Map<String, Value>) -> Result<(), PlaidError> {
    let is_set = |name: &str| body.get(name).is_some_and(|value| value.as_array().is_some_and(|list| !list.is_empty()));
    if body.get("access_token").is_none_or(Value::is_null) {
        return Err(PlaidError::missing_fields(&["access_token"]));
    }
    match ["products", "required_if_supported_products", "optional_products"].into_iter().find(|name| is_set(name)) {
        Some(name) => Err(PlaidError::invalid_field(format!("{name} must not be set in update mode"))),
        None => Ok(()),
    }
}

fn check_redirect_uri(body: &Map<String, Value>, environment: &str) -> Result<(), PlaidError> {
    let Some(uri) = body.get("redirect_uri").filter(|uri| !uri.is_null()) else {
        return Ok(());
    };
    let wrong = |why: &str| Err(PlaidError::invalid_field(format!("OAuth redirect URI {why}")));
    let Some(uri) = uri.as_str().and_then(|uri| url::Url::parse(uri).ok()) else {
        return wrong("must be a valid URI");
    };
    let local = environment == "sandbox" && matches!(uri.host_str(), Some("localhost" | "127.0.0.1"));
    if uri.scheme() != "https" && !(uri.scheme() == "http" && local) {
        return wrong("must use HTTPS");
    }
    if uri.query().is_some() || uri.fragment().is_some() {
        return wrong("must not contain query parameters or a fragment");
    }
    if body.contains_key("android_package_name") {
        return wrong("and android_package_name exclude each other");
    }
    Ok(())
}

/// Whether a choice of accounts was asked for.
fn check_update(body: &Map<String, Value>) -> Result<bool, PlaidError> {
    let choose = match body.get("update") {
        None | Some(Value::Null) => false,
        Some(Value::Object(update)) => {
            let known = ["account_selection_enabled", "reauthorization_enabled", "user", "item_ids"];
            refuse_unknown(update, &known, &[])?;
            match update.get("account_selection_enabled") {
                None => false,
                Some(Value::Bool(enabled)) => *enabled,
                Some(_) => return Err(PlaidError::invalid_field("update.account_selection_enabled must be a boolean")),
            }
        }
        Some(_) => return Err(PlaidError::invalid_field("update must be an object")),
    };
    if body.contains_key("account_filters") && !choose {
        return Err(PlaidError::invalid_field("account_filters needs update.account_selection_enabled in update mode"));
    }
    Ok(choose)
}

/// Whether Hosted Link was asked for, and the life of its address in seconds if that was asked for too.
fn check_hosted(body: &Map<String, Value>) -> Result<Option<Option<i64>>, PlaidError> {
    let hosted = match body.get("hosted_link") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(hosted)) => hosted,
        Some(_) => return Err(PlaidError::invalid_field("hosted_link must be an object")),
    };
    if body.contains_key("android_package_name") {
        return Err(PlaidError::invalid_field("hosted_link and android_package_name exclude each other"));
    }
    match hosted.get("url_lifetime_seconds") {
        None | Some(Value::Null) => Ok(Some(None)),
        Some(seconds) => {
            let seconds = seconds.as_i64().filter(|seconds| (1..=HOSTED_SECS_MAX).contains(seconds));
            let wrong = || PlaidError::invalid_field("hosted_link.url_lifetime_seconds must be from 1 to 21 days");
            Ok(Some(Some(seconds.ok_or_else(wrong)?)))
        }
    }
}

/// `/link/token/get`.
pub(super) fn get(state: &State, ask: &Ask<'_>) -> Result<Value, PlaidError> {
    let token = text(ask.body, "link_token")?;
    let link = state.links.get(token).ok_or_else(PlaidError::invalid_link_token)?;
    let is_kept = |session: &&Session| session.finished_at.is_none_or(|at| ask.now <= at + SESSION_KEPT);
    let whole = link.hosted.is_some();
    let sessions: Vec<Value> =
        link.sessions.iter().filter(is_kept).map(|session| session_body(session, whole, ask)).collect();
    Ok(json!({
        "link_token": link.token,
        "created_at": link.created_at,
        "expiration": link.expires_at,
        "link_sessions": sessions,
        "metadata": link.metadata,
        "request_id": ask.request_id,
    }))
}

/// A session; its events are told for Hosted Link only, as for accounts without "Link events".
fn session_body(session: &Session, whole: bool, ask: &Ask<'_>) -> Value {
    let mut body = json!({
        "link_session_id": session.id,
        "started_at": session.started_at,
        "finished_at": session.finished_at,
    });
    if whole {
        body["events"] = json!(session.events);
    }
    match &session.end {
        None => {}
        Some(End::Success { public_token, accounts, institution }) => {
            let added = json!({ "public_token": public_token, "accounts": accounts, "institution": institution });
            let added = if ask.options.update_mode_results { vec![added] } else { Vec::new() };
            body["results"] = json!({
                "item_add_results": added,
                "cra_item_add_results": [],
                "cra_update_results": [],
                "bank_income_results": [],
                "payroll_income_results": [],
                "document_income_results": null,
            });
        }
        Some(End::Exit { error, metadata }) => body["exit"] = json!({ "error": error, "metadata": metadata }),
    }
    body
}
