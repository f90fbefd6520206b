//! The inbound and the outbound path, and what joins them.
//!
//! The order of stations is [`Graph::run`], one screen; each station is a method here that asks a node and
//! does with the packet what the node said. Packets wait between stations in bounded queues, so that a
//! burst passes each station together: each station asks for what the next will touch ([`ravelin_mem::prefetch`])
//! before that comes to its first packet. What a station costs in allocations is nothing: queues are made at
//! start.
//!
//! What a packet of a known flow needs no longer be looked up: [`crate::node::memo`] remembers what policy
//! said, [`crate::node::exit`] where it left. Both are emptied when a table or the configuration changes.
//!
//! One worker owns one graph. Left to the caller ([`crate::worker`]): ports, commands, time.

mod asked;
mod clock;
mod dummies;
mod inbound;
mod ip_tunnel;
mod leave;
mod made;
mod mirrored;
mod outbound;
mod run;
mod stray;
mod tapped;

use std::sync::Arc;

use ravelin_mem::prefetch;

use crate::io::{BURST, Burst, Frame, Meta, Pool};
use crate::link::WorkerEnd;
use crate::link::counter::Counters;
use crate::link::handoff::{Handoff, Receiver, Work};
use crate::link::packet::{Kernel, KernelPunt};
use crate::link::snapshot::{Interface, Snapshot};
use crate::net::eth::{self, ethertype};
use crate::net::flow::{Summary, Words};
use crate::node::classify;
use crate::node::exit::Exits;
use crate::node::forward::Outgoing;
use crate::node::ingress::{self, Arrival, Home};
use crate::node::memo::{Memo, Place};
use crate::node::opening::Opening;
use crate::node::reassemble::{Limits, Reassembler};
use crate::node::seal::Sealing;
use crate::node::{Packet, Queue};
use crate::policy::publish::Reader;
use crate::policy::table::Tables;
use crate::sa::SaRef;
use crate::sa::pace::{Rate, Taken};
use crate::sa::shard::WorkerId;
use crate::trace::mirror::Mirror;
use crate::trace::{Node, Tap};
use crate::verdict::{Drop, Verdict};
pub use clock::{Clock, Station};

/// Everything one worker needs to decide about packets, and the packets between its stations.
#[derive(Debug)]
pub struct Graph<P: Pool> {
    /// Commands, reports, punts, handoffs, and the SA tables.
    pub(crate) link: WorkerEnd<P::Frame>,
    /// Routes, policy, neighbours.
    pub(crate) tables: Reader<Tables>,
    /// Interfaces and local addresses.
    pub(crate) snapshot: Arc<Snapshot>,
    pool: P,
    reassembly: Reassembler<P::Frame>,
    /// Chooses the worker that reassembles; the same at all workers.
    seed: u64,
    /// How many ICMP errors may be sent, and how many were.
    errors: (Rate, Taken),
    missed: leave::Missed,
    strays: stray::Strays,
    /// Microseconds at the start of this poll.
    now_us: u64,
    /// Identification of the next outer IPv4 packet; workers count in steps of their number.
    next_id: u16,
    /// Whether packets wait for encryption that may be of a suite apart: no other is looked at for it.
    apart_waits: bool,
    /// Packets looked at on their way into a tunnel; one in some has its checksum sampled.
    looked_at: u64,
    /// Dummy packets whose instant was drawn.
    drawn: u64,
    memo: Memo,
    exits: Exits,
    stations: Stations<P::Frame>,
    /// Who is shown packets, if anybody is.
    tap: Option<Box<Tap>>,
    /// Who has packets copied and sent on.
    mirrors: Box<[Mirror]>,
    /// Whether there is either.
    tapped: bool,
    /// Cycles by station, if the feature says so.
    pub(crate) clock: Clock,
}

/// Whether an address is ours, in the instance that a burst belongs to: often the same is asked of packet after
/// packet.
#[derive(Debug, Clone, Copy)]
struct Answer {
    destination: Words,
    v4: bool,
    ours: bool,
}

/// What the graph is told once. The defaults are those of the manual, except for the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Random, secret, the same at all workers: spreads fragments, so that nobody can aim them.
    pub seed: u64,
    /// What reassembly may hold, per worker.
    pub reassembly: Limits,
    /// ICMP errors sent in an interval (DP-28), per worker.
    pub icmp: Rate,
}

impl Settings {
    /// The usual settings with this seed.
    pub fn new(seed: u64) -> Self {
        Settings { seed, reassembly: Limits::default(), icmp: Rate::new(100, 10_000_000) }
    }
}

