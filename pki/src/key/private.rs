//! Private keys: read from what people keep them in, used to sign, never printed.
//!
//! PKCS#8 (RFC 5208, RFC 5958), SEC1 (RFC 5915) and PKCS#1 (RFC 8017 appendix A.1.2), in DER or PEM; PKCS#8 also under
//! a password. The key itself
//! lives inside aws-lc, which wipes it when it is freed; every buffer this file makes on the way is wiped on drop.
//! The caller wipes the bytes it hands in, and is the only one to decide who may ask for a signature.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
};

use super::public::{Curve, PublicKey};
use super::scheme::SignatureScheme;
use crate::der::{DerError, Element, Reader, tag};
use crate::oid::{self, Oid};
use crate::password::{Effort, Password, PasswordError, decipher};
use crate::pem::{self, PemError};

/// A key that signs.
pub struct PrivateKey {
    pub(super) pair: Pair,
}

pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a key file holds no key this crate signs with. The fault of whoever provided it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The text is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A PEM file without a private key block.
    #[error("no private key in the file; it holds {found}")]
    NoKey {
        /// The labels that are there.
        found: String,
    },
    /// A PEM file with more than one private key: which one is meant cannot be known.
    #[error("{0} private keys in one file; keep one per file")]
    Several(usize),
    /// The key is encrypted, and there is no password.
    #[error(
        "the private key is encrypted; decrypt it first, for example with 'openssl pkey -in FILE -out FILE', or import it into the store"
    )]
    Encrypted,
    /// The key is encrypted as only old OpenSSL did.
    #[error(
        "the private key is encrypted in the old OpenSSL form (Proc-Type), under MD5; rewrite it with 'openssl pkcs8 -topk8 -in FILE -out FILE'"
    )]
    OldEncryption,
    /// The key is encrypted and cannot be deciphered.
    #[error("private key: {0}")]
    Password(#[from] PasswordError),
    /// Not RSA, ECDSA on a NIST curve, or Ed25519; a DSA key is known by its shape, too.
    #[error("private key algorithm {0} is not supported")]
    Algorithm(Oid),
    /// The structure is not that of a private key.
    #[error("private key: {0}")]
    Der(#[from] DerError),
    /// The structure is right and the key in it is not (wrong size, inconsistent parts).
    #[error("the {kind} key was refused: {reason}")]
    Rejected {
        /// Kind of key.
        kind: &'static str,
        /// What aws-lc says.
        reason: String,
    },
}

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key cannot sign in this way.
    #[error("a {key} key does not make {scheme} signatures")]
    WrongKey {
        /// Kind of the key.
        key: &'static str,
        /// Scheme asked for.
        scheme: SignatureScheme,
    },
    /// The library failed, which only exhausted memory or randomness can cause.
    #[error("signing failed inside the cryptographic library")]
    Internal,
}

