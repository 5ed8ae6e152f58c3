//! All that knows letters and SMTP: what a letter says, how it becomes a message, how it is handed to a mail server.
//!
//! It does not decide who gets a letter or when ([`domain`](crate::domain) does), keeps nothing, and starts nothing by
//! itself. Called by `engine`, by `web` for previews, and by the command line.
//!
//! The way of a letter: [`letter::Letter`] is rendered in a [`Language`](crate::domain::language::Language) to a subject, a text and an HTML part;
//! [`message::Addressing`] makes a MIME message of it; [`smtp::send`] hands that over, and says in an
//! [`smtp::Outcome`] what became of it. What comes back later is read by [`report`] and [`events`].

pub mod events;
pub mod grammar;
pub mod letter;
pub mod lint;
pub mod message;
mod overrides;
pub mod reply;
pub mod report;
pub mod sample;
pub mod server;
pub mod smtp;
pub mod stage;
pub mod starter;
mod wire;
pub mod words;
