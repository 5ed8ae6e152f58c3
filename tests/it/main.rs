//! The integration tests: one binary, one file a subject.

mod client;
mod contract;
mod key;
mod kill;
mod loopback;
mod openapi;
mod process;
mod receive;
mod signature;
mod small_plaid;
mod store;
mod webhook;
