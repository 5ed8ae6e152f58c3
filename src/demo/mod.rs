//! The whole thing with a Plaid, a Link page and a mailbox of its own.
//!
//! For trying out and for tests; nothing of the daemon may depend on it.

pub mod mailbox;
pub mod plaid;
mod serve;
pub mod signer;
