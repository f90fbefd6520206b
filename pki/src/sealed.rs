//! A private key at rest: enciphered under a passphrase of the machine, with what may be known of it in clear before.
//!
//! ```text
//! "rvkey"  version (1)  flags  iterations (4)  salt (16)  nonce (12)  length (2) and octets of the public key
//! the key as PKCS#8 under AES-256-GCM, and its tag (16)
//! ```
//!
//! The AES key comes of the passphrase by PBKDF2-HMAC-SHA-256 under a salt of the file's own, so that no two files share
//! one and a nonce has no second message to meet. Everything before the ciphertext is bound by the tag, and the name of
//! the key with it: a file that is renamed, marked exportable or given another public key does not open.

use std::num::NonZeroU32;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use aws_lc_rs::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::key::{GenerateError, KeyError, KeyFileError, PrivateKey, PublicKey};

/// What a file begins with, its version last.
const MAGIC: [u8; 6] = *b"rvkey\x01";
/// Octets before the version.
const FAMILY: usize = 5;
/// May leave the machine.
const EXPORTABLE: u8 = 1;
/// Iterations that we write (NIST SP 800-132 §5.2: as many as can be borne).
const ITERATIONS: u32 = 600_000;
/// Iterations that are believed: fewer were not written by us, more would hold us up.
const BELIEVED: std::ops::RangeInclusive<u32> = 100_000..=10_000_000;
const SALT: usize = 16;
const TAG: usize = 16;
/// Shortest passphrase accepted, in octets: what is shorter is guessed, whatever the iterations.
pub const MIN_PASSPHRASE: usize = 16;
/// Longest passphrase accepted, in octets.
pub const MAX_PASSPHRASE: usize = 4096;
/// Largest sealed key, in octets: an RSA key of 8192 bits has 4.7 kB, and its public half one more.
pub const MAX_SEALED: usize = 16 << 10;