impl PrivateKey {
    /// Reads a key that is not encrypted from the contents of a key file, PEM or DER.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, KeyFileError> {
        if pem::looks_like_pem(bytes) { Self::from_pem(bytes, None) } else { Self::from_der(bytes, None) }
    }

    /// Reads the one private key of a PEM text; other blocks (certificates, EC parameters) are passed over.
    pub fn from_pem(text: &[u8], password: Option<&Password>) -> Result<Self, KeyFileError> {
        let blocks = pem::blocks(text)?;
        let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
        let Some(key) = keys.next() else {
            let mut labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
            labels.dedup();
            return Err(KeyFileError::NoKey { found: labels.join(", ") });
        };
        match keys.count() {
            0 if key.encrypted => Err(KeyFileError::OldEncryption),
            0 => Self::from_der(&key.der, password),
            more => Err(KeyFileError::Several(more.saturating_add(1))),
        }
    }

    /// Reads a key from DER: PKCS#8, SEC1 or PKCS#1, told apart by what follows the version; or PKCS#8 under a password.
    pub fn from_der(der: &[u8], password: Option<&Password>) -> Result<Self, KeyFileError> {
        Self::from_der_within(der, password, &mut Effort::default())
    }

    /// The same, where the key is part of a file that may cost so much.
    pub fn from_der_within(
        der: &[u8],
        password: Option<&Password>,
        effort: &mut Effort,
    ) -> Result<Self, KeyFileError> {
        let mut reader = Reader::within(der, tag::SEQUENCE)?;
        if reader.peek() != Some(tag::SEQUENCE) {
            return Self::from_plain_der(der);
        }
        // EncryptedPrivateKeyInfo (RFC 5958 §3) begins with an algorithm and has no version.
        let password = password.ok_or(KeyFileError::Encrypted)?;
        let (algorithm, octets) = (reader.expect(tag::SEQUENCE)?, reader.expect(tag::OCTET_STRING)?);
        reader.finish()?;
        let plain = decipher(algorithm.raw, octets.content, password, effort)?;
        // One wrong password in 256 leaves octets that look padded and are no key.
        Self::from_plain_der(&plain).map_err(|error| match error {
            KeyFileError::Der(_) => PasswordError::Wrong.into(),
            other => other,
        })
    }

    fn from_plain_der(der: &[u8]) -> Result<Self, KeyFileError> {
        let mut reader = Reader::within(der, tag::SEQUENCE)?;
        reader.expect(tag::INTEGER)?;
        match reader.peek() {
            Some(tag::SEQUENCE) => from_pkcs8(der, reader.sequence()?),
            Some(tag::OCTET_STRING) => from_sec1(der, reader),
            _ if is_dsa(reader.clone()) => Err(KeyFileError::Algorithm(oid::DSA.into())),
            _ => rsa(RsaKeyPair::from_der(der)),
        }
    }

    /// Signs `message` under `scheme`.
    ///
    /// `random` is asked for nothing by aws-lc, which draws from its own generator; it stands here because making a
    /// PSS or ECDSA signature consumes randomness, and the caller should know.
    pub fn sign(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SignError> {
        if !self.schemes().contains(&scheme) {
            return Err(SignError::WrongKey { key: self.kind(), scheme });
        }
        match &self.pair {
            Pair::Rsa(pair) => sign_rsa(pair, scheme, message, random),
            Pair::Ecdsa(_, pair) => pair.sign(random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        }
        .map_err(|_| SignError::Internal)
    }

    /// The schemes this key can sign with, preferred first.
    pub const fn schemes(&self) -> &'static [SignatureScheme] {
        match &self.pair {
            Pair::Rsa(_) => SignatureScheme::OF_RSA,
            Pair::Ecdsa(curve, _) => SignatureScheme::of_curve(*curve),
            Pair::Ed25519(_) => SignatureScheme::OF_ED25519,
        }
    }

    /// Whether `public` is the other half of this key: the check to make before pairing it with a certificate.
    pub fn matches(&self, public: &PublicKey) -> bool {
        let (curve, octets) = match &self.pair {
            Pair::Rsa(pair) => (None, pair.public_key().as_ref()),
            Pair::Ecdsa(curve, pair) => (Some(*curve), pair.public_key().as_ref()),
            Pair::Ed25519(pair) => (None, pair.public_key().as_ref()),
        };
        public.curve() == curve && public.octets() == octets
    }

    /// `RSA`, `P-256` and so on.
    pub const fn kind(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RSA",
            Pair::Ecdsa(Curve::P256, _) => "P-256",
            Pair::Ecdsa(Curve::P384, _) => "P-384",
            Pair::Ecdsa(Curve::P521, _) => "P-521",
            Pair::Ed25519(_) => "Ed25519",
        }
    }
}

/// Says what kind of key it is and nothing else.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, redacted)", self.kind())
    }
}

