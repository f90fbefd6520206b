//! Path building and validation where NIST's suite is silent: unordered and cross-signed chains, circles, budgets,
//! pinned peers, purposes, and which of several causes is reported.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{NOW, ca, critical, gateway, issued, judge, judge_at, self_signed};
use ravelin_pki::path::{
    Budget, Cause, KeyPurposes, KnownSignatures, Outcome, Request, Rules, Source, validate,
};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, date_time_ymd};

/// root (key 0) -> middle (1) -> issuing (2) -> gateway (3).
struct Four {
    root: Arc<Certificate>,
    middle: Arc<Certificate>,
    issuing: Arc<Certificate>,
    leaf: Arc<Certificate>,
}

fn four() -> Four {
    let (root, middle, issuing) = (ca("root"), ca("middle"), ca("issuing"));
    Four {
        root: self_signed(&root, 0),
        middle: issued(&middle, 1, &root, 0),
        issuing: issued(&issuing, 2, &middle, 1),
        leaf: issued(&gateway("gw"), 3, &issuing, 2),
    }
}

fn subjects(certificates: &[Arc<Certificate>]) -> Vec<String> {
    certificates.iter().map(|certificate| certificate.subject.to_string()).collect()
}

#[test]
fn the_order_of_presentation_does_not_matter() {
    let Four { root, middle, issuing, leaf } = four();
    for presented in [
        vec![middle.clone(), issuing.clone()],
        vec![issuing.clone(), middle.clone()],
        vec![root.clone(), leaf.clone(), issuing.clone(), middle.clone(), issuing.clone()],
    ] {
        let path = judge(&leaf, &presented, std::slice::from_ref(&root), &Rules::default()).unwrap();
        assert_eq!(subjects(path.certificates()), subjects(&[leaf.clone(), issuing.clone(), middle.clone()]));
        assert_eq!(*path.anchor(), root);
        assert_eq!(path.expires(), leaf.not_after);
    }
}

#[test]
fn an_intermediate_may_be_the_anchor() {
    let Four { middle, issuing, leaf, .. } = four();
    let path =
        judge(&leaf, &[middle, issuing.clone()], std::slice::from_ref(&issuing), &Rules::default()).unwrap();
    assert_eq!((path.certificates().len(), path.anchor()), (1, &issuing));
}

#[test]
fn the_store_supplies_what_the_peer_left_out() {
    let Four { root, middle, issuing, leaf } = four();
    let anchors: Anchors = [root].into_iter().collect();
    let intermediates: Intermediates = [middle].into_iter().collect();
    let rules = Rules::default();
    let request = |presented| Request {
        end_entity: &leaf,
        presented,
        intermediates: &intermediates,
        anchors: &anchors,
        time: NOW,
        rules: &rules,
        budget: Budget::default(),
        known: None,
    };
    let presented = [issuing];
    assert!(validate(&request(&presented)).is_ok());
    let error = validate(&request(&[])).unwrap_err();
    assert_eq!(error.cause, Cause::UnknownIssuer { issuer: "CN=issuing,O=Ravelin Test".into() });
}

