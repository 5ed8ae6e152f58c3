//! The integration tests: one binary, one file a subject.

mod client;
mod loopback;
mod signature;
mod webhook;
