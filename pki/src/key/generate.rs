//! Keys made here, and what leaves a key on purpose: PKCS#8 for whoever keeps it, SubjectPublicKeyInfo for everybody.
//!
//! aws-lc draws from its own generator; `random` stands in the arguments because making a key consumes randomness, and
//! the caller should know.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::private::{Pair, PrivateKey, signing_algorithm};
use super::public::Curve;

/// A kind of key that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, of 2048 bits: what every peer takes (NIST SP 800-131A: until 2030).
    Rsa2048,
    /// RSA, of 3072 bits.
    Rsa3072,
    /// RSA, of 4096 bits.
    Rsa4096,
    /// RSA, of 8192 bits: minutes to make.
    Rsa8192,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// The kinds and what they are called.
const NAMES: [(KeyKind, &str); 8] = [
    (KeyKind::Rsa2048, "rsa-2048"),
    (KeyKind::Rsa3072, "rsa-3072"),
    (KeyKind::Rsa4096, "rsa-4096"),
    (KeyKind::Rsa8192, "rsa-8192"),
    (KeyKind::P256, "p256"),
    (KeyKind::P384, "p384"),
    (KeyKind::P521, "p521"),
    (KeyKind::Ed25519, "ed25519"),
];

/// Why there is no key. The machine's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library could not do it: the machine lacks memory or randomness")]
pub struct GenerateError;

impl From<Unspecified> for GenerateError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

impl KeyKind {
    /// All of them, as they are called.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for KeyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind);
        found.ok_or_else(|| format!("one of {}", Self::names().collect::<Vec<_>>().join(", ")))
    }
}

impl PrivateKey {
    /// A fresh key. RSA takes a tenth of a second at 2048 bits and minutes at 8192.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn generate(kind: KeyKind, random: &dyn SecureRandom) -> Result<Self, GenerateError> {
        let rsa = |size| RsaKeyPair::generate(size).map(Pair::Rsa);
        let ecdsa = |curve| {
            let algorithm = signing_algorithm(curve);
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, random)?;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).map_err(|_| Unspecified)?;
            Ok(Pair::Ecdsa(curve, pair))
        };
        let pair = match kind {
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyKind::Rsa8192 => rsa(KeySize::Rsa8192),
            KeyKind::P256 => ecdsa(Curve::P256),
            KeyKind::P384 => ecdsa(Curve::P384),
            KeyKind::P521 => ecdsa(Curve::P521),
            KeyKind::Ed25519 => ed25519(random),
        };
        Ok(Self { pair: pair? })
    }

    /// The key as PKCS#8 (RFC 5208), for whoever keeps it or may have it. Nobody else asks.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, GenerateError> {
        let octets = |der: &[u8]| Zeroizing::new(der.to_vec());
        Ok(match &self.pair {
            Pair::Rsa(pair) => octets(AsDer::<Pkcs8V1Der<'_>>::as_der(pair)?.as_ref()),
            Pair::Ecdsa(_, pair) => octets(pair.to_pkcs8v1()?.as_ref()),
            Pair::Ed25519(pair) => octets(pair.to_pkcs8v1()?.as_ref()),
        })
    }

    /// The SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of its other half, DER.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn public_key_info(&self) -> Result<Vec<u8>, GenerateError> {
        let der = match &self.pair {
            Pair::Rsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Pair::Ecdsa(_, pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Pair::Ed25519(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
        };
        Ok(der?.as_ref().to_vec())
    }
}

fn ed25519(random: &dyn SecureRandom) -> Result<Pair, Unspecified> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(random)?;
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map(Pair::Ed25519).map_err(|_| Unspecified)
}