#[test]
fn of_two_cas_with_one_name_the_one_that_signed_is_found() {
    let (root, mut old) = (ca("root"), ca("issuing"));
    old.key_identifier_method = KeyIdMethod::PreSpecified(vec![1]);
    let new = ca("issuing");
    let presented = [issued(&old, 4, &root, 0), issued(&new, 2, &root, 0)];
    let mut leaf = gateway("gw");
    // Without an authorityKeyIdentifier only the signatures tell.
    leaf.use_authority_key_identifier_extension = false;
    let leaf = issued(&leaf, 3, &new, 2);
    let path = judge(&leaf, &presented, &[self_signed(&root, 0)], &Rules::default()).unwrap();
    assert_eq!(path.certificates()[1], presented[1]);
    let refused = path
        .explanation()
        .lines()
        .iter()
        .filter(|line| line.outcome == Outcome::Refused(Cause::BadSignature));
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_cross_certificate_leads_to_the_other_root() {
    let (old_root, new_root) = (ca("old root"), ca("new root"));
    let leaf = issued(&gateway("gw"), 3, &new_root, 1);
    let cross = issued(&new_root, 1, &old_root, 0);
    let new_self = self_signed(&new_root, 1);
    let anchors = [self_signed(&old_root, 0)];
    let path = judge(&leaf, &[new_self, cross.clone()], &anchors, &Rules::default()).unwrap();
    assert_eq!(*path.certificates().last().unwrap(), cross);
}

#[test]
fn cas_that_certify_each_other_do_not_keep_the_search_going() {
    let (left, right) = (ca("left"), ca("right"));
    let circle = [issued(&left, 1, &right, 2), issued(&right, 2, &left, 1)];
    let leaf = issued(&gateway("gw"), 3, &left, 1);
    let error = judge(&leaf, &circle, &[self_signed(&ca("root"), 0)], &Rules::default()).unwrap_err();
    assert!(matches!(error.cause, Cause::UnknownIssuer { .. }), "{error}");
}

#[test]
fn an_unknown_root_is_called_that() {
    let Four { root, middle, issuing, leaf } = four();
    let error = judge(&leaf, &[root, middle, issuing], &[self_signed(&ca("other"), 5)], &Rules::default())
        .unwrap_err();
    assert_eq!(error.cause, Cause::UntrustedRoot { anchors: 1 });
    assert!(error.certificate.starts_with("\"CN=root"));
}

#[test]
fn dates_are_inclusive_and_both_instants_are_told() {
    let Four { root, middle, issuing, leaf } = four();
    let at = |time| {
        let presented = [middle.clone(), issuing.clone()];
        judge_at(time, &leaf, &presented, std::slice::from_ref(&root), &Rules::default())
    };
    assert!(at(leaf.not_before).is_ok() && at(leaf.not_after).is_ok());
    let late = UnixTime(leaf.not_after.0 + 1);
    let error = at(late).unwrap_err();
    assert_eq!(error.cause, Cause::Expired { not_after: leaf.not_after, now: late });
    assert!(
        error.to_string().contains("expired at 2040-01-01T00:00:00Z; now is 2040-01-01T00:00:01Z"),
        "{error}"
    );
    let early = UnixTime(leaf.not_before.0 - 1);
    assert_eq!(at(early).unwrap_err().cause, Cause::NotYetValid { not_before: leaf.not_before, now: early });
}

#[test]
fn an_expired_issuer_tells_more_than_an_unknown_one() {
    let (root, mut expired) = (ca("root"), ca("issuing"));
    expired.not_after = date_time_ymd(2026, 1, 1);
    let other = ca("issuing");
    let leaf = issued(&gateway("gw"), 3, &expired, 2);
    // The second one of that name, with another key, and from an unknown issuer, is no reason.
    let presented = [issued(&other, 4, &ca("nowhere"), 5), issued(&expired, 2, &root, 0)];
    let error = judge(&leaf, &presented, &[self_signed(&root, 0)], &Rules::default()).unwrap_err();
    assert_eq!(error.cause.code(), "expired");
    assert!(error.certificate.starts_with("\"CN=issuing"), "{error}");
    assert_eq!(error.explanation.lines().len(), 3);
}

#[test]
fn a_pinned_certificate_needs_no_issuer() {
    let mut params = gateway("gw");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pinned = self_signed(&params, 3);
    let path = judge(&pinned, &[], std::slice::from_ref(&pinned), &Rules::default()).unwrap();
    assert_eq!((path.end_entity(), path.anchor()), (&pinned, &pinned));
    let late = UnixTime(pinned.not_after.0 + 1);
    assert!(judge_at(late, &pinned, &[], std::slice::from_ref(&pinned), &Rules::default()).is_err());
    // The same name and key in another certificate is another certificate.
    params.serial_number = Some(7u64.into());
    assert!(judge(&self_signed(&params, 3), &[], &[pinned], &Rules::default()).is_err());
}

#[test]
fn a_ca_is_no_end_entity_unless_allowed() {
    let (root, issuing) = (ca("root"), ca("issuing"));
    let mut usable = issuing.clone();
    usable.key_usages.push(KeyUsagePurpose::DigitalSignature);
    let end_entity = issued(&usable, 2, &root, 0);
    let anchors = [self_signed(&root, 0)];
    assert_eq!(judge(&end_entity, &[], &anchors, &Rules::default()).unwrap_err().cause, Cause::EndEntityIsCa);
    let lax = Rules { ca_end_entity: true, ..Rules::default() };
    assert!(judge(&end_entity, &[], &anchors, &lax).is_ok());
}

#[test]
fn purposes_follow_rfc_4945_and_the_knobs() {
    use ExtendedKeyUsagePurpose as Purpose;
    let ipsec_ike = Purpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]);
    let lax = KeyPurposes { server_auth: true, client_auth: true };
    let (strict, default) = (KeyPurposes::RFC_4945, KeyPurposes::default());
    let root = ca("root");
    for (purposes, accepted) in [
        (vec![], vec![strict, default, lax]),
        (vec![ipsec_ike], vec![strict, default, lax]),
        (vec![Purpose::Any], vec![strict, default, lax]),
        (vec![Purpose::ServerAuth, Purpose::ClientAuth], vec![default, lax]),
        (vec![Purpose::ClientAuth], vec![lax]),
        (vec![Purpose::CodeSigning], vec![]),
    ] {
        for rule in [strict, default, lax] {
            let mut params = gateway("gw");
            params.extended_key_usages = purposes.clone();
            let rules = Rules { purposes: rule, ..Rules::default() };
            let verdict = judge(&issued(&params, 3, &root, 0), &[], &[self_signed(&root, 0)], &rules);
            assert_eq!(verdict.is_ok(), accepted.contains(&rule), "{purposes:?} {rule:?}");
            if let Err(error) = verdict {
                assert_eq!(error.cause.code(), "key-purpose");
            }
        }
    }
}

