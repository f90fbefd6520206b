//! Mirrors on the workers: each worker has its own of each, which sends by its own queues. They are laid anew when what they
//! name is elsewhere; counts go along by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::trace::Filter;
use ravelin_dataplane::trace::mirror::{Counts, Mirror, Order as Mirrored};

use super::Workers;
use crate::tunnel::outbox::Order;
use crate::tunnel::roster::ChildNumber;

/// A mirror as it is to be, of the packets of these children if there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whose packets.
    pub children: Option<Vec<ChildNumber>>,
    /// Everything else.
    pub order: Mirrored,
}

/// The mirrors that are laid, and what each has done on each worker.
#[derive(Debug, Default)]
pub struct Mirrors {
    laid: BTreeMap<WorkerId, Vec<(String, Mirrored)>>,
    counts: BTreeMap<(String, WorkerId), Arc<Counts>>,
}

/// What a mirror has done on all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Copies sent.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
    /// Copies lost.
    pub lost: u64,
}

impl<P: Pool> Workers<P> {
    /// Has the workers mirror as is wanted; whether anything is other than before.
    pub fn settle_mirrors(&mut self, wanted: &[Wanted]) -> bool {
        let workers: Vec<WorkerId> = self.link.workers().collect();
        let mut other = false;
        for worker in workers {
            let orders: Vec<(String, Mirrored)> = wanted.iter().map(|one| self.on(worker, one)).collect();
            if self.mirrors.laid.get(&worker).map_or(&[][..], Vec::as_slice) == orders {
                continue;
            }
            let lay = |(name, order): &(String, Mirrored)| {
                let counts = self.mirrors.counts.entry((name.clone(), worker)).or_default();
                Mirror::new(order, Arc::clone(counts))
            };
            let mirrors: Vec<Mirror> = orders.iter().map(lay).collect();
            self.outbox.put(worker, Order::Plain(Command::Mirror(mirrors.into())), None);
            self.mirrors.laid.insert(worker, orders);
            other = true;
        }
        other
    }

    /// A mirror as a worker is to have it.
    fn on(&self, worker: WorkerId, Wanted { name, children, order }: &Wanted) -> (String, Mirrored) {
        let tunnel = children.as_deref().map(|children| self.known_to(worker, children));
        let filter = Filter { tunnel, ..order.filter.clone() };
        (name.clone(), Mirrored { filter, ..order.clone() })
    }

    /// What a mirror has done since it was there.
    pub fn mirrored(&self, name: &str) -> Sum {
        let all =
            self.mirrors.counts.iter().filter(|((known, _), _)| known == name).map(|(_, counts)| counts);
        all.fold(Sum::default(), |sum, counts| Sum {
            packets: sum.packets + counts.packets.get(),
            octets: sum.octets + counts.octets.get(),
            lost: sum.lost + counts.lost.get(),
        })
    }
}
