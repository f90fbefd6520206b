//! What crosses between the control loop and the thread of an instance: requests down, events up.
//! Plain data. Kernel state is told as changes against what was told before, so that a reader which applies
//! every [`Change`] in order holds the kernel's state, and a full resync never makes an unchanged route blink.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tun_rs::SyncDevice;

use super::error::InstanceError;
use super::spec::InterfaceSpec;
use super::walls::Wall;

/// Name of a kernel device; cheap to clone.
pub type DeviceName = Arc<str>;

/// A request to the instance. Each is answered by one [`Event::Answer`] with the caller's ticket.
pub enum Request {
    /// Create a twin; its descriptor arrives as [`Event::Device`] before the answer.
    AddInterface(InterfaceSpec),
    /// Delete a twin, with its addresses, neighbours and routes.
    RemoveInterface(String),
    /// Make these the configured addresses of a twin or of `rv-<instance>`; others we put there go.
    SetAddresses {
        /// Device name.
        interface: String,
        /// All of them.
        addresses: Vec<IpNet>,
    },
    /// Show the port's link state on its twin, so that routing daemons notice.
    SetCarrier {
        /// Device name.
        interface: String,
        /// Link of the port.
        up: bool,
    },
    /// Replace the set of caged devices.
    SetCaged(Vec<String>),
    /// Route this destination into the tunnels (`dev rv-<instance>`, protocol
    /// [`super::ROUTE_PROTOCOL`]). Asking again for one of ours is success.
    AddRoute(TunnelRoute),
    /// Take such a route away; success if it is not there.
    RemoveRoute(TunnelRoute),
    /// Keep this next hop resolved until it is released: a route or a tunnel leads over it, and workers
    /// forward past the kernel, which would let the entry expire.
    KeepNeighbour {
        /// Device name of the twin.
        interface: String,
        /// The next hop.
        address: IpAddr,
    },
    /// A packet wanted this next hop and it is not known: resolve it, and keep it while it answers.
    FindNeighbour {
        /// Device name of the twin.
        interface: String,
        /// The next hop.
        address: IpAddr,
    },
    /// No route and no tunnel leads over this next hop any more; it is kept while it answers.
    ReleaseNeighbour {
        /// Device name of the twin.
        interface: String,
        /// The next hop.
        address: IpAddr,
    },
    /// Compare everything with the kernel again.
    Resync,
    /// Run this on the instance's thread, inside its namespace: open a socket, create a vdev. It must be
    /// short; long work starts a thread of its own in here, which inherits the namespace.
    Run(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Request {
    /// Whether packets wait for it.
    pub(super) fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::KeepNeighbour { .. } | Self::FindNeighbour { .. } | Self::ReleaseNeighbour { .. }
        )
    }

    /// For logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddInterface(_) => "add-interface",
            Self::RemoveInterface(_) => "remove-interface",
            Self::SetAddresses { .. } => "set-addresses",
            Self::SetCarrier { .. } => "set-carrier",
            Self::SetCaged(_) => "set-caged",
            Self::AddRoute(_) => "add-route",
            Self::RemoveRoute(_) => "remove-route",
            Self::KeepNeighbour { .. } => "keep-neighbour",
            Self::FindNeighbour { .. } => "find-neighbour",
            Self::ReleaseNeighbour { .. } => "release-neighbour",
            Self::Resync => "resync",
            Self::Run(_) => "run",
        }
    }
}

/// A route into the tunnels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelRoute {
    /// Where to.
    pub destination: IpNet,
    /// 0 leaves it to the kernel (IPv4: 0, IPv6: 1024).
    pub metric: u32,
    /// Address the box itself uses towards this destination.
    pub source: Option<IpAddr>,
}

