//! Prefetch, TSC, cache-line arenas and wiping: what safe Rust cannot say.
