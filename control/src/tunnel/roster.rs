//! Who is who: the numbers by which the engine and the workers know the tunnels and
//! children of a plan. At the start numbers follow the order of the plan's names; after that a tunnel keeps
//! its number as long as it is configured, and a new one takes the number of one that is gone, once nothing
//! of that is left, or the next.

use ravelin_ike::config::{ChildId, ConnectionId};

use crate::config::plan::{Child, Plan, Tunnel};

/// A child's number, over all tunnels: the engine's `ChildId` and the `child` of the workers.
pub type ChildNumber = u32;

/// The tunnels and children of a plan, by number.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    tunnels: Vec<Entry>,
    /// Of each child: its tunnel's index and its place within the tunnel.
    children: Vec<(usize, usize)>,
}

#[derive(Debug, Clone)]
struct Entry {
    tunnel: Tunnel,
    first_child: usize,
    /// Not configured any more; its name is still needed for what is said of its end.
    gone: bool,
}

impl Roster {
    /// Numbers the tunnels of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let mut roster = Self::default();
        for tunnel in plan.tunnels.values() {
            roster.append(tunnel.clone());
        }
        roster
    }

    fn append(&mut self, tunnel: Tunnel) -> ConnectionId {
        let (index, first_child) = (self.tunnels.len(), self.children.len());
        self.children.extend((0..tunnel.children.len()).map(|place| (index, place)));
        self.tunnels.push(Entry { tunnel, first_child, gone: false });
        ConnectionId(index as u32)
    }

    /// Numbers a new tunnel. `is_free` says of a child's number that nothing of its last owner is left.
    pub fn add(&mut self, tunnel: Tunnel, is_free: impl Fn(ChildNumber) -> bool) -> ConnectionId {
        let count = tunnel.children.len();
        let fits = |entry: &Entry| {
            let mut numbers = entry.first_child..entry.first_child + count;
            entry.gone && entry.tunnel.children.len() == count && numbers.all(|number| is_free(number as u32))
        };
        let Some(index) = self.tunnels.iter().position(fits) else { return self.append(tunnel) };
        if let Some(entry) = self.tunnels.get_mut(index) {
            (entry.tunnel, entry.gone) = (tunnel, false);
        }
        ConnectionId(index as u32)
    }

    /// Replaces a tunnel by one with the same children.
    pub fn replace(&mut self, id: ConnectionId, tunnel: Tunnel) {
        if let Some(entry) = self.tunnels.get_mut(id.0 as usize) {
            debug_assert_eq!(entry.tunnel.children.len(), tunnel.children.len());
            entry.tunnel = tunnel;
        }
    }

    /// Takes a tunnel out.
    pub fn remove(&mut self, id: ConnectionId) {
        if let Some(entry) = self.tunnels.get_mut(id.0 as usize) {
            entry.gone = true;
        }
    }

    fn present(&self, index: usize) -> Option<&Entry> {
        self.tunnels.get(index).filter(|entry| !entry.gone)
    }

    /// All tunnels with their numbers.
    pub fn tunnels(&self) -> impl Iterator<Item = (ConnectionId, &Tunnel)> {
        let present = self.tunnels.iter().enumerate().filter(|(_, entry)| !entry.gone);
        present.map(|(index, entry)| (ConnectionId(index as u32), &entry.tunnel))
    }

    /// A tunnel by number.
    pub fn tunnel(&self, id: ConnectionId) -> Option<&Tunnel> {
        self.present(id.0 as usize).map(|entry| &entry.tunnel)
    }

    /// A tunnel's name, for people.
    pub fn name(&self, id: ConnectionId) -> &str {
        self.tunnels.get(id.0 as usize).map_or("?", |entry| entry.tunnel.name.as_str())
    }

    /// A tunnel's number by name.
    pub fn find(&self, name: &str) -> Option<ConnectionId> {
        let index = self.tunnels.iter().position(|entry| !entry.gone && entry.tunnel.name == name)?;
        Some(ConnectionId(index as u32))
    }

    /// The names there are, for people.
    pub fn names(&self) -> String {
        self.tunnels().map(|(_, tunnel)| tunnel.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// How many children there are.
    pub fn child_count(&self) -> usize {
        self.children.len()
    }

    /// A child by number, with its tunnel.
    pub fn child(&self, number: ChildNumber) -> Option<(ConnectionId, &Tunnel, &Child)> {
        let (index, place) = *self.children.get(number as usize)?;
        let entry = self.present(index)?;
        Some((ConnectionId(index as u32), &entry.tunnel, entry.tunnel.children.get(place)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(name: &str, children: usize) -> Tunnel {
        let none = |_: &std::path::Path| Err(std::io::Error::other("no file"));
        let text = r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
[tunnel.t]
local = "192.0.2.2"
remote = "192.0.2.1"
psk = "correct horse"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
"#;
        let plan = crate::config::parse("test", text, std::path::Path::new("/"), &none).unwrap();
        let tunnel = plan.tunnels["t"].clone();
        let children = vec![tunnel.children[0].clone(); children];
        Tunnel { name: name.into(), children, ..tunnel }
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
}
