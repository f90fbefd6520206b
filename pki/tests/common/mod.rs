//! Certificates made on the spot: a root, an intermediate and a leaf, each open to change before it is signed.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod crl;
pub mod der;
pub mod ocsp;
pub mod world;

use std::sync::{Arc, LazyLock};

use ravelin_pki::path::{Budget, PathError, Request, Rules, VerifiedPath, validate};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// 2026-11-21T00:00:00Z.
pub const NOW: UnixTime = UnixTime(1_795_219_200);

/// Test keys, by number; P-256.
pub static KEYS: LazyLock<Vec<KeyPair>> =
    LazyLock::new(|| (0..10).map(|_| KeyPair::generate().unwrap()).collect());

/// Parameters of a CA: basicConstraints, keyCertSign, 2020 to 2040.
pub fn ca(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Parameters of a gateway: dNSName `gw.example`, digitalSignature, 2020 to 2040.
pub fn gateway(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.subject_alt_names =
        CertificateParams::new(vec!["gw.example".to_owned()]).unwrap().subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Ravelin Test");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

/// An extension by the arcs of its identifier, critical, with this DER as its value.
pub fn critical(oid: &[u64], der: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, der.to_vec());
    extension.set_criticality(true);
    extension
}

/// A self-signed certificate with key number `key`.
pub fn self_signed(params: &CertificateParams, key: usize) -> Arc<Certificate> {
    parsed(params.self_signed(&KEYS[key]).unwrap().der())
}

/// A certificate for key `key`, issued under the name of `issuer` and signed with key `issuer_key`.
pub fn issued(
    params: &CertificateParams,
    key: usize,
    issuer: &CertificateParams,
    issuer_key: usize,
) -> Arc<Certificate> {
    let issuer = Issuer::from_params(issuer, &KEYS[issuer_key]);
    parsed(params.signed_by(&KEYS[key], &issuer).unwrap().der())
}

pub fn parsed(der: &[u8]) -> Arc<Certificate> {
    Arc::new(Certificate::from_der(der).unwrap())
}

/// Validates at [`NOW`] with the default budget.
pub fn judge(
    end_entity: &Arc<Certificate>,
    presented: &[Arc<Certificate>],
    anchors: &[Arc<Certificate>],
    rules: &Rules,
) -> Result<VerifiedPath, PathError> {
    judge_at(NOW, end_entity, presented, anchors, rules)
}

pub fn judge_at(
    time: UnixTime,
    end_entity: &Arc<Certificate>,
    presented: &[Arc<Certificate>],
    anchors: &[Arc<Certificate>],
    rules: &Rules,
) -> Result<VerifiedPath, PathError> {
    validate(&Request {
        end_entity,
        presented,
        intermediates: &Intermediates::default(),
        anchors: &anchors.iter().cloned().collect::<Anchors>(),
        time,
        rules,
        budget: Budget::default(),
        known: None,
    })
}
