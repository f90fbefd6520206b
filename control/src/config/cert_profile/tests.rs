//! What the configuration names in the store is found there, is a pair, or is refused with what is expected; which of our
//! certificates stands under which authority.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use ravelin_pki::sealed::Passphrase;

use super::super::{Plan, parse};
use super::*;
use crate::trust::common::{KEYS, ca, gateway, issued, self_signed};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/data");

fn der(file: &str) -> Vec<u8> {
    let text = std::fs::read(format!("{DATA}/{file}")).unwrap();
    ravelin_pki::pem::blocks(&text).unwrap().pop().unwrap().der.to_vec()
}

fn peer_key() -> Vec<u8> {
    Certificate::from_der(&der("p384.cert.pem")).unwrap().spki.clone()
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
        "/etc/ravelin/peer.pub" => Ok(ravelin_pki::pem::write("PUBLIC KEY", &peer_key()).as_bytes().to_vec()),
        "/etc/ravelin/peer.pem" => Ok(std::fs::read(format!("{DATA}/p384.cert.pem")).unwrap()),
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
    let [entry] = profile.entries.as_slice() else { panic!("{profile:?}") };
    assert_eq!(*entry.chain(), [der("p256.cert.pem")]);
    assert_eq!(entry.shown.schemes, [ravelin_ike::config::SignatureScheme::EcdsaP256Sha256]);
    assert_eq!(entry.key.to_string(), "store:gw");
    assert_eq!(plan.trust["t"].anchors, [der("p256.cert.pem")]);
    assert_eq!(plan.vault.store().path(), Path::new("/etc/ravelin/s"));
}

