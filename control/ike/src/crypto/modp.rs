//! The 2048-bit MODP group (RFC 3526 §3), constant-time in the exponent.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{CtAssign, CtEq, Odd, U256, U2048, Word};
use zeroize::{Zeroize, Zeroizing};

use super::Secret;
use super::random::Random;

/// Octets of the modulus, and so of every public value and shared secret (RFC 7296 §3.4).
pub(super) const LENGTH: usize = 256;

/// Octets of an exponent: RFC 3526 §8 asks for at least 220 bits with this modulus, RFC 7919 §5.2 for 225 with one as
/// long; more make every exchange slower and no stronger than the modulus.
const EXPONENT: usize = 32;

/// Values of four bits.
const DIGITS: usize = 16;

const GENERATOR: U2048 = U2048::from_u8(2);

/// 2^2048 - 2^1984 - 1 + 2^64 * { [2^1918 pi] + 124476 }.
const PRIME_HEX: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
     98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
     9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF";

const MODULUS: Odd<U2048> = Odd::<U2048>::from_be_hex(PRIME_HEX);

const PRIME: U2048 = *MODULUS.as_ref();

type Power = FixedMontyForm<{ U2048::LIMBS }>;

/// What multiplication modulo p needs to know of p.
static PARAMS: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> =
    LazyLock::new(|| FixedMontyParams::new_vartime(MODULUS));

/// 2^(d * 16^i) in Montgomery form, by i, the place of a digit in an exponent, and its value d. With them a public
/// value takes a multiplication for each digit and no squaring: a sixth of the work. Made at first use; 256 KiB.
static POWERS_OF_TWO: LazyLock<Vec<[U2048; DIGITS]>> = LazyLock::new(|| {
    let mut base = FixedMontyForm::new(&GENERATOR, &PARAMS);
    let row = |_| {
        let mut power = FixedMontyForm::one(&PARAMS);
        let row = std::array::from_fn(|_| {
            let value = power.to_montgomery();
            power *= base;
            value
        });
        base = power;
        row
    };
    (0..2 * EXPONENT).map(row).collect()
});

/// A private exponent of 256 bits.
pub(super) struct Exponent(Zeroizing<U256>);

impl Exponent {
    pub(super) fn generate(random: &mut dyn Random) -> Self {
        let mut octets = Zeroizing::new([0; EXPONENT]);
        random.fill(&mut *octets);
        Self(Zeroizing::new(U256::from_be_slice(&*octets)))
    }

    /// 2^x mod p, padded to [`LENGTH`].
    pub(super) fn public(&self) -> Vec<u8> {
        let of = |word: &Word| {
            let word = *word;
            (0..Word::BITS).step_by(4).map(move |place| (word >> place & 0x0f) as u8)
        };
        let digits = self.0.as_words().iter().flat_map(of);
        let mut power = FixedMontyForm::one(&PARAMS);
        for (row, digit) in POWERS_OF_TWO.iter().zip(digits) {
            power *= FixedMontyForm::from_montgomery(choose(row, digit), &PARAMS);
        }
        retrieve(power).to_vec()
    }

    /// y^x mod p, padded to [`LENGTH`]; `None` if y is not 1 < y < p-1. The modulus is a safe prime,
    /// for which RFC 6989 §2.1 asks for this check and no other.
    pub(super) fn agree(&self, peer: &[u8; LENGTH]) -> Option<Secret> {
        let peer = U2048::from_be_slice(peer);
        let in_range = peer > U2048::ONE && peer < PRIME.wrapping_sub(&U2048::ONE);
        in_range.then(|| self.raise(&peer))
    }

    fn raise(&self, base: &U2048) -> Secret {
        retrieve(FixedMontyForm::new(base, &PARAMS).pow(&self.0))
    }
}

/// The entry of this number, in the same time whichever it is.
fn choose(row: &[U2048; DIGITS], number: u8) -> U2048 {
    let mut chosen = U2048::ZERO;
    for (entry, candidate) in row.iter().zip(0u8..) {
        chosen.ct_assign(entry, candidate.ct_eq(&number));
    }
    chosen
}

/// The number itself, padded to [`LENGTH`].
fn retrieve(mut power: Power) -> Secret {
    let value = Zeroizing::new(power.retrieve());
    power.zeroize();
    Zeroizing::new(value.to_be_bytes().as_slice().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power_of_two(exponent: &U2048) -> U2048 {
        let params = FixedMontyParams::new_vartime(MODULUS);
        FixedMontyForm::new(&GENERATOR, &params).pow(exponent).retrieve()
    }

    /// A wrong digit in the constant would make p composite, or 2 no square modulo it.
    #[test]
    fn the_modulus_is_a_safe_prime_and_two_generates_its_prime_subgroup() {
        let order = PRIME.wrapping_sub(&U2048::ONE).shr(1);
        assert_eq!(power_of_two(&order), U2048::ONE);
        let params = FixedMontyParams::new_vartime(Odd::new(order).unwrap());
        let fermat = FixedMontyForm::new(&GENERATOR, &params).pow(&order.wrapping_sub(&U2048::ONE));
        assert_eq!(fermat.retrieve(), U2048::ONE);
    }

    /// The exponentiation against square-and-multiply over plain wide arithmetic.
    #[test]
    fn agrees_with_schoolbook_arithmetic() {
        let modulus = MODULUS.as_nz_ref();
        let exponent = Exponent::generate(&mut |out: &mut [u8]| out.fill(0xa5));
        let base = U2048::from_be_slice(&[0x5a; LENGTH]);
        let mut result = U2048::ONE;
        for bit in (0..256).rev() {
            result = result.mul_mod(&result, modulus);
            if exponent.0.bit_vartime(bit) {
                result = result.mul_mod(&base, modulus);
            }
        }
        assert_eq!(*exponent.agree(&[0x5a; LENGTH]).unwrap(), result.to_be_bytes().as_slice());
    }

    /// The table of powers against exponentiation without it, digits of every value in every place.
    #[test]
    fn public_values_are_powers_of_two() {
        for octet in 0..=255u8 {
            let exponent = Exponent::generate(&mut |out: &mut [u8]| {
                out.iter_mut()
                    .zip(0u8..)
                    .for_each(|(to, place)| *to = octet.wrapping_add(place.wrapping_mul(17)));
            });
            assert_eq!(exponent.public(), *exponent.raise(&GENERATOR), "{octet}");
        }
    }

    #[test]
    fn values_outside_the_group_are_refused() {
        let exponent = Exponent::generate(&mut |out: &mut [u8]| out.fill(3));
        let octets = |value: U2048| <[u8; LENGTH]>::try_from(value.to_be_bytes().as_slice()).unwrap();
        let below = |distance: u8| octets(PRIME.wrapping_sub(&U2048::from_u8(distance)));
        for bad in [octets(U2048::ZERO), octets(U2048::ONE), below(1), below(0), [0xff; LENGTH]] {
            assert!(exponent.agree(&bad).is_none());
        }
        assert!(exponent.agree(&octets(U2048::from_u8(2))).is_some());
        assert!(exponent.agree(&below(2)).is_some());
    }
}
