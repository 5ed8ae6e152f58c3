//! relinkd
pub mod domain;
