//! The stations of the inbound path: classify, reassemble, lookup, open, accept.

use crate::io::{Frame, Pool};
use crate::link::handoff::Work;
use crate::link::packet::IkePunt;
use crate::link::report::Report;
use crate::net::flow::{Summary, Words};
use crate::node::classify::{self, Class, EspAt, IkeAt, QuotedAt};
use crate::node::ingress;
use crate::node::inspect::{self, Inner};
use crate::node::lookup::{self, Opening};
use crate::node::reassemble::key::Fragment;
use crate::node::reassemble::{Offered, Why};
use crate::node::{Packet, clamp, open, policy};
use crate::sa::fact::{Fact, Facts};
use crate::sa::inbound::{Arrival, Ends, Hot, Refused};
use crate::sa::shard::WorkerId;
use crate::sa::spi::{Place, Spi};
use crate::verdict::Drop;

use super::{Graph, Station};

/// ESP packets decrypted together.
const TOGETHER: usize = 32;

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
    fn classify_other(&mut self, packet: Packet<P::Frame>) {
        match classify::class(&packet) {
            Class::Fragment => self.give_reassembler(packet),
            Class::Esp(at) => self.give_opener(packet.frame, packet.summary, at),
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

    /// A fragment belongs to the worker its datagram hashes to, or to who stands in for it: only the first
    /// shows an SPI.
    fn give_reassembler(&mut self, packet: Packet<P::Frame>) {
        let workers = self.link.workers().max(1);
        let owner = match Fragment::read(packet.meta().instance, packet.frame.data()) {
            Ok(Some(fragment)) => {
                let hashed = WorkerId((fragment.key.hash(self.seed) % workers as u64) as u8);
                self.link.shards().stand_in(hashed, workers)
            }
            Ok(None) | Err(_) => return self.refuse(packet.frame, Drop::FragmentMalformed),
        };
        match owner == self.link.id() {
            true => self.push(|stations| &mut stations.fragments, packet),
            false => self.hand(owner, packet, Work::Reassemble),
        }
    }

    /// An ESP packet belongs to the worker that owns the shard of its SPI.
    #[inline(always)]
    fn give_opener(&mut self, frame: P::Frame, summary: Summary, at: EspAt) {
        let place = at.spi.place().or_else(|| {
            let (instance, destination) = (frame.meta().instance, summary.destination());
            self.tables.tables().locate(instance, destination, at.spi)
        });
        let owner = place.and_then(|place| Some((place, self.link.shards().worker(place.shard)?)));
        match owner {
            Some((place, worker)) if worker == self.link.id() => {
                self.link.inbound.prefetch(place);
                if self.stations.openings.room() == 0 {
                    return self.refuse(frame, Drop::BurstFull);
                }
                let _ = self.stations.openings.push(Opening::new(frame, &summary, &at, place));
            }
            Some((_, worker)) => self.hand(worker, Packet { frame, summary }, Work::Open),
            None => {
                let instance = frame.meta().instance;
                let reason =
                    self.misdirected(instance, summary.is_v4(), summary.ends()[0], self.unowned(place));
                self.refuse(frame, reason);
            }
        }
    }

    /// Why an ESP packet really ends here that an SA, or the lack of one, refuses for `reason`: a source that
    /// cannot be is told first.
    #[cold]
    fn misdirected(&self, instance: u16, v4: bool, source: Words, reason: Drop) -> Drop {
        match ingress::is_bad_source(instance, v4, source, &self.snapshot) {
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
        match policy::is_unprotected(self.tables.tables(), packet.meta().instance, &packet.summary.flow()) {
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

    /// ESP packets, some at a time: what is asked for of the SAs of many would displace itself.
    pub(super) fn decrypt(&mut self) {
        let mut queue = std::mem::take(&mut self.stations.openings);
        for openings in queue.as_mut_slice().chunks_mut(TOGETHER) {
            self.lookup(openings);
            self.clock.mark(Station::Lookup);
            open::open(openings, &self.link.inbound);
            self.clock.mark(Station::Open);
            openings.iter_mut().for_each(|opening| self.accept_one(opening));
            self.clock.mark(Station::Accept);
        }
        queue.clear();
        self.stations.openings = queue;
    }

    /// Finds the SA of each ESP packet and asks everything that can be asked without its key.
    fn lookup(&self, openings: &mut [Opening<P::Frame>]) {
        let inbound = &self.link.inbound;
        let mut last = None;
        for Opening { place, spi, .. } in openings.iter() {
            // The SA was asked for when the packet was classified; now for what hangs on it.
            if last.replace(*place) != Some(*place)
                && let Some(hot) = inbound.hot(*place, *spi)
            {
                hot.prefetch();
            }
        }
        for opening in openings {
            opening.found = lookup::find(opening, inbound);
        }
    }

    /// Believes a packet whose tag is good, and looks into it; the order of checks is DP-04's.
    #[inline(always)]
    fn accept_one(&mut self, opening: &mut Opening<P::Frame>) {
        let Some(mut frame) = opening.frame.take() else { return };
        let (place, spi) = (opening.place, opening.spi);
        match (opening.found, opening.verdict) {
            (Ok(()), Ok(())) => {}
            (Ok(()), Err(_)) => return self.bad_tag(frame, place),
            (Err(reason), _) => {
                let Ends { from, v4, .. } = opening.ends;
                let reason = self.misdirected(opening.instance, v4[0], from, reason);
                return self.refuse(frame, reason);
            }
        }
        let Some(hot) = self.link.inbound.hot_mut(place, spi) else {
            return self.refuse(frame, Drop::SaMiss);
        };
        let facts = match commit(hot, frame.len(), opening) {
            Ok(facts) => facts,
            Err(refused) => {
                let reason = self.refused(place, spi, refused);
                return self.refuse(frame, reason);
            }
        };
        let (inner, mss) = (inspect::inspect(&mut frame, opening.class, hot), hot.tcp_mss);
        if !facts.is_empty() {
            self.heard(place, spi, facts);
        }
        match inner {
            Ok(Inner::Packet(summary)) => self.deliver(frame, summary, place, mss),
            Ok(Inner::Dummy) => {
                self.link.counters().dummies.add(1);
                self.absorb(frame);
            }
            Err(reason) => {
                self.count_inner(place, reason);
                self.refuse(frame, reason);
            }
        }
    }

    #[cold]
    fn bad_tag(&mut self, frame: P::Frame, place: Place) {
        if let Some(counters) = self.link.inbound.counters(place) {
            counters.bad_tag.add(1);
        }
        self.refuse(frame, Drop::BadIcv);
    }

    #[cold]
    fn refused(&mut self, place: Place, spi: Spi, refused: Refused) -> Drop {
        match refused {
            Refused::Replayed(replayed) => lookup::count_replay(&self.link.inbound, place, replayed),
            Refused::HardExpired(_) => {
                let mut facts = Facts::NONE;
                facts.raise(Fact::HardExpiry);
                self.link.raise_inbound(place, spi, facts);
                Drop::LifetimeExpired
            }
        }
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

    #[cold]
    fn count_inner(&self, place: Place, reason: Drop) {
        let Some(counters) = self.link.inbound.counters(place) else { return };
        match reason {
            Drop::PolicyError => counters.policy.add(1),
            _ => counters.malformed.add(1),
        }
    }

    /// An inner packet: on into its private instance.
    #[inline(always)]
    fn deliver(&mut self, mut frame: P::Frame, summary: Summary, place: Place, mss: Option<u16>) {
        let octets = summary.length() as u64;
        let counters = self.link.counters();
        counters.opened_packets.add(1);
        counters.opened_bytes.add(octets);
        if let Some(counters) = self.link.inbound.counters(place) {
            counters.packets.add(1);
            counters.octets.add(octets);
        }
        if let Some(limit) = mss {
            clamp::clamp(&mut frame, &summary, limit);
        }
        self.judge_later(frame, summary);
    }
}

/// Moves the window of an SA and notes what a first and a moved packet mean. Nothing of this happens before
/// the tag has verified.
#[inline(always)]
fn commit<F>(hot: &mut Hot, octets: usize, opening: &Opening<F>) -> Result<Facts, Refused> {
    let mut facts = hot.accept(opening.guess, octets)?;
    // RFC 7296 §2.23: follow a peer behind a NAT; only by its newest packet, or one delayed on the old
    // path would move it back.
    if opening.arrival == Arrival::Moved && hot.window().top() == opening.guess.sequence() {
        hot.move_peer(opening.ends.peer());
        facts.raise(Fact::PeerMoved);
    }
    Ok(facts)
}
