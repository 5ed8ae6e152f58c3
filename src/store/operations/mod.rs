//! The operations that the rest of relinkd asks for, one file a subject. Each is atomic: whole, or not at all.

mod breaker;
mod effects;
mod items;
mod letters;
mod links;
mod returned;
mod webhooks;

pub use effects::Agenda;
pub use items::{NewItem, Registered};
pub use letters::{Composed, Composer, Departure, Settled, Written};
pub use returned::{Back, MailReport, Reported, Whose};

type Result<T> = std::result::Result<T, super::StoreError>;
