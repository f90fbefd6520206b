//! The stations of the inbound path: classify, reassemble, lookup, open, accept.

use crate::io::{Frame, Pool};
use crate::link::packet::{Handoff, IkePunt, Kernel, KernelPunt, Work};
use crate::link::report::Report;
use crate::node::classify::{self, Class, EspAt, IkeAt, QuotedAt};
use crate::node::inspect::{self, Inner};
use crate::node::lookup::{self, Opening};
use crate::node::reassemble::key::Fragment;
use crate::node::reassemble::{Offered, Why};
use crate::node::{Packet, clamp, open, policy};
use crate::sa::Endpoint;
use crate::sa::fact::{Fact, Facts};
use crate::sa::inbound::{Arrival, Refused};
use crate::sa::replay::{Guess, Replayed};
use crate::sa::shard::WorkerId;
use crate::sa::spi::{Place, Spi};
use crate::verdict::Drop;

use super::Graph;

/// Places of the reassembly table looked at in one poll.
const EXPIRED_A_POLL: usize = 32;

const fn fragment_reason(why: Why) -> Drop {
    match why {
        Why::Malformed(_) | Why::BadLength { .. } | Why::Tiny { .. } => Drop::FragmentMalformed,
        Why::TooLong { .. } => Drop::FragmentTooLong,
        Why::Overlap => Drop::FragmentOverlap,
        Why::TooManyPieces | Why::SourceQuota | Why::TableFull => Drop::ReassemblyFull,
        Why::NoBuffer { .. } => Drop::NoBuffer,
    }
}

impl<P: Pool> Graph<P> {
    /// A packet for an address of this machine: what is it, and whose?
    pub(super) fn classify(&mut self, packet: Packet<P::Frame>) {
        match classify::class(&packet) {
            Class::Fragment => self.give_reassembler(packet),
            Class::Esp(at) => self.give_opener(packet, at),
            Class::Ike(at) => self.punt_ike(packet, at),
            Class::Keepalive => {
                self.link.counters().keepalives.add(1);
                self.absorb(packet.frame);
            }
            Class::Quoted(at) => self.path_error(packet, at),
            Class::Kernel => self.admit_to_host(packet),
            Class::Refused(reason) => self.refuse(packet.frame, reason),
        }
    }

    /// A fragment belongs to the worker its datagram hashes to: only the first shows an SPI.
    fn give_reassembler(&mut self, packet: Packet<P::Frame>) {
        let workers = self.link.workers().max(1) as u64;
        let owner = match Fragment::read(packet.meta().instance, packet.frame.data()) {
            Ok(Some(fragment)) => WorkerId((fragment.key.hash(self.seed) % workers) as u8),
            Ok(None) | Err(_) => return self.refuse(packet.frame, Drop::FragmentMalformed),
        };
        match owner == self.link.id() {
            true => self.push(|stations| &mut stations.fragments, packet),
            false => self.link.hand(owner, Handoff { packet, work: Work::Reassemble }),
        }
    }

    /// An ESP packet belongs to the worker that owns the shard of its SPI.
    fn give_opener(&mut self, packet: Packet<P::Frame>, at: EspAt) {
        let (instance, destination) = (packet.meta().instance, packet.summary.flow.destination);
        let place = self.tables.tables().locate(instance, destination, at.spi);
        let owner = place.and_then(|place| Some((place, self.link.shards().worker(place.shard)?)));
        match owner {
            Some((place, worker)) if worker == self.link.id() => {
                self.push(|stations| &mut stations.esp, (packet, at, place));
            }
            Some((_, worker)) => self.link.hand(worker, Handoff { packet, work: Work::Open }),
            None => self.refuse(packet.frame, Drop::SaMiss),
        }
    }

    fn punt_ike(&mut self, packet: Packet<P::Frame>, at: IkeAt) {
        let instance = packet.meta().instance;
        let mut frame = packet.frame;
        frame.truncate(at.end);
        frame.trim_front(at.offset);
        self.link.punt_ike(IkePunt { frame, instance, local: at.local, remote: at.remote }, at.initial);
    }

