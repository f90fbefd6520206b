//! The NIST Public Key Interoperability Test Suite: every path of it judged, first without its CRLs and then with them,
//! and the lists of those that come out otherwise kept honest. Guards path validation and revocation against the reading
//! of RFC 5280 that everybody else tested theirs with.
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
use ravelin_pki::revocation::cache::Cache;
use ravelin_pki::revocation::crl::{CrlError, Unverified};
use ravelin_pki::revocation::policy::{Check, Conclusion, Decision, Fetched, Rules as RevocationRules, Step};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime, path, pem};

/// 2026-11-21; the suite's certificates end with 2030.
const NOW: UnixTime = UnixTime(1_795_219_200);

/// Invalid only because of a CRL: without one they pass. A test listed here that fails is news.
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

/// What comes out otherwise with CRLs, on purpose, and why.
const OTHERWISE_WITH_CRLS: [(&str, &str); 14] = [
    ("InvaliddeltaCRLTest4EE", NO_DELTA),
    ("ValiddeltaCRLTest5EE", NO_DELTA),
    ("ValidSeparateCertificateandCRLKeysTest19EE", OWN_KEY),
    ("ValidBasicSelfIssuedNewWithOldTest4EE", OWN_KEY),
    ("ValidBasicSelfIssuedCRLSigningKeyTest6EE", OWN_KEY),
    ("ValidonlySomeReasonsTest18EE", ALL_REASONS),
    ("ValidonlySomeReasonsTest19EE", ALL_REASONS),
    ("ValidIDPwithindirectCRLTest22EE", NO_INDIRECT),
    ("ValidIDPwithindirectCRLTest24EE", NO_INDIRECT),
    ("ValidIDPwithindirectCRLTest25EE", NO_INDIRECT),
    ("ValidcRLIssuerTest28EE", NO_INDIRECT),
    ("ValidcRLIssuerTest29EE", NO_INDIRECT),
    ("ValidcRLIssuerTest30EE", NO_INDIRECT),
    ("ValidcRLIssuerTest33EE", NO_INDIRECT),
];
/// The complete CRL says all it says; what a delta CRL would add (4) or take away (5) comes with the next one.
const NO_DELTA: &str = "delta CRLs are refused";
/// A certificate for signing CRLs would need a path and a check of its own.
const OWN_KEY: &str = "a CRL is signed with a key of the CA that is part of the path";
/// That a certificate is on none of two lists is not put together.
const ALL_REASONS: &str = "a CRL of some reasons only says who is revoked, and not who is good";
/// The authority for revocation is the CA itself.
const NO_INDIRECT: &str = "indirect CRLs are refused";

