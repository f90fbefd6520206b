//! The NIST Public Key Interoperability Test Suite, without its revocation: every path of it judged, and the lists
//! of those that come out otherwise kept honest. Guards path validation against the reading of RFC 5280 that
//! everybody else tested theirs with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use ravelin_pki::oid::Oid;
use ravelin_pki::path::{Budget, PolicyRules, Request, Rules, VerifiedPath, validate};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime, path, pem};

/// 2026-11-21; the suite's certificates end with 2030.
const NOW: UnixTime = UnixTime(1_795_219_200);

/// Invalid only because of a CRL, which nothing here consults: they pass. A test listed here that fails is news.
const NEEDS_REVOCATION: [&str; 46] = [
    "InvalidMissingCRLTest1EE",
    "InvalidRevokedCATest2EE",
    "InvalidRevokedEETest3EE",
    "InvalidBadCRLSignatureTest4EE",
    "InvalidBadCRLIssuerNameTest5EE",
    "InvalidWrongCRLTest6EE",
    "InvalidUnknownCRLEntryExtensionTest8EE",
    "InvalidUnknownCRLExtensionTest9EE",
    "InvalidUnknownCRLExtensionTest10EE",
    "InvalidOldCRLnextUpdateTest11EE",
    "Invalidpre2000CRLnextUpdateTest12EE",
    "InvalidNegativeSerialNumberTest15EE",
    "InvalidLongSerialNumberTest18EE",
    "InvalidSeparateCertificateandCRLKeysTest20EE",
    "InvalidSeparateCertificateandCRLKeysTest21EE",
    "InvalidBasicSelfIssuedOldWithNewTest2EE",
    "InvalidBasicSelfIssuedNewWithOldTest5EE",
    "InvalidBasicSelfIssuedCRLSigningKeyTest7EE",
    "InvalidkeyUsageCriticalcRLSignFalseTest4EE",
    "InvalidkeyUsageNotCriticalcRLSignFalseTest5EE",
    "InvaliddistributionPointTest2EE",
    "InvaliddistributionPointTest3EE",
    "InvaliddistributionPointTest6EE",
    "InvaliddistributionPointTest8EE",
    "InvaliddistributionPointTest9EE",
    "InvalidonlyContainsUserCertsTest11EE",
    "InvalidonlyContainsAttributeCertsTest14EE",
    "InvalidonlySomeReasonsTest15EE",
    "InvalidonlySomeReasonsTest16EE",
    "InvalidonlySomeReasonsTest17EE",
    "InvalidonlySomeReasonsTest20EE",
    "InvalidonlySomeReasonsTest21EE",
    "InvalidIDPwithindirectCRLTest23EE",
    "InvalidIDPwithindirectCRLTest26EE",
    "InvalidcRLIssuerTest27EE",
    "InvalidcRLIssuerTest31EE",
    "InvalidcRLIssuerTest32EE",
    "InvalidcRLIssuerTest34EE",
    "InvalidcRLIssuerTest35EE",
    "InvaliddeltaCRLIndicatorNoBaseTest1EE",
    "InvaliddeltaCRLTest3EE",
    "InvaliddeltaCRLTest4EE",
    "InvaliddeltaCRLTest6EE",
    "InvaliddeltaCRLTest9EE",
    "InvaliddeltaCRLTest10EE",
    "InvalidonlyContainsCACertsTest12EE",
];

/// Valid, and refused on purpose: DSA is not among the accepted algorithms.
const REFUSED_ON_PURPOSE: [&str; 2] = ["ValidDSASignaturesTest4EE", "ValidDSAParameterInheritanceTest5EE"];

/// Whose bad signature is a BIT STRING that is not even whole octets, so that they do not parse.
const UNREADABLE: [&str; 2] = ["BadSignedCACert", "InvalidDSASignatureTest6EE"];

