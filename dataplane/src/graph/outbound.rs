//! The stations of the outbound path: judge, prepare, seal, leave; and what others ask to be sent.

use std::net::IpAddr;

use crate::io::{Frame, Meta, Origin, Pool};
use crate::link::handoff::Work;
use crate::link::packet::{Kernel, KernelPunt};
use crate::link::report::Report;
use crate::link::snapshot::is_link_scope;
use crate::net::eth::{self, ethertype};
use crate::net::flow::{Summary, Upper};
use crate::net::protocol;
use crate::node::exit::ExitRef;
use crate::node::forward::{self, Exit, Outgoing};
use crate::node::ingress::{self, Judged};
use crate::node::memo::{Place, Way};
use crate::node::policy::{self, Fate};
use crate::node::seal::{self, Fit, Sealing};
use crate::node::{Packet, clamp, fragment, icmp, offload};
use crate::policy::route::NextHop;
use crate::sa::SaRef;
use crate::sa::fact::{Fact, Facts};
use crate::verdict::Drop;

use super::{Clear, Graph};

/// Packets looked up before the first of them is worked: what they ask for must not displace itself.
const AHEAD: usize = 16;

impl<P: Pool> Graph<P> {
    /// Clear packets that are to leave their instance: under an SA, as they are, or not at all. A burst is
    /// looked up in the memo before its first packet moves on, so that no packet waits for its SA alone.
    pub(super) fn judge(&mut self) {
        let mut queue = std::mem::take(&mut self.stations.clear);
        for burst in queue.as_mut_slice().chunks_mut(AHEAD) {
            let mut ways = [None; AHEAD];
            let mut last = None;
            for (Clear { packet, place }, found) in burst.iter().zip(&mut ways) {
                let way = packet.as_ref().and_then(|packet| self.way(packet, *place));
                if way != last {
                    self.prefetch(way);
                    last = way;
                }
                *found = way;
            }
            for (Clear { packet, .. }, way) in burst.iter_mut().zip(ways) {
                match way {
                    Some(way) => self.go(packet, way),
                    None => self.judge_anew(packet.take()),
                }
            }
        }
        queue.clear();
        self.stations.clear = queue;
    }

    /// What is remembered of a flow and still true.
    #[inline(always)]
    fn way(&self, packet: &Packet<P::Frame>, place: Place) -> Option<Way> {
        let key = self.memo.key(packet.meta(), &packet.summary);
        self.memo.find(&key, place).filter(|way| match way {
            Way::Seal(_) => true,
            Way::Clear(exit) => self.exits.get(*exit).is_some(),
        })
    }

    /// Asks for the SA a packet will be sealed under, if it is this worker's.
    #[inline]
    fn prefetch(&self, way: Option<Way>) {
        if let Some(Way::Seal(sa)) = way
            && sa.worker == self.link.id()
        {
            self.link.outbound.prefetch(sa.slot);
        }
    }

    /// Sends a packet the way others of its flow went.
    #[inline(always)]
    fn go(&mut self, place: &mut Option<Packet<P::Frame>>, way: Way) {
        let Some(packet) = place else { return };
        // RFC 1812 §5.3.1: whoever forwards takes a hop; what this machine says itself has taken none.
        if is_transit(packet.meta()) && !forward::take_hop(packet) {
            return self.expire_hop(place.take());
        }
        match way {
            Way::Seal(sa) if sa.worker == self.link.id() => self.prepare(place, sa.slot),
            Way::Seal(sa) => self.go_elsewhere(place.take(), sa),
            Way::Clear(exit) => self.leave_known(place, exit),
        }
    }

    #[inline(never)]
    fn go_elsewhere(&mut self, packet: Option<Packet<P::Frame>>, sa: SaRef) {
        if let Some(packet) = packet {
            self.hand(sa.worker, packet, Work::Seal { slot: sa.slot });
        }
    }

    #[cold]
    fn expire_hop(&mut self, packet: Option<Packet<P::Frame>>) {
        if let Some(packet) = packet {
            self.report(packet, icmp::Report::TimeExceeded, Drop::TtlExpired);
        }
    }

