//! Files that hold certificates and keys, with OpenSSL as the other party: we read what it writes, it reads what we
//! write, and what is refused says why. Guards the formats of import and export, and the limits on hostile files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test runs the other party and fails by panicking"
)]

use std::path::Path;
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use proptest::prelude::*;
use ravelin_pki::der::write;
use ravelin_pki::file::{self, FileError, pkcs7, pkcs12};
use ravelin_pki::key::{KeyFileError, KeyKind};
use ravelin_pki::password::Password;
use ravelin_pki::path::{Budget, Rules};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::verdict::{self, Basis};
use ravelin_pki::{Certificate, PrivateKey, UnixTime, hash_and_url, pem};
use tempfile::TempDir;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const KEYS: [(&str, &str); 5] = [
    ("rsa.pkcs8.pem", "rsa-pkcs1.cert.pem"),
    ("p256.pkcs8.pem", "p256.cert.pem"),
    ("p384.pkcs8.pem", "p384.cert.pem"),
    ("p521.pkcs8.pem", "p521.cert.pem"),
    ("ed25519.pkcs8.pem", "ed25519.cert.pem"),
];

fn data(name: &str) -> String {
    format!("{DATA}/{name}")
}

fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_file_bytes(&bytes(data(name))).unwrap().remove(0)
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned().into()).unwrap()
}

/// Runs OpenSSL and gives what it prints.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "openssl {arguments:?}: {text}");
    text
}

fn at(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn encrypted_keys_of_openssl_are_read() {
    let directory = TempDir::new().unwrap();
    let schemes: [&[&str]; 6] = [
        &["-v2", "aes256"],
        &["-v2", "aes128", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512"],
        &["-v2", "aes256", "-iter", "100000"],
        &["-scrypt"],
        &["-v2", "aes256", "-outform", "DER"],
    ];
    for (number, (key, cert)) in KEYS.iter().cycle().take(schemes.len()).enumerate() {
        let out = at(&directory, "key");
        let base = ["pkcs8", "-topk8", "-in", &data(key), "-passout", "pass:s\u{e9}cret", "-out", &out];
        openssl(&[&base[..], schemes[number]].concat());
        let read = file::read(&bytes(&out), Some(&password("s\u{e9}cret"))).unwrap();
        assert!(read.key.unwrap().matches(certificate(cert).public_key.as_ref().unwrap()), "{key}");
        let wrong = file::read(&bytes(&out), Some(&password("secret"))).unwrap_err().to_string();
        assert!(wrong.contains("password is wrong"), "{wrong}");
        assert_eq!(file::read(&bytes(&out), None).unwrap_err(), FileError::Key(KeyFileError::Encrypted));
    }
}

#[test]
fn old_ciphers_are_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let out = at(&directory, "key");
    let schemes: [(&[&str], &str); 3] = [
        (&["-v2", "des3"], "PBES2"),
        (&["-v1", "PBE-SHA1-3DES"], "pbeWithSHAAnd3-KeyTripleDES-CBC"),
        (&["-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"], "pbeWithMD5AndDES-CBC"),
    ];
    for (scheme, name) in schemes {
        let base = ["pkcs8", "-topk8", "-in", &data("p256.pkcs8.pem"), "-passout", "pass:x", "-out", &out];
        openssl(&[&base[..], scheme].concat());
        let refused = file::read(&bytes(&out), Some(&password("x"))).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("AES with PBKDF2"), "{refused}");
    }
    let (key, cert) = (data("p256.pkcs8.pem"), data("p256.cert.pem"));
    let base = ["pkcs12", "-export", "-inkey", &key, "-in", &cert, "-passout", "pass:x", "-out", &out];
    openssl(&[&base[..], &["-legacy"]].concat());
    let refused = file::read(&bytes(&out), Some(&password("x"))).unwrap_err().to_string();
    assert!(refused.contains("pbeWithSHAAnd40BitRC2-CBC"), "{refused}");
    openssl(&[&base[..], &["-nomac"]].concat());
    let refused = file::read(&bytes(&out), Some(&password("x"))).unwrap_err().to_string();
    assert!(refused.contains("no MAC"), "{refused}");
}

