//! The engine against a peer with one key exchange: see `world.rs`.
#![no_main]

#[path = "../peer.rs"]
mod peer;
#[path = "../proofs.rs"]
mod proofs;
#[path = "../world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use peer::{Peer, engine};
use proofs::Proofs::Key;

fuzz_target!(|data: &[u8]| world::run(engine(Key), Peer::new(Key), data));
