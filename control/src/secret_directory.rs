//! A directory of secrets: ours alone, locked while it is open, its files written whole or not at all.
//!
//! What others may read or change is refused, not mended: whoever could put a file there could have read it too. What a
//! file means is left to the caller.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// What is wrong with a directory or file. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The system refuses.
    #[error("{0}")]
    Machine(#[from] std::io::Error),
    /// Another process has it.
    #[error("another ravelind has it: give each a directory of its own")]
    InUse,
    /// Others may read the secret, or put another in its place.
    #[error("has mode {mode:04o}, which lets others at it; do: chmod {wanted}")]
    Exposed {
        /// Its permission bits.
        mode: u32,
        /// What they are to be, for the command to type.
        wanted: &'static str,
    },
    /// Somebody else owns it.
    #[error("belongs to user {0}, neither to us nor to root")]
    Foreign(u32),
    /// It is a directory, a device or a pipe.
    #[error("is not a regular file")]
    NotRegular,
    /// It is not what we write.
    #[error("has not {0} bytes: remove it, and a new one is made")]
    Length(usize),
    /// It is larger than anything we write.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
}

/// Who may read a secret besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Owner,
    /// A group, as systemd gives credentials to a service of another user.
    Group,
}

/// The directory, ours alone until this is dropped.
#[derive(Debug)]
pub struct SecretDirectory {
    handle: File,
    path: PathBuf,
}

impl SecretDirectory {
    /// Takes the directory, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be had, others may change it, or another process has it.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let handle = open_directory(path)?;
        match handle.try_lock() {
            Ok(()) => Ok(Self { handle, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => Err(Problem::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The same, once whoever has it is done with it: for what takes it for a moment only.
    ///
    /// # Errors
    /// When it cannot be had, or others may change it.
    pub fn wait_for(path: &Path) -> Result<Self, Problem> {
        let handle = open_directory(path)?;
        handle.lock()?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Where a file of it is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, whole or not at all, also when the power fails.
    ///
    /// # Errors
    /// The machine's word.
    pub fn write(&self, name: &str, octets: &[u8]) -> Result<(), Problem> {
        let (path, new) = (self.file(name), self.file(&format!("{name}.new")));
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        Ok(self.handle.sync_all()?)
    }

    /// Overwrites a file and removes it; whether it was there.
    ///
    /// # Errors
    /// The machine's word.
    pub fn remove(&self, name: &str) -> Result<bool, Problem> {
        match wipe(&self.file(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            wiped => {
                wiped?;
                self.handle.sync_all()?;
                Ok(true)
            }
        }
    }
}

/// Takes away a file's contents, then the file: zeros over them reach the disk first. A file system that writes copies
/// may keep what was there; against that stands that private keys are never there in clear.
fn wipe(path: &Path) -> std::io::Result<()> {
    let no_link = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let mut file = OpenOptions::new().write(true).custom_flags(no_link).open(path)?;
    let length = file.metadata()?.len();
    std::io::copy(&mut std::io::repeat(0).take(length), &mut file)?;
    file.sync_all()?;
    std::fs::remove_file(path)
}

fn open_directory(path: &Path) -> Result<File, Problem> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let directory = File::open(path)?;
    check(&directory.metadata()?, 0o022, "0700")?;
    Ok(directory)
}

/// The contents of a secret file, if the file is there: of at most so many octets, in one allocation that is wiped.
///
/// # Errors
/// When others may read or change it, or it is none.
pub fn read(path: &Path, most: usize, readers: Readers) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    let no_link = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let file = match OpenOptions::new().read(true).custom_flags(no_link).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // Of the open file, so that what is checked is what is read.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Problem::NotRegular);
    }
    match readers {
        Readers::Owner => check(&metadata, 0o077, "0600")?,
        Readers::Group => check(&metadata, 0o027, "0640")?,
    }
    let limit = most.saturating_add(1);
    let mut octets = Zeroizing::new(Vec::with_capacity(limit.min(metadata.len() as usize + 1)));
    file.take(limit as u64).read_to_end(&mut octets)?;
    if octets.len() > most { Err(Problem::TooLarge(most)) } else { Ok(Some(octets)) }
}

fn check(metadata: &Metadata, forbidden: u32, wanted: &'static str) -> Result<(), Problem> {
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(Problem::Exposed { mode, wanted });
    }
    match metadata.uid() {
        owner if owner == 0 || owner == nix::unistd::geteuid().as_raw() => Ok(()),
        owner => Err(Problem::Foreign(owner)),
    }
}
