//! What lies where a hash and URL points (RFC 7296 §3.6): a certificate, or a bundle of certificates and CRLs, each DER.
//!
//! The hash is SHA-1, as the protocol has it. It says that this is what the peer meant, and nothing rests on its
//! strength: whether what is found is to be believed is asked of it as of any certificate that a peer presents.

use crate::certreq::sha1;
use crate::der::{DerError, Element, Reader, tag, write};

/// Octets fetched at most: a bundle of as many certificates as are looked at, of 4 KiB each.
pub const MAX_OCTETS: usize = 64 << 10;

/// Certificates of a bundle, as many as a peer may present.
const MAX_CERTIFICATES: usize = 16;

/// Why it is not what the peer meant. The peer's fault, or that of its server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashAndUrlError {
    /// Another certificate, an error page, or a certificate in PEM.
    #[error("its SHA-1 is {}, and the peer said {}: it has to be the certificate in DER, octet for octet", hex(.found), hex(.said))]
    Hash {
        /// Of what was fetched.
        found: [u8; 20],
        /// As the peer has it.
        said: [u8; 20],
    },
    /// It is no bundle.
    #[error("it is no bundle of certificates: {0}")]
    Bundle(#[from] DerError),
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What goes before the URL.
pub fn hash(octets: &[u8]) -> [u8; 20] {
    sha1(octets)
}

/// The certificates in what was fetched, DER, in their order there. A lone certificate is not looked at, and CRLs of a
/// bundle are left out: whom to ask about revocation is not for the peer to say.
///
/// # Errors
/// What is wrong with it.
pub fn certificates(bundle: bool, said: &[u8; 20], octets: &[u8]) -> Result<Vec<Vec<u8>>, HashAndUrlError> {
    let found = hash(octets);
    match (found == *said, bundle) {
        (false, _) => Err(HashAndUrlError::Hash { found, said: *said }),
        (true, false) => Ok(vec![octets.to_vec()]),
        (true, true) => Ok(read_bundle(octets)?),
    }
}

/// `SEQUENCE OF CHOICE { cert [0] Certificate, crl [1] CertificateList }`, with explicit tags.
fn read_bundle(octets: &[u8]) -> Result<Vec<Vec<u8>>, DerError> {
    const CERTIFICATE: u8 = tag::context_constructed(0);
    const CRL: u8 = tag::context_constructed(1);
    let member = |element: Element<'_>| match element.tag {
        CERTIFICATE => only(&element).map(|der| Some(der.to_vec())),
        CRL => only(&element).map(|_| None),
        found => Err(DerError::Unexpected { expected: CERTIFICATE, found }),
    };
    let members =
        Reader::within(octets, tag::SEQUENCE)?.all("certificates and CRLs", MAX_CERTIFICATES, member)?;
    Ok(members.into_iter().flatten().collect())
}

/// The one SEQUENCE that a member holds.
fn only<'a>(member: &Element<'a>) -> Result<&'a [u8], DerError> {
    let mut reader = member.reader();
    let inner = reader.expect(tag::SEQUENCE)?;
    reader.finish()?;
    Ok(inner.raw)
}

/// A bundle of these certificates (DER each), in this order.
pub fn bundle(certificates: &[&[u8]]) -> Vec<u8> {
    let members: Vec<Vec<u8>> = certificates.iter().map(|der| write::explicit(0, der)).collect();
    write::sequence(&members.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(number: u8) -> Vec<u8> {
        write::sequence(&[&[tag::OCTET_STRING, 1, number]])
    }

    fn read(bundle: bool, octets: &[u8]) -> Result<Vec<Vec<u8>>, HashAndUrlError> {
        certificates(bundle, &hash(octets), octets)
    }

    /// The digest of "abc" in FIPS 180-1.
    #[test]
    fn the_hash_is_sha_1() {
        assert_eq!(hex(&hash(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    /// What is found has to be what the peer meant, whatever is in it.
    #[test]
    fn another_hash_is_refused() {
        let (der, other) = (certificate(1), certificate(2));
        assert_eq!(read(false, &der), Ok(vec![der.clone()]));
        for bundle in [false, true] {
            let refused = certificates(bundle, &hash(&other), &der);
            assert_eq!(refused, Err(HashAndUrlError::Hash { found: hash(&der), said: hash(&other) }));
        }
    }

    /// All certificates of a bundle, without its CRLs; none of what is no bundle.
    #[test]
    fn bundles_are_read() {
        let (one, two) = (certificate(1), certificate(2));
        let crl = write::explicit(1, &certificate(3));
        assert_eq!(read(true, &bundle(&[&one, &two])), Ok(vec![one.clone(), two.clone()]));
        let mixed = write::sequence(&[&write::explicit(0, &one), &crl, &write::explicit(0, &two)]);
        assert_eq!(read(true, &mixed), Ok(vec![one.clone(), two]));
        assert_eq!(read(true, &write::sequence(&[])), Ok(vec![]));
        let doubled = write::sequence(&[&write::explicit(0, &[one.clone(), one.clone()].concat())]);
        let bare = write::sequence(&[&one]);
        let many = bundle(&[one.as_slice(); MAX_CERTIFICATES + 1]);
        for wrong in [one, doubled, bare, many, b"<html>".to_vec(), vec![]] {
            assert!(matches!(read(true, &wrong), Err(HashAndUrlError::Bundle(_))), "{wrong:?}");
        }
    }

    proptest! {
        /// Nothing that is fetched makes the reader stumble, and what it yields lies in what was fetched.
        #[test]
        fn anything_is_survived(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(found) = read(true, &octets) {
                prop_assert!(found.iter().all(|der| octets.windows(der.len()).any(|part| part == der)));
            }
        }
    }
}
