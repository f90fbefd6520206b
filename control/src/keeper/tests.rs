//! The keeper over real key files: what it signs, what it refuses, and what it lets out.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ravelin_pki::Certificate;
use tempfile::TempDir;

use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/data");

/// A copy of a key fixture with the given mode.
fn key_file(directory: &TempDir, name: &str, mode: u32) -> PathBuf {
    let path = directory.path().join(name);
    fs::copy(format!("{DATA}/{name}"), &path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn certified(name: &str) -> PublicKey {
    let bytes = fs::read(format!("{DATA}/{name}")).unwrap();
    Certificate::from_file_bytes(&bytes).unwrap().remove(0).public_key.clone().unwrap()
}

fn started(threads: usize) -> (Keeper, Receiver<Answer>) {
    let (sender, answers) = channel::unbounded();
    (Keeper::start(threads, &sender).unwrap(), answers)
}

fn load(
    keeper: &Keeper,
    answers: &Receiver<Answer>,
    path: &Path,
    cert: &str,
) -> Result<&'static [SignatureScheme], String> {
    let source = KeySource { place: KeyPlace::File(path.to_owned()), certified: certified(cert) };
    keeper.request(Request::Load { key: "gw".into(), source }).unwrap();
    match answers.recv().unwrap() {
        Answer::Loaded { key, result } if key == KeyName::from("gw") => {
            result.map_err(|error| error.to_string())
        }
        other => panic!("{other:?}"),
    }
}

fn sign(keeper: &Keeper, ticket: u64, scheme: SignatureScheme) {
    let octets = ticket.to_be_bytes().to_vec();
    keeper.request(Request::Sign { ticket, key: "gw".into(), scheme, octets }).unwrap();
}

/// Every request is answered once, under its own ticket, with a signature of its own octets.
#[test]
fn signatures_come_back_under_their_tickets() {
    let directory = TempDir::new().unwrap();
    let (keeper, answers) = started(3);
    let path = key_file(&directory, "p256.pkcs8.pem", 0o600);
    assert_eq!(load(&keeper, &answers, &path, "p256.cert.pem"), Ok(&[SignatureScheme::EcdsaSha256][..]));
    (0..200).for_each(|ticket| sign(&keeper, ticket, SignatureScheme::EcdsaSha256));
    let public = certified("p256.cert.pem");
    let mut seen: Vec<u64> = Vec::new();
    for answer in answers.iter().take(200) {
        let Answer::Signed { ticket, result } = answer else { panic!("{answer:?}") };
        public.verify(SignatureScheme::EcdsaSha256, &ticket.to_be_bytes(), &result.unwrap()).unwrap();
        seen.push(ticket);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn every_kind_of_key_loads_and_signs() {
    let directory = TempDir::new().unwrap();
    let (keeper, answers) = started(1);
    for (name, cert) in [
        ("rsa.pkcs1.pem", "rsa-pkcs1.cert.pem"),
        ("rsa.pkcs8.der", "rsa-pkcs1.cert.pem"),
        ("p384.sec1.pem", "p384.cert.pem"),
        ("ed25519.pkcs8.pem", "ed25519.cert.pem"),
    ] {
        let schemes = load(&keeper, &answers, &key_file(&directory, name, 0o400), cert).unwrap();
        sign(&keeper, 7, schemes[0]);
        let Answer::Signed { result, .. } = answers.recv().unwrap() else { panic!() };
        certified(cert).verify(schemes[0], &7u64.to_be_bytes(), &result.unwrap()).unwrap();
    }
}

#[test]
fn a_key_others_can_reach_is_refused_with_the_command_to_type() {
    let directory = TempDir::new().unwrap();
    let (keeper, answers) = started(1);
    for mode in [0o644, 0o604, 0o660, 0o601, 0o602] {
        let path = key_file(&directory, "p256.pkcs8.pem", mode);
        let refusal = load(&keeper, &answers, &path, "p256.cert.pem").unwrap_err();
        assert!(refusal.ends_with(&format!("do: chmod 0600 {}", path.display())), "{refusal}");
    }
    for mode in [0o600, 0o400, 0o640] {
        let path = key_file(&directory, "p256.pkcs8.pem", mode);
        assert!(load(&keeper, &answers, &path, "p256.cert.pem").is_ok(), "{mode:o}");
    }
}

#[test]
fn what_is_no_key_of_ours_is_refused_and_the_old_key_stays() {
    let directory = TempDir::new().unwrap();
    let (keeper, answers) = started(1);
    let good = key_file(&directory, "p256.pkcs8.pem", 0o600);
    load(&keeper, &answers, &good, "p256.cert.pem").unwrap();
    let large = directory.path().join("large");
    fs::write(&large, vec![b'x'; (64 << 10) + 1]).unwrap();
    fs::set_permissions(&large, Permissions::from_mode(0o600)).unwrap();
    for (path, reason) in [
        (
            key_file(&directory, "p384.pkcs8.pem", 0o600),
            "is a P-384 key that does not belong to its certificate",
        ),
        (key_file(&directory, "encrypted.pkcs8.pem", 0o600), "is encrypted"),
        (key_file(&directory, "p256.cert.pem", 0o600), "no private key"),
        (directory.path().to_owned(), "not a regular file"),
        (directory.path().join("missing"), "cannot be read"),
        (large, "is larger than"),
    ] {
        let refusal = load(&keeper, &answers, &path, "p256.cert.pem").unwrap_err();
        assert!(refusal.contains(reason) && refusal.contains(&path.display().to_string()), "{refusal}");
    }
    sign(&keeper, 1, SignatureScheme::EcdsaSha256);
    assert!(matches!(answers.recv().unwrap(), Answer::Signed { ticket: 1, result: Ok(_) }));
}

#[test]
fn unknown_and_forgotten_keys_and_wrong_schemes_are_refused() {
    let directory = TempDir::new().unwrap();
    let (keeper, answers) = started(1);
    let refusal = |scheme| {
        sign(&keeper, 1, scheme);
        let Answer::Signed { result, .. } = answers.recv().unwrap() else { panic!() };
        result.unwrap_err()
    };
    assert_eq!(refusal(SignatureScheme::EcdsaSha256), Refusal::NoKey("gw".into()));
    load(&keeper, &answers, &key_file(&directory, "p256.pkcs8.pem", 0o600), "p256.cert.pem").unwrap();
    assert!(matches!(refusal(SignatureScheme::RsaPssSha256), Refusal::Sign { .. }));
    keeper.request(Request::Forget { key: "gw".into() }).unwrap();
    assert_eq!(refusal(SignatureScheme::EcdsaSha256), Refusal::NoKey("gw".into()));
}

/// A queue that is full refuses at once, and everything queued is still answered.
#[test]
fn a_full_queue_says_so() {
    let (keeper, answers) = started(1);
    let mut queued = 0;
    let refused = loop {
        let request = Request::Sign {
            ticket: queued,
            key: "none".into(),
            scheme: SignatureScheme::Ed25519,
            octets: vec![0; 1 << 12],
        };
        match keeper.request(request) {
            Ok(()) => queued += 1,
            Err(refused) => break Some(refused),
        }
        if queued == 2_000_000 {
            break None;
        }
    };
    assert!(refused.is_none_or(|refused| refused == Unavailable::Busy));
    assert_eq!(answers.iter().take(queued as usize).count() as u64, queued);
}

#[test]
fn dropping_the_keeper_ends_its_threads() {
    let (keeper, answers) = started(4);
    drop(keeper);
    assert!(answers.recv().is_err(), "every sender is gone");
}

#[test]
fn nothing_printed_holds_a_key() {
    let directory = TempDir::new().unwrap();
    let path = key_file(&directory, "p256.pkcs8.pem", 0o600);
    let source = KeySource { place: KeyPlace::File(path.clone()), certified: certified("p256.cert.pem") };
    let printed = format!("{:?}", Request::Load { key: "gw".into(), source });
    assert!(!printed.contains("BEGIN") && printed.contains("P-256"), "{printed}");
}