/// What seals keys: wiped on drop, never printed.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Passphrase {
    /// Takes what a file or credential holds; line ends after it do not count.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn new(mut octets: Zeroizing<Vec<u8>>) -> Result<Self, SealedError> {
        let ends = octets.iter().rev().take_while(|octet| b"\r\n".contains(octet)).count();
        let length = octets.len().saturating_sub(ends);
        octets.truncate(length);
        if !(MIN_PASSPHRASE..=MAX_PASSPHRASE).contains(&length) {
            return Err(SealedError::Passphrase(length));
        }
        Ok(Self(octets))
    }
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// Not a passphrase to rely on.
    #[error("the passphrase has {0} octets; {MIN_PASSPHRASE} to {MAX_PASSPHRASE} are needed")]
    Passphrase(usize),
    /// Not a sealed key at all, or one cut off.
    #[error("it is not a sealed key, or is cut off")]
    Format,
    /// Sealed by another version of this program.
    #[error("it is a sealed key of version {0}; this program reads version 1")]
    Version(u8),
    /// The iterations are not believable.
    #[error("it asks for {0} iterations, which this program never writes")]
    Iterations(u32),
    /// The public key in it is none that is used here.
    #[error("its public key: {0}")]
    PublicKey(#[from] KeyError),
    /// The tag does not fit.
    #[error(
        "it does not open: it was sealed under another passphrase or another name, or it has been changed"
    )]
    Closed,
    /// What was sealed is no key.
    #[error("what was sealed: {0}")]
    Key(#[from] KeyFileError),
    /// The machine or the library failed.
    #[error(transparent)]
    Machine(#[from] GenerateError),
}

/// A sealed key, as far as it can be known without the passphrase. What it says is proven when it opens.
#[derive(Clone, Debug)]
pub struct Sealed {
    octets: Vec<u8>,
    header: usize,
    iterations: NonZeroU32,
    salt: [u8; SALT],
    nonce: [u8; NONCE_LEN],
    exportable: bool,
    public_key_info: Vec<u8>,
    public_key: PublicKey,
}

impl Sealed {
    /// Seals a key under its name.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn seal(
        key: &PrivateKey,
        name: &str,
        exportable: bool,
        passphrase: &Passphrase,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealedError> {
        let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
        random.fill(&mut salt).map_err(GenerateError::from)?;
        random.fill(&mut nonce).map_err(GenerateError::from)?;
        let public = key.public_key_info()?;
        let length = u16::try_from(public.len()).map_err(|_| SealedError::Format)?;
        let flags = if exportable { EXPORTABLE } else { 0 };
        let header =
            [&MAGIC[..], &[flags], &ITERATIONS.to_be_bytes(), &salt, &nonce, &length.to_be_bytes(), &public]
                .concat();
        let mut plain = key.to_pkcs8()?;
        let iterations = NonZeroU32::new(ITERATIONS).ok_or(SealedError::Iterations(0))?;
        let tag = cipher(passphrase, &salt, iterations)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound(&header, name), &mut plain)
            .map_err(GenerateError::from)?;
        Ok([&header, plain.as_slice(), tag.as_ref()].concat())
    }

    /// Reads what is in clear.
    ///
    /// # Errors
    /// When it is not a sealed key.
    pub fn parse(octets: &[u8]) -> Result<Self, SealedError> {
        let (family, rest) = octets.split_at_checked(FAMILY).ok_or(SealedError::Format)?;
        let (&version, rest) = rest.split_first().ok_or(SealedError::Format)?;
        if !MAGIC.starts_with(family) || octets.len() > MAX_SEALED {
            return Err(SealedError::Format);
        }
        if !MAGIC.ends_with(&[version]) {
            return Err(SealedError::Version(version));
        }
        let (&flags, rest) = rest.split_first().ok_or(SealedError::Format)?;
        let (iterations, rest) = rest.split_first_chunk::<4>().ok_or(SealedError::Format)?;
        let (salt, rest) = rest.split_first_chunk::<SALT>().ok_or(SealedError::Format)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealedError::Format)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(SealedError::Format)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (public, sealed) = rest.split_at_checked(length).ok_or(SealedError::Format)?;
        if sealed.len() <= TAG {
            return Err(SealedError::Format);
        }
        let count = u32::from_be_bytes(*iterations);
        let believed = NonZeroU32::new(count).filter(|_| BELIEVED.contains(&count));
        Ok(Self {
            header: octets.len().saturating_sub(sealed.len()),
            octets: octets.to_vec(),
            iterations: believed.ok_or(SealedError::Iterations(count))?,
            salt: *salt,
            nonce: *nonce,
            exportable: flags & EXPORTABLE != 0,
            public_key: PublicKey::from_spki(public)?,
            public_key_info: public.to_vec(),
        })
    }

    /// Whether it was made to be given to others.
    pub const fn exportable(&self) -> bool {
        self.exportable
    }

    /// Its other half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The SubjectPublicKeyInfo of its other half, DER.
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// The key, if passphrase and name are those it was sealed under.
    ///
    /// # Errors
    /// When they are not, or the file has been changed.
    pub fn open(&self, name: &str, passphrase: &Passphrase) -> Result<PrivateKey, SealedError> {
        let (header, sealed) = self.octets.split_at_checked(self.header).ok_or(SealedError::Format)?;
        let mut octets = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let cipher = cipher(passphrase, &self.salt, self.iterations)?;
        let plain = cipher.open_in_place(nonce, bound(header, name), &mut octets);
        Ok(PrivateKey::from_der(plain.map_err(|_| SealedError::Closed)?, None)?)
    }
}

/// What the tag binds: all that stands before the ciphertext, then the name. The header has a length of its own in it, so
/// that no octet of the one can be taken for one of the other.
fn bound(header: &[u8], name: &str) -> Aad<Vec<u8>> {
    Aad::from([header, name.as_bytes()].concat())
}

fn cipher(
    passphrase: &Passphrase,
    salt: &[u8; SALT],
    iterations: NonZeroU32,
) -> Result<LessSafeKey, GenerateError> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &passphrase.0, &mut *key);
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key)?))
}
