//! By what a peer tries to prove its identity, read off its claim before anybody has judged it: for who counts proofs by
//! their kind, those that do not hold as well (IKE-51).
//!
//! An [`Attempt`](crate::recorder::Attempt) has it from when the claim is here until it holds. A claim that fails for
//! whatever reason so leaves its kind behind.

use super::handshake::Handshake;
use super::lookup;
use super::parts::Parts;
use super::proof::{self, Claim};
use crate::config::Connection;
use crate::event::Proof;
use crate::wire::AuthenticationMethod as Method;

/// The kind of a first proof.
pub(crate) fn first(handshake: &Handshake, config: &Connection, claim: &Claim) -> Proof {
    match claim.auth.method {
        _ if handshake.resumed.is_some() => Proof::Ticket,
        Method::SharedKey => Proof::SharedKey,
        Method::RsaDigitalSignature
        | Method::DigitalSignature
        | Method::EcdsaP256Sha256
        | Method::EcdsaP384Sha384
        | Method::EcdsaP521Sha512 => signature(config, claim),
        _ => Proof::Other,
    }
}

fn signature(config: &Connection, claim: &Claim) -> Proof {
    let scheme = proof::decode(&claim.auth).ok().map(|(scheme, _)| scheme);
    match lookup::is_raw_key(&claim.certificates, config) {
        true => Proof::RawKey(scheme),
        false => Proof::Certificate(scheme),
    }
}

/// That of a second one, if the message has any.
pub(crate) fn second(parts: &Parts) -> Option<Proof> {
    parts.auth.as_ref().map(|_| Proof::Second)
}
