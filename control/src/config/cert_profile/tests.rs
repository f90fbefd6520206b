//! What the configuration names in the store is found there, is a pair, or is refused with what is expected.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use ravelin_pki::sealed::Passphrase;

use super::super::{Plan, parse};
use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/data");

fn der(file: &str) -> Vec<u8> {
    let text = std::fs::read(format!("{DATA}/{file}")).unwrap();
    ravelin_pki::pem::blocks(&text).unwrap().pop().unwrap().der.to_vec()
}

/// A store in `/etc/ravelin/s` with a certificate `gw`, its key, and the key `other`.
fn judged(profiles: &str) -> Result<Plan, String> {
    let passphrase = Passphrase::new(b"correct horse battery".to_vec().into()).unwrap();
    let sealed = |file: &str, name| {
        let key = PrivateKey::from_der(&der(file), None).unwrap();
        Sealed::seal(&key, name, false, &passphrase, &SystemRandom::new()).unwrap()
    };
    let read = |path: &Path| match path.to_str().unwrap() {
        "/etc/ravelin/s/certificates/gw.der" => Ok(der("p256.cert.pem")),
        "/etc/ravelin/s/keys/gw.key" => Ok(sealed("p256.pkcs8.pem", "gw")),
        "/etc/ravelin/s/keys/other.key" => Ok(sealed("p384.pkcs8.pem", "other")),
        "/etc/ravelin/s/keys/junk.key" => Ok(b"junk".to_vec()),
        other => Err(std::io::Error::other(format!("no {other}"))),
    };
    let text = format!("pki.store = \"s\"\n{profiles}");
    parse("r.toml", &text, Path::new("/etc/ravelin"), &read)
        .map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_pair_of_the_store_is_taken_without_its_passphrase() {
    let plan = judged(
        "cert-profile.own = { certificate = \"store:gw\", key = \"store:gw\" }
         trust-anchor-profile.t = { anchors = [\"store:gw\"] }",
    )
    .unwrap();
    let profile = &plan.cert_profiles["own"];
    assert_eq!(profile.chain, [der("p256.cert.pem")]);
    assert_eq!(profile.schemes, [SignatureScheme::EcdsaSha256]);
    assert_eq!(profile.key.to_string(), "store:gw");
    assert_eq!(plan.trust["t"].anchors, [der("p256.cert.pem")]);
    assert_eq!(plan.vault.store().path(), Path::new("/etc/ravelin/s"));
}

#[test]
fn what_is_not_there_or_no_pair_is_refused_by_name() {
    for (certificate, key, expected) in [
        ("gw", "other", "key \"store:other\" does not match certificate \"store:gw\""),
        ("gone", "gw", "certificate \"store:gone\" cannot be read: no /etc/ravelin/s/certificates/gone.der"),
        ("gw", "gone", "key \"store:gone\" cannot be read"),
        ("gw", "junk", "key \"store:junk\" cannot be used: it is not a sealed key"),
        ("../gw", "gw", "certificate \"store:../gw\" names nothing in the store"),
    ] {
        let text =
            format!("cert-profile.own = {{ certificate = \"store:{certificate}\", key = \"store:{key}\" }}");
        let refused = judged(&text).unwrap_err();
        assert!(refused.contains(expected) && refused.starts_with("r.toml:2"), "{refused}");
    }
}
