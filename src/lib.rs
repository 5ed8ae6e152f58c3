//! relinkd
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod mail;
pub mod plaid;
pub mod store;
pub mod web;
