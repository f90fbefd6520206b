//! The stations of the outbound path: judge, prepare, seal, wrap, leave; and what others ask to be sent.

use std::net::IpAddr;

use crate::io::{Frame, Meta, Origin, Pool};
use crate::link::packet::{Kernel, KernelPunt};
use crate::link::report::Report;
use crate::link::snapshot::is_link_scope;
use crate::net::eth::{self, ethertype};
use crate::net::flow::{Summary, Upper};
use crate::net::protocol;
use crate::node::forward::{self, Exit, Outgoing};
use crate::node::policy::{self, Fate};
use crate::node::seal::{self, Fit, Sealing};
use crate::node::{Packet, clamp, fragment, icmp, offload};
use crate::policy::route::NextHop;
use crate::sa::fact::{Fact, Facts};
use crate::verdict::Drop;

use super::Graph;

impl<P: Pool> Graph<P> {
    /// A clear packet that is to leave its instance: under an SA, as it is, or not at all.
    pub(super) fn judge(&mut self, mut packet: Packet<P::Frame>) {
        let (meta, destination) = (*packet.meta(), packet.summary.flow.destination);
        if is_link_scope(destination) {
            return self.refuse(packet.frame, Drop::NotForwardable);
        }
        match policy::decide(self.tables.tables(), &meta, &packet.summary.flow) {
            Fate::Drop(reason) => self.refuse(packet.frame, reason),
            Fate::Clear(NextHop::Local) => self.keep(packet),
            // RFC 1812 §5.3.1: whoever forwards takes a hop; what this machine says itself has taken none.
            _ if is_transit(&meta) && !forward::take_hop(&mut packet) => {
                self.report(packet, icmp::Report::TimeExceeded, Drop::TtlExpired);
            }
            Fate::Seal(sa) => self.give_sealer(packet, sa),
            Fate::Clear(hop) => self.leave_by(packet, Some(hop)),
        }
    }

    /// A route says "ours" of an address that the configuration does not list (yet), or the kernel is to
    /// have an error about a packet of its own.
    fn keep(&mut self, packet: Packet<P::Frame>) {
        let Meta { origin, instance, .. } = *packet.meta();
        match origin {
            Origin::Wire => self.punt_packet(packet),
            _ => self.link.punt_kernel(KernelPunt { frame: packet.frame, to: Kernel::Tun { instance } }),
        }
    }

    fn leave_by(&mut self, packet: Packet<P::Frame>, hop: Option<NextHop>) {
        let ours = !is_transit(packet.meta());
        self.push(|stations| &mut stations.outgoing, Outgoing { packet, hop, limit: u16::MAX, ours });
    }

    /// A packet for a slot of this worker: does it fit, and is there an SA?
    pub(super) fn prepare(&mut self, (mut packet, slot): (Packet<P::Frame>, u32)) {
        self.sample(&packet);
        let Some(hot) = self.link.outbound.hot(slot) else { return self.vacant(packet, slot) };
        let encapsulation = hot.encapsulation;
        if let Some(limit) = encapsulation.tcp_mss {
            clamp::clamp(&mut packet, limit);
        }
        match seal::fit(&mut packet, &encapsulation) {
            Fit::Whole => self.number(packet, slot),
            Fit::Cut(mtu) => {
                self.count_slot(slot, |counters| &counters.pre_fragmented);
                self.cut(packet, mtu, |graph, piece| graph.number(piece, slot));
            }
            Fit::TooBig(mtu) => {
                self.count_slot(slot, |counters| &counters.too_big);
                self.report(packet, icmp::Report::TooBig { mtu: usize::from(mtu) }, Drop::MtuExceeded);
            }
        }
    }

    /// Looks at the checksum of one packet in some: hosts with offloads on are found by it.
    fn sample(&self, packet: &Packet<P::Frame>) {
        let counters = self.link.counters();
        if !counters.sealed_packets.get().is_multiple_of(offload::SAMPLE) {
            return;
        }
        if let Some(right) = offload::checksum_ok(packet) {
            counters.checksums_sampled.add(1);
            counters.checksums_wrong.add(u64::from(!right));
        }
    }

    /// No SA: the packet ends here, never in clear, and control hears of it (RFC 4301 §5.1: "if no SA is
    /// available [...] the packet is discarded").
    fn vacant(&mut self, packet: Packet<P::Frame>, slot: u32) {
        self.count_slot(slot, |counters| &counters.missing);
        self.link.raise_vacant(slot);
        self.refuse(packet.frame, Drop::NoSa);
    }

    fn count_slot(
        &self,
        slot: u32,
        counter: impl Fn(&crate::sa::counters::OutboundCounters) -> &crate::sa::counters::Counter,
    ) {
        if let Some(counters) = self.link.outbound.counters(slot) {
            counter(counters).add(1);
        }
    }