/// The queues between stations, in the order packets meet them.
#[derive(Debug)]
struct Stations<F> {
    /// Fragments that this worker puts together.
    fragments: Queue<Packet<F>>,
    /// ESP packets whose SA is this worker's.
    openings: Queue<Opening<F>>,
    /// In clear, and to be judged by policy.
    clear: Queue<Clear<F>>,
    /// To be encrypted in a slot of this worker.
    protect: Queue<(Packet<F>, u32)>,
    /// Numbered and laid out.
    sealings: Queue<Sealing<F>>,
    /// ICMP errors of this worker, for the second round.
    errors: Queue<Clear<F>>,
    /// Allowed to leave.
    outgoing: Queue<Outgoing<F>>,
    /// Complete frames; their meta names the port.
    departing: Queue<F>,
    /// For the local end of ip-tunnels, outer headers still around them.
    tunnelled: Queue<Packet<F>>,
}

/// A packet in clear, and where its flow would be remembered: a cache line.
#[derive(Debug)]
struct Clear<F> {
    packet: Packet<F>,
    place: Place,
}

/// Pieces beyond the packets of a poll that a station can hold: two datagrams of the largest size, cut for
/// the smallest common MTU.
const PIECES: usize = 256;

impl<F> Stations<F> {
    fn new(inputs: usize) -> Self {
        let limit = inputs * BURST + PIECES;
        Stations {
            fragments: Queue::new(limit),
            openings: Queue::new(limit),
            clear: Queue::new(limit),
            protect: Queue::new(limit),
            sealings: Queue::new(limit),
            errors: Queue::new(BURST),
            outgoing: Queue::new(limit),
            departing: Queue::new(limit),
            tunnelled: Queue::new(limit),
        }
    }
}

impl<P: Pool> Graph<P> {
    /// A graph over these parts. `inputs` is the number of bursts that come in between two runs.
    pub fn new(
        link: WorkerEnd<P::Frame>,
        tables: Reader<Tables>,
        pool: P,
        inputs: usize,
        settings: &Settings,
    ) -> Self {
        Graph {
            next_id: u16::from(link.id().0),
            tables,
            snapshot: Arc::default(),
            pool,
            reassembly: Reassembler::new(settings.reassembly, settings.seed),
            seed: settings.seed,
            errors: (settings.icmp, Taken::default()),
            missed: leave::Missed::new(),
            strays: stray::Strays::new(),
            now_us: 0,
            apart_waits: false,
            looked_at: 0,
            drawn: 0,
            memo: Memo::new(settings.seed),
            exits: Exits::new(),
            stations: Stations::new(inputs),
            tap: None,
            mirrors: Box::default(),
            tapped: false,
            clock: Clock::default(),
            link,
        }
    }

    /// Takes over new tables if there are any.
    pub(crate) fn refresh(&mut self) {
        if self.tables.refresh() {
            self.forget();
        }
    }

    /// Takes over a new configuration; the old one comes back.
    pub(crate) fn configure(&mut self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.forget();
        std::mem::replace(&mut self.snapshot, snapshot)
    }

    /// What was looked up before need not be true any more.
    fn forget(&mut self) {
        self.memo.forget();
        self.exits.forget();
    }

    /// Carries every packet that waits as far as it goes: to a port, a ring, or its end.
    pub fn run(&mut self, now_us: u64) {
        self.now_us = now_us;
        // In.
        self.each(|stations| &mut stations.fragments, Self::reassemble);
        self.decrypt();
        // Out.
        self.carry_out();
        // What was found in ip-tunnels; as often as there are more inside. Each time a packet is a header shorter.
        while !self.stations.tunnelled.is_empty() {
            self.each(|stations| &mut stations.tunnelled, Self::decapsulate);
            self.carry_out();
        }
        // The ICMP errors that all of it made, which make none themselves. Both queues are empty or about to be served;
        // they change places and keep their limits.
        std::mem::swap(&mut self.stations.clear, &mut self.stations.errors);
        self.carry_out();
        std::mem::swap(&mut self.stations.clear, &mut self.stations.errors);
        if self.link.outbound.dummies.is_due(now_us) {
            self.send_dummies();
        }
        if !self.mirrors.is_empty() {
            self.send_copies();
        }
        self.expire();
    }

    /// Carries what is in clear out.
    #[inline(never)]
    fn carry_out(&mut self) {
        self.judge();
        self.each(|stations| &mut stations.protect, Self::prepare_owned);
        self.clock.mark(Station::Prepare);
        self.seal();
        self.clock.mark(Station::Seal);
        self.leave_sealed();
        self.each(
            |stations| &mut stations.outgoing,
            |graph, outgoing| {
                graph.leave(outgoing);
            },
        );
        self.clock.mark(Station::Leave);
    }