    /// An ICMP error about what we sent to a peer: control hears of it as far as there is room, the kernel
    /// does not.
    fn path_error(&mut self, packet: Packet<P::Frame>, at: QuotedAt) {
        let QuotedAt { local, peer, spi, mtu } = at;
        let instance = packet.meta().instance;
        self.link.mention(Report::PathError { instance, local, peer, spi, mtu });
        self.link.counters().path_errors.add(1);
        self.absorb(packet.frame);
    }

    /// A clear packet for the kernel, unless policy wants it to have come through a tunnel.
    fn admit_to_host(&mut self, packet: Packet<P::Frame>) {
        match policy::is_unprotected(self.tables.tables(), packet.meta().instance, &packet.summary.flow) {
            true => self.refuse(packet.frame, Drop::Unprotected),
            false => self.punt_packet(packet),
        }
    }

    /// Adds a fragment to its datagram; a datagram that is whole now is classified anew.
    pub(super) fn reassemble(&mut self, packet: Packet<P::Frame>) {
        match self.reassembly.offer(self.now_us, packet.frame, &mut self.pool) {
            Offered::Held => {}
            Offered::Duplicate => self.link.counters().absorbed.add(1),
            Offered::Whole { frame, fragments } => self.whole(frame, fragments),
            Offered::NotFragment(frame) => self.refuse(frame, Drop::FragmentMalformed),
            Offered::Refused { why, fragments } => {
                self.link.counters().dropped_many(fragment_reason(why), fragments as u64);
            }
        }
    }

    fn whole(&mut self, frame: P::Frame, fragments: usize) {
        let counters = self.link.counters();
        counters.absorbed.add(fragments as u64);
        counters.made.add(1);
        counters.reassembled.add(1);
        match Packet::parse(frame) {
            Ok(packet) => self.classify(packet),
            Err(frame) => self.refuse(frame, Drop::FragmentMalformed),
        }
    }

    /// Gives up datagrams whose time is over.
    pub(super) fn expire(&mut self) {
        let expired = self.reassembly.expire(self.now_us, EXPIRED_A_POLL);
        self.link.counters().dropped_many(Drop::ReassemblyTimeout, expired.fragments as u64);
    }

    /// Finds the SA of an ESP packet and asks everything that can be asked without its key.
    pub(super) fn lookup(&mut self, (packet, at, place): (Packet<P::Frame>, EspAt, Place)) {
        match lookup::find(packet, &at, place, &self.link.inbound) {
            Ok(opening) => self.push(|stations| &mut stations.openings, opening),
            Err((frame, reason)) => self.refuse(frame, reason),
        }
    }

    /// Decrypts what was looked up.
    pub(super) fn open(&mut self) {
        open::open(self.stations.openings.as_mut_slice(), &self.link.inbound);
    }

    /// Believes a packet whose tag is good, and looks into it; the order of checks is DP-04's.
    pub(super) fn accept(&mut self, opening: Opening<P::Frame>) {
        let Opening { packet, place, spi, guess, from, arrival, verdict, .. } = opening;
        let committed = match verdict {
            Ok(()) => self.commit(place, spi, guess, packet.frame.len(), (arrival, from)),
            Err(_) => Err(self.bad_tag(place)),
        };
        match committed {
            Ok(()) => self.look_into(packet, place, spi),
            Err(reason) => self.refuse(packet.frame, reason),
        }
    }

    fn bad_tag(&self, place: Place) -> Drop {
        if let Some(counters) = self.link.inbound.counters(place) {
            counters.bad_tag.add(1);
        }
        Drop::BadIcv
    }

