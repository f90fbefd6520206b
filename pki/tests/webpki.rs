//! The second judge: every chain of a family is put to `rustls-webpki` as well. Where the two disagree on a single
//! change to a good chain, the change must be listed, with the reason, in `data/webpki-deviations.txt`; a line that
//! is no longer true fails, and so does any disagreement on a pair of changes neither of which is listed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures and fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{KEYS, NOW, ca, critical, gateway, judge};
use ravelin_pki::Certificate;
use ravelin_pki::path::Rules;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

/// root -> upper -> lower -> leaf, before anything is signed.
struct Plan {
    root: CertificateParams,
    upper: CertificateParams,
    lower: CertificateParams,
    leaf: CertificateParams,
    /// The key that signs the leaf; the lower CA's is number 2.
    leaf_signer: usize,
    /// Whether the upper CA is presented.
    upper_presented: bool,
}

type Twist = (&'static str, fn(&mut Plan));

fn plan() -> Plan {
    Plan {
        root: ca("root"),
        upper: ca("upper"),
        lower: ca("lower"),
        leaf: gateway("gw"),
        leaf_signer: 2,
        upper_presented: true,
    }
}

fn path_len(limit: u8) -> IsCa {
    IsCa::Ca(BasicConstraints::Constrained(limit))
}

fn permitted(subtree: GeneralSubtree) -> Option<NameConstraints> {
    Some(NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: vec![] })
}

fn excluded(subtree: GeneralSubtree) -> Option<NameConstraints> {
    Some(NameConstraints { permitted_subtrees: vec![], excluded_subtrees: vec![subtree] })
}

fn dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

fn network(octets: [u8; 4], prefix: u8) -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(octets, prefix))
}

fn organization(name: &str) -> GeneralSubtree {
    let mut directory = rcgen::DistinguishedName::new();
    directory.push(DnType::OrganizationName, name);
    GeneralSubtree::DirectoryName(directory)
}

fn add_san(plan: &mut Plan, name: SanType) {
    plan.leaf.subject_alt_names.push(name);
}

const POLICIES: &[u64] = &[2, 5, 29, 32];
const ONE_POLICY: &[u8] = &[0x30, 6, 0x30, 4, 6, 2, 0x2a, 3];

