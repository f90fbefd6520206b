//! ravelind
fn main() {}
