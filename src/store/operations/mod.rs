//! The operations that the rest of relinkd asks for, one file a subject. Each is atomic: whole, or not at all.

mod accounts;
mod breaker;
mod compose;
mod effects;
mod events;
mod import;
mod items;
mod keys;
mod letters;
mod links;
mod preferences;
mod purge;
mod releases;
mod returned;
mod sweep;
mod webhooks;

pub use accounts::Asked;
pub use compose::{Composed, Composer};
pub use effects::Agenda;
pub use import::{IMPORT_ROWS_MAX, Imported, Mode, NewUser};
pub use items::{NewItem, Registered};
pub use keys::SealingAnew;
pub use letters::{Departure, Outlook, Settled, Written};
pub use releases::{Candidates, Released};
pub use returned::{Back, MailReport, Reported, Whose};

type Result<T> = std::result::Result<T, super::StoreError>;
