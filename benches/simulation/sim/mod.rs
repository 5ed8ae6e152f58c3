//! Simulated worlds: a Plaid whose truth is known, webhooks that are lost, doubled, late and in disorder, a Plaid and a
//! relinkd that are down for days, limits of rate; and between them the shell's protocol, in virtual time. The question is
//! one: is what relinkd knows about every Item in the end what Plaid says?
//!
//! A world is lived through by one of two shells: [`pure`] has the core and some maps, [`stored`] the core and the real
//! store. The same seed leads both through the same calls, so that their Items have to be equal in the end.

mod chance;
mod office;
mod plan;
mod post;
pub mod pure;
mod shell;
pub mod stored;
mod stored_post;
mod truth;
mod world;
pub mod year;

pub use plan::{Outcome, Plan, Planted};
pub use world::live;
