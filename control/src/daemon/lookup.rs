//! What would become of a packet, for `ravelin lookup`. Nothing is decided here: the judgement is the one that
//! workers make ([`policy::judge`]), over the tables that workers read; what is added are names, the reason a
//! tunnel is down, and which selectors came nearest where none matched.

use std::cmp::Reverse;
use std::net::IpAddr;

use ravelin_dataplane::io::{Meta, Origin, Pool};
use ravelin_dataplane::link::snapshot::Snapshot;
use ravelin_dataplane::net::flow::{self, Flow, Upper};
use ravelin_dataplane::net::protocol;
use ravelin_dataplane::node::policy::{self, Fate, Judgement};
use ravelin_dataplane::policy::route::{IpTunnelId, NextHop, TunnelId};
use ravelin_dataplane::policy::selector::{Miss, Selector};
use ravelin_dataplane::policy::table::View;
use ravelin_dataplane::policy::view::Decision;
use ravelin_dataplane::sa::SaRef;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::verdict::Drop;
use ravelin_ike::config::{ChildId, ConnectionId, Selector as IkeSelector};

use super::core::Core;
use crate::api::reply::{Lookup, Nearest, State, Way};
use crate::api::{ApiError, Reply, request};
use crate::config::plan::{InstanceId, PROTOCOLS};
use crate::tunnel::words;

/// Children named where none takes a packet.
const NEAREST: usize = 3;
/// Whoever has the packet: no worker has this number, so none has an SA of its own. Which do is told besides.
const ANYBODY: WorkerId = WorkerId(u8::MAX);

/// A packet, and where it would come from.
struct Probe {
    meta: Meta,
    flow: Flow,
}

impl<P: Pool> Core<P> {
    /// Says what would become of a packet.
    ///
    /// # Errors
    /// When there is no such packet or instance.
    pub(super) fn lookup(&self, asked: &request::Lookup) -> Result<Reply, ApiError> {
        let instance = self.instance_by_name(asked.instance.as_deref())?;
        let flow = flow_of(asked).map_err(|why| ApiError::BadRequest { why })?;
        let snapshot = self.workers.routing().0.snapshot();
        let (meta, arrival) = self.arrival(instance, &flow, &snapshot);
        let found = Lookup {
            instance: self.service.name(instance).to_owned(),
            packet: told(&flow),
            arrival,
            route: self.way(instance, flow.destination),
            ..Lookup::default()
        };
        let probe = Probe { meta, flow };
        Ok(Reply::Lookup(Box::new(match self.service.why(instance) {
            Some(why) => Lookup {
                reason: why.text,
                reason_code: why.code.to_owned(),
                ..dropped(found, Drop::UnknownInterface)
            },
            None => self.judged(found, &probe, &snapshot),
        })))
    }

    fn judged(&self, found: Lookup, probe: &Probe, snapshot: &Snapshot) -> Lookup {
        let tables = self.workers.routing().1;
        if let Some(refused) = self.refused_by_sa(&found, probe) {
            return refused;
        }
        if let Some(reason) = refused_of_ip_tunnel(tables, probe) {
            return dropped(found, reason);
        }
        let judgement = policy::judge(tables, snapshot, ANYBODY, &probe.meta, &probe.flow);
        let found = Lookup { entry: self.entry_of(probe.meta.instance, judgement), ..found };
        match judgement {
            Judgement::Kernel => Lookup { verdict: "kernel".into(), ..found },
            Judgement::Ours | Judgement::Routed => Lookup { verdict: "local".into(), ..found },
            Judgement::Goes(Fate::Seal(sa), _) => self.sealed(found, sa),
            Judgement::Goes(Fate::Enter(id), _) => self.encapsulated(found, id),
            Judgement::Goes(Fate::Clear(_), _) => self.forwarded(found, probe),
            Judgement::Goes(Fate::Drop(reason), _) => self.unwanted(found, probe, reason),
        }
    }

    /// The name of the policy entry that a judgement is by.
    fn entry_of(&self, instance: InstanceId, judgement: Judgement) -> String {
        let Judgement::Goes(_, Some(at)) = judgement else { return String::new() };
        self.workers.policy_entry(instance, at).unwrap_or_default().to_owned()
    }

    /// What comes out of a tunnel must be what its SAs carry (RFC 4301 §5.2 step 4).
    fn refused_by_sa(&self, found: &Lookup, Probe { meta, flow }: &Probe) -> Option<Lookup> {
        let tables = self.workers.routing().1;
        let Some(NextHop::Tunnel(tunnel)) = tables.route(meta.instance, flow.source) else { return None };
        let admits = |tunnel: &ravelin_dataplane::policy::table::Tunnel| {
            tunnel.children().iter().any(|child| child.selectors.admits_inbound(flow))
        };
        let carried = meta.origin != Origin::Tunnel || tables.tunnel(tunnel).is_some_and(admits);
        (!carried).then(|| dropped(found.clone(), Drop::PolicyError))
    }

