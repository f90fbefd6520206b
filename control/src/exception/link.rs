//! The workers' rings as the exception thread sees them. Frames for the kernel are read in place and given
//! back to their pool; frames of the kernel are copied into one of the pool's. All frames of one device go to
//! one worker, so that they keep their order; it hands over what another owns.

use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::ExceptionEnd;
use ravelin_dataplane::link::packet::Kernel;
use ravelin_dataplane::sa::shard::WorkerId;

use super::{FromWorkers, ToWorkers};
use crate::instance::Role;

/// The exception thread's end of the link with a handle to the pool its frames come from.
pub struct Workers<P: Pool> {
    end: ExceptionEnd<P::Frame>,
    pool: P,
    ids: Vec<WorkerId>,
}

impl<P: Pool> Workers<P> {
    /// Joins the two.
    pub fn new(end: ExceptionEnd<P::Frame>, pool: P) -> Self {
        let ids = end.workers().collect();
        Self { end, pool, ids }
    }

    /// The worker that gets what the kernel sends on a device: another while that one stands still.
    fn worker_of(&self, role: Role) -> Option<WorkerId> {
        let number = match role {
            Role::Twin { port, vlan } => usize::from(port).saturating_add(usize::from(vlan)),
            Role::Private(instance) => usize::from(instance),
        };
        let worker = self.ids.get(number.checked_rem(self.ids.len())?).copied()?;
        Some(self.end.stand_in(worker))
    }
}

impl<P: Pool> FromWorkers for Workers<P> {
    fn drain(&mut self, limit: usize, deliver: &mut dyn FnMut(Role, &[u8])) -> usize {
        let punts = std::iter::from_fn(|| self.end.next_punt());
        punts.take(limit).map(|punt| deliver(role_of(punt.to), punt.frame.data())).count()
    }
}

impl<P: Pool> ToWorkers for Workers<P> {
    fn offer(&mut self, role: Role, bytes: &[u8]) -> bool {
        let (Some(worker), Some(frame)) = (self.worker_of(role), self.pool.copy_of(bytes)) else {
            return false;
        };
        let taken = match role {
            Role::Twin { port, vlan } => self.end.inject_twin(worker, frame, port, vlan),
            Role::Private(instance) => self.end.inject_tun(worker, frame, instance),
        };
        taken.is_ok()
    }
}

fn role_of(to: Kernel) -> Role {
    match to {
        Kernel::Twin { port, vlan } => Role::Twin { port, vlan },
        Kernel::Tun { instance } => Role::Private(instance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_dataplane::io::ram::RamPool;
    use ravelin_dataplane::link::{Shape, build};

    const TWIN: Role = Role::Twin { port: 1, vlan: 7 };

    /// What the kernel sends must not eat the pool: a refused frame goes home, and an empty pool refuses.
    #[test]
    fn a_full_ring_and_an_empty_pool_refuse_and_lose_no_buffer() {
        let pool = RamPool::new(8, 1);
        let shape = Shape { inbound_slots: 16, outbound_slots: 16, injected: 3, ..Shape::usual(2, 4) };
        let link = build(&shape).unwrap();
        let mut workers = Workers::new(link.exception, pool.clone());
        let taken = (0..10).filter(|_| workers.offer(TWIN, &[0; 60])).count();
        assert_eq!((taken, pool.available()), (3, 6));
        // The other worker's ring is another one; the pool is the same.
        let other = Role::Twin { port: 1, vlan: 8 };
        assert!(workers.offer(other, &[0; 60]));
        let held: Vec<_> = std::iter::from_fn(|| pool.clone().alloc()).collect();
        assert!(!workers.offer(other, &[0; 60]));
        drop((held, workers, link.workers, link.control));
        assert_eq!(pool.available(), pool.capacity());
    }

    /// Answers to ARP come this way: they must not lie before a worker that takes nothing.
    #[test]
    fn another_worker_takes_what_one_that_stands_still_would() {
        let shape = Shape { inbound_slots: 16, outbound_slots: 16, ..Shape::usual(2, 4) };
        let link = build(&shape).unwrap();
        let workers = Workers::new(link.exception, RamPool::new(1, 1));
        let of = |instance| workers.worker_of(Role::Private(instance)).unwrap();
        assert_ne!(of(0), of(1));
        let still = of(1);
        link.control.shards().assign(ravelin_dataplane::sa::shard::Shard::new(still.0 + 1).unwrap(), None);
        assert_eq!(of(0), of(1));
    }

    #[test]
    fn devices_are_spread_over_all_workers() {
        let shape = Shape { inbound_slots: 16, outbound_slots: 16, ..Shape::usual(3, 4) };
        let workers = Workers::new(build(&shape).unwrap().exception, RamPool::new(1, 1));
        let of = |role| workers.worker_of(role).unwrap().0;
        let used: std::collections::BTreeSet<u8> = (0..9).map(|i| of(Role::Private(i))).collect();
        assert_eq!(used.len(), 3);
    }
}
