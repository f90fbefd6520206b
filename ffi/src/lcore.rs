//! EAL's worker threads: one per CPU, made at start, each running one closure at a time.
//!
//! Workers are lcores and not threads of our own because lcores have a mempool cache
//! (an mbuf costs 14 ns there and 23 elsewhere) and because secondary processes such
//! as `dpdk-dumpcap` refuse to attach when foreign threads are registered.
//!
//! An [`Lcore`] is the right to launch on that thread. Launching consumes it, joining
//! gives it back.

use std::ffi::{c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::error::Errno;

/// A worker thread of EAL that nothing runs on.
#[derive(Debug)]
pub struct Lcore {
    id: c_uint,
    cpu: usize,
}

/// A closure running on an lcore. Dropping it leaves the closure running.
#[derive(Debug)]
#[must_use = "dropping this gives up the lcore for the life of the process"]
pub struct Running<T> {
    lcore: Lcore,
    result: Receiver<thread::Result<T>>,
}

/// EAL did not take the closure.
#[derive(Debug, thiserror::Error)]
#[error("lcore {lcore} refused work: {reason}")]
pub struct LaunchError {
    /// The lcore.
    pub lcore: u32,
    /// EBUSY when something else was launched there behind our back, EPIPE when the thread is gone.
    pub reason: Errno,
}

type Job = Box<dyn FnOnce() + Send>;

impl Lcore {
    /// The workers of a started EAL: lcore n + 1 runs on the nth of `cpus` (see
    /// `eal::Config::lcores`). Called once, by [`crate::Eal::start`].
    pub(crate) fn all(cpus: &[usize]) -> Vec<Lcore> {
        (1..).zip(cpus).map(|(id, cpu)| Lcore { id, cpu: *cpu }).collect()
    }

    /// DPDK's number of the thread.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The CPU it is pinned to. (Not `rte_lcore_to_cpu_id`, which knows nothing of `--lcores`.)
    pub fn cpu(&self) -> usize {
        self.cpu
    }

    /// The NUMA node of that CPU, when the machine has such.
    pub fn numa(&self) -> Option<u32> {
        let entries = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{}", self.cpu)).ok()?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix("node")?.parse().ok()).next()
    }

    /// Starts `work` on the thread. A panic in it is caught and given to [`Running::join`].
    ///
    /// # Errors
    /// [`LaunchError`] when EAL refuses; the closure is dropped.
    pub fn launch<T, F>(self, work: F) -> Result<Running<T>, LaunchError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (done, result) = sync_channel(1);
        let job: Job = Box::new(move || {
            // Nobody listens when `Running` was dropped.
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let argument = Box::into_raw(Box::new(job));
        // SAFETY: `run` has the type EAL calls, and owns `argument` once the call succeeded.
        let returned = unsafe { dpdk_sys::rte_eal_remote_launch(Some(run), argument.cast(), self.id) };
        match Errno::check(returned) {
            Ok(_) => Ok(Running { lcore: self, result }),
            Err(reason) => {
                // SAFETY: EAL did not take it, so it is still ours and dropped once, here.
                drop(unsafe { Box::from_raw(argument) });
                Err(LaunchError { lcore: self.id, reason })
            }
        }
    }
}

/// # Safety
/// `argument` is a `Box<Job>` turned raw by `launch`, passed exactly once.
unsafe extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: see above.
    let job = unsafe { Box::from_raw(argument.cast::<Job>()) };
    job();
    0
}

impl<T> Running<T> {
    /// The lcore it runs on.
    pub fn lcore(&self) -> &Lcore {
        &self.lcore
    }

    /// Waits for the closure to return, and gives the lcore back with what it returned
    /// (`Err` with the panic's payload when it panicked).
    pub fn join(self) -> (Lcore, thread::Result<T>) {
        let result = self.result.recv().unwrap_or_else(|lost| Err(Box::new(lost)));
        // The closure has returned; this waits for EAL to see it, some instructions later.
        // SAFETY: the id is of an EAL worker.
        unsafe { dpdk_sys::rte_eal_wait_lcore(self.lcore.id) };
        (self.lcore, result)
    }
}

/// The lcore this thread is, `None` on threads that EAL did not make.
pub fn current() -> Option<u32> {
    // SAFETY: reads a thread-local integer.
    let id = unsafe { dpdk_sys::shim_lcore_id() };
    (id != dpdk_sys::LCORE_ID_ANY).then_some(id)
}
