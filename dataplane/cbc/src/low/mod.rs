//! The arithmetic: one packet after the other over libraries ([`single`]), and side by side ([`zmm`]).
//!
//! What works side by side takes of a burst what is its own and leaves the rest.

pub(crate) mod single;
#[cfg(target_arch = "x86_64")]
pub(crate) mod zmm;

use crate::{Chain, Message};

/// Encrypts those chains whose keys were made for lanes.
pub(crate) fn encrypt_together(_chains: &mut [Chain<'_>]) {
    #[cfg(target_arch = "x86_64")]
    zmm::encrypt(_chains);
}

/// Computes the MACs of those messages whose keys were made for lanes.
pub(crate) fn mac_together(_messages: &mut [Message<'_>]) {
    #[cfg(target_arch = "x86_64")]
    zmm::mac(_messages);
}
