//! The last stations of whatever leaves: exit, size, neighbour, frame.
//!
//! Who allowed it to leave is [`super::outbound`]'s. Encrypted packets are framed already, where their SA knew the
//! exit; a clear packet of a remembered flow is framed by its note.

use std::net::IpAddr;

use crate::io::{Frame, Meta, Origin, Pool};
use crate::link::report::Report;
use crate::node::exit::ExitRef;
use crate::node::forward::{self, Exit, Outgoing};
use crate::node::seal::{self, Sealing};
use crate::node::{Packet, icmp, is_transit};
use crate::policy::route::NextHop;
use crate::verdict::Drop;

use super::Graph;

impl<P: Pool> Graph<P> {
    /// Notes where packets to `destination` leave, if there is such a place and its neighbour is known.
    pub(super) fn note_exit(
        &mut self,
        instance: u16,
        destination: IpAddr,
        hop: Option<NextHop>,
    ) -> Option<ExitRef> {
        let tables = self.tables.tables();
        let exit = forward::exit(tables, &self.snapshot, instance, destination, hop).ok()?;
        Some(self.exits.note(&exit, forward::neighbour(tables, &exit)?))
    }

    /// Sends a clear packet by an exit that was looked up before. What is too large for it, and what finds
    /// the note gone, is looked up again: the route says what policy said of it.
    pub(super) fn leave_known(&mut self, packet: Packet<P::Frame>, at: ExitRef) {
        let Packet { mut frame, summary } = packet;
        let known = self.exits.get(at).filter(|exit| summary.length() <= usize::from(exit.mtu));
        let framed = known.map(|exit| forward::frame_by(&mut frame, &summary, exit, false));
        match framed {
            Some(true) => self.put_out(frame),
            Some(false) => self.refuse(frame, Drop::NoRoom),
            None => self.leave_by(Packet { frame, summary }, None),
        }
    }

    #[cold]
    pub(super) fn leave_by(&mut self, packet: Packet<P::Frame>, hop: Option<NextHop>) {
        let ours = !is_transit(packet.meta());
        self.push(|stations| &mut stations.outgoing, Outgoing { packet, hop, limit: u16::MAX, ours });
    }

    /// Sends encrypted packets.
    pub(super) fn leave_sealed(&mut self) {
        let mut queue = std::mem::take(&mut self.stations.sealings);
        self.count_sealed(queue.as_slice());
        queue.drain().for_each(|sealing| self.leave_one(sealing));
        self.stations.sealings = queue;
    }

    /// Counts packets with the worker and, each run of one slot at once, with their slots. So late, because a
    /// slot's counters lie apart, and were asked for with its SA.
    fn count_sealed(&self, sealings: &[Sealing<P::Frame>]) {
        let mut total = 0;
        for run in sealings.chunk_by(|one, next| one.slot == next.slot) {
            let octets = run.iter().map(Sealing::octets).sum();
            total += octets;
            let Some(last) = run.last() else { continue };
            if let Some(counters) = self.link.outbound.counters(last.slot) {
                counters.packets.add(run.len() as u64);
                counters.octets.add(octets);
                counters.sequence.set(last.sequence());
            }
        }
        let counters = self.link.counters();
        counters.sealed_packets.add(sealings.len() as u64);
        counters.sealed_bytes.add(total);
    }

    #[inline(always)]
    fn leave_one(&mut self, mut sealing: Sealing<P::Frame>) {
        seal::finish(&mut sealing);
        let Sealing { frame, slot, sealed, front, .. } = sealing;
        match (sealed, front.link()) {
            (false, _) => self.refuse(frame, Drop::NoSa),
            (true, 0) => self.leave_anew(frame, slot),
            (true, _) => self.put_out(frame),
        }
    }

    /// An encrypted packet whose exit is to be looked up, or that does not fit it; the SA remembers the exit.
    #[cold]
    fn leave_anew(&mut self, mut frame: P::Frame, slot: u32) {
        let Some(hot) = self.link.outbound.hot(slot) else { return self.refuse(frame, Drop::NoSa) };
        let (instance, limit) = (hot.wrap.instance, hot.wrap.outer_mtu);
        let meta = frame.meta_mut();
        *meta = Meta { instance, origin: Origin::Sealed, framed: false, ..*meta };
        let packet = match Packet::parse(frame) {
            Ok(packet) => packet,
            Err(frame) => return self.refuse(frame, Drop::NoRoom),
        };
        self.note_departure(slot, instance, packet.summary.destination());
        if self.leave(Outgoing { packet, hop: None, limit, ours: true }) == Size::Cut {
            self.count_slot(slot, |counters| &counters.post_fragmented);
        }
    }

