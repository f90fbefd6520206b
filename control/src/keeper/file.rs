//! Reading a private key from its file: who else may read it, how large it is, and every copy wiped.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ravelin_pki::key::KeyFileError;
use ravelin_pki::{PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::{KeyPlace, VaultError};

/// Largest key file read: an RSA key of 8192 bits in PEM has 7 kB, a chain in the same file a few more.
const MAX_FILE: usize = 64 << 10;

/// Why a key was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("private key {place}: {problem}")]
pub struct LoadError {
    /// Where it lies, as it is told.
    pub place: String,
    /// What is wrong with it.
    pub problem: KeyFileProblem,
}

/// What is wrong with a key file. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileProblem {
    /// The system does not let us read it.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// It is a directory, a device or a pipe.
    #[error("is not a regular file")]
    NotRegular,
    /// Others than its owner and group may use it, or the group may change it.
    #[error("has mode {mode:04o}, which lets others at it; do: chmod 0600 {path}")]
    Exposed {
        /// Its permission bits.
        mode: u32,
        /// The file, for the command to type.
        path: String,
    },
    /// Somebody else owns it and can change it under us.
    #[error("belongs to user {owner}, not to root or to user {expected}; do: chown {expected} {path}")]
    Foreign {
        /// Its owner.
        owner: u32,
        /// Whom we run as.
        expected: u32,
        /// The file, for the command to type.
        path: String,
    },
    /// It is larger than any key.
    #[error("is larger than {MAX_FILE} bytes")]
    TooLarge,
    /// The store does not give it.
    #[error("{0}")]
    Stored(Box<VaultError>),
    /// There is no usable key in it.
    #[error("{0}")]
    Key(#[from] KeyFileError),
    /// It is not the key of the certificate.
    #[error("is a {found} key that does not belong to its certificate, which has a {certified} key")]
    Mismatch {
        /// Kind of the key in the file.
        found: &'static str,
        /// Kind of the key in the certificate.
        certified: String,
    },
}

/// Reads a private key.
pub(super) fn read(place: &KeyPlace) -> Result<PrivateKey, LoadError> {
    let read = match place {
        KeyPlace::File(path) => read_checked(path),
        KeyPlace::Stored(vault, name) => {
            vault.open(name).map_err(|error| KeyFileProblem::Stored(Box::new(error)))
        }
    };
    read.map_err(|problem| LoadError { place: place.to_string(), problem })
}

/// The error for a key that is not the certificate's.
pub(super) fn mismatch(place: &KeyPlace, key: &PrivateKey, certified: &PublicKey) -> LoadError {
    let problem = KeyFileProblem::Mismatch { found: key.kind(), certified: certified.to_string() };
    LoadError { place: place.to_string(), problem }
}

fn read_checked(path: &Path) -> Result<PrivateKey, KeyFileProblem> {
    let file = File::open(path).map_err(KeyFileProblem::Unreadable)?;
    // Of the open file, so that what is checked is what is read.
    let metadata = file.metadata().map_err(KeyFileProblem::Unreadable)?;
    check(&metadata, nix::unistd::geteuid().as_raw(), path)?;
    let octets = read_all(file)?;
    Ok(PrivateKey::from_file_bytes(&octets)?)
}

fn check(metadata: &Metadata, us: u32, path: &Path) -> Result<(), KeyFileProblem> {
    if !metadata.is_file() {
        return Err(KeyFileProblem::NotRegular);
    }
    let (mode, path) = (metadata.mode() & 0o7777, path.display().to_string());
    // Everybody else: nothing. The group: may read, for keys that a group of daemons shares.
    if mode & 0o027 != 0 {
        return Err(KeyFileProblem::Exposed { mode, path });
    }
    match metadata.uid() {
        owner if owner == 0 || owner == us => Ok(()),
        owner => Err(KeyFileProblem::Foreign { owner, expected: us, path }),
    }
}

/// The contents, in one allocation that is wiped: a buffer that grows leaves copies behind.
fn read_all(file: File) -> Result<Zeroizing<Vec<u8>>, KeyFileProblem> {
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut octets).map_err(KeyFileProblem::Unreadable)?;
    if octets.len() > MAX_FILE { Err(KeyFileProblem::TooLarge) } else { Ok(octets) }
}
