//! What a worker tells control, packets apart.
//!
//! Nothing here is lost when the ring is full: facts stay raised in their SA until there is room, commands
//! wait unapplied while an answer to them might not fit, a missing neighbour is missed again by the next
//! packet.

use std::net::IpAddr;
use std::sync::Arc;

use super::command::Sequence;
use super::snapshot::Snapshot;
use crate::net::flow::Flow;
use crate::policy::ip_tunnel::Shown;
use crate::sa::Endpoint;
use crate::sa::fact::Facts;
use crate::sa::inbound::Remains;
use crate::sa::spi::{Place, Spi};
use crate::sa::table::ShardTable;
use crate::trace::Tap;
use crate::trace::mirror::Mirror;

/// Why a command could not be carried out: control's own fault, except `BadKey` for manual keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The slot or its shard is not on this worker.
    #[error("no such slot on this worker")]
    NoSuchSlot,
    /// Another SA is in the slot.
    #[error("the slot holds another SA: remove that first")]
    Occupied,
    /// The key cell was empty: its command was sent twice.
    #[error("the key cell was empty")]
    NoKey,
    /// The key has not the length its suite needs.
    #[error("the key has not the length its suite needs")]
    BadKey,
    /// No SA with that SPI is there.
    #[error("no SA with that SPI is there")]
    NoSuchSa,
}

/// One message from one worker.
#[derive(Debug)]
pub enum Report {
    /// Facts about an inbound SA, each told once.
    Inbound {
        /// Where it is.
        place: Place,
        /// Which it is.
        spi: Spi,
        /// Control's name for its child.
        child: u32,
        /// What became true.
        facts: Facts,
        /// Where its last verified packet came from (for [`crate::sa::fact::Fact::PeerMoved`]).
        peer: Endpoint,
    },
    /// Facts about the SA that sends for an outbound slot.
    Outbound {
        /// The slot.
        slot: u32,
        /// Which SA.
        spi: Spi,
        /// Control's name for its child.
        child: u32,
        /// What became true.
        facts: Facts,
    },
    /// A packet wanted an outbound slot that has no SA ([`crate::sa::fact::Fact::Wanted`]); it was dropped.
    Vacant {
        /// The slot.
        slot: u32,
        /// The first of these packets, unless more slots were wanted at once than the worker notes packets.
        packet: Option<Flow>,
    },
    /// A next hop's MAC address is not known; packets to it are dropped until it is.
    NeighbourMiss {
        /// Instance of the address.
        instance: u16,
        /// Port it should be on.
        port: u16,
        /// VLAN it should be on, 0 for untagged.
        vlan: u16,
        /// The next hop.
        address: IpAddr,
    },
    /// ESP came for an SPI that nobody here knows; anybody may have sent it. Of those that send much each is told once in a
    /// while.
    UnknownSpi {
        /// Instance it arrived in.
        instance: u16,
        /// The address of ours that it came to.
        local: IpAddr,
        /// Who sent it; port 0 is ESP over IP.
        peer: Endpoint,
        /// The SPI.
        spi: Spi,
    },
    /// Somebody on the way says that our ESP or IKE packets to a peer do not arrive. Not authenticated:
    /// believe an MTU only if the SPI is one we send with, it is sane, and lower than before (DP-30).
    PathError {
        /// Instance the error arrived in.
        instance: u16,
        /// Our end, as quoted.
        local: IpAddr,
        /// The peer's end, as quoted.
        peer: IpAddr,
        /// The SPI quoted, if the quote shows one.
        spi: Option<Spi>,
        /// The largest packet that would pass, if it was size.
        mtu: Option<u32>,
    },
    /// Somebody on the way says that what an ip-tunnel sent was too large. Not authenticated: believe it only if there is
    /// such an ip-tunnel, which sends what is quoted, and the size is sane and lower than before (DP-30).
    IpTunnelTooBig {
        /// Instance the error arrived in.
        instance: u16,
        /// Our end, as quoted.
        local: IpAddr,
        /// The peer's end, as quoted.
        peer: IpAddr,
        /// What the packet showed.
        shown: Shown,
        /// The largest packet that would pass.
        mtu: u32,
    },
    /// A command was not carried out. It counts as applied.
    Refused {
        /// Which.
        sequence: Sequence,
        /// Why.
        refusal: Refusal,
    },
    /// Memory of a removed inbound SA, to be freed. Its key is wiped already.
    Removed(Remains),
    /// A configuration that is no longer in use, to be freed.
    Replaced(Arc<Snapshot>),
    /// A tap that is shown nothing more, to be freed.
    Untapped(Box<Tap>),
    /// Mirrors that are shown nothing more, to be freed.
    Unmirrored(Box<[Mirror]>),
    /// A shard that was detached, or replaced by another of its number.
    Detached(Box<ShardTable>),
}
