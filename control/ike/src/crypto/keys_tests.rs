//! What protects key derivation: an oracle that does HMAC and the formulas of RFC 7296 by hand, proved
//! itself on a published NIST vector, and then compared with every suite.

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::*;
use crate::config::{AdditionalGroups, Encryption, Group, Integrity};
use crate::crypto::prf::tests::hex;

/// HMAC straight from RFC 2104.
fn hmac(hash: &'static digest::Algorithm, key: &[u8], data: &[u8]) -> Vec<u8> {
    let sum = |data: &[u8]| digest::digest(hash, data).as_ref().to_vec();
    let mut block = if key.len() > hash.block_len() { sum(key) } else { key.to_vec() };
    block.resize(hash.block_len(), 0);
    let pad = |with: u8| block.iter().map(|octet| octet ^ with).collect::<Vec<u8>>();
    sum(&[pad(0x5c), sum(&[pad(0x36), data.to_vec()].concat())].concat())
}

fn prf_plus(hash: &'static digest::Algorithm, key: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let (mut out, mut previous) = (Vec::new(), Vec::new());
    for n in 1u8.. {
        previous = hmac(hash, key, &[previous, seed.to_vec(), vec![n]].concat());
        out.extend_from_slice(&previous);
        if out.len() >= length {
            break;
        }
    }
    out.truncate(length);
    out
}

/// The oracle against NIST CAVP's IKEv2 vectors, HMAC-SHA-1, first of its file: SKEYSEED, the keying
/// material, and SKEYSEED of a rekey.
#[test]
fn the_oracle_gives_the_published_values() {
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let nonces = hex("32b50d5f4a3763f3 9206a04b26564cb1");
    let g_ir = hex("4b2c1f971981a8ad8d0abeafabf38cf7 5fc8349c148142465ed9c8b516b8be52");
    let g_ir_new = hex("863f3c9d06efd39d2b907b97f8699e5d d5251ef64a2a176f36ee40c87d4f9330");
    let spis = hex("34c9e7c188868785 3ff77d760d2b2199");
    let seed = hmac(hash, &nonces, &g_ir);
    assert_eq!(seed, hex("a9a7b222b59f8f48645f28a1db5b5f5d7479cba7"));
    let material = prf_plus(hash, &seed, &[nonces.clone(), spis].concat(), 132);
    assert_eq!(
        material,
        hex("a14293677cc80ff8f9cc0eee30d895da9d8f405666e30ef0dfcb63c634a46002
             a2a63080e514a062768b76606f9fa5e992204fc5a670bde3f10d6b027113936a
             5c55b648a194ae587b0088d52204b702c979fa280870d2ed41efa9c549fd1119
             8af1670b143d384bd275c5f594cf266b05ebadca855e4249520a441a81157435
             a7a56cc4")
    );
    let rekey = hmac(hash, &material[..20], &[g_ir_new, nonces].concat());
    assert_eq!(rekey, hex("63e81194946ebd05df7df5ebf5d8750056bf1f1d"));
}

const SHA: [Prf; 4] = [Prf::HmacSha1, Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512];

fn hash_of(prf: Prf) -> &'static digest::Algorithm {
    match prf {
        Prf::HmacSha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Prf::HmacSha256 => &digest::SHA256,
        Prf::HmacSha384 => &digest::SHA384,
        Prf::HmacSha512 => &digest::SHA512,
        Prf::HmacMd5 | Prf::AesCmac => unreachable!("of which AWS-LC has no hash"),
    }
}

fn suites() -> Vec<IkeSuite> {
    let mut suites = Vec::new();
    for prf in SHA {
        for (encryption, integrity) in [
            (Encryption::AesGcm128, None),
            (Encryption::AesGcm256, None),
            (Encryption::ChaCha20Poly1305, None),
            (Encryption::AesCbc128, Some(Integrity::HmacSha256)),
            (Encryption::AesCbc192, Some(Integrity::HmacSha1)),
            (Encryption::AesCbc256, Some(Integrity::HmacSha512)),
        ] {
            let (group, additional) = (Group::X25519, AdditionalGroups::NONE);
            suites.push(IkeSuite { encryption, integrity, prf, group, additional });
        }
    }
    suites
}

fn flat(keys: &IkeKeys) -> Vec<u8> {
    [&keys.sk_d, &keys.sk_ai, &keys.sk_ar, &keys.sk_ei, &keys.sk_er, &keys.sk_pi, &keys.sk_pr]
        .iter()
        .flat_map(|key| key.to_vec())
        .collect()
}

fn secret(octet: u8) -> SharedSecret {
    SharedSecret::from_bytes(Zeroizing::new(vec![octet; 32]))
}