    /// Takes every packet at a station through `step`, which may add to any station but this one.
    #[inline]
    fn each<T>(
        &mut self,
        station: impl Fn(&mut Stations<P::Frame>) -> &mut Queue<T>,
        mut step: impl FnMut(&mut Self, T),
    ) {
        let mut queue = std::mem::take(station(&mut self.stations));
        for item in queue.drain() {
            step(self, item);
        }
        *station(&mut self.stations) = queue;
    }

    // --- in from outside

    /// Takes what one port gave.
    #[inline(never)]
    pub fn receive(&mut self, burst: &mut Burst<P::Frame>) {
        self.count_received(burst);
        if self.is_tapped() {
            self.show_received(burst);
        }
        let port = burst.iter().next().map(|frame| frame.meta().port);
        let home = port.and_then(|port| Home::of(port, &self.snapshot));
        let (mut last, mut ours) = (None, None);
        for frame in burst.drain() {
            let unusual = match &home {
                Some(home) => self.receive_usual(frame, home, &mut ours),
                None => Some(frame),
            };
            if let Some(frame) = unusual {
                self.receive_unusual(frame, &mut last);
            }
        }
    }

    /// Takes a frame of the usual shape, or gives it back if it has another.
    #[inline(always)]
    fn receive_usual(
        &mut self,
        mut frame: P::Frame,
        home: &Home,
        ours: &mut Option<Answer>,
    ) -> Option<P::Frame> {
        if let Some(summary) = ingress::receive_usual::<_, true>(&mut frame, home) {
            self.sort(frame, summary, home, ours);
            return None;
        }
        if let Some(summary) = ingress::receive_usual::<_, false>(&mut frame, home) {
            self.sort(frame, summary, home, ours);
            return None;
        }
        Some(frame)
    }

    /// A packet that may be of a tunnel goes on by whether it is for this machine, as far as its destination says. Any
    /// other is taken for one to be forwarded: all of that is asked only if nothing is remembered of its flow.
    #[inline(always)]
    fn sort(&mut self, frame: P::Frame, summary: Summary, home: &Home, ours: &mut Option<Answer>) {
        match classify::is_like_esp(&summary) && self.is_ours(&summary, home, ours) {
            true => self.admit(frame, summary),
            false => self.judge_later(frame, summary),
        }
    }

    #[inline(always)]
    fn is_ours(&self, summary: &Summary, home: &Home, last: &mut Option<Answer>) -> bool {
        let ([_, destination], v4) = (summary.ends(), summary.is_v4());
        match last {
            Some(last) if (last.destination, last.v4) == (destination, v4) => last.ours,
            _ => {
                let ours = self.snapshot.is_ours(home.instance(), v4, destination);
                last.insert(Answer { destination, v4, ours }).ours
            }
        }
    }

    #[inline(never)]
    fn receive_unusual(&mut self, mut frame: P::Frame, last: &mut Option<Interface>) {
        match ingress::receive(&mut frame, &self.snapshot, last) {
            Ok(Arrival::Transit(summary)) => self.judge_later(frame, summary),
            Ok(Arrival::Local(summary)) => self.classify(frame, summary),
            Ok(Arrival::Kernel) => self.punt_frame(frame),
            Err(reason) => self.refuse(frame, reason),
        }
    }

    /// Counts what arrived, all by one port, and asks for the headers.
    fn count_received(&self, burst: &Burst<P::Frame>) {
        let counters = self.link.counters();
        let Some(port) = burst.iter().next().map(|frame| frame.meta().port) else { return };
        let mut octets = 0;
        for frame in burst.iter() {
            octets += frame.len() as u64;
            prefetch::read(frame.data());
        }
        counters.received.add(burst.len() as u64);
        if let Some(port) = counters.port(port) {
            port.rx_packets.add(burst.len() as u64);
            port.rx_bytes.add(octets);
        }
    }

    /// Takes a burst of what another worker handed over; how much that was.
    pub(crate) fn take_over(&mut self, from: &mut Receiver<P::Frame>) -> usize {
        let Some(burst) = from.take() else { return 0 };
        let taken = burst.len();
        let (first, second) = burst.as_slices();
        self.await_handed(first);
        self.await_handed(second);
        if self.is_tapped() {
            let both = first.iter().chain(second);
            self.show_entered(Node::TakenOver, both.map(|handoff| &handoff.frame));
        }
        for handoff in burst {
            self.take_over_one(handoff);
        }
        self.link.counters().handed_in.add(taken as u64);
        taken
    }

    /// Asks for what is in the other worker's cache, and for the SAs.
    fn await_handed(&self, burst: &[Handoff<P::Frame>]) {
        for handoff in burst {
            prefetch::write(handoff.frame.meta());
            if let Work::Seal { slot } = handoff.work() {
                self.link.outbound.prefetch(slot);
            }
        }
        burst.iter().for_each(|handoff| prefetch::write(handoff.frame.data()));
    }

