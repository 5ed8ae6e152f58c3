//! Whose fault an error is, and so who can do something about it.
//!
//! The table of Plaid's error codes. It decides by the code alone: the same code comes under different types, and Plaid
//! adds types freely. A code that is not here is nobody's: then nobody is mailed, and the operator sees the code.
//!
//! | owner | what is wrong | what follows for the Item | a letter |
//! |---|---|---|---|
//! | [`User`](Owner::User) | a login, a lost account, something to be done at the bank first | `login_required`, cured in update mode, with a choice of accounts where it takes one | yes |
//! | [`UserWithdrew`](Owner::UserWithdrew) | the user took the permission away | `revoked` | only if the operator wants it |
//! | [`Bank`](Owner::Bank) | the bank is down | impaired until it is back | no |
//! | [`Plaid`](Owner::Plaid) | Plaid is down, busy or not ready | impaired until it answers otherwise | no |
//! | [`Operator`](Owner::Operator) | keys, registration, products, requests, a ticket with Plaid's support | impaired; the operator is told what to do | no |
//! | [`NewItem`](Owner::NewItem) | this Item cannot be repaired by anybody | impaired; the operator is told to have the user link anew | no |
//! | [`Gone`](Owner::Gone) | Plaid does not know the Item | `removed` | no |
//! | [`Nobody`](Owner::Nobody) | it says nothing about the Item, or is not known here | impaired; the operator sees the code | no |
//!
//! An Item can be broken and impaired at once, and then no letter leaves either: what Plaid said last decides.

use crate::domain::event::{Fault, Health};
use crate::domain::item::Cure;

use super::error::PlaidError;

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The user, in update mode.
    User {
        /// What update mode has to do.
        cure: Cure,
    },
    /// The user withdrew permission: a decision, not a fault.
    UserWithdrew,
    /// The bank is down: it passes.
    Bank,
    /// Plaid is down, busy or not ready: it passes.
    Plaid,
    /// Whoever runs this or wrote the application: keys, registration, products, a ticket.
    Operator,
    /// Nobody can repair this Item; the user can link a new one.
    NewItem,
    /// Plaid no longer knows the Item.
    Gone,
    /// It says nothing about the Item, or the code is not known here.
    Nobody,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Plaid's `error_code`.
    pub code: &'static str,
    /// Who can do something about it.
    pub owner: Owner,
    /// The page of Plaid's documentation, below `plaid.com/docs/errors/`.
    pub source: &'static str,
}

const LOG_IN: Owner = Owner::User { cure: Cure::LogIn };
const CHOOSE: Owner = Owner::User { cure: Cure::ChooseAccounts };

const fn row(code: &'static str, owner: Owner, source: &'static str) -> Row {
    Row { code, owner, source }
}

impl Owner {
    /// The name that the API and the log use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User { .. } | Self::UserWithdrew => "user",
            Self::Bank => "bank",
            Self::Plaid => "plaid",
            Self::Operator => "operator",
            Self::NewItem => "new_item",
            Self::Gone => "gone",
            Self::Nobody => "nobody",
        }
    }

    /// What an operator can do about an Item with such an error.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::User { .. } => "the user repairs it in update mode, and is written to",
            Self::UserWithdrew => "the user decided so; link anew if they wish, or remove the Item",
            Self::Bank => "wait: the bank is down, and it is asked again",
            Self::Plaid => "wait: Plaid is down, busy or not ready, and it is asked again",
            Self::Operator => {
                "yours to put right: look the code up at https://plaid.com/docs/errors/, or open a ticket"
            }
            Self::NewItem => {
                "update mode cannot repair it: let the user link the bank anew in your application, then remove this Item"
            }
            Self::Gone => "nothing to repair: the Item is gone at Plaid",
            Self::Nobody => "not known here: look the code up at https://plaid.com/docs/errors/; nobody is written to",
        }
    }
}

