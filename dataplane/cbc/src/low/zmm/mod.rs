//! Side by side in registers of 512 bits: AVX-512 (F, BW), VAES.
//!
//! `chains.rs` and `messages.rs` give each packet a lane and a lane that is done the next packet; `aes.rs`, `sha1.rs`
//! and `sha2.rs` are what is computed of a block of each lane, `lanes.rs` what the hashes have in common. `decrypt.rs` works one packet, whose blocks do not wait for each other.

mod aes;
mod chains;
mod decrypt;
mod lanes;
mod messages;
mod sha1;
mod sha2;

pub(crate) use aes::RoundKeys;
pub(crate) use chains::encrypt;
pub(crate) use decrypt::decrypt;
pub(crate) use messages::mac;

/// Proof that this processor has the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu(());

impl Cpu {
    pub(crate) fn detect() -> Option<Cpu> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("aes");
        has.then_some(Cpu(()))
    }
}
