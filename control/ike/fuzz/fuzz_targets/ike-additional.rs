//! The engine against a peer with additional key exchanges (RFC 9370): see `world.rs`.
#![no_main]

#[path = "../peer.rs"]
mod peer;
#[path = "../proofs.rs"]
mod proofs;
#[path = "../world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use peer::{Peer, engine};
use proofs::Proofs::KeyAfterAdditional;

fuzz_target!(|data: &[u8]| world::run(engine(KeyAfterAdditional), Peer::new(KeyAfterAdditional), data));
