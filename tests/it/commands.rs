//! The commands of the real binary against a real daemon: what a person at two in the morning would type.

mod import;
mod items;
mod letters;
mod reach;
mod suppressions;
mod users;
mod webhooks;