/// Every code that Plaid documents for Items, institutions and calls.
///
/// Two codes that update mode cures are the operator's all the same: `ADDITIONAL_CONSENT_REQUIRED` and
/// `MANUAL_VERIFICATION_REQUIRED` want a product named in the Link token, and only the application knows which. The update
/// mode that a letter leads to would cure nothing.
pub const TABLE: [Row; 60] = [
    // Update mode cures it.
    row("ITEM_LOGIN_REQUIRED", LOG_IN, "item"),
    row("ACCESS_NOT_GRANTED", CHOOSE, "item"),
    row("NO_ACCOUNTS", CHOOSE, "item"),
    row("NO_AUTH_ACCOUNTS", CHOOSE, "item"),
    row("INVALID_ACCOUNT_ID", CHOOSE, "invalid-input"),
    // The user acts at the bank first, then in update mode.
    row("ITEM_LOCKED", LOG_IN, "item"),
    row("PASSWORD_RESET_REQUIRED", LOG_IN, "item"),
    row("USER_SETUP_REQUIRED", LOG_IN, "item"),
    // A decision of the user.
    row("USER_PERMISSION_REVOKED", Owner::UserWithdrew, "invalid-input"),
    // This Item is lost, another one may do.
    row("INVALID_UPDATED_USERNAME", Owner::NewItem, "item"),
    row("ITEM_NOT_SUPPORTED", Owner::NewItem, "item"),
    row("MFA_NOT_SUPPORTED", Owner::NewItem, "item"),
    row("NO_INVESTMENT_ACCOUNTS", Owner::NewItem, "item"),
    row("NO_INVESTMENT_AUTH_ACCOUNTS", Owner::NewItem, "item"),
    row("NO_LIABILITY_ACCOUNTS", Owner::NewItem, "item"),
    row("PRODUCT_NOT_ENABLED", Owner::NewItem, "item"),
    row("PRODUCTS_NOT_SUPPORTED", Owner::NewItem, "item"),
    row("ITEM_NOT_FOUND", Owner::Gone, "item"),
    // It passes.
    row("INSTITUTION_DOWN", Owner::Bank, "institution"),
    row("INSTITUTION_NOT_RESPONDING", Owner::Bank, "institution"),
    row("INSTITUTION_NOT_AVAILABLE", Owner::Bank, "institution"),
    row("PRODUCT_NOT_READY", Owner::Plaid, "item"),
    row("INTERNAL_SERVER_ERROR", Owner::Plaid, "api"),
    row("PLANNED_MAINTENANCE", Owner::Plaid, "api"),
    row("RATE_LIMIT", Owner::Plaid, "rate-limit-exceeded"),
    row("ITEM_GET_LIMIT", Owner::Plaid, "rate-limit-exceeded"),
    row("ACCOUNTS_LIMIT", Owner::Plaid, "rate-limit-exceeded"),
    row("INSTITUTIONS_GET_LIMIT", Owner::Plaid, "rate-limit-exceeded"),
    row("INSTITUTIONS_GET_BY_ID_LIMIT", Owner::Plaid, "rate-limit-exceeded"),
    row("INSTITUTION_RATE_LIMIT", Owner::Plaid, "rate-limit-exceeded"),
    // Permanent at the bank: a ticket with Plaid's support.
    row("INSTITUTION_NO_LONGER_SUPPORTED", Owner::Operator, "institution"),
    row("UNSUPPORTED_RESPONSE", Owner::Operator, "institution"),
    // Keys, registration, configuration, requests.
    row("ADDITIONAL_CONSENT_REQUIRED", Owner::Operator, "invalid-input"),
    row("MANUAL_VERIFICATION_REQUIRED", Owner::Operator, "item"),
    row("UNAUTHORIZED_INSTITUTION", Owner::Operator, "institution"),
    row("INSTITUTION_REGISTRATION_REQUIRED", Owner::Operator, "institution"),
    row("INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT", Owner::Operator, "institution"),
    row("INVALID_API_KEYS", Owner::Operator, "invalid-input"),
    row("UNAUTHORIZED_ENVIRONMENT", Owner::Operator, "invalid-input"),
    row("UNAUTHORIZED_ROUTE_ACCESS", Owner::Operator, "invalid-input"),
    row("INVALID_ACCESS_TOKEN", Owner::Operator, "invalid-input"),
    row("INVALID_LINK_CUSTOMIZATION", Owner::Operator, "invalid-input"),
    row("INVALID_PRODUCT", Owner::Operator, "invalid-input"),
    row("MISSING_FIELDS", Owner::Operator, "invalid-request"),
    row("UNKNOWN_FIELDS", Owner::Operator, "invalid-request"),
    row("INVALID_FIELD", Owner::Operator, "invalid-request"),
    row("INVALID_BODY", Owner::Operator, "invalid-request"),
    row("INVALID_HEADERS", Owner::Operator, "invalid-request"),
    row("SANDBOX_PRODUCT_NOT_ENABLED", Owner::Operator, "sandbox"),
    // Only inside Link, where the user tries again, and a race with a removal.
    row("INVALID_CREDENTIALS", Owner::Nobody, "item"),
    row("INVALID_MFA", Owner::Nobody, "item"),
    row("INVALID_OTP", Owner::Nobody, "item"),
    row("INVALID_PHONE_NUMBER", Owner::Nobody, "item"),
    row("INVALID_SEND_METHOD", Owner::Nobody, "item"),
    row("INSUFFICIENT_CREDENTIALS", Owner::Nobody, "item"),
    row("USER_INPUT_TIMEOUT", Owner::Nobody, "item"),
    row("INSTANT_MATCH_FAILED", Owner::Nobody, "item"),
    row("INVALID_LINK_TOKEN", Owner::Nobody, "invalid-input"),
    row("INVALID_WEBHOOK_VERIFICATION_KEY_ID", Owner::Nobody, "invalid-input"),
    row("ITEM_CONCURRENTLY_DELETED", Owner::Nobody, "item"),
];

