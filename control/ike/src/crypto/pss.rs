//! RSASSA-PSS-params, read (RFC 4055 §3.1, RFC 8017 appendix A.2.3): which of our schemes they mean, or what is wrong
//! with them. Written they are in [`super::signature`], in DER proper.
//!
//! What is at its default may be left out or spelled out (RFC 7427 appendix A.4 prints both), a hash has NULL
//! parameters or none (RFC 4055 §2.1). One hash throughout and salt as long as the hash: nothing else is signed with
//! by anybody, and RFC 8017 §9.1 recommends it.

use super::signature::{MGF1, NIST_HASHES, NULL, SEQUENCE, read_oid, read_tlv};
use crate::config::SignatureScheme;

const INTEGER: u8 = 0x02;

/// What is wrong with RSASSA-PSS-params. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPss {
    /// No DER, fields out of order, or something after them.
    #[error("RSASSA-PSS parameters that are no DER of RFC 4055")]
    Malformed,
    /// SHA-1, which absent parameters mean, or a hash unknown here.
    #[error("RSASSA-PSS with a hash that is none of SHA2-256, SHA2-384, SHA2-512")]
    Hash,
    /// Another mask generation than MGF1.
    #[error("RSASSA-PSS with a mask generation that is not MGF1")]
    Mask,
    /// MGF1 and the message are hashed differently.
    #[error("RSASSA-PSS with one hash for the message and another one for MGF1")]
    HashesDiffer,
    /// More or less salt than the hash has octets.
    #[error("RSASSA-PSS with {salt} octets of salt and a hash of {hash}: they must be equal")]
    Salt {
        /// Octets of salt.
        salt: u32,
        /// Octets of the hash.
        hash: u32,
    },
    /// A trailer field other than 1, of which there is none.
    #[error("RSASSA-PSS with trailer field {0}: there is only 1")]
    Trailer(u32),
}

/// What the parameters say, each field as written or at its default (`None` for a hash not ours).
struct Fields {
    hash: Option<u8>,
    mask_hash: Option<u8>,
    salt: u32,
    trailer: u32,
}

/// The scheme these parameters make of id-RSASSA-PSS; `parameters` is what follows the identifier.
pub(super) fn scheme(parameters: &[u8]) -> Result<SignatureScheme, BadPss> {
    let fields = Fields::read(parameters)?;
    let (scheme, hash) = match fields.hash {
        Some(1) => (SignatureScheme::RsaPssSha256, 32),
        Some(2) => (SignatureScheme::RsaPssSha384, 48),
        Some(3) => (SignatureScheme::RsaPssSha512, 64),
        _ => return Err(BadPss::Hash),
    };
    match fields {
        Fields { mask_hash, .. } if mask_hash != fields.hash => Err(BadPss::HashesDiffer),
        Fields { salt, .. } if salt != hash => Err(BadPss::Salt { salt, hash }),
        Fields { trailer, .. } if trailer != 1 => Err(BadPss::Trailer(trailer)),
        _ => Ok(scheme),
    }
}

impl Fields {
    fn read(parameters: &[u8]) -> Result<Fields, BadPss> {
        // No parameters at all: everything at its default.
        let fields = match parameters {
            [] => &[],
            some => whole(SEQUENCE, some)?,
        };
        let (hash, fields) = optional(0xa0, fields)?;
        let (mask, fields) = optional(0xa1, fields)?;
        let (salt, fields) = optional(0xa2, fields)?;
        let (trailer, fields) = optional(0xa3, fields)?;
        if !fields.is_empty() {
            return Err(BadPss::Malformed);
        }
        Ok(Fields {
            hash: hash.map(hash_number).transpose()?.flatten(),
            mask_hash: mask.map(mask_hash).transpose()?.flatten(),
            salt: salt.map_or(Ok(20), integer)?,
            trailer: trailer.map_or(Ok(1), integer)?,
        })
    }
}

/// The content of the one element there is.
fn whole(tag: u8, der: &[u8]) -> Result<&[u8], BadPss> {
    match read_tlv(tag, der) {
        Some((content, [])) => Ok(content),
        _ => Err(BadPss::Malformed),
    }
}

/// The content of the element in front if it has this tag, and what follows.
fn optional(tag: u8, der: &[u8]) -> Result<(Option<&[u8]>, &[u8]), BadPss> {
    if der.first() != Some(&tag) {
        return Ok((None, der));
    }
    read_tlv(tag, der).map(|(content, rest)| (Some(content), rest)).ok_or(BadPss::Malformed)
}

/// The identifier in an AlgorithmIdentifier, and the parameters after it.
fn algorithm(der: &[u8]) -> Result<(&[u8], &[u8]), BadPss> {
    read_oid(whole(SEQUENCE, der)?).ok_or(BadPss::Malformed)
}

/// The last arc of a hash of NIST's, if it has NULL parameters or none.
fn hash_number(der: &[u8]) -> Result<Option<u8>, BadPss> {
    let (oid, parameters) = algorithm(der)?;
    let plain = parameters.is_empty() || parameters == NULL;
    Ok(match oid.split_last() {
        Some((arc, prefix)) if plain && prefix == NIST_HASHES => Some(*arc),
        _ => None,
    })
}

/// The hash in a MaskGenAlgorithm.
fn mask_hash(der: &[u8]) -> Result<Option<u8>, BadPss> {
    match algorithm(der)? {
        (oid, hash) if oid == MGF1 => hash_number(hash),
        _ => Err(BadPss::Mask),
    }
}

/// A small number that is not negative, in its shortest form.
fn integer(der: &[u8]) -> Result<u32, BadPss> {
    match whole(INTEGER, der)? {
        [octet @ 0..=0x7f] => Ok(u32::from(*octet)),
        [0, octet @ 0x80..=0xff] => Ok(u32::from(*octet)),
        [high @ 1..=0x7f, low] => Ok(u32::from(*high) << 8 | u32::from(*low)),
        _ => Err(BadPss::Malformed),
    }
}
