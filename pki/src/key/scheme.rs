//! Signature schemes and their AlgorithmIdentifiers, both ways (RFC 7427 §3 and appendix A, RFC 8420).
//!
//! The same DER names the algorithm of a certificate's signature and of an IKE AUTH payload. An ECDSA identifier
//! names the hash alone: the curve is the key's. Everything not listed here (SHA-1, MD5, DSA, brainpool, Ed448) is
//! refused by name.

use super::public::Curve;
use crate::der::{DerError, Element, Reader, tag};
use crate::oid::{self, Oid};

/// A hash function of a signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A way to sign, one for each AlgorithmIdentifier understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2) with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS (RFC 8017 §8.1) with SHA-256, MGF1 with SHA-256, 32 octets of salt.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384 throughout, 48 octets of salt.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512 throughout, 64 octets of salt.
    RsaPssSha512,
    /// ECDSA with SHA-256; the natural partner of P-256.
    EcdsaSha256,
    /// ECDSA with SHA-384; the natural partner of P-384.
    EcdsaSha384,
    /// ECDSA with SHA-512; the natural partner of P-521.
    EcdsaSha512,
    /// Ed25519 (RFC 8032), which hashes for itself ("identity" in RFC 8420).
    Ed25519,
}

/// An AlgorithmIdentifier this crate does not sign or verify with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedAlgorithm {
    /// The algorithm is unknown, or known and below the floor (SHA-1, MD5).
    #[error("signature algorithm {0} is not accepted")]
    Algorithm(Oid),
    /// The algorithm is known but its parameters are not among those accepted.
    #[error("{algorithm}: {reason}")]
    Parameters {
        /// The algorithm.
        algorithm: Oid,
        /// What its parameters should be.
        reason: &'static str,
    },
    /// The bytes are not an AlgorithmIdentifier.
    #[error("AlgorithmIdentifier: {0}")]
    Der(#[from] DerError),
}

impl SignatureScheme {
    /// What an RSA key signs with, preferred first.
    pub(super) const OF_RSA: &[Self] = &[
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
    ];
    /// What an Ed25519 key signs with.
    pub(super) const OF_ED25519: &[Self] = &[Self::Ed25519];

    /// What an ECDSA key signs with: the hash is as strong as the curve (RFC 5480 §4).
    pub(super) const fn of_curve(curve: Curve) -> &'static [Self] {
        match curve {
            Curve::P256 => &[Self::EcdsaSha256],
            Curve::P384 => &[Self::EcdsaSha384],
            Curve::P521 => &[Self::EcdsaSha512],
        }
    }

    /// Every scheme, strongest habits first within a key type.
    pub const ALL: [Self; 10] = [
        Self::Ed25519,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
    ];

    /// The DER AlgorithmIdentifier to put into an AUTH payload or a certificate.
    ///
    /// PSS parameters are in DER proper: the default trailerField is left out (X.690 §11.5), the hashes carry the
    /// NULL parameters of RFC 4055 §2.1.
    pub fn algorithm_identifier(self) -> &'static [u8] {
        match self {
            Self::RsaPkcs1Sha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
            Self::RsaPkcs1Sha384 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
            Self::RsaPkcs1Sha512 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
            Self::RsaPssSha256 => &PSS_SHA256,
            Self::RsaPssSha384 => &PSS_SHA384,
            Self::RsaPssSha512 => &PSS_SHA512,
            Self::EcdsaSha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::EcdsaSha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::EcdsaSha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            Self::Ed25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
        }
    }

    /// Reads an AlgorithmIdentifier; `der` is exactly the SEQUENCE.
    pub fn from_algorithm_identifier(der: &[u8]) -> Result<Self, UnsupportedAlgorithm> {
        let (algorithm, parameters) = split_algorithm_identifier(der)?;
        if algorithm.is(oid::RSASSA_PSS) {
            return from_pss_parameters(algorithm, parameters);
        }
        let Some((scheme, null_allowed)) = by_oid(&algorithm) else {
            return Err(UnsupportedAlgorithm::Algorithm(algorithm));
        };
        match parameters {
            None => Ok(scheme),
            // RFC 4055 §5: the parameters of the RSA identifiers are NULL, and absent ones are accepted as well.
            Some(element) if null_allowed && is_null(element) => Ok(scheme),
            Some(_) => Err(UnsupportedAlgorithm::Parameters { algorithm, reason: "unexpected parameters" }),
        }
    }

    /// The hash that is part of the scheme; `None` for Ed25519.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::EcdsaSha256 => Some(Hash::Sha256),
            Self::RsaPkcs1Sha384 | Self::RsaPssSha384 | Self::EcdsaSha384 => Some(Hash::Sha384),
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 | Self::EcdsaSha512 => Some(Hash::Sha512),
            Self::Ed25519 => None,
        }
    }

    /// The number of the hash in a SIGNATURE_HASH_ALGORITHMS notification (RFC 7427 §4, RFC 8420 §2).
    pub const fn ike_hash(self) -> u16 {
        match self.hash() {
            Some(Hash::Sha256) => 2,
            Some(Hash::Sha384) => 3,
            Some(Hash::Sha512) => 4,
            None => 5,
        }
    }

    /// What operators call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Self::RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
            Self::RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::EcdsaSha256 => "ecdsa-sha256",
            Self::EcdsaSha384 => "ecdsa-sha384",
            Self::EcdsaSha512 => "ecdsa-sha512",
            Self::Ed25519 => "ed25519",
        }
    }

    const fn pss_with(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::RsaPssSha256,
            Hash::Sha384 => Self::RsaPssSha384,
            Hash::Sha512 => Self::RsaPssSha512,
        }
    }
}

