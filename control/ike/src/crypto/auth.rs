//! What an AUTH payload proves (RFC 7296 §2.15): the octets both sides authenticate, and the proof by
//! shared key. Signatures are made and checked elsewhere, over the same octets.

use subtle::ConstantTimeEq;

use super::{IntAuth, Secret};
use crate::config::Prf;
use crate::wire::{Identification, Nonce};

/// "17 ASCII characters without null termination" (RFC 7296 §2.15).
const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// InitiatorSignedOctets = RealMessage1 | NonceRData | MACedIDForI | IntAuth, and likewise for the responder (RFC
/// 9242 §3.3.2).
pub struct SignedOctets<'a> {
    /// The PRF of the IKE SA.
    pub prf: Prf,
    /// SK_pi for the initiator's proof, SK_pr for the responder's.
    pub sk_p: &'a [u8],
    /// The prover's first message, IKE header included, without a non-ESP marker: the request that
    /// was answered, so with its COOKIE if it had one.
    pub message: &'a [u8],
    /// The *other* side's nonce.
    pub peer_nonce: &'a Nonce,
    /// The prover's ID payload.
    pub identification: &'a Identification,
    /// What went between IKE_SA_INIT and IKE_AUTH.
    pub int_auth: &'a IntAuth,
}

impl SignedOctets<'_> {
    /// The octets to sign, or to check a signature over.
    pub fn octets(&self) -> Vec<u8> {
        let maced_id = self.prf.compute(self.sk_p, &[&self.identification.body()]);
        [self.message, self.peer_nonce.as_bytes(), &maced_id, &self.int_auth.octets()].concat()
    }

    /// The proof by shared key: prf(prf(Shared Secret, "Key Pad for IKEv2"), octets).
    pub fn shared_key_proof(&self, shared_key: &[u8]) -> Secret {
        let key = self.prf.compute(shared_key, &[KEY_PAD]);
        self.prf.compute(&key, &[&self.octets()])
    }

    /// The proof of who resumes a session: AUTH = prf(SK_px, octets) (RFC 5723 §4.3.3).
    pub fn resumption_proof(&self) -> Secret {
        self.prf.compute(self.sk_p, &[&self.octets()])
    }

    /// Whether `proof` is that of who resumes this session.
    pub fn resumption_proves(&self, proof: &[u8]) -> bool {
        self.resumption_proof().ct_eq(proof).into()
    }

    /// Whether `proof` was made with this shared key; takes the same time wherever they differ.
    pub fn shared_key_proves(&self, shared_key: &[u8], proof: &[u8]) -> bool {
        self.shared_key_proof(shared_key).ct_eq(proof).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IdentificationType;

    /// Straight from the formulas of RFC 7296 §2.15, each step written out.
    #[test]
    fn the_proof_is_the_formula() {
        let nonce = Nonce::new(vec![9; 32]).unwrap();
        let id = Identification::new(IdentificationType::Fqdn, b"gw.example".to_vec());
        for prf in Prf::ALL {
            let signed = SignedOctets {
                prf,
                sk_p: &[1; 32],
                message: b"message",
                peer_nonce: &nonce,
                identification: &id,
                int_auth: &IntAuth::default(),
            };
            let maced = prf.compute(&[1; 32], &[b"\x02\0\0\0gw.example"]);
            let octets = [b"message", &[9; 32][..], &maced[..]].concat();
            assert_eq!(signed.octets(), octets);
            let pad = prf.compute(b"psk", &[b"Key Pad for IKEv2"]);
            assert_eq!(signed.shared_key_proof(b"psk"), prf.compute(&pad, &[&octets]));
            let resumed = prf.compute(&[1; 32], &[&octets]);
            assert_eq!(signed.resumption_proof(), resumed);
            assert!(signed.resumption_proves(&resumed) && !signed.resumption_proves(&resumed[1..]));
            assert!(!signed.resumption_proves(&signed.shared_key_proof(&[1; 32])));
        }
    }

    #[test]
    fn only_the_right_key_and_the_whole_proof_count() {
        let nonce = Nonce::new(vec![9; 16]).unwrap();
        let identification = &Identification::new(IdentificationType::KeyId, vec![1]);
        let prf = Prf::HmacSha256;
        let (sk_p, message, int_auth) = (&[1; 32], b"m", &IntAuth::default());
        let signed = SignedOctets { prf, sk_p, message, peer_nonce: &nonce, identification, int_auth };
        let proof = signed.shared_key_proof(b"right");
        assert!(signed.shared_key_proves(b"right", &proof));
        assert!(!signed.shared_key_proves(b"wrong", &proof));
        for length in 0..proof.len() {
            assert!(!signed.shared_key_proves(b"right", &proof[..length]));
        }
    }
}
