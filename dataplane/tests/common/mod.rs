//! Gateways in memory: two of them joined by a wire that the test holds in its hands.
//!
//! A gateway has a private port (0, instance 1) and a public port (1, instance 0), one or two workers, and a
//! counting pool. Nothing runs by itself: [`Gateway::settle`] polls its workers until they are idle.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

pub mod forge;
pub mod oracle;
pub mod packet;
pub mod transport;

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::ram::{RamDevice, RamFrame, RamPool, RamPort};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::command::{Command, Sequence, Turn};
use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::link::snapshot::{Interface, Local, Snapshot};
use ravelin_dataplane::link::{self, ControlEnd, ExceptionEnd, Shape};
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::publish::{self, Writer};
use ravelin_dataplane::policy::route::{self, NextHop, Prefix, TunnelId};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::table::{Child, Tables, Tunnel};
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::{Encapsulation, OuterDf};
use ravelin_dataplane::sa::replay::Window;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::{Place, Slot, Spi};
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::{Endpoint, Mode, SaRef, inbound, outbound};
use ravelin_dataplane::verdict::Drop;
use ravelin_dataplane::worker::Worker;
use ravelin_gcm::Kernel;

pub const PRIVATE: u16 = 0;
pub const PUBLIC: u16 = 1;
pub const INSIDE: u16 = 1;
pub const OUTSIDE: u16 = 0;
pub const TUNNEL: TunnelId = TunnelId(7);
/// The outbound slot of the tunnel's child.
pub const SLOT: u32 = 3;

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The addresses of one of two gateways, by its number 1 or 2.
#[derive(Debug, Clone, Copy)]
pub struct Site(pub u8);

impl Site {
    pub fn other(self) -> Site {
        Site(3 - self.0)
    }
    pub fn mac(self, port: u16) -> Mac {
        Mac([2, 0, 0, 0, self.0, port as u8])
    }
    pub fn host_mac(self) -> Mac {
        Mac([2, 0, 0, 9, self.0, 9])
    }
    pub fn public(self, v6: bool) -> IpAddr {
        if v6 { ip(&format!("2001:db8::{}", self.0)) } else { ip(&format!("192.0.2.{}", self.0)) }
    }
    pub fn private(self, v6: bool) -> IpAddr {
        self.inside(v6, 1)
    }
    pub fn host(self, v6: bool) -> IpAddr {
        self.inside(v6, 9)
    }
    pub fn inside(self, v6: bool, host: u8) -> IpAddr {
        if v6 { ip(&format!("fd0{}::{host}", self.0)) } else { ip(&format!("10.{}.0.{host}", self.0)) }
    }
    pub fn network(self, v6: bool) -> Prefix {
        Prefix::new(self.inside(v6, 0), if v6 { 64 } else { 16 }).unwrap()
    }
    /// What an SA carries on this side.
    fn side(self, mode: Mode) -> [Selector; 2] {
        match mode {
            Mode::Tunnel => self.selectors(),
            Mode::Transport => {
                [false, true].map(|v6| Selector::addresses_only(AddressRange::prefix(self.public(v6), 128)))
            }
        }
    }
    fn selectors(self) -> [Selector; 2] {
        [false, true].map(|v6| {
            let network = self.network(v6);
            Selector::addresses_only(AddressRange::prefix(network.address(), network.length()))
        })
    }
}

/// How a tunnel is made.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub mode: Mode,
    pub outer_v6: bool,
    pub udp: bool,
    pub esn: bool,
    pub suite: Suite,
    pub last_sequence: u64,
    pub window: u32,
    pub limits: Limits,
    pub may_move: inbound::MayMove,
    pub inner_mtu: Option<u16>,
    pub outer_mtu: Option<u16>,
    pub padded_to: Option<u16>,
}

impl Style {
    pub const PLAIN: Style = Style {
        mode: Mode::Tunnel,
        outer_v6: false,
        udp: false,
        esn: false,
        suite: Suite::AesGcm128,
        last_sequence: 0,
        window: 1024,
        limits: Limits::NONE,
        may_move: inbound::MayMove::Nobody,
        inner_mtu: None,
        outer_mtu: None,
        padded_to: None,
    };

    pub fn all() -> Vec<Style> {
        let mut all = Vec::new();
        for bits in 0..8 {
            let suite = [Suite::AesGcm128, Suite::AesGcm192, Suite::AesGcm256][bits % 3];
            all.push(Style {
                outer_v6: bits & 1 > 0,
                udp: bits & 2 > 0,
                esn: bits & 4 > 0,
                suite,
                ..Style::PLAIN
            });
        }
        all
    }

