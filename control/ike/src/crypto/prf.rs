//! Pseudorandom functions (RFC 4868 §2.1.2, RFC 2104, RFC 4615) and prf+ (RFC 7296 §2.13).

use aws_lc_rs::hmac;
use zeroize::{Zeroize, Zeroizing};

use super::{Secret, cmac, legacy};
use crate::config::Prf;

impl Prf {
    /// Octets of output, which is also the preferred key length and that of SK_d, SK_pi and SK_pr.
    pub fn output_length(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
            Self::HmacMd5 => legacy::MD5,
            Self::AesCmac => cmac::OCTETS,
        }
    }

    /// prf(key, data), where the data are the parts one after the other. HMAC takes keys of any
    /// length, and RFC 4615 says what AES-CMAC makes of them, so none is padded or cut here.
    pub fn compute(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        let Some(algorithm) = self.algorithm() else {
            return if self == Self::AesCmac { cmac::prf(key, parts) } else { legacy::hmac_md5(key, parts) };
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        parts.iter().for_each(|part| context.update(part));
        Zeroizing::new(context.sign().as_ref().to_vec())
    }

    /// prf+(key, seed) as a stream.
    pub fn expand(self, key: &[u8], seed: &[&[u8]]) -> PrfPlus {
        let (key, seed) = (Zeroizing::new(key.to_vec()), Zeroizing::new(seed.concat()));
        PrfPlus { prf: self, key, seed, block: Secret::default(), used: 0, counter: 1 }
    }

    /// Ni and Nr as SKEYSEED is made of them: with AES-CMAC "only the first 64 bits of Ni and the first 64 bits of Nr are
    /// used in calculating SKEYSEED" (RFC 7296 §2.14).
    pub fn seed_nonces(self, nonces: [&[u8]; 2]) -> [&[u8]; 2] {
        match self {
            Self::AesCmac => nonces.map(|nonce| nonce.get(..cmac::OCTETS / 2).unwrap_or(nonce)),
            _ => nonces,
        }
    }

    /// HMAC of AWS-LC's; MD5 is [`legacy`]'s.
    fn algorithm(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HmacSha1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::HmacSha256 => Some(hmac::HMAC_SHA256),
            Self::HmacSha384 => Some(hmac::HMAC_SHA384),
            Self::HmacSha512 => Some(hmac::HMAC_SHA512),
            Self::HmacMd5 | Self::AesCmac => None,
        }
    }
}

/// The keying material prf+ (K, S) = T1 | T2 | ..., taken piece by piece.
///
/// RFC 7296 §2.13 defines 255 blocks, at least 8160 octets; the largest key set here takes 400.
pub struct PrfPlus {
    prf: Prf,
    key: Secret,
    seed: Secret,
    block: Secret,
    used: usize,
    counter: u8,
}

impl PrfPlus {
    /// The next `count` octets.
    pub fn take(&mut self, count: usize) -> Secret {
        let mut out = Zeroizing::new(Vec::with_capacity(count));
        while out.len() < count {
            if self.used >= self.block.len() {
                self.next_block();
            }
            let fresh = self.block.get(self.used..).unwrap_or_default();
            let wanted = fresh.len().min(count.saturating_sub(out.len()));
            out.extend(fresh.iter().take(wanted));
            self.used = self.used.saturating_add(wanted);
        }
        out
    }

    /// Tn = prf (K, Tn-1 | S | n), with T0 empty.
    fn next_block(&mut self) {
        let next = self.prf.compute(&self.key, &[&self.block, &self.seed, &[self.counter]]);
        self.block.zeroize();
        self.block = next;
        self.used = 0;
        self.counter = self.counter.wrapping_add(1);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 4868 §2.7.2.1 test case PRF-2 (RFC 4231 test case 2): key "Jefe".
    #[test]
    fn rfc4868_vectors() {
        let data: &[&[u8]] = &[b"what do ya want ", b"for nothing?"];
        for (prf, expected) in [
            (Prf::HmacSha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Prf::HmacSha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Prf::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            assert_eq!(*prf.compute(b"Jefe", data), hex(expected), "{prf:?}");
        }
    }

    /// RFC 2202 §2 and §3 test case 2: the same with MD5 and SHA-1.
    #[test]
    fn vectors_of_rfc_2202() {
        let found = Prf::HmacMd5.compute(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(*found, hex("750c783e6ab0b503eaa86e310a5db738"));
        let found = Prf::HmacSha1.compute(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(*found, hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    }

    /// RFC 4868 §2.7.2.1 PRF-1 and PRF-6: short and over-long keys reach HMAC unchanged.
    #[test]
    fn rfc4868_key_lengths() {
        assert_eq!(
            *Prf::HmacSha256.compute(&[0x0b; 20], &[b"Hi There"]),
            hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        );
        assert_eq!(
            *Prf::HmacSha256
                .compute(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]),
            hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        );
    }

    /// The stream equals the formula of RFC 7296 §2.13 and does not depend on how it is cut.
    #[test]
    fn prf_plus_is_the_formula_however_it_is_cut() {
        for prf in Prf::ALL {
            let (key, seed) = (b"key".as_slice(), b"seed".as_slice());
            let (mut straight, mut previous) = (Vec::new(), Vec::new());
            for n in 1..=15u8 {
                previous = prf.compute(key, &[&previous, seed, &[n]]).to_vec();
                straight.extend_from_slice(&previous);
            }
            let mut stream = prf.expand(key, &[b"se", b"ed"]);
            let cut: Vec<u8> =
                [1, 0, 31, 32, 33, 64, 65].iter().flat_map(|n| stream.take(*n).to_vec()).collect();
            assert_eq!(cut, straight[..226], "{prf:?}");
        }
    }
}