#[test]
fn pkcs12_of_openssl_is_read() {
    let directory = TempDir::new().unwrap();
    let out = at(&directory, "bundle.p12");
    let options: [&[&str]; 4] = [
        &[],
        &["-macalg", "sha512"],
        &["-macalg", "sha1", "-certpbe", "AES-128-CBC"],
        &["-certpbe", "NONE", "-keypbe", "NONE"],
    ];
    for (number, (key, cert)) in KEYS.iter().take(4).enumerate() {
        let chain = data("ed25519.cert.pem");
        let base = [
            "pkcs12",
            "-export",
            "-inkey",
            &data(key),
            "-in",
            &data(cert),
            "-certfile",
            &chain,
            "-name",
            "gw \u{fc}",
            "-passout",
            "pass:s\u{e9}cret",
            "-out",
            &out,
        ];
        openssl(&[&base[..], options[number]].concat());
        let read = file::read(&bytes(&out), Some(&password("s\u{e9}cret"))).unwrap();
        let names: Vec<String> = read.certificates.iter().map(|cert| cert.subject.to_string()).collect();
        assert_eq!(
            names,
            [certificate(cert).subject.to_string(), certificate("ed25519.cert.pem").subject.to_string()]
        );
        assert!(read.key.unwrap().matches(certificate(cert).public_key.as_ref().unwrap()));
        let wrong = file::read(&bytes(&out), Some(&password("secret"))).unwrap_err().to_string();
        assert!(wrong.contains("password is wrong"), "{wrong}");
        assert_eq!(file::read(&bytes(&out), None).unwrap_err(), FileError::Key(KeyFileError::Encrypted));
    }
}

#[test]
fn openssl_reads_the_keys_we_write() {
    let directory = TempDir::new().unwrap();
    let out = at(&directory, "key");
    for (key, _) in KEYS {
        let private = PrivateKey::from_file_bytes(&bytes(data(key))).unwrap();
        let public = openssl(&["pkey", "-in", &data(key), "-pubout"]);
        let (pem_text, der) = (
            file::key_pem(&private, &password("s\u{e9}cret"), &SystemRandom::new()).unwrap(),
            file::key_der(&private, &password("s\u{e9}cret"), &SystemRandom::new()).unwrap(),
        );
        for (octets, form) in [(pem_text.as_bytes(), "PEM"), (&der[..], "DER")] {
            std::fs::write(&out, octets).unwrap();
            let read =
                openssl(&["pkey", "-in", &out, "-inform", form, "-passin", "pass:s\u{e9}cret", "-pubout"]);
            assert_eq!(read, public, "{key}");
            assert!(file::read(octets, Some(&password("s\u{e9}cret"))).unwrap().key.is_some());
        }
    }
}

