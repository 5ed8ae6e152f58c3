//! The integration tests: one binary, one file a subject.

mod client;
mod contract;
mod core_exhaustive;
mod core_invariants;
mod core_plaid;
mod core_properties;
mod core_stories;
mod core_support;
mod core_wakeups;
mod core_world;
mod core_worlds;
mod key;
mod loopback;
mod openapi;
mod signature;
mod webhook;
