//! The engine against a peer with a certificate and a second proof (RFC 4739), that may show where its certificates lie, bring
//! its responder's word, or show a public key in their place (RFC 7670): see `world.rs`.
#![no_main]

#[path = "../peer.rs"]
mod peer;
#[path = "../proofs.rs"]
mod proofs;
#[path = "../world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use peer::{Peer, engine};
use proofs::Proofs::CertificateAndKey;

fuzz_target!(|data: &[u8]| world::run(engine(CertificateAndKey), Peer::new(CertificateAndKey), data));