#[test]
fn openssl_reads_the_pkcs12_we_write() {
    let directory = TempDir::new().unwrap();
    let out = at(&directory, "bundle.p12");
    for (key, cert) in KEYS {
        let private = PrivateKey::from_file_bytes(&bytes(data(key))).unwrap();
        let (leaf, above) = (certificate(cert), certificate("p384.cert.pem"));
        let identity = pkcs12::Identity { name: "gw", key: &private, certificates: &[&leaf, &above] };
        let written = pkcs12::write(&identity, &password("s\u{e9}cret"), &SystemRandom::new()).unwrap();
        std::fs::write(&out, &written).unwrap();
        let told = openssl(&["pkcs12", "-in", &out, "-passin", "pass:s\u{e9}cret", "-info", "-nodes"]);
        assert!(told.contains("MAC: sha256, Iteration 600000"), "{told}");
        assert_eq!(told.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(
            told.contains("friendlyName: gw") && told.contains("AES-256-CBC, Iteration 600000"),
            "{told}"
        );
        std::fs::write(&out, told).unwrap();
        let back = file::read(&bytes(&out), None).unwrap();
        assert!(back.key.unwrap().matches(leaf.public_key.as_ref().unwrap()));
        let ours = file::read(&written, Some(&password("s\u{e9}cret"))).unwrap();
        assert_eq!(ours.certificates, [leaf, above]);
    }
}

#[test]
fn pkcs7_goes_both_ways() {
    let directory = TempDir::new().unwrap();
    let (out, crl) = (at(&directory, "bundle.p7"), at(&directory, "crl.pem"));
    let database = at(&directory, "index");
    std::fs::write(&database, "").unwrap();
    let config = at(&directory, "ca.cnf");
    std::fs::write(
        &config,
        format!("[ca]\ndefault_ca=d\n[d]\ndatabase={database}\ndefault_md=sha256\ndefault_crl_days=9\n"),
    )
    .unwrap();
    let (key, cert, other) = (data("p256.pkcs8.pem"), data("p256.cert.pem"), data("p384.cert.pem"));
    openssl(&["ca", "-config", &config, "-gencrl", "-keyfile", &key, "-cert", &cert, "-out", &crl]);
    for form in ["PEM", "DER"] {
        let args = [
            "crl2pkcs7",
            "-in",
            &crl,
            "-certfile",
            &cert,
            "-certfile",
            &other,
            "-outform",
            form,
            "-out",
            &out,
        ];
        openssl(&args);
        let read = file::read(&bytes(&out), None).unwrap();
        assert_eq!(read.certificates, [certificate("p256.cert.pem"), certificate("p384.cert.pem")]);
        assert_eq!(read.crls, [pem::blocks(&bytes(&crl)).unwrap()[0].der.to_vec()]);
    }
    let (one, two) = (certificate("p256.cert.pem"), certificate("p521.cert.pem"));
    let list = pem::blocks(&bytes(&crl)).unwrap()[0].der.to_vec();
    std::fs::write(&out, pkcs7::write(&[&one, &two], &[&list])).unwrap();
    let told = openssl(&["pkcs7", "-in", &out, "-inform", "DER", "-print_certs", "-noout"]);
    assert!(told.contains("CN = p256") && told.contains("CN = p521"), "{told}");
    let back = file::read(&bytes(&out), None).unwrap();
    assert_eq!((back.certificates, back.crls), (vec![one, two], vec![list.clone()]));
    // The CRL alone, in both forms, is known for one.
    assert_eq!(file::read(&list, None).unwrap().crls, [&list[..]]);
    assert_eq!(file::read(&bytes(&crl), None).unwrap().crls, [list]);
}

#[test]
fn every_form_is_told_by_what_is_in_it() {
    for (key, cert) in KEYS {
        let read = file::read(&[bytes(data(key)), bytes(data(cert))].concat(), None).unwrap();
        assert!(read.key.unwrap().matches(read.certificates[0].public_key.as_ref().unwrap()), "{key}");
    }
    for name in ["rsa.pkcs1.pem", "p256.sec1.pem", "rsa.pkcs8.der"] {
        assert!(file::read(&bytes(data(name)), None).unwrap().key.is_some(), "{name}");
    }
    let der = certificate("p521.cert.pem").der().to_vec();
    assert_eq!(file::read(&der, None).unwrap().certificates.len(), 1);
    for junk in [&b""[..], b"\x30\x00", b"hello", &[0x30, 0x80, 0, 0], &der[..40]] {
        assert!(file::read(junk, None).is_err(), "{junk:02x?}");
    }
    let parameters = pem::write("EC PARAMETERS", &[5, 0]);
    let refused = file::read(parameters.as_bytes(), None).unwrap_err().to_string();
    assert!(refused.contains("holds EC PARAMETERS"), "{refused}");
    let two = [bytes(data("p256.pkcs8.pem")), bytes(data("p384.pkcs8.pem"))].concat();
    assert_eq!(file::read(&two, None).unwrap_err(), FileError::Key(KeyFileError::Several(2)));
}

/// Every cap holds at the cap and refuses one more, by name.
#[test]
fn counts_and_sizes_have_limits() {
    let certificate = certificate("ed25519.cert.pem");
    let text = file::certificates_pem(&[&certificate]);
    assert_eq!(file::read(text.repeat(1000).as_bytes(), None).unwrap().certificates.len(), 1000);
    for count in [1001, 5000] {
        let refused = file::read(text.repeat(count).as_bytes(), None).unwrap_err().to_string();
        assert!(refused.contains("more than 1000 certificates"), "{refused}");
    }
    let bundle = Certificate::from_pem_bundle(text.repeat(1001).as_bytes()).unwrap_err().to_string();
    assert!(bundle.contains("more than 1000"), "{bundle}");
    let many = vec![&certificate; 1001];
    let refused = file::read(&pkcs7::write(&many, &[]), None).unwrap_err().to_string();
    assert!(refused.contains("more than 1000 certificates"), "{refused}");
    assert_eq!(file::read(&pkcs7::write(&many[1..], &[]), None).unwrap().certificates.len(), 1000);
    assert!(Password::new("x".repeat(1025).into()).is_none());
}

/// Whatever ten thousand certificates come in, they are refused by name, and before they are read.
#[test]
fn ten_thousand_certificates_are_refused_by_name() {
    let certificate = certificate("ed25519.cert.pem");
    let many = vec![&certificate; 10_000];
    let text = file::certificates_pem(&[&certificate]).repeat(10_000);
    let secret = password("secret");
    let safe = {
        let key = PrivateKey::from_file_bytes(&bytes(data("ed25519.pkcs8.pem"))).unwrap();
        let identity = pkcs12::Identity { name: "many", key: &key, certificates: &many };
        pkcs12::write(&identity, &secret, &SystemRandom::new()).unwrap()
    };
    let files = [
        (text.as_bytes(), "octets are more than the 4194304 accepted"),
        (&pkcs7::write(&many, &[]), "PKCS#7: more than 1000 certificates"),
        (&safe, "PKCS#12: more than"),
    ];
    for (octets, expected) in files {
        let refused = file::read(octets, Some(&secret)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    let told = Certificate::from_pem_bundle(text.as_bytes()).unwrap_err().to_string();
    assert!(told.contains("4194304 accepted"), "{told}");
    let ders: Vec<&[u8]> = many.iter().map(|certificate| certificate.der()).collect();
    let bundle = hash_and_url::bundle(&ders);
    let told = hash_and_url::certificates(true, &hash_and_url::hash(&bundle), &bundle).unwrap_err();
    assert!(told.to_string().contains("more than 16 certificates"), "{told}");
    let basis = Basis {
        anchors: &Anchors::default(),
        intermediates: &Intermediates::default(),
        rules: &Rules::default(),
        budget: Budget::default(),
        time: UnixTime(0),
        known: None,
        match_identity: true,
    };
    let told = verdict::reach(&ders, &"gw.example".parse().unwrap(), &basis).unwrap_err();
    assert_eq!(told, verdict::Refusal::TooMany(10_000));
}

/// A key that asks for hours of work is refused at once, and says how much it asked for.
#[test]
fn a_file_may_not_keep_us_busy() {
    let dear = |kdf: &[u8]| {
        let aes = write::sequence(&[
            &write::element(6, &[&[0x60, 0x86, 0x48, 1, 101, 3, 4, 1, 42]]),
            &write::element(4, &[&[0; 16]]),
        ]);
        let scheme = write::sequence(&[&write::oid(ravelin_pki::oid::PBES2), &write::sequence(&[kdf, &aes])]);
        write::sequence(&[&scheme, &write::element(4, &[&[0; 32]])])
    };
    let pbkdf2 = |count| {
        let parameters = write::sequence(&[&write::element(4, &[&[0; 8]]), &write::integer(count)]);
        write::sequence(&[
            &write::element(6, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12]]),
            &parameters,
        ])
    };
    let scrypt = |cost, block, parallel| {
        let numbers = [write::integer(cost), write::integer(block), write::integer(parallel)].concat();
        let parameters = write::sequence(&[&write::element(4, &[&[0; 8]]), &numbers]);
        write::sequence(&[&write::element(6, &[&[0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11]]), &parameters])
    };
    for (kdf, wanted) in [
        (pbkdf2(5_000_001), "5000001 steps"),
        (pbkdf2(u32::MAX), "4294967295 steps"),
        (scrypt(1 << 24, 8, 1), "536870912 steps"),
        (scrypt(1 << 14, 8, 65_535), "steps"),
    ] {
        let refused = file::read(&dear(&kdf), Some(&password("x"))).unwrap_err().to_string();
        assert!(refused.contains(wanted) && refused.contains("more than the 5000000"), "{refused}");
    }
    let started = file::read(&dear(&pbkdf2(1)), Some(&password("x"))).unwrap_err().to_string();
    assert!(started.contains("password is wrong"), "{started}");
}

#[test]
fn every_kind_of_key_is_made() {
    let directory = TempDir::new().unwrap();
    let out = at(&directory, "key");
    for (kind, told) in [
        (KeyKind::Rsa2048, "2048 bit"),
        (KeyKind::Rsa3072, "3072 bit"),
        (KeyKind::P256, "prime256v1"),
        (KeyKind::P384, "secp384r1"),
        (KeyKind::P521, "secp521r1"),
        (KeyKind::Ed25519, "ED25519"),
    ] {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        let key = PrivateKey::generate(kind, &SystemRandom::new()).unwrap();
        let written = pem::write("PRIVATE KEY", &key.to_pkcs8().unwrap());
        std::fs::write(&out, written.as_bytes()).unwrap();
        // Without -noout it would print the key; -check does not know Ed25519 in 3.0.
        let text = openssl(&["pkey", "-in", &out, "-noout", "-text"]);
        assert!(text.contains(told), "{kind}: {}", text.lines().next().unwrap_or_default());
        if kind != KeyKind::Ed25519 {
            openssl(&["pkey", "-in", &out, "-noout", "-check"]);
        }
        let public = pem::write("PUBLIC KEY", &key.public_key_info().unwrap());
        assert_eq!(openssl(&["pkey", "-in", &out, "-pubout"]), *public);
        let again = PrivateKey::generate(kind, &SystemRandom::new()).unwrap();
        assert_ne!(again.public_key_info(), key.public_key_info(), "{kind}");
    }
    assert!("rsa-1024".parse::<KeyKind>().unwrap_err().contains("rsa-2048"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// One changed octet of a PKCS#12 file is noticed, wherever it is, and never panics.
    #[test]
    fn a_changed_pkcs12_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let original = &SMALL;
        let mut der = original.to_vec();
        let at = at.index(der.len());
        der[at] ^= flip;
        if let Ok(read) = file::read(&der, Some(&password("x"))) {
            // What is not under the MAC says nothing: iterations written otherwise, a NULL left out.
            prop_assert_eq!(read.certificates.len(), 1);
        }
    }
}

/// A file of OpenSSL's with few iterations, so that hundreds of variants are quickly tried.
static SMALL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let out = at(&directory, "small.p12");
    let (key, cert) = (data("p256.pkcs8.pem"), data("p256.cert.pem"));
    openssl(&[
        "pkcs12", "-export", "-inkey", &key, "-in", &cert, "-passout", "pass:x", "-iter", "1", "-out", &out,
    ]);
    bytes(out)
});
