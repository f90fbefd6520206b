//! Which worker a tunnel goes to that is added while others run: of the active ones of its group that with the fewest
//! children (DP-42).
//! At the start tunnels go to the workers in turn, which is as even as can be; this keeps it so when some are
//! removed and others come.

use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::config::ConnectionId;

use super::Workers;
use crate::config::plan::Tunnel;
use crate::tunnel::roster::Roster;

impl<P: Pool> Workers<P> {
    /// Numbers a new tunnel: as one that is gone and had its children on the worker that is to have these,
    /// once nothing of that is left; else anew.
    pub fn number(&self, roster: &mut Roster, tunnel: Arc<Tunnel>) -> ConnectionId {
        let lightest = self.lightest(roster, &tunnel.group);
        // Single workers' SAs have a home only while they are there.
        let is_there = |child| self.home(child).is_none_or(|home| home.worker == lightest);
        roster.add(tunnel, |child| self.is_free(child) && is_there(child))
    }

    /// The active worker of a group with the fewest children of configured tunnels, the first of several; one that
    /// stands still only if all do.
    pub(super) fn lightest(&self, roster: &Roster, group: &str) -> WorkerId {
        let children = roster.tunnels().flat_map(|(tunnel, _)| roster.children(tunnel));
        let homes = children.filter_map(|(child, _)| self.home(child.0));
        let mut loads = vec![0u32; self.link.workers().count().max(1)];
        for home in homes {
            if let Some(load) = loads.get_mut(home.worker.index()) {
                *load += 1;
            }
        }
        let load = |worker: &&WorkerId| loads.get(worker.index()).copied();
        let active = self.groups.active(group).iter();
        let lightest = active.min_by_key(|worker| (self.homes.is_still(**worker), load(worker)));
        lightest.copied().unwrap_or(WorkerId(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{self, interfaces, tunnel};
    use crate::group::Groups;
    use ravelin_dataplane::io::ram::RamPool;
    use ravelin_dataplane::link::{Shape, build};
    use ravelin_dataplane::policy::publish;
    use ravelin_dataplane::policy::table::Tables;
    use ravelin_ike::time::Instant;

    const WORKERS: u8 = 3;

    struct Town {
        workers: Workers<RamPool>,
        roster: Roster,
        tunnel: Tunnel,
        added: usize,
    }

    impl Town {
        fn new() -> Town {
            let plan = ground::plan(concat!("workers.count = 3", interfaces!(), tunnel!("t", 1)));
            let shape = Shape { inbound_slots: 64, outbound_slots: 64, ..Shape::usual(WORKERS, 0) };
            let (tables, _readers) = publish::channel(Tables::new(), usize::from(WORKERS));
            let (control, roster) = (build(&shape).unwrap().control, Roster::default());
            let groups = Groups::new(&plan.groups);
            let workers = Workers::new(control, tables, RamPool::new(4, 1), 64, 0, &roster, groups);
            Town { workers, roster, tunnel: Tunnel::clone(&plan.tunnels["t"]), added: 0 }
        }

        fn add(&mut self, children: usize) -> ConnectionId {
            self.added += 1;
            let children = vec![self.tunnel.children[0].clone(); children];
            let tunnel = Tunnel { name: self.added.to_string(), children, ..self.tunnel.clone() };
            let id = self.workers.number(&mut self.roster, tunnel.into());
            self.workers.house(&self.roster, id, Instant(0)).unwrap();
            id
        }

        fn loads(&self) -> Vec<usize> {
            let mut loads = vec![0; usize::from(WORKERS)];
            for (tunnel, _) in self.roster.tunnels() {
                let homes: Vec<_> = self.roster.children(tunnel).map(|(child, _)| child.0).collect();
                let workers: Vec<_> =
                    homes.iter().map(|child| self.workers.home(*child).unwrap().worker).collect();
                assert!(
                    workers.windows(2).all(|pair| pair[0] == pair[1]),
                    "all children of a tunnel are together"
                );
                loads[workers[0].index()] += workers.len();
            }
            loads
        }
    }

    /// Whatever is removed, as many new ones make it even again; and numbers do not run away.
    #[test]
    fn workers_stay_even_when_tunnels_come_and_go() {
        let mut town = Town::new();
        let mut here: Vec<ConnectionId> = (0..40).map(|_| town.add(1)).collect();
        for round in 0..50usize {
            // All of one worker's, or every third: the crookedest there is.
            let goes = |at: usize, id: &ConnectionId| match round % 2 {
                0 => town.workers.home(id_child(&town.roster, *id)).unwrap().worker.index() == round / 2 % 3,
                _ => (at + round).is_multiple_of(3),
            };
            let (gone, stays): (Vec<_>, Vec<_>) =
                here.iter().copied().enumerate().partition(|(at, id)| goes(*at, id));
            gone.iter().for_each(|(_, id)| town.roster.remove(*id));
            here = stays.into_iter().map(|(_, id)| id).collect();
            here.extend((0..gone.len()).map(|_| town.add(1)));
            let loads = town.loads();
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(loads.iter().sum::<usize>() == 40 && most - least <= 1, "round {round}: {loads:?}");
        }
        assert!(town.roster.child_count() <= 42, "{}", town.roster.child_count());
    }

    fn id_child(roster: &Roster, id: ConnectionId) -> u32 {
        roster.children(id).next().unwrap().0.0
    }

    /// Children count, not tunnels.
    #[test]
    fn a_tunnel_with_many_children_weighs_as_many() {
        let mut town = Town::new();
        for children in [4, 1, 1, 2, 1] {
            town.add(children);
        }
        assert_eq!(town.loads(), [4, 3, 2]);
    }
}
