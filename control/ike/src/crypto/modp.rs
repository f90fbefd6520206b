//! The MODP groups of 2048 to 8192 bits (RFC 3526 §3 to §7), and for peers that have no other of 1024 bits
//! (RFC 2409 §6.2), constant-time in the exponent.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{CtAssign, CtEq, Odd, U448, U1024, U2048, U3072, U4096, U6144, U8192, Uint, Word};
use zeroize::{Zeroize, Zeroizing};

use super::Secret;
use super::random::Random;

/// A modulus of RFC 3526, or of RFC 2409.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modulus {
    /// Group 2.
    Bits1024,
    /// Group 14.
    Bits2048,
    /// Group 15.
    Bits3072,
    /// Group 16.
    Bits4096,
    /// Group 17.
    Bits6144,
    /// Group 18.
    Bits8192,
}

/// Octets of the longest exponent.
const LONGEST: usize = U448::BYTES;

/// Values of four bits.
const DIGITS: usize = 16;

/// 2^1024 - 2^960 - 1 + 2^64 * { [2^894 pi] + 129093 }.
const PRIME_1024: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF";

/// 2^2048 - 2^1984 - 1 + 2^64 * { [2^1918 pi] + 124476 }.
const PRIME_2048: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AACAA68FFFFFFFFFFFFFFFF";

/// 2^3072 - 2^3008 - 1 + 2^64 * { [2^2942 pi] + 1690314 }.
const PRIME_3072: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF";

/// 2^4096 - 2^4032 - 1 + 2^64 * { [2^3966 pi] + 240904 }.
const PRIME_4096: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
     88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6\
     287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
     93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF";

/// 2^6144 - 2^6080 - 1 + 2^64 * { [2^6014 pi] + 929484 }.
const PRIME_6144: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
     88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6\
     287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
     93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C93402849236C3FAB4D27C7026C1D4DCB2602646DEC9751E763DBA37BD\
     F8FF9406AD9E530EE5DB382F413001AEB06A53ED9027D831179727B0865A8918DA3EDBEBCF9B14ED44CE6CBACED4BB1B\
     DB7F1447E6CC254B332051512BD7AF426FB8F401378CD2BF5983CA01C64B92ECF032EA15D1721D03F482D7CE6E74FEF6\
     D55E702F46980C82B5A84031900B1C9E59E7C97FBEC7E8F323A97A7E36CC88BE0F1D45B7FF585AC54BD407B22B4154AA\
     CC8F6D7EBF48E1D814CC5ED20F8037E0A79715EEF29BE32806A1D58BB7C5DA76F550AA3D8A1FBFF0EB19CCB1A313D55C\
     DA56C9EC2EF29632387FE8D76E3C0468043E8F663F4860EE12BF2D5B0B7474D6E694F91E6DCC4024FFFFFFFFFFFFFFFF";

/// 2^8192 - 2^8128 - 1 + 2^64 * { [2^8062 pi] + 4743158 }.
const PRIME_8192: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
     88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6\
     287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
     93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C93402849236C3FAB4D27C7026C1D4DCB2602646DEC9751E763DBA37BD\
     F8FF9406AD9E530EE5DB382F413001AEB06A53ED9027D831179727B0865A8918DA3EDBEBCF9B14ED44CE6CBACED4BB1B\
     DB7F1447E6CC254B332051512BD7AF426FB8F401378CD2BF5983CA01C64B92ECF032EA15D1721D03F482D7CE6E74FEF6\
     D55E702F46980C82B5A84031900B1C9E59E7C97FBEC7E8F323A97A7E36CC88BE0F1D45B7FF585AC54BD407B22B4154AA\
     CC8F6D7EBF48E1D814CC5ED20F8037E0A79715EEF29BE32806A1D58BB7C5DA76F550AA3D8A1FBFF0EB19CCB1A313D55C\
     DA56C9EC2EF29632387FE8D76E3C0468043E8F663F4860EE12BF2D5B0B7474D6E694F91E6DBE115974A3926F12FEE5E4\
     38777CB6A932DF8CD8BEC4D073B931BA3BC832B68D9DD300741FA7BF8AFC47ED2576F6936BA424663AAB639C5AE4F568\
     3423B4742BF1C978238F16CBE39D652DE3FDB8BEFC848AD922222E04A4037C0713EB57A81A23F0C73473FC646CEA306B\
     4BCBC8862F8385DDFA9D4B7FA2C087E879683303ED5BDD3A062B3CF5B3A278A66D2A13F83F44F82DDF310EE074AB6A36\
     4597E899A0255DC164F31CC50846851DF9AB48195DED7EA1B1D510BD7EE74D73FAF36BC31ECFA268359046F4EB879F92\
     4009438B481C6CD7889A002ED5EE382BC9190DA6FC026E479558E4475677E9AA9E3050E2765694DFC81F56E880B96E71\
     60C980DD98EDD3DFFFFFFFFFFFFFFFFF";