/// Those that a CRL in use revokes.
const REVOKED: [&str; 15] = [
    "InvalidBasicSelfIssuedOldWithNewTest2EE",
    "InvalidLongSerialNumberTest18EE",
    "InvalidNegativeSerialNumberTest15EE",
    "InvalidRevokedCATest2EE",
    "InvalidRevokedEETest3EE",
    "InvaliddeltaCRLTest3EE",
    "InvaliddeltaCRLTest6EE",
    "InvaliddeltaCRLTest9EE",
    "InvaliddistributionPointTest2EE",
    "InvaliddistributionPointTest6EE",
    "InvalidonlySomeReasonsTest15EE",
    "InvalidonlySomeReasonsTest16EE",
    "InvalidonlySomeReasonsTest20EE",
    "InvalidonlySomeReasonsTest21EE",
    "ValiddeltaCRLTest5EE",
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

/// The suite's CRLs, each verified under every CA's key that could have signed it, as a cache that has fetched them all.
static CRLS: LazyLock<(Cache, BTreeMap<String, CrlError>)> = LazyLock::new(|| {
    let text =
        std::fs::read_to_string(format!("{}/tests/data/pkits-crls.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (mut cache, mut refused) = (Cache::default(), BTreeMap::new());
    for block in pem::blocks(text.as_bytes()).unwrap() {
        let name = lines[block.line - 2];
        if let Err(error) = keep(&mut cache, name, &block.der) {
            refused.insert(name.to_owned(), error);
        }
    }
    (cache, refused)
});

/// Keeps a CRL under every key it verifies with; without one, the last reason.
fn keep(cache: &mut Cache, name: &str, der: &[u8]) -> Result<(), CrlError> {
    let list = Unverified::from_der(der)?;
    let mut found = Err(CrlError::NoCrl);
    for authority in SUITE.values().filter(|authority| authority.subject == *list.issuer()) {
        match list.verify(authority, NOW) {
            // Several certificates of one CA have the same key.
            Ok(list) => found = cache.keep_list(Arc::new(list), name, NOW).map(|_| ()).or(Ok(())),
            Err(error) if found.is_err() => found = Err(error),
            Err(_) => {}
        }
    }
    found
}

/// Whether a path is revoked, by the CRLs of the suite alone: nothing can be fetched.
fn revocation(path: &VerifiedPath) -> Decision {
    let mut check = Check::new(path, |_| Arc::new(RevocationRules::default()));
    loop {
        match check.next(&CRLS.0, NOW) {
            Step::Decided(decision) => return decision,
            Step::Need(fetch) => {
                let nothing = Fetched::Nothing("all is known".to_owned());
                check.feed(&fetch, nothing, &mut Cache::default(), NOW);
            }
        }
    }
}

/// RFC 5280 §6.3.3 with the whole suite. All that is invalid is refused but for one, whose revocation only a delta CRL
/// tells; what is valid and refused is refused by design.
#[test]
fn with_crls_names_say_what_becomes_of_them() {
    let (mut wrong, mut revoked) = (Vec::new(), BTreeSet::new());
    for name in SUITE.keys().filter(|name| name.ends_with("EE")) {
        let Ok(path) = judge(name, PolicyRules::default()) else { continue };
        let decision = revocation(&path);
        if let Some(Conclusion::Revoked(..)) = decision.refused().map(|finding| finding.conclusion) {
            revoked.insert(name.as_str());
        }
        let (valid, invalid) = (name.starts_with("Valid"), name.starts_with("Invalid"));
        let listed = OTHERWISE_WITH_CRLS.iter().any(|(other, _)| other == name);
        if (valid || invalid) && decision.is_accepted() != (valid != listed) {
            wrong.push(format!("{name}: {decision}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(revoked, REVOKED.into(), "revoked by a CRL; all others lack one that speaks for them");
}

/// Every CRL of the suite that is not used, by the reason.
#[test]
fn crls_that_are_not_used_are_refused_by_name() {
    let refused = |matching: fn(&CrlError) -> bool| -> Vec<&str> {
        CRLS.1.iter().filter(|(_, error)| matching(error)).map(|(name, _)| name.as_str()).collect()
    };
    let delta =
        ["deltaCRLCA1deltaCRL", "deltaCRLCA2deltaCRL", "deltaCRLCA3deltaCRL", "deltaCRLIndicatorNoBaseCACRL"];
    assert_eq!(refused(|error| *error == CrlError::Delta), delta);
    let indirect = [
        "indirectCRLCA1CRL",
        "indirectCRLCA3cRLIssuerCRL",
        "indirectCRLCA4cRLIssuerCRL",
        "indirectCRLCA5CRL",
    ];
    assert_eq!(refused(|error| *error == CrlError::Indirect), indirect);
    let unknown = ["UnknownCRLEntryExtensionCACRL", "UnknownCRLExtensionCACRL"];
    assert_eq!(refused(|error| matches!(error, CrlError::UnknownCritical { .. })), unknown);
    let expired = ["OldCRLnextUpdateCACRL", "deltaCRLCA3CRL", "pre2000CRLnextUpdateCACRL"];
    assert_eq!(refused(|error| matches!(error, CrlError::Expired { .. })), expired);
    let no_crl_sign = ["keyUsageCriticalcRLSignFalseCACRL", "keyUsageNotCriticalcRLSignFalseCACRL"];
    assert_eq!(refused(|error| *error == CrlError::NoCrlSign), no_crl_sign);
    // Signed with DSA (two), by nobody (three), or not at all (one).
    assert_eq!(CRLS.1.len(), 4 + 4 + 2 + 3 + 2 + 2 + 3 + 1, "{:#?}", CRLS.1);
}
