//! Why a tunnel is as it is, and what is known of an address: asked of the loop, which has all that a verdict rests on.

use std::net::IpAddr;

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::ConnectionId;

use super::core::Core;
use crate::api::reply::{Attempt, Explain, Strangers};
use crate::api::request::TunnelName;
use crate::api::{ApiError, Reply};
use crate::config::plan;
use crate::observe::journal::unix_time;
use crate::tunnel::attempts::{self, Time};
use crate::tunnel::explain::{self, Evidence};

impl<P: Pool> Core<P> {
    /// Why a tunnel is as it is, or what is known of an address.
    pub(super) fn explain(&self, name: &TunnelName) -> Result<Reply, ApiError> {
        let name = &name.tunnel;
        let id = self.roster.find(name);
        if let Some((id, tunnel)) = id.and_then(|id| Some((id, self.roster.tunnel(id)?))) {
            return Ok(Reply::Explain(self.explanation(id, tunnel)));
        }
        let known = name.parse().ok().and_then(|address| self.strangers(address));
        known
            .map(Reply::Strangers)
            .ok_or_else(|| ApiError::NotFound { name: name.clone(), known: self.roster.names() })
    }

    fn explanation(&self, id: ConnectionId, tunnel: &plan::Tunnel) -> Explain {
        let (routing, tables) = self.workers.routing();
        let row = self.tunnel(id, tunnel);
        explain::explain(&Evidence {
            tunnel,
            status: self.status.tunnel(id),
            children: &row.children,
            state: row.state,
            attempts: self.engine.recorder().of(id).collect(),
            outage: self.service.of_tunnel(tunnel),
            group: super::groups::of_group(self.workers.groups(), &tunnel.group),
            path: self.path_of(id, tunnel),
            unreachable: tunnel.remote.and_then(|remote| routing.unreachable(tunnel.public, remote, tables)),
            standstill: self.standstill(id),
            child_ids: self.roster.children(id).map(|(child, _)| child).collect(),
            now: self.now(),
            time: self.time(),
        })
    }

    /// This moment.
    fn time(&self) -> Time {
        Time { now: self.now(), unix: unix_time() }
    }

    /// Whose peer an address is, and what it tried that no tunnel was found for, newest first; `None` if nothing is
    /// known of it.
    fn strangers(&self, address: IpAddr) -> Option<Strangers> {
        let peer = |tunnel: &&plan::Tunnel| tunnel.remote == Some(address);
        let tunnels = self.roster.tunnels().map(|(_, tunnel)| tunnel).filter(peer);
        let tunnels: Vec<String> = tunnels.map(|tunnel| tunnel.name.clone()).collect();
        let kept = self.engine.recorder().strangers().filter(|((_, caller), _)| *caller == address);
        let told = kept.flat_map(|(_, kept)| kept.map(|kept| attempts::tell(kept, None, None, self.time())));
        let mut attempts: Vec<Attempt> = told.collect();
        attempts.sort_by_key(|attempt| attempt.seconds_ago);
        let known = !tunnels.is_empty() || !attempts.is_empty();
        known.then(|| Strangers { address: address.to_string(), tunnels, attempts })
    }
}