static FIELD_1024: LazyLock<Field<{ U1024::LIMBS }>> =
    LazyLock::new(|| Field::new(PRIME_1024, Modulus::Bits1024));
static FIELD_2048: LazyLock<Field<{ U2048::LIMBS }>> =
    LazyLock::new(|| Field::new(PRIME_2048, Modulus::Bits2048));
static FIELD_3072: LazyLock<Field<{ U3072::LIMBS }>> =
    LazyLock::new(|| Field::new(PRIME_3072, Modulus::Bits3072));
static FIELD_4096: LazyLock<Field<{ U4096::LIMBS }>> =
    LazyLock::new(|| Field::new(PRIME_4096, Modulus::Bits4096));
static FIELD_6144: LazyLock<Field<{ U6144::LIMBS }>> =
    LazyLock::new(|| Field::new(PRIME_6144, Modulus::Bits6144));
static FIELD_8192: LazyLock<Field<{ U8192::LIMBS }>> =
    LazyLock::new(|| Field::new(PRIME_8192, Modulus::Bits8192));

impl Modulus {
    /// Octets of the modulus, and so of every public value and shared secret (RFC 7296 §3.4).
    pub(super) const fn length(self) -> usize {
        match self {
            Modulus::Bits1024 => 128,
            Modulus::Bits2048 => 256,
            Modulus::Bits3072 => 384,
            Modulus::Bits4096 => 512,
            Modulus::Bits6144 => 768,
            Modulus::Bits8192 => 1024,
        }
    }

    /// Octets of an exponent: RFC 7919 §5.2 asks for 225, 275, 325, 375 and 400 bits at least with moduli as long as these, RFC
    /// 3526 §8 for no more, and of the shortest 160 bits are what its modulus is worth; longer ones make every exchange slower and no stronger than the modulus.
    const fn exponent(self) -> usize {
        match self {
            Modulus::Bits1024 => 20,
            Modulus::Bits2048 => 32,
            Modulus::Bits3072 => 40,
            Modulus::Bits4096 | Modulus::Bits6144 => 48,
            Modulus::Bits8192 => 52,
        }
    }

    fn powers(self) -> &'static dyn Powers {
        match self {
            Modulus::Bits1024 => &*FIELD_1024,
            Modulus::Bits2048 => &*FIELD_2048,
            Modulus::Bits3072 => &*FIELD_3072,
            Modulus::Bits4096 => &*FIELD_4096,
            Modulus::Bits6144 => &*FIELD_6144,
            Modulus::Bits8192 => &*FIELD_8192,
        }
    }
}

/// A private exponent of [`Modulus::exponent`] octets.
pub(super) struct Exponent {
    modulus: Modulus,
    value: Zeroizing<U448>,
}

impl Exponent {
    pub(super) fn generate(modulus: Modulus, random: &mut dyn Random) -> Self {
        let mut octets = Zeroizing::new([0; LONGEST]);
        let places = octets.len().saturating_sub(modulus.exponent());
        random.fill(octets.get_mut(places..).unwrap_or_default());
        Self { modulus, value: Zeroizing::new(U448::from_be_slice(&*octets)) }
    }

    fn bits(&self) -> u32 {
        8 * self.modulus.exponent() as u32
    }

    /// 2^x mod p, padded to [`Modulus::length`].
    pub(super) fn public(&self) -> Vec<u8> {
        self.modulus.powers().of_two(&self.value, self.bits()).to_vec()
    }

    /// y^x mod p, padded to [`Modulus::length`]; `None` if y is not as long or not 1 < y < p-1. The modulus is a safe
    /// prime, for which RFC 6989 §2.1 asks for this check and no other.
    pub(super) fn agree(&self, peer: &[u8]) -> Option<Secret> {
        (peer.len() == self.modulus.length()).then_some(())?;
        self.modulus.powers().of(peer, &self.value, self.bits())
    }
}

