//! Why a tunnel is as it is, and what is known of an address or of a gateway's callers: asked of the loop, which has all that a verdict rests on.

use std::net::IpAddr;

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::ConnectionId;

use super::core::Core;
use crate::api::reply::{Attempt, Callers, Explain, Strangers};
use crate::api::request::TunnelName;
use crate::api::{ApiError, Reply};
use crate::config::plan;
use crate::observe::journal::unix_time;
use crate::tunnel::attempts::{self, Time};
use crate::tunnel::explain::{self, Evidence};
use crate::tunnel::keys::Whose;

impl<P: Pool> Core<P> {
    /// Why a tunnel is as it is, or what is known of a gateway's callers or of an address.
    pub(super) fn explain(&self, name: &TunnelName) -> Result<Reply, ApiError> {
        let name = &name.tunnel;
        let id = self.roster.find(name);
        if let Some((id, tunnel)) = id.and_then(|id| Some((id, self.roster.tunnel(id)?))) {
            return Ok(Reply::Explain(self.explanation(id, tunnel)));
        }
        if let Some(gateway) = self.plan.gateways.get(name) {
            return Ok(Reply::Callers(self.callers(gateway)));
        }
        let known = name.parse().ok().and_then(|address| self.strangers(address));
        known
            .map(Reply::Strangers)
            .ok_or_else(|| ApiError::NotFound { name: name.clone(), known: self.roster.names() })
    }

    fn explanation(&self, id: ConnectionId, tunnel: &plan::Tunnel) -> Explain {
        let row = self.tunnel(id, tunnel);
        explain::explain(&Evidence {
            tunnel,
            status: self.status.tunnel(id),
            children: &row.children,
            state: row.state,
            attempts: self.engine.recorder().of(id).collect(),
            shut_down: super::groups::shut_down(tunnel),
            outage: self.service.of_tunnel(tunnel),
            group: super::groups::of_group(self.workers.groups(), &tunnel.group),
            path: self.path_of(id, tunnel),
            unreachable: self.peer_unreachable(tunnel, self.peer_is_at(id, tunnel)),
            standstill: self.standstill(id),
            believed: self.status.tunnel(id).and_then(|it| it.ike()).and_then(|ike| self.believed(ike.id)),
            messages: self.messages(id),
            linkless: self.without_link(tunnel.public, tunnel.local),
            child_ids: self.roster.children(id).map(|(child, _)| child).collect(),
            now: self.now(),
            time: self.time(),
        })
    }

    /// Where the peer of a tunnel that calls it is.
    fn peer_is_at(&self, id: ConnectionId, tunnel: &plan::Tunnel) -> Option<IpAddr> {
        let up = self.status.tunnel(id).and_then(|status| status.ike()).map(|ike| ike.remote.ip());
        up.filter(|_| tunnel.remote.is_some())
    }

    /// This moment.
    fn time(&self) -> Time {
        Time { now: self.now(), unix: unix_time() }
    }

    /// The callers that a gateway did not let in.
    fn callers(&self, gateway: &plan::Gateway) -> Callers {
        let row = self.gateway_row(gateway, false);
        Callers {
            gateway: row.name,
            open: row.open,
            reasons: row.reasons,
            count: row.count,
            attempts: newest_first(self.refused(gateway, None)),
        }
    }

    /// What callers of a gateway tried, those from one address if one is meant.
    fn refused(&self, gateway: &plan::Gateway, address: Option<IpAddr>) -> Vec<Attempt> {
        let Some(id) = self.roster.find_gateway(&gateway.name) else { return Vec::new() };
        let kept = self.engine.recorder().callers(id);
        let kept = kept.filter(|(caller, _)| address.is_none_or(|address| address == *caller));
        let tell = |attempt| attempts::tell(attempt, Whose::Gateway(gateway), self.time());
        kept.flat_map(|(_, kept)| kept.map(tell)).collect()
    }

    /// Whose peer an address is, and what it tried that no tunnel was found for, newest first; `None` if nothing is
    /// known of it.
    fn strangers(&self, address: IpAddr) -> Option<Strangers> {
        let is_there = |id| self.status.tunnel(id).and_then(|tunnel| tunnel.ike()).map(|ike| ike.remote.ip());
        let peer = |(id, tunnel): &(ConnectionId, &plan::Tunnel)| match tunnel.origin {
            None => tunnel.remotes().any(|remote| remote == address),
            Some(_) => is_there(*id) == Some(address),
        };
        let tunnels = self.roster.tunnels().filter(peer);
        let tunnels: Vec<String> = tunnels.map(|(_, tunnel)| tunnel.name.clone()).collect();
        let kept = self.engine.recorder().strangers().filter(|((_, caller), _)| *caller == address);
        let tell = |attempt| attempts::tell(attempt, Whose::Nobody, self.time());
        let strange = kept.flat_map(|(_, kept)| kept.map(tell));
        let refused = self.plan.gateways.values().flat_map(|gateway| self.refused(gateway, Some(address)));
        let attempts = newest_first(strange.chain(refused).collect());
        let known = !tunnels.is_empty() || !attempts.is_empty();
        known.then(|| Strangers { address: address.to_string(), tunnels, attempts })
    }
}

fn newest_first(mut attempts: Vec<Attempt>) -> Vec<Attempt> {
    attempts.sort_by_key(|attempt| attempt.seconds_ago);
    attempts
}