    /// One of each suite that is not AES-GCM, in turn over one family and the other, in UDP and bare, with numbers of
    /// either length.
    pub fn apart() -> Vec<Style> {
        let suites = Suite::all().filter(|suite| suite.is_apart());
        let style = |(bits, suite)| Style {
            outer_v6: bits & 1 > 0,
            udp: bits & 2 > 0,
            esn: bits % 3 > 0,
            suite,
            ..Style::PLAIN
        };
        suites.enumerate().map(|(bits, suite): (usize, Suite)| style((bits, suite))).collect()
    }

    /// All of both.
    pub fn every() -> Vec<Style> {
        [Style::all(), Style::apart()].concat()
    }

    fn port(&self) -> u16 {
        if self.udp { 4500 } else { 0 }
    }

    fn endpoint(&self, site: Site) -> Endpoint {
        Endpoint { address: site.public(self.outer_v6), port: self.port() }
    }
}

pub struct Gateway {
    pub site: Site,
    pub workers: Vec<Worker<RamPool, RamPort>>,
    pub control: ControlEnd<RamFrame>,
    pub exception: ExceptionEnd<RamFrame>,
    pub tables: Writer<Tables>,
    pub private: RamDevice,
    pub public: RamDevice,
    pub pool: RamPool,
    pub now_us: u64,
    counters: Vec<Arc<Counters>>,
}

impl Gateway {
    /// A gateway with its interfaces, addresses, routes and neighbours, and no SA. The other site's networks
    /// are routed into [`TUNNEL`], whose child has [`SLOT`] of the last worker.
    pub fn new(site: u8, workers: u8) -> Gateway {
        Gateway::with(site, workers, |_| ())
    }

    pub fn with(site: u8, workers: u8, change: impl FnOnce(&mut Shape)) -> Gateway {
        let site = Site(site);
        let mut shape = Shape { inbound_slots: 64, outbound_slots: 64, ..Shape::usual(workers, 2) };
        change(&mut shape);
        let link = link::build(&shape).unwrap();
        let (tables, readers) = publish::channel(Tables::new(), usize::from(workers));
        let pool = RamPool::new(2048, 64);
        let private = RamDevice::new(PRIVATE, usize::from(workers), 512);
        let public = RamDevice::new(PUBLIC, usize::from(workers), 512);
        let counters = link.control.workers().map(|id| link.control.counters(id).unwrap().clone()).collect();
        let workers = link.workers.into_iter().zip(readers).enumerate().map(|(queue, (end, reader))| {
            let ports = vec![private.port(queue).unwrap(), public.port(queue).unwrap()];
            Worker::new(end, reader, pool.clone(), ports, Kernel::detect(), &Settings::new(7))
        });
        let workers = workers.collect();
        let mut gateway = Gateway {
            site,
            workers,
            control: link.control,
            exception: link.exception,
            tables,
            private,
            public,
            pool,
            now_us: 1_000_000,
            counters,
        };
        gateway.configure();
        gateway
    }

    /// Its interfaces and addresses.
    pub fn snapshot(&self) -> Snapshot {
        let site = self.site;
        let interface =
            |port: u16, instance: u16| Interface { port, vlan: 0, instance, mac: site.mac(port), mtu: 1500 };
        let interfaces = vec![interface(PRIVATE, INSIDE), interface(PUBLIC, OUTSIDE)];
        let mut locals = Vec::new();
        for v6 in [false, true] {
            locals.push(Local { instance: INSIDE, address: site.private(v6), interface: Some((PRIVATE, 0)) });
            locals.push(Local { instance: OUTSIDE, address: site.public(v6), interface: Some((PUBLIC, 0)) });
        }
        Snapshot::new(interfaces, locals)
    }

    fn configure(&mut self) {
        let (site, other) = (self.site, self.site.other());
        self.install_snapshot(self.snapshot());
        let sa = self.sa();
        let child = Child::new(SelectorSet::new(&site.selectors(), &other.selectors()).unwrap(), sa);
        let [inside, outside] = [PRIVATE, PUBLIC].map(|port| route::Interface { port, vlan: 0 });
        let tables = self.tables.tables_mut();
        tables.set_tunnel(TUNNEL, Some(Tunnel::new(vec![child]).unwrap())).unwrap();
        for v6 in [false, true] {
            tables.set_route(INSIDE, site.network(v6), Some(NextHop::Connected(inside))).unwrap();
            tables.set_route(INSIDE, other.network(v6), Some(NextHop::Tunnel(TUNNEL))).unwrap();
            let public = Prefix::new(site.public(v6), if v6 { 64 } else { 24 }).unwrap();
            tables.set_route(OUTSIDE, public, Some(NextHop::Connected(outside))).unwrap();
            tables.set_neighbour(INSIDE, inside, site.host(v6), Some(site.host_mac()));
            tables.set_neighbour(OUTSIDE, outside, other.public(v6), Some(other.mac(PUBLIC)));
        }
        self.tables.publish();
        self.settle();
    }

