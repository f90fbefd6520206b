//! Key exchange: private keys from the caller's randomness, public values as they stand in KE
//! payloads (RFC 7296 §3.4, RFC 5903 §7, RFC 8031 §3.1), and agreement with the peer's value checked
//! as RFC 6989 demands.
//!
//! Key encapsulation ([`super::mlkem`]) is of the same shape, but not the same on both sides: the responder has no
//! private key, it answers what the initiator sent ([`respond`]).

use std::fmt;

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, UnparsedPublicKey, X25519};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::random::Random;
use super::{Secret, mlkem, modp};
use crate::config::Group;
use crate::want::Role;

/// First octet of an uncompressed point (SEC 1 §2.3.3), which RFC 5903 leaves away.
const UNCOMPRESSED: u8 = 4;

/// Draws of a scalar before the randomness is called broken: each fails with probability below
/// 2^-32 on P-256, P-384 and P-521.
const DRAWS: usize = 16;

/// g^ir of RFC 7296 §2.14, wiped on drop.
pub struct SharedSecret(Secret);

/// A private key of one exchange. `Send`: agreement can be carried to another thread.
pub struct PrivateKey {
    group: Group,
    inner: Inner,
}

enum Inner {
    Curve(agreement::PrivateKey),
    Modp(modp::Exponent),
    Encapsulation(Box<dyn mlkem::DecapsulationKey>),
}

/// The peer's public value is not one of its method: the peer's fault, answered with INVALID_SYNTAX
/// (RFC 6989 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPublicValue {
    /// It does not have the length the method fixes.
    #[error("{group:?} public value has {length} octets instead of {expected}")]
    Length {
        /// The method.
        group: Group,
        /// Octets received.
        length: usize,
        /// Octets the method has.
        expected: usize,
    },
    /// It is no element of the group, or one that forces the secret.
    #[error("{group:?} public value is outside the group, or of small order")]
    OutsideGroup {
        /// The method.
        group: Group,
    },
    /// An encapsulation key with a coefficient that is not below the modulus (FIPS 203 §7.2).
    #[error("{group:?} encapsulation key is malformed")]
    Malformed {
        /// The method.
        group: Group,
    },
}

/// No private key could be made: the random source repeats itself or yields only zeros or ones. Our
/// machine's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{draws} draws gave no private key for {group:?}: the random source is broken")]
pub struct NoPrivateKey {
    /// The method.
    pub group: Group,
    /// Draws made.
    pub draws: usize,
}

impl Group {
    /// Octets of the public value that this side puts into its KE payload.
    pub fn public_length(self, of: Role) -> usize {
        use mlkem::ParameterSet;
        match (self.method(), of) {
            (Method::Curve(curve), _) => curve.public,
            (Method::Modp(modulus), _) => modulus.length(),
            (Method::Encapsulation(set), Role::Initiator) => ParameterSet::encapsulation_key_length(set),
            (Method::Encapsulation(set), Role::Responder) => ParameterSet::ciphertext_length(set),
        }
    }

    /// The arithmetic it is done by.
    fn method(self) -> Method {
        let curve =
            |algorithm, scalar, mask, public| Method::Curve(Curve { algorithm, scalar, mask, public });
        match self {
            Self::Modp1024 => Method::Modp(modp::Modulus::Bits1024),
            Self::Modp2048 => Method::Modp(modp::Modulus::Bits2048),
            Self::Modp3072 => Method::Modp(modp::Modulus::Bits3072),
            Self::Modp4096 => Method::Modp(modp::Modulus::Bits4096),
            Self::Modp6144 => Method::Modp(modp::Modulus::Bits6144),
            Self::Modp8192 => Method::Modp(modp::Modulus::Bits8192),
            Self::EcpP256 => curve(&ECDH_P256, 32, 0xff, 64),
            Self::EcpP384 => curve(&ECDH_P384, 48, 0xff, 96),
            // 521 bits: one bit of the first of 66 octets.
            Self::EcpP521 => curve(&ECDH_P521, 66, 0x01, 132),
            Self::X25519 => curve(&X25519, 32, 0xff, 32),
            Self::MlKem512 => Method::Encapsulation(mlkem::ParameterSet::MlKem512),
            Self::MlKem768 => Method::Encapsulation(mlkem::ParameterSet::MlKem768),
            Self::MlKem1024 => Method::Encapsulation(mlkem::ParameterSet::MlKem1024),
        }
    }

    /// The peer's value, if it is as long as that side's has to be.
    fn check_length(self, value: &[u8], of: Role) -> Result<(), BadPublicValue> {
        let (group, length, expected) = (self, value.len(), self.public_length(of));
        if length == expected { Ok(()) } else { Err(BadPublicValue::Length { group, length, expected }) }
    }
}

/// Kinds of arithmetic.
enum Method {
    Curve(Curve),
    Modp(modp::Modulus),
    Encapsulation(mlkem::ParameterSet),
}

/// What aws-lc needs to know of a curve: octets of a scalar, and the bits of its first one; and octets of a public
/// value.
struct Curve {
    algorithm: &'static agreement::Algorithm,
    scalar: usize,
    mask: u8,
    public: usize,
}

