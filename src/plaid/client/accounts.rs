//! `/accounts/get`: which accounts an Item shares. It costs nothing and reaches no bank.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Answer, CallError, Client};
use crate::domain::ids::{InstitutionId, ItemId};

#[derive(Serialize)]
struct Request<'a> {
    access_token: &'a str,
}

#[derive(Deserialize)]
struct Body {
    accounts: Vec<AccountBody>,
    item: ItemBody,
}

#[derive(Deserialize)]
struct AccountBody {
    name: String,
    mask: Option<String>,
    persistent_account_id: Option<String>,
}

#[derive(Deserialize)]
struct ItemBody {
    item_id: ItemId,
    institution_id: Option<String>,
}

/// Plaid's answer about the accounts of an Item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsAnswer {
    /// Which Item the token opens.
    pub item: ItemId,
    /// The bank; nothing for Items made with micro-deposits.
    pub institution: Option<InstitutionId>,
    /// The open accounts that are shared.
    pub accounts: Vec<Account>,
}

/// What tells an account from others. Bank data of a person: never logged, never kept in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// As the user or the bank named it.
    pub name: String,
    /// Its last two to four characters; several accounts may have the same.
    pub mask: Option<String>,
    /// The same for each Item that shares the account. Few banks give it: those with account numbers that are tokens.
    pub persistent_id: Option<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(…)")
    }
}

impl Client {
    /// The accounts of the Item that this token opens.
    ///
    /// # Errors
    /// [`CallError`]. Unlike `/item/get`, a broken Item is an error here: see
    /// [`lost_accounts`](crate::plaid::fault::lost_accounts) for the codes that only this endpoint gives.
    pub async fn accounts_get(&self, access_token: &SecretString) -> Result<AccountsAnswer, CallError> {
        let request = Request { access_token: access_token.expose_secret() };
        let Answer { body, .. } = self.call::<Body>("accounts/get", &request).await?;
        let account = |body: AccountBody| Account {
            name: body.name,
            mask: body.mask.filter(|mask| !mask.is_empty()),
            persistent_id: body.persistent_account_id.filter(|id| !id.is_empty()),
        };
        Ok(AccountsAnswer {
            item: body.item.item_id,
            institution: body.item.institution_id.and_then(|id| InstitutionId::parse(id).ok()),
            accounts: body.accounts.into_iter().map(account).collect(),
        })
    }
}
