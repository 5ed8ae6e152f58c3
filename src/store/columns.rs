//! Between rows and the domain's types: times, ids, names. A row that does not read back says table, column and row.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::FromSql;

use super::error::StoreError;
use crate::domain::ids::{InstitutionId, ItemId, UserId};
use crate::domain::item::{Cure, Destination, ExpiryReason, Kind, RemovalReason, State, Token};
use crate::domain::step::{OUTCOMES, Outcome};

/// A moment as the store keeps it.
pub(crate) fn ms(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// One row of a table, and how to complain about it.
pub(crate) struct Record<'a> {
    pub(crate) table: &'static str,
    pub(crate) id: String,
    pub(crate) row: &'a Row<'a>,
}

impl<'a> Record<'a> {
    /// A row whose id stands in a text column.
    pub(crate) fn new(table: &'static str, id_column: &'static str, row: &'a Row<'a>) -> Result<Self, StoreError> {
        Ok(Self { table, id: row.get(id_column)?, row })
    }

    /// A row whose id is a number.
    pub(crate) fn numbered(table: &'static str, row: &'a Row<'a>) -> Result<Self, StoreError> {
        Ok(Self { table, id: row.get::<_, i64>("id")?.to_string(), row })
    }

    pub(crate) fn wrong(&self, column: &'static str, problem: impl Into<String>) -> StoreError {
        StoreError::Row { table: self.table, row: self.id.clone(), column, problem: problem.into() }
    }

    pub(crate) fn get<T: FromSql>(&self, column: &'static str) -> Result<T, StoreError> {
        self.row.get(column).map_err(|error| {
            if matches!(error, rusqlite::Error::SqliteFailure(..)) {
                StoreError::Sqlite(Arc::new(error))
            } else {
                self.wrong(column, error.to_string())
            }
        })
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.time_if(column)?.ok_or_else(|| self.wrong(column, "is missing"))
    }

    pub(crate) fn time_if(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        self.get::<Option<i64>>(column)?
            .map(|at| Timestamp::from_millisecond(at).map_err(|error| self.wrong(column, error.to_string())))
            .transpose()
    }

    pub(crate) fn count(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|error| self.wrong(column, error.to_string()))
    }

    pub(crate) fn small(&self, column: &'static str) -> Result<u8, StoreError> {
        u8::try_from(self.get::<i64>(column)?).map_err(|error| self.wrong(column, error.to_string()))
    }

    pub(crate) fn item_id(&self, column: &'static str) -> Result<ItemId, StoreError> {
        ItemId::parse(self.get::<String>(column)?).map_err(|error| self.wrong(column, error.to_string()))
    }

    pub(crate) fn user_id(&self, column: &'static str) -> Result<UserId, StoreError> {
        UserId::parse(self.get::<String>(column)?).map_err(|error| self.wrong(column, error.to_string()))
    }

    pub(crate) fn institution_id_if(&self, column: &'static str) -> Result<Option<InstitutionId>, StoreError> {
        self.get::<Option<String>>(column)?
            .map(|id| InstitutionId::parse(id).map_err(|error| self.wrong(column, error.to_string())))
            .transpose()
    }

    /// A value by its name in a list of names.
    pub(crate) fn named<T: Copy>(&self, column: &'static str, names: &[(T, &str)]) -> Result<T, StoreError> {
        self.named_if(column, names)?.ok_or_else(|| self.wrong(column, "is missing"))
    }

    pub(crate) fn named_if<T: Copy>(&self, column: &'static str, names: &[(T, &str)]) -> Result<Option<T>, StoreError> {
        let Some(name) = self.get::<Option<String>>(column)? else { return Ok(None) };
        let found = names.iter().find(|(_, known)| *known == name).map(|(value, _)| *value);
        found.map(Some).ok_or_else(|| self.wrong(column, format!("has the unknown name {name:?}")))
    }

    pub(crate) fn state(&self, column: &'static str) -> Result<State, StoreError> {
        let name: String = self.get(column)?;
        State::named(&name).ok_or_else(|| self.wrong(column, format!("has the unknown name {name:?}")))
    }

    pub(crate) fn kind_if(&self, column: &'static str) -> Result<Option<Kind>, StoreError> {
        let Some(name) = self.get::<Option<String>>(column)? else { return Ok(None) };
        let kind = Kind::named(&name).ok_or_else(|| self.wrong(column, format!("has the unknown name {name:?}")))?;
        Ok(Some(kind))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.get::<String>(column)?).map_err(|error| self.wrong(column, error.to_string()))
    }
}

/// The name of a value in a list of names.
pub(crate) fn name_of<T: PartialEq>(value: &T, names: &[(T, &'static str)]) -> &'static str {
    names.iter().find(|(known, _)| known == value).map(|(_, name)| *name).expect("every value has a name")
}

/// Writes a value of ours as JSON: our own types always can be.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our types have text keys and no failing serializers")
}

pub(crate) const TOKENS: [(Token, &str); 4] = [
    (Token::Unproven, "unproven"),
    (Token::Proven, "proven"),
    (Token::Foreign, "foreign"),
    (Token::Refused, "refused"),
];

pub(crate) const REMOVAL_REASONS: [(RemovalReason, &str); 2] =
    [(RemovalReason::Application, "application"), (RemovalReason::UnknownToPlaid, "unknown_to_plaid")];

pub(crate) const DESTINATIONS: [(Destination, &str); 3] = Destination::NAMES;

pub(crate) const CURES: [(Cure, &str); 2] = [(Cure::LogIn, "log_in"), (Cure::ChooseAccounts, "choose_accounts")];

pub(crate) const EXPIRY_REASONS: [(ExpiryReason, &str); 3] = [
    (ExpiryReason::ConsentEnds, "consent_ends"),
    (ExpiryReason::BankMoves, "bank_moves"),
    (ExpiryReason::Unsaid, "unsaid"),
];

pub(crate) fn outcome_name(outcome: Outcome) -> &'static str {
    name_of(&outcome, &OUTCOMES)
}
