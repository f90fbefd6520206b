//! Huge pages for everybody: reserved for the run, given back after it.

use std::path::{Path, PathBuf};

/// 2 MB pages of the machine, as many as asked for if it lets us.
pub struct Reserved {
    count: PathBuf,
    before: Option<u64>,
    enough: bool,
}

impl Reserved {
    /// Reserves `megabytes`.
    pub fn new(megabytes: u32) -> Reserved {
        let folder = Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let wanted = u64::from(megabytes / 2);
        let (all, free) = (read("nr_hugepages").unwrap_or(0), read("free_hugepages").unwrap_or(0));
        let count = folder.join("nr_hugepages");
        let more = free < wanted && std::fs::write(&count, (all + wanted - free).to_string()).is_ok();
        let enough = read("free_hugepages").is_some_and(|free| free >= wanted);
        Reserved { count, before: more.then_some(all), enough }
    }

    /// Whether there are that many.
    pub fn enough(&self) -> bool {
        self.enough
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // If it is not allowed any more, they stay reserved; nothing else can be done about it.
            let _ = std::fs::write(&self.count, before.to_string());
        }
    }
}
