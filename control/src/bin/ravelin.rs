//! ravelin
fn main() {}
