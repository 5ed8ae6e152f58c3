//! relinkd keeps bank connections made through Plaid (*Items*) healthy, and brings users back when one breaks.
//!
//! # Bird's eye
//!
//! ```text
//! Plaid --webhook--> web --> inbox --> engine --> domain::transition --> Item, journal, outbox
//!                                        |
//!                     outbox: ask Plaid -+- letters: compose, ask again, send, settle
//!                                        |
//! end user <--letter-- mail <------------+          end user --link--> web: repair page --> update mode
//! ```
//!
//! A webhook is verified, committed to the inbox, and answered 200: from then on no crash loses it. The engine reads the
//! inbox, says what a webhook means ([`plaid::webhook`]), and applies it: one pure rule decides what follows for an Item
//! ([`domain::transition`]), another what to write to a user ([`domain::compose`]). What is to be done outside goes into the
//! outbox in the same transaction, is claimed under a lease, done, and settled. Plaid's answer to `/item/get` is the truth; a
//! webhook is a hint. A letter leaves only if Plaid, asked right before, says that it is still so.
//!
//! # Code map
//!
//! | folder | knows | may import |
//! |---|---|---|
//! | [`domain`] | what an Item and a user are, and what follows from an event. Pure | nothing of ours |
//! | [`config`] | the file as written, and the configuration as valid by construction | domain |
//! | [`store`] | SQL: whole operations, each atomic; sealing | domain |
//! | [`plaid`] | Plaid's words and URLs: signature, webhook, client, faults | domain |
//! | [`mail`] | letters, languages, SMTP | domain |
//! | [`engine`] | the imperative shell: one loop, and what it does | those above |
//! | [`web`] | HTTP coming in: webhook, repair page, API, health | those above |
//! | [`daemon`] | the whole, started and stopped | everything |
//! | [`cli`], [`demo`] | commands; a Plaid, a Link page and a mailbox of our own | everything |
//!
//! `tests/it/layering.rs` holds the code to this table. Read `domain` first: it is the product.
//!
//! # Invariants
//!
//! - What was answered 200 is on disk: `synchronous=FULL`, and the answer comes after the commit.
//! - One step is atomic: Item, journal row, effects, the inbox row's status.
//! - `transition` and `compose` cannot fail. Idempotence comes from the state, not from ids of webhooks.
//! - Nobody is mailed about a condition that Plaid denies, that they cannot cure, or before the token is proven.
//! - Fetching a link writes nothing and calls nobody.
//! - An access token leaves the store only towards Plaid. Tokens, addresses and bodies are sealed in every row.
//! - Time, ids and chance come in at [`engine::clock`], the environment at [`cli`]; `.clippy.toml` forbids them elsewhere.
//!
//! # Recipes
//!
//! - *A new webhook of Plaid's matters*: its meaning in [`plaid::webhook`], if need be a new
//!   [`Event`](domain::event::Event); the compiler lists what else has to answer.
//! - *A new error code*: a row in [`plaid::fault`].
//! - *A new condition*: a field of [`Item`](domain::item::Item), a [`Kind`](domain::item::Kind) and a
//!   [`State`](domain::item::State); `schema.sql`; the words in [`mail`] and [`web::page`].
//! - *A new thing to do outside*: an [`Effect`](domain::effect::Effect) with a key, an arm in `engine::dispatch`.
//! - *A new text for users*: its line in every language's file, of letters ([`mail`]) or of the page ([`web::page`]); a test
//!   names each one that is missing.
//! - *A new configuration key*: its section in [`config`], a line in `config.example.toml`.
//! - *A new call to Plaid*: its file in [`plaid::client`]; whoever makes it goes through [`engine::Engine::call`], which keeps the
//!   budget.
//! - *Something that the clock does for all Items*: an `Appointment` in `store::sweep`, an arm in `engine::sweep`.
//! - *A new command*: one file in [`cli`], with its API behind the control socket.
//! - *A new operation of the store*: one method that is whole, with its SQL beside the table that it is about.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod mail;
pub mod plaid;
pub mod store;
pub mod web;
