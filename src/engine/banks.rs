//! The names of banks, for Items whose answer names only the id: asked once per bank, and remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::traffic::Caller;
use crate::domain::ids::InstitutionId;

/// How many names are remembered. Plaid has some 12,000 banks; who needs more begins anew.
const NAMES_MAX: usize = 20_000;

/// How long a bank whose name was not to be had is left alone.
const FAILED_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// The names that were asked for.
#[derive(Default)]
pub(super) struct Banks(Mutex<HashMap<InstitutionId, Known>>);

#[derive(Clone)]
enum Known {
    Name(String),
    /// It was not to be had at this time.
    Failed(Timestamp),
}

impl Banks {
    fn known(&self, id: &InstitutionId) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn keep(&self, id: &InstitutionId, known: Known) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(id.clone(), known);
    }
}

impl Engine {
    /// What a bank is called, if Plaid says so. A name that cannot be had is no reason to wait: letters then say "your bank".
    pub(super) async fn bank_name(&self, caller: Caller, id: &InstitutionId) -> Option<String> {
        match self.banks.known(id) {
            Some(Known::Name(name)) => return Some(name),
            Some(Known::Failed(at)) if self.clock.now().duration_since(at) < FAILED_LIFE => return None,
            Some(Known::Failed(_)) | None => {}
        }
        let codes: Vec<String> = self.config.plaid.country_codes.iter().map(|code| code.as_str().to_owned()).collect();
        match self.call(caller, None, self.plaid.institution(id, &codes)).await {
            Ok(answer) => {
                self.banks.keep(id, Known::Name(answer.name.clone()));
                Some(answer.name)
            }
            Err(error) => {
                tracing::warn!(institution = %id, "bank {id}: its name is not known: {error}");
                self.banks.keep(id, Known::Failed(self.clock.now()));
                None
            }
        }
    }
}
