//! The whole thing without the outside: a Plaid, a Link page and a mailbox of its own, and the real daemon beside them.
//!
//! The fake Plaid and the mailbox speak real HTTP and real SMTP, on loopback only. The tests use them too.

pub mod mailbox;
pub mod plaid;
pub mod run;
mod serve;
pub mod signer;
