//! Quick crash detection (RFC 6290): tokens by which a gateway that lost an IKE SA proves that it did.
//!
//! A token is a pseudorandom function of the IKE SA's SPIs under a secret of the gateway's that outlives the process (RFC
//! 6290 §5.1), so that nothing is stored for a peer. The peer's address is not in it (§5.2): behind a NAT that would
//! have tokens replaced whenever its mapping moves. Whoever gives tokens out in the clear must know that the IKE SA is
//! not there; keeping the secret, and from other gateways, is the caller's.

use aws_lc_rs::hmac;
use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::wire::IkeSpi;

/// "Tokens MUST be at least 16 octets long and no more than 128 octets long" (RFC 6290 §5).
const LENGTHS: core::ops::RangeInclusive<usize> = 16..=128;

/// What our tokens are made with; wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct CrashSecret(Zeroizing<[u8; 32]>);

/// A token; wiped on drop.
#[derive(Clone)]
pub struct CrashToken(Zeroizing<Vec<u8>>);

impl CrashSecret {
    /// Takes 32 octets of full entropy.
    pub fn new(octets: Zeroizing<[u8; 32]>) -> CrashSecret {
        CrashSecret(octets)
    }

    /// The token of an IKE SA: HMAC-SHA-256(secret, SPIi | SPIr), 32 octets.
    pub fn token(&self, initiator: IkeSpi, responder: IkeSpi) -> CrashToken {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0));
        context.update(&initiator.to_be_bytes());
        context.update(&responder.to_be_bytes());
        CrashToken(Zeroizing::new(context.sign().as_ref().to_vec()))
    }
}

impl CrashToken {
    /// A peer's token, if it has a length that one may have.
    pub fn from_peer(octets: &[u8]) -> Option<CrashToken> {
        LENGTHS.contains(&octets.len()).then(|| CrashToken(Zeroizing::new(octets.to_vec())))
    }

    /// Whether `octets` are this token; takes as long whatever they are.
    pub fn is(&self, octets: &[u8]) -> bool {
        self.0.as_slice().ct_eq(octets).into()
    }

    /// Notification data.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CrashSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CrashSecret(..)")
    }
}

impl fmt::Debug for CrashToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CrashToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(octet: u8) -> CrashSecret {
        CrashSecret::new(Zeroizing::new([octet; 32]))
    }

    /// HMAC-SHA-256 of sixteen octets, made by another implementation.
    #[test]
    fn a_token_is_the_formula() {
        let token = secret(7).token(IkeSpi(0x0102_0304_0506_0708), IkeSpi(0x1112_1314_1516_1718));
        let expected = crate::crypto::prf::tests::hex(
            "7d875723c126f4e2a8461b7e74e56a0950247384aeff51014cf2efe3a3cc561b",
        );
        assert_eq!(token.octets(), expected);
    }

    proptest! {
        /// The same secret makes the same token, after a restart too; another secret, another SPI, or the two SPIs
        /// the other way round make another.
        #[test]
        fn a_token_is_of_its_ike_sa(initiator: u64, responder: u64, other: u64, octet: u8) {
            let (initiator, responder, other) = (IkeSpi(initiator), IkeSpi(responder), IkeSpi(other));
            let token = secret(octet).token(initiator, responder);
            prop_assert!(token.is(secret(octet).token(initiator, responder).octets()));
            prop_assert!(!token.is(secret(octet.wrapping_add(1)).token(initiator, responder).octets()));
            if other != responder {
                prop_assert!(!token.is(secret(octet).token(initiator, other).octets()));
            }
            if initiator != responder {
                prop_assert!(!token.is(secret(octet).token(responder, initiator).octets()));
            }
        }

        /// Only all of it is it.
        #[test]
        fn a_changed_token_is_none(octets in proptest::collection::vec(any::<u8>(), 16..=128), at: usize, bit in 0..8u32) {
            let token = CrashToken::from_peer(&octets).unwrap();
            prop_assert!(token.is(&octets));
            prop_assert!(!token.is(&octets[1..]) && !token.is(&[]));
            let mut changed = octets.clone();
            let at = at % changed.len();
            changed[at] ^= 1u8 << bit;
            prop_assert!(!token.is(&changed));
        }
    }

    #[test]
    fn a_token_has_16_to_128_octets() {
        for (length, taken) in [(0, false), (15, false), (16, true), (128, true), (129, false)] {
            assert_eq!(CrashToken::from_peer(&vec![1; length]).is_some(), taken, "{length}");
        }
    }

    /// Neither prints what it holds.
    #[test]
    fn nothing_is_printed() {
        let token = secret(7).token(IkeSpi(1), IkeSpi(2));
        assert_eq!(format!("{:?} {token:?}", secret(7)), "CrashSecret(..) CrashToken(..)");
    }
}