impl std::fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Algorithm and parameters of an AlgorithmIdentifier (RFC 5280 §4.1.1.2).
pub(crate) fn split_algorithm_identifier(der: &[u8]) -> Result<(Oid, Option<Element<'_>>), DerError> {
    let mut reader = Reader::within(der, tag::SEQUENCE)?;
    let algorithm = Oid::parse(reader.element()?)?;
    let parameters = if reader.is_empty() { None } else { Some(reader.element()?) };
    reader.finish()?;
    Ok((algorithm, parameters))
}

pub(crate) fn is_null(element: Element<'_>) -> bool {
    element.raw == [tag::NULL, 0]
}

fn by_oid(algorithm: &Oid) -> Option<(SignatureScheme, bool)> {
    let known: [(oid::Known, SignatureScheme, bool); 7] = [
        (oid::SHA256_WITH_RSA, SignatureScheme::RsaPkcs1Sha256, true),
        (oid::SHA384_WITH_RSA, SignatureScheme::RsaPkcs1Sha384, true),
        (oid::SHA512_WITH_RSA, SignatureScheme::RsaPkcs1Sha512, true),
        // RFC 5758 §3.2, RFC 8410 §3: the parameters MUST be absent.
        (oid::ECDSA_WITH_SHA256, SignatureScheme::EcdsaSha256, false),
        (oid::ECDSA_WITH_SHA384, SignatureScheme::EcdsaSha384, false),
        (oid::ECDSA_WITH_SHA512, SignatureScheme::EcdsaSha512, false),
        (oid::ED25519, SignatureScheme::Ed25519, false),
    ];
    known.into_iter().find(|(octets, ..)| algorithm.is(octets)).map(|(_, scheme, null)| (scheme, null))
}

/// RSASSA-PSS with its parameters. Absent or empty ones mean SHA-1 (RFC 7427 appendix A.4.1): below the floor.
fn from_pss_parameters(
    algorithm: Oid,
    parameters: Option<Element<'_>>,
) -> Result<SignatureScheme, UnsupportedAlgorithm> {
    match parameters {
        Some(parameters) => pss_scheme(parameters),
        None => Err(UnsupportedAlgorithm::Parameters { algorithm, reason: PSS_RULE }),
    }
}

const PSS_RULE: &str =
    "only SHA-256, SHA-384 or SHA-512 for hash and MGF1, with salt as long as the hash, is accepted";

