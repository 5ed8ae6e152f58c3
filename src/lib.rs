//! relinkd
pub mod demo;
pub mod domain;
pub mod plaid;
