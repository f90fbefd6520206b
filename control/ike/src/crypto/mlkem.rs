//! ML-KEM (FIPS 203) as a key exchange method (draft-ietf-ipsecme-ikev2-mlkem): the initiator sends an encapsulation
//! key, the responder a ciphertext, and both have the secret that is inside.
//!
//! Randomness comes in as an argument, which aws-lc's interface has no room for; hence `ml-kem`. The checks of what
//! the peer sent are those of FIPS 203 §7.2 and §7.3: lengths, and coefficients below the modulus.

use std::convert::Infallible;

use ml_kem::kem::common::rand_core::{TryCryptoRng, TryRng};
use ml_kem::kem::{Decapsulate, Encapsulate, Generate, Kem, KeyExport, TryKeyInit};
use ml_kem::{MlKem512, MlKem768, MlKem1024};
use zeroize::Zeroizing;

use super::Secret;
use super::random::Random;

/// The parameter sets of FIPS 203 §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterSet {
    MlKem512,
    MlKem768,
    MlKem1024,
}

/// The initiator's side of one exchange. Its secrets are wiped on drop.
pub(super) trait DecapsulationKey: Send {
    /// What the responder needs.
    fn encapsulation_key(&self) -> Vec<u8>;

    /// The secret inside; `None` if the ciphertext has another length. One made for another key yields another
    /// secret and no error (FIPS 203 §6.3).
    fn decapsulate(&self, ciphertext: &[u8]) -> Option<Secret>;
}

impl<D: Decapsulate + Send> DecapsulationKey for D {
    fn encapsulation_key(&self) -> Vec<u8> {
        ml_kem::kem::Decapsulator::encapsulation_key(self).to_bytes().to_vec()
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Option<Secret> {
        let secret = self.decapsulate_slice(ciphertext).ok().map(Zeroizing::new)?;
        Some(Zeroizing::new(secret.to_vec()))
    }
}

impl ParameterSet {
    /// Octets of an encapsulation key.
    pub(super) fn encapsulation_key_length(self) -> usize {
        match self {
            Self::MlKem512 => 800,
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
        }
    }

    /// Octets of a ciphertext.
    pub(super) fn ciphertext_length(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
        }
    }

    /// A fresh key. It takes 64 random octets: d, then z of FIPS 203 §7.1.
    pub(super) fn generate(self, random: &mut dyn Random) -> Box<dyn DecapsulationKey> {
        match self {
            Self::MlKem512 => generate::<MlKem512>(random),
            Self::MlKem768 => generate::<MlKem768>(random),
            Self::MlKem1024 => generate::<MlKem1024>(random),
        }
    }

    /// A ciphertext for this encapsulation key and the secret inside; `None` if the key fails the checks of
    /// FIPS 203 §7.2. It takes 32 random octets: m of FIPS 203 §7.2.
    pub(super) fn encapsulate(self, key: &[u8], random: &mut dyn Random) -> Option<(Vec<u8>, Secret)> {
        match self {
            Self::MlKem512 => encapsulate::<MlKem512>(key, random),
            Self::MlKem768 => encapsulate::<MlKem768>(key, random),
            Self::MlKem1024 => encapsulate::<MlKem1024>(key, random),
        }
    }
}

fn generate<K: Kem<DecapsulationKey: Decapsulate + Send>>(
    random: &mut dyn Random,
) -> Box<dyn DecapsulationKey> {
    Box::new(K::DecapsulationKey::generate_from_rng(&mut Source(random)))
}

fn encapsulate<K: Kem>(key: &[u8], random: &mut dyn Random) -> Option<(Vec<u8>, Secret)> {
    let key = K::EncapsulationKey::new_from_slice(key).ok()?;
    let (ciphertext, secret) = key.encapsulate_with_rng(&mut Source(random));
    let secret = Zeroizing::new(secret);
    Some((ciphertext.to_vec(), Zeroizing::new(secret.to_vec())))
}

/// Our random octets in the library's terms.
struct Source<'a>(&'a mut dyn Random);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.0.fill(&mut octets);
        Ok(u32::from_be_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.0.fill(&mut octets);
        Ok(u64::from_be_bytes(octets))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

#[cfg(test)]
#[path = "mlkem_tests.rs"]
mod tests;
