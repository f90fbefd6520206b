//! An instance's network: an opened network namespace that a fetching thread steps into, and its name servers.
//!
//! Stepping needs CAP_SYS_ADMIN, as the daemon has it. A thread stays where its last fetch was; every fetch says where
//! it is to be, and one that cannot get there fails rather than ask from a network that is not its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::dial::machine;
use crate::error::FetchError;

/// A network namespace, held open.
#[derive(Debug, Clone)]
pub struct Instance {
    name: Arc<str>,
    file: Arc<File>,
    id: Id,
    resolver: Option<Arc<Path>>,
}

/// Tells namespaces apart: device and inode of the kernel's file.
pub type Id = (u64, u64);

impl Instance {
    /// From the open file, such as `/run/netns/NAME`. The instance's name tells its kept answers from those of others
    /// and means the same after a restart.
    ///
    /// # Errors
    /// When its identity cannot be read.
    pub fn new(name: &str, file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            name: name.into(),
            id: (metadata.dev(), metadata.ino()),
            file: Arc::new(file),
            resolver: None,
        })
    }

    /// The same with name servers of its own: a file that stands for `/etc/resolv.conf`, such as
    /// `/etc/netns/NAME/resolv.conf` (ip-netns(8)). Without one the process's are asked, from within the namespace.
    #[must_use]
    pub fn with_resolver(self, file: PathBuf) -> Self {
        Self { resolver: Some(file.into()), ..self }
    }

    /// Opens the file and takes it.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(name: &str, path: &Path) -> io::Result<Self> {
        Self::new(name, File::open(path)?)
    }

    /// The namespace of the calling thread, without a name.
    ///
    /// # Errors
    /// When /proc is not there.
    pub fn current() -> io::Result<Self> {
        Self::open("", Path::new("/proc/thread-self/ns/net"))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn resolver(&self) -> Option<Arc<Path>> {
        self.resolver.clone()
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

/// Puts a file in the place of `/etc/resolv.conf` for the calling thread alone and for good. The C library looks at the
/// file anew for every thread that resolves.
pub(crate) fn resolve_by(file: &Path) -> io::Result<()> {
    const NOTHING: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
    Ok(mount(Some(file), "/etc/resolv.conf", NOTHING, MsFlags::MS_BIND, NOTHING)?)
}

/// Where a fetching thread is.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    home: Instance,
    now: Id,
}

impl Whereabouts {
    /// Of the calling thread.
    pub(crate) fn of_thread() -> Result<Self, FetchError> {
        let home = Instance::current().map_err(|error| machine("find the network namespace", &error))?;
        Ok(Self { now: home.id, home })
    }

    /// Steps into an instance, or home.
    pub(crate) fn enter(&mut self, instance: Option<&Instance>) -> Result<(), FetchError> {
        let there = instance.unwrap_or(&self.home);
        if there.id == self.now {
            return Ok(());
        }
        setns(&*there.file, CloneFlags::CLONE_NEWNET).map_err(|error| FetchError::Machine {
            what: "enter the instance's network namespace".into(),
            reason: error.to_string(),
        })?;
        self.now = there.id;
        Ok(())
    }
}
