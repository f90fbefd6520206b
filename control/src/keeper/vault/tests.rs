//! Private keys of the store: made, taken in, used, given out where they may be, and gone when they are destroyed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crossbeam::channel;
use ravelin_pki::x509::Name;
use ravelin_pki::{PublicKey, SignatureScheme};
use tempfile::TempDir;

use super::*;
use crate::keeper::{Answer, Keeper, KeyName, KeyPlace, KeySource, Request};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/data");

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn octets(file: &str) -> Vec<u8> {
    let bytes = std::fs::read(format!("{DATA}/{file}")).unwrap();
    ravelin_pki::pem::blocks(&bytes).unwrap().pop().unwrap().der.to_vec()
}

fn with_passphrase(text: &str) -> (TempDir, Vault) {
    let base = TempDir::new().unwrap();
    let passphrase = base.path().join("passphrase");
    std::fs::write(&passphrase, text).unwrap();
    std::fs::set_permissions(&passphrase, Permissions::from_mode(0o600)).unwrap();
    let vault = Vault::new(Store::new(base.path().join("pki")), PassphraseSource::File(passphrase));
    (base, vault)
}

fn made() -> (TempDir, Vault) {
    with_passphrase("correct horse battery\n")
}

fn password() -> Password {
    Password::new("x".to_owned().into()).unwrap()
}

/// Loads a stored key into a keeper and signs with it.
fn signed(vault: &Vault, stored: &str, certified: PublicKey) -> Result<(), String> {
    let (sender, answers) = channel::unbounded();
    let keeper = Keeper::start(1, &sender).unwrap();
    let key = KeyName::from("gw");
    let source =
        KeySource { place: KeyPlace::Stored(vault.clone(), name(stored)), certified: certified.clone() };
    keeper.request(Request::Load { key: key.clone(), source }).unwrap();
    let Answer::Loaded { result, .. } = answers.recv().unwrap() else { panic!() };
    result.map_err(|error| error.to_string())?;
    let scheme = certified.signing_schemes()[0];
    keeper.request(Request::Sign { ticket: 1, key, scheme, octets: b"octets".to_vec() }).unwrap();
    let Answer::Signed { result, .. } = answers.recv().unwrap() else { panic!() };
    certified.verify(scheme, b"octets", &result.unwrap()).unwrap();
    Ok(())
}

#[test]
fn a_key_is_made_asks_for_a_certificate_and_signs() {
    let (_base, vault) = made();
    let gw = name("gw");
    vault.generate(&gw, KeyKind::P256, false).unwrap();
    let again = vault.generate(&gw, KeyKind::P256, false).unwrap_err().to_string();
    assert!(again.contains("a key \"gw\" already"), "{again}");
    let subject = Name::from_text("CN=gw").unwrap();
    let wanted = CertificationRequest {
        subject: &subject,
        names: &[],
        key_usage: &[],
        extended_key_usage: &[],
        challenge_password: None,
    };
    let request = vault.request(&gw, &wanted).unwrap();
    let public = vault.look(&gw).unwrap().public_key_info().to_vec();
    assert!(request.windows(public.len()).any(|window| window == public), "the request is about this key");
    signed(&vault, "gw", vault.look(&gw).unwrap().public_key().clone()).unwrap();
}

/// A key that is imported is that of its certificate or refused, whichever comes first.
#[test]
fn keys_and_certificates_of_one_name_belong_together() {
    let (_base, vault) = made();
    let certificate = octets("p256.cert.pem");
    vault.store().add(Kind::Certificate, &name("gw"), &certificate, false).unwrap();
    let refused = vault.import(&name("gw"), &octets("p384.pkcs8.pem"), false, false).unwrap_err();
    assert!(matches!(refused, VaultError::Mismatch(_)), "{refused}");
    vault.import(&name("gw"), &octets("p256.pkcs8.pem"), false, false).unwrap();
    let public = Certificate::from_der(&certificate).unwrap().public_key.clone().unwrap();
    signed(&vault, "gw", public.clone()).unwrap();
    vault.import(&name("other"), &octets("p384.pkcs8.pem"), false, false).unwrap();
    let refused = signed(&vault, "other", public).unwrap_err();
    assert!(refused.contains("store:other") && refused.contains("does not belong"), "{refused}");
}

