//! Key derivation: the seven keys of an IKE SA (RFC 7296 §2.14), of its successor (§2.18), and the
//! keying material of Child SAs (§2.17); with additional key exchanges by RFC 9370 §2.2.2 and §2.2.4, with
//! post-quantum preshared keys by RFC 8784 §3, of a session that is resumed by RFC 5723 §5.1.

use std::fmt;

use super::key_exchange::SharedSecret;
use super::prf::PrfPlus;
use super::{IkeSuite, Secret};
use crate::config::Prf;
use crate::want::{EspKeys, EspSuite};
use crate::wire::{IkeSpi, Nonce};

/// The keys of one IKE SA, named as in RFC 7296 §2.14. Wiped on drop.
#[derive(Clone)]
pub struct IkeKeys {
    /// For deriving further keys.
    pub sk_d: Secret,
    /// Integrity of what the original initiator sends; empty with AEAD ciphers.
    pub sk_ai: Secret,
    /// Integrity of what the original responder sends; empty with AEAD ciphers.
    pub sk_ar: Secret,
    /// Encryption of what the original initiator sends; AEAD keys end with their salt (RFC 5282 §7.1).
    pub sk_ei: Secret,
    /// Encryption of what the original responder sends.
    pub sk_er: Secret,
    /// For the initiator's AUTH payload.
    pub sk_pi: Secret,
    /// For the responder's AUTH payload.
    pub sk_pr: Secret,
}

/// What the key exchanges of one CREATE_CHILD_SA and of its IKE_FOLLOWUP_KE exchanges agreed on (RFC 9370 §2.2.4).
#[derive(Debug)]
pub struct SharedSecrets {
    first: SharedSecret,
    /// SK(1) | ... | SK(n).
    additional: Secret,
}

impl SharedSecrets {
    /// The secret of CREATE_CHILD_SA, which none has followed yet.
    pub fn new(first: SharedSecret) -> Self {
        Self { first, additional: Secret::default() }
    }

    /// Adds the secret of the next exchange.
    pub fn add(&mut self, next: &SharedSecret) {
        // One that grew in place would leave a copy behind.
        self.additional = zeroize::Zeroizing::new([self.additional.as_slice(), next.as_bytes()].concat());
    }
}

/// Ni and Nr of the exchange that makes the keys.
#[derive(Debug, Clone, Copy)]
pub struct Nonces<'a> {
    /// Ni: nonce of the exchange's initiator.
    pub initiator: &'a Nonce,
    /// Nr: nonce of the exchange's responder.
    pub responder: &'a Nonce,
}

impl IkeKeys {
    /// Keys of a first IKE SA: SKEYSEED = prf(Ni | Nr, g^ir).
    pub fn derive(
        suite: &IkeSuite,
        secret: &SharedSecret,
        nonces: Nonces<'_>,
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
    ) -> Self {
        let key = zeroize::Zeroizing::new(suite.prf.seed_nonces(nonces.octets()).concat());
        let seed = suite.prf.compute(&key, &[secret.as_bytes()]);
        Self::expand(suite, &seed, nonces, initiator_spi, responder_spi)
    }

    /// Keys of the same IKE SA after an additional key exchange: SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr),
    /// nonces and SPIs being those of IKE_SA_INIT (RFC 9370 §2.2.2).
    pub fn advance(
        &self,
        suite: &IkeSuite,
        secret: &SharedSecret,
        nonces: Nonces<'_>,
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
    ) -> Self {
        let [ni, nr] = nonces.octets();
        let seed = suite.prf.compute(&self.sk_d, &[secret.as_bytes(), ni, nr]);
        Self::expand(suite, &seed, nonces, initiator_spi, responder_spi)
    }

    /// Keys of the IKE SA that takes over: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr | SK(1) | ... SK(n)), with
    /// the PRF of the old SA; everything after with the new SA's (RFC 7296 §2.18, RFC 9370 §2.2.4). The SPIs are the
    /// new ones, and "initiator" is who began the rekey.
    pub fn rekey(
        suite: &IkeSuite,
        old: (Prf, &IkeKeys),
        secrets: &SharedSecrets,
        nonces: Nonces<'_>,
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
    ) -> Self {
        let [ni, nr] = nonces.octets();
        let (prf, keys) = old;
        let seed = prf.compute(&keys.sk_d, &[secrets.first.as_bytes(), ni, nr, &secrets.additional]);
        Self::expand(suite, &seed, nonces, initiator_spi, responder_spi)
    }

