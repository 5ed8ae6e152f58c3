//! A year of many users in every time zone: breaks that heal, breaks that last, outages, moves, opt-outs, pauses, addresses
//! that die, a relinkd that is down for days. Every letter that leaves is held against what is true then, and every user who
//! could be written to has to be. What is believed is not looked at: [`check`] and [`waits`] keep books of their own.
//!
//! Time jumps from one happening to the next. Of the daily questions about every Item only those are put whose answer is
//! news: the others change nothing, and the worlds of [`live`](super::live) put them all.

mod books;
mod check;
mod life;
mod plan;
mod posting;
mod waits;
mod whims;
mod world;
mod zones;

pub use plan::{Outcome, Plan, Planted};
pub use world::{live, policy};
pub use zones::winter_offsets;
