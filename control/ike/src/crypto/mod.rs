//! The cryptography of IKEv2: what turns octets into keys and keys into protected octets.

mod random;

pub use random::Random;
