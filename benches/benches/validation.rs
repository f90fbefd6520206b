//! What it costs to believe a peer's certificate: from the contents of its CERT payloads to a verdict, revocation aside.
//!
//! `verdict/<algorithm>/<certificates>` is of a path of so many certificates below its anchor, ECDSA with P-256 and
//! RSA 2048, all signed with SHA-256; every signature is verified, as for the first peer. `<algorithm>/known` is of a peer
//! that calls again: everything is judged anew but the signatures, which are known. One thread; the daemon has several.

#![expect(clippy::unwrap_used, reason = "inputs are made here; where one is wrong there is nothing to time")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ravelin_pki::identity::Identity;
use ravelin_pki::path::{Budget, KnownSignatures, Rules};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::verdict::{self, Basis, Refusal, Verdict};
use ravelin_pki::{Certificate, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize, date_time_ymd,
};

/// Certificates below the anchor.
const LENGTHS: [usize; 3] = [1, 2, 4];
/// 2026-11-21.
const NOW: UnixTime = UnixTime(1_795_219_200);

type MakeKey = fn() -> KeyPair;

const ALGORITHMS: [(&str, MakeKey); 2] = [
    ("ecdsa-p256", || KeyPair::generate().unwrap()),
    ("rsa-2048", || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()),
];

fn params(name: &str, is_authority: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    }
    params
}

/// A path: its anchor, and what a peer presents, the end entity first.
struct Chain {
    anchors: Anchors,
    presented: Vec<Vec<u8>>,
}

impl Chain {
    fn new(make_key: MakeKey, length: usize) -> Self {
        let (top, key) = (params("Root", true), make_key());
        let root = top.self_signed(&key).unwrap();
        let anchor = Arc::new(Certificate::from_der(root.der()).unwrap());
        let (mut issuer, mut presented) = ((top, key), Vec::new());
        for number in (0..length).rev() {
            let (below, key) = (params(&format!("Number {number}"), number > 0), make_key());
            let signed = below.signed_by(&key, &Issuer::from_params(&issuer.0, &issuer.1)).unwrap();
            presented.insert(0, signed.der().to_vec());
            issuer = (below, key);
        }
        Self { anchors: std::iter::once(anchor).collect(), presented }
    }

    fn judge(&self, rules: &Rules, known: Option<&KnownSignatures>) -> Result<Verdict, Refusal> {
        let basis = Basis {
            anchors: &self.anchors,
            intermediates: &Intermediates::default(),
            rules,
            budget: Budget::default(),
            time: NOW,
            known,
            match_identity: false,
        };
        verdict::reach(&self.presented, &Identity::KeyId(Vec::new()), &basis)
    }
}

fn verdicts(criterion: &mut Criterion) {
    let rules = Rules::default();
    let mut group = criterion.benchmark_group("verdict");
    group.throughput(Throughput::Elements(1));
    for (algorithm, make_key) in ALGORITHMS {
        for length in LENGTHS {
            let (chain, known) = (Chain::new(make_key, length), KnownSignatures::default());
            assert_eq!(chain.judge(&rules, Some(&known)).unwrap().path.certificates().len(), length);
            let forged =
                Chain { anchors: Chain::new(make_key, 1).anchors, presented: chain.presented.clone() };
            assert!(forged.judge(&rules, None).is_err(), "another root of the same name");
            let name = BenchmarkId::new(algorithm, length);
            group.bench_function(name, |bencher| bencher.iter(|| black_box(&chain).judge(&rules, None)));
            let name = BenchmarkId::new(format!("{algorithm}/known"), length);
            group.bench_function(name, |bencher| {
                bencher.iter(|| black_box(&chain).judge(&rules, Some(&known)))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
