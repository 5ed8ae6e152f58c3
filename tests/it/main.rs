//! The integration tests: one binary, one file a subject.

mod client;
mod contract;
mod key;
mod layering;
mod loopback;
mod openapi;
mod signature;
mod webhook;