#[test]
fn only_what_may_leave_leaves() {
    let (_base, vault) = made();
    let certificate = Certificate::from_der(&octets("p256.cert.pem")).unwrap();
    vault.import(&name("stays"), &octets("p256.pkcs8.pem"), false, false).unwrap();
    vault.import(&name("leaves"), &octets("p256.pkcs8.pem"), true, false).unwrap();
    for refused in [
        vault.export(&name("stays"), &password()).map(|_| ()),
        vault.export_pkcs12(&name("stays"), &[&certificate], &password()).map(|_| ()),
    ] {
        assert!(refused.unwrap_err().to_string().contains("\"stays\" is not exportable"));
    }
    let key = vault.export(&name("leaves"), &password()).unwrap();
    assert!(file::read(&key, Some(&password())).unwrap().key.is_some());
    let both = vault.export_pkcs12(&name("leaves"), &[&certificate], &password()).unwrap();
    assert_eq!(file::read(&both, Some(&password())).unwrap().certificates, [certificate]);
    // The mark is bound: setting it in the file does not set it.
    let path = vault.store().file(Kind::Key, &name("stays"));
    let mut octets = std::fs::read(&path).unwrap();
    octets[6] |= 1;
    std::fs::write(&path, octets).unwrap();
    let refused = vault.export(&name("stays"), &password()).unwrap_err().to_string();
    assert!(refused.contains("does not open"), "{refused}");
}

/// Copied elsewhere, or renamed, a key is of no use; nor is anything of it in clear.
#[test]
fn a_store_without_its_passphrase_is_locked() {
    let (base, vault) = made();
    vault.import(&name("gw"), &octets("p256.pkcs8.pem"), true, false).unwrap();
    let sealed = std::fs::read(vault.store().file(Kind::Key, &name("gw"))).unwrap();
    let secret = &octets("p256.pkcs8.pem")[36..68];
    assert!(!sealed.windows(32).any(|window| window == secret));
    let (_other, stranger) = with_passphrase("another passphrase");
    stranger.store().add(Kind::Key, &name("gw"), &sealed, false).unwrap();
    let refused = stranger.export(&name("gw"), &password()).unwrap_err().to_string();
    assert!(refused.contains("another passphrase"), "{refused}");
    vault.store().add(Kind::Key, &name("renamed"), &sealed, false).unwrap();
    assert!(vault.export(&name("renamed"), &password()).is_err());
    std::fs::remove_file(base.path().join("passphrase")).unwrap();
    let refused = vault.export(&name("gw"), &password()).unwrap_err().to_string();
    assert!(refused.contains("no such file"), "{refused}");
    let refused = vault.generate(&name("new"), KeyKind::Ed25519, false).unwrap_err().to_string();
    assert!(refused.contains("no such file"), "{refused}");
}

#[test]
fn what_is_held_signs_on_until_it_is_forgotten() {
    let (_base, vault) = made();
    vault.import(&name("gw"), &octets("p256.pkcs8.pem"), false, false).unwrap();
    let certified = vault.look(&name("gw")).unwrap().public_key().clone();
    let (sender, answers) = channel::unbounded();
    let keeper = Keeper::start(1, &sender).unwrap();
    let key = KeyName::from("gw");
    let source = KeySource { place: KeyPlace::Stored(vault.clone(), name("gw")), certified };
    keeper.request(Request::Load { key: key.clone(), source: source.clone() }).unwrap();
    let told = || answers.recv().unwrap();
    assert!(matches!(told(), Answer::Loaded { result: Ok(_), .. }));
    vault.store().remove(Kind::Key, &name("gw")).unwrap();
    let sign = |ticket| {
        let (key, scheme) = (key.clone(), SignatureScheme::EcdsaSha256);
        keeper.request(Request::Sign { ticket, key, scheme, octets: Vec::new() }).unwrap();
    };
    sign(1);
    assert!(matches!(told(), Answer::Signed { result: Ok(_), .. }));
    keeper.request(Request::Forget { key: key.clone() }).unwrap();
    sign(2);
    let Answer::Signed { result, .. } = told() else { panic!() };
    assert_eq!(result.unwrap_err().to_string(), "no private key is loaded for gw");
    keeper.request(Request::Load { key: key.clone(), source }).unwrap();
    let Answer::Loaded { result, .. } = told() else { panic!() };
    assert!(result.unwrap_err().to_string().contains("no key \"gw\""));
}
