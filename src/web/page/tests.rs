//! The pages, seen from outside.
