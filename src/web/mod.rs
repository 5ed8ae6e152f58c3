//! All that knows HTTP coming in.

pub mod page;
