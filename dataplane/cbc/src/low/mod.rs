//! The arithmetic: one packet after the other over libraries ([`single`]), and side by side ([`zmm`]).
//!
//! What works side by side takes of a burst what has keys made for it and leaves the rest.

pub(crate) mod single;
#[cfg(target_arch = "x86_64")]
pub(crate) mod zmm;
