//! The pure core: what an Item and a user are, and what follows from an event.
//!
//! No async, no I/O, no clock, no randomness: time and ids come in as arguments, what is to be done goes out as data.
//! Everything else in this crate exists to feed these rules and to carry out what they say.
//!
//! Read in this order: [`item`] (what can be true of an Item, and the state that follows), [`event`] (what can happen to
//! it), [`mod@transition`] (the one rule for an Item), [`mod@compose`] and [`mod@fresh_link`] (the rules for a user), then
//! [`ladder`], [`window`] and [`policy`] for when letters are due, [`preferences`] for what a user wishes, [`step`] and
//! [`effect`] for what follows. [`contact`], [`language`], [`colour`], [`logo`] and [`plain`] are values that several layers
//! share: they parse, and then nobody checks again.

pub mod bounces;
pub mod colour;
pub mod compose;
pub mod contact;
pub mod cron;
pub mod effect;
pub mod event;
pub mod fresh_link;
pub mod ids;
pub mod item;
pub mod ladder;
pub mod language;
pub mod logo;
pub mod outage;
pub mod plain;
pub mod plan;
pub mod policy;
pub mod preferences;
pub mod provider;
pub mod step;
pub mod supersede;
pub mod transition;
pub mod window;