    pub fn install_snapshot(&mut self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let workers: Vec<_> = self.control.workers().collect();
        for worker in workers {
            self.control.send(worker, Command::Configure(Arc::clone(&snapshot))).unwrap();
        }
    }

    /// The worker that owns the SAs: the last, so that with two workers everything that arrives on the
    /// first queue is handed over.
    pub fn owner(&self) -> WorkerId {
        WorkerId(self.counters.len() as u8 - 1)
    }

    pub fn sa(&self) -> SaRef {
        SaRef { worker: self.owner(), slot: SLOT }
    }

    pub fn place(&self, slot: u32) -> Place {
        Place { shard: Shard::new(self.owner().0 + 1).unwrap(), slot: Slot::new(slot).unwrap() }
    }

    /// The SPI of an inbound slot.
    pub fn spi(&self, slot: u32) -> Spi {
        Spi::new(self.place(slot), slot as u8)
    }

    pub fn command(&mut self, command: Command) -> Sequence {
        let owner = self.owner();
        let sequence = self.control.send(owner, command).unwrap();
        self.settle();
        assert!(self.control.applied(owner) >= sequence);
        sequence
    }

    pub fn inbound_parts(&self, style: &Style, spi: Spi) -> inbound::Parts {
        let (site, other) = (self.site, self.site.other());
        inbound::Parts {
            spi,
            suite: style.suite,
            mode: style.mode,
            window: match style.last_sequence {
                0 => Window::new(style.window, style.esn).unwrap(),
                top => Window::resume(style.window, style.esn, top).unwrap(),
            },
            outer_instance: OUTSIDE,
            inner_instance: if style.mode == Mode::Tunnel { INSIDE } else { OUTSIDE },
            local: style.endpoint(site),
            peer: style.endpoint(other),
            may_move: style.may_move,
            copy_traffic_class: false,
            tcp_mss: None,
            selectors: Box::new(SelectorSet::new(&site.side(style.mode), &other.side(style.mode)).unwrap()),
            limits: style.limits,
            child: 5,
            activates: Some(SLOT),
        }
    }

    pub fn outbound_parts(&self, style: &Style, spi: Spi) -> outbound::Parts {
        outbound::Parts {
            spi,
            suite: style.suite,
            esn: style.esn,
            last_sequence: style.last_sequence,
            encapsulation: Encapsulation {
                mode: style.mode,
                df: OuterDf::Clear,
                inner_mtu: style.inner_mtu,
                outer_mtu: style.outer_mtu,
                padded_to: style.padded_to,
                ..Encapsulation::between(
                    OUTSIDE,
                    style.endpoint(self.site),
                    style.endpoint(self.site.other()),
                )
            },
            limits: style.limits,
            child: 5,
        }
    }

    pub fn install_inbound(&mut self, style: &Style, slot: u32, spi: Spi, key: &[u8]) {
        let parts = self.inbound_parts(style, spi);
        let key = self.control.put_key(self.owner(), key).unwrap();
        self.command(Command::InstallInbound { place: self.place(slot), parts, key });
    }

    pub fn install_outbound(&mut self, style: &Style, spi: Spi, key: &[u8], turn: Turn) {
        let parts = self.outbound_parts(style, spi);
        let key = self.control.put_key(self.owner(), key).unwrap();
        self.command(Command::InstallOutbound { slot: SLOT, parts, key, turn });
    }

