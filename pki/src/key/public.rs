//! Public keys: read from a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), judged, and used to verify.
//!
//! A [`PublicKey`] exists only for a key this crate is willing to verify with: RSA of 2048 to 8192 bits with an
//! odd exponent of at least 65537, P-256, P-384, P-521 in uncompressed form, Ed25519.

use std::fmt;

use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};

use super::scheme::{SignatureScheme, is_null};
use super::{MAX_RSA_BITS, MIN_RSA_BITS};
use crate::der::{DerError, Element, Reader, tag};
use crate::oid::{self, Oid};
use crate::pem::{self, PemError};

/// A named elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

/// A key that can verify signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    /// RSAPublicKey (RFC 8017 appendix A.1.1), an uncompressed point, or 32 octets.
    octets: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `only` binds an id-RSASSA-PSS key to the scheme of its parameters, or to PSS at large.
    Rsa {
        bits: u32,
        only: PssOnly,
    },
    Ec(Curve),
    Ed25519,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PssOnly {
    No,
    AnyHash,
    Scheme(SignatureScheme),
}

/// Why a SubjectPublicKeyInfo is not a key this crate verifies with. The fault of whoever made the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not RSA, ECDSA or Ed25519.
    #[error("public key algorithm {0} is not supported")]
    Algorithm(Oid),
    /// A curve other than P-256, P-384 and P-521.
    #[error("curve {0} is not supported; P-256, P-384 and P-521 are")]
    Curve(Oid),
    /// The modulus is too short to be safe or too long to be honest.
    #[error("RSA modulus of {0} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")]
    RsaBits(u32),
    /// The exponent is even or below 65537 (FIPS 186-5 §A.1.1).
    #[error("RSA public exponent must be odd and at least 65537")]
    RsaExponent,
    /// The point or key string has the wrong length or form.
    #[error("public key has the wrong length or form for {0}")]
    Form(&'static str),
    /// The parameters of the algorithm are not what they must be.
    #[error("parameters of {0} are not acceptable")]
    Parameters(&'static str),
    /// The bytes are not a SubjectPublicKeyInfo.
    #[error("SubjectPublicKeyInfo: {0}")]
    Der(#[from] DerError),
}

/// Why a file holds no public key this crate verifies with. The fault of whoever provided it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyFileError {
    /// The text is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A key in it is none to verify with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// PEM without a public key.
    #[error("no 'PUBLIC KEY' block in the file; it holds {0}")]
    Nothing(String),
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The key cannot be used with this scheme.
    #[error("a {key} key does not verify {scheme} signatures")]
    WrongKey {
        /// Kind of the key.
        key: &'static str,
        /// Scheme asked for.
        scheme: SignatureScheme,
    },
    /// The signature is not the key's signature of these octets.
    #[error("the signature does not verify")]
    BadSignature,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo; `der` is exactly the SEQUENCE.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::within(der, tag::SEQUENCE)?;
        let mut algorithm_identifier = reader.sequence()?;
        let octets = reader.expect(tag::BIT_STRING)?.octets_in_bits()?;
        reader.finish()?;
        let algorithm = Oid::parse(algorithm_identifier.element()?)?;
        let parameters =
            if algorithm_identifier.is_empty() { None } else { Some(algorithm_identifier.element()?) };
        algorithm_identifier.finish()?;
        let kind = kind_of(algorithm, parameters, octets)?;
        Ok(Self { kind, octets: octets.to_vec() })
    }

    /// The SubjectPublicKeyInfos of a file, PEM (RFC 7468 §13) with at least one, or one in DER; each of a key to verify with.
    ///
    /// # Errors
    /// What is wrong with the file, or with the first key that cannot be used.
    pub fn all_of_file(octets: &[u8]) -> Result<Vec<Vec<u8>>, PublicKeyFileError> {
        if !pem::looks_like_pem(octets) {
            return Self::from_spki(octets).map(|_| vec![octets.to_vec()]).map_err(Into::into);
        }
        let blocks = pem::blocks(octets)?;
        let keys = blocks.iter().filter(|block| block.label == "PUBLIC KEY").map(|block| block.der.to_vec());
        let keys: Vec<Vec<u8>> = keys.collect();
        if keys.is_empty() {
            let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).take(10).collect();
            return Err(PublicKeyFileError::Nothing(labels.join(", ")));
        }
        keys.iter().try_for_each(|der| Self::from_spki(der).map(drop))?;
        Ok(keys)
    }

    /// Whether `signature` is this key's signature over `message` under `scheme`.
    ///
    /// ECDSA signatures are the DER of RFC 3279 §2.2.3, as RFC 7427 and X.509 have them.
    pub fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let algorithm =
            self.algorithm(scheme).ok_or(VerifyError::WrongKey { key: self.kind_name(), scheme })?;
        UnparsedPublicKey::new(algorithm, &self.octets)
            .verify(message, signature)
            .map_err(|_| VerifyError::BadSignature)
    }

    /// Whether the key can verify this scheme at all.
    pub fn supports(&self, scheme: SignatureScheme) -> bool {
        self.algorithm(scheme).is_some()
    }

    /// The schemes its other half signs with, preferred first.
    pub const fn signing_schemes(&self) -> &'static [SignatureScheme] {
        match self.kind {
            Kind::Rsa { .. } => SignatureScheme::OF_RSA,
            Kind::Ec(curve) => SignatureScheme::of_curve(curve),
            Kind::Ed25519 => SignatureScheme::OF_ED25519,
        }
    }

    /// Whether the other is the same key, whatever its AlgorithmIdentifier binds it to.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.curve() == other.curve() && self.octets == other.octets
    }

    /// RSA modulus length in bits; `None` for other keys.
    pub const fn rsa_bits(&self) -> Option<u32> {
        match self.kind {
            Kind::Rsa { bits, .. } => Some(bits),
            _ => None,
        }
    }

    /// The curve of an ECDSA key.
    pub const fn curve(&self) -> Option<Curve> {
        match self.kind {
            Kind::Ec(curve) => Some(curve),
            _ => None,
        }
    }

    /// The key itself, without its algorithm: RSAPublicKey DER, uncompressed point, or 32 octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Rsa { only: PssOnly::No, .. } => "RSA",
            Kind::Rsa { .. } => "RSASSA-PSS",
            Kind::Ec(Curve::P256) => "P-256",
            Kind::Ec(Curve::P384) => "P-384",
            Kind::Ec(Curve::P521) => "P-521",
            Kind::Ed25519 => "Ed25519",
        }
    }

    fn algorithm(&self, scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
        match self.kind {
            Kind::Rsa { only, .. } if only.allows(scheme) => rsa_algorithm(scheme),
            Kind::Rsa { .. } => None,
            Kind::Ec(curve) => ecdsa_algorithm(curve, scheme),
            Kind::Ed25519 => match scheme {
                SignatureScheme::Ed25519 => Some(&lc::ED25519),
                _ => None,
            },
        }
    }
}

