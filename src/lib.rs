//! relinkd
pub mod demo;
pub mod domain;
pub mod plaid;
pub mod store;
pub mod mail;
pub mod web;