/// RFC 7296 §3.6: where ours lies, by its hash; where peers' may lie, only where it is said.
#[test]
fn hash_and_url_is_read() {
    let own =
        |more: &str| format!("[cert-profile.own]\ncertificate = \"store:gw\"\nkey = \"store:gw\"\n{more}\n");
    let url = "http://certificates.example/gw.der";
    let trust = "trust-anchor-profile.t = { anchors = [\"store:gw\"], hash-and-url = true }
        trust-anchor-profile.u = { anchors = [\"store:gw\"] }\n";
    let plan = judged(&(trust.to_owned() + &own(&format!("hash-and-url = {url:?}")))).unwrap();
    let expected =
        HashAndUrl { bundle: false, hash: hash_and_url::hash(&der("p256.cert.pem")), url: url.into() };
    assert_eq!(plan.cert_profiles["own"].entries[0].shown.elsewhere, Some(expected));
    assert_eq!((plan.trust["t"].lookup, plan.trust["u"].lookup), (true, false));
    assert_eq!(judged(&own("")).unwrap().cert_profiles["own"].entries[0].shown.elsewhere, None);
    for wrong in ["https://certificates.example/gw.der", "ftp://h/gw.der", "gw.der"] {
        let refused = judged(&own(&format!("hash-and-url = {wrong:?}"))).unwrap_err();
        assert!(refused.contains("expected a URL of HTTP, like"), "{refused}");
    }
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

/// The authorities of the example: CA-1 below CA-2, and CA-3; `cert-1` is of CA-3 and `cert-2` of CA-1. `renewed` is CA-1
/// with another certificate of the same key.
struct Files(BTreeMap<&'static str, Vec<u8>>);

impl Files {
    fn new() -> Self {
        let (ca1, ca2, ca3) = (ca("CA-1"), ca("CA-2"), ca("CA-3"));
        let mut longer = ca("CA-1");
        longer.not_after = rcgen::date_time_ymd(2041, 1, 1);
        let der = |certificate: Arc<Certificate>| certificate.der().to_vec();
        let mut files = BTreeMap::from([
            ("ca-1.der", der(issued(&ca1, 1, &ca2, 2))),
            ("renewed.der", der(issued(&longer, 1, &ca2, 2))),
            ("ca-2.der", der(self_signed(&ca2, 2))),
            ("ca-3.der", der(self_signed(&ca3, 3))),
            ("cert-1.der", der(issued(&gateway("gw-1"), 4, &ca3, 3))),
            ("cert-2.der", der(issued(&gateway("gw-2"), 5, &ca1, 1))),
        ]);
        files.extend([("1.key", 4), ("2.key", 5)].map(|(name, key)| (name, KEYS[key].serialize_der())));
        Self(files)
    }

    fn judged(&self, text: &str) -> Result<Plan, String> {
        let read = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            self.0.get(name).cloned().ok_or_else(|| std::io::Error::other("no such file"))
        };
        parse("r.toml", text, Path::new("/"), &read)
            .map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

fn authorities(ca1: &str) -> String {
    format!(
        "ca-profile.ca-1 = {{ certificate = \"{ca1}\" }}
         ca-profile.ca-2 = {{ certificate = \"ca-2.der\" }}
         ca-profile.ca-3 = {{ certificate = \"ca-3.der\" }}\n"
    )
}

fn entry_of(number: usize, more: &str) -> String {
    format!(
        "[[cert-profile.own.entry]]\ncertificate = \"cert-{number}.der\"\nkey = \"{number}.key\"\n{more}\n"
    )
}

/// PKI-25's example: who asks for CA-2 is shown cert-2, CA-1 and CA-2, in three CERT payloads.
#[test]
fn the_entry_under_the_authority_asked_for_is_shown() {
    let files = Files::new();
    let second = entry_of(2, "send-chain = [\"ca-1\", \"ca-2\"]");
    let plan = files.judged(&[authorities("ca-1.der"), entry_of(1, ""), second].concat()).unwrap();
    assert_eq!(plan.warnings, []);
    let entries = &plan.cert_profiles["own"].entries;
    let file = |name: &str| files.0[name].clone();
    assert_eq!(entries[0].above, [file("ca-3.der")]);
    assert_eq!(entries[1].above, [file("ca-1.der"), file("ca-2.der")]);
    let own = ravelin_ike::config::CertificateAuth {
        entries: entries.iter().map(|entry| entry.shown.clone()).collect(),
        names_us: false,
    };
    let hash = |name: &str| certreq::hash(&Certificate::from_der(&file(name)).unwrap());
    for (asked, entry, sent) in [
        (vec!["ca-2.der"], 1, vec!["cert-2.der", "ca-1.der", "ca-2.der"]),
        (vec!["ca-1.der"], 1, vec!["cert-2.der", "ca-1.der", "ca-2.der"]),
        (vec!["ca-2.der", "ca-3.der"], 0, vec!["cert-1.der"]),
        (vec!["cert-1.der"], 0, vec!["cert-1.der"]),
    ] {
        let requested: Vec<_> = asked.iter().map(|name| hash(name)).collect();
        let choice = own.choose(&requested);
        let sent: Vec<_> = sent.into_iter().map(file).collect();
        assert_eq!((choice.entry, &own.chosen(choice).unwrap().chain), (entry, &sent), "{asked:?}");
    }
}

/// The keys of a profile's only certificate and one entry are the same profile.
#[test]
fn an_only_certificate_is_a_profile_of_one_entry() {
    let files = Files::new();
    let only = "cert-profile.own = { certificate = \"cert-1.der\", key = \"1.key\" }\n";
    let [only, one] =
        [format!("{only}{}", authorities("ca-1.der")), authorities("ca-1.der") + &entry_of(1, "")]
            .map(|text| files.judged(&text).unwrap());
    assert_eq!(only.cert_profiles, one.cert_profiles);
    assert_eq!(only.cert_profiles["own"].named("own").map(|(name, _)| name).collect::<Vec<_>>(), ["own"]);
}

#[test]
fn what_is_no_profile_is_refused_and_what_is_odd_is_told() {
    let files = Files::new();
    let only = "[cert-profile.own]\ncertificate = \"cert-1.der\"\nkey = \"1.key\"\n";
    for (text, expected) in [
        (entry_of(1, "").repeat(9), "cert-profile.own: has 9 entries; expected at most 8"),
        (format!("{only}{}", entry_of(2, "")), "has entries and a certificate beside them"),
        (
            format!("[cert-profile.own]\nrsa-signature = \"pss\"\n{}", entry_of(2, "")),
            "has entries and a cert",
        ),
        (
            "[cert-profile.own]\nkey = \"1.key\"\n".to_owned(),
            "cert-profile.own: has no certificate; expected",
        ),
        (
            entry_of(1, "") + &entry_of(2, "").replace("2.key", "1.key"),
            "cert-profile.own, entry 2: key \"1.key\" does not match certificate \"cert-2.der\"",
        ),
        (
            entry_of(1, "send-chain = [\"ca-4\"]"),
            "entry 1: send-chain \"ca-4\" does not exist; expected one of",
        ),
        (
            entry_of(1, &format!("send-chain = [{}]", "\"ca-3\",".repeat(8))),
            "send-chain names 8 authorities; expected at most 7",
        ),
    ] {
        let refused = files.judged(&(authorities("ca-1.der") + &text)).unwrap_err();
        assert!(refused.contains(expected), "wanted {expected:?}, got {refused}");
    }
    for (text, expected) in [
        (
            authorities("ca-1.der") + &entry_of(1, "send-chain = [\"ca-2\"]"),
            "ca-profile \"ca-2\" is not above",
        ),
        (entry_of(1, ""), "entry 1: no authority that is configured has issued its certificate"),
    ] {
        let told = files.judged(&text).unwrap().warnings;
        assert!(told.len() == 1 && told[0].to_string().contains(expected), "{told:?}");
    }
}

/// PKI-26: chains follow the authorities as they are read anew, and what has become of them is told.
#[test]
fn chains_are_those_of_the_authorities_there_are() {
    let files = Files::new();
    let plan = |ca1: &str| files.judged(&(authorities(ca1) + &entry_of(1, "") + &entry_of(2, ""))).unwrap();
    let (before, renewed, without) = (plan("ca-1.der"), plan("renewed.der"), {
        let text = "ca-profile.ca-3 = { certificate = \"ca-3.der\" }\n";
        files.judged(&(text.to_owned() + &entry_of(1, "") + &entry_of(2, ""))).unwrap()
    });
    let told = |next: &Plan| super::super::diff::chains::compare(&before, next);
    assert_eq!(told(&before), [""; 0]);
    let same = "cert-profile own, entry 2: other certificates of the same 2 authorities above it";
    assert_eq!(told(&renewed), [same]);
    assert_eq!(renewed.cert_profiles["own"].entries[1].above[0], files.0["renewed.der"]);
    assert_eq!(
        told(&without),
        ["cert-profile own, entry 2: 0 authorities above it, others than the 2 before"]
    );
}

/// RFC 7670: a key of ours without a certificate, and keys of peers, each with whose it is.
#[test]
fn keys_do_without_certificates() {
    let plan = judged(
        "cert-profile.own = { key = \"store:gw\", raw-public-key = true }
         trust-anchor-profile.t = { public-keys = { \"b.example\" = \"peer.pub\", \"192.0.2.7\" = \"peer.pub\" } }",
    )
    .unwrap();
    let [entry] = plan.cert_profiles["own"].entries.as_slice() else { panic!() };
    let own = Certificate::from_der(&der("p256.cert.pem")).unwrap();
    assert!(entry.shown.is_raw && *entry.chain() == [own.spki.clone()]);
    assert!(entry.public_key().unwrap().is_same_key(own.public_key.as_ref().unwrap()));
    let keys = &plan.trust["t"].keys;
    for (claimed, expected) in [("b.example", true), ("192.0.2.7", true), ("c.example", false)] {
        let judged = keys.judge(&claimed.parse().unwrap(), None);
        assert_eq!(judged.ok(), expected.then(peer_key), "{claimed}");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let own = |keys: &str| format!("cert-profile.own = {{ raw-public-key = true, {keys} }}");
    let peers = |keys: &str| format!("trust-anchor-profile.t = {{ {keys} }}");
    for (text, expected) in [
        (own("rsa-signature = \"pss\""), "raw-public-key without a key"),
        (own("key = \"store:gw\", certificate = \"store:gw\""), "or with a certificate"),
        (own("key = \"store:junk\""), "cannot be used"),
        (peers(""), "anchors holds 0 certificates"),
        (peers("anchors = [], public-keys = { \"b.example\" = \"peer.pub\" }"), "anchors holds 0"),
        (peers("public-keys = { \"\" = \"peer.pub\" }"), "is no identity"),
        (peers("public-keys = { \"b.example\" = \"gone.pub\" }"), "cannot be read"),
        (peers("public-keys = { \"b.example\" = \"peer.pem\" }"), "it holds CERTIFICATE"),
    ] {
        let refused = judged(&text).unwrap_err();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}
