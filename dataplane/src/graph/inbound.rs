//! The stations of the inbound path: classify, reassemble, lookup, open, accept.

use crate::io::{Frame, Pool};
use crate::link::handoff::Work;
use crate::link::packet::IkePunt;
use crate::link::report::Report;
use crate::link::waits::{Between, Wait};
use crate::net::flow::Summary;
use crate::node::classify::{self, Class, EspAt, IkeAt, QuotedAt, TunnelQuotedAt};
use crate::node::ingress;
use crate::node::inspect::{self, Accepted};
use crate::node::open::{self, Lanes, ROOM};
use crate::node::opening::{self, Inner, Opening, Stage};
use crate::node::reassemble::key::Fragment;
use crate::node::reassemble::{Offered, Why};
use crate::node::{Packet, apart, policy};
use crate::sa::fact::{Fact, Facts};
use crate::sa::shard::WorkerId;
use crate::sa::spi::{Place, Spi};
use crate::verdict::{Drop, Verdict};

use super::{Graph, Station};

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

/// Where an ESP packet goes that is not this worker's.
#[derive(Debug, Clone, Copy)]
enum Elsewhere {
    /// To this worker.
    With(WorkerId),
    /// Nowhere: nobody owns the place of its SA, or it has none.
    Nowhere(Option<Place>),
}

impl<P: Pool> Graph<P> {
    /// A packet for an address of this machine, of whose source nothing is known yet. Of ESP its SA knows more
    /// than could be asked here ([`Graph::misdirected`] asks if it does not); of others it is asked now.
    #[inline(always)]
    pub(super) fn admit(&mut self, frame: P::Frame, summary: Summary) {
        match classify::plain_esp(frame.data(), &summary) {
            Some(at) => self.give_opener(frame, summary, at),
            None => self.admit_other(frame, summary),
        }
    }

    #[inline(never)]
    fn admit_other(&mut self, frame: P::Frame, summary: Summary) {
        match ingress::judge(&summary, frame.meta().instance, false, &self.snapshot) {
            Ok(_) => self.classify_other(Packet { frame, summary }),
            Err(reason) => self.refuse(frame, reason),
        }
    }

    /// A packet for an address of this machine: what is it, and whose?
    #[inline(always)]
    pub(super) fn classify(&mut self, frame: P::Frame, summary: Summary) {
        match classify::plain_esp(frame.data(), &summary) {
            Some(at) => self.give_opener(frame, summary, at),
            None => self.classify_other(Packet { frame, summary }),
        }
    }

    #[inline(never)]
    pub(super) fn classify_other(&mut self, packet: Packet<P::Frame>) {
        match classify::class(&packet, || self.is_end(&packet)) {
            Class::Fragment => self.give_reassembler(packet),
            Class::Esp(at) => self.give_opener(packet.frame, packet.summary, at),
            Class::Ike(at) => self.punt_ike(packet, at),
            Class::Keepalive => {
                self.link.counters().keepalives.add(1);
                self.absorb(packet.frame);
            }
            Class::Quoted(at) => self.path_error(packet, at),
            Class::TunnelQuoted(at) => self.ip_tunnel_path_error(packet, at),
            Class::IpTunnel => self.leave_ip_tunnel(packet),
            Class::Kernel => self.admit_to_host(packet),
            Class::Refused(reason) => self.refuse(packet.frame, reason),
        }
    }

    /// A fragment belongs to the worker its datagram hashes to, or to who stands in for it: only the first
    /// shows an SPI.
    fn give_reassembler(&mut self, packet: Packet<P::Frame>) {
        let workers = self.link.workers().max(1);
        let owner = match Fragment::read(packet.meta().instance, packet.frame.data()) {
            Ok(Some(fragment)) => {
                let hashed = WorkerId((fragment.key.hash(self.seed) % workers as u64) as u8);
                self.link.shards().stand_in(hashed, workers)
            }
            Ok(None) => return self.refuse(packet.frame, Drop::FragmentMalformed),
            Err(why) => return self.refuse(packet.frame, fragment_reason(why)),
        };
        match owner == self.link.id() {
            true => self.push(|stations| &mut stations.fragments, packet),
            false => self.hand(owner, packet, Work::Reassemble),
        }
    }

