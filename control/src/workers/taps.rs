//! Taps: each worker gets one of its own, and gives it back to be freed.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::trace::filter::Children;
use ravelin_dataplane::trace::{Filter, Reader, Tap, Wish};

use super::Workers;
use crate::tunnel::outbox::Order;
use crate::tunnel::roster::ChildNumber;

impl<P: Pool> Workers<P> {
    /// Lays a tap to every worker, of the packets of these children if there are some; who reads them.
    pub fn lay_taps(
        &mut self,
        children: Option<&[ChildNumber]>,
        filter: &Filter,
        wish: Wish,
        most: u64,
    ) -> Vec<(WorkerId, Reader)> {
        let workers: Vec<WorkerId> = self.link.workers().collect();
        let lay = |worker| {
            let tunnel = children.map(|children| self.known_to(worker, children));
            let (tap, reader) = Tap::new(Filter { tunnel, ..filter.clone() }, wish, most);
            self.outbox.put(worker, Order::Plain(Command::Tap(Some(Box::new(tap)))), None);
            (worker, reader)
        };
        workers.into_iter().map(lay).collect()
    }

    /// Children as a worker knows them.
    pub(super) fn known_to(&self, worker: WorkerId, children: &[ChildNumber]) -> Children {
        let homes = children.iter().filter_map(|child| self.homes.of(*child));
        let slots = homes.filter(|home| home.worker == worker).map(|home| home.slot).collect();
        Children { names: children.into(), slots }
    }

    /// Takes the taps away.
    pub fn take_taps(&mut self) {
        for worker in self.link.workers() {
            self.outbox.put(worker, Order::Plain(Command::Tap(None)), None);
        }
    }
}