/// Powers modulo one prime. The exponent has as many bits as are said; their value is nobody's to learn, their number
/// is.
trait Powers: Sync {
    /// Of two.
    fn of_two(&self, exponent: &U448, bits: u32) -> Secret;
    /// Of a number that somebody sent, which is as long as the prime; `None` if it is none of the group.
    fn of(&self, base: &[u8], exponent: &U448, bits: u32) -> Option<Secret>;
}

/// Numbers modulo a prime.
struct Field<const LIMBS: usize> {
    prime: Uint<LIMBS>,
    /// What multiplication needs to know of the prime.
    params: FixedMontyParams<LIMBS>,
    /// 2^(d * 16^i) in Montgomery form, by i, the place of a digit in an exponent, and its value d. With them a public
    /// value takes a multiplication for each digit and no squaring: a sixth of the work. Made at first use: 80 KiB of
    /// the shortest, 256 KiB of group 14, 1664 KiB of the longest.
    powers_of_two: Vec<[Uint<LIMBS>; DIGITS]>,
}

impl<const LIMBS: usize> Field<LIMBS> {
    fn new(prime: &str, modulus: Modulus) -> Self {
        let prime = Odd::<Uint<LIMBS>>::from_be_hex(prime);
        let params = FixedMontyParams::new_vartime(prime);
        let mut base = FixedMontyForm::new(&Uint::from_u8(2), &params);
        let row = |_| {
            let mut power = FixedMontyForm::one(&params);
            let row = std::array::from_fn(|_| {
                let value = power.to_montgomery();
                power *= base;
                value
            });
            base = power;
            row
        };
        let powers_of_two = (0..2 * modulus.exponent()).map(row).collect();
        Self { prime: *prime.as_ref(), params, powers_of_two }
    }

    fn raise(&self, base: &Uint<LIMBS>, exponent: &U448, bits: u32) -> Secret {
        retrieve(FixedMontyForm::new(base, &self.params).pow_bounded_exp(exponent, bits))
    }
}

impl<const LIMBS: usize> Powers for Field<LIMBS> {
    fn of_two(&self, exponent: &U448, bits: u32) -> Secret {
        let of = |word: &Word| {
            let word = *word;
            (0..Word::BITS).step_by(4).map(move |place| (word >> place & 0x0f) as u8)
        };
        let digits = exponent.as_words().iter().flat_map(of).take(bits as usize / 4);
        let mut power = FixedMontyForm::one(&self.params);
        for (row, digit) in self.powers_of_two.iter().zip(digits) {
            power *= FixedMontyForm::from_montgomery(choose(row, digit), &self.params);
        }
        retrieve(power)
    }

    fn of(&self, base: &[u8], exponent: &U448, bits: u32) -> Option<Secret> {
        let base = Uint::<LIMBS>::from_be_slice(base);
        let in_range = base > Uint::ONE && base < self.prime.wrapping_sub(&Uint::ONE);
        in_range.then(|| self.raise(&base, exponent, bits))
    }
}

/// The entry of this number, in the same time whichever it is.
fn choose<const LIMBS: usize>(row: &[Uint<LIMBS>; DIGITS], number: u8) -> Uint<LIMBS> {
    let mut chosen = Uint::ZERO;
    for (entry, candidate) in row.iter().zip(0u8..) {
        chosen.ct_assign(entry, candidate.ct_eq(&number));
    }
    chosen
}