const TWISTS: &[Twist] = &[
    ("leaf-expired", |p| p.leaf.not_after = date_time_ymd(2026, 1, 1)),
    ("leaf-not-yet-valid", |p| p.leaf.not_before = date_time_ymd(2027, 1, 1)),
    ("lower-expired", |p| p.lower.not_after = date_time_ymd(2026, 1, 1)),
    ("upper-not-yet-valid", |p| p.upper.not_before = date_time_ymd(2027, 1, 1)),
    ("root-expired", |p| p.root.not_after = date_time_ymd(2026, 1, 1)),
    ("leaf-signed-by-another-key", |p| p.leaf_signer = 5),
    ("upper-missing", |p| p.upper_presented = false),
    ("lower-is-no-ca", |p| p.lower.is_ca = IsCa::ExplicitNoCa),
    ("lower-has-no-basic-constraints", |p| p.lower.is_ca = IsCa::NoCa),
    ("root-has-no-basic-constraints", |p| p.root.is_ca = IsCa::NoCa),
    ("lower-may-not-sign-certificates", |p| p.lower.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
    ("lower-has-no-key-usage", |p| p.lower.key_usages = vec![]),
    ("leaf-may-not-sign", |p| p.leaf.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
    ("leaf-has-no-key-usage", |p| p.leaf.key_usages = vec![]),
    ("leaf-is-ca", |p| p.leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
    ("upper-path-length-0", |p| p.upper.is_ca = path_len(0)),
    ("upper-path-length-1", |p| p.upper.is_ca = path_len(1)),
    ("lower-path-length-0", |p| p.lower.is_ca = path_len(0)),
    ("root-path-length-1", |p| p.root.is_ca = path_len(1)),
    ("leaf-for-servers", |p| p.leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
    ("leaf-for-clients", |p| p.leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
    ("leaf-for-anything", |p| p.leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
    ("lower-for-code-signing", |p| p.lower.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
    ("lower-for-servers", |p| p.lower.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
    ("leaf-unknown-critical", |p| p.leaf.custom_extensions.push(critical(&[1, 2, 3, 4], &[5, 0]))),
    ("lower-unknown-critical", |p| p.lower.custom_extensions.push(critical(&[1, 2, 3, 4], &[5, 0]))),
    ("leaf-unknown-not-critical", |p| {
        p.leaf.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]));
    }),
    ("leaf-critical-policies", |p| p.leaf.custom_extensions.push(critical(POLICIES, ONE_POLICY))),
    ("lower-critical-policies", |p| p.lower.custom_extensions.push(critical(POLICIES, ONE_POLICY))),
    ("lower-requires-a-policy", |p| {
        p.lower.custom_extensions.push(critical(&[2, 5, 29, 36], &[0x30, 3, 0x80, 1, 0]))
    }),
    ("dns-permitted", |p| p.upper.name_constraints = permitted(dns("example"))),
    ("dns-not-permitted", |p| p.upper.name_constraints = permitted(dns("elsewhere"))),
    ("dns-excluded", |p| p.lower.name_constraints = excluded(dns("gw.example"))),
    ("dns-not-excluded", |p| p.lower.name_constraints = excluded(dns("other.example"))),
    ("dns-permitted-below-dot", |p| p.upper.name_constraints = permitted(dns(".example"))),
    ("root-dns-not-permitted", |p| p.root.name_constraints = permitted(dns("elsewhere"))),
    ("ip-permitted", |p| {
        p.upper.name_constraints = permitted(network([192, 0, 2, 0], 24));
        add_san(p, SanType::IpAddress([192, 0, 2, 1].into()));
    }),
    ("ip-not-permitted", |p| {
        p.upper.name_constraints = permitted(network([10, 0, 0, 0], 8));
        add_san(p, SanType::IpAddress([192, 0, 2, 1].into()));
    }),
    ("ip-constrained-and-absent", |p| p.upper.name_constraints = permitted(network([10, 0, 0, 0], 8))),
    ("ip6-where-only-ip4-is-permitted", |p| {
        p.upper.name_constraints = permitted(network([10, 0, 0, 0], 8));
        add_san(p, SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()));
    }),
    ("directory-permitted", |p| p.upper.name_constraints = permitted(organization("Ravelin Test"))),
    ("directory-not-permitted", |p| p.upper.name_constraints = permitted(organization("Other"))),
    ("email-not-permitted", |p| {
        p.upper.name_constraints = permitted(GeneralSubtree::Rfc822Name("elsewhere".into()));
        add_san(p, SanType::Rfc822Name("op@gw.example".try_into().unwrap()));
    }),
    ("email-permitted", |p| {
        p.upper.name_constraints = permitted(GeneralSubtree::Rfc822Name("gw.example".into()));
        add_san(p, SanType::Rfc822Name("op@gw.example".try_into().unwrap()));
    }),
    ("email-constrained-and-absent", |p| {
        p.upper.name_constraints = permitted(GeneralSubtree::Rfc822Name("elsewhere".into()));
    }),
    ("wildcard-over-an-excluded-name", |p| {
        p.upper.name_constraints = excluded(dns("secret.wild"));
        add_san(p, SanType::DnsName("*.wild".try_into().unwrap()));
    }),
    ("authority-key-identifier-of-another-key", |p| {
        p.lower.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3]);
    }),
    ("no-authority-key-identifiers", |p| {
        for params in [&mut p.upper, &mut p.lower, &mut p.leaf] {
            params.use_authority_key_identifier_extension = false;
        }
    }),
    ("leaf-without-subject", |p| p.leaf.distinguished_name = rcgen::DistinguishedName::new()),
    ("lower-named-as-upper", |p| p.lower.distinguished_name = p.upper.distinguished_name.clone()),
];

/// The key purposes our default accepts, for webpki.
#[derive(Clone, Copy)]
struct IkePurposes;

impl ExtendedKeyUsageValidator for IkePurposes {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let accepted: [&[usize]; 4] = [
            &[1, 3, 6, 1, 5, 5, 7, 3, 17],
            &[1, 3, 6, 1, 5, 5, 8, 2, 2],
            &[2, 5, 29, 37, 0],
            &[1, 3, 6, 1, 5, 5, 7, 3, 1],
        ];
        let mut present = false;
        for purpose in purposes {
            let purpose: Vec<usize> = purpose?.to_decoded_oid();
            present = true;
            if accepted.contains(&purpose.as_slice()) {
                return Ok(());
            }
        }
        if present { Err(webpki::Error::UnsupportedCriticalExtension) } else { Ok(()) }
    }
}

struct Verdicts {
    ours: &'static str,
    webpki: String,
}

impl Verdicts {
    fn agree(&self) -> bool {
        (self.ours == "ok") == (self.webpki == "ok")
    }
}

fn verdicts(plan: &Plan) -> Verdicts {
    let sign = |params: &CertificateParams, key: usize, issuer: &CertificateParams, issuer_key: usize| {
        let issuer = Issuer::from_params(issuer, &KEYS[issuer_key]);
        params.signed_by(&KEYS[key], &issuer).unwrap().der().to_vec()
    };
    let root = plan.root.self_signed(&KEYS[0]).unwrap().der().to_vec();
    let upper = sign(&plan.upper, 1, &plan.root, 0);
    let lower = sign(&plan.lower, 2, &plan.upper, 1);
    // The issuer's key identifier is taken from the lower CA's own key, as an honest CA would write it.
    let mut leaf = sign(&plan.leaf, 3, &plan.lower, plan.leaf_signer);
    if plan.lower.key_identifier_method != plan.upper.key_identifier_method {
        leaf = sign(&plan.leaf, 3, &ca_like(&plan.lower), plan.leaf_signer);
    }
    let presented = if plan.upper_presented { vec![upper, lower] } else { vec![lower] };
    Verdicts { ours: ours(&leaf, &presented, &root), webpki: webpki(&leaf, &presented, &root) }
}

/// The same CA with the key identifier everybody else derives.
fn ca_like(params: &CertificateParams) -> CertificateParams {
    let mut like = params.clone();
    like.key_identifier_method = CertificateParams::default().key_identifier_method;
    like
}

fn ours(leaf: &[u8], presented: &[Vec<u8>], root: &[u8]) -> &'static str {
    let parse = |der: &[u8]| Certificate::from_der(der).map(Arc::new);
    let (Ok(leaf), Ok(root)) = (parse(leaf), parse(root)) else { return "unreadable" };
    let presented: Vec<_> = presented.iter().filter_map(|der| parse(der).ok()).collect();
    judge(&leaf, &presented, &[root], &Rules::default()).map_or_else(|error| error.cause.code(), |_| "ok")
}

