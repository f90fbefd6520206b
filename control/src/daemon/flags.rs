//! Why a gateway or a tunnel is down, as flags with a word each (TG-10, TG-11): all that hold at once, where a reason code
//! is the first of them. Certificates, keys and anchors that cannot be used are refused with their configuration, so that
//! no flag tells of them.

use std::net::IpAddr;

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::ConnectionId;

use super::core::Core;
use crate::api::reply::State;
use crate::config::plan::{self, InstanceId};

/// A flag, and what was seen.
pub(super) type Flag = (&'static str, String);

/// What a tunnel or gateway stands on.
pub(super) struct Ground<'a> {
    pub(super) enabled: bool,
    pub(super) public: InstanceId,
    pub(super) private: InstanceId,
    pub(super) group: &'a str,
    pub(super) local: IpAddr,
}

impl<P: Pool> Core<P> {
    /// What of the ground under a tunnel or gateway does not hold.
    pub(super) fn ground_flags(&self, ground: &Ground<'_>) -> Vec<Flag> {
        let mut flags = Vec::new();
        if !ground.enabled {
            flags.push(("admin-down", "enabled = false".to_owned()));
        }
        let out = self.service.why(ground.public).or_else(|| self.service.why(ground.private));
        flags.extend(out.map(|why| ("ike-not-ready", why.text)));
        let group = super::groups::of_group(self.workers.groups(), ground.group);
        flags.extend(group.map(|why| ("tunnel-group-down", why.text)));
        let link = self.without_link(ground.public, ground.local);
        flags.extend(link.map(|text| ("local-ip-unreachable", text)));
        flags
    }

    /// Those of a tunnel in this state.
    pub(super) fn tunnel_flags(&self, id: ConnectionId, tunnel: &plan::Tunnel, state: State) -> Vec<Flag> {
        let plan::Tunnel { enabled, public, private, group, local, .. } = tunnel;
        let ground = Ground { enabled: *enabled, public: *public, private: *private, group, local: *local };
        let mut flags = self.ground_flags(&ground);
        flags.extend(self.standstill(id).map(|why| ("worker-stalled", why.text)));
        // Of one that is up nobody asks: its peer answers, or is found dead.
        let unreachable = self.peer_unreachable(tunnel, None).filter(|_| state != State::Up);
        flags.extend(unreachable.map(|text| ("peer-unreachable", text)));
        flags
    }

    /// Why nothing reaches the peer of a tunnel where it is, or at any of its addresses.
    pub(super) fn peer_unreachable(&self, tunnel: &plan::Tunnel, is_at: Option<IpAddr>) -> Option<String> {
        let (routing, tables) = self.workers.routing();
        let of = |remote| routing.unreachable(tunnel.public, remote, tables);
        match is_at {
            Some(remote) => of(remote),
            None => tunnel.remotes().map(of).collect::<Option<Vec<String>>>()?.into_iter().next(),
        }
    }

    /// Why an outer address of ours hears nothing, if the port that has it has no link.
    pub(super) fn without_link(&self, instance: InstanceId, local: IpAddr) -> Option<String> {
        let has_local = |interface: &&plan::Interface| {
            let here = interface.addresses.iter().any(|net| net.addr() == local);
            interface.instance == instance && here
        };
        let interface = self.plan.interfaces.iter().find(has_local)?;
        let is_down = self.ports.get(interface.port).is_some_and(|port| port.down);
        is_down.then(|| format!("the port of interface {} has no link", interface.name))
    }
}
