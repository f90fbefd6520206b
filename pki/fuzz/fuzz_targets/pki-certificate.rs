//! One certificate in DER from a stranger (RFC 5280 §4).
//!
//! What parses keeps its octets, is equal to itself read again, and can be shown to an operator; its
//! names survive the way through IKE's ID payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::identity::{Identity, carried};
use ravelin_pki::{Certificate, PublicKey, certreq};

fuzz_target!(|data: &[u8]| {
    let certificate = match Certificate::from_der(data) {
        Ok(certificate) => certificate,
        Err(refused) => return assert!(!refused.to_string().is_empty()),
    };
    assert_eq!(certificate.der(), data);
    assert!(contains(data, certificate.tbs()) && contains(data, &certificate.spki));
    assert_eq!(Certificate::from_der(certificate.der()).expect("it was read before"), certificate);
    let shown =
        format!("{certificate} {certificate:?} {} {}", certificate.serial_hex(), carried(&certificate));
    assert!(!shown.contains('\u{1b}') && !shown.contains('\n'), "a name steers the operator's terminal");
    assert_eq!(certificate.public_key.as_ref().ok(), PublicKey::from_spki(&certificate.spki).as_ref().ok());
    assert_eq!(certreq::parse(&certreq::hash(&certificate)), [certreq::hash(&certificate)]);
    subject_is_an_identity(&certificate);
});

fn subject_is_an_identity(certificate: &Certificate) {
    let subject = Identity::Dn(certificate.subject.clone());
    assert_eq!(subject.matches(certificate).is_ok(), !certificate.subject.is_empty());
    let (id_type, data) = subject.to_payload().expect("a distinguished name can be sent");
    match Identity::from_payload(id_type, &data) {
        Ok(again) => assert_eq!(again, subject),
        Err(_) => assert!(data.len() > ravelin_pki::identity::MAX_IDENTITY),
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}
