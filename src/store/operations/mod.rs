//! The operations that the rest of relinkd asks for, one file a subject. Each is atomic: whole, or not at all.

mod breaker;
mod effects;
mod items;
mod keys;
mod letters;
mod links;
mod webhooks;

pub use effects::Agenda;
pub use items::{NewItem, Registered};
pub use keys::SealingAnew;
pub use letters::{Composed, Composer, Written};

type Result<T> = std::result::Result<T, super::StoreError>;