    /// Keys of an IKE SA that resumes another one's session: SKEYSEED = prf(SK_d (old), "Resumption" | Ni | Nr), the
    /// name being its ten ASCII characters (RFC 5723 §5.1). The algorithms are those of the old one, the
    /// SPIs the new ones.
    pub fn resume(
        suite: &IkeSuite,
        sk_d: &Secret,
        nonces: Nonces<'_>,
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
    ) -> Self {
        let [ni, nr] = nonces.octets();
        let seed = suite.prf.compute(sk_d, &[b"Resumption", ni, nr]);
        Self::expand(suite, &seed, nonces, initiator_spi, responder_spi)
    }

    /// These keys with a post-quantum preshared key mixed into three of them: SK_d = prf+ (PPK, SK_d'), SK_pi = prf+
    /// (PPK, SK_pi'), SK_pr = prf+ (PPK, SK_pr'), each as long as before (RFC 8784 §3).
    pub fn with_ppk(&self, prf: Prf, ppk: &[u8]) -> Self {
        let mix = |key: &Secret| prf.expand(ppk, &[key]).take(key.len());
        Self { sk_d: mix(&self.sk_d), sk_pi: mix(&self.sk_pi), sk_pr: mix(&self.sk_pr), ..self.clone() }
    }

    /// prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr), cut in the order of RFC 7296 §2.14.
    fn expand(
        suite: &IkeSuite,
        seed: &[u8],
        nonces: Nonces<'_>,
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
    ) -> Self {
        let [ni, nr] = nonces.octets();
        let spis = [initiator_spi.to_be_bytes(), responder_spi.to_be_bytes()].concat();
        let mut stream = suite.prf.expand(seed, &[ni, nr, &spis]);
        let prf = suite.prf.output_length();
        let integrity = suite.integrity.map_or(0, |integrity| integrity.key_len());
        let encryption = suite.encryption.keymat_len();
        Self {
            sk_d: stream.take(prf),
            sk_ai: stream.take(integrity),
            sk_ar: stream.take(integrity),
            sk_ei: stream.take(encryption),
            sk_er: stream.take(encryption),
            sk_pi: stream.take(prf),
            sk_pr: stream.take(prf),
        }
    }
}

/// Keys of both directions of an ESP SA.
#[derive(Debug, Clone)]
pub struct EspKeyPair {
    /// For what the exchange's initiator sends.
    pub initiator_to_responder: EspKeys,
    /// For what the exchange's responder sends.
    pub responder_to_initiator: EspKeys,
}

impl EspKeyPair {
    /// KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr [| SK(1) | ... SK(n)]): "All keys for SAs carrying data from the
    /// initiator to the responder are taken before SAs going from the responder to the initiator",
    /// encryption before integrity (RFC 7296 §2.17, RFC 9370 §2.2.4).
    ///
    /// `prf` and `sk_d` are the IKE SA's; the nonces those of the exchange that made the Child SA.
    pub fn derive(
        suite: &EspSuite,
        prf: Prf,
        sk_d: &[u8],
        secrets: Option<&SharedSecrets>,
        nonces: Nonces<'_>,
    ) -> Self {
        let [ni, nr] = nonces.octets();
        let first = secrets.map(|secrets| secrets.first.as_bytes()).unwrap_or_default();
        let additional = secrets.map(|secrets| secrets.additional.as_slice()).unwrap_or_default();
        let mut stream = prf.expand(sk_d, &[first, ni, nr, additional]);
        let initiator_to_responder = take_direction(suite, &mut stream);
        let responder_to_initiator = take_direction(suite, &mut stream);
        Self { initiator_to_responder, responder_to_initiator }
    }
}

fn take_direction(suite: &EspSuite, stream: &mut PrfPlus) -> EspKeys {
    let encryption = stream.take(suite.encryption.keymat_len());
    let integrity = stream.take(suite.integrity.map_or(0, |integrity| integrity.key_len()));
    EspKeys { encryption, integrity }
}

impl<'a> Nonces<'a> {
    /// Both nonces.
    pub fn new(initiator: &'a Nonce, responder: &'a Nonce) -> Self {
        Self { initiator, responder }
    }

    fn octets(&self) -> [&'a [u8]; 2] {
        [self.initiator.as_bytes(), self.responder.as_bytes()]
    }
}

impl fmt::Debug for IkeKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("IkeKeys(..)")
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
