//! What workers look packets up in, all keyed by instance: the readers' end of [`super::table::Tables`].
//!
//! Routes and tunnels are read where control changes them; the rest is as of the last publication. A view is
//! valid between two quiescent points of its reader ([`super::publish::Reader::refresh`]).

use super::array::Array;
use super::fib::{Root, Shared};
use super::hop;
use super::ip_tunnel::IpTunnels;
use super::route::{Interface, NextHop, Prefix, PrefixMap, TunnelId};
use super::spd::{Action, At, Match, Otherwise, Spd, Way};
use super::tunnel::{Answer, LineView, Tunnel};
use crate::net::eth::Mac;
use crate::net::flow::Flow;
use crate::sa::SaRef;
use crate::sa::shard::WorkerId;
use crate::sa::spi::{Place, Spi};
use crate::sa::table::ExactTable;
use std::net::IpAddr;
use std::sync::Arc;

/// What becomes of a packet on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Under the SA in this slot; if the slot is empty, not at all.
    Protect {
        /// The tunnel.
        tunnel: TunnelId,
        /// The chosen child's slot.
        sa: SaRef,
    },
    /// Into a tunnel none of whose children takes it: dropped as a policy miss, or reason to ask
    /// IKE for a child. Never in clear.
    NoChild {
        /// The tunnel.
        tunnel: TunnelId,
    },
    /// In clear to this next hop, which is not a tunnel but may be an ip-tunnel.
    Forward(NextHop),
    /// Policy refuses it.
    Discard,
    /// It came in clear and should have come through a tunnel.
    Unprotected,
    /// No route.
    NoRoute,
}

/// How a packet came to where it is judged: which entries speak of it, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// In clear, from a network: all entries, in whichever direction they admit it.
    InClear,
    /// From this machine: all entries, as outbound.
    FromHere,
    /// From this machine's kernel by an interface: it is the kernel's own, unless it is to go into a tunnel.
    ByTwin,
    /// Out of a tunnel, whose selectors have admitted it (RFC 4301 §5.2 step 4), or it is a worker's word about a packet
    /// that was judged: the entries before the tunnels alone.
    Admitted,
}

/// What one instance has. Aligned, as [`Instances`] is, so that the counts of an `Arc` lie apart.
#[derive(Clone, Debug, Default)]
#[repr(align(128))]
pub(super) struct Instance {
    pub spd: Spd,
    pub v4: Root,
    pub v6: Root,
    /// The networks of tunnels alone, where an entry must yield to them.
    pub claims_v4: Root,
    pub claims_v6: Root,
    pub neighbours: Vec<(Interface, PrefixMap<Mac>)>,
}

impl Instance {
    /// The networks of tunnels of one family.
    pub const fn claims(&mut self, v4: bool) -> &mut Root {
        if v4 { &mut self.claims_v4 } else { &mut self.claims_v6 }
    }
}

/// All instances, by number.
#[derive(Clone, Debug, Default)]
#[repr(align(128))]
pub(super) struct Instances(pub Vec<Option<Arc<Instance>>>);

/// Everything a worker looks up. Cloning it is a handful of reference counts.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) instances: Arc<Instances>,
    pub(super) routes: Shared,
    pub(super) lines: LineView,
    pub(super) tunnels: Array<Tunnel>,
    pub(super) manual: ExactTable,
    pub(super) ip_tunnels: IpTunnels,
}

impl View {
    /// What becomes of a packet of this machine on its way out of `instance` that `worker` has (RFC 4301 §5.1).
    pub fn decide(&self, worker: WorkerId, instance: u16, flow: &Flow) -> Decision {
        self.weigh(worker, instance, Came::FromHere, flow).0
    }