/// The number itself, padded to the length of the modulus.
fn retrieve<const LIMBS: usize>(mut power: FixedMontyForm<LIMBS>) -> Secret {
    let value = Zeroizing::new(power.retrieve());
    power.zeroize();
    Zeroizing::new(value.to_be_bytes().as_slice().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Modulus; 6] = [
        Modulus::Bits1024,
        Modulus::Bits2048,
        Modulus::Bits3072,
        Modulus::Bits4096,
        Modulus::Bits6144,
        Modulus::Bits8192,
    ];

    fn safe_prime_and_generator<const LIMBS: usize>(field: &Field<LIMBS>) {
        let power_of_two = |exponent: &Uint<LIMBS>| {
            FixedMontyForm::new(&Uint::from_u8(2), &field.params).pow(exponent).retrieve()
        };
        let order = field.prime.wrapping_sub(&Uint::ONE).shr(1);
        assert_eq!(power_of_two(&order), Uint::ONE);
        let params = FixedMontyParams::new_vartime(Odd::new(order).unwrap());
        let fermat = FixedMontyForm::new(&Uint::from_u8(2), &params).pow(&order.wrapping_sub(&Uint::ONE));
        assert_eq!(fermat.retrieve(), Uint::ONE);
    }

    /// A wrong digit in a constant would make p composite, or 2 no square modulo it.
    #[test]
    fn the_moduli_are_safe_primes_and_two_generates_their_prime_subgroups() {
        safe_prime_and_generator(&FIELD_1024);
        safe_prime_and_generator(&FIELD_2048);
        safe_prime_and_generator(&FIELD_3072);
        safe_prime_and_generator(&FIELD_4096);
        safe_prime_and_generator(&FIELD_6144);
        safe_prime_and_generator(&FIELD_8192);
    }

    /// y^x by square and multiply over plain wide arithmetic.
    fn schoolbook<const LIMBS: usize>(field: &Field<LIMBS>, exponent: &Exponent, base: &[u8]) -> Vec<u8> {
        let (prime, base) = (Odd::new(field.prime).unwrap(), Uint::<LIMBS>::from_be_slice(base));
        let mut result = Uint::<LIMBS>::ONE;
        for bit in (0..exponent.bits()).rev() {
            result = result.mul_mod(&result, prime.as_nz_ref());
            if exponent.value.bit_vartime(bit) {
                result = result.mul_mod(&base, prime.as_nz_ref());
            }
        }
        result.to_be_bytes().as_slice().to_vec()
    }

    #[test]
    fn agrees_with_schoolbook_arithmetic() {
        for modulus in ALL {
            let exponent = Exponent::generate(modulus, &mut |out: &mut [u8]| out.fill(0xa5));
            let base = vec![0x5a; modulus.length()];
            let expected = match modulus {
                Modulus::Bits1024 => schoolbook(&FIELD_1024, &exponent, &base),
                Modulus::Bits2048 => schoolbook(&FIELD_2048, &exponent, &base),
                Modulus::Bits3072 => schoolbook(&FIELD_3072, &exponent, &base),
                Modulus::Bits4096 => schoolbook(&FIELD_4096, &exponent, &base),
                Modulus::Bits6144 => schoolbook(&FIELD_6144, &exponent, &base),
                Modulus::Bits8192 => schoolbook(&FIELD_8192, &exponent, &base),
            };
            assert_eq!(*exponent.agree(&base).unwrap(), expected, "{modulus:?}");
        }
    }

    /// The table of powers against exponentiation without it, digits of every value in every place.
    #[test]
    fn public_values_are_powers_of_two() {
        for modulus in ALL {
            let mut two = vec![0; modulus.length()];
            *two.last_mut().unwrap() = 2;
            let step = match modulus {
                Modulus::Bits2048 => 1,
                Modulus::Bits6144 | Modulus::Bits8192 => 85,
                _ => 15,
            };
            for octet in (0..=255u8).step_by(step) {
                let exponent = Exponent::generate(modulus, &mut |out: &mut [u8]| {
                    let place = |place: u8| octet.wrapping_add(place.wrapping_mul(17));
                    out.iter_mut().zip(0u8..).for_each(|(to, at)| *to = place(at));
                });
                assert_eq!(exponent.public(), *exponent.agree(&two).unwrap(), "{modulus:?} {octet}");
            }
        }
    }

    #[test]
    fn values_outside_the_group_are_refused() {
        let primes = [PRIME_1024, PRIME_2048, PRIME_3072, PRIME_4096, PRIME_6144, PRIME_8192];
        for (modulus, prime) in ALL.into_iter().zip(primes) {
            let exponent = Exponent::generate(modulus, &mut |out: &mut [u8]| out.fill(3));
            let prime: Vec<u8> = crate::crypto::prf::tests::hex(prime);
            let small = |value: u8| {
                let mut octets = vec![0; modulus.length()];
                *octets.last_mut().unwrap() = value;
                octets
            };
            // Every prime here ends with 64 ones.
            let below = |distance: u8| [&prime[..prime.len() - 1], &[0xff - distance]].concat();
            for bad in [small(0), small(1), below(1), below(0), vec![0xff; modulus.length()]] {
                assert!(exponent.agree(&bad).is_none());
            }
            assert!(exponent.agree(&small(2)).is_some());
            assert!(exponent.agree(&below(2)).is_some());
            assert!(exponent.agree(&below(2)[1..]).is_none() && exponent.agree(&[]).is_none());
        }
    }
}