#[test]
fn usages_and_critical_extensions_of_the_end_entity() {
    let root = ca("root");
    let verdict = |params: &rcgen::CertificateParams| {
        let leaf = issued(params, 3, &root, 0);
        judge(&leaf, &[], &[self_signed(&root, 0)], &Rules::default()).map_err(|error| error.cause)
    };
    let mut params = gateway("gw");
    params.key_usages = vec![KeyUsagePurpose::ContentCommitment];
    assert!(verdict(&params).is_ok());
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    assert_eq!(verdict(&params).unwrap_err(), Cause::NoDigitalSignature);
    let mut params = gateway("gw");
    params.custom_extensions = vec![critical(&[1, 2, 3, 4], &[5, 0])];
    assert_eq!(verdict(&params).unwrap_err().code(), "unknown-critical-extension");
    // certificatePolicies, critical: understood.
    params.custom_extensions = vec![critical(&[2, 5, 29, 32], &[0x30, 6, 0x30, 4, 6, 2, 0x2a, 3])];
    assert!(verdict(&params).is_ok());
    // and with a qualifier nobody knows: not.
    let qualified = [0x30, 14, 0x30, 12, 6, 2, 0x2a, 3, 0x30, 6, 0x30, 4, 6, 2, 0x2a, 4];
    params.custom_extensions = vec![critical(&[2, 5, 29, 32], &qualified)];
    assert_eq!(verdict(&params).unwrap_err().code(), "unknown-critical-extension");
}

#[test]
fn an_expired_or_unfit_anchor_does_not_serve() {
    let mut root = ca("root");
    root.not_after = date_time_ymd(2026, 11, 1);
    let leaf = issued(&gateway("gw"), 3, &root, 0);
    assert_eq!(
        judge(&leaf, &[], &[self_signed(&root, 0)], &Rules::default()).unwrap_err().cause.code(),
        "expired"
    );
    let mut root = ca("root");
    root.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    assert_eq!(
        judge(&leaf, &[], &[self_signed(&root, 0)], &Rules::default()).unwrap_err().cause,
        Cause::NoCertSign
    );
    root.is_ca = IsCa::ExplicitNoCa;
    assert_eq!(
        judge(&leaf, &[], &[self_signed(&root, 0)], &Rules::default()).unwrap_err().cause,
        Cause::NotCa
    );
}

#[test]
fn chains_of_the_limit_pass_and_longer_ones_do_not() {
    let cas: Vec<_> = (0..8).map(|number| ca(&format!("ca {number}"))).collect();
    let anchors = [self_signed(&cas[0], 0)];
    let presented: Vec<_> =
        (1..8).map(|number| issued(&cas[number], number, &cas[number - 1], number - 1)).collect();
    for (length, max_chain) in [(4, 4), (5, 4), (7, 7), (8, 7), (1, 1), (2, 1)] {
        let leaf = issued(&gateway("gw"), 9, &cas[length - 1], length - 1);
        let verdict = judge(&leaf, &presented, &anchors, &Rules { max_chain, ..Rules::default() });
        assert_eq!(verdict.is_ok(), length <= max_chain, "{length} of {max_chain}");
        if let Err(error) = verdict {
            assert_eq!(error.cause, Cause::TooDeep { limit: max_chain });
        }
    }
}

