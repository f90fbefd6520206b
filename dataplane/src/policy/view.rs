//! What workers look packets up in, all keyed by instance: the readers' end of [`super::table::Tables`].
//!
//! Routes and tunnels are read where control changes them; the rest is as of the last publication. A view is
//! valid between two quiescent points of its reader ([`super::publish::Reader::refresh`]).

use super::array::Array;
use super::fib::{Root, Shared};
use super::hop;
use super::route::{Interface, NextHop, Prefix, PrefixMap, TunnelId};
use super::spd::{Action, Otherwise, Spd};
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
    /// In clear to this next hop, which is not a tunnel.
    Forward(NextHop),
    /// Policy refuses it.
    Discard,
    /// No route.
    NoRoute,
}

/// What one instance has. Aligned, as [`Instances`] is, so that the counts of an `Arc` lie apart.
#[derive(Clone, Debug, Default)]
#[repr(align(128))]
pub(super) struct Instance {
    pub spd: Spd,
    pub v4: Root,
    pub v6: Root,
    pub neighbours: Vec<(Interface, PrefixMap<Mac>)>,
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
}

impl View {
    /// What becomes of a packet on its way out of `instance` that `worker` has (RFC 4301 §5.1).
    ///
    /// A packet routed into a tunnel never leaves in clear, whatever the entries say; one for a
    /// local address needs no bypass, because it does not leave.
    pub fn decide(&self, worker: WorkerId, instance: u16, flow: &Flow) -> Decision {
        let Some(instance) = self.instance(instance) else { return Decision::NoRoute };
        let hop = self.hop(instance, flow.destination);
        match (instance.spd.outbound(flow), hop) {
            (Some(Action::Discard), _) => Decision::Discard,
            (Some(Action::Protect(tunnel)), _) | (_, Some(NextHop::Tunnel(tunnel))) => {
                self.protect(worker, tunnel, flow)
            }
            (_, None) => Decision::NoRoute,
            (Some(Action::Bypass), Some(hop)) | (None, Some(hop @ NextHop::Local)) => Decision::Forward(hop),
            (None, Some(hop)) => match instance.spd.otherwise() {
                Otherwise::Bypass => Decision::Forward(hop),
                Otherwise::Discard => Decision::Discard,
            },
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

    /// The table of manual and imported SPIs.
    pub const fn manual(&self) -> &ExactTable {
        &self.manual
    }

    #[inline]
    pub(super) fn instance(&self, instance: u16) -> Option<&Instance> {
        self.instances.0.get(usize::from(instance))?.as_deref()
    }
}