impl PssOnly {
    fn allows(self, scheme: SignatureScheme) -> bool {
        let pss = matches!(
            scheme,
            SignatureScheme::RsaPssSha256 | SignatureScheme::RsaPssSha384 | SignatureScheme::RsaPssSha512
        );
        match self {
            Self::No => true,
            Self::AnyHash => pss,
            Self::Scheme(only) => scheme == only,
        }
    }
}

fn rsa_algorithm(scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match scheme {
        SignatureScheme::RsaPkcs1Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
        SignatureScheme::RsaPssSha256 => &lc::RSA_PSS_2048_8192_SHA256,
        SignatureScheme::RsaPssSha384 => &lc::RSA_PSS_2048_8192_SHA384,
        SignatureScheme::RsaPssSha512 => &lc::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn ecdsa_algorithm(curve: Curve, scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, scheme) {
        (Curve::P256, SignatureScheme::EcdsaSha256) => &lc::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, SignatureScheme::EcdsaSha384) => &lc::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, SignatureScheme::EcdsaSha512) => &lc::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, SignatureScheme::EcdsaSha256) => &lc::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, SignatureScheme::EcdsaSha384) => &lc::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, SignatureScheme::EcdsaSha512) => &lc::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, SignatureScheme::EcdsaSha256) => &lc::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, SignatureScheme::EcdsaSha384) => &lc::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, SignatureScheme::EcdsaSha512) => &lc::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

