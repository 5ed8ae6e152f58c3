//! The integration tests: one binary, one file a subject.

mod canary;
mod client;
mod contract;
mod core_exhaustive;
mod core_invariants;
mod core_stories;
mod core_support;
mod core_wakeups;
mod core_world;
mod core_worlds;
mod examples;
mod harness;
mod key;
mod kill;
mod layering;
mod loopback;
mod openapi;
mod process;
mod readme;
mod receive;
mod signature;
mod small_plaid;
mod store;
mod stories;
mod webhook;