static SUITE: LazyLock<BTreeMap<String, Arc<Certificate>>> = LazyLock::new(|| {
    let text =
        std::fs::read_to_string(format!("{}/tests/data/pkits.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let named = pem::blocks(text.as_bytes()).unwrap().into_iter().map(|block| (lines[block.line - 2], block));
    let parsed = named.map(|(name, block)| (name, Certificate::from_der(&block.der)));
    let readable = parsed.filter_map(|(name, certificate)| {
        assert_eq!(certificate.is_err(), UNREADABLE.contains(&name), "{name} {certificate:?}");
        Some((name.to_owned(), Arc::new(certificate.ok()?)))
    });
    readable.collect()
});

fn judge(name: &str, policies: PolicyRules) -> Result<VerifiedPath, path::PathError> {
    let anchors: Anchors = [Arc::clone(&SUITE["TrustAnchorRootCertificate"])].into_iter().collect();
    let cas = SUITE.iter().filter(|(name, _)| !name.ends_with("EE"));
    let intermediates: Intermediates = cas.map(|(_, certificate)| Arc::clone(certificate)).collect();
    // Some end entities of the suite are CAs.
    let rules = Rules { policies, ca_end_entity: true, ..Rules::default() };
    validate(&Request {
        end_entity: &SUITE[name],
        presented: &[],
        intermediates: &intermediates,
        anchors: &anchors,
        time: NOW,
        rules: &rules,
        budget: Budget::default(),
        known: None,
    })
}

#[test]
fn names_say_what_becomes_of_them() {
    let mut wrong = Vec::new();
    let (mut valid, mut invalid) = (0, 0);
    for name in SUITE.keys().filter(|name| name.ends_with("EE")) {
        let listed = NEEDS_REVOCATION.contains(&name.as_str()) || REFUSED_ON_PURPOSE.contains(&name.as_str());
        let expected = if name.starts_with("Valid") {
            valid += 1;
            !listed
        } else if name.starts_with("Invalid") {
            invalid += 1;
            listed
        } else {
            continue;
        };
        let verdict = judge(name, PolicyRules::default());
        if verdict.is_ok() != expected {
            wrong.push(format!(
                "{name}: {}",
                verdict.map_or_else(|error| error.to_string(), |_| "valid".into())
            ));
        }
    }
    let missing = NEEDS_REVOCATION.iter().find(|name| !SUITE.contains_key(**name));
    assert_eq!(missing, None, "listed and not in the suite");
    println!("{valid} valid, {invalid} invalid, {} of them for want of revocation", NEEDS_REVOCATION.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(valid > 80 && invalid > 100, "{valid} {invalid}");
}

fn policy(number: u8) -> Oid {
    Oid::from_octets(&[0x60, 0x86, 0x48, 1, 101, 3, 2, 1, 48, number]).unwrap()
}

fn of(numbers: &[u8]) -> Option<BTreeSet<Oid>> {
    (!numbers.is_empty()).then(|| numbers.iter().map(|&number| policy(number)).collect())
}

/// PKITS 4.8 to 4.12, the cases that depend on the inputs: name, acceptable policies (none: any), outcome.
#[test]
fn acceptable_policies_decide() {
    let cases: [(&str, &[u8], bool, bool); 47] = [
        // name, acceptable, initial-explicit-policy, valid
        ("ValidCertificatePathTest1EE", &[], true, true),
        ("ValidCertificatePathTest1EE", &[1], true, true),
        ("ValidCertificatePathTest1EE", &[2], true, false),
        ("ValidCertificatePathTest1EE", &[1, 2], true, true),
        ("AllCertificatesNoPoliciesTest2EE", &[], false, true),
        ("AllCertificatesNoPoliciesTest2EE", &[], true, false),
        ("DifferentPoliciesTest3EE", &[], false, true),
        ("DifferentPoliciesTest3EE", &[], true, false),
        ("DifferentPoliciesTest3EE", &[1, 2], true, false),
        ("DifferentPoliciesTest4EE", &[], false, false),
        ("DifferentPoliciesTest5EE", &[], false, false),
        ("OverlappingPoliciesTest6EE", &[], false, true),
        ("OverlappingPoliciesTest6EE", &[1], false, true),
        ("OverlappingPoliciesTest6EE", &[2], false, false),
        ("DifferentPoliciesTest7EE", &[], false, false),
        ("DifferentPoliciesTest8EE", &[], false, false),
        ("DifferentPoliciesTest9EE", &[], false, false),
        ("AllCertificatesSamePoliciesTest10EE", &[], false, true),
        ("AllCertificatesSamePoliciesTest10EE", &[1], false, true),
        ("AllCertificatesSamePoliciesTest10EE", &[2], false, true),
        ("AllCertificatesanyPolicyTest11EE", &[], false, true),
        ("AllCertificatesanyPolicyTest11EE", &[1], false, true),
        ("DifferentPoliciesTest12EE", &[], false, false),
        ("AllCertificatesSamePoliciesTest13EE", &[1], false, true),
        ("AllCertificatesSamePoliciesTest13EE", &[2], false, true),
        ("AllCertificatesSamePoliciesTest13EE", &[3], false, true),
        ("AnyPolicyTest14EE", &[1], false, true),
        ("AnyPolicyTest14EE", &[2], false, false),
        ("UserNoticeQualifierTest15EE", &[], false, true),
        ("UserNoticeQualifierTest16EE", &[], false, true),
        ("UserNoticeQualifierTest17EE", &[], false, true),
        ("UserNoticeQualifierTest18EE", &[1], false, true),
        ("UserNoticeQualifierTest18EE", &[2], false, true),
        ("UserNoticeQualifierTest19EE", &[], false, true),
        ("CPSPointerQualifierTest20EE", &[1], true, true),
        ("ValidPolicyMappingTest1EE", &[1], false, true),
        ("ValidPolicyMappingTest1EE", &[2], false, false),
        ("ValidPolicyMappingTest3EE", &[1], false, false),
        ("ValidPolicyMappingTest3EE", &[2], false, true),
        ("ValidPolicyMappingTest5EE", &[1], false, true),
        ("ValidPolicyMappingTest5EE", &[6], false, false),
        ("ValidPolicyMappingTest6EE", &[1], false, true),
        ("ValidPolicyMappingTest6EE", &[6], false, false),
        ("ValidPolicyMappingTest12EE", &[1], false, true),
        ("ValidPolicyMappingTest12EE", &[2], false, true),
        ("ValidPolicyMappingTest13EE", &[1], false, true),
        ("inhibitAnyPolicyTest3EE", &[], false, true),
    ];
    for (name, acceptable, require_explicit, valid) in cases {
        let rules = PolicyRules { acceptable: of(acceptable), require_explicit, ..PolicyRules::default() };
        let verdict = judge(name, rules);
        assert_eq!(verdict.is_ok(), valid, "{name} {acceptable:?} {require_explicit}: {verdict:?}");
    }
}

#[test]
fn initial_inhibitions_decide() {
    let inhibit_any = PolicyRules { inhibit_any: true, ..PolicyRules::default() };
    assert!(judge("inhibitAnyPolicyTest3EE", inhibit_any).is_err());
    let inhibit_mapping = PolicyRules { inhibit_mapping: true, ..PolicyRules::default() };
    assert!(judge("ValidPolicyMappingTest1EE", inhibit_mapping).is_err());
}

#[test]
fn every_certificate_prints_and_names_its_key_or_why_not() {
    for (name, certificate) in SUITE.iter() {
        assert!(!certificate.to_string().is_empty());
        assert_eq!(
            certificate.public_key.is_err(),
            certificate.spki.windows(7).any(|w| w == [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1]),
            "{name}"
        );
    }
}