/// `error_code_reason` of a login that broke because the user withdrew permission at the bank.
const USER_REVOKED: &str = "OAUTH_USER_REVOKED";

/// Who can do something about an error with this code.
#[must_use]
pub fn owner(error_code: &str) -> Owner {
    let known = TABLE.iter().find(|row| row.code == error_code);
    match known {
        Some(row) => row.owner,
        // Plaid has one rate-limit code for each endpoint, and adds more.
        None if error_code.ends_with("_LIMIT") => Owner::Plaid,
        None => Owner::Nobody,
    }
}

/// The fault by which Plaid refuses to list the accounts of an Item that it calls healthy, if it takes a choice of accounts to
/// cure it. Other refusals say nothing that `/item/get` does not say better.
#[must_use]
pub fn lost_accounts(error: &PlaidError) -> Option<Fault> {
    match owner(&error.error_code) {
        Owner::User { cure: cure @ Cure::ChooseAccounts } => {
            Some(Fault { code: error.error_code.clone(), reason: error.reason.clone(), cure })
        }
        Owner::User { cure: Cure::LogIn }
        | Owner::UserWithdrew
        | Owner::Bank
        | Owner::Plaid
        | Owner::Operator
        | Owner::NewItem
        | Owner::Gone
        | Owner::Nobody => None,
    }
}

