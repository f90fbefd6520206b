//! Micro-benches beside the hot code; each asserts its answer.
