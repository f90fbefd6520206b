//! Per-SA counters in slabs that control reads while a worker writes.
//!
//! Each counter has one writer, so adding is a load and a store, both relaxed, without a locked
//! instruction; a reader may see a burst's additions one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds; for its one writer only.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    /// Replaces the value; for its one writer only.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// What became of the packets of one inbound SA. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct InboundCounters {
    /// Packets accepted.
    pub packets: Counter,
    /// Inner octets accepted.
    pub octets: Counter,
    /// Sequence number seen before.
    pub duplicate: Counter,
    /// Sequence number left of the window.
    pub too_old: Counter,
    /// ICV did not verify.
    pub bad_tag: Counter,
    /// Verified, but trailer or inner header made no sense.
    pub malformed: Counter,
    /// Verified, but outside the SA's selectors.
    pub policy: Counter,
    /// Outer addresses were not the SA's.
    pub address: Counter,
}

/// What became of the packets of one outbound slot. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct OutboundCounters {
    /// Packets sent.
    pub packets: Counter,
    /// Inner octets sent.
    pub octets: Counter,
    /// No SA was in the slot.
    pub missing: Counter,
    /// Hard lifetime reached or sequence numbers used up.
    pub expired: Counter,
    /// Larger than the tunnel takes and not to be fragmented.
    pub too_big: Counter,
    /// Packets fragmented before encapsulation.
    pub pre_fragmented: Counter,
    /// Packets fragmented after encapsulation.
    pub post_fragmented: Counter,
    /// Last sequence number used.
    pub sequence: Counter,
}

impl InboundCounters {
    /// What it counts besides packets and octets, by names for people; those of drops are those of their reasons.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("replay-duplicate", &self.duplicate),
            ("replay-too-old", &self.too_old),
            ("bad-icv", &self.bad_tag),
            ("malformed", &self.malformed),
            ("policy-error", &self.policy),
            ("ip-mismatch", &self.address),
        ]
        .map(|(name, counter)| (name, counter.get()))
    }

    /// All zero again, for the slot's next owner.
    pub fn reset(&self) {
        let all = [
            &self.packets,
            &self.octets,
            &self.duplicate,
            &self.too_old,
            &self.bad_tag,
            &self.malformed,
            &self.policy,
            &self.address,
        ];
        all.into_iter().for_each(|counter| counter.set(0));
    }
}

impl OutboundCounters {
    /// The same of an outbound slot.
    pub fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("no-sa", &self.missing),
            ("expired", &self.expired),
            ("mtu-exceeded", &self.too_big),
            ("cut-before", &self.pre_fragmented),
            ("cut-behind", &self.post_fragmented),
        ]
        .map(|(name, counter)| (name, counter.get()))
    }

    /// All zero again, for the slot's next owner.
    pub fn reset(&self) {
        let all = [
            &self.packets,
            &self.octets,
            &self.missing,
            &self.expired,
            &self.too_big,
            &self.pre_fragmented,
            &self.post_fragmented,
            &self.sequence,
        ];
        all.into_iter().for_each(|counter| counter.set(0));
    }
}

/// A slab of counters, shared with control.
pub fn slab<T: Default>(capacity: usize) -> Arc<[T]> {
    (0..capacity).map(|_| T::default()).collect()
}

const _: () = assert!(size_of::<InboundCounters>() == 64 && size_of::<OutboundCounters>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sees_what_the_worker_adds() {
        let slab = slab::<InboundCounters>(3);
        let control = Arc::clone(&slab);
        slab[1].packets.add(2);
        slab[1].packets.add(3);
        assert_eq!((control[0].packets.get(), control[1].packets.get()), (0, 5));
        slab[1].reset();
        assert_eq!(control[1].packets.get(), 0);
    }
}
