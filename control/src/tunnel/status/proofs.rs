//! Proofs of identity, counted by their kind (IKE-51).

use ravelin_ike::config::SignatureScheme;
use ravelin_ike::event::Proof;

use crate::api::reply::{Kinds, Signatures};

/// One more of this kind.
pub(super) fn count(kinds: &mut Kinds, proof: Proof) {
    *match proof {
        Proof::SharedKey => &mut kinds.psk,
        Proof::Certificate(_) => &mut kinds.certificate,
        Proof::RawKey(_) => &mut kinds.raw_key,
        Proof::Ticket => &mut kinds.ticket,
        Proof::Second => &mut kinds.second,
        Proof::Other => &mut kinds.other,
    } += 1;
    if let Proof::Certificate(Some(scheme)) | Proof::RawKey(Some(scheme)) = proof {
        *family(&mut kinds.signatures, scheme) += 1;
    }
}

fn family(signatures: &mut Signatures, scheme: SignatureScheme) -> &mut u64 {
    use SignatureScheme as S;
    match scheme {
        S::RsaPkcs1Sha256 | S::RsaPkcs1Sha384 | S::RsaPkcs1Sha512 => &mut signatures.rsa,
        S::RsaPssSha256 | S::RsaPssSha384 | S::RsaPssSha512 => &mut signatures.rsa,
        S::EcdsaP256Sha256 | S::EcdsaP384Sha384 | S::EcdsaP521Sha512 => &mut signatures.ecdsa,
        S::Ed25519 => &mut signatures.ed25519,
    }
}
