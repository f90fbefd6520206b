//! Key and certificate files as OpenSSL writes them: each is read for what it is, signs or verifies, or is refused
//! with the reason an operator needs. Guards the formats of key files, the pairing of key and certificate, and the
//! agreement with a foreign implementation about what bytes mean.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures and fails by panicking"
)]

use aws_lc_rs::rand::SystemRandom;
use proptest::prelude::*;
use ravelin_pki::key::KeyFileError;
use ravelin_pki::x509::{BundleError, CertificateError, GeneralName};
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_file_bytes(&file(name)).unwrap().remove(0)
}

fn key(name: &str) -> PrivateKey {
    PrivateKey::from_file_bytes(&file(name)).unwrap()
}

const KEYS: [(&str, &str, &str); 9] = [
    ("rsa.pkcs8.pem", "RSA", "rsa-pkcs1.cert.pem"),
    ("rsa.pkcs1.pem", "RSA", "rsa-pss.cert.pem"),
    ("rsa.pkcs8.der", "RSA", "rsa-pkcs1.cert.pem"),
    ("p256.sec1.pem", "P-256", "p256.cert.pem"),
    ("p256.pkcs8.pem", "P-256", "p256.cert.pem"),
    ("p384.sec1.pem", "P-384", "p384.cert.pem"),
    ("p384.pkcs8.pem", "P-384", "p384.cert.pem"),
    ("p521.sec1.pem", "P-521", "p521.cert.pem"),
    ("ed25519.pkcs8.pem", "Ed25519", "ed25519.cert.pem"),
];

#[test]
fn every_key_format_signs_what_its_certificate_verifies() {
    for (name, kind, cert) in KEYS {
        let (key, cert) = (key(name), certificate(cert));
        let public = cert.public_key.as_ref().unwrap();
        assert_eq!(key.kind(), kind);
        assert!(key.matches(public), "{name}");
        for &scheme in key.schemes() {
            let signature = key.sign(scheme, b"octets", &SystemRandom::new()).unwrap();
            assert_eq!(public.verify(scheme, b"octets", &signature), Ok(()), "{name} {scheme}");
            assert!(public.verify(scheme, b"other octets", &signature).is_err());
            let mut bad = signature.clone();
            bad[signature.len() / 2] ^= 1;
            assert!(public.verify(scheme, b"octets", &bad).is_err());
            assert!(public.verify(scheme, b"octets", &signature[1..]).is_err());
        }
    }
}

#[test]
fn keys_refuse_schemes_that_are_not_theirs() {
    for (name, _, cert) in KEYS {
        let (key, cert) = (key(name), certificate(cert));
        for scheme in SignatureScheme::ALL.into_iter().filter(|scheme| !key.schemes().contains(scheme)) {
            assert!(key.sign(scheme, b"", &SystemRandom::new()).is_err(), "{name} {scheme}");
            assert!(cert.public_key.as_ref().unwrap().verify(scheme, b"", b"").is_err());
        }
    }
}

#[test]
fn a_key_matches_its_own_certificate_only() {
    let certs = ["rsa-pkcs1.cert.pem", "p256.cert.pem", "p384.cert.pem", "p521.cert.pem", "ed25519.cert.pem"];
    for (name, kind, _) in KEYS {
        let matching =
            certs.iter().filter(|cert| key(name).matches(certificate(cert).public_key.as_ref().unwrap()));
        assert_eq!(matching.count(), 1, "{name} {kind}");
    }
}

#[test]
fn refused_key_files_say_why() {
    let refusal = |name| PrivateKey::from_file_bytes(&file(name)).unwrap_err();
    assert_eq!(refusal("encrypted.pkcs8.pem"), KeyFileError::Encrypted);
    assert_eq!(refusal("encrypted.pkcs1.pem"), KeyFileError::OldEncryption);
    assert!(matches!(refusal("ed448.pkcs8.pem"), KeyFileError::Algorithm(_)));
    assert!(matches!(refusal("k256.sec1.pem"), KeyFileError::Algorithm(_)));
    assert!(refusal("p256.cert.pem").to_string().contains("CERTIFICATE"));
    let two = [file("p256.pkcs8.pem"), file("p384.pkcs8.pem")].concat();
    assert_eq!(PrivateKey::from_pem(&two, None).unwrap_err(), KeyFileError::Several(2));
    assert!(PrivateKey::from_der(&[], None).is_err());
}

#[test]
fn private_keys_are_never_printed() {
    for (name, kind, _) in KEYS {
        assert_eq!(format!("{:?}", key(name)), format!("PrivateKey({kind}, redacted)"));
    }
}

#[test]
fn self_signatures_of_every_scheme_verify() {
    for (name, scheme) in [
        ("rsa-pkcs1.cert.pem", SignatureScheme::RsaPkcs1Sha256),
        ("rsa-pss.cert.pem", SignatureScheme::RsaPssSha384),
        ("p256.cert.pem", SignatureScheme::EcdsaSha256),
        ("p384.cert.pem", SignatureScheme::EcdsaSha384),
        ("p521.cert.pem", SignatureScheme::EcdsaSha512),
        ("ed25519.cert.pem", SignatureScheme::Ed25519),
    ] {
        let cert = certificate(name);
        assert_eq!(cert.signature_scheme, Ok(scheme), "{name}");
        assert_eq!(
            cert.public_key.as_ref().unwrap().verify(scheme, cert.tbs(), &cert.signature),
            Ok(()),
            "{name}"
        );
    }
    assert!(
        certificate("rsa-sha1.cert.pem").signature_scheme.as_ref().unwrap_err().to_string().contains("sha1")
    );
    assert!(
        certificate("rsa-pss-odd-salt.cert.pem")
            .signature_scheme
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("salt")
    );
}