    /// Polls every worker until all are idle.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            self.now_us += 1;
            let now = self.now_us;
            let busy = self.workers.iter_mut().filter_map(|worker| worker.poll(now).then_some(())).count();
            if busy == 0 {
                return;
            }
        }
        panic!("the workers never come to rest");
    }

    pub fn sleep_us(&mut self, us: u64) {
        self.now_us += us;
        self.settle();
    }

    /// A frame from the private side, arriving on `queue`.
    pub fn host_sends(&mut self, queue: usize, packet: &[u8]) {
        let (to, from) = (self.site.mac(PRIVATE), self.site.host_mac());
        self.arrive(PRIVATE, queue, &packet::framed(to, from, packet));
    }

    /// A frame from the public side, arriving on `queue`.
    pub fn peer_sends(&mut self, queue: usize, packet: &[u8]) {
        let (to, from) = (self.site.mac(PUBLIC), self.site.other().mac(PUBLIC));
        self.arrive(PUBLIC, queue, &packet::framed(to, from, packet));
    }

    /// Frames from the private side that arrive on the first queue at once.
    pub fn host_sends_at_once(&mut self, packets: &[Vec<u8>]) {
        let (to, from) = (self.site.mac(PRIVATE), self.site.host_mac());
        packets.iter().for_each(|packet| self.deliver(PRIVATE, 0, &packet::framed(to, from, packet)));
        self.settle();
    }

    pub fn arrive(&mut self, port: u16, queue: usize, frame: &[u8]) {
        self.deliver(port, queue, frame);
        self.settle();
    }

    fn deliver(&mut self, port: u16, queue: usize, frame: &[u8]) {
        let frame = self.pool.copy_of(frame).expect("a buffer for the test's frame");
        let device = if port == PRIVATE { &self.private } else { &self.public };
        device.deliver(queue, frame).expect("room on the wire");
    }

    /// Everything sent by a port, without Ethernet header.
    pub fn sent(&mut self, port: u16) -> Vec<Vec<u8>> {
        self.sent_frames(port).into_iter().map(|frame| frame[14..].to_vec()).collect()
    }

    pub fn sent_frames(&mut self, port: u16) -> Vec<Vec<u8>> {
        let device = if port == PRIVATE { &self.private } else { &self.public };
        std::iter::from_fn(|| device.sent()).map(|frame| frame.data().to_vec()).collect()
    }

    pub fn reports(&mut self) -> Vec<Report> {
        let workers: Vec<_> = self.control.workers().collect();
        let mut reports = Vec::new();
        for worker in workers {
            reports.extend(std::iter::from_fn(|| self.control.next_report(worker)));
        }
        reports
    }

    pub fn count(&self, counter: impl Fn(&Counters) -> u64) -> u64 {
        self.counters.iter().map(|counters| counter(counters)).sum()
    }

    /// Drops by reason, those that are not zero.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let all =
            Drop::ALL.iter().map(|reason| (reason.name(), self.count(|counters| counters.drops(*reason))));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// Every packet is accounted for, and every buffer is at home.
    pub fn is_at_rest(&mut self) {
        self.settle();
        for (worker, counters) in self.counters.iter().enumerate() {
            assert!(counters.ledger().is_even(), "worker {worker}: {:?}", counters.ledger());
        }
        assert_eq!(self.count(|c| c.handed_in.get()), self.count(|c| c.handed_out.get()));
        while self.private.sent().is_some() || self.public.sent().is_some() {}
        while self.control.next_ike().is_some() || self.control.next_ike_init().is_some() {}
        while self.exception.next_punt().is_some() {}
        assert_eq!(self.count(|c| c.held.get()), 0);
        assert_eq!(self.pool.available(), self.pool.capacity(), "the pool is full again");
    }
}

pub fn key(suite: Suite, seed: u8) -> Vec<u8> {
    let length = suite.keymat_length() + suite.seed_length();
    (0..length as u8).map(|n| n.wrapping_mul(7) ^ seed).collect()
}

/// Two gateways with a tunnel of `style` between them, static keys.
pub struct Pair {
    pub a: Gateway,
    pub b: Gateway,
}

impl Pair {
    pub fn bare(workers: u8) -> Pair {
        Pair { a: Gateway::new(1, workers), b: Gateway::new(2, workers) }
    }

    pub fn new(workers: u8, style: &Style) -> Pair {
        let mut pair = Pair::bare(workers);
        pair.tunnel(style, 10, Turn::Now);
        pair
    }

    /// Keys a child in both directions; `slot` names its inbound SAs and its keys.
    pub fn tunnel(&mut self, style: &Style, slot: u32, turn: Turn) {
        let Pair { a, b } = self;
        let (to_a, to_b) = (key(style.suite, slot as u8), key(style.suite, slot as u8 ^ 0x80));
        a.install_inbound(style, slot, a.spi(slot), &to_a);
        b.install_inbound(style, slot, b.spi(slot), &to_b);
        a.install_outbound(style, b.spi(slot), &to_b, turn);
        b.install_outbound(style, a.spi(slot), &to_a, turn);
    }

    /// Carries what the gateways sent on the public side to the other, on the queues `queue` picks.
    pub fn carry(&mut self, mut queue: impl FnMut(usize) -> usize) -> usize {
        let mut carried = 0;
        for (from, to) in [(true, false), (false, true)] {
            let sent = if from { self.a.sent(PUBLIC) } else { self.b.sent(PUBLIC) };
            let receiver = if to { &mut self.a } else { &mut self.b };
            for packet in sent {
                receiver.peer_sends(queue(carried), &packet);
                carried += 1;
            }
        }
        carried
    }

    pub fn is_at_rest(&mut self) {
        self.a.is_at_rest();
        self.b.is_at_rest();
    }
}
