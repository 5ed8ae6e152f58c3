//! The integration tests: one binary, one file a subject.

mod client;
mod contract;
mod examples;

mod harness;
mod key;
mod loopback;
mod openapi;
mod signature;
mod stories;
mod webhook;