/// What an error says about the health of the Item that has it.
#[must_use]
pub fn health(error: &PlaidError) -> Health {
    let code = error.error_code.clone();
    match owner(&code) {
        Owner::User { cure } => match error.reason.as_deref() {
            Some(USER_REVOKED) => Health::Revoked { code: USER_REVOKED.to_owned() },
            Some(_) | None => Health::Broken(Fault { code, reason: error.reason.clone(), cure }),
        },
        Owner::UserWithdrew => Health::Revoked { code },
        Owner::Gone => Health::Gone,
        Owner::Bank | Owner::Plaid | Owner::Operator | Owner::NewItem | Owner::Nobody => Health::Impaired { code },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, reason: Option<&str>) -> PlaidError {
        PlaidError {
            error_type: "ITEM_ERROR".to_owned(),
            error_code: code.to_owned(),
            reason: reason.map(str::to_owned),
            request_id: None,
        }
    }

    #[test]
    fn each_code_stands_once() {
        let mut codes: Vec<&str> = TABLE.iter().map(|row| row.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn only_these_codes_ever_cause_a_letter() {
        let mailed: Vec<&str> =
            TABLE.iter().filter(|row| matches!(row.owner, Owner::User { .. })).map(|row| row.code).collect();
        assert_eq!(
            mailed,
            [
                "ITEM_LOGIN_REQUIRED",
                "ACCESS_NOT_GRANTED",
                "NO_ACCOUNTS",
                "NO_AUTH_ACCOUNTS",
                "INVALID_ACCOUNT_ID",
                "ITEM_LOCKED",
                "PASSWORD_RESET_REQUIRED",
                "USER_SETUP_REQUIRED",
            ]
        );
    }

    #[test]
    fn lost_accounts_come_back_only_with_a_choice() {
        assert_eq!(owner("NO_ACCOUNTS"), CHOOSE);
        assert_eq!(owner("ITEM_LOGIN_REQUIRED"), LOG_IN);
        for row in TABLE {
            assert_eq!(lost_accounts(&error(row.code, None)).is_some(), row.owner == CHOOSE, "{}", row.code);
        }
    }

    /// The pages below <https://plaid.com/docs/errors/>.
    const PAGES: [&str; 7] =
        ["item", "institution", "invalid-input", "invalid-request", "rate-limit-exceeded", "api", "sandbox"];

    #[test]
    fn each_code_has_a_page_of_plaids_for_its_source() {
        for row in TABLE {
            assert!(PAGES.contains(&row.source), "{}: {}", row.code, row.source);
        }
    }

    #[test]
    fn health_follows_from_the_owner_and_only_the_users_is_broken() {
        for row in TABLE {
            let code = row.code.to_owned();
            let expected = match row.owner {
                Owner::User { cure } => Health::Broken(Fault { code, reason: None, cure }),
                Owner::UserWithdrew => Health::Revoked { code },
                Owner::Gone => Health::Gone,
                Owner::Bank | Owner::Plaid | Owner::Operator | Owner::NewItem | Owner::Nobody => {
                    Health::Impaired { code }
                }
            };
            assert_eq!(health(&error(row.code, None)), expected, "{}", row.code);
            assert!(!row.owner.remedy().is_empty() && !row.owner.name().is_empty());
        }
    }

    #[test]
    fn what_is_not_known_is_nobodys() {
        for code in ["", "ITEM_LOGIN_REQUIRED_2", "item_login_required", "BRAND_NEW"] {
            assert_eq!(owner(code), Owner::Nobody, "{code}");
            assert_eq!(health(&error(code, None)), Health::Impaired { code: code.to_owned() });
        }
        assert_eq!(owner("BRAND_NEW_ENDPOINT_LIMIT"), Owner::Plaid);
    }

    #[test]
    fn a_withdrawal_is_a_decision_under_each_of_its_names() {
        let by_code = health(&error("USER_PERMISSION_REVOKED", None));
        assert_eq!(by_code, Health::Revoked { code: "USER_PERMISSION_REVOKED".to_owned() });
        let by_reason = health(&error("ITEM_LOGIN_REQUIRED", Some("OAUTH_USER_REVOKED")));
        assert_eq!(by_reason, Health::Revoked { code: "OAUTH_USER_REVOKED".to_owned() });
        let bank = health(&error("INSTITUTION_DOWN", Some("OAUTH_USER_REVOKED")));
        assert_eq!(bank, Health::Impaired { code: "INSTITUTION_DOWN".to_owned() });
    }

    #[test]
    fn other_reasons_are_kept_with_the_fault() {
        let expired = health(&error("ITEM_LOGIN_REQUIRED", Some("OAUTH_CONSENT_EXPIRED")));
        let Health::Broken(fault) = expired else { panic!("{expired:?}") };
        assert_eq!(fault.reason.as_deref(), Some("OAUTH_CONSENT_EXPIRED"));
        assert_eq!(fault.cure, Cure::LogIn);
        assert_eq!(health(&error("ITEM_NOT_FOUND", None)), Health::Gone);
    }
}