    /// What becomes of a packet that wants to leave `instance` and that `worker` has, and the entry that says so, if it is
    /// one. The order is that of an ordered SPD (RFC 4301 §4.4.1): the entries before the tunnels, the tunnels, the
    /// entries behind them, and what is said of the rest.
    ///
    /// A packet routed into a tunnel never leaves in clear, whatever the entries say; one for a
    /// local address needs no bypass, because it does not leave. Ip-tunnels stand where tunnels do: the operator has
    /// routed into them what may go by them as it is.
    pub fn weigh(&self, worker: WorkerId, instance: u16, came: Came, flow: &Flow) -> (Decision, Option<At>) {
        let Some(instance) = self.instance(instance) else { return (Decision::NoRoute, None) };
        let (spd, hop) = (&instance.spd, self.hop(instance, flow.destination));
        let before = match came {
            Came::FromHere | Came::ByTwin => spd.before().outbound(flow),
            Came::InClear | Came::Admitted => spd.before().either(flow),
        };
        if let Some(found) = before.filter(|found| !is_fulfilled(came, found)) {
            return self.obey(worker, (came, flow), found, hop);
        }
        if let Some(NextHop::Tunnel(tunnel)) = hop {
            return (self.protect(worker, tunnel, flow), None);
        }
        if let Some(hop @ NextHop::IpTunnel(_)) = hop {
            return (Decision::Forward(hop), None);
        }
        let behind = match came {
            Came::FromHere | Came::ByTwin => spd.behind().outbound(flow),
            Came::InClear => spd.behind().either(flow),
            Came::Admitted => None,
        };
        match behind {
            None => (unspoken(spd.otherwise(), hop), None),
            Some(found) if found.action == Action::Bypass && hop != Some(NextHop::Local) => {
                let yielded = self.yielded(worker, instance, (came, flow));
                yielded.map_or_else(|| self.obey(worker, (came, flow), found, hop), |it| (it, None))
            }
            Some(found) => self.obey(worker, (came, flow), found, hop),
        }
    }

    /// What an entry says of a packet, carried out.
    fn obey(
        &self,
        worker: WorkerId,
        (came, flow): (Came, &Flow),
        Match { at, way, action }: Match,
        hop: Option<NextHop>,
    ) -> (Decision, Option<At>) {
        let decision = match (action, way, hop) {
            (Action::Discard, ..) => Decision::Discard,
            (Action::Protect(_), Way::In, _) if came == Came::InClear => Decision::Unprotected,
            (Action::Protect(tunnel), ..) => self.protect(worker, tunnel, flow),
            (Action::Bypass, _, Some(NextHop::Tunnel(tunnel))) => {
                return (self.protect(worker, tunnel, flow), None);
            }
            (Action::Bypass, _, Some(hop)) => Decision::Forward(hop),
            (Action::Bypass, _, None) => Decision::NoRoute,
        };
        (decision, Some(at))
    }

    /// Where a packet goes that an entry behind the tunnels would let out, if a tunnel has the network it goes to or comes
    /// from: a more specific route is nobody's word that it may leave in clear.
    fn yielded(&self, worker: WorkerId, at: &Instance, (came, flow): (Came, &Flow)) -> Option<Decision> {
        if came == Came::ByTwin {
            return None;
        }
        if let Some(tunnel) = self.claimant(at, flow.destination) {
            return Some(self.protect(worker, tunnel, flow));
        }
        let source = (came == Came::InClear).then(|| self.claimant(at, flow.source));
        source.flatten().map(|_| Decision::Unprotected)
    }

    /// The tunnel among whose networks is the longest that has an address, whatever other routes there are.
    fn claimant(&self, instance: &Instance, address: IpAddr) -> Option<TunnelId> {
        let code = match address {
            IpAddr::V4(address) => self.routes.longest(instance.claims_v4, &address.octets()),
            IpAddr::V6(address) => self.routes.longest(instance.claims_v6, &address.octets()),
        };
        match hop::decode(&self.routes.slips, code) {
            Some(NextHop::Tunnel(tunnel)) => Some(tunnel),
            _ => None,
        }
    }