fn sign_rsa(
    pair: &RsaKeyPair,
    scheme: SignatureScheme,
    message: &[u8],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let encoding: &'static dyn RsaEncoding = match scheme {
        SignatureScheme::RsaPkcs1Sha256 => &lc::RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &lc::RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &lc::RSA_PKCS1_SHA512,
        SignatureScheme::RsaPssSha256 => &lc::RSA_PSS_SHA256,
        SignatureScheme::RsaPssSha384 => &lc::RSA_PSS_SHA384,
        SignatureScheme::RsaPssSha512 => &lc::RSA_PSS_SHA512,
        _ => return Err(aws_lc_rs::error::Unspecified),
    };
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, random, message, &mut signature)?;
    Ok(signature)
}

/// PrivateKeyInfo or OneAsymmetricKey, whose AlgorithmIdentifier has been opened.
fn from_pkcs8(der: &[u8], mut algorithm: Reader<'_>) -> Result<PrivateKey, KeyFileError> {
    let name = Oid::parse(algorithm.element()?)?;
    if name.is(oid::RSA_ENCRYPTION) {
        return rsa(RsaKeyPair::from_pkcs8(der));
    }
    if name.is(oid::EC_PUBLIC_KEY) {
        let curve = curve_of(algorithm.expect(tag::OID)?)?;
        return ecdsa(curve, EcdsaKeyPair::from_pkcs8(signing_algorithm(curve), der));
    }
    if name.is(oid::ED25519) {
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|reason| rejected("Ed25519", reason))?;
        return Ok(PrivateKey { pair: Pair::Ed25519(pair) });
    }
    Err(KeyFileError::Algorithm(name))
}

/// Whether this is OpenSSL's DSAPrivateKey, whose version has been read: p, q, g, y and x, where an RSA key has eight numbers.
fn is_dsa(mut rest: Reader<'_>) -> bool {
    (0..5).all(|_| rest.expect(tag::INTEGER).is_ok()) && rest.is_empty()
}

/// ECPrivateKey (RFC 5915 §3), whose version has been read.
fn from_sec1(der: &[u8], mut rest: Reader<'_>) -> Result<PrivateKey, KeyFileError> {
    let secret = rest.expect(tag::OCTET_STRING)?;
    let curve = match rest.optional(tag::context_constructed(0))? {
        Some(parameters) => curve_of(parameters.reader().expect(tag::OID)?)?,
        // RFC 5915 §3: the octet string is as long as the order of the base point.
        None => match secret.content.len() {
            32 => Curve::P256,
            48 => Curve::P384,
            66 => Curve::P521,
            _ => return Err(DerError::Content("ECPrivateKey without parameters").into()),
        },
    };
    ecdsa(curve, EcdsaKeyPair::from_private_key_der(signing_algorithm(curve), der))
}

fn curve_of(element: Element<'_>) -> Result<Curve, KeyFileError> {
    let curve = Oid::parse(element)?;
    if curve.is(oid::P256) {
        Ok(Curve::P256)
    } else if curve.is(oid::P384) {
        Ok(Curve::P384)
    } else if curve.is(oid::P521) {
        Ok(Curve::P521)
    } else {
        Err(KeyFileError::Algorithm(curve))
    }
}

pub(super) fn signing_algorithm(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &lc::ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &lc::ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P521 => &lc::ECDSA_P521_SHA512_ASN1_SIGNING,
    }
}

fn rsa(pair: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>) -> Result<PrivateKey, KeyFileError> {
    let pair = pair.map_err(|reason| rejected("RSA", reason))?;
    Ok(PrivateKey { pair: Pair::Rsa(pair) })
}

fn ecdsa(
    curve: Curve,
    pair: Result<EcdsaKeyPair, aws_lc_rs::error::KeyRejected>,
) -> Result<PrivateKey, KeyFileError> {
    let pair = pair.map_err(|reason| rejected("ECDSA", reason))?;
    Ok(PrivateKey { pair: Pair::Ecdsa(curve, pair) })
}

fn rejected(kind: &'static str, reason: aws_lc_rs::error::KeyRejected) -> KeyFileError {
    KeyFileError::Rejected { kind, reason: reason.to_string() }
}
