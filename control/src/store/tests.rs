//! The store on a real directory: what is kept comes back, what others could have touched does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn made() -> (tempfile::TempDir, Store) {
    let base = tempfile::tempdir().unwrap();
    let store = Store::new(base.path().join("var/pki"));
    (base, store)
}

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_added_is_read_and_removed() {
    let (_base, store) = made();
    assert_eq!(store.names(Kind::Key).unwrap(), []);
    store.add(Kind::Certificate, &name("gw"), b"one", false).unwrap();
    store.add(Kind::Certificate, &name("ca-1.x_y"), b"two", false).unwrap();
    store.add(Kind::Key, &name("gw"), b"three", false).unwrap();
    assert_eq!(store.names(Kind::Certificate).unwrap(), [name("ca-1.x_y"), name("gw")]);
    assert_eq!(**store.read(Kind::Key, &name("gw")).unwrap(), *b"three");
    let refused = store.add(Kind::Key, &name("gw"), b"four", false).unwrap_err().to_string();
    assert!(refused.contains("a key \"gw\" already") && refused.contains("--replace"), "{refused}");
    store.add(Kind::Key, &name("gw"), b"four", true).unwrap();
    assert_eq!(**store.read(Kind::Key, &name("gw")).unwrap(), *b"four");
    store.remove(Kind::Certificate, &name("gw")).unwrap();
    let missing = store.read(Kind::Certificate, &name("gw")).unwrap_err().to_string();
    assert!(missing.contains("no certificate \"gw\"; it has: ca-1.x_y"), "{missing}");
    assert!(store.remove(Kind::Certificate, &name("gw")).is_err());
}

/// Nobody else may read anything of it, and no half-written file is taken for one.
#[test]
fn files_are_for_us_alone() {
    let (_base, store) = made();
    store.add(Kind::Key, &name("gw"), b"three", false).unwrap();
    assert_eq!(mode(store.path()), 0o700);
    assert_eq!(mode(&store.path().join("keys")), 0o700);
    let file = store.file(Kind::Key, &name("gw"));
    assert_eq!(mode(&file), 0o600);
    fs::write(store.path().join("keys/half.key.new"), b"half").unwrap();
    assert_eq!(store.names(Kind::Key).unwrap(), [name("gw")]);

    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let refused = store.read(Kind::Key, &name("gw")).unwrap_err().to_string();
    assert!(refused.contains("gw.key") && refused.contains("chmod 0600"), "{refused}");
    fs::set_permissions(store.path().join("keys"), Permissions::from_mode(0o770)).unwrap();
    let refused = store.add(Kind::Key, &name("x"), b"", false).unwrap_err().to_string();
    assert!(refused.contains("keys: has mode 0770") && refused.contains("chmod 0700"), "{refused}");
    fs::set_permissions(store.path(), Permissions::from_mode(0o777)).unwrap();
    let refused = store.add(Kind::Crl, &name("x"), b"", false).unwrap_err().to_string();
    assert!(refused.contains("has mode 0777"), "{refused}");
}

#[test]
fn links_are_not_followed() {
    let (base, store) = made();
    store.add(Kind::Key, &name("gw"), b"three", false).unwrap();
    let outside = base.path().join("outside");
    fs::write(&outside, b"precious").unwrap();
    std::os::unix::fs::symlink(&outside, store.path().join("keys/link.key")).unwrap();
    assert!(store.read(Kind::Key, &name("link")).is_err());
    assert!(store.remove(Kind::Key, &name("link")).is_err());
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}

/// Whoever still has the file open when a key is removed finds zeros.
#[test]
fn what_is_removed_is_overwritten() {
    use std::io::Read;
    let (_base, store) = made();
    store.add(Kind::Key, &name("gw"), b"secret", false).unwrap();
    let mut open = fs::File::open(store.file(Kind::Key, &name("gw"))).unwrap();
    store.remove(Kind::Key, &name("gw")).unwrap();
    let mut left = Vec::new();
    open.read_to_end(&mut left).unwrap();
    assert_eq!(left, [0; 6]);
}

#[test]
fn names_are_never_paths() {
    for bad in ["", ".", "..", ".gw", "-gw", "a/b", "../gw", "a b", "a\0b", "\u{fc}", "a\n", &"x".repeat(65)]
    {
        assert_eq!(bad.parse::<ObjectName>(), Err(BadName), "{bad:?}");
    }
    assert!("x".repeat(64).parse::<ObjectName>().is_ok());
    assert_eq!(name("gw").numbered(1), Ok(name("gw")));
    assert_eq!(name("gw").numbered(3), Ok(name("gw-3")));
    assert_eq!(name(&"x".repeat(64)).numbered(2), Err(BadName));
}

#[test]
fn sizes_have_limits() {
    let (_base, store) = made();
    let refused = store.add(Kind::Key, &name("gw"), &vec![0; MAX_SEALED + 1], false).unwrap_err().to_string();
    assert!(refused.contains("16385 octets"), "{refused}");
    store.add(Kind::Key, &name("gw"), &vec![0; MAX_SEALED], false).unwrap();
}

#[test]
fn passphrases_come_from_a_file_of_ours() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("pass");
    let source = PassphraseSource::File(path.clone());
    let told = |source: &PassphraseSource| source.read().map(|_| ()).unwrap_err().to_string();
    assert!(told(&source).contains("no such file"));
    fs::write(&path, "correct horse battery\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(told(&source).contains("chmod 0600"));
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(source.read().is_ok());
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "short\n").unwrap();
    assert!(told(&source).contains("5 octets"));
}
