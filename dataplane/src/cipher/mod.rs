//! ESP's ciphers other than AES-GCM (RFC 8221 §5): AES-CBC and HMAC-SHA over bursts, others a packet at a time over
//! well-kept libraries.
//!
//! A [`Sealer`] encrypts whole ESP packets in place, from SPI to ICV, an [`Opener`] undoes that; each is made for one
//! suite and one direction, lies inline, allocates nothing and wipes itself. [`seal_burst`] and [`open_burst`] take packets
//! of many of them. AES-GCM, which nearly all packets take, is `ravelin_gcm`'s; nothing here is on its way.
//!
//! Left to the caller: the layout (`net::esp::Framing`), sequence numbers and their uniqueness, the replay window, what
//! the text says.

mod burst;
mod ccm;
mod chacha;
mod des;
mod gmac;
mod hashed;
mod mac;
mod parts;

pub use burst::{BURST, Open, Seal, open_burst, seal_burst};
pub use des::Kind as Des;
pub use mac::Hash;

use ravelin_gcm::KeySize;

/// Octets of keying material of ChaCha20-Poly1305: key and salt (RFC 7634 §2).
pub const CHACHA: usize = chacha::KEY + chacha::SALT;

/// Octets of keying material of AES-GMAC beside the key: the salt (RFC 4543 §5.3).
pub const GMAC_SALT: usize = gmac::SALT;

/// Octets of keying material of AES-CCM beside the key: the salt (RFC 4309 §7.1).
pub const CCM_SALT: usize = ccm::SALT;

/// Octets of secret that a sender in CBC mode draws its IVs from.
pub const SEED: usize = 16;

/// Where a packet stands in its SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// All 64 bits of its sequence number.
    pub sequence: u64,
    /// Whether the peers count with 64 bits: then the ICV covers the half that is not sent.
    pub esn: bool,
}

impl Position {
    /// What the ICV covers behind the packet: "the high-order 32 bits of the sequence number" are appended where a
    /// separate integrity algorithm is used, and are not transmitted (RFC 4303 §2.2.1, §2.8).
    fn suffix(self) -> Suffix {
        Suffix { octets: ((self.sequence >> 32) as u32).to_be_bytes(), present: self.esn }
    }
}

/// Octets that are authenticated and not sent.
#[derive(Debug)]
struct Suffix {
    octets: [u8; 4],
    present: bool,
}

impl Suffix {
    fn as_bytes(&self) -> &[u8] {
        if self.present { &self.octets } else { &[] }
    }
}

/// Encrypts the packets of one SA.
#[derive(Debug)]
pub enum Sealer {
    /// AES-CBC, Triple-DES, DES, or nothing, then HMAC or AES-CMAC.
    Hashed(hashed::Sealer),
    /// ChaCha20-Poly1305.
    ChaCha(chacha::Key),
    /// AES-GMAC.
    Gmac(gmac::Key),
    /// AES-CCM.
    Ccm(ccm::Key),
}

/// Decrypts the packets of one SA.
#[derive(Debug)]
pub enum Opener {
    /// HMAC or AES-CMAC, then AES-CBC, Triple-DES, DES, or nothing.
    Hashed(hashed::Opener),
    /// ChaCha20-Poly1305.
    ChaCha(chacha::Key),
    /// AES-GMAC.
    Gmac(gmac::Key),
    /// AES-CCM.
    Ccm(ccm::Key),
}

// Both lie where the key of AES-GCM would, behind a tag (`sa::Keyed`).
const _: () = assert!(size_of::<Sealer>() <= 544 && size_of::<Opener>() <= 544);

/// A packet that cannot be sealed: it is shorter than its own framing. Our own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort;

/// The ICV does not fit key and packet; the text is as it was, or zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIcv;

impl Sealer {
    /// For AES-CBC with HMAC; `keys` are the cipher's key, the hash's, and [`SEED`] octets that nobody else knows.
    pub fn cbc(size: KeySize, hash: Hash, keys: &[u8]) -> Option<Sealer> {
        hashed::Sealer::new(size, hash, keys).map(Sealer::Hashed)
    }

    /// For Triple-DES or DES with HMAC; `keys` as for [`Sealer::cbc`].
    pub fn des(kind: Des, hash: Hash, keys: &[u8]) -> Option<Sealer> {
        hashed::Sealer::des(kind, hash, keys).map(Sealer::Hashed)
    }

    /// For HMAC without a cipher (RFC 2410).
    pub fn null(hash: Hash, key: &[u8]) -> Option<Sealer> {
        hashed::Sealer::null(hash, key).map(Sealer::Hashed)
    }

    /// For ChaCha20-Poly1305; `keys` are key and salt.
    pub fn chacha(keys: &[u8]) -> Option<Sealer> {
        chacha::Key::new(keys).map(Sealer::ChaCha)
    }

    /// For AES-GMAC; `keys` are key and salt.
    pub fn gmac(size: KeySize, keys: &[u8]) -> Option<Sealer> {
        gmac::Key::new(size, keys).map(Sealer::Gmac)
    }

    /// For AES-CCM; `keys` are key and salt.
    pub fn ccm(size: KeySize, keys: &[u8]) -> Option<Sealer> {
        ccm::Key::new(size, keys).map(Sealer::Ccm)
    }

    /// [`seal_burst`] of one packet.
    pub fn seal(&self, at: Position, packet: &mut [u8]) -> Result<(), TooShort> {
        let mut lane = Seal::new(self, at, packet);
        seal_burst(std::slice::from_mut(&mut lane));
        lane.verdict
    }
}

impl Opener {
    /// For AES-CBC with HMAC; `keys` as for [`Sealer::cbc`].
    pub fn cbc(size: KeySize, hash: Hash, keys: &[u8]) -> Option<Opener> {
        hashed::Opener::new(size, hash, keys).map(Opener::Hashed)
    }

    /// For Triple-DES or DES with HMAC; `keys` as for [`Sealer::cbc`].
    pub fn des(kind: Des, hash: Hash, keys: &[u8]) -> Option<Opener> {
        hashed::Opener::des(kind, hash, keys).map(Opener::Hashed)
    }

    /// For HMAC without a cipher (RFC 2410).
    pub fn null(hash: Hash, key: &[u8]) -> Option<Opener> {
        hashed::Opener::null(hash, key).map(Opener::Hashed)
    }

    /// For ChaCha20-Poly1305; `keys` are key and salt.
    pub fn chacha(keys: &[u8]) -> Option<Opener> {
        chacha::Key::new(keys).map(Opener::ChaCha)
    }

    /// For AES-GMAC; `keys` are key and salt.
    pub fn gmac(size: KeySize, keys: &[u8]) -> Option<Opener> {
        gmac::Key::new(size, keys).map(Opener::Gmac)
    }

    /// For AES-CCM; `keys` are key and salt.
    pub fn ccm(size: KeySize, keys: &[u8]) -> Option<Opener> {
        ccm::Key::new(size, keys).map(Opener::Ccm)
    }

    /// [`open_burst`] of one packet.
    pub fn open(&self, at: Position, packet: &mut [u8]) -> Result<(), BadIcv> {
        let mut lane = Open::new(self, at, packet);
        open_burst(std::slice::from_mut(&mut lane));
        lane.verdict
    }
}
