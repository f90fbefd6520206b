//! Digital signatures in AUTH payloads: the AlgorithmIdentifier of method 14 (RFC 7427), the hash
//! algorithms announced for it (§4), and the older ECDSA methods 9 to 11 (RFC 4754). Octets only;
//! signing and verifying is asked of the caller.

use super::pss::{self, BadPss};
use crate::config::{HashAlgorithm, SignatureScheme};
use crate::wire::AuthenticationMethod;

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const NULL: &[u8] = &[0x05, 0x00];

/// pkcs-1 (1.2.840.113549.1.1), to which one arc is added.
const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// id-RSASSA-PSS and id-mgf1 (1.2.840.113549.1.1.10 and .8).
const RSASSA_PSS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 10];
pub(super) const MGF1: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 8];
/// hashAlgs (2.16.840.1.101.3.4.2), to which one arc is added.
pub(super) const NIST_HASHES: [u8; 8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
/// ecdsa-with-SHA2 (1.2.840.10045.4.3), to which one arc is added.
const ECDSA_SHA2: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// id-Ed25519 (1.3.101.112).
const ED25519: [u8; 3] = [0x2b, 0x65, 0x70];

/// Octets of hash announcements worth reading: the registry has fewer than 32 numbers.
const ANNOUNCEMENT: usize = 64;

/// Why the data of an AUTH payload of method 14 are no signature we could check. The peer's fault, or
/// a scheme we do not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignatureData {
    /// The data end inside the AlgorithmIdentifier.
    #[error("authentication data of {length} octets end inside their AlgorithmIdentifier")]
    Truncated {
        /// Octets of authentication data.
        length: usize,
    },
    /// The AlgorithmIdentifier names nothing we can verify.
    #[error("AlgorithmIdentifier {} is of no signature scheme known here", hex(.identifier))]
    UnknownAlgorithm {
        /// Its DER.
        identifier: Vec<u8>,
    },
    /// RSASSA-PSS with parameters that contradict each other or that we do not verify.
    #[error(transparent)]
    Pss(#[from] BadPss),
}

/// The AlgorithmIdentifier of a scheme, DER (RFC 7427 appendix A, RFC 8420).
pub fn algorithm_identifier(scheme: SignatureScheme) -> Vec<u8> {
    identifier(scheme, NULL)
}

/// Authentication Data of method 14: length of the AlgorithmIdentifier, itself, the signature (RFC
/// 7427 §3).
pub fn encode(scheme: SignatureScheme, signature: &[u8]) -> Vec<u8> {
    let identifier = algorithm_identifier(scheme);
    // The longest identifier (RSASSA-PSS) has 67 octets.
    let length = u8::try_from(identifier.len()).unwrap_or(u8::MAX);
    [&[length], identifier.as_slice(), signature].concat()
}

/// The scheme and the signature in Authentication Data of method 14.
///
/// Parameters of RSA and of hashes may be NULL or absent, "legal and equivalent encodings" (RFC 4055 §2.1, §5); ECDSA
/// and Ed25519 have none (RFC 5758 §3.2, RFC 8420 appendix A).
pub fn decode(data: &[u8]) -> Result<(SignatureScheme, &[u8]), BadSignatureData> {
    let truncated = BadSignatureData::Truncated { length: data.len() };
    let (length, rest) = data.split_first().ok_or(truncated.clone())?;
    let (found, signature) = rest.split_at_checked(usize::from(*length)).ok_or(truncated)?;
    Ok((scheme_of(found)?, signature))
}

/// The scheme that an AlgorithmIdentifier (DER) names.
///
/// # Errors
/// When it names none that we can verify.
pub fn scheme_of(found: &[u8]) -> Result<SignatureScheme, BadSignatureData> {
    if let Some((body, [])) = read_tlv(SEQUENCE, found)
        && let Some((oid, parameters)) = read_oid(body)
        && oid == RSASSA_PSS
    {
        return Ok(pss::scheme(parameters)?);
    }
    let is_found =
        |scheme: &SignatureScheme| identifier(*scheme, NULL) == found || identifier(*scheme, &[]) == found;
    let scheme = SignatureScheme::ALL.into_iter().find(is_found);
    scheme.ok_or_else(|| BadSignatureData::UnknownAlgorithm { identifier: found.to_vec() })
}

/// Notification Data of SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4).
pub fn encode_hashes(hashes: &[HashAlgorithm]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.number().to_be_bytes()).collect()
}

/// The hashes announced, those unknown to us (SHA-1 among them) left out.
pub fn decode_hashes(data: &[u8]) -> Vec<HashAlgorithm> {
    let (numbers, _) = data.as_chunks::<2>();
    let known = |number: &[u8; 2]| {
        let number = u16::from_be_bytes(*number);
        HashAlgorithm::ALL.into_iter().find(|hash| hash.number() == number)
    };
    numbers.iter().take(ANNOUNCEMENT / 2).filter_map(known).collect()
}

/// The scheme behind authentication methods 9, 10 and 11; method 1 rests on SHA-1 and has none.
pub fn scheme_of_method(method: AuthenticationMethod) -> Option<SignatureScheme> {
    match method {
        AuthenticationMethod::EcdsaP256Sha256 => Some(SignatureScheme::EcdsaP256Sha256),
        AuthenticationMethod::EcdsaP384Sha384 => Some(SignatureScheme::EcdsaP384Sha384),
        AuthenticationMethod::EcdsaP521Sha512 => Some(SignatureScheme::EcdsaP521Sha512),
        _ => None,
    }
}

