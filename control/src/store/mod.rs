//! The store: certificates, CRLs and sealed private keys of this gateway, by name, in a directory of its own.
//!
//! Three directories in one: `certificates/NAME.der`, `crls/NAME.crl`, `keys/NAME.key`. Everything is DER or sealed
//! ([`ravelin_pki::sealed`]); import converts. Files are written whole or not at all and are for the daemon's user
//! alone; a directory or file that others can change is refused by name. What a private key is used for, and its
//! passphrase, are the keeper's affair: here a key is octets. A [`Store`] is a path and keeps nothing open: each change
//! locks the directory for as long as it takes.

pub mod catalog;
mod name;
mod passphrase;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ravelin_pki::file::MAX_FILE;
use ravelin_pki::sealed::MAX_SEALED;
use ravelin_pki::x509::MAX_CERTIFICATE;
use zeroize::Zeroizing;

pub use name::{BadName, ObjectName};
pub use passphrase::{PassphraseError, PassphraseSource};

use crate::secret_directory::{self, Problem, Readers, SecretDirectory};

/// Most objects of one kind: a gateway has a handful of its own and some hundred CAs. All are read for a list.
const MAX_OBJECTS: usize = 4096;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A certificate, DER.
    Certificate,
    /// A certificate revocation list, DER.
    Crl,
    /// A sealed private key.
    Key,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Certificate, Kind::Key, Kind::Crl];

    /// `certificate`, `crl`, `key`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Crl => "crl",
            Self::Key => "key",
        }
    }

    /// The kind a word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Directory and ending of its files, and the most octets in one.
    const fn files(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Certificate => ("certificates", "der", MAX_CERTIFICATE),
            Self::Crl => ("crls", "crl", MAX_FILE),
            Self::Key => ("keys", "key", MAX_SEALED),
        }
    }
}

/// Why something is not kept, found or removed. Mostly the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is none of this name.
    #[error("the store has no {} {name:?}; it has: {known}", kind.word())]
    NotFound {
        /// What was asked for.
        kind: Kind,
        /// Its name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// There is one of this name already.
    #[error("the store has a {} {name:?} already; say --replace to put this one in its place", kind.word())]
    Exists {
        /// What was to be added.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// There are too many.
    #[error("the store has {MAX_OBJECTS} objects of this kind already")]
    Full,
    /// It is too large for its kind.
    #[error("{octets} octets are more than the {most} a {} may have", kind.word())]
    TooLarge {
        /// What was to be added.
        kind: Kind,
        /// Its size.
        octets: usize,
        /// The most there may be.
        most: usize,
    },
    /// A file or directory of the store.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The store in this directory, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file an object is, or would be, in.
    pub fn file(&self, kind: Kind, name: &ObjectName) -> PathBuf {
        self.directory(kind).join(file_name(kind, name))
    }

    /// The names there are, sorted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self, kind: Kind) -> Result<Vec<ObjectName>, StoreError> {
        let (directory, (_, ending, _)) = (self.directory(kind), kind.files());
        let told = |error| StoreError::File { path: directory.clone(), problem: Problem::Machine(error) };
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(told)?,
        };
        let mut names = Vec::new();
        for entry in entries.take(2 * MAX_OBJECTS) {
            let file = entry.map_err(told)?.file_name();
            let stem = file.to_str().and_then(|file| file.strip_suffix(ending)?.strip_suffix('.'));
            names.extend(stem.and_then(|stem| stem.parse::<ObjectName>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// The octets of an object.
    ///
    /// # Errors
    /// When it is not there, or others could have read or changed it.
    pub fn read(&self, kind: Kind, name: &ObjectName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let (path, (_, _, most)) = (self.file(kind, name), kind.files());
        let read = secret_directory::read(&path, most, Readers::Owner);
        match read.map_err(|problem| StoreError::File { path, problem })? {
            Some(octets) => Ok(octets),
            None => Err(self.not_found(kind, name)),
        }
    }

    /// Keeps an object, in the place of another only if that is said.
    ///
    /// # Errors
    /// When the name is taken, the store full, or its directory not ours alone.
    pub fn add(&self, kind: Kind, name: &ObjectName, octets: &[u8], replace: bool) -> Result<(), StoreError> {
        let (_, _, most) = kind.files();
        if octets.len() > most {
            return Err(StoreError::TooLarge { kind, octets: octets.len(), most });
        }
        let directory = self.open(kind)?;
        let names = self.names(kind)?;
        if !names.contains(name) && names.len() >= MAX_OBJECTS {
            return Err(StoreError::Full);
        }
        if names.contains(name) && !replace {
            return Err(StoreError::Exists { kind, name: name.to_string() });
        }
        let path = self.file(kind, name);
        directory.write(&file_name(kind, name), octets).map_err(|problem| StoreError::File { path, problem })
    }

    /// Overwrites an object and removes it.
    ///
    /// # Errors
    /// When it is not there, or the machine refuses.
    pub fn remove(&self, kind: Kind, name: &ObjectName) -> Result<(), StoreError> {
        let (directory, path) = (self.open(kind)?, self.file(kind, name));
        let removed = directory.remove(&file_name(kind, name));
        if removed.map_err(|problem| StoreError::File { path, problem })? {
            return Ok(());
        }
        Err(self.not_found(kind, name))
    }

    fn directory(&self, kind: Kind) -> PathBuf {
        self.path.join(kind.files().0)
    }

    /// Takes a directory of it for a change; the store's own must be nobody else's either.
    fn open(&self, kind: Kind) -> Result<SecretDirectory, StoreError> {
        let told = |path: &Path| {
            let path = path.to_owned();
            move |problem| StoreError::File { path, problem }
        };
        drop(SecretDirectory::wait_for(&self.path).map_err(told(&self.path))?);
        let directory = self.directory(kind);
        SecretDirectory::wait_for(&directory).map_err(told(&directory))
    }

    fn not_found(&self, kind: Kind, name: &ObjectName) -> StoreError {
        let known = self.names(kind).unwrap_or_default();
        let known = known.iter().map(ObjectName::to_string).take(20).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        StoreError::NotFound { kind, name: name.to_string(), known }
    }
}

fn file_name(kind: Kind, name: &ObjectName) -> String {
    format!("{name}.{}", kind.files().1)
}

#[cfg(test)]
mod tests;