    /// An ESP packet belongs to the worker that owns the shard of its SPI.
    #[inline(always)]
    fn give_opener(&mut self, frame: P::Frame, summary: Summary, at: EspAt) {
        // The packet before it says of most where their SA is, and has asked for it.
        let before = self.stations.openings.as_slice().last();
        let before = before.filter(|before| before.esp.spi == at.spi && at.spi.is_sharded());
        let (place, follows) = match before.map(|before| before.place) {
            Some(place) => (place, true),
            None => match self.own_place(frame.meta().instance, &summary, at.spi) {
                Ok(place) => (place, false),
                Err(elsewhere) => {
                    return self.give_elsewhere(Packet { frame, summary }, &at, elsewhere);
                }
            },
        };
        if self.stations.openings.room() == 0 {
            return self.refuse(frame, Drop::BurstFull);
        }
        let _ = self.stations.openings.push(Opening::new(frame, summary, at, place, follows));
    }

    /// Where the SA of an ESP packet is to be, if that is this worker's; it is asked for.
    #[inline(always)]
    fn own_place(&self, instance: u16, outer: &Summary, spi: Spi) -> Result<Place, Elsewhere> {
        let place = spi.place().or_else(|| self.tables.tables().locate(instance, outer.destination(), spi));
        let place = place.ok_or(Elsewhere::Nowhere(None))?;
        match self.link.shards().worker(place.shard) {
            Some(worker) if worker == self.link.id() => {
                self.link.inbound.prefetch(place);
                Ok(place)
            }
            Some(worker) => Err(Elsewhere::With(worker)),
            None => Err(Elsewhere::Nowhere(Some(place))),
        }
    }

    #[inline(never)]
    fn give_elsewhere(&mut self, packet: Packet<P::Frame>, at: &EspAt, elsewhere: Elsewhere) {
        match elsewhere {
            Elsewhere::With(worker) => self.hand(worker, packet, Work::Open),
            Elsewhere::Nowhere(place) => {
                let reason = self.misdirected(&packet.frame, &packet.summary, self.unowned(place));
                self.note_stray(reason, packet.meta().instance, &packet.summary, (at.spi, at.ports));
                self.refuse(packet.frame, reason);
            }
        }
    }

    /// Why an ESP packet really ends here that an SA, or the lack of one, refuses for `reason`: a source that
    /// cannot be is told first.
    #[cold]
    fn misdirected(&self, frame: &P::Frame, outer: &Summary, reason: Drop) -> Drop {
        let (instance, [source, _]) = (frame.meta().instance, outer.ends());
        match ingress::is_bad_source(instance, outer.is_v4(), source, &self.snapshot) {
            true => Drop::BadSource,
            false => reason,
        }
    }

    /// Why nobody owns the SA of a packet: there is none such, or its worker stands still.
    #[cold]
    fn unowned(&self, place: Option<Place>) -> Drop {
        let is_one = |place: Place| usize::from(place.shard.get()) <= self.link.workers();
        if place.is_some_and(is_one) { Drop::WorkerStalled } else { Drop::SaMiss }
    }

