//! Gateways: lets peers in that the engine has proven, gives each a tunnel, keeps the routes to what they have behind
//! them, and takes all of that away when they go. What a peer gets is decided in [`crate::tunnel::gateway`], which routes
//! in [`crate::tunnel::reverse`].

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ipnet::IpNet;
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_ike::config::{ClientMatch, ConnectionId};
use ravelin_ike::id::{ChildSaId, Ticket};
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Admit, Answer, AnswerError, InstallChild};

use super::core::Core;
use crate::config::plan::{self, InstanceId, Keying, Tunnel};
use crate::instance::{Request, TunnelRoute};
use crate::tunnel::connection;
use crate::tunnel::gateway::{Peers, Terms};
use crate::tunnel::reverse::{self, Change, Claims};
use crate::tunnel::words;

/// The gateway is not there any more, or lets nobody in.
const CLOSED: &str = "RV-GATE-010";
/// As many tunnels as there may be.
const FULL: &str = "RV-GATE-011";
/// The identity is there already.
const KEPT: &str = "RV-GATE-012";
/// The client is not there any more.
const NO_CLIENT: &str = "RV-GATE-013";
/// The client's instance is not there, or out of service.
const NO_INSTANCE: &str = "RV-GATE-014";
/// Networks of another tunnel.
const TAKEN: &str = "RV-ROUTE-001";
/// More networks than one CHILD SA may have.
const MANY: &str = "RV-ROUTE-002";

/// What there is of gateways' peers. Sole owner: the control loop.
#[derive(Debug, Default)]
pub struct Gateways {
    pub(super) peers: Peers,
    pub(super) claims: Claims,
    /// Peers that are gone, and of which some last word may still be said.
    departed: Vec<ConnectionId>,
}

/// Which client a caller is.
fn client_name(client: &ClientMatch) -> Option<&str> {
    match client {
        ClientMatch::Client(name) => Some(name),
        ClientMatch::NotAsked | ClientMatch::Nobody(_) => None,
    }
}

/// The same in words, where there are clients.
fn as_client(client: &ClientMatch) -> String {
    match client {
        ClientMatch::NotAsked => String::new(),
        ClientMatch::Client(name) => format!(", as client {name}"),
        ClientMatch::Nobody(nobody) => format!(", as no client: {nobody}"),
    }
}

fn no(code: &str, text: String) -> AnswerError {
    AnswerError { code: code.into(), text }
}

impl<P: Pool> Core<P> {
    /// Tunnels there may be (TG-07).
    pub(super) fn tunnel_limit(&self) -> usize {
        let workers = &self.plan.workers;
        workers.cores.len() * workers.tunnel_limit.tunnels() as usize
    }

    /// A peer has proven itself to a gateway: the connection of a tunnel of its own, or why it gets none.
    pub(super) fn admit(&mut self, now: Instant, admit: &Admit) -> Result<ConnectionId, AnswerError> {
        let gateway = self.roster.gateway(admit.gateway).and_then(|name| self.plan.gateways.get(name));
        let gateway = gateway.filter(|gateway| gateway.enabled).cloned();
        let gateway = gateway.ok_or_else(|| no(CLOSED, "it is configured no more".into()))?;
        let is_taken = |name: &str| self.plan.tunnels.contains_key(name);
        let tunnel = self.terms(&gateway, &admit.client).map(|terms| terms.tunnel(String::new()))?;
        let who = (client_name(&admit.client), &admit.identity);
        let there = |id: ConnectionId| self.is_at(id, admit.path.remote);
        let met = self.gateways.peers.meet(&gateway, who, admit.initial_contact, there, is_taken);
        let met = met.map_err(|kept| no(KEPT, kept.to_string()))?;
        if let Some(id) = met.goes_on {
            self.connect_peer(now, id);
            return Ok(id);
        }
        let (there, limit) = (self.roster.len() - met.replaces.len(), self.tunnel_limit());
        if there >= limit {
            let text =
                format!("{there} tunnels are there, and {limit} may be: raise tunnel-limit or workers.count");
            return Err(no(FULL, text));
        }
        let mut group = self.tunnels_in(&gateway.group);
        group.used = group.used.saturating_sub(met.replaces.len() as u64);
        if group.used >= group.capacity {
            let text = format!(
                "tunnel group {} has {} of {} tunnels: raise tunnel-limit or its active workers",
                gateway.group, group.used, group.capacity
            );
            return Err(no(FULL, text));
        }
        for connection in met.replaces {
            self.gateways.peers.remove(connection);
            self.engine.handle_command(now, Command::Supersede { connection });
        }
        let tunnel = Tunnel { name: met.name.clone(), ..tunnel };
        let id = self.workers.admit(&mut self.roster, tunnel.into());
        self.status.forget(id);
        self.gateways.peers.add(id, &gateway.name, who, &met.name);
        let peer = words::identity(&admit.identity);
        let client = as_client(&admit.client);
        let text = format!("{peer} at {} by gateway {}{client}", admit.path.remote, gateway.name);
        self.journal.note(&met.name, "peer-admitted", text);
        self.connect_peer(now, id);
        Ok(id)
    }