    #[inline(always)]
    fn take_over_one(&mut self, handoff: Handoff<P::Frame>) {
        let (work, frame) = (handoff.work(), handoff.frame);
        // A datagram that was put together has no header checksum of its own.
        let read = Summary::read(frame.data()).or_else(|_| Summary::parse(frame.data()));
        let Ok(summary) = read else { return self.refuse(frame, Drop::MalformedIp) };
        match work {
            Work::Open => self.classify(frame, summary),
            Work::Seal { slot } => {
                self.push(|stations| &mut stations.protect, (Packet { frame, summary }, slot));
            }
            Work::Reassemble => self.push(|stations| &mut stations.fragments, Packet { frame, summary }),
        }
    }

    // --- what every station does with a packet it has judged

    /// Puts a packet before the judge.
    #[inline(always)]
    fn judge_later(&mut self, frame: P::Frame, summary: Summary) {
        if self.stations.clear.room() == 0 {
            return self.refuse(frame, Drop::BurstFull);
        }
        let place = self.memo.prefetch(&self.memo.key(frame.meta(), &summary));
        let _ = self.stations.clear.push(Clear { packet: Packet { frame, summary }, place });
    }

    /// Gives a packet to another worker.
    fn hand(&mut self, to: WorkerId, packet: Packet<P::Frame>, work: Work) {
        self.link.hand(to, Handoff::new(packet.frame, work));
    }

    /// Puts a packet before a station.
    #[inline]
    fn push<T: Holds<P::Frame>>(
        &mut self,
        station: impl Fn(&mut Stations<P::Frame>) -> &mut Queue<T>,
        item: T,
    ) {
        if let Err(item) = station(&mut self.stations).push(item) {
            self.refuse(item.into_frame(), Drop::BurstFull);
        }
    }

    /// Ends a packet.
    #[cold]
    fn refuse(&mut self, frame: P::Frame, reason: Drop) {
        self.show_end(&frame, Verdict::Drop(reason));
        drop(frame);
        self.link.counters().dropped(reason);
    }

    /// Ends a packet that was for us and is used up.
    fn absorb(&mut self, frame: P::Frame) {
        if self.is_tapped() {
            self.show_end(&frame, Verdict::Absorbed);
        }
        drop(frame);
        self.link.counters().absorbed.add(1);
    }

    /// Gives a packet to the owner of an outbound slot, which may be this worker.
    fn give_sealer(&mut self, packet: Packet<P::Frame>, sa: SaRef) {
        match sa.worker == self.link.id() {
            true => self.prepare(packet, sa.slot),
            false => self.hand(sa.worker, packet, Work::Seal { slot: sa.slot }),
        }
    }

    /// Gives an Ethernet frame without tag to the twin of the interface it came by.
    fn punt_frame(&mut self, frame: P::Frame) {
        let Meta { port, vlan, .. } = *frame.meta();
        if self.is_tapped() {
            self.show_end(&frame, Verdict::Punt);
        }
        self.link.punt_kernel(KernelPunt { frame, to: Kernel::Twin { port, vlan } });
    }

    /// Gives an IP packet that arrived in clear to the twin of the interface it came by.
    fn punt_packet(&mut self, packet: Packet<P::Frame>) {
        let made_up = self.made_up_link(&packet);
        let mut frame = packet.frame;
        match ingress::restore_link(&mut frame, made_up) {
            true => self.punt_frame(frame),
            false => self.refuse(frame, Drop::NoRoom),
        }
    }

    /// An Ethernet header for a datagram that was put together, and so arrived in no frame of its own.
    fn made_up_link(&self, packet: &Packet<P::Frame>) -> Option<eth::Repr> {
        let meta = packet.meta();
        let mac = self.snapshot.interface(meta.port, meta.vlan)?.mac;
        let kind = if packet.summary.is_v4() { ethertype::IPV4 } else { ethertype::IPV6 };
        Some(eth::Repr { destination: mac, source: eth::Mac::default(), ethertype: kind })
    }

    /// Complete frames that wait for their ports.
    pub(crate) fn departing(&mut self) -> (&mut Queue<P::Frame>, &Counters) {
        (&mut self.stations.departing, self.link.counters())
    }

    /// Frames kept from one run to the next.
    pub(crate) fn held(&self) -> usize {
        self.reassembly.frames()
    }
}

/// Something that a frame can be taken out of.
trait Holds<F> {
    fn into_frame(self) -> F;
}

impl<F> Holds<F> for Packet<F> {
    fn into_frame(self) -> F {
        self.frame
    }
}

impl<F, A> Holds<F> for (Packet<F>, A) {
    fn into_frame(self) -> F {
        self.0.frame
    }
}

impl<F> Holds<F> for Outgoing<F> {
    fn into_frame(self) -> F {
        self.packet.frame
    }
}
