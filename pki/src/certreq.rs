//! The hashes of a CERTREQ payload (RFC 7296 §3.7), the CAs above a certificate of ours, by which it is asked for, and which
//! of them to send along. The one that is asked for is found where the payload is read, by its hashes alone.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::store::Intermediates;
use crate::x509::Certificate;

/// SHA-1 of a SubjectPublicKeyInfo. It names a key; nothing rests on its strength.
pub type KeyHash = [u8; 20];

/// Hashes read from one peer, over all its CERTREQ payloads; the rest is ignored. Sixteen are common, a peer that
/// trusts every public CA sends more.
pub const MAX_HASHES: usize = 128;

/// The hash a CERTREQ names a CA by: SHA-1 over the SubjectPublicKeyInfo of its certificate.
pub fn hash(certificate: &Certificate) -> KeyHash {
    sha1(&certificate.spki)
}

/// SHA-1, where a protocol wants no other.
pub(crate) fn sha1(octets: &[u8]) -> [u8; 20] {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, octets);
    let mut hash = [0; 20];
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// The Certification Authority field to send for CAs: every hash once, in order.
pub fn field<'a>(authorities: impl IntoIterator<Item = &'a Arc<Certificate>>) -> Vec<u8> {
    let mut hashes: Vec<KeyHash> = Vec::new();
    for hash in authorities.into_iter().map(|authority| hash(authority)) {
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
    hashes.concat()
}

/// The hashes in a received Certification Authority field; a remainder shorter than a hash is ignored.
pub fn parse(field: &[u8]) -> Vec<KeyHash> {
    let hashes = field.chunks_exact(20).filter_map(|hash| hash.try_into().ok());
    hashes.take(MAX_HASHES).collect()
}

/// The CAs above an end entity's certificate, as far as the store knows them, lowest first; a self-signed one ends
/// the list and is part of it. Signatures decide between CAs of the same name.
pub fn chain_above(end_entity: &Arc<Certificate>, known: &Intermediates) -> Vec<Arc<Certificate>> {
    let mut chain = vec![Arc::clone(end_entity)];
    while let Some(issuer) = chain.last().and_then(|top| issuer_of(top, known)) {
        // No honest chain is longer, and certificates that sign each other must not keep us here.
        if chain.len() > 8 || chain.contains(issuer) {
            break;
        }
        chain.push(Arc::clone(issuer));
    }
    chain.split_off(1)
}

fn issuer_of<'a>(certificate: &'a Certificate, known: &'a Intermediates) -> Option<&'a Arc<Certificate>> {
    known.with_subject(&certificate.issuer).find(|candidate| signed_by(certificate, candidate))
}

fn signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let (Ok(scheme), Ok(key)) = (&certificate.signature_scheme, &issuer.public_key) else { return false };
    key.verify(*scheme, certificate.tbs(), &certificate.signature).is_ok()
}

/// What to send: the end entity's certificate first, then the CAs above it without a self-signed root, which the
/// peer either has or has no reason to believe (RFC 7296 §3.6).
pub fn to_send(end_entity: &Arc<Certificate>, above: &[Arc<Certificate>]) -> Vec<Vec<u8>> {
    let chain = above.iter().take_while(|authority| !authority.is_self_issued());
    [end_entity].into_iter().chain(chain).map(|certificate| certificate.der().to_vec()).collect()
}
