//! The pure core: what an Item and a user are, and what follows from an event.
//!
//! No async, no I/O, no clock, no randomness: time and ids come in as arguments, what is to be done goes out as data.
//! Everything else in this crate exists to feed these rules and to carry out what they say.

pub mod contact;
pub mod effect;
pub mod event;
pub mod ids;
pub mod item;
pub mod ladder;
pub mod policy;
pub mod window;