/// What the instance tells.
#[derive(Debug)]
pub enum Event {
    /// A descriptor for the exception thread. Dropping it destroys the device.
    Device(KernelDevice),
    /// Kernel state changed.
    Changed(Change),
    /// All changes a comparison found have been told. The first one ends the start.
    Synced {
        /// Why there was a comparison.
        cause: SyncCause,
        /// How many changes it found.
        changes: usize,
    },
    /// The answer to one request.
    Answer {
        /// As given with the request.
        ticket: u64,
        /// How it went.
        outcome: Result<(), InstanceError>,
    },
    /// Something this instance stands on does not hold: take the instance out of service until it is mended.
    Fault {
        /// What fell.
        wall: Wall,
        /// Why, and what to do.
        error: InstanceError,
    },
    /// It holds again.
    Mended(Wall),
}

/// Why everything was compared with the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncCause {
    /// At the start.
    Start,
    /// On request.
    Asked,
    /// The kernel dropped notifications (ENOBUFS): we were slower than its changes.
    Overflow,
    /// The reader of our events was slow, and changes were held back.
    SlowReader,
    /// A notification that does not say all: the kernel removes routes silently when a link goes down, and
    /// tells parts of multipath routes.
    Unclear,
}

/// A TAP or TUN, open.
pub struct KernelDevice {
    /// What it is to us.
    pub role: Role,
    /// The daemon's number of the instance.
    pub instance: u16,
    /// Its name.
    pub name: DeviceName,
    /// Non-blocking; one frame or packet a read and a write, without packet information.
    pub device: SyncDevice,
}

impl std::fmt::Debug for KernelDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelDevice").field("role", &self.role).field("name", &self.name).finish()
    }
}

/// What a kernel device is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Twin of an interface: Ethernet frames without a tag.
    Twin {
        /// The daemon's number of the port.
        port: u16,
        /// VLAN id, 0 when untagged.
        vlan: u16,
    },
    /// `rv-` of the instance with this number: IP packets.
    Private(u16),
}

/// One difference of kernel state. A positive change replaces what had the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A device, keyed by name.
    Link(Link),
    /// A device is gone.
    LinkGone {
        /// Which.
        interface: DeviceName,
    },
    /// A usable address (not tentative, not duplicate), keyed by all of it.
    Address {
        /// On which device.
        interface: DeviceName,
        /// With its on-link prefix.
        network: IpNet,
    },
    /// It is gone, or found to be a duplicate.
    AddressGone {
        /// On which device.
        interface: DeviceName,
        /// With its on-link prefix.
        network: IpNet,
    },
    /// A resolved neighbour on one of our twins, keyed by device and address.
    Neighbour {
        /// On which twin.
        interface: DeviceName,
        /// Who.
        address: IpAddr,
        /// At which address.
        mac: [u8; 6],
    },
    /// It does not answer any more, or its entry is gone.
    NeighbourGone {
        /// On which twin.
        interface: DeviceName,
        /// Who.
        address: IpAddr,
    },
    /// A route of the main table that is not ours, keyed by destination and metric. Link-local
    /// destinations, and routes by TOS or source, are not told.
    Route(Route),
    /// It is gone.
    RouteGone {
        /// Where to.
        destination: IpNet,
        /// Its metric.
        metric: u32,
    },
}

/// State of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Name.
    pub interface: DeviceName,
    /// Kernel's number.
    pub index: u32,
    /// Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// Bytes.
    pub mtu: u32,
    /// Set up by the administrator.
    pub up: bool,
    /// Has carrier.
    pub carrier: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// Lower wins.
    pub metric: u32,
    /// `rtm_protocol`: who put it there.
    pub protocol: u8,
    /// What to do.
    pub action: RouteAction,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// Forward to one of these.
    Forward(Vec<NextHop>),
    /// Drop silently.
    Blackhole,
    /// Drop, and say unreachable.
    Unreachable,
    /// Drop, and say prohibited.
    Prohibit,
}

/// One next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Out of which device. It need not be one of ours: such a route must not be replaced by a wider one.
    pub interface: DeviceName,
    /// `None` is on-link. May be IPv6 for an IPv4 route (RFC 8950).
    pub gateway: Option<IpAddr>,
    /// Share among the next hops, from 1.
    pub weight: u16,
}