    /// Whether the peer of a tunnel is at this address and port: of several peers behind one address each has its own.
    fn is_at(&self, id: ConnectionId, remote: SocketAddr) -> bool {
        self.status.tunnel(id).is_some_and(|status| status.ikes.iter().any(|ike| ike.remote == remote))
    }

    /// What a peer of a gateway gets, which is this client.
    fn terms<'a>(&self, gateway: &'a plan::Gateway, client: &ClientMatch) -> Result<Terms<'a>, AnswerError> {
        let name = client_name(client);
        let client = name.map(|name| {
            let gone = || no(NO_CLIENT, format!("client {name} is configured no more, or not enabled"));
            gateway.client(name).ok_or_else(gone)
        });
        let terms = Terms::of(gateway, client.transpose()?, &self.plan.instances);
        let terms = terms.ok_or_else(|| no(NO_INSTANCE, "the instance of its client is not there".into()))?;
        match self.service.why(terms.private) {
            Some(why) => Err(no(NO_INSTANCE, why.text)),
            None => Ok(terms),
        }
    }

    /// Gives the engine the connection of a peer's tunnel, as the gateway is now. That of a client which is there no more
    /// stays as it is: it was let in (TS-16).
    pub(super) fn connect_peer(&mut self, now: Instant, id: ConnectionId) {
        let Some(tunnel) = self.roster.tunnel(id) else { return };
        let Some(origin) = &tunnel.origin else { return };
        let gateway = self.plan.gateways.get(&origin.gateway);
        let (Some(gateway), Keying::Ike(ike)) = (gateway, &tunnel.keying) else { return };
        let client = origin.client.as_ref().map(|name| gateway.client(name));
        let Some(client) = client.map_or(Some(None), |client| client.map(Some)) else { return };
        let Some(terms) = Terms::of(gateway, client, &self.plan.instances) else { return };
        match connection::of_admitted(&self.plan, terms.traffic, tunnel, ike, self.roster.negotiable(id)) {
            Ok(connection) => self.engine.set_connection(now, id, Some(connection)),
            // The gateway's own was made of the same.
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// The peer of a tunnel is gone, and the tunnel with it.
    pub(super) fn dismiss(&mut self, now: Instant, id: ConnectionId) {
        self.gateways.peers.remove(id);
        self.moving.forget(id);
        self.workers.dismiss(&self.roster, id);
        self.engine.set_connection(now, id, None);
        self.roster.remove(id);
        self.gateways.departed.push(id);
    }

    /// Forgets what was said of peers that are gone, after the last of it.
    pub(super) fn forget_departed(&mut self) {
        for id in std::mem::take(&mut self.gateways.departed) {
            if self.roster.tunnel(id).is_none() {
                self.status.forget(id);
            }
        }
    }

    /// Installs a CHILD SA and leads into its tunnel what the peer has behind it, if no other tunnel has any of that.
    pub(super) fn install(&mut self, now: Instant, ticket: Ticket, install: &InstallChild) {
        let networks = match self.networks(install) {
            Ok(networks) => networks,
            Err(error) => {
                self.workers.release_spi(install.spi_in, now);
                return self.engine.handle_answer(now, ticket, Answer::NetworksTaken(error));
            }
        };
        if let Err(error) = self.workers.install(install, ticket, &self.roster, now) {
            self.workers.release_spi(install.spi_in, now);
            return self.engine.handle_answer(now, ticket, Answer::Install(Err(error.into())));
        }
        if let Some(networks) = networks {
            let change = self.gateways.claims.add(install.connection, install.child, networks);
            self.lead(install.connection, change);
        }
    }

    /// The networks that a CHILD SA of a peer leads to; none of a configured tunnel, whose routes are configured.
    fn networks(&self, install: &InstallChild) -> Result<Option<Vec<IpNet>>, AnswerError> {
        let id = install.connection;
        let Some(tunnel) = self.roster.tunnel(id) else { return Ok(None) };
        let Some(origin) = tunnel.origin.as_ref().filter(|origin| origin.reverse.enabled) else {
            return Ok(None);
        };
        let networks = reverse::cover(&install.remote, origin.reverse.ignore_default);
        let networks = networks.map_err(|many| no(MANY, many.to_string()))?;
        let (routing, _) = self.workers.routing();
        let taken = networks.iter().find_map(|net| {
            let (other, whose) = routing.others(tunnel.private, *net, TunnelId(id.0)).next()?;
            let whose = self.roster.name(ConnectionId(whose.0));
            Some(no(TAKEN, format!("{net} meets {other}, which is of tunnel {whose}")))
        });
        taken.map_or(Ok(Some(networks)), Err)
    }

    /// A CHILD SA is gone, and its claim to networks with it.
    pub(super) fn renounce(&mut self, sa: ChildSaId) {
        if let Some((tunnel, change)) = self.gateways.claims.remove(sa) {
            self.lead(tunnel, change);
        }
    }

    /// Changes the routes into a peer's tunnel: here, and in the kernel for whoever passes them on.
    fn lead(&mut self, id: ConnectionId, change: Change) {
        let Some(tunnel) = self.roster.tunnel(id) else { return };
        let (private, origin) = (tunnel.private, tunnel.origin.as_ref());
        let metric = origin.map_or(0, |origin| origin.reverse.kernel_metric());
        let (routing, tables) = self.workers.routing_mut();
        for destination in &change.added {
            routing.add_tunnel(private, *destination, TunnelId(id.0), tables);
        }
        for destination in &change.removed {
            routing.remove_tunnel(private, *destination, tables);
        }
        self.workers.publish_tables();
        let route = |destination| TunnelRoute { destination, metric, source: None };
        for destination in change.added {
            self.ask_instance(private, Request::AddRoute(route(destination)));
        }
        for destination in change.removed {
            self.ask_instance(private, Request::RemoveRoute(route(destination)));
        }
    }

    /// A configured tunnel is to have this network: peers that have any of it are closed.
    pub(super) fn make_way(&mut self, now: Instant, private: InstanceId, network: IpNet) {
        let (routing, _) = self.workers.routing();
        let holders =
            routing.others(private, network, TunnelId(u32::MAX)).map(|(_, whose)| ConnectionId(whose.0));
        let is_peer =
            |id: &ConnectionId| self.roster.tunnel(*id).is_some_and(|tunnel| tunnel.origin.is_some());
        let peers: BTreeSet<ConnectionId> = holders.filter(is_peer).collect();
        for connection in peers {
            let change = self.gateways.claims.remove_all(connection);
            self.lead(connection, change);
            let text = format!("{network} is a configured tunnel's now");
            self.journal.note(self.roster.name(connection), "peer-gives-way", text);
            self.engine.handle_command(now, Command::Terminate { connection });
        }
    }

    /// Gives the engine a gateway as it is now; one that is to let nobody in, or stands on an instance out of service or a
    /// group that is down, is taken from it.
    pub(super) fn connect_gateway(&mut self, now: Instant, id: ConnectionId) {
        let gateway = self.roster.gateway(id).and_then(|name| self.plan.gateways.get(name));
        let Some(gateway) = gateway.filter(|gateway| self.is_open(gateway)) else {
            return self.engine.set_connection(now, id, None);
        };
        match connection::of_gateway(&self.plan, gateway) {
            Ok(connection) => self.engine.set_connection(now, id, Some(connection)),
            // It was tried before anything was changed.
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// Whether a gateway lets anybody in.
    pub(super) fn is_open(&self, gateway: &plan::Gateway) -> bool {
        let out = self.service.why(gateway.public).or_else(|| self.service.why(gateway.private));
        gateway.enabled && out.is_none() && self.workers.groups().why(&gateway.group).is_none()
    }

    /// A gateway is configured no more, or to become another: its tunnels are closed.
    pub(super) fn remove_gateway(&mut self, now: Instant, name: &str) {
        let Some(id) = self.roster.find_gateway(name) else { return };
        self.engine.set_connection(now, id, None);
        self.close_peers(now, name);
        self.roster.remove_gateway(id);
    }

    fn close_peers(&mut self, now: Instant, name: &str) {
        let peers: Vec<ConnectionId> = self.gateways.peers.of(name).collect();
        peers.into_iter().for_each(|id| self.engine.set_connection(now, id, None));
    }

    /// A gateway is new.
    pub(super) fn add_gateway(&mut self, now: Instant, name: &str) {
        let id = self.roster.add_gateway(name);
        self.status.forget(id);
        self.connect_gateway(now, id);
    }

    /// A gateway is other: whom it lets in, and how, from the next call on; what its peers may carry, from their next
    /// rekey on (TS-09). One that is turned off closes its tunnels.
    pub(super) fn change_gateway(&mut self, now: Instant, name: &str) {
        let Some(id) = self.roster.find_gateway(name) else { return };
        self.connect_gateway(now, id);
        if self.plan.gateways.get(name).is_some_and(|gateway| !gateway.enabled) {
            return self.close_peers(now, name);
        }
        let peers: Vec<ConnectionId> = self.gateways.peers.of(name).collect();
        peers.into_iter().for_each(|peer| self.connect_peer(now, peer));
    }
}
