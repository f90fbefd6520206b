//! Who is who: the numbers by which the engine and the workers know the tunnels and
//! children of a plan. Numbers follow the order of the plan's names.

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
}

impl Roster {
    /// Numbers the tunnels of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let mut roster = Self::default();
        for tunnel in plan.tunnels.values() {
            let first_child = roster.children.len();
            let index = roster.tunnels.len();
            roster.children.extend((0..tunnel.children.len()).map(|place| (index, place)));
            roster.tunnels.push(Entry { tunnel: tunnel.clone(), first_child });
        }
        roster
    }

    /// All tunnels with their numbers.
    pub fn tunnels(&self) -> impl Iterator<Item = (ConnectionId, &Tunnel)> {
        self.tunnels.iter().enumerate().map(|(index, entry)| (ConnectionId(index as u32), &entry.tunnel))
    }

    /// A tunnel by number.
    pub fn tunnel(&self, id: ConnectionId) -> Option<&Tunnel> {
        self.tunnels.get(id.0 as usize).map(|entry| &entry.tunnel)
    }

    /// A tunnel's name, for people.
    pub fn name(&self, id: ConnectionId) -> &str {
        self.tunnel(id).map_or("?", |tunnel| tunnel.name.as_str())
    }

    /// A tunnel's number by name.
    pub fn find(&self, name: &str) -> Option<ConnectionId> {
        let index = self.tunnels.iter().position(|entry| entry.tunnel.name == name)?;
        Some(ConnectionId(index as u32))
    }

    /// The names there are, for people.
    pub fn names(&self) -> String {
        self.tunnels.iter().map(|entry| entry.tunnel.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// How many children there are.
    pub fn child_count(&self) -> usize {
        self.children.len()
    }

    /// A child by number, with its tunnel.
    pub fn child(&self, number: ChildNumber) -> Option<(ConnectionId, &Tunnel, &Child)> {
        let (index, place) = *self.children.get(number as usize)?;
        let entry = self.tunnels.get(index)?;
        Some((ConnectionId(index as u32), &entry.tunnel, entry.tunnel.children.get(place)?))
    }

    /// The children of a tunnel with their numbers.
    pub fn children(&self, id: ConnectionId) -> impl Iterator<Item = (ChildId, &Child)> {
        let entry = self.tunnels.get(id.0 as usize);
        entry.into_iter().flat_map(|entry| {
            let number = move |place: usize| ChildId((entry.first_child + place) as u32);
            entry.tunnel.children.iter().enumerate().map(move |(place, child)| (number(place), child))
        })
    }
}