fn secrets(first: u8, additional: &[u8]) -> SharedSecrets {
    let mut secrets = SharedSecrets::new(secret(first));
    additional.iter().for_each(|octet| secrets.add(&secret(*octet)));
    secrets
}

#[test]
fn ike_keys_and_their_successors_are_the_formulas() {
    let (ni, nr) = (Nonce::new(vec![1; 32]).unwrap(), Nonce::new((2..40).collect()).unwrap());
    let (spi_i, spi_r) = (IkeSpi(0x1122_3344_5566_7788), IkeSpi(0x99aa_bbcc_ddee_ff00));
    let nonces = [ni.as_bytes(), nr.as_bytes()].concat();
    let seed_of_keys = [nonces.clone(), spi_i.to_be_bytes().to_vec(), spi_r.to_be_bytes().to_vec()].concat();
    for suite in suites() {
        let hash = hash_of(suite.prf);
        let keys = IkeKeys::derive(&suite, &secret(7), Nonces::new(&ni, &nr), spi_i, spi_r);
        let expected = prf_plus(hash, &hmac(hash, &nonces, &[7; 32]), &seed_of_keys, flat(&keys).len());
        assert_eq!(flat(&keys), expected, "{suite:?}");
        assert_eq!(keys.sk_d.len(), hash.output_len());
        assert_eq!(keys.sk_ei.len(), suite.encryption.keymat_len());
        // After an additional key exchange (RFC 9370 §2.2.2).
        let next = keys.advance(&suite, &secret(6), Nonces::new(&ni, &nr), spi_i, spi_r);
        let seed = hmac(hash, &keys.sk_d, &[vec![6; 32], nonces.clone()].concat());
        assert_eq!(flat(&next), prf_plus(hash, &seed, &seed_of_keys, flat(&keys).len()), "{suite:?}");
        // Of a session that is resumed (RFC 5723 §5.1): "Resumption" is ten octets, without an end.
        let resumed = IkeKeys::resume(&suite, &keys.sk_d, Nonces::new(&ni, &nr), spi_i, spi_r);
        let name = hex("526573756d7074696f6e");
        let seed = hmac(hash, &keys.sk_d, &[name, nonces.clone()].concat());
        assert_eq!(flat(&resumed), prf_plus(hash, &seed, &seed_of_keys, flat(&keys).len()), "{suite:?}");
        // A successor with another PRF: the seed comes from the old one's, the keys from the new one's.
        for (new, additional) in suites().into_iter().flat_map(|new| [(new, vec![]), (new, vec![9, 10])]) {
            let old = (suite.prf, &keys);
            let secrets = secrets(8, &additional);
            let next = IkeKeys::rekey(&new, old, &secrets, Nonces::new(&ni, &nr), spi_i, spi_r);
            let additional: Vec<u8> = additional.iter().flat_map(|octet| [*octet; 32]).collect();
            let seed = hmac(hash, &keys.sk_d, &[vec![8; 32], nonces.clone(), additional].concat());
            let expected = prf_plus(hash_of(new.prf), &seed, &seed_of_keys, flat(&next).len());
            assert_eq!(flat(&next), expected, "{suite:?} to {new:?}");
        }
    }
}

/// With AES-CMAC the first 64 bits of each nonce make SKEYSEED of a first IKE SA, and all of them the keys (RFC 7296 §2.14);
/// of those that follow from another SKEYSEED is made of all of them.
#[test]
fn with_cmac_half_a_key_is_taken_of_each_nonce() {
    let (ni, nr) = (Nonce::new(vec![1; 32]).unwrap(), Nonce::new((2..40).collect()).unwrap());
    let (spi_i, spi_r) = (IkeSpi(0x1122_3344_5566_7788), IkeSpi(0x99aa_bbcc_ddee_ff00));
    let suite = IkeSuite {
        encryption: Encryption::AesCbc128,
        integrity: Some(Integrity::AesCmac),
        prf: Prf::AesCmac,
        group: Group::X25519,
        additional: AdditionalGroups::NONE,
    };
    let keys = IkeKeys::derive(&suite, &secret(7), Nonces::new(&ni, &nr), spi_i, spi_r);
    let halves = [&ni.as_bytes()[..8], &nr.as_bytes()[..8]].concat();
    let seed = Prf::AesCmac.compute(&halves, &[&[7; 32]]);
    let all = [ni.as_bytes(), nr.as_bytes(), &spi_i.to_be_bytes(), &spi_r.to_be_bytes()].concat();
    assert_eq!(flat(&keys), *Prf::AesCmac.expand(&seed, &[&all]).take(112));
    let next = keys.advance(&suite, &secret(6), Nonces::new(&ni, &nr), spi_i, spi_r);
    let seed = Prf::AesCmac.compute(&keys.sk_d, &[&[6; 32], ni.as_bytes(), nr.as_bytes()]);
    assert_eq!(flat(&next), *Prf::AesCmac.expand(&seed, &[&all]).take(112));
}