    fn protect(&self, worker: WorkerId, tunnel: TunnelId, flow: &Flow) -> Decision {
        let sa = match self.lines.ask(tunnel, flow) {
            Answer::Slot(sa) => Some(sa),
            Answer::Nothing => None,
            Answer::Ask => {
                let child = self.tunnels.at(tunnel.0).and_then(|found| found.choose(flow));
                child.map(|child| child.slot_for(worker))
            }
        };
        sa.map_or(Decision::NoChild { tunnel }, |sa| Decision::Protect { tunnel, sa })
    }

    /// Where a packet to `destination` goes next.
    pub fn route(&self, instance: u16, destination: IpAddr) -> Option<NextHop> {
        self.hop(self.instance(instance)?, destination)
    }

    /// Asks for what a lookup of `destination` will touch first. A worker calls it for each packet of a
    /// burst, then [`View::prefetch_second`] for each, then looks up: the misses of a burst overlap.
    #[inline]
    pub fn prefetch_first(&self, instance: u16, destination: IpAddr) {
        let Some(instance) = self.instance(instance) else { return };
        match destination {
            IpAddr::V4(address) => self.routes.prefetch_first(instance.v4, &address.octets()),
            IpAddr::V6(address) => self.routes.prefetch_first(instance.v6, &address.octets()),
        }
    }

    /// Asks for what it will touch next.
    #[inline]
    pub fn prefetch_second(&self, instance: u16, destination: IpAddr) {
        let Some(instance) = self.instance(instance) else { return };
        match destination {
            IpAddr::V4(address) => self.routes.prefetch_second(instance.v4, &address.octets()),
            IpAddr::V6(address) => self.routes.prefetch_second(instance.v6, &address.octets()),
        }
    }

    #[inline]
    fn hop(&self, instance: &Instance, destination: IpAddr) -> Option<NextHop> {
        let code = match destination {
            IpAddr::V4(address) => self.routes.longest(instance.v4, &address.octets()),
            IpAddr::V6(address) => self.routes.longest(instance.v6, &address.octets()),
        };
        hop::decode(&self.routes.slips, code)
    }

    /// The Ethernet address of a neighbour.
    pub fn neighbour(&self, instance: u16, interface: Interface, address: IpAddr) -> Option<Mac> {
        let neighbours = &self.instance(instance)?.neighbours;
        let at = neighbours.binary_search_by_key(&interface, |(interface, _)| *interface).ok()?;
        neighbours.get(at)?.1.exact(Prefix::host(address)).copied()
    }

    /// Where the inbound SA of an ESP packet lies.
    pub fn locate(&self, instance: u16, destination: IpAddr, spi: Spi) -> Option<Place> {
        self.manual.locate(instance, destination, spi)
    }

    /// A tunnel's children.
    pub fn tunnel(&self, tunnel: TunnelId) -> Option<&Tunnel> {
        self.tunnels.at(tunnel.0)
    }

    /// An instance's ordered policy.
    pub fn spd(&self, instance: u16) -> Option<&Spd> {
        Some(&self.instance(instance)?.spd)
    }

    /// The ip-tunnels.
    pub const fn ip_tunnels(&self) -> &IpTunnels {
        &self.ip_tunnels
    }

    /// The table of manual and imported SPIs.
    pub const fn manual(&self) -> &ExactTable {
        &self.manual
    }

    #[inline]
    pub(super) fn instance(&self, instance: u16) -> Option<&Instance> {
        self.instances.0.get(usize::from(instance))?.as_deref()
    }
}

/// Whether what an entry asks for has been done: a packet that was to come through a tunnel has.
fn is_fulfilled(came: Came, found: &Match) -> bool {
    came == Came::Admitted && found.way == Way::In && matches!(found.action, Action::Protect(_))
}

/// What becomes of a packet that no entry and no tunnel speaks of.
const fn unspoken(otherwise: Otherwise, hop: Option<NextHop>) -> Decision {
    match (hop, otherwise) {
        (None, _) => Decision::NoRoute,
        (Some(hop), Otherwise::Bypass) | (Some(hop @ NextHop::Local), _) => Decision::Forward(hop),
        (Some(_), Otherwise::Discard) => Decision::Discard,
    }
}