    /// Gives a packet its sequence number and its ESP header.
    fn number(&mut self, packet: Packet<P::Frame>, slot: u32) {
        let octets = packet.summary.length as u64;
        let Some(hot) = self.link.outbound.hot_mut(slot) else { return self.vacant(packet, slot) };
        match seal::prepare(packet, slot, hot) {
            Ok((sealing, facts)) => {
                self.sent(slot, octets);
                self.link.raise_outbound(slot, facts);
                self.push(|stations| &mut stations.sealings, sealing);
            }
            Err((frame, reason)) => {
                if matches!(reason, Drop::SequenceExhausted | Drop::LifetimeExpired) {
                    self.expired(slot);
                }
                self.refuse(frame, reason);
            }
        }
    }

    fn sent(&self, slot: u32, octets: u64) {
        let counters = self.link.counters();
        counters.sealed_packets.add(1);
        counters.sealed_bytes.add(octets);
        let last = self.link.outbound.hot(slot).map_or(0, |hot| hot.last_sequence());
        if let Some(counters) = self.link.outbound.counters(slot) {
            counters.packets.add(1);
            counters.octets.add(octets);
            counters.sequence.set(last);
        }
    }

    fn expired(&mut self, slot: u32) {
        self.count_slot(slot, |counters| &counters.expired);
        let mut facts = Facts::NONE;
        facts.raise(Fact::HardExpiry);
        self.link.raise_outbound(slot, facts);
    }

    /// Encrypts what was prepared.
    pub(super) fn seal(&mut self) {
        seal::seal(self.stations.sealings.as_mut_slice(), &self.link.outbound);
    }

    /// Puts the outer headers on.
    pub(super) fn wrap(&mut self, sealing: Sealing<P::Frame>) {
        let limit = sealing.encapsulation.outer_mtu.unwrap_or(u16::MAX);
        match seal::wrap(sealing, self.id()) {
            Ok(packet) => {
                let outgoing = Outgoing { packet, hop: None, limit, ours: true };
                self.push(|stations| &mut stations.outgoing, outgoing);
            }
            Err((frame, reason)) => self.refuse(frame, reason),
        }
    }