fn kind_of(algorithm: Oid, parameters: Option<Element<'_>>, octets: &[u8]) -> Result<Kind, KeyError> {
    if algorithm.is(oid::RSA_ENCRYPTION) {
        // RFC 3279 §2.3.1: the parameters MUST be NULL.
        return match parameters {
            Some(element) if is_null(element) => rsa(octets, PssOnly::No),
            _ => Err(KeyError::Parameters("rsaEncryption")),
        };
    }
    if algorithm.is(oid::RSASSA_PSS) {
        return rsa(octets, pss_restriction(parameters)?);
    }
    if algorithm.is(oid::EC_PUBLIC_KEY) {
        return elliptic(parameters, octets);
    }
    if algorithm.is(oid::ED25519) {
        return edwards(parameters, octets);
    }
    Err(KeyError::Algorithm(algorithm))
}

/// RFC 4055 §1.2 and §3.1: parameters in the key, if present, bind every signature made with it.
fn pss_restriction(parameters: Option<Element<'_>>) -> Result<PssOnly, KeyError> {
    let Some(parameters) = parameters else { return Ok(PssOnly::AnyHash) };
    super::scheme::pss_scheme(parameters).map(PssOnly::Scheme).map_err(|_| KeyError::Parameters("RSASSA-PSS"))
}

fn rsa(octets: &[u8], only: PssOnly) -> Result<Kind, KeyError> {
    let mut reader = Reader::within(octets, tag::SEQUENCE)?;
    let modulus = reader.expect(tag::INTEGER)?.unsigned()?;
    let exponent = reader.expect(tag::INTEGER)?.small().map_err(|_| KeyError::RsaExponent)?;
    reader.finish()?;
    let bits = bit_length(modulus);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(KeyError::RsaBits(bits));
    }
    if exponent < 65_537 || exponent % 2 == 0 {
        return Err(KeyError::RsaExponent);
    }
    Ok(Kind::Rsa { bits, only })
}

/// Bits of a magnitude without leading zero octets.
fn bit_length(magnitude: &[u8]) -> u32 {
    let bits = u32::try_from(magnitude.len()).unwrap_or(u32::MAX).saturating_mul(8);
    bits.saturating_sub(magnitude.first().map_or(0, |first| first.leading_zeros()))
}

fn elliptic(parameters: Option<Element<'_>>, octets: &[u8]) -> Result<Kind, KeyError> {
    // RFC 5480 §2.1.1: namedCurve is the only choice of ECParameters in PKIX.
    let named = parameters.filter(|element| element.tag == tag::OID);
    let curve_oid = Oid::parse(named.ok_or(KeyError::Parameters("ecPublicKey"))?)?;
    let (curve, length) = if curve_oid.is(oid::P256) {
        (Curve::P256, 65)
    } else if curve_oid.is(oid::P384) {
        (Curve::P384, 97)
    } else if curve_oid.is(oid::P521) {
        (Curve::P521, 133)
    } else {
        return Err(KeyError::Curve(curve_oid));
    };
    // RFC 5480 §2.2: implementations MUST support the uncompressed form; that is the only one accepted here.
    let uncompressed = octets.first() == Some(&4) && octets.len() == length;
    if uncompressed { Ok(Kind::Ec(curve)) } else { Err(KeyError::Form("an uncompressed point")) }
}

fn edwards(parameters: Option<Element<'_>>, octets: &[u8]) -> Result<Kind, KeyError> {
    match (parameters, octets.len()) {
        (None, 32) => Ok(Kind::Ed25519),
        (None, _) => Err(KeyError::Form("Ed25519")),
        // RFC 8410 §3: the parameters MUST be absent.
        (Some(_), _) => Err(KeyError::Parameters("Ed25519")),
    }
}

/// As operators read it: `RSA 3072`, `P-256`.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind_name())?;
        self.rsa_bits().map_or(Ok(()), |bits| write!(f, " {bits}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}