/// RSASSA-PSS-params (RFC 4055 §3.1): only one hash throughout, with as much salt as hash, is accepted.
pub(crate) fn pss_scheme(parameters: Element<'_>) -> Result<SignatureScheme, UnsupportedAlgorithm> {
    let mut reader = Reader::within(parameters.raw, tag::SEQUENCE)?;
    let hash = match reader.optional(tag::context_constructed(0))? {
        Some(explicit) => hash_of(explicit.content)?,
        None => None,
    };
    let mask_hash = match reader.optional(tag::context_constructed(1))? {
        Some(explicit) => mask_hash_of(explicit.content)?,
        None => None,
    };
    let salt = integer_in(reader.optional(tag::context_constructed(2))?)?;
    // RFC 4055 §3.1: the trailerField is 1; its DER is absence, but RFC 7427 appendix A.4.3 spells it out.
    let trailer = integer_in(reader.optional(tag::context_constructed(3))?)?.unwrap_or(1);
    reader.finish()?;
    match hash {
        Some(hash) if mask_hash == Some(hash) && salt == Some(salt_length(hash)) && trailer == 1 => {
            Ok(SignatureScheme::pss_with(hash))
        }
        _ => Err(UnsupportedAlgorithm::Parameters { algorithm: oid::RSASSA_PSS.into(), reason: PSS_RULE }),
    }
}

fn integer_in(explicit: Option<Element<'_>>) -> Result<Option<u32>, DerError> {
    let Some(explicit) = explicit else { return Ok(None) };
    let mut inner = explicit.reader();
    let value = inner.expect(tag::INTEGER)?.small()?;
    inner.finish()?;
    Ok(Some(value))
}

/// The hash an AlgorithmIdentifier names, NULL parameters or none (RFC 4055 §2.1); `None` if it is another one.
fn hash_of(der: &[u8]) -> Result<Option<Hash>, DerError> {
    let (algorithm, parameters) = split_algorithm_identifier(der)?;
    if !parameters.is_none_or(is_null) {
        return Ok(None);
    }
    let known: [(oid::Known, Hash); 3] =
        [(oid::SHA256, Hash::Sha256), (oid::SHA384, Hash::Sha384), (oid::SHA512, Hash::Sha512)];
    Ok(known.into_iter().find(|(octets, _)| algorithm.is(octets)).map(|(_, hash)| hash))
}

/// The hash inside a maskGenAlgorithm, which must be MGF1.
fn mask_hash_of(der: &[u8]) -> Result<Option<Hash>, DerError> {
    match split_algorithm_identifier(der)? {
        (algorithm, Some(hash)) if algorithm.is(oid::MGF1) => hash_of(hash.raw),
        _ => Ok(None),
    }
}

const fn salt_length(hash: Hash) -> u32 {
    match hash {
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    }
}

static PSS_SHA256: [u8; 67] = pss(1, 32);
static PSS_SHA384: [u8; 67] = pss(2, 48);
static PSS_SHA512: [u8; 67] = pss(3, 64);

