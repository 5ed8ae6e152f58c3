//! `/institutions/get_by_id`: what a bank is called, and whether one can log in there.

use serde::{Deserialize, Serialize};

use super::{Answer, CallError, Client};
use crate::domain::ids::InstitutionId;

#[derive(Serialize)]
struct Request<'a> {
    institution_id: &'a str,
    country_codes: &'a [String],
    options: OptionsBody,
}

#[derive(Serialize)]
struct OptionsBody {
    include_status: bool,
}

#[derive(Deserialize)]
struct Body {
    institution: InstitutionBody,
}

#[derive(Deserialize)]
struct InstitutionBody {
    name: String,
    status: Option<StatusBody>,
}

#[derive(Deserialize)]
struct StatusBody {
    item_logins: Option<LoginsBody>,
}

#[derive(Deserialize)]
struct LoginsBody {
    status: Option<String>,
}

/// Plaid's answer about a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstitutionAnswer {
    /// What the bank is called: untrusted text.
    pub name: String,
    /// Whether one can log in; nothing in Sandbox and for banks with little traffic.
    pub logins: Option<Logins>,
}

/// Whether logging in to a bank works at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logins {
    /// It does.
    Healthy,
    /// Often not: Link warns.
    Degraded,
    /// Not: Link sends the user away, so a letter would too.
    Down,
}

impl Client {
    /// The name of a bank and the state of its logins. Plaid wants the countries too, although the id says it all.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn institution(
        &self,
        id: &InstitutionId,
        country_codes: &[String],
    ) -> Result<InstitutionAnswer, CallError> {
        let options = OptionsBody { include_status: true };
        let request = Request { institution_id: id.as_str(), country_codes, options };
        let Answer { body, .. } = self.call::<Body>("institutions/get_by_id", &request).await?;
        let status = body.institution.status.and_then(|status| status.item_logins).and_then(|logins| logins.status);
        let logins = match status.as_deref() {
            Some("HEALTHY") => Some(Logins::Healthy),
            Some("DEGRADED") => Some(Logins::Degraded),
            Some("DOWN") => Some(Logins::Down),
            Some(_) | None => None,
        };
        Ok(InstitutionAnswer { name: body.institution.name, logins })
    }
}