/// The ECDSA method of RFC 4754 for a scheme, for peers that announced no hash algorithms.
pub fn method_of_scheme(scheme: SignatureScheme) -> Option<AuthenticationMethod> {
    match scheme {
        SignatureScheme::EcdsaP256Sha256 => Some(AuthenticationMethod::EcdsaP256Sha256),
        SignatureScheme::EcdsaP384Sha384 => Some(AuthenticationMethod::EcdsaP384Sha384),
        SignatureScheme::EcdsaP521Sha512 => Some(AuthenticationMethod::EcdsaP521Sha512),
        _ => None,
    }
}

/// Methods 9 to 11 carry r | s of equal length (RFC 4754 §7), signers and verifiers speak the DER of
/// ECDSA-Sig-Value (RFC 3279 §2.2.3): from the former to the latter. `None` if the length is not that
/// of the scheme's curve.
pub fn ecdsa_to_der(scheme: SignatureScheme, fixed: &[u8]) -> Option<Vec<u8>> {
    let width = coordinate(scheme)?;
    let (r, s) = fixed.split_at_checked(width).filter(|(_, s)| s.len() == width)?;
    Some(tlv(SEQUENCE, &[unsigned(r), unsigned(s)].concat()))
}

/// The reverse of [`ecdsa_to_der`]; `None` if `der` is not a signature of the scheme's curve.
pub fn ecdsa_from_der(scheme: SignatureScheme, der: &[u8]) -> Option<Vec<u8>> {
    let width = coordinate(scheme)?;
    let (body, []) = read_tlv(SEQUENCE, der)? else { return None };
    let (r, rest) = read_tlv(INTEGER, body)?;
    let (s, []) = read_tlv(INTEGER, rest)? else { return None };
    Some([left_padded(r, width)?, left_padded(s, width)?].concat())
}

/// Octets of a coordinate on the scheme's curve.
fn coordinate(scheme: SignatureScheme) -> Option<usize> {
    match scheme {
        SignatureScheme::EcdsaP256Sha256 => Some(32),
        SignatureScheme::EcdsaP384Sha384 => Some(48),
        SignatureScheme::EcdsaP521Sha512 => Some(66),
        _ => None,
    }
}

/// The AlgorithmIdentifier with `parameters` where RSA and its hashes have NULL or nothing.
fn identifier(scheme: SignatureScheme, parameters: &[u8]) -> Vec<u8> {
    use SignatureScheme as S;
    match scheme {
        S::RsaPkcs1Sha256 => algorithm(&PKCS1, Some(11), parameters),
        S::RsaPkcs1Sha384 => algorithm(&PKCS1, Some(12), parameters),
        S::RsaPkcs1Sha512 => algorithm(&PKCS1, Some(13), parameters),
        S::RsaPssSha256 => pss(1, 32, parameters),
        S::RsaPssSha384 => pss(2, 48, parameters),
        S::RsaPssSha512 => pss(3, 64, parameters),
        S::EcdsaP256Sha256 => algorithm(&ECDSA_SHA2, Some(2), &[]),
        S::EcdsaP384Sha384 => algorithm(&ECDSA_SHA2, Some(3), &[]),
        S::EcdsaP521Sha512 => algorithm(&ECDSA_SHA2, Some(4), &[]),
        S::Ed25519 => algorithm(&ED25519, None, &[]),
    }
}

/// id-RSASSA-PSS with hash, MGF1 over the same hash and salt length; trailer field 1 is the default
/// and so left out (RFC 4055 §3.1).
fn pss(hash: u8, salt: u8, parameters: &[u8]) -> Vec<u8> {
    let hash = algorithm(&NIST_HASHES, Some(hash), parameters);
    let mask = algorithm(&MGF1, None, &hash);
    let salt = tlv(INTEGER, &[salt]);
    let fields = [tlv(0xa0, &hash), tlv(0xa1, &mask), tlv(0xa2, &salt)].concat();
    algorithm(&RSASSA_PSS, None, &tlv(SEQUENCE, &fields))
}

fn algorithm(prefix: &[u8], arc: Option<u8>, parameters: &[u8]) -> Vec<u8> {
    let oid: Vec<u8> = prefix.iter().copied().chain(arc).collect();
    tlv(SEQUENCE, &[tlv(OBJECT_IDENTIFIER, &oid).as_slice(), parameters].concat())
}

/// One DER element of less than 256 octets: all that is written here.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let header: &[u8] = if length < 0x80 { &[tag, length] } else { &[tag, 0x81, length] };
    [header, content].concat()
}

/// The object identifier in front, and what follows it.
pub(super) fn read_oid(der: &[u8]) -> Option<(&[u8], &[u8])> {
    read_tlv(OBJECT_IDENTIFIER, der)
}

/// The content of the element in front, and what follows it; lengths in their shortest form only.
pub(super) fn read_tlv(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [found, 0x81, length @ 0x80..=0xff, rest @ ..] if *found == tag => (*length, rest),
        [found, length @ 0..=0x7f, rest @ ..] if *found == tag => (*length, rest),
        _ => return None,
    };
    rest.split_at_checked(usize::from(length))
}

/// An unsigned number as a DER INTEGER.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|octet| *octet != 0).unwrap_or(number.len());
    let digits = number.get(start..).unwrap_or_default();
    match digits.first() {
        Some(octet) if octet & 0x80 == 0 => tlv(INTEGER, digits),
        _ => tlv(INTEGER, &[&[0], digits].concat()),
    }
}

/// The digits of a DER INTEGER, zero-filled to `width`; `None` if negative or wider.
fn left_padded(integer: &[u8], width: usize) -> Option<Vec<u8>> {
    let digits = match integer {
        [0, digits @ ..] => digits,
        [first, ..] if first & 0x80 == 0 => integer,
        _ => return None,
    };
    let missing = width.checked_sub(digits.len())?;
    Some([vec![0; missing].as_slice(), digits].concat())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
