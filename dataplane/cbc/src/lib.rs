//! AES-CBC and HMAC-SHA over bursts of packets, each packet under its own keys.
//!
//! To encrypt in CBC mode, and to hash, a block waits for the one before it: a processor that works one packet after the other
//! is idle most of the time. The packets of a burst do not wait for each other. So here each has a lane of a vector register,
//! sixteen or eight side by side, and the next packet takes the lane of one that is done. To decrypt nothing waits, and a
//! packet is worked alone, its blocks side by side.
//!
//! Sources: SP 800-38A §6.2 (CBC), FIPS 197 (AES), FIPS 180-4 (SHA), RFC 2104 (HMAC).
//!
//! Left to the caller: **the IV**, which nobody may know beforehand (SP 800-38A appendix C); **padding** to whole blocks;
//! the **order**, encrypt, then authenticate; and to **compare** a MAC in constant time.
//!
//! Layers, imports pointing downwards: the bursts ([`encrypt_burst`], [`mac_burst`], [`decrypt`]), keys (`key.rs`), [`Kernel`]
//! (`kernel.rs`), and `low/`, which holds the arithmetic and all the `unsafe`.

mod chain;
mod kernel;
mod key;
mod low;
mod message;

pub use chain::{Chain, decrypt, encrypt_burst};
pub use kernel::Kernel;
pub use key::{DecryptionKey, EncryptionKey, Hash, MacKey};
pub use message::{Message, mac_burst};

/// Packets considered together. A longer slice is correct too, it is worked in pieces.
pub const BURST: usize = 64;

/// Octets of a block of AES.
pub const BLOCK: usize = 16;

/// Octets of a MAC that are kept at most: half of SHA-512 (RFC 4868 §2.1.2).
pub const MAC: usize = 32;
