//! Answers kept across restarts: a directory of our own, one file an answer, bounded in all.
//!
//! A file is named by the SHA-256 of what was asked, written beside and renamed, and believed only if it is whole; one
//! that is not is removed. Nothing kept is secret, yet the directory is closed to others: who may write here could hold
//! back a CRL. When writing fails, fetching goes on without; the last reason is kept to be shown.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::cache::{Head, Shelf, decode, preamble};
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
    /// What is kept, as it is on disk. Held while writing: two who make room at once would make it twice.
    shelf: Mutex<Shelf>,
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
        let shelf = found(directory).map_err(|error| machine(&format!("read {shown}"), &error))?;
        Ok(Self { directory: directory.to_owned(), cap, shelf: Mutex::new(shelf), trouble: Mutex::new(None) })
    }

    /// What is kept for a request; what is damaged goes.
    pub(crate) fn read(&self, request: &Request) -> Option<(Head, Vec<Vec<u8>>)> {
        let path = self.path(request);
        let size = fs::metadata(&path).ok()?.len();
        let kept = if size > self.cap { None } else { fs::read(&path).ok().and_then(|file| decode(&file)) };
        if kept.is_none() {
            self.remove(request);
        }
        kept
    }

    /// Keeps an answer, and lets older ones go for it.
    pub(crate) fn write(&self, request: &Request, head: &Head, values: &[&[u8]]) {
        let preamble = preamble(head, values);
        let parts = [&[preamble.as_slice()], values].concat();
        let size = parts.iter().map(|part| part.len() as u64).sum();
        let name = name_of(request);
        let mut shelf = self.shelf();
        let kept = self.make_room(&mut shelf, &name, size).and_then(|fits| {
            if fits {
                self.put(&name, &parts)?;
                shelf.put(name, size);
            }
            Ok(())
        });
        drop(shelf);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            kept.err().map(|error| format!("{}: {error}", self.directory.display()));
    }

    /// Keeps nothing for a request.
    pub(crate) fn remove(&self, request: &Request) {
        let name = name_of(request);
        let mut shelf = self.shelf();
        shelf.take(&name);
        let _ = fs::remove_file(self.directory.join(name));
    }

    /// Why the last answer was not kept.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, request: &Request) -> PathBuf {
        self.directory.join(name_of(request))
    }

    fn put(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let path = self.directory.join(name);
        let unfinished = path.with_extension(UNFINISHED.trim_start_matches('.'));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        fs::rename(&unfinished, &path)
    }

    /// Whether so much fits. An older answer to the same goes in any case: it would be mistaken for this one.
    fn make_room(&self, shelf: &mut Shelf, name: &str, incoming: u64) -> io::Result<bool> {
        shelf.take(name);
        let gone = shelf.evict(incoming, self.cap);
        let fits = gone.is_some();
        let older = (!fits).then(|| name.to_owned());
        gone.into_iter().flatten().chain(older).try_for_each(|name| self.clear(&name))?;
        Ok(fits)
    }

    /// Somebody may have cleared it away already.
    fn clear(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// What a directory holds, in the order in which it was written; what was left half-written goes.
fn found(directory: &Path) -> io::Result<Shelf> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let (Ok(name), true) = (entry.file_name().into_string(), metadata.is_file()) else { continue };
        if name.ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        } else {
            kept.push((metadata.modified()?, name, metadata.len()));
        }
    }
    kept.sort();
    let mut shelf = Shelf::default();
    kept.into_iter().for_each(|(_, name, size)| shelf.put(name, size));
    Ok(shelf)
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

    fn octets(directory: &Path) -> u64 {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
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
            let total = octets(&disk.directory);
            assert!((1..=2000).contains(&total), "{total}");
            assert_eq!(disk.shelf().total(), total);
        }
        assert!(disk.read(&request(19)).is_some());
        let again = Disk::open(&disk.directory, 2000).unwrap();
        assert_eq!(
            again.shelf().total(),
            octets(&disk.directory),
            "what a restart finds is bounded with the rest"
        );
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
