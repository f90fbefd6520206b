//! The small things a peer names: identities (RFC 7296 §3.5), signature algorithms (RFC 7427 §3), hashes
//! of authorities (RFC 7296 §3.7), names in text.
//!
//! The first octet chooses; for identities it is the ID Type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::identity::Identity;
use ravelin_pki::x509::{GeneralName, Name};
use ravelin_pki::{PublicKey, SignatureScheme, certreq, der};

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice {
        0..=15 => identity(*choice, bytes),
        16 => algorithm(bytes),
        17 => assert_eq!(certreq::parse(bytes).len(), (bytes.len() / 20).min(certreq::MAX_HASHES)),
        18 => text(bytes),
        19 => drop(GeneralName::from_der(bytes).map(|name| name.to_string())),
        20 => drop(PublicKey::from_spki(bytes).map(|key| format!("{key} {key:?}"))),
        _ => elements(bytes, 0),
    }
});

fn identity(id_type: u8, bytes: &[u8]) {
    let Ok(identity) = Identity::from_payload(id_type, bytes) else { return };
    let shown = identity.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?} steers the operator's terminal");
    let Some((again, data)) = identity.to_payload() else { return assert_eq!(id_type, 10) };
    assert_eq!(again, id_type);
    assert_eq!(Identity::from_payload(again, &data), Ok(identity));
}

fn algorithm(bytes: &[u8]) {
    let Ok(scheme) = SignatureScheme::from_algorithm_identifier(bytes) else { return };
    assert!(SignatureScheme::ALL.contains(&scheme));
    let ours = scheme.algorithm_identifier();
    assert_eq!(SignatureScheme::from_algorithm_identifier(ours), Ok(scheme));
}

/// A name that was written by an operator is a name, and so is what we show of it.
fn text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = text.parse::<Identity>();
    let Some(name) = Name::from_text(text) else { return };
    assert_eq!(Name::from_der(name.der()), Ok(name.clone()));
    let _ = name.to_string();
}

/// Every element lies inside its parent, and a walk ends.
fn elements(bytes: &[u8], depth: usize) {
    let (mut reader, mut left) = (der::Reader::new(bytes), bytes.len());
    while !reader.is_empty() && depth < 64 {
        let Ok(element) = reader.element() else { return };
        let whole = element.content.len() + 2;
        assert!(whole <= left);
        left -= whole;
        elements(element.content, depth + 1);
        let _ = (element.boolean().is_ok(), element.small().is_ok(), element.bits().is_ok());
    }
}