    fn punt_ike(&mut self, packet: Packet<P::Frame>, at: IkeAt) {
        let instance = packet.meta().instance;
        let mut frame = packet.frame;
        if self.is_tapped() {
            self.show_end(&frame, Verdict::Punt);
        }
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

    /// The same about what an ip-tunnel sent.
    fn ip_tunnel_path_error(&mut self, packet: Packet<P::Frame>, at: TunnelQuotedAt) {
        let TunnelQuotedAt { local, peer, shown, mtu } = at;
        let instance = packet.meta().instance;
        self.link.mention(Report::IpTunnelTooBig { instance, local, peer, shown, mtu });
        self.link.counters().path_errors.add(1);
        self.absorb(packet.frame);
    }

    /// A clear packet for the kernel, unless policy wants it to have come through a tunnel; neighbours find each other
    /// without.
    fn admit_to_host(&mut self, packet: Packet<P::Frame>) {
        let (instance, summary) = (packet.meta().instance, &packet.summary);
        let is_unprotected = || policy::is_unprotected(self.tables.tables(), instance, &summary.flow());
        let refused = match (policy::is_discovery(summary), summary.is_echo_request()) {
            (true, _) => None,
            (false, _) if is_unprotected() => Some(Drop::Unprotected),
            (false, true) if !self.may_ask(instance, summary) => Some(Drop::EchoStranger),
            _ => None,
        };
        match refused {
            Some(reason) => self.refuse(packet.frame, reason),
            None => self.punt_packet(packet),
        }
    }

    /// Whether a ping is from somebody who gets an answer.
    fn may_ask(&self, instance: u16, ping: &Summary) -> bool {
        self.snapshot.askers().may_ask((instance, ping.destination()), ping.source())
    }

    /// Adds a fragment to its datagram; a datagram that is whole now is classified anew.
    pub(super) fn reassemble(&mut self, packet: Packet<P::Frame>) {
        let Some(wait_us) = self.wait_of(&packet).microseconds() else {
            return self.refuse(packet.frame, Drop::ReassemblyOff);
        };
        match self.reassembly.offer_within(self.now_us, wait_us, packet.frame, &mut self.pool) {
            Offered::Held => {}
            Offered::Duplicate => self.link.counters().absorbed.add(1),
            Offered::Whole { frame, fragments } => self.whole(frame, fragments),
            Offered::NotFragment(frame) => self.refuse(frame, Drop::FragmentMalformed),
            Offered::Refused { why, fragments } => {
                self.link.counters().dropped_many(fragment_reason(why), fragments as u64);
            }
        }
    }

    /// How long a fragment waits for the rest of its datagram.
    fn wait_of(&self, packet: &Packet<P::Frame>) -> Wait {
        let (instance, summary) = (packet.meta().instance, &packet.summary);
        let (local, remote) = (summary.destination(), Some(summary.source()));
        let ip_tunnel = classify::is_like_ip_tunnel(summary);
        self.snapshot.waits().of(Between { instance, local, remote, ip_tunnel })
    }

    fn whole(&mut self, mut frame: P::Frame, fragments: usize) {
        let counters = self.link.counters();
        counters.absorbed.add(fragments as u64);
        counters.made.add(1);
        counters.reassembled.add(1);
        frame.meta_mut().framed = false;
        match Packet::parse(frame) {
            Ok(Packet { frame, summary }) => self.classify(frame, summary),
            Err(frame) => self.refuse(frame, Drop::FragmentMalformed),
        }
    }

    /// Gives up datagrams whose time is over.
    pub(super) fn expire(&mut self) {
        let expired = self.reassembly.expire(self.now_us, EXPIRED_A_POLL);
        self.link.counters().dropped_many(Drop::ReassemblyTimeout, expired.fragments as u64);
    }

    /// ESP packets, some at a time.
    pub(super) fn decrypt(&mut self) {
        let mut queue = std::mem::take(&mut self.stations.openings);
        let mut waiting = queue.as_mut_slice();
        while !waiting.is_empty() {
            let together = open::together(waiting);
            let (openings, rest) = std::mem::take(&mut waiting).split_at_mut(together);
            self.decrypt_some(openings);
            waiting = rest;
        }
        queue.clear();
        self.stations.openings = queue;
    }

    #[inline(always)]
    fn decrypt_some(&mut self, openings: &mut [Opening<P::Frame>]) {
        self.await_windows(openings);
        if self.is_tapped() {
            self.show_closed(openings);
        }
        let (forged, any_apart) = {
            let (mut room, mut lanes) = (ROOM, Lanes::new());
            let any_apart = open::lay_out(openings, &self.link.inbound, &mut room, &mut lanes);
            self.clock.mark(Station::Lookup);
            (open::open(&mut lanes), any_apart)
        };
        open::refuse(openings, forged);
        if any_apart {
            apart::open(openings, &self.link.inbound);
        }
        self.clock.mark(Station::Open);
        match self.is_tapped() {
            false => self.accept::<false>(openings),
            true => self.accept::<true>(openings),
        }
        self.clock.mark(Station::Accept);
    }

    /// SAs were asked for when their packets were classified; now for what hangs on them.
    #[inline(always)]
    fn await_windows(&self, openings: &[Opening<P::Frame>]) {
        for Opening { place, esp, .. } in openings.iter().filter(|opening| !opening.follows) {
            if let Some(hot) = self.link.inbound.hot(*place, esp.spi) {
                hot.prefetch();
            }
        }
    }

    /// Believes packets whose tags are good, looks into them and sends them on.
    #[inline(never)]
    fn accept<const TAPPED: bool>(&mut self, openings: &mut [Opening<P::Frame>]) {
        let mut sum = Accepted::default();
        for run in openings.chunk_by_mut(Opening::is_followed_by) {
            let accepted = self.accept_run(run);
            sum.packets += accepted.packets;
            sum.octets += accepted.octets;
            if TAPPED {
                self.show_opened(run);
            }
            run.iter_mut().for_each(|opening| self.conclude(opening));
        }
        let counters = self.link.counters();
        counters.opened_packets.add(sum.packets);
        counters.opened_bytes.add(sum.octets);
    }

    /// The same of packets that name one SA.
    #[inline(always)]
    fn accept_run(&mut self, run: &mut [Opening<P::Frame>]) -> Accepted {
        let named = run.first().map(|opening| (opening.place, opening.esp.spi));
        let Some((place, spi)) = named else { return Accepted::default() };
        let Some(hot) = self.link.inbound.hot_mut(place, spi) else { return Accepted::default() };
        let accepted = match hot.is_ordinary() {
            true => inspect::accept(run, hot),
            false => apart::accept(run, hot),
        };
        if let Some(counters) = self.link.inbound.counters(place) {
            counters.packets.add(accepted.packets);
            counters.octets.add(accepted.octets);
        }
        if !accepted.facts.is_empty() {
            self.heard(place, spi, accepted.facts);
        }
        accepted
    }

    /// An ESP packet of which everything has been asked: on into its private instance, or no further.
    #[inline(always)]
    fn conclude(&mut self, opening: &mut Opening<P::Frame>) {
        let Some(frame) = opening.frame.take() else { return };
        match opening.stage {
            Stage::Opened(Inner::Packet) => self.judge_later(frame, opening.summary),
            Stage::Opened(Inner::Dummy) => {
                self.link.counters().dummies.add(1);
                self.absorb(frame);
            }
            Stage::Refused(reason) => self.refuse_opening(frame, opening, reason),
            // The SA was there when the packet was laid out, and nobody has removed it since.
            Stage::Found(_) => self.refuse(frame, Drop::SaMiss),
        }
    }

    #[cold]
    fn refuse_opening(&mut self, frame: P::Frame, opening: &Opening<P::Frame>, reason: Drop) {
        let counters = self.link.inbound.counters(opening.place);
        if let Some(counter) = counters.and_then(|counters| opening::counter(counters, reason)) {
            counter.add(1);
        }
        let reason = match opening::is_before_tag(reason) {
            true => self.misdirected(&frame, &opening.summary, reason),
            false => reason,
        };
        let esp = (opening.esp.spi, opening.esp.ports);
        self.note_stray(reason, frame.meta().instance, &opening.summary, esp);
        self.refuse(frame, reason);
    }

    /// Notes facts about an SA. Its first packet lets the new outbound SA of its child send (RFC 7296 §2.8).
    #[cold]
    fn heard(&mut self, place: Place, spi: Spi, facts: Facts) {
        if facts.has(Fact::FirstInbound) {
            let slot = self.link.inbound.cold_mut(place).and_then(|cold| cold.activates);
            if let Some(slot) = slot {
                self.link.heard_first(slot, spi);
            }
        }
        self.link.raise_inbound(place, spi, facts);
    }
}
