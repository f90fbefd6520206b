//! The CPUs a thread may run on: asked before EAL is started, which would abort over a
//! missing one, and put back after it pinned the thread that started it.

/// A set of CPUs.
pub(crate) struct Affinity(libc::cpu_set_t);

impl Affinity {
    fn of(process: libc::pid_t) -> Self {
        // SAFETY: cpu_set_t is a bit array for which all zero is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: writes at most size_of::<cpu_set_t>() octets to `set`. On failure the set stays empty.
        unsafe { libc::sched_getaffinity(process, size_of::<libc::cpu_set_t>(), &raw mut set) };
        Affinity(set)
    }

    pub(crate) fn of_this_thread() -> Self {
        Self::of(0)
    }

    /// The main thread's, which threads inherit unless they change it.
    pub(crate) fn of_process() -> Self {
        Self::of(libc::pid_t::try_from(std::process::id()).unwrap_or(0))
    }

    pub(crate) fn contains(&self, cpu: usize) -> bool {
        // SAFETY: reads a bit of the set; the bound is checked first.
        cpu < libc::CPU_SETSIZE as usize && unsafe { libc::CPU_ISSET(cpu, &self.0) }
    }

    pub(crate) fn restore(&self) {
        // SAFETY: reads `set`. A failure leaves the thread where EAL put it, which is among its own CPUs.
        let _ = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) };
    }
}
