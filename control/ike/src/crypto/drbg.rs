//! HMAC_DRBG with SHA-256 (NIST SP 800-90A §10.1.2): a stream of random octets from one seed.
//!
//! Lets a private key be drawn again from 32 octets, and a whole simulation be replayed from one
//! seed. The seed's quality is the caller's; prediction resistance and reseeding are not offered.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::random::Random;

const OUTPUT: usize = 32;

/// A deterministic generator. Two of one seed give the same stream.
pub struct Drbg {
    key: Zeroizing<[u8; OUTPUT]>,
    value: Zeroizing<[u8; OUTPUT]>,
}

impl Drbg {
    /// Instantiates from a seed that is uniformly random or at least has 256 bits of entropy.
    pub fn new(seed: &[u8]) -> Self {
        let mut drbg = Self { key: Zeroizing::new([0x00; OUTPUT]), value: Zeroizing::new([0x01; OUTPUT]) };
        drbg.update(seed);
        drbg
    }

    /// HMAC_DRBG_Update (§10.1.2.2).
    fn update(&mut self, data: &[u8]) {
        for separator in [0x00, 0x01] {
            self.key = self.hmac(&[&*self.value, &[separator], data]);
            self.value = self.hmac(&[&*self.value]);
            if data.is_empty() {
                break;
            }
        }
    }

    fn hmac(&self, parts: &[&[u8]]) -> Zeroizing<[u8; OUTPUT]> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*self.key));
        parts.iter().for_each(|part| context.update(part));
        let mut out = Zeroizing::new([0; OUTPUT]);
        out.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}

impl Random for Drbg {
    /// HMAC_DRBG_Generate (§10.1.2.5), without additional input.
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(OUTPUT) {
            self.value = self.hmac(&[&*self.value]);
            chunk.iter_mut().zip(self.value.iter()).for_each(|(to, from)| *to = *from);
        }
        self.update(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The construction against the standard's steps written out straight.
    #[test]
    fn follows_the_steps_of_the_standard() {
        let hmac = |key: &[u8], data: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
        };
        let seed = [7u8; 32];
        let (k, v) = (vec![0u8; 32], vec![1u8; 32]);
        let k = hmac(&k, &[v.as_slice(), &[0], &seed].concat());
        let v = hmac(&k, &v);
        let k = hmac(&k, &[v.as_slice(), &[1], &seed].concat());
        let v = hmac(&k, &v);
        let first = hmac(&k, &v);
        let second = hmac(&k, &first);
        let mut out = [0u8; 48];
        let mut drbg = Drbg::new(&seed);
        drbg.fill(&mut out);
        assert_eq!(out[..], [first.as_slice(), &second[..16]].concat());
        let k = hmac(&k, &[second.as_slice(), &[0]].concat());
        let v = hmac(&k, &hmac(&k, &second));
        let mut next = [0u8; 32];
        drbg.fill(&mut next);
        assert_eq!(next[..], v);
    }

    #[test]
    fn one_seed_one_stream() {
        let stream = |seed: u8| {
            let mut out = [0u8; 100];
            Drbg::new(&[seed; 32]).fill(&mut out);
            out
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }
}
