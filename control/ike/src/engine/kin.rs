//! The tunnels beside the one whose step it is.

use super::Entry;
use crate::config::ConnectionId;
use crate::context::Others;
use crate::id::IkeId;
use crate::sa::tunnel::Tunnel;
use std::collections::{BTreeMap, BTreeSet};

/// All tunnels but one, which is out while it takes its step.
pub(super) struct Kin<'a> {
    pub(super) tunnels: &'a BTreeMap<IkeId, Box<Entry>>,
    pub(super) by_connection: &'a BTreeSet<(ConnectionId, IkeId)>,
}

impl Others for Kin<'_> {
    fn of(&self, connection: ConnectionId) -> Vec<&Tunnel> {
        let range = (connection, IkeId(0))..=(connection, IkeId(u64::MAX));
        self.by_connection.range(range).filter_map(|(_, id)| self.tunnel(*id)).collect()
    }

    fn tunnel(&self, ike: IkeId) -> Option<&Tunnel> {
        self.tunnels.get(&ike).map(|entry| &entry.tunnel)
    }
}