    /// Moves the window of the SA and notes what a first and a moved packet mean. Nothing of this happens
    /// before the tag has verified.
    fn commit(
        &mut self,
        place: Place,
        spi: Spi,
        guess: Guess,
        octets: usize,
        (arrival, from): (Arrival, Endpoint),
    ) -> Result<(), Drop> {
        let sequence = guess.sequence();
        let hot = self.link.inbound.hot_mut(place, spi).ok_or(Drop::SaMiss)?;
        let accepted = hot.accept(guess, octets);
        // RFC 7296 §2.23: follow a peer behind a NAT; only by its newest packet, or one delayed on the old
        // path would move it back.
        let moved = accepted.is_ok() && arrival == Arrival::Moved && hot.window().top() == sequence;
        if moved {
            hot.move_peer(from);
        }
        let mut facts = accepted.map_err(|refused| self.refused(place, spi, refused))?;
        if moved {
            facts.raise(Fact::PeerMoved);
        }
        self.heard(place, spi, facts);
        Ok(())
    }

    /// A verified packet: what is inside?
    fn look_into(&mut self, packet: Packet<P::Frame>, place: Place, spi: Spi) {
        let Some(hot) = self.link.inbound.hot(place, spi) else {
            return self.refuse(packet.frame, Drop::SaMiss);
        };
        let mss = hot.tcp_mss;
        match inspect::inspect(packet, hot) {
            Ok(Inner::Packet(packet)) => self.deliver(packet, place, mss),
            Ok(Inner::Dummy(frame)) => {
                self.link.counters().dummies.add(1);
                self.absorb(frame);
            }
            Err((frame, reason)) => {
                self.count_inner(place, reason);
                self.refuse(frame, reason);
            }
        }
    }

    fn refused(&mut self, place: Place, spi: Spi, refused: Refused) -> Drop {
        match refused {
            Refused::Replayed(replayed) => {
                if let Some(counters) = self.link.inbound.counters(place) {
                    match replayed {
                        Replayed::Duplicate { .. } => counters.duplicate.add(1),
                        Replayed::TooOld { .. } => counters.too_old.add(1),
                    }
                }
                lookup::replay_reason(replayed)
            }
            Refused::HardExpired(_) => {
                let mut facts = Facts::NONE;
                facts.raise(Fact::HardExpiry);
                self.link.raise_inbound(place, spi, facts);
                Drop::LifetimeExpired
            }
        }
    }

    /// Notes facts about an SA. Its first packet lets the new outbound SA of its child send (RFC 7296 §2.8).
    fn heard(&mut self, place: Place, spi: Spi, facts: Facts) {
        if facts.has(Fact::FirstInbound) {
            let slot = self.link.inbound.cold_mut(place).and_then(|cold| cold.activates);
            if let Some(slot) = slot {
                self.link.heard_first(slot, spi);
            }
        }
        self.link.raise_inbound(place, spi, facts);
    }

    fn count_inner(&self, place: Place, reason: Drop) {
        let Some(counters) = self.link.inbound.counters(place) else { return };
        match reason {
            Drop::PolicyError => counters.policy.add(1),
            _ => counters.malformed.add(1),
        }
    }

    /// An inner packet: to the kernel if it is for this machine, else on into its private instance.
    fn deliver(&mut self, mut packet: Packet<P::Frame>, place: Place, mss: Option<u16>) {
        let octets = packet.summary.length as u64;
        let counters = self.link.counters();
        counters.opened_packets.add(1);
        counters.opened_bytes.add(octets);
        if let Some(counters) = self.link.inbound.counters(place) {
            counters.packets.add(1);
            counters.octets.add(octets);
        }
        if let Some(limit) = mss {
            clamp::clamp(&mut packet, limit);
        }
        let (instance, destination) = (packet.meta().instance, packet.summary.flow.destination);
        match self.snapshot.is_local(instance, destination) {
            true => {
                let punt = KernelPunt { frame: packet.frame, to: Kernel::Tun { instance } };
                self.link.punt_kernel(punt);
            }
            false => self.push(|stations| &mut stations.clear, packet),
        }
    }
}
