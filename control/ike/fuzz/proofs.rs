//! How the peer proves itself to the engine under search: by a key, or by a certificate and after that by another key
//! (RFC 7296 §2.15, RFC 4739).
//!
//! The signature is one that anybody could make. It stands for a good one: what is searched is the engine, and it is
//! for its helpers to tell a good signature from another; these do.

use ravelin_ike::config::{
    Auth, CertificateAuth, Connection, Identity, IdentityMatch, OwnCertificate, RemoteAuth, SecondAuth,
    SignatureScheme,
};
use ravelin_ike::want::{Lookup, PeerKey, Verdict, Verify};
use zeroize::Zeroizing;

/// What is agreed upon with the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each target has one of these")]
pub enum Proofs {
    /// A key, after one key exchange.
    Key,
    /// A key, after an additional key exchange (RFC 9370).
    KeyAfterAdditional,
    /// A certificate, and a second proof by a key.
    CertificateAndKey,
}

/// The peer's certificate, and the key in it.
pub const CERTIFICATE: &[u8] = b"the certificate of the peer";
/// Its public key, which it may show in place of that (RFC 7670).
pub const KEY: &[u8] = b"the key of the peer";
/// How the peer signs.
pub const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;
/// The key of the second proof.
pub const SECOND: &[u8] = b"battery staple";
/// As whom the peer proves itself by it.
pub const SECOND_NAME: &[u8] = b"user.example";

/// The good signature over these octets (FNV-1a).
pub fn signature(octets: &[u8]) -> Vec<u8> {
    let mix = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    octets.iter().fold(0xcbf2_9ce4_8422_2325, mix).to_be_bytes().to_vec()
}

/// Whether a peer's signature is that.
pub fn is_good(verify: &Verify) -> bool {
    [CERTIFICATE, KEY].contains(&&*verify.public_key)
        && verify.scheme == SCHEME
        && verify.signature == signature(&verify.octets)
}

/// The key in the peer's certificate, or the peer's key, if that is what it shows; one is never taken for the other.
pub fn judge(verdict: &Verdict) -> Option<PeerKey> {
    let (own, known) = match (verdict.chain.first(), &verdict.public_key) {
        (Some(own), None) => (own, CERTIFICATE),
        (None, Some(own)) => (own, KEY),
        (Some(_), Some(_)) => panic!("a certificate and a key are judged together"),
        (None, None) => return None,
    };
    (own == known).then(|| PeerKey { public_key: own.clone() })
}

/// Whatever lies elsewhere is the peer's certificate.
pub fn found(lookup: &Lookup) -> Vec<Vec<u8>> {
    lookup.shown.iter().map(|_| CERTIFICATE.to_vec()).collect()
}

/// A connection on which both sides sign, the peer proves itself a second time, and all that certificates bring with
/// them is asked for, and keys in their place.
pub fn with_certificates(connection: &mut Connection) {
    let own = OwnCertificate {
        chain: vec![b"our certificate".to_vec()],
        schemes: vec![SCHEME],
        authorities: vec![[7; 20]],
        ..OwnCertificate::default()
    };
    connection.local_auth = Auth::Certificate(CertificateAuth::single(own));
    connection.remote_auth = RemoteAuth::Certificate { authorities: vec![[7; 20]], schemes: Vec::new() };
    (connection.ocsp_request, connection.certificate_lookup, connection.raw_keys) = (true, true, true);
    let name = Identity::fqdn(str::from_utf8(SECOND_NAME).expect("a name"));
    connection.second_auth = Some(Box::new(SecondAuth {
        local: None,
        remote: Some(IdentityMatch::Exact(name)),
        psk: Zeroizing::new(SECOND.to_vec()),
    }));
}
