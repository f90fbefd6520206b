//! A mirror: copies of packets that a worker sends on as packets of their own (DP-38), by a port to a station beside it or
//! into an ip-tunnel to one far away.
//!
//! It is a tap whose reader is the worker itself: what passes is copied to a ring that is the bound, and sent when the
//! packets of a poll are done ([`crate::graph`]). What finds no room is lost and counted; nobody's packets wait for it.
//! What is dropped is not mirrored: a capture shows that.

use std::sync::Arc;

use super::tap::Tap;
use super::{Filter, Reader, Side, Wish};
use crate::net::eth::Mac;
use crate::policy::route::IpTunnelId;
use crate::sa::counters::Counter;
use crate::verdict::Verdict;

/// Mirrors there may be: each costs a worker some four MiB.
pub const MOST: usize = 4;

/// Where copies go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// To a station on the link of an interface.
    Station {
        /// The interface's port.
        port: u16,
        /// Its VLAN, 0 for none.
        vlan: u16,
        /// Whom frames are addressed to.
        station: Mac,
    },
    /// Into an ip-tunnel.
    IpTunnel(IpTunnelId),
}

/// Which way packets go that are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Either.
    Both,
    /// Out of tunnels.
    In,
    /// Into them.
    Out,
}

impl Direction {
    const fn has(self, outbound: bool) -> bool {
        match self {
            Direction::Both => true,
            Direction::In => !outbound,
            Direction::Out => outbound,
        }
    }
}

/// What to mirror, and to where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which packets.
    pub filter: Filter,
    /// In clear, or encrypted.
    pub side: Side,
    /// Which way.
    pub direction: Direction,
    /// Where copies go.
    pub aim: Aim,
}

/// What a mirror has done on one worker; it outlives the mirror, so that counts never fall.
#[derive(Debug, Default)]
pub struct Counts {
    /// Copies made into packets.
    pub packets: Counter,
    /// Their octets, of IP.
    pub octets: Counter,
    /// Copies that found no room: in the ring, the pool, or by their size.
    pub lost: Counter,
}

/// One mirror of one worker. Made by control, moved to the worker, and back when it ends.
#[derive(Debug)]
pub struct Mirror {
    tap: Tap,
    copies: Reader,
    direction: Direction,
    /// Where copies go.
    pub aim: Aim,
    /// What it has done.
    pub counts: Arc<Counts>,
    /// How much of what the ring lost is counted already.
    told: u64,
}

impl Mirror {
    /// A mirror by this order.
    pub fn new(order: &Order, counts: Arc<Counts>) -> Mirror {
        let (clear, encrypted) = (order.side == Side::Clear, order.side == Side::Encrypted);
        let wish = Wish::Copies { clear, encrypted, wire: false, snap: usize::from(u16::MAX) };
        let (tap, copies) = Tap::new(order.filter.clone(), wish, u64::MAX);
        Mirror { tap, copies, direction: order.direction, aim: order.aim, counts, told: 0 }
    }

    /// What stations show packets to.
    pub const fn tap(&mut self) -> &mut Tap {
        &mut self.tap
    }

    /// Gives the next copy of a packet that passes to `make`, in two parts; `None` when there is no more.
    pub fn next<T>(&mut self, mut make: impl FnMut([&[u8]; 2]) -> T) -> Option<T> {
        loop {
            let direction = self.direction;
            let passing = self.copies.read_next(|record, copy| {
                let passes = record.verdict == Verdict::Forward && direction.has(record.outbound);
                passes.then(|| make(copy))
            })?;
            if passing.is_some() {
                return passing;
            }
        }
    }

    /// Copies that found no room in the ring since this was asked last.
    pub fn newly_lost(&mut self) -> u64 {
        let lost = self.copies.lost();
        lost.wrapping_sub(std::mem::replace(&mut self.told, lost))
    }
}
