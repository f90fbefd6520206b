//! Who is who: the numbers by which the engine and the workers know the tunnels and children of a plan and of gateways'
//! peers, and the engine its gateways. At the start numbers follow the order of the plan's names; after that a tunnel
//! keeps its number as long as it is configured, and a new one takes the number of one that is gone, once nothing of
//! that is left, or the next. The tunnel of a gateway's peer has its number while it is there. Gateways are numbered
//! from the other end.
//!
//! Beside each child of a tunnel that has SAs for each worker (RFC 9611) there are numbers for those: children of the
//! engine and of the workers, which are no children of the plan. They follow those of the plan, child by child.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ravelin_ike::config::{ChildId, ConnectionId, Resource};

use crate::config::plan::{Child, Plan, Tunnel};

/// A child's number, over all tunnels: the engine's `ChildId` and the `child` of the workers.
pub type ChildNumber = u32;

/// The tunnels and children of a plan, by number.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    tunnels: Vec<Entry>,
    /// Of each child: its tunnel's index and its place within the tunnel.
    children: Vec<(usize, usize)>,
    /// The tunnels that are there, by name; of two, for a moment, the one that came last.
    names: HashMap<String, usize>,
    /// Tunnels that are there.
    present: usize,
    /// The same by group.
    of_group: BTreeMap<String, usize>,
    /// Numbers of peers' tunnels that are gone, longest first.
    left: VecDeque<usize>,
    /// Names of gateways, and whether they are gone.
    gateways: Vec<(String, bool)>,
    /// Workers besides the one a tunnel is on: so many SAs of single workers there may be beside a child's.
    others: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The plan's, if it is of the plan.
    tunnel: Arc<Tunnel>,
    first_child: usize,
    /// Numbers of children that are its.
    children: usize,
    /// The same with those of single workers' SAs, which come after.
    numbers: usize,
    /// Not configured any more; its name is still needed for what is said of its end.
    gone: bool,
}

