//! What passed between the workers and one kernel device, and what did not. Written by the exception thread,
//! read by anyone; each number alone is exact, together they are not a snapshot.

use std::sync::atomic::{AtomicU64, Ordering};

/// One direction.
#[derive(Debug, Default)]
pub struct Direction {
    frames: AtomicU64,
    octets: AtomicU64,
    policed: AtomicU64,
    refused: AtomicU64,
}

/// Values of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectionCount {
    /// Frames passed on.
    pub frames: u64,
    /// Their octets.
    pub octets: u64,
    /// To the kernel: frames dropped by the rate. From the kernel: times reading was put off by the rate; the
    /// kernel's own queue then drops, and counts it as the device's `tx_dropped`.
    pub policed: u64,
    /// Frames the other side did not take: device down, ring full, no buffer.
    pub refused: u64,
}

/// Both directions of one device.
#[derive(Debug, Default)]
pub struct Counters {
    /// Workers to kernel.
    pub to_kernel: Direction,
    /// Kernel to workers.
    pub from_kernel: Direction,
}

impl Direction {
    /// Reads it.
    #[must_use]
    pub fn read(&self) -> DirectionCount {
        DirectionCount {
            frames: self.frames.load(Ordering::Relaxed),
            octets: self.octets.load(Ordering::Relaxed),
            policed: self.policed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    pub(super) fn pass(&self, octets: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.octets.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(super) fn police(&self) {
        self.policed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