/// RFC 8784 §3, by the formula, and with values computed apart from this program.
#[test]
fn a_ppk_is_mixed_into_three_keys_and_no_other() {
    let (ni, nr) = (Nonce::new(vec![1; 32]).unwrap(), Nonce::new(vec![2; 32]).unwrap());
    for suite in suites() {
        let hash = hash_of(suite.prf);
        let keys = IkeKeys::derive(&suite, &secret(7), Nonces::new(&ni, &nr), IkeSpi(1), IkeSpi(2));
        for ppk in [&b"short"[..], &[9; 32], &[8; 200]] {
            let mixed = keys.with_ppk(suite.prf, ppk);
            let mix = |key: &Secret| Zeroizing::new(prf_plus(hash, ppk, key, key.len()));
            let (sk_d, sk_pi, sk_pr) = (mix(&keys.sk_d), mix(&keys.sk_pi), mix(&keys.sk_pr));
            assert_eq!(flat(&mixed), flat(&IkeKeys { sk_d, sk_pi, sk_pr, ..keys.clone() }), "{suite:?}");
            assert!(mixed.sk_d != keys.sk_d && mixed.sk_pi != keys.sk_pi && mixed.sk_pr != keys.sk_pr);
        }
    }
    let octets = |first: u8, count: u8| Zeroizing::new((first..first + count).collect::<Vec<u8>>());
    let none = Secret::default;
    for (prf, length, expected) in [
        (
            Prf::HmacSha256,
            32,
            "bbbb40f2c542c2c58846dc609224829eae0a8b9a5d31f500caff2964dc6bf9de
             8d2f952e07a9c1cd3cea5b9b961cf91ff95cfedffe48886f85604d7874fbf953
             cfc6b5ece5f7502dd7bb4343e0b41f73d4c413a3c8c304c89443c003ce248410",
        ),
        (
            Prf::HmacSha384,
            48,
            "54cc771b8cc46873c9a1e2775947dabcc6053ef44c51abf6bf805ee04f7428cac2fca4a36a35c776cd5f1e5ca43c98ea
             37280b86ae6f0c527f05e8af9bf5d05b44e99ce7250bcc94f98e6007f92df3876b2369480e47e0fdfd3b878b92bf9b03
             8291d6e877651292640b59d621358792411788b07c017de520b8bf37b223082ba84a4d5c70b5949e5fecc85ebea44fa0",
        ),
    ] {
        let [sk_d, sk_pi, sk_pr] = [0x40, 0x80, 0xc0].map(|first| octets(first, length));
        let keys =
            IkeKeys { sk_d, sk_pi, sk_pr, sk_ai: none(), sk_ar: none(), sk_ei: none(), sk_er: none() };
        assert_eq!(flat(&keys.with_ppk(prf, &octets(0, 32))), hex(expected), "{prf:?}");
    }
}

#[test]
fn child_keys_go_initiator_first_and_encryption_first() {
    let (ni, nr) = (Nonce::new(vec![1; 16]).unwrap(), Nonce::new(vec![2; 16]).unwrap());
    let nonces = [ni.as_bytes(), nr.as_bytes()].concat();
    let suite = EspSuite {
        encryption: Encryption::AesCbc128,
        integrity: Some(Integrity::HmacSha384),
        group: None,
        additional: AdditionalGroups::NONE,
        extended_sequence: false,
    };
    for prf in SHA {
        for (fresh, additional) in [(None, None), (Some(9), None), (Some(9), Some(7))] {
            let octets = |secret: Option<u8>| secret.map_or(vec![], |octet| vec![octet; 32]);
            let seed = [octets(fresh), nonces.clone(), octets(additional)].concat();
            let fresh = fresh.map(|first| secrets(first, additional.as_slice()));
            let expected = prf_plus(hash_of(prf), &[3; 32], &seed, 128);
            let pair = EspKeyPair::derive(&suite, prf, &[3; 32], fresh.as_ref(), Nonces::new(&ni, &nr));
            let (there, back) = (&pair.initiator_to_responder, &pair.responder_to_initiator);
            let flat = [&there.encryption, &there.integrity, &back.encryption, &back.integrity]
                .map(|key| key.to_vec());
            assert_eq!(flat.concat(), expected);
            assert_eq!(flat.map(|key| key.len()), [16, 48, 16, 48]);
        }
    }
}
