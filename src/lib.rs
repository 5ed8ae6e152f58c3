//! relinkd
pub mod demo;
pub mod cli;
pub mod config;
pub mod domain;
pub mod plaid;
pub mod store;
pub mod mail;
pub mod web;