#[test]
fn extensions_read_as_openssl_wrote_them() {
    let cert = certificate("p256.cert.pem");
    let names: Vec<String> = cert.extensions.subject_alt_names.iter().map(GeneralName::to_string).collect();
    assert_eq!(
        names,
        [
            "DNS:gw.example",
            "IP:192.0.2.1",
            "IP:2001:db8::1",
            "email:op@gw.example",
            "URI:https://gw.example/x",
            "DirName:CN=directory",
            "otherName",
            "RegisteredID:1.2.3.5"
        ]
    );
    assert_eq!(cert.subject.to_string(), "CN=p256,O=Ravelin Test,C=DE");
    assert_eq!((cert.version, cert.serial_hex().as_str()), (3, "1267"));
    assert!(cert.extensions.key_usage.unwrap().digital_signature());
    assert_eq!(
        format!("{:?}", cert.extensions.extended_key_usage),
        "Some([1.3.6.1.5.5.7.3.17, 1.3.6.1.5.5.7.3.1])"
    );
    assert!(cert.extensions.unknown_critical.is_empty());

    let extensions = &certificate("p384.cert.pem").extensions;
    assert_eq!(extensions.policies.as_ref().unwrap().len(), 2);
    let constraints = extensions.name_constraints.as_ref().unwrap();
    assert_eq!(constraints.permitted, [GeneralName::Dns("example".into())]);
    assert_eq!(constraints.excluded, [GeneralName::Ip(vec![10, 0, 0, 0, 255, 0, 0, 0])]);
    assert_eq!(extensions.policy_constraints.require_explicit, Some(0));
    assert_eq!(extensions.policy_constraints.inhibit_mapping, Some(3));
    assert_eq!(extensions.inhibit_any_policy, Some(2));
    assert!(extensions.basic_constraints.unwrap().ca);

    assert_eq!(format!("{:?}", certificate("p521.cert.pem").extensions.unknown_critical), "[1.2.3.4.5]");
}

#[test]
fn a_bundle_keeps_its_order_and_names_the_bad_block() {
    let bundle = [file("p256.cert.pem"), file("p256.pkcs8.pem"), file("p384.cert.pem")].concat();
    let certs = Certificate::from_pem_bundle(&bundle).unwrap();
    assert_eq!(
        certs.iter().map(|cert| cert.subject.to_string()).collect::<Vec<_>>(),
        ["CN=p256,O=Ravelin Test,C=DE", "CN=p384,O=Ravelin Test,C=DE"]
    );
    assert!(matches!(
        Certificate::from_pem_bundle(&file("p256.pkcs8.pem")),
        Err(BundleError::NoCertificate { .. })
    ));
    let bad =
        [file("p256.cert.pem"), b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_vec()]
            .concat();
    let line = file("p256.cert.pem").iter().filter(|&&octet| octet == b'\n').count() + 1;
    assert!(
        matches!(Certificate::from_pem_bundle(&bad), Err(BundleError::Certificate { line: at, .. }) if at == line)
    );
}

#[test]
fn a_certificate_cut_anywhere_or_with_bytes_after_it_is_refused() {
    let der = certificate("p256.cert.pem").der().to_vec();
    for end in 0..der.len() {
        assert!(Certificate::from_der(&der[..end]).is_err(), "cut at {end}");
    }
    assert!(Certificate::from_der(&[der.as_slice(), &[0]].concat()).is_err());
    assert_eq!(Certificate::from_der(&vec![0; 65_536]), Err(CertificateError::TooLarge(65_536)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A changed octet may still parse, but never panics, never escapes the bounds of the input, and the signature
    /// over what was parsed no longer verifies unless the change is outside the signed part.
    #[test]
    fn mutated_certificates_never_panic(which in 0usize..3, at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let original = certificate(["p256.cert.pem", "p384.cert.pem", "ed25519.cert.pem"][which]);
        let mut der = original.der().to_vec();
        let at = at.index(der.len());
        der[at] = value;
        if let Ok(parsed) = Certificate::from_der(&der) {
            let _ = (parsed.to_string(), format!("{parsed:?}"));
            if der != original.der() && parsed.tbs() != original.tbs() {
                let verified = original.signature_scheme.as_ref().ok().map(|&scheme| {
                    original.public_key.as_ref().unwrap().verify(scheme, parsed.tbs(), &parsed.signature)
                });
                prop_assert!(verified.unwrap().is_err());
            }
        }
    }

    #[test]
    fn mutated_keys_never_panic(which in 0usize..9, at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = file(KEYS[which].0);
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = PrivateKey::from_file_bytes(&bytes);
    }
}