    /// Into a tunnel, if that is up and its peer can be reached.
    fn sealed(&self, found: Lookup, sa: SaRef) -> Lookup {
        let child = self.workers.resident(sa);
        let Some((number, (id, tunnel, child))) = child.and_then(|n| Some((n, self.roster.child(n)?))) else {
            return dropped(found, Drop::NoSa);
        };
        let installed = self.workers.sas().of(number).filter(|sa| !sa.draining).last();
        let peer = installed.map(|sa| sa.encapsulation.peer.address).or(tunnel.remote);
        let found = Lookup {
            tunnel: tunnel.name.clone(),
            child: child.name.clone(),
            worker: Some(sa.worker.index()),
            spi: installed.map(|sa| format!("{:08x}", sa.spi_out.0)).unwrap_or_default(),
            own_workers: self.workers.own_workers(&self.roster, (id, ChildId(number))),
            outer_route: peer.and_then(|peer| self.way(tunnel.public, peer)),
            ..found
        };
        let row = self.tunnel(id, tunnel);
        let state = row.children.iter().find(|row| row.name == child.name);
        match state.filter(|state| state.state != State::Up) {
            Some(state) => {
                let own = (&state.reason_code, &state.reason);
                let (code, reason) =
                    if state.reason.is_empty() { (&row.reason_code, &row.reason) } else { own };
                let dropped = dropped(found, Drop::NoSa);
                let reason = if reason.is_empty() { &dropped.reason } else { reason };
                Lookup { reason: reason.clone(), reason_code: code.clone(), ..dropped }
            }
            None => match peer.and_then(|peer| self.unreachable(tunnel.public, peer)) {
                Some(reason) => Lookup { reason, ..dropped(found, Drop::NeighbourMiss) },
                None => Lookup { verdict: "protect".into(), ..found },
            },
        }
    }

    /// Into an ip-tunnel, if that is up and its peer can be reached.
    fn encapsulated(&self, found: Lookup, id: IpTunnelId) -> Lookup {
        let (name, tables) = (self.workers.ip_tunnel_name(id).unwrap_or_default(), self.workers.routing().1);
        let found = Lookup { tunnel: name.to_owned(), ..found };
        let planned = self.plan.ip_tunnels.get(name);
        let (Some(planned), Some(running)) = (planned, self.workers.ip_tunnel(name)) else {
            return dropped(found, Drop::IpTunnelDown);
        };
        if let Some(down) = self.workers.ip_tunnel_down(planned) {
            return Lookup { reason: down.to_string(), ..dropped(found, Drop::IpTunnelDown) };
        }
        let peer = running.active_remote(tables);
        let found = Lookup { outer_route: self.way(planned.public, peer), ..found };
        match self.unreachable(planned.public, peer) {
            Some(reason) => Lookup { reason, ..dropped(found, Drop::NeighbourMiss) },
            None => Lookup { verdict: "encapsulate".into(), ..found },
        }
    }

    fn forwarded(&self, found: Lookup, Probe { meta, flow }: &Probe) -> Lookup {
        match self.unreachable(meta.instance, flow.destination) {
            Some(reason) => Lookup { reason, ..dropped(found, Drop::NeighbourMiss) },
            None => Lookup { verdict: "forward".into(), ..found },
        }
    }

    /// Dropped by judgement. Where it is for want of a tunnel, those that came nearest are named.
    fn unwanted(&self, found: Lookup, Probe { meta, flow }: &Probe, reason: Drop) -> Lookup {
        let into = match self.workers.routing().1.decide(ANYBODY, meta.instance, flow) {
            Decision::NoChild { tunnel } => Some(tunnel),
            _ => None,
        };
        let id = into.map(|tunnel| ConnectionId(tunnel.0));
        let why = id.and_then(|id| self.halted(self.roster.tunnel(id)?));
        let wants_tunnel = matches!(reason, Drop::NoRoute | Drop::PolicyMiss | Drop::PolicyDiscard);
        let found = Lookup {
            tunnel: id.map(|id| self.roster.name(id).to_owned()).unwrap_or_default(),
            nearest: if wants_tunnel { self.nearest(meta.instance, into, flow) } else { Vec::new() },
            ..dropped(found, reason)
        };
        match why {
            Some(why) => Lookup { reason: why.text, reason_code: why.code.to_owned(), ..found },
            None => found,
        }
    }