    /// A packet of a flow that nothing is remembered of.
    #[cold]
    fn judge_anew(&mut self, packet: Option<Packet<P::Frame>>) {
        let Some(mut packet) = packet else { return };
        let (meta, destination) = (*packet.meta(), packet.summary.destination());
        match self.whose(&packet) {
            Ok(Judged::Transit) => {}
            Ok(Judged::Kernel) => return self.punt_packet(packet),
            Ok(Judged::Local) => return self.keep(packet),
            Err(reason) => return self.refuse(packet.frame, reason),
        }
        let key = &self.memo.key(&meta, &packet.summary);
        if is_link_scope(destination) {
            return self.refuse(packet.frame, Drop::NotForwardable);
        }
        match policy::decide(self.tables.tables(), &meta, &packet.summary.flow()) {
            Fate::Drop(reason) => self.refuse(packet.frame, reason),
            Fate::Clear(NextHop::Local) => self.keep(packet),
            _ if is_transit(&meta) && !forward::take_hop(&mut packet) => {
                self.report(packet, icmp::Report::TimeExceeded, Drop::TtlExpired);
            }
            Fate::Seal(sa) => {
                self.memo.remember(key, Way::Seal(sa));
                self.give_sealer(packet, sa);
            }
            // By the note at once: packets of one flow leave in the order they came, and the next is known.
            Fate::Clear(hop) => match self.note_exit(meta.instance, destination, Some(hop)) {
                Some(exit) => {
                    self.memo.remember(key, Way::Clear(exit));
                    self.leave_known(&mut Some(packet), exit);
                }
                None => self.leave_by(packet, Some(hop)),
            },
        }
    }

    /// Whose a packet is that nothing is remembered of. What this machine sends is never its own.
    fn whose(&self, packet: &Packet<P::Frame>) -> Result<Judged, Drop> {
        let (Meta { origin, instance, .. }, summary) = (*packet.meta(), &packet.summary);
        let [_, destination] = summary.ends();
        match origin {
            Origin::Wire => ingress::judge(summary, instance, false, &self.snapshot),
            Origin::Tunnel if self.snapshot.is_ours(instance, summary.is_v4(), destination) => {
                Ok(Judged::Local)
            }
            _ => Ok(Judged::Transit),
        }
    }

    /// Notes where packets to `destination` leave, if there is such a place and its neighbour is known.
    fn note_exit(&mut self, instance: u16, destination: IpAddr, hop: Option<NextHop>) -> Option<ExitRef> {
        let tables = self.tables.tables();
        let exit = forward::exit(tables, &self.snapshot, instance, destination, hop).ok()?;
        Some(self.exits.note(&exit, forward::neighbour(tables, &exit)?))
    }

    /// Sends a clear packet by an exit that was looked up before. What is too large for it, and what finds
    /// the note gone, is looked up again: the route says what policy said of it.
    #[inline(always)]
    fn leave_known(&mut self, place: &mut Option<Packet<P::Frame>>, at: ExitRef) {
        let Some(Packet { frame, summary }) = place else { return };
        let known = self.exits.get(at).filter(|exit| summary.length() <= usize::from(exit.mtu));
        let framed = known.map(|exit| forward::frame_by(frame, summary.is_v4(), exit));
        match framed {
            Some(framed) => self.put_out_if(place.take().map(|packet| packet.frame), framed),
            None => self.leave_unknown(place.take()),
        }
    }