impl Curve {
    /// A scalar drawn uniformly: draws outside 1 ..= order-1 are thrown away (RFC 5903 §7).
    fn generate(&self, random: &mut dyn Random) -> Option<agreement::PrivateKey> {
        (0..DRAWS).find_map(|_| {
            let mut scalar = Zeroizing::new(vec![0; self.scalar]);
            random.fill(&mut scalar);
            scalar.first_mut().into_iter().for_each(|octet| *octet &= self.mask);
            agreement::PrivateKey::from_private_key(self.algorithm, &scalar).ok()
        })
    }
}

impl PrivateKey {
    /// A fresh private key. The same random octets give the same key.
    pub fn generate(group: Group, random: &mut dyn Random) -> Result<Self, NoPrivateKey> {
        let inner = match group.method() {
            Method::Curve(curve) => {
                Inner::Curve(curve.generate(random).ok_or(NoPrivateKey { group, draws: DRAWS })?)
            }
            Method::Encapsulation(set) => Inner::Encapsulation(set.generate(random)),
            Method::Modp(modulus) => Inner::Modp(modp::Exponent::generate(modulus, random)),
        };
        Ok(Self { group, inner })
    }

    /// The method this key is for.
    pub fn group(&self) -> Group {
        self.group
    }

    /// The public value, [`Group::public_length`] octets for a KE payload.
    pub fn public(&self) -> Result<Vec<u8>, NoPrivateKey> {
        match &self.inner {
            Inner::Modp(exponent) => Ok(exponent.public()),
            Inner::Encapsulation(key) => Ok(key.encapsulation_key()),
            Inner::Curve(key) => {
                let public =
                    key.compute_public_key().map_err(|_| NoPrivateKey { group: self.group, draws: 1 })?;
                let octets = public.as_ref();
                let point = match self.group {
                    Group::X25519 => octets,
                    // Key Exchange Data is x followed by y (RFC 5903 §7).
                    _ => octets.strip_prefix(&[UNCOMPRESSED]).unwrap_or(octets),
                };
                Ok(point.to_vec())
            }
        }
    }

    /// The secret shared with whoever sent this public value; refuses values RFC 6989 §2 and RFC
    /// 8031 §3.2 do not let pass. Of a key encapsulation it is the responder's value.
    pub fn agree(&self, peer: &[u8]) -> Result<SharedSecret, BadPublicValue> {
        let group = self.group;
        group.check_length(peer, Role::Responder)?;
        let secret = match &self.inner {
            Inner::Modp(exponent) => exponent.agree(peer),
            Inner::Curve(key) => agree_on_curve(group, key, peer),
            Inner::Encapsulation(key) => key.decapsulate(peer),
        };
        secret.map(SharedSecret).ok_or(BadPublicValue::OutsideGroup { group })
    }
}

/// Our public value and the secret it shares with the initiator's.
pub type Responded = (Vec<u8>, SharedSecret);

/// The responder's whole part in an exchange: an answer to the initiator's public value, or that this is none.
pub fn respond(
    group: Group,
    peer: &[u8],
    random: &mut dyn Random,
) -> Result<Result<Responded, BadPublicValue>, NoPrivateKey> {
    if let Method::Encapsulation(set) = group.method() {
        let answer = group.check_length(peer, Role::Initiator).and_then(|()| {
            let made = set.encapsulate(peer, random).ok_or(BadPublicValue::Malformed { group });
            made.map(|(ciphertext, secret)| (ciphertext, SharedSecret(secret)))
        });
        return Ok(answer);
    }
    let private = PrivateKey::generate(group, random)?;
    let public = private.public()?;
    Ok(private.agree(peer).map(|secret| (public, secret)))
}

/// aws-lc checks that a point lies on its curve and is not the one at infinity. The secret is the x
/// coordinate for NIST curves (RFC 5903 §7), the function's output for X25519.
fn agree_on_curve(group: Group, key: &agreement::PrivateKey, peer: &[u8]) -> Option<Secret> {
    let prefix: &[u8] = if group == Group::X25519 { &[] } else { &[UNCOMPRESSED] };
    let public = UnparsedPublicKey::new(key.algorithm(), [prefix, peer].concat());
    let secret = agreement::agree(key, &public, (), |secret| Ok(Zeroizing::new(secret.to_vec()))).ok()?;
    // A point of small order gives X25519's all-zero value (RFC 7748 §6.1, RFC 8031 §3.2). NIST curves have none, and zero
    // is the x coordinate of a point like any other.
    let forced = group == Group::X25519 && bool::from(secret.ct_eq(&Zeroizing::new(vec![0; secret.len()])));
    (!forced).then_some(secret)
}

impl SharedSecret {
    /// A secret that was agreed upon elsewhere, as by a worker thread.
    pub fn from_bytes(octets: Secret) -> Self {
        Self(octets)
    }

    /// The octets, for [`super::IkeKeys::derive`] and its siblings.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The octets, still wiped on drop.
    pub fn into_bytes(mut self) -> Secret {
        std::mem::take(&mut self.0)
    }
}

impl Drop for SharedSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PrivateKey({:?})", self.group)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SharedSecret({} octets)", self.0.len())
    }
}

#[cfg(test)]
#[path = "key_exchange_tests.rs"]
mod tests;
