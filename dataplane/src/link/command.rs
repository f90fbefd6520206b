//! What control tells a worker.
//!
//! Commands are plain values; they carry no key (see [`super::key`]) and nothing that the worker would
//! have to allocate. Whatever memory a command takes out of use comes back as a [`super::report::Report`].

use std::sync::Arc;

use super::key::KeyIndex;
use super::snapshot::Snapshot;
use crate::sa::Endpoint;
use crate::sa::inbound;
use crate::sa::outbound::{self, Encapsulation};
use crate::sa::shard::Shard;
use crate::sa::spi::{Place, Spi};
use crate::sa::table::ShardTable;
use crate::trace::Tap;
use crate::trace::mirror::Mirror;

/// The number of a command to one worker, counted from 1; 0 is "none yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Sequence(pub u64);

/// When a new outbound SA begins to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// At once: the first SA of a child, and the initiator's of a rekey.
    Now,
    /// It stands by beside the one that sends, until the first packet verifies on the inbound SA whose
    /// `activates` names the slot, or until the old one is removed: the responder's of a rekey
    /// (RFC 7296 §2.8).
    StandBy,
}

/// One order to one worker. Applied in the order sent, at most sixteen a poll.
#[derive(Debug)]
pub enum Command {
    /// Puts an inbound SA into its (empty) slot.
    InstallInbound {
        /// Shard and slot; for sharded SPIs what the SPI says, for manual ones what control chose.
        place: Place,
        /// Everything but the key.
        parts: inbound::Parts,
        /// Its key and salt.
        key: KeyIndex,
    },
    /// Takes an inbound SA out of its slot.
    RemoveInbound {
        /// Where it is.
        place: Place,
        /// Which it is; another SA in the slot is left alone.
        spi: Spi,
    },
    /// Changes the outer addresses of an inbound SA (MOBIKE).
    MoveInbound {
        /// Where it is.
        place: Place,
        /// Which it is.
        spi: Spi,
        /// Our end from now on.
        local: Endpoint,
        /// The peer's end from now on.
        peer: Endpoint,
    },
    /// Changes what becomes of the headers of packets that an inbound SA has carried.
    AdjustInbound {
        /// Where it is.
        place: Place,
        /// Which it is.
        spi: Spi,
        /// Copy the outer traffic class inwards (DP-35), not only ECN.
        copy_traffic_class: bool,
        /// Lower the MSS of SYNs that leave the tunnel to this.
        tcp_mss: Option<u16>,
    },
    /// Gives an outbound slot an SA.
    InstallOutbound {
        /// The child's slot on this worker.
        slot: u32,
        /// Everything but the key.
        parts: outbound::Parts,
        /// Its key and salt.
        key: KeyIndex,
        /// When it begins to send.
        turn: Turn,
    },
    /// Lets the SA that stands by send: the peer's Delete of the old one came first.
    ActivateOutbound {
        /// The child's slot.
        slot: u32,
    },
    /// Takes one SA out of a slot; one that stands by takes its place.
    RemoveOutbound {
        /// The child's slot.
        slot: u32,
        /// Which SA.
        spi: Spi,
    },
    /// Empties a slot whose child is gone, and zeroes its counters.
    ClearOutbound {
        /// The slot.
        slot: u32,
    },
    /// Changes how the SA in a slot wraps packets: new addresses (NAT, MOBIKE), a learned path MTU.
    Encapsulate {
        /// The child's slot.
        slot: u32,
        /// Which SA; if it is the one that stands by, it is changed there.
        spi: Spi,
        /// From now on.
        encapsulation: Encapsulation,
    },
    /// Puts a new configuration in place.
    Configure(Arc<Snapshot>),
    /// Shows packets to a tap from here on, or to none; the former comes back.
    Tap(Option<Box<Tap>>),
    /// Has packets copied and sent on by these from here on; the former come back.
    Mirror(Box<[Mirror]>),
    /// Takes a shard in, with whatever SAs are in it.
    AttachShard(Box<ShardTable>),
    /// Gives a shard away; it comes back in a report.
    DetachShard(Shard),
    /// Does nothing for so long, polling included: for tests of what others do then.
    #[cfg(feature = "stall")]
    StandStill(std::time::Duration),
}