    #[cold]
    fn leave_unknown(&mut self, packet: Option<Packet<P::Frame>>) {
        if let Some(packet) = packet {
            self.leave_by(packet, None);
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

    #[cold]
    fn leave_by(&mut self, packet: Packet<P::Frame>, hop: Option<NextHop>) {
        let ours = !is_transit(packet.meta());
        self.push(|stations| &mut stations.outgoing, Outgoing { packet, hop, limit: u16::MAX, ours });
    }

    /// [`Graph::prepare`] for packets that another worker handed over, or the kernel.
    pub(super) fn prepare_owned(&mut self, (packet, slot): (Packet<P::Frame>, u32)) {
        self.prepare(&mut Some(packet), slot);
    }

    /// A packet for a slot of this worker: does it fit, and is there an SA?
    #[inline(always)]
    pub(super) fn prepare(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32) {
        let Some(packet) = place else { return };
        self.sample(packet);
        match self.link.outbound.hot(slot) {
            Some(hot) if hot.wrap.takes(&packet.summary) => self.number(place, slot),
            Some(_) => self.prepare_asked(place, slot),
            None => self.prepare_unfit(place.take(), slot, None),
        }
    }

    #[inline(never)]
    fn prepare_asked(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32) {
        let Some(packet) = place else { return };
        let fits = self.link.outbound.hot(slot).map(|hot| {
            if hot.wrap.tcp_mss > 0 {
                clamp::clamp(&mut packet.frame, &packet.summary, hot.wrap.tcp_mss);
            }
            seal::fit(packet, &hot.wrap)
        });
        match fits {
            Some(Fit::Whole) => self.number(place, slot),
            fits => self.prepare_unfit(place.take(), slot, fits),
        }
    }

    /// A packet that its tunnel does not take as it is, or for which there is no SA.
    #[cold]
    fn prepare_unfit(&mut self, packet: Option<Packet<P::Frame>>, slot: u32, fits: Option<Fit>) {
        let Some(packet) = packet else { return };
        match fits {
            Some(Fit::Cut(mtu)) => {
                self.count_slot(slot, |counters| &counters.pre_fragmented);
                self.cut(packet, mtu, |graph, piece| graph.number(&mut Some(piece), slot));
            }
            Some(Fit::TooBig(mtu)) => {
                self.count_slot(slot, |counters| &counters.too_big);
                self.report(packet, icmp::Report::TooBig { mtu: usize::from(mtu) }, Drop::MtuExceeded);
            }
            Some(Fit::Whole) | None => self.vacant(packet.frame, slot),
        }
    }

    /// Looks at the checksum of one packet in some: hosts with offloads on are found by it.
    #[inline(always)]
    fn sample(&mut self, packet: &Packet<P::Frame>) {
        let number = self.looked_at;
        self.looked_at = number.wrapping_add(1);
        if number.is_multiple_of(offload::SAMPLE) {
            self.check_checksum(packet);
        }
    }

    #[cold]
    fn check_checksum(&self, packet: &Packet<P::Frame>) {
        if let Some(right) = offload::checksum_ok(packet) {
            let counters = self.link.counters();
            counters.checksums_sampled.add(1);
            counters.checksums_wrong.add(u64::from(!right));
        }
    }

    /// No SA: the packet ends here, never in clear, and control hears of it (RFC 4301 §5.1: "if no SA is
    /// available [...] the packet is discarded").
    #[cold]
    fn vacant(&mut self, frame: P::Frame, slot: u32) {
        self.count_slot(slot, |counters| &counters.missing);
        self.link.raise_vacant(slot);
        self.refuse(frame, Drop::NoSa);
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

    /// Gives a packet its sequence number and its headers.
    #[inline(always)]
    fn number(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32) {
        let id = self.id();
        let Some(Packet { frame, summary }) = place else { return };
        let octets = summary.length() as u64;
        let hot = self.link.outbound.hot_mut(slot).filter(|_| self.stations.sealings.room() > 0);
        let Some(hot) = hot else { return self.refuse_unnumbered(place.take(), slot, Drop::BurstFull) };
        // By the exit the last packet of the SA left by, if that is still to be believed.
        let exit = self.exits.get(hot.exit);
        let laid = match seal::lay_out(frame, summary, hot, exit, id) {
            Ok(laid) => laid,
            Err(reason) => return self.refuse_unnumbered(place.take(), slot, reason),
        };
        let Some(frame) = place.take().map(|packet| packet.frame) else { return };
        let (last, facts) = (laid.sequence(), laid.facts);
        let _ = self.stations.sealings.push(Sealing::new(frame, slot, laid));
        self.count_sealed(slot, octets, last);
        if !facts.is_empty() {
            self.link.raise_outbound(slot, facts);
        }
    }

    /// A packet that got no number.
    #[cold]
    fn refuse_unnumbered(&mut self, packet: Option<Packet<P::Frame>>, slot: u32, reason: Drop) {
        let Some(Packet { frame, .. }) = packet else { return };
        if self.link.outbound.hot(slot).is_none() {
            return self.vacant(frame, slot);
        }
        if matches!(reason, Drop::SequenceExhausted | Drop::LifetimeExpired) {
            self.expired(slot);
        }
        self.refuse(frame, reason);
    }

    #[inline(always)]
    fn count_sealed(&self, slot: u32, octets: u64, last: u64) {
        let counters = self.link.counters();
        counters.sealed_packets.add(1);
        counters.sealed_bytes.add(octets);
        if let Some(counters) = self.link.outbound.counters(slot) {
            counters.packets.add(1);
            counters.octets.add(octets);
            counters.sequence.set(last);
        }
    }

    #[cold]
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

    /// Sends encrypted packets.
    pub(super) fn leave_sealed(&mut self) {
        let mut queue = std::mem::take(&mut self.stations.sealings);
        for sealing in queue.as_mut_slice() {
            self.leave_one(sealing);
        }
        queue.clear();
        self.stations.sealings = queue;
    }

    #[inline(always)]
    fn leave_one(&mut self, sealing: &mut Sealing<P::Frame>) {
        seal::finish(sealing);
        let Some(frame) = sealing.frame.take() else { return };
        match (sealing.sealed, sealing.link) {
            (false, _) => self.refuse(frame, Drop::NoSa),
            (true, 0) => self.leave_anew(frame, sealing.slot),
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
        let exit = self.note_exit(instance, packet.summary.destination(), None);
        if let (Some(exit), Some(hot)) = (exit, self.link.outbound.hot_mut(slot)) {
            hot.exit = exit;
        }
        self.leave(Outgoing { packet, hop: None, limit, ours: true });
    }

    /// The next identification; no two workers give the same one in a row.
    #[inline]
    fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(self.link.workers() as u16);
        id
    }

    /// The last station: exit, size, neighbour, frame.
    pub(super) fn leave(&mut self, outgoing: Outgoing<P::Frame>) {
        let Outgoing { packet, hop, limit, ours } = outgoing;
        let (instance, destination) = (packet.meta().instance, packet.summary.destination());
        let exit = match forward::exit(self.tables.tables(), &self.snapshot, instance, destination, hop) {
            Ok(exit) => exit,
            Err(reason) => return self.refuse(packet.frame, reason),
        };
        let mtu = exit.interface.mtu.min(limit);
        let may_cut = !packet.summary.dont_fragment() || (ours && destination.is_ipv6());
        match (packet.summary.length() <= usize::from(mtu), may_cut) {
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

    /// Puts out a frame that was framed; one that had no room for it ends here.
    #[inline(always)]
    fn put_out_if(&mut self, frame: Option<P::Frame>, framed: bool) {
        match frame {
            Some(frame) if framed => self.put_out(frame),
            Some(frame) => self.refuse(frame, Drop::NoRoom),
            None => {}
        }
    }

    #[inline]
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
    #[cold]
    fn cut(&mut self, packet: Packet<P::Frame>, mtu: u16, mut each: impl FnMut(&mut Self, Packet<P::Frame>)) {
        let id = u32::from(self.id()) << 16 | u32::from(self.id());
        let pieces = match fragment::split(packet.frame.data(), usize::from(mtu), id) {
            Ok(Some(pieces)) => pieces,
            Ok(None) | Err(_) => return self.refuse(packet.frame, Drop::MtuExceeded),
        };
        let meta = Meta { framed: false, ..*packet.meta() };
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
    #[cold]
    fn report(&mut self, packet: Packet<P::Frame>, report: icmp::Report, reason: Drop) {
        if matches!(packet.meta().origin, Origin::Wire | Origin::Tunnel | Origin::Tun) {
            self.send_error(&packet, report);
        }
        self.refuse(packet.frame, reason);
    }

    fn send_error(&mut self, about: &Packet<P::Frame>, report: icmp::Report) -> Option<()> {
        let meta = *about.meta();
        let peer = about.summary.source();
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
        let place = self.memo.prefetch(&self.memo.key(packet.meta(), &packet.summary));
        if let Err(Clear { packet: Some(packet), .. }) =
            self.stations.errors.push(Clear { packet: Some(packet), place })
        {
            self.refuse(packet.frame, Drop::BurstFull);
        }
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
                Ok(Packet { frame, summary }) => self.judge_later(frame, summary),
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
            false => policy::decide_twin(self.tables.tables(), instance, &summary.flow()),
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
    Meta { port, origin: Origin::Worker, framed: false, ..about }
}

/// A port number that no port has.
const NO_PORT: u16 = u16::MAX;

/// Neighbour discovery and other packets that no router forwards: policy speaks of what is forwarded
/// (RFC 4301 §5 leaves them to the host), and without them no SA could be reached.
fn is_of_the_link(summary: &Summary) -> bool {
    let flow = &summary.flow();
    let discovery = flow.protocol == protocol::ICMPV6
        && summary.ttl() == 255
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
