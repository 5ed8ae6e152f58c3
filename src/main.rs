//! relinkd
fn main() {}
