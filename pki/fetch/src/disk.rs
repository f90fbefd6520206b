//! Answers kept across restarts: a directory of our own, one file an answer, bounded in all.
//!
//! A file is named by the SHA-256 of what was asked, written beside and renamed, and believed only if it is whole; one
//! that is not is removed. Nothing kept is secret, yet the directory is closed to others: who may write here could hold
//! back a CRL. When writing fails, fetching goes on without; the last reason is kept to be shown.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::cache::{Head, Kept, decode, evict, preamble};
use crate::dial::machine;
use crate::error::FetchError;
use crate::request::Request;

/// Ending of a file that is being written.
const UNFINISHED: &str = ".new";

/// The directory.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    cap: u64,
    /// Held while writing: two who make room at once would make it twice.
    writing: Mutex<()>,
    /// Why the last answer was not kept. Never held while anything is written.
    trouble: Mutex<Option<String>>,
}

impl Disk {
    /// Opens the directory, making it if it is missing, and clears away what was left half-written.
    pub(crate) fn open(directory: &Path, cap: u64) -> Result<Self, FetchError> {
        let shown = directory.display();
        let metadata = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| fs::metadata(directory))
            .map_err(|error| machine(&format!("make {shown}"), &error))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(FetchError::Machine {
                what: format!("keep answers in {shown}"),
                reason: format!(
                    "has mode {:04o}, which lets others at it; do: chmod 700",
                    metadata.mode() & 0o7777
                ),
            });
        }
        let disk =
            Self { directory: directory.to_owned(), cap, writing: Mutex::new(()), trouble: Mutex::new(None) };
        disk.sweep().map_err(|error| machine(&format!("read {shown}"), &error))?;
        Ok(disk)
    }

    /// What is kept for a request; what is damaged goes.
    pub(crate) fn read(&self, request: &Request) -> Option<(Head, Vec<Vec<u8>>)> {
        let path = self.path(request);
        let size = fs::metadata(&path).ok()?.len();
        let kept = if size > self.cap { None } else { fs::read(&path).ok().and_then(|file| decode(&file)) };
        if kept.is_none() {
            let _ = fs::remove_file(&path);
        }
        kept
    }

    /// Keeps an answer, and lets older ones go for it.
    pub(crate) fn write(&self, request: &Request, head: &Head, values: &[&[u8]]) {
        let preamble = preamble(head, values);
        let parts = [&[preamble.as_slice()], values].concat();
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self
            .make_room(request, parts.iter().map(|part| part.len()).sum())
            .and_then(|fits| if fits { self.put(request, &parts) } else { Ok(()) });
        drop(writing);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            kept.err().map(|error| format!("{}: {error}", self.directory.display()));
    }

    /// Keeps nothing for a request.
    pub(crate) fn remove(&self, request: &Request) {
        let _ = fs::remove_file(self.path(request));
    }

    /// Why the last answer was not kept.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn path(&self, request: &Request) -> PathBuf {
        self.directory.join(name_of(request))
    }

    fn put(&self, request: &Request, parts: &[&[u8]]) -> io::Result<()> {
        let path = self.path(request);
        let unfinished = path.with_extension(UNFINISHED.trim_start_matches('.'));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        fs::rename(&unfinished, &path)
    }

    fn make_room(&self, request: &Request, incoming: usize) -> io::Result<bool> {
        let name = name_of(request);
        let others = self.kept()?.into_iter().filter(|kept| kept.name != name).collect();
        let Some(gone) = evict(others, u64::try_from(incoming).unwrap_or(u64::MAX), self.cap) else {
            // An older answer to the same would be mistaken for this one.
            self.remove(request);
            return Ok(false);
        };
        gone.iter().try_for_each(|name| fs::remove_file(self.directory.join(name)))?;
        Ok(true)
    }

    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (Ok(name), true) = (entry.file_name().into_string(), metadata.is_file()) {
                kept.push(Kept { name, size: metadata.len(), used: metadata.modified()? });
            }
        }
        Ok(kept)
    }

    fn sweep(&self) -> io::Result<()> {
        for kept in self.kept()?.iter().filter(|kept| kept.name.ends_with(UNFINISHED)) {
            fs::remove_file(self.directory.join(&kept.name))?;
        }
        Ok(())
    }
}

/// The instance is part of it: the same name may lead elsewhere there. So is the user.
fn name_of(request: &Request) -> String {
    let instance = request.instance.as_ref().map_or("", |instance| instance.name());
    let mut asked = format!("{instance}\n{}\n", request.url);
    for user in request.url.user.iter().chain(&request.credentials) {
        asked.push_str(&format!("{}\n{}\n", user.user, user.password));
    }
    digest(&SHA256, asked.as_bytes()).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::Url;

    fn request(number: u32) -> Request {
        Request::new(Url::parse(&format!("http://host/{number}")).unwrap())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    /// Kept over a restart, closed to others, and damaged files are none and gone.
    #[test]
    fn keeps_and_mistrusts() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("kept");
        let disk = Disk::open(&directory, 10_000).unwrap();
        assert_eq!(mode(&directory), 0o700);
        disk.write(&request(1), &Head::default(), &[b"content"]);
        assert_eq!(disk.trouble(), None);
        let file = disk.path(&request(1));
        assert_eq!(mode(&file), 0o600);
        fs::write(directory.join("half.new"), "half").unwrap();
        let again = Disk::open(&directory, 10_000).unwrap();
        assert_eq!(again.read(&request(1)).unwrap().1, [b"content"]);
        assert!(again.read(&request(2)).is_none());
        assert!(!directory.join("half.new").exists());
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(again.read(&request(1)).is_none());
        assert!(!file.exists());
    }

    /// The directory does not grow beyond its cap; what is too large replaces nothing and leaves nothing stale.
    #[test]
    fn is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let disk = Disk::open(&place.path().join("kept"), 2000).unwrap();
        for number in 0..20 {
            disk.write(&request(number), &Head::default(), &[&[0; 300]]);
            let total: u64 = disk.kept().unwrap().iter().map(|kept| kept.size).sum();
            assert!((1..=2000).contains(&total), "{total}");
        }
        assert!(disk.read(&request(19)).is_some());
        disk.write(&request(19), &Head::default(), &[&[0; 3000]]);
        assert!(disk.read(&request(19)).is_none());
    }

    /// A directory that others may write to is refused, and says what to do.
    #[test]
    fn refuses_an_open_directory() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = Disk::open(place.path(), 1000).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }
}