    /// The children that miss a packet least: of one tunnel, or of all of an instance.
    fn nearest(&self, instance: InstanceId, tunnel: Option<TunnelId>, flow: &Flow) -> Vec<Nearest> {
        let tables = self.workers.routing().1;
        let concerned = |(id, known): &(ConnectionId, &crate::config::plan::Tunnel)| {
            known.private == instance && tunnel.is_none_or(|tunnel| tunnel.0 == id.0)
        };
        let tunnels = self.roster.tunnels().filter(concerned);
        let children = tunnels.filter_map(|(id, _)| tables.tunnel(TunnelId(id.0)));
        let children = children.flat_map(|tunnel| tunnel.children());
        let mut near: Vec<_> =
            children.map(|child| (child.selectors.misses_outbound(flow), child.sa)).collect();
        near.sort_by_key(|(misses, _)| rank(misses));
        let named = |(misses, sa): ([Option<Miss>; 2], SaRef)| {
            let (_, tunnel, child) = self.roster.child(self.workers.resident(sa)?)?;
            let misses = missed(&misses, flow);
            Some(Nearest { tunnel: tunnel.name.clone(), child: child.name.clone(), misses })
        };
        near.into_iter().take(NEAREST).filter_map(named).collect()
    }

    /// Where a packet with this source would come from: where its source is routed to.
    fn arrival(&self, instance: InstanceId, flow: &Flow, snapshot: &Snapshot) -> (Meta, String) {
        let (routing, tables) = self.workers.routing();
        let of = |origin| Meta { instance, origin, ..Meta::default() };
        if snapshot.is_local(instance, flow.source) {
            return (of(Origin::Tun), "from this machine".into());
        }
        match tables.route(instance, flow.source) {
            Some(NextHop::Connected(interface) | NextHop::Via(interface, _)) => {
                let name = routing.name_of(instance, interface).unwrap_or("?");
                let meta = Meta { port: interface.port, vlan: interface.vlan, ..of(Origin::Wire) };
                (meta, format!("from the wire on {name}"))
            }
            Some(NextHop::Tunnel(tunnel)) => {
                let name = self.roster.name(ConnectionId(tunnel.0));
                (of(Origin::Tunnel), format!("out of tunnel {name}"))
            }
            Some(NextHop::IpTunnel(id)) => {
                let name = self.workers.ip_tunnel_name(id).unwrap_or_default();
                (of(Origin::Tunnel), format!("out of ip-tunnel {name}"))
            }
            Some(NextHop::Local) => (of(Origin::Tun), "from this machine".into()),
            Some(NextHop::Blackhole) | None => {
                (of(Origin::Wire), "from the wire; nothing says where its source is".into())
            }
        }
    }

    /// The route to an address, and what it leads to.
    fn way(&self, instance: InstanceId, address: IpAddr) -> Option<Way> {
        let (routing, tables) = self.workers.routing();
        let hop = tables.route(instance, address)?;
        let (next_hop, interface) = match hop {
            NextHop::Connected(interface) => (address.to_string(), Some(interface)),
            NextHop::Via(interface, gateway) => (gateway.to_string(), Some(interface)),
            NextHop::Tunnel(tunnel) => (format!("tunnel {}", self.roster.name(ConnectionId(tunnel.0))), None),
            NextHop::IpTunnel(id) => {
                (format!("ip-tunnel {}", self.workers.ip_tunnel_name(id).unwrap_or_default()), None)
            }
            NextHop::Local => ("this machine".into(), None),
            NextHop::Blackhole => ("nowhere".into(), None),
        };
        let name = interface.and_then(|interface| routing.name_of(instance, interface));
        Some(Way {
            destination: tables
                .covering(instance, address)
                .map(|(prefix, _)| prefix.to_string())
                .unwrap_or_default(),
            next_hop,
            interface: name.unwrap_or_default().to_owned(),
        })
    }

    fn unreachable(&self, instance: InstanceId, address: IpAddr) -> Option<String> {
        let (routing, tables) = self.workers.routing();
        routing.unreachable(instance, address, tables)
    }

    fn instance_by_name(&self, name: Option<&str>) -> Result<InstanceId, ApiError> {
        let Some(name) = name else { return Ok(0) };
        let names = || self.plan.instances.iter().map(|instance| instance.name.as_str());
        let found = names().position(|known| known == name);
        found.and_then(|index| InstanceId::try_from(index).ok()).ok_or_else(|| ApiError::NoInstance {
            name: name.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
        })
    }
}

/// What comes out of an ip-tunnel must be from behind it, and policy must not have it come under an SA.
fn refused_of_ip_tunnel(tables: &View, Probe { meta, flow }: &Probe) -> Option<Drop> {
    match tables.route(meta.instance, flow.source) {
        Some(NextHop::IpTunnel(id)) if meta.origin == Origin::Tunnel => {
            policy::refused_of_ip_tunnel(tables, meta.instance, id, flow)
        }
        _ => None,
    }
}