/// RSASSA-PSS with SHA-2 number `hash` (last arc of its OID) throughout and `salt` octets of salt.
const fn pss(hash: u8, salt: u8) -> [u8; 67] {
    let mut der = *b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\
        \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x00\x05\x00\
        \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
        \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x00\x05\x00\
        \xa2\x03\x02\x01\x00";
    der[29] = hash;
    der[59] = hash;
    der[66] = salt;
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The octets printed in RFC 7427 appendix A, with what they name.
    #[test]
    fn reads_the_octets_of_rfc_7427_appendix_a() {
        let pss_256 = "3046 0609 2a864886f70d01010a 3039 a00f 300d 0609 608648016503040201 0500
            a11c 301a 0609 2a864886f70d010108 300d 0609 608648016503040201 0500 a203 020120 a303 020101";
        for (octets, scheme) in [
            ("300d06092a864886f70d01010b0500", SignatureScheme::RsaPkcs1Sha256),
            ("300d06092a864886f70d01010c0500", SignatureScheme::RsaPkcs1Sha384),
            ("300d06092a864886f70d01010d0500", SignatureScheme::RsaPkcs1Sha512),
            ("300a06082a8648ce3d040302", SignatureScheme::EcdsaSha256),
            ("300a06082a8648ce3d040303", SignatureScheme::EcdsaSha384),
            ("300a06082a8648ce3d040304", SignatureScheme::EcdsaSha512),
            (pss_256, SignatureScheme::RsaPssSha256),
            // RFC 8420 appendix A.
            ("300506032b6570", SignatureScheme::Ed25519),
        ] {
            assert_eq!(SignatureScheme::from_algorithm_identifier(&hex(octets)), Ok(scheme), "{octets}");
        }
    }

    #[test]
    fn every_scheme_survives_the_round_trip() {
        for scheme in SignatureScheme::ALL {
            let der = scheme.algorithm_identifier();
            assert_eq!(SignatureScheme::from_algorithm_identifier(der), Ok(scheme));
            for end in 0..der.len() {
                assert!(
                    SignatureScheme::from_algorithm_identifier(&der[..end]).is_err(),
                    "{scheme} cut at {end}"
                );
            }
            assert!(SignatureScheme::from_algorithm_identifier(&[der, &[0]].concat()).is_err());
        }
    }

    #[test]
    fn absent_null_is_accepted_for_rsa_and_null_is_refused_for_ecdsa() {
        let rsa = hex("300b06092a864886f70d01010b");
        assert_eq!(SignatureScheme::from_algorithm_identifier(&rsa), Ok(SignatureScheme::RsaPkcs1Sha256));
        let ecdsa = hex("300c06082a8648ce3d0403020500");
        assert!(SignatureScheme::from_algorithm_identifier(&ecdsa).is_err());
    }

    #[test]
    fn weak_hashes_and_default_pss_are_refused_by_name() {
        let sha1 = SignatureScheme::from_algorithm_identifier(&hex("300d06092a864886f70d0101050500"));
        assert!(sha1.unwrap_err().to_string().contains("sha1WithRSAEncryption"));
        for pss in ["300d 0609 2a864886f70d01010a 3000", "300b 0609 2a864886f70d01010a"] {
            assert!(SignatureScheme::from_algorithm_identifier(&hex(pss)).is_err());
        }
    }

    #[test]
    fn pss_parameters_that_disagree_are_refused() {
        let good = SignatureScheme::RsaPssSha256.algorithm_identifier();
        for (at, value) in [(29, 2), (59, 3), (66, 20), (66, 31)] {
            let mut der = good.to_vec();
            der[at] = value;
            assert!(SignatureScheme::from_algorithm_identifier(&der).is_err(), "octet {at} = {value}");
        }
    }

    /// RFC 4055 §2.1 lets each hash have NULL parameters or none, RFC 7427 appendix A.4.3 spells the trailer out: every
    /// combination names the same scheme.
    #[test]
    fn pss_parameters_mean_the_same_in_every_encoding() {
        let (hash, bare) = ("300d06096086480165030402010500", "300b0609608648016503040201");
        let element = |tag: &str, content: &str| format!("{tag}{:02x}{content}", content.len() / 2);
        for (digest, mask) in [(hash, hash), (hash, bare), (bare, hash), (bare, bare)] {
            for trailer in ["", "a303020101"] {
                let mgf1 = element("30", &format!("06092a864886f70d010108{mask}"));
                let fields = [&element("a0", digest), &element("a1", &mgf1), "a203020120", trailer].concat();
                let pss = element("30", &format!("06092a864886f70d01010a{}", element("30", &fields)));
                let scheme = SignatureScheme::from_algorithm_identifier(&hex(&pss));
                assert_eq!(scheme, Ok(SignatureScheme::RsaPssSha256), "{pss}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_named_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = SignatureScheme::from_algorithm_identifier(&octets);
        }

        /// One changed octet never turns one scheme's identifier into the same scheme silently with other bytes,
        /// except where a second encoding is documented.
        #[test]
        fn mutations_do_not_panic(index in 0usize..10, at in 0usize..67, value in any::<u8>()) {
            let mut der = SignatureScheme::ALL[index].algorithm_identifier().to_vec();
            let at = at % der.len();
            der[at] = value;
            let _ = SignatureScheme::from_algorithm_identifier(&der);
        }
    }
}