fn webpki(leaf: &[u8], presented: &[Vec<u8>], root: &[u8]) -> String {
    let root = CertificateDer::from(root);
    let presented: Vec<CertificateDer<'_>> =
        presented.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let leaf = CertificateDer::from(leaf);
    let time = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(NOW.0 as u64));
    let judged = webpki::anchor_from_trusted_cert(&root).and_then(|anchor| {
        let end_entity = EndEntityCert::try_from(&leaf)?;
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        end_entity
            .verify_for_usage(algorithms, &[anchor], &presented, time, IkePurposes, None, None)
            .map(|_| ())
    });
    judged.map_or_else(
        |error| format!("{error:?}").split(['(', ' ', '{']).next().unwrap().to_owned(),
        |()| "ok".into(),
    )
}

/// By change (or two, joined with `+`): our code and webpki's.
type Deviations = BTreeMap<String, (String, String)>;

/// What is listed in `data/webpki-deviations.txt`.
fn listed() -> Deviations {
    let text =
        std::fs::read_to_string(format!("{}/tests/data/webpki-deviations.txt", env!("CARGO_MANIFEST_DIR")));
    let text = text.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (twist, ours, webpki) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(words.next().is_some(), "no reason given: {line}");
            (twist, (ours, webpki))
        })
        .collect()
}

#[test]
fn the_good_chain_is_good_for_both() {
    let verdicts = verdicts(&plan());
    assert_eq!((verdicts.ours, verdicts.webpki.as_str()), ("ok", "ok"));
}

/// The changes whose verdicts disagree, by name, among those of `plans`.
fn disagreements(plans: impl Iterator<Item = (String, Plan)>) -> Deviations {
    let judged = plans.map(|(name, plan)| (name, verdicts(&plan)));
    let disagreeing = judged.filter(|(_, verdicts)| !verdicts.agree());
    disagreeing.map(|(name, verdicts)| (name, (verdicts.ours.to_owned(), verdicts.webpki))).collect()
}

#[test]
fn single_changes_agree_or_are_listed() {
    let plans = TWISTS.iter().map(|(name, twist)| {
        let mut plan = plan();
        twist(&mut plan);
        ((*name).to_owned(), plan)
    });
    let listed: Deviations = listed().into_iter().filter(|(name, _)| !name.contains('+')).collect();
    assert_eq!(disagreements(plans), listed, "left: what is seen; right: what is listed");
}

#[test]
fn pairs_of_changes_agree_or_are_listed() {
    let listed = listed();
    let twists: Vec<&Twist> = TWISTS.iter().filter(|(name, _)| !listed.contains_key(*name)).collect();
    let pairs = twists.iter().enumerate().flat_map(|(index, first)| {
        twists[index + 1..].iter().map(move |second| {
            let mut plan = plan();
            first.1(&mut plan);
            second.1(&mut plan);
            (format!("{}+{}", first.0, second.0), plan)
        })
    });
    let mut judged = 0;
    let seen = disagreements(pairs.inspect(|_| judged += 1));
    println!("{judged} pairs");
    let listed: Deviations = listed.into_iter().filter(|(name, _)| name.contains('+')).collect();
    assert_eq!(seen, listed, "left: what is seen; right: what is listed");
    assert!(judged > 700, "{judged}");
}