impl Roster {
    /// Numbers the tunnels of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let others = plan.workers.cores.len().saturating_sub(1);
        let mut roster = Self { others, ..Self::default() };
        for tunnel in plan.tunnels.values() {
            roster.append(Arc::clone(tunnel));
        }
        for name in plan.gateways.keys() {
            roster.add_gateway(name);
        }
        roster
    }

    fn append(&mut self, tunnel: Arc<Tunnel>) -> ConnectionId {
        let (index, first_child) = (self.tunnels.len(), self.children.len());
        let (children, numbers) = self.counts(&tunnel);
        self.children.extend((0..numbers).map(|place| (index, place)));
        self.names.insert(tunnel.name.clone(), index);
        self.count(&tunnel.group);
        self.tunnels.push(Entry { tunnel, first_child, children, numbers, gone: false });
        ConnectionId(index as u32)
    }

    /// Children of a tunnel, and numbers it needs.
    fn counts(&self, tunnel: &Tunnel) -> (usize, usize) {
        let children = tunnel.children.len();
        (children, if tunnel.per_worker { children * (1 + self.others) } else { children })
    }

    /// Numbers a new tunnel. `is_free` says of a child's number that nothing of its last owner is left.
    pub fn add(&mut self, tunnel: Arc<Tunnel>, is_free: impl Fn(ChildNumber) -> bool) -> ConnectionId {
        let counts = self.counts(&tunnel);
        let fits = |entry: &Entry| entry.tunnel.origin.is_none() && entry.fits(counts, &is_free);
        let Some(index) = self.tunnels.iter().position(fits) else { return self.append(tunnel) };
        self.put(index, tunnel)
    }

    /// Numbers the tunnel of a gateway's peer, as [`Roster::add`] does, among those of other peers.
    pub fn admit(&mut self, tunnel: Arc<Tunnel>, is_free: impl Fn(ChildNumber) -> bool) -> ConnectionId {
        let counts = self.counts(&tunnel);
        let fits = |index: &usize| self.tunnels.get(*index).is_some_and(|entry| entry.fits(counts, &is_free));
        let at = self.left.iter().position(fits);
        match at.and_then(|at| self.left.remove(at)) {
            Some(index) => self.put(index, tunnel),
            None => self.append(tunnel),
        }
    }

    fn put(&mut self, index: usize, tunnel: Arc<Tunnel>) -> ConnectionId {
        if let Some(entry) = self.tunnels.get_mut(index) {
            self.names.insert(tunnel.name.clone(), index);
            (entry.tunnel, entry.gone) = (tunnel, false);
            let group = entry.tunnel.group.clone();
            self.count(&group);
        }
        ConnectionId(index as u32)
    }

    fn count(&mut self, group: &str) {
        self.present += 1;
        *self.of_group.entry(group.to_owned()).or_default() += 1;
    }

    /// Replaces a tunnel by one with the same children, of the same group.
    pub fn replace(&mut self, id: ConnectionId, tunnel: Arc<Tunnel>) {
        if let Some(entry) = self.tunnels.get_mut(id.0 as usize) {
            debug_assert_eq!(entry.tunnel.children.len(), tunnel.children.len());
            debug_assert_eq!(entry.tunnel.per_worker, tunnel.per_worker);
            debug_assert_eq!(entry.tunnel.name, tunnel.name);
            debug_assert_eq!(entry.tunnel.group, tunnel.group);
            entry.tunnel = tunnel;
        }
    }

    /// Takes a tunnel out.
    pub fn remove(&mut self, id: ConnectionId) {
        let index = id.0 as usize;
        let Some(entry) = self.tunnels.get_mut(index).filter(|entry| !entry.gone) else { return };
        entry.gone = true;
        self.present -= 1;
        if let Some(count) = self.of_group.get_mut(&entry.tunnel.group) {
            *count -= 1;
        }
        if self.names.get(&entry.tunnel.name) == Some(&index) {
            self.names.remove(&entry.tunnel.name);
        }
        if entry.tunnel.origin.is_some() {
            Arc::make_mut(&mut entry.tunnel).children = Vec::new();
            self.left.push_back(index);
        }
    }

    /// How many tunnels are there.
    pub fn len(&self) -> usize {
        self.present
    }

    /// How many of a group are there.
    pub fn count_of(&self, group: &str) -> usize {
        self.of_group.get(group).copied().unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Numbers a gateway.
    pub fn add_gateway(&mut self, name: &str) -> ConnectionId {
        let index = self.gateways.iter().position(|(_, gone)| *gone).unwrap_or(self.gateways.len());
        match self.gateways.get_mut(index) {
            Some(gateway) => *gateway = (name.to_owned(), false),
            None => self.gateways.push((name.to_owned(), false)),
        }
        gateway_id(index)
    }

    /// Takes a gateway out.
    pub fn remove_gateway(&mut self, id: ConnectionId) {
        self.gateways.get_mut(gateway_index(id)).into_iter().for_each(|gateway| gateway.1 = true);
    }

    /// All gateways with their numbers.
    pub fn gateways(&self) -> impl Iterator<Item = (ConnectionId, &str)> {
        let present = self.gateways.iter().enumerate().filter(|(_, (_, gone))| !gone);
        present.map(|(index, (name, _))| (gateway_id(index), name.as_str()))
    }

    /// A gateway's name by number.
    pub fn gateway(&self, id: ConnectionId) -> Option<&str> {
        let (name, gone) = self.gateways.get(gateway_index(id))?;
        (!gone).then_some(name.as_str())
    }

    /// A gateway's number by name.
    pub fn find_gateway(&self, name: &str) -> Option<ConnectionId> {
        self.gateways().find(|(_, known)| *known == name).map(|(id, _)| id)
    }

    fn present(&self, index: usize) -> Option<&Entry> {
        self.tunnels.get(index).filter(|entry| !entry.gone)
    }

    /// All tunnels with their numbers.
    pub fn tunnels(&self) -> impl Iterator<Item = (ConnectionId, &Tunnel)> {
        let present = self.tunnels.iter().enumerate().filter(|(_, entry)| !entry.gone);
        present.map(|(index, entry)| (ConnectionId(index as u32), &*entry.tunnel))
    }

    /// All from a number on.
    pub fn tunnels_from(&self, first: u32) -> impl Iterator<Item = (ConnectionId, &Tunnel)> {
        let all = self.tunnels.iter().enumerate().skip(first as usize);
        all.filter(|(_, entry)| !entry.gone)
            .map(|(index, entry)| (ConnectionId(index as u32), &*entry.tunnel))
    }

    /// A tunnel by number.
    pub fn tunnel(&self, id: ConnectionId) -> Option<&Tunnel> {
        self.present(id.0 as usize).map(|entry| &*entry.tunnel)
    }

    /// A tunnel's name, for people.
    pub fn name(&self, id: ConnectionId) -> &str {
        let gateway = || self.gateways.get(gateway_index(id)).map_or("?", |(name, _)| name.as_str());
        self.tunnels.get(id.0 as usize).map_or_else(gateway, |entry| entry.tunnel.name.as_str())
    }

    /// A tunnel's number by name.
    pub fn find(&self, name: &str) -> Option<ConnectionId> {
        self.names.get(name).map(|index| ConnectionId(*index as u32))
    }

    /// The names there are, for people.
    pub fn names(&self) -> String {
        self.tunnels().map(|(_, tunnel)| tunnel.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// How many numbers of children there are.
    pub fn child_count(&self) -> usize {
        self.children.len()
    }

    /// A child by number, with its tunnel. The number of a single worker's SA gives the child that it is beside.
    pub fn child(&self, number: ChildNumber) -> Option<(ConnectionId, &Tunnel, &Child)> {
        let (index, place) = *self.children.get(number as usize)?;
        let entry = self.present(index)?;
        Some((ConnectionId(index as u32), &entry.tunnel, entry.tunnel.children.get(entry.child_at(place))?))
    }

    /// The child whose SA all workers use, if the number is that of a single worker's SA beside it.
    pub fn fallback(&self, number: ChildNumber) -> Option<ChildNumber> {
        let (index, place) = *self.children.get(number as usize)?;
        let entry = self.tunnels.get(index).filter(|entry| place >= entry.children)?;
        Some((entry.first_child + entry.child_at(place)) as ChildNumber)
    }

    /// The numbers of single workers' SAs beside a child of a tunnel.
    pub fn beside(&self, id: ConnectionId, child: ChildId) -> impl Iterator<Item = ChildNumber> {
        let entry = self.present(id.0 as usize);
        let numbers = entry.map_or(0..0, |entry| {
            let own = entry.own();
            let at = (child.0 as usize).saturating_sub(entry.first_child);
            let first = entry.first_child + entry.children + at * own;
            first..first + own
        });
        numbers.map(|number| number as ChildNumber)
    }

    /// All numbers of a tunnel: of its children, and of single workers' SAs.
    pub fn numbers(&self, id: ConnectionId) -> impl Iterator<Item = ChildNumber> {
        let numbers =
            self.present(id.0 as usize).map(|entry| entry.first_child..entry.first_child + entry.numbers);
        numbers.into_iter().flatten().map(|number| number as ChildNumber)
    }

    /// The children of a tunnel as the engine has them.
    pub fn negotiable(&self, id: ConnectionId) -> impl Iterator<Item = (ChildId, Child, Resource)> {
        self.numbers(id).filter_map(move |number| {
            let (_, _, child) = self.child(number)?;
            let has_own = self.present(id.0 as usize).is_some_and(|entry| entry.own() > 0);
            let resource = match self.fallback(number) {
                Some(fallback) => Resource::One { fallback: ChildId(fallback) },
                None if has_own => Resource::Fallback,
                None => Resource::Only,
            };
            Some((ChildId(number), child.clone(), resource))
        })
    }

    /// The children of a tunnel with their numbers.
    pub fn children(&self, id: ConnectionId) -> impl Iterator<Item = (ChildId, &Child)> {
        let entry = self.present(id.0 as usize);
        entry.into_iter().flat_map(|entry| {
            let number = move |place: usize| ChildId((entry.first_child + place) as u32);
            entry.tunnel.children.iter().enumerate().map(move |(place, child)| (number(place), child))
        })
    }
}

impl Entry {
    /// Whether it is gone, had so many children and numbers, and nothing of them is left.
    fn fits(&self, counts: (usize, usize), is_free: impl Fn(ChildNumber) -> bool) -> bool {
        let mut numbers = self.first_child..self.first_child + self.numbers;
        self.gone && (self.children, self.numbers) == counts && numbers.all(|number| is_free(number as u32))
    }

    /// SAs of single workers that there may be beside each child.
    fn own(&self) -> usize {
        (self.numbers - self.children).checked_div(self.children).unwrap_or(0)
    }

    /// The child of the plan that the number at this place is for.
    fn child_at(&self, place: usize) -> usize {
        match place.checked_sub(self.children) {
            Some(beyond) => beyond.checked_div(self.own()).unwrap_or(usize::MAX),
            None => place,
        }
    }
}

fn gateway_id(index: usize) -> ConnectionId {
    ConnectionId(u32::MAX - index as u32)
}

fn gateway_index(id: ConnectionId) -> usize {
    (u32::MAX - id.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{self, interfaces, tunnel};

    fn tunnel(name: &str, children: usize) -> Arc<Tunnel> {
        let plan = ground::plan(concat!(interfaces!(), tunnel!("t", 1)));
        let tunnel = Tunnel::clone(&plan.tunnels["t"]);
        let children = vec![tunnel.children[0].clone(); children];
        Arc::new(Tunnel { name: name.into(), children, ..tunnel })
    }

    /// Who stays keeps its number; a number is given out again only when nothing of its last owner is left,
    /// and fits.
    #[test]
    fn numbers_stay_with_their_tunnels() {
        let mut roster = Roster::default();
        let ids: Vec<_> = [("a", 1), ("b", 2), ("c", 1)]
            .map(|(name, children)| roster.add(tunnel(name, children), |_| true))
            .into();
        roster.remove(ids[1]);
        assert_eq!((roster.find("b"), roster.name(ids[1])), (None, "b"));
        assert!(roster.tunnel(ids[1]).is_none() && roster.child(1).is_none());
        assert_eq!((roster.find("a"), roster.find("c")), (Some(ids[0]), Some(ids[2])));
        assert_eq!(roster.names(), "a, c");
        let too_early = roster.add(tunnel("d", 2), |child| child != 2);
        let other_size = roster.add(tunnel("e", 1), |_| true);
        assert!(![too_early, other_size].contains(&ids[1]));
        assert_eq!(roster.add(tunnel("f", 2), |_| true), ids[1]);
        assert_eq!(roster.child(2).map(|(id, tunnel, _)| (id, tunnel.name.as_str())), Some((ids[1], "f")));
        assert_eq!(roster.child_count(), 7);
    }

    /// Two children beside each of which two workers may have their own: numbers lead back to the children, and are given
    /// out again only to a tunnel with as many of either.
    #[test]
    fn single_workers_have_numbers_after_the_children() {
        let mut roster = Roster { others: 2, ..Roster::default() };
        let per_worker =
            |name: &str| Arc::new(Tunnel { per_worker: true, ..Tunnel::clone(&tunnel(name, 2)) });
        let (plain, id) = (roster.add(tunnel("a", 1), |_| true), roster.add(per_worker("b"), |_| true));
        let beside = |child| roster.beside(id, ChildId(child)).collect::<Vec<_>>();
        assert_eq!((beside(1), beside(2)), (vec![3, 4], vec![5, 6]));
        let fallbacks: Vec<_> = (0..7).map(|number| roster.fallback(number)).collect();
        assert_eq!(fallbacks, [None, None, None, Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(roster.children(id).map(|(child, _)| child.0).collect::<Vec<_>>(), [1, 2]);
        let resources: Vec<_> = roster.negotiable(id).map(|(id, _, resource)| (id.0, resource)).collect();
        assert_eq!(resources[0], (1, Resource::Fallback));
        assert_eq!(resources[5], (6, Resource::One { fallback: ChildId(2) }));
        assert_eq!(
            roster.negotiable(plain).map(|(.., resource)| resource).collect::<Vec<_>>(),
            [Resource::Only]
        );
        assert_eq!(roster.beside(plain, ChildId(0)).count(), 0);
        roster.remove(id);
        assert_eq!(roster.fallback(6), Some(2), "what is left of it is still known");
        assert_ne!(roster.add(tunnel("c", 6), |_| true), id);
        assert_eq!(roster.add(per_worker("d"), |_| true), id);
    }

    /// Peers' tunnels and configured ones do not take each other's numbers, and gateways are not among either.
    #[test]
    fn peers_have_numbers_of_their_own() {
        let reverse = crate::config::plan::ReverseRoutes {
            enabled: true,
            ignore_default: false,
            metric: 0,
            preference: 0,
        };
        let peer = |name: &str| {
            let origin = Some(crate::config::plan::Origin { gateway: "g".into(), client: None, reverse });
            Arc::new(Tunnel { origin, ..Tunnel::clone(&tunnel(name, 2)) })
        };
        let mut roster = Roster::default();
        let gateway = roster.add_gateway("g");
        let (a, b) = (roster.admit(peer("g/a"), |_| true), roster.add(tunnel("b", 2), |_| true));
        roster.remove(a);
        roster.remove(a);
        assert_eq!((roster.len(), roster.name(a), roster.name(gateway)), (1, "g/a", "g"));
        assert_eq!((roster.count_of("default"), roster.count_of("other")), (1, 0));
        let c = roster.add(tunnel("c", 2), |_| true);
        roster.remove(b);
        let d = roster.admit(peer("g/d"), |_| true);
        assert!(d == a && c != a && c != b);
        assert_ne!(roster.admit(peer("g/e"), |_| false), b);
        assert_eq!((roster.len(), roster.find_gateway("g")), (3, Some(gateway)));
        roster.remove_gateway(gateway);
        assert_eq!((roster.gateway(gateway), roster.name(gateway)), (None, "g"));
        assert_eq!(roster.add_gateway("h"), gateway);
    }
}
