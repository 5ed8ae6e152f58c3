//! All that knows Plaid's words and URLs: the signature of a webhook, what a webhook means, the API client, whose fault an
//! error is.
//!
//! Plaid's words end here: what leaves this folder is in our own words (see [`crate::domain`]). It knows neither the store
//! nor the clock, and it keeps nothing between two calls.