/// What is remembered is that a signature is right, of this certificate under this key, and nothing else.
#[test]
fn a_signature_known_to_be_right_vouches_for_nothing_else() {
    let Four { root, middle, issuing, leaf } = four();
    let anchors: Anchors = [root].into_iter().collect();
    let (rules, known) = (Rules::default(), KnownSignatures::default());
    let presented = [middle, issuing];
    let judge = |end_entity: &Arc<Certificate>, time, known| {
        let request = Request {
            end_entity,
            presented: &presented,
            intermediates: &Intermediates::default(),
            anchors: &anchors,
            time,
            rules: &rules,
            budget: Budget::default(),
            known,
        };
        validate(&request).map(drop).map_err(|error| error.cause)
    };
    let mut changed = leaf.der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = Arc::new(Certificate::from_der(&changed).unwrap());
    let never = UnixTime(NOW.0 + 1_000_000_000_000);
    for _ in 0..2 {
        assert_eq!(judge(&leaf, NOW, Some(&known)), Ok(()));
        assert_eq!(judge(&changed, NOW, Some(&known)), Err(Cause::BadSignature));
        assert_eq!(judge(&leaf, never, Some(&known)), judge(&leaf, never, None));
        assert!(judge(&leaf, never, Some(&known)).is_err());
    }
}

#[test]
fn a_used_up_budget_ends_the_search() {
    let Four { root, middle, issuing, leaf } = four();
    let anchors: Anchors = [root].into_iter().collect();
    let rules = Rules::default();
    let presented = [middle, issuing];
    let with = |budget| {
        validate(&Request {
            end_entity: &leaf,
            presented: &presented,
            intermediates: &Intermediates::default(),
            anchors: &anchors,
            time: NOW,
            rules: &rules,
            budget,
            known: None,
        })
    };
    let enough = Budget { signatures: 3, steps: 3, name_comparisons: 0 };
    assert!(with(enough).is_ok());
    for short in [Budget { signatures: 2, ..enough }, Budget { steps: 2, ..enough }] {
        assert_eq!(with(short).unwrap_err().cause.code(), "budget-exhausted");
    }
}

#[test]
fn many_false_issuers_cost_no_more_than_the_budget() {
    let (root, mut issuing) = (ca("root"), ca("issuing"));
    issuing.use_authority_key_identifier_extension = false;
    let false_issuers: Vec<_> = (0..60)
        .map(|serial: u64| {
            let mut params = issuing.clone();
            params.serial_number = Some(serial.into());
            params.key_identifier_method = KeyIdMethod::PreSpecified(vec![serial as u8]);
            issued(&params, 4, &root, 5)
        })
        .collect();
    let mut leaf = gateway("gw");
    leaf.use_authority_key_identifier_extension = false;
    let leaf = issued(&leaf, 3, &issuing, 2);
    let error = judge(&leaf, &false_issuers, &[self_signed(&root, 0)], &Rules::default()).unwrap_err();
    assert_eq!(error.cause, Cause::Budget { what: "signature verifications", limit: 40 });
    assert_eq!(error.explanation.lines().len(), 41);
}

#[test]
fn the_rsa_floor_can_be_raised() {
    let read = |name: &str| {
        let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        #[expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]
        let bytes = std::fs::read(path).unwrap();
        Arc::new(Certificate::from_file_bytes(&bytes).unwrap().remove(0))
    };
    let rsa = read("rsa-pkcs1.cert.pem");
    let at = UnixTime(rsa.not_before.0 + 1);
    assert!(judge_at(at, &rsa, &[], std::slice::from_ref(&rsa), &Rules::default()).is_ok());
    let rules = Rules { min_rsa_bits: 3072, ..Rules::default() };
    let error = judge_at(at, &rsa, &[], std::slice::from_ref(&rsa), &rules).unwrap_err();
    assert_eq!(error.cause, Cause::RsaFloor { bits: 2048, floor: 3072 });
}

#[test]
fn the_explanation_reads_like_a_search() {
    let Four { root, middle, issuing, leaf } = four();
    let path = judge(&leaf, &[middle, issuing], &[root], &Rules::default()).unwrap();
    let text = path.explanation().to_string();
    let sources: Vec<Source> = path.explanation().lines().iter().map(|line| line.source).collect();
    assert_eq!(sources, [Source::EndEntity, Source::Presented, Source::Presented, Source::Anchor]);
    assert!(text.starts_with("end entity \"CN=gw,O=Ravelin Test\""), "{text}");
    assert!(text.ends_with("fits\n"), "{text}");
}