fn dropped(found: Lookup, reason: Drop) -> Lookup {
    let (drop, manual) = (reason.name().to_owned(), reason.manual().to_owned());
    Lookup { verdict: "drop".into(), drop, reason: manual, ..found }
}

fn rank(misses: &[Option<Miss>; 2]) -> (u32, Reverse<u32>) {
    let count = misses.iter().flatten().map(|miss| miss.missed.count()).sum();
    // A side that admits the packet is as close as can be.
    let bits = misses.iter().map(|miss| miss.map_or(128, |miss| miss.shared_bits)).sum();
    (count, Reverse(bits))
}

/// In what a packet misses a child, a line for each side.
fn missed([local, remote]: &[Option<Miss>; 2], flow: &Flow) -> Vec<String> {
    let line = |side: &str, address: IpAddr, miss: &Option<Miss>| {
        let miss = miss.as_ref()?;
        let what = [
            (miss.missed.address, format!("address {address}")),
            (miss.missed.protocol, format!("protocol {}", protocol_name(flow.protocol))),
            (miss.missed.ports, "port".to_owned()),
        ];
        let what: Vec<_> = what.into_iter().filter(|(missed, _)| *missed).map(|(_, what)| what).collect();
        Some(format!("{} outside {side} {}", what.join(" and "), selector(&miss.selector)))
    };
    let lines = [line("local-ts", flow.source, local), line("remote-ts", flow.destination, remote)];
    lines.into_iter().flatten().collect()
}

fn selector(selector: &Selector) -> String {
    let (addresses, (start_port, end_port)) = (selector.addresses(), selector.ports().wire());
    words::selector(&IkeSelector {
        start: addresses.first(),
        end: addresses.last(),
        protocol: selector.protocol(),
        start_port,
        end_port,
    })
}

fn protocol_name(protocol: u8) -> String {
    let known = PROTOCOLS.iter().find(|(_, number)| *number == protocol);
    known.map_or_else(|| protocol.to_string(), |(name, _)| (*name).to_owned())
}

/// The packet in a line.
fn told(flow: &Flow) -> String {
    let Flow { source, destination, protocol, upper } = *flow;
    let of = protocol_name(protocol);
    match upper {
        Upper::Ports { source: from, destination: to } => {
            format!("{of} {source} port {from} to {destination} port {to}")
        }
        Upper::Icmp { kind, code } => format!("{of} {source} to {destination}, type {kind} code {code}"),
        Upper::Mobility { kind } => format!("{of} {source} to {destination}, type {kind}"),
        Upper::Opaque => format!("{of} {source} to {destination}, ports not shown"),
        Upper::Portless => format!("{of} {source} to {destination}"),
    }
}

/// The packet that is asked for. Without ports it is one that shows none, as a later fragment does.
fn flow_of(asked: &request::Lookup) -> Result<Flow, String> {
    let request::Lookup { source, destination, .. } = *asked;
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(format!("{source} and {destination} are addresses of two families"));
    }
    let protocol = protocol_of(&asked.protocol)?;
    let upper = upper_of(protocol, asked.source_port, asked.destination_port)?;
    Ok(Flow { source, destination, protocol, upper })
}

fn protocol_of(text: &str) -> Result<u8, String> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        let known = PROTOCOLS.map(|(name, _)| name).join(", ");
        format!("{text:?} is no protocol: a number up to 255, or one of {known}")
    })
}

fn upper_of(protocol: u8, source: Option<u16>, destination: Option<u16>) -> Result<Upper, String> {
    let octet =
        |what: &str, value: u16| u8::try_from(value).map_err(|_| format!("{what} {value} is above 255"));
    match (protocol, source, destination) {
        (protocol::ICMP | protocol::ICMPV6, source, code) => {
            // An echo request, where nothing else is asked for.
            let echo = if protocol == protocol::ICMP { 8 } else { 128 };
            let (kind, code) = (octet("type", source.unwrap_or(echo))?, octet("code", code.unwrap_or(0))?);
            Ok(Upper::Icmp { kind, code })
        }
        (protocol::MOBILITY, kind, _) => Ok(Upper::Mobility { kind: octet("type", kind.unwrap_or(0))? }),
        (protocol, Some(source), Some(destination)) if flow::has_ports(protocol) => {
            Ok(Upper::Ports { source, destination })
        }
        (protocol, None, None) if flow::has_ports(protocol) => Ok(Upper::Opaque),
        (protocol, ..) if flow::has_ports(protocol) => Err("give both ports, or none".into()),
        (_, None, None) => Ok(Upper::Portless),
        (protocol, ..) => Err(format!("protocol {protocol} has no ports")),
    }
}
