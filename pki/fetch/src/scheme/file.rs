//! `file` URLs (RFC 8089): files below the directory that the operator names, and no others.
//!
//! The kernel holds the fence (`openat2` with RESOLVE_BENEATH): neither `..` nor a symbolic link leads out, whatever
//! changes in between. A pipe or device is not read.

use std::fs::File;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::{Content, Errand, read_content, target};
use crate::dial::machine;
use crate::error::FetchError;
use crate::url::Scheme;

pub(super) fn run(errand: &Errand<'_>) -> Result<Content, FetchError> {
    let url = &errand.request.url;
    let root = errand.dialer.policy.files.as_deref().ok_or(FetchError::SchemeRefused(Scheme::File))?;
    let path = url.decoded_path()?;
    let below = Path::new(&path)
        .strip_prefix(root)
        .ok()
        .filter(|below| below.components().next().is_some())
        .ok_or_else(|| target(Scheme::File, format!("it is not below {}", root.display())))?;
    let file = open_beneath(root, below)?;
    let explain = |error: &std::io::Error| machine(&format!("read {path}"), error);
    let metadata = file.metadata().map_err(|error| explain(&error))?;
    if !metadata.is_file() {
        return Err(target(Scheme::File, "it is not a file"));
    }
    let bytes = read_content(file, errand.request.limits.content, explain)?;
    Ok(Content { bytes, ..Content::default() })
}

fn open_beneath(root: &Path, below: &Path) -> Result<File, FetchError> {
    let directory = File::open(root).map_err(|error| machine(&format!("open {}", root.display()), &error))?;
    // Without O_NONBLOCK opening a pipe would wait for its writer.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(&directory, below, how).map(File::from).map_err(|error| FetchError::Machine {
        what: format!("open {}", root.join(below).display()),
        reason: error.desc().to_owned(),
    })
}
