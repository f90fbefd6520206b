//! Certification requests, judged by OpenSSL: that they verify, and that they ask for what was wanted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test runs the other party and fails by panicking"
)]

use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use ravelin_pki::key::KeyKind;
use ravelin_pki::pkcs10::{CertificationRequest, Pkcs10Error};
use ravelin_pki::x509::{GeneralName, Name};
use ravelin_pki::{PrivateKey, oid};

/// What OpenSSL makes of a request whose signature verifies.
fn judged(der: &[u8]) -> String {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("request.der");
    std::fs::write(&path, der).unwrap();
    let arguments = ["req", "-inform", "DER", "-verify", "-noout", "-text", "-nameopt", "RFC2253", "-in"];
    let output = Command::new("openssl").args(arguments).arg(&path).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("verify OK"), "{text}");
    text
}

fn names(texts: &[&str]) -> Vec<GeneralName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn plain<'a>(subject: &'a Name, names: &'a [GeneralName]) -> CertificationRequest<'a> {
    CertificationRequest { subject, names, key_usage: &[], extended_key_usage: &[], challenge_password: None }
}

#[test]
fn requests_of_every_kind_of_key_verify() {
    let subject = Name::from_text("CN=gw.example,OU=b,OU=a,DC=example,DC=com").unwrap();
    let names = names(&[
        "dns:gw.example",
        "ip:192.0.2.1",
        "ip:2001:db8::1",
        "email:op@gw.example",
        "uri:https://gw.example/x",
    ]);
    for (kind, signed) in [
        (KeyKind::Rsa2048, "sha256WithRSAEncryption"),
        (KeyKind::P256, "ecdsa-with-SHA256"),
        (KeyKind::P384, "ecdsa-with-SHA384"),
        (KeyKind::P521, "ecdsa-with-SHA512"),
        (KeyKind::Ed25519, "ED25519"),
    ] {
        let key = PrivateKey::generate(kind, &SystemRandom::new()).unwrap();
        let request = CertificationRequest {
            key_usage: &[0, 2],
            extended_key_usage: &[oid::IPSEC_IKE, oid::SERVER_AUTH],
            challenge_password: Some("open sesame"),
            ..plain(&subject, &names)
        };
        let text = judged(&request.sign(&key, &SystemRandom::new()).unwrap());
        for wanted in [
            "Subject: CN=gw.example,OU=b,OU=a,DC=example,DC=com",
            "DNS:gw.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, email:op@gw.example, URI:https://gw.example/x",
            "X509v3 Key Usage: critical",
            "Digital Signature, Key Encipherment",
            "ipsec Internet Key Exchange, TLS Web Server Authentication",
            "challengePassword        :open sesame",
            &format!("Signature Algorithm: {signed}"),
        ] {
            assert!(text.contains(wanted), "{kind}: {wanted} is missing in {text}");
        }
    }
}

/// The least: a subject alone, or a name alone, which then is critical.
#[test]
fn nothing_is_asked_for_that_is_not_wanted() {
    let key = PrivateKey::generate(KeyKind::P256, &SystemRandom::new()).unwrap();
    let (subject, nobody) = (Name::from_text("CN=\u{fc}ber").unwrap(), Name::from_text("").unwrap());
    let text = judged(&plain(&subject, &[]).sign(&key, &SystemRandom::new()).unwrap());
    assert!(text.contains("(none)") && !text.contains("X509v3"), "{text}");
    let names = names(&["dns:gw.example"]);
    let text = judged(&plain(&nobody, &names).sign(&key, &SystemRandom::new()).unwrap());
    assert!(text.contains("Subject Alternative Name: critical"), "{text}");
    let utf8 = CertificationRequest { challenge_password: Some("\u{fc}"), ..plain(&subject, &[]) };
    judged(&utf8.sign(&key, &SystemRandom::new()).unwrap());
}

/// Every bit of keyUsage, alone and with another, is the one OpenSSL names.
#[test]
fn key_usage_bits_are_those_of_rfc_5280() {
    let key = PrivateKey::generate(KeyKind::P256, &SystemRandom::new()).unwrap();
    let subject = Name::from_text("CN=x").unwrap();
    let bits = [
        "Digital Signature",
        "Non Repudiation",
        "Key Encipherment",
        "Data Encipherment",
        "Key Agreement",
        "Certificate Sign",
        "CRL Sign",
        "Encipher Only",
        "Decipher Only",
    ];
    for (bit, name) in (0u8..).zip(bits) {
        let request = CertificationRequest { key_usage: &[bit], ..plain(&subject, &[]) };
        let text = judged(&request.sign(&key, &SystemRandom::new()).unwrap());
        let line = text.lines().skip_while(|line| !line.contains("X509v3 Key Usage")).nth(1).unwrap();
        assert_eq!(line.trim(), name);
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let key = PrivateKey::generate(KeyKind::P256, &SystemRandom::new()).unwrap();
    let (subject, nobody) = (Name::from_text("CN=x").unwrap(), Name::from_text("").unwrap());
    let refused = |request: CertificationRequest<'_>| request.sign(&key, &SystemRandom::new()).unwrap_err();
    assert_eq!(refused(plain(&nobody, &[])), Pkcs10Error::Nobody);
    let many = vec![GeneralName::Dns("x".into()); 101];
    assert_eq!(refused(plain(&subject, &many)), Pkcs10Error::TooManyNames);
    assert!(plain(&subject, &many[1..]).sign(&key, &SystemRandom::new()).is_ok());
    for challenge in ["", &"x".repeat(256)] {
        let request = CertificationRequest { challenge_password: Some(challenge), ..plain(&subject, &[]) };
        assert_eq!(refused(request), Pkcs10Error::Challenge);
    }
    let request = CertificationRequest { key_usage: &[9], ..plain(&subject, &[]) };
    assert_eq!(refused(request), Pkcs10Error::KeyUsage(9));
}