    /// The next identification; no two workers give the same one in a row.
    fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(self.link.workers() as u16);
        id
    }

    /// The last station: exit, size, neighbour, frame.
    pub(super) fn leave(&mut self, outgoing: Outgoing<P::Frame>) {
        let Outgoing { packet, hop, limit, ours } = outgoing;
        let (instance, destination) = (packet.meta().instance, packet.summary.flow.destination);
        let exit = match forward::exit(self.tables.tables(), &self.snapshot, instance, destination, hop) {
            Ok(exit) => exit,
            Err(reason) => return self.refuse(packet.frame, reason),
        };
        let mtu = exit.interface.mtu.min(limit);
        let may_cut = !packet.summary.dont_fragment || (ours && destination.is_ipv6());
        match (packet.summary.length <= usize::from(mtu), may_cut) {
            (true, _) => self.depart(packet, &exit),
            (false, true) => self.cut(packet, mtu, |graph, piece| graph.depart(piece, &exit)),
            (false, false) => {
                self.report(packet, icmp::Report::TooBig { mtu: usize::from(mtu) }, Drop::MtuExceeded);
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

    fn put_out(&mut self, frame: P::Frame) {
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

    // --- pieces and errors: packets this worker makes

    /// Cuts a packet into pieces of at most `mtu` octets, each a frame of its own, and lets `each` have them.
    fn cut(&mut self, packet: Packet<P::Frame>, mtu: u16, mut each: impl FnMut(&mut Self, Packet<P::Frame>)) {
        let id = u32::from(self.id()) << 16 | u32::from(self.id());
        let pieces = match fragment::split(packet.frame.data(), usize::from(mtu), id) {
            Ok(Some(pieces)) => pieces,
            Ok(None) | Err(_) => return self.refuse(packet.frame, Drop::MtuExceeded),
        };
        let meta = *packet.meta();
        for piece in pieces {
            let Some(mut frame) = self.pool.alloc_for(piece.len()) else {
                // What is made already cannot be put together without this one; it is sent all the same,
                // because taking it back would cost more than the receiver's timeout.
                self.link.counters().made.add(1);
                self.link.counters().dropped(Drop::NoBuffer);
                continue;
            };
            *frame.meta_mut() = meta;
            self.link.counters().made.add(1);
            let written = frame.append(piece.len()).is_some_and(|out| piece.emit(out).is_ok());
            match Packet::parse(frame) {
                Ok(piece) if written => each(self, piece),
                Ok(Packet { frame, .. }) | Err(frame) => self.refuse(frame, Drop::MalformedIp),
            }
        }
        self.link.counters().fragmented.add(1);
        self.absorb(packet.frame);
    }

    /// Drops a packet for `reason` and tells its sender, if it is one to be told and the rate allows.
    fn report(&mut self, packet: Packet<P::Frame>, report: icmp::Report, reason: Drop) {
        if matches!(packet.meta().origin, Origin::Wire | Origin::Tunnel | Origin::Tun) {
            self.send_error(&packet, report);
        }
        self.refuse(packet.frame, reason);
    }

    fn send_error(&mut self, about: &Packet<P::Frame>, report: icmp::Report) -> Option<()> {
        let meta = *about.meta();
        let peer = about.summary.flow.source;
        let source = self.snapshot.source(meta.instance, (meta.port, meta.vlan), peer)?;
        if self.limiter.allow(self.now_us).is_err() {
            self.link.counters().icmp_suppressed.add(1);
            return None;
        }
        let mut frame = self.pool.alloc_for(icmp::LONGEST_V6)?;
        let id = self.id();
        let length =
            icmp::compose(report, about.frame.data(), source, id, frame.append(icmp::LONGEST_V6)?).ok()?;
        frame.truncate(length);
        *frame.meta_mut() = error_meta(meta);
        let packet = Packet::parse(frame).ok()?;
        self.link.counters().made.add(1);
        self.link.counters().icmp_sent.add(1);
        self.push(|stations| &mut stations.errors, packet);
        Some(())
    }

    // --- asked by control and by the kernel

    /// Takes a complete outer packet from control: routed and sent, policy does not apply to IKE itself.
    pub fn send_for_control(&mut self, frame: P::Frame) {
        self.link.counters().injected.add(1);
        match Packet::parse(frame) {
            Ok(packet) => self.leave_by(packet, None),
            Err(frame) => self.refuse(frame, Drop::MalformedInjected),
        }
    }

    /// Takes a packet from the kernel: from a `rv-` device into the outbound path, from a twin past the
    /// policy to its port.
    pub fn send_for_kernel(&mut self, frame: P::Frame) {
        self.link.counters().injected.add(1);
        match frame.meta().origin {
            Origin::Twin => self.send_for_twin(frame),
            _ => match Packet::parse(frame) {
                Ok(packet) => self.push(|stations| &mut stations.clear, packet),
                Err(frame) => self.refuse(frame, Drop::MalformedInjected),
            },
        }
    }

    /// No packet that policy protects leaves in clear, whoever sends it.
    fn send_for_twin(&mut self, mut frame: P::Frame) {
        let Meta { port, vlan, .. } = *frame.meta();
        let Some(interface) = self.snapshot.interface(port, vlan).copied() else {
            return self.refuse(frame, Drop::UnknownInterface);
        };
        frame.meta_mut().instance = interface.instance;
        let Ok(link) = eth::Repr::parse(frame.data()) else {
            return self.refuse(frame, Drop::MalformedInjected);
        };
        let fate = match link.ethertype {
            ethertype::IPV4 | ethertype::IPV6 => self.fate_of_twin(&frame, interface.instance),
            // The worker adds the tag of the interface; a frame that brings one would be on another.
            ethertype::VLAN | ethertype::SERVICE_VLAN => Some(Fate::Drop(Drop::MalformedInjected)),
            _ => None,
        };
        match fate {
            None => self.tag_and_put_out(frame, vlan),
            Some(Fate::Seal(sa)) => {
                frame.trim_front(eth::Repr::LEN);
                match Packet::parse(frame) {
                    Ok(packet) => self.give_sealer(packet, sa),
                    Err(frame) => self.refuse(frame, Drop::MalformedInjected),
                }
            }
            Some(Fate::Drop(reason)) => self.refuse(frame, reason),
            Some(Fate::Clear(_)) => self.refuse(frame, Drop::ClearRefused),
        }
    }

    fn fate_of_twin(&self, frame: &P::Frame, instance: u16) -> Option<Fate> {
        let Ok(summary) = Summary::parse(frame.data().get(eth::Repr::LEN..).unwrap_or_default()) else {
            return Some(Fate::Drop(Drop::MalformedInjected));
        };
        match is_of_the_link(&summary) {
            true => None,
            false => policy::decide_twin(self.tables.tables(), instance, &summary.flow),
        }
    }

    fn tag_and_put_out(&mut self, mut frame: P::Frame, vlan: u16) {
        match forward::tag(&mut frame, vlan) {
            true => self.put_out(frame),
            false => self.refuse(frame, Drop::NoRoom),
        }
    }
}

/// Whether somebody else sent the packet and this machine only passes it on.
const fn is_transit(meta: &Meta) -> bool {
    matches!(meta.origin, Origin::Wire | Origin::Tunnel)
}

/// Where an error about a packet belongs: in clear, back to the interface a packet from the wire came by. An
/// error about a packet that came out of a tunnel quotes it, so that it leaves by a tunnel or not at all.
fn error_meta(about: Meta) -> Meta {
    let port = if about.origin == Origin::Wire { about.port } else { NO_PORT };
    Meta { port, origin: Origin::Worker, ..about }
}

/// A port number that no port has.
const NO_PORT: u16 = u16::MAX;

/// Neighbour discovery and other packets that no router forwards: policy speaks of what is forwarded
/// (RFC 4301 §5 leaves them to the host), and without them no SA could be reached.
fn is_of_the_link(summary: &Summary) -> bool {
    let flow = &summary.flow;
    let discovery = flow.protocol == protocol::ICMPV6
        && summary.ttl == 255
        && matches!(flow.upper, Upper::Icmp { kind: 133..=137, .. });
    discovery || is_link_scope(flow.destination)
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
