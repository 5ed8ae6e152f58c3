//! All that knows Plaid's words and URLs: the signature of a webhook, what a webhook means, the API client, whose fault an
//! error is.
//!
//! Plaid's words end here: what leaves this folder is in our own words (see [`crate::domain`]). It knows neither the store
//! nor the clock, and it keeps nothing between two calls.

pub mod client;
pub mod error;
pub mod fault;
pub mod key;
mod members;
pub mod pairs;
pub mod signature;
mod time;
pub mod webhook;
