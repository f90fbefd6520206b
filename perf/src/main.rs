//! Scenarios and figures.
fn main() {}