    /// Has the SA in `slot` remember where packets to its peer leave.
    fn note_departure(&mut self, slot: u32, instance: u16, peer: IpAddr) {
        let exit = self.note_exit(instance, peer, None).and_then(|exit| self.exits.get(exit));
        if let (Some(exit), Some(hot)) = (exit, self.link.outbound.hot_mut(slot)) {
            let link = exit.link(hot.wrap.is_v4());
            hot.leaves_by(self.exits.epoch(), (exit.port, exit.vlan, exit.mtu), &link);
        }
    }

    /// The next identification; no two workers give the same one in a row.
    #[inline]
    pub(super) fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(self.link.workers() as u16);
        id
    }

    /// The last station: exit, size, neighbour, frame.
    pub(super) fn leave(&mut self, outgoing: Outgoing<P::Frame>) -> Size {
        let Outgoing { packet, hop, limit, ours } = outgoing;
        let (instance, destination) = (packet.meta().instance, packet.summary.destination());
        let exit = match forward::exit(self.tables.tables(), &self.snapshot, instance, destination, hop) {
            Ok(exit) => exit,
            Err(reason) => {
                self.refuse(packet.frame, reason);
                return Size::Fits;
            }
        };
        let mtu = exit.interface.mtu.min(limit);
        let may_cut = !packet.summary.dont_fragment() || (ours && destination.is_ipv6());
        match (packet.summary.length() <= usize::from(mtu), may_cut) {
            (true, _) => {
                self.depart(packet, &exit);
                Size::Fits
            }
            (false, true) => {
                self.cut(packet, mtu, |graph, piece| graph.depart(piece, &exit));
                Size::Cut
            }
            (false, false) => {
                self.report(packet, icmp::Report::TooBig { mtu: usize::from(mtu) }, Drop::MtuExceeded);
                Size::TooBig
            }
        }
    }

    /// Frames a packet for its next hop and puts it before its port.
    fn depart(&mut self, packet: Packet<P::Frame>, exit: &Exit) {
        let Some(mac) = forward::neighbour(self.tables.tables(), exit) else {
            return self.missing_neighbour(packet, exit);
        };
        match forward::frame(packet, &exit.interface, mac) {
            Ok(frame) => self.put_out(frame),
            Err((frame, reason)) => self.refuse(frame, reason),
        }
    }

    #[inline]
    pub(super) fn put_out(&mut self, frame: P::Frame) {
        if let Err(frame) = self.stations.departing.push(frame) {
            self.refuse(frame, Drop::BurstFull);
        }
    }

    fn missing_neighbour(&mut self, packet: Packet<P::Frame>, exit: &Exit) {
        let Exit { interface, neighbour } = *exit;
        if self.missed.is_news(interface.instance, neighbour, self.now_us) {
            self.link.mention(Report::NeighbourMiss {
                instance: interface.instance,
                port: interface.port,
                vlan: interface.vlan,
                address: neighbour,
            });
        }
        self.refuse(packet.frame, Drop::NeighbourMiss);
    }
}

/// How a packet compares with what its exit takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// It fits, as far as it came to that.
    Fits,
    /// It was cut.
    Cut,
    /// It was refused.
    TooBig,
}

/// Which missing neighbours control was told of lately.
#[derive(Debug)]
pub(super) struct Missed {
    recent: [Option<(u16, IpAddr)>; 16],
    next: usize,
    since_us: u64,
}

/// After so many microseconds a neighbour that is still missing is told again.
const TELL_AGAIN_US: u64 = 100_000;

impl Missed {
    pub const fn new() -> Self {
        Missed { recent: [None; 16], next: 0, since_us: 0 }
    }

    /// Whether control should be told, and notes that it was.
    fn is_news(&mut self, instance: u16, address: IpAddr, now_us: u64) -> bool {
        if now_us.saturating_sub(self.since_us) > TELL_AGAIN_US {
            (self.recent, self.since_us) = ([None; 16], now_us);
        }
        if self.recent.contains(&Some((instance, address))) {
            return false;
        }
        if let Some(entry) = self.recent.get_mut(self.next % 16) {
            *entry = Some((instance, address));
        }
        self.next = self.next.wrapping_add(1);
        true
    }
}
