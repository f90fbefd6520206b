//! One kernel device at the exception thread: its descriptor, its rates and its counters.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::unistd::{read, write};

use super::counters::Counters;
use super::police::{Police, Rate};

/// The descriptor of a TAP or TUN, non-blocking.
pub(super) type Descriptor = Box<dyn AsFd + Send>;

/// Frames read from one device before the next has its turn.
const TURN: usize = 32;

/// A device in service.
pub(super) struct Station {
    descriptor: Descriptor,
    to_kernel: Police,
    from_kernel: Police,
    counters: Arc<Counters>,
}

/// How a turn of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many frames were passed on; the device may have more.
    Moved(usize),
    /// The device is gone.
    Gone,
}

impl Station {
    pub(super) fn new(descriptor: Descriptor, rate: Rate, counters: Arc<Counters>, now: u64) -> Self {
        let police = || Police::new(rate, now);
        Self { descriptor, to_kernel: police(), from_kernel: police(), counters }
    }

    /// Gives one frame to the kernel, if its rate allows.
    pub(super) fn deliver(&mut self, bytes: &[u8], now: u64) {
        if !self.to_kernel.take(now) {
            return self.counters.to_kernel.police();
        }
        match write(self.descriptor.as_fd(), bytes) {
            Ok(_) => self.counters.to_kernel.pass(bytes.len()),
            // EIO: the device is down. EAGAIN: its queue is full. EINVAL: not an IP packet, on a TUN.
            Err(_) => self.counters.to_kernel.refuse(),
        }
    }

    /// Takes up to a turn of frames from the kernel and offers them; `offer` says whether they were taken.
    pub(super) fn collect(
        &mut self,
        buffer: &mut [u8],
        now: u64,
        mut offer: impl FnMut(&[u8]) -> bool,
    ) -> Turn {
        for moved in 0..TURN {
            if !self.from_kernel.has_tokens(now) {
                self.counters.from_kernel.police();
                return Turn::Moved(moved);
            }
            let length = match read(self.descriptor.as_fd(), buffer) {
                Ok(0) => return Turn::Gone,
                Ok(length) => length,
                Err(Errno::EAGAIN | Errno::EINTR) => return Turn::Moved(moved),
                Err(_) => return Turn::Gone,
            };
            self.from_kernel.take(now);
            let bytes = buffer.get(..length).unwrap_or_default();
            match offer(bytes) {
                true => self.counters.from_kernel.pass(length),
                false => self.counters.from_kernel.refuse(),
            }
        }
        Turn::Moved(TURN)
    }

    /// The descriptor to wait on, unless its rate keeps it closed: it would only wake us for nothing.
    pub(super) fn pollable(&mut self, now: u64) -> Option<BorrowedFd<'_>> {
        self.from_kernel.has_tokens(now).then(|| self.descriptor.as_fd())
    }
}
