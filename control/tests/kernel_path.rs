//! The kernel's part end to end: two gateways with real namespaces, twins and `rv-` devices, one worker each,
//! joined by a wire in memory that keeps a copy of every frame. What the walls promise is read off the wire:
//! the kernel answers once, says nothing about ESP and IKE, reaches the peer's kernel through a tunnel, and
//! without one not a single inner packet leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod netns;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netns::{DEADLINE, Netns, change, device};
use ravelin_control::exception::{Counters, Exception, Rate, Workers};
use ravelin_control::instance::{
    Change, Handle, Instance, InstanceSpec, InterfaceSpec, Namespace, PrivateSpec, Request, TunnelRoute,
};
use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::ram::{RamDevice, RamFrame, RamPool};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::snapshot::{Interface, Local, Snapshot};
use ravelin_dataplane::link::{self, ControlEnd, Shape};
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
use ravelin_dataplane::worker::{Idle, Worker};
use ravelin_gcm::Kernel;

const OUTSIDE: u16 = 0;
const INSIDE: u16 = 1;
const PORT: u16 = 0;
const TUNNEL: TunnelId = TunnelId(7);
const SLOT: u32 = 3;
const WORKER: WorkerId = WorkerId(0);
const WAN: route::Interface = route::Interface { port: PORT, vlan: 0 };

/// Between two looks at something that other threads change.
fn breathe() {
    std::thread::park_timeout(Duration::from_micros(100));
}

/// One test at a time: each runs two workers.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of two sites, 1 or 2.
#[derive(Clone, Copy)]
struct Site(u8);

impl Site {
    fn other(self) -> Site {
        Site(3 - self.0)
    }
    fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, self.0, 1]
    }
    fn public(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.0)
    }
    fn private(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 0, 1)
    }
    fn network(self) -> Prefix {
        Prefix::new(IpAddr::V4(Ipv4Addr::new(10, self.0, 0, 0)), 16).unwrap()
    }
    fn endpoint(self) -> Endpoint {
        Endpoint { address: self.public().into(), port: 0 }
    }
    fn selector(self) -> Selector {
        Selector::addresses_only(AddressRange::prefix(self.network().address(), self.network().length()))
    }
}

/// The selectors of a child seen from a site.
fn selectors(local: Site) -> SelectorSet {
    SelectorSet::new(&[local.selector()], &[local.other().selector()]).unwrap()
}

/// A gateway: two namespaces, their instances, the exception thread and one worker, all running.
struct Gateway {
    site: Site,
    inside: Netns,
    outside: Netns,
    instances: [Handle; 2],
    twin: Arc<Counters>,
    control: ControlEnd<RamFrame>,
    tables: Writer<Tables>,
    port: RamDevice,
    pool: RamPool,
    stop: Arc<AtomicBool>,
    exception: Exception,
    worker: Option<JoinHandle<()>>,
}

impl Gateway {
    fn new(number: u8) -> Self {
        let site = Site(number);
        let (inside, outside) = (Netns::new(), Netns::new());
        let instances = [start_outside(site, &outside), start_inside(site, &inside)];
        let shape = Shape { inbound_slots: 64, outbound_slots: 64, ..Shape::usual(1, 1) };
        let mut link = link::build(&shape).unwrap();
        let (tables, mut readers) = publish::channel(tables_of(site), 1);
        let (pool, port) = (RamPool::new(1024, 16), RamDevice::new(PORT, 1, 512));
        let (end, ports) = (link.workers.remove(0), vec![port.port(0).unwrap()]);
        let reader = readers.remove(0);
        let mut worker = Worker::new(end, reader, pool.clone(), ports, Kernel::detect(), &Settings::new(7));
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || worker.run(&until, Idle::Adaptive));
        let exception = Exception::start(Workers::new(link.exception, pool.clone())).unwrap();
        let twin = exception.attach(device(&instances[0]), Rate::default());
        exception.attach(device(&instances[1]), Rate::default());
        let worker = Some(thread);
        let control = link.control;
        let mut gateway = Self {
            site,
            inside,
            outside,
            instances,
            twin,
            control,
            tables,
            port,
            pool,
            stop,
            exception,
            worker,
        };
        gateway.command(Command::Configure(Arc::new(snapshot_of(site))));
        gateway
    }

    fn command(&mut self, command: Command) {
        let sequence = self.control.send(WORKER, command).unwrap();
        let end = Instant::now() + DEADLINE;
        while self.control.applied(WORKER) < sequence {
            assert!(Instant::now() < end, "the worker does not apply commands");
            breathe();
        }
    }

    /// What the control loop does: has the peer kept resolved, and tells the workers what the kernel learned.
    fn learn_peer(&mut self) {
        let peer = IpAddr::V4(self.site.other().public());
        let handle = &self.instances[0];
        handle.request(0, Request::KeepNeighbour { interface: "wan0".into(), address: peer }).unwrap();
        let found = change(handle, "the peer's MAC", |change| matches!(change, Change::Neighbour { .. }));
        let Change::Neighbour { address, mac, .. } = found else { panic!() };
        assert_eq!((address, mac), (peer, self.site.other().mac()));
        self.tables.tables_mut().set_neighbour(OUTSIDE, WAN, peer, Some(Mac(mac)));
        self.tables.publish();
    }

    fn spi(&self, slot: u32) -> Spi {
        Spi::new(self.place(slot), slot as u8)
    }

    fn place(&self, slot: u32) -> Place {
        Place { shard: Shard::new(1).unwrap(), slot: Slot::new(slot).unwrap() }
    }

    fn install(&mut self, receive: &[u8], send: &[u8], peer_spi: Spi) {
        let parts = inbound_parts(self.site, self.spi(10));
        let key = self.control.put_key(WORKER, receive).unwrap();
        self.command(Command::InstallInbound { place: self.place(10), parts, key });
        let key = self.control.put_key(WORKER, send).unwrap();
        let parts = outbound_parts(self.site, peer_spi);
        self.command(Command::InstallOutbound { slot: SLOT, parts, key, turn: Turn::Now });
    }

    /// Puts a frame on the wire towards this gateway.
    fn receive(&mut self, frame: &[u8]) {
        let frame = self.pool.copy_of(frame).unwrap();
        self.port.deliver(0, frame).unwrap();
    }

    fn received(&self) -> u64 {
        self.control.counters(WORKER).unwrap().received.get()
    }

    /// Ends the worker; everything else runs on.
    fn stall(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.take().into_iter().for_each(|worker| worker.join().unwrap());
    }

    fn stop(mut self) {
        self.stall();
        self.instances.into_iter().for_each(|handle| handle.stop().unwrap());
        assert!(self.exception.stop());
    }
}

fn start_outside(site: Site, namespace: &Netns) -> Handle {
    let address = ipnet::IpNet::new(site.public().into(), 24).unwrap();
    let wan0 = InterfaceSpec {
        port: PORT,
        vlan: 0,
        name: "wan0".into(),
        mac: site.mac(),
        mtu: 1500,
        addresses: vec![address],
    };
    Instance::start(InstanceSpec { interfaces: vec![wan0], ..spec(OUTSIDE, "out", namespace) }).unwrap()
}

fn start_inside(site: Site, namespace: &Netns) -> Handle {
    let address = ipnet::IpNet::new(site.private().into(), 32).unwrap();
    let private = Some(PrivateSpec { mtu: 1400, addresses: vec![address] });
    let handle = Instance::start(InstanceSpec { private, ..spec(INSIDE, "red", namespace) }).unwrap();
    let network = site.other().network();
    let destination = ipnet::IpNet::new(network.address(), network.length()).unwrap();
    let route = TunnelRoute { destination, metric: 0, source: None };
    handle.request(0, Request::AddRoute(route)).unwrap();
    handle
}

fn spec(id: u16, name: &str, namespace: &Netns) -> InstanceSpec {
    InstanceSpec {
        id,
        name: name.into(),
        namespace: Namespace::Named(namespace.0.clone()),
        interfaces: Vec::new(),
        private: None,
        caged: Vec::new(),
        receive_buffer: InstanceSpec::RECEIVE_BUFFER,
    }
}

fn snapshot_of(site: Site) -> Snapshot {
    let wan = Interface { port: PORT, vlan: 0, instance: OUTSIDE, mac: Mac(site.mac()), mtu: 1500 };
    let local =
        |instance, address: Ipv4Addr, interface| Local { instance, address: address.into(), interface };
    let locals = vec![local(OUTSIDE, site.public(), Some((PORT, 0))), local(INSIDE, site.private(), None)];
    Snapshot::new(vec![wan], locals)
}

fn tables_of(site: Site) -> Tables {
    let mut tables = Tables::new();
    let child = Child::new(selectors(site), SaRef { worker: WORKER, slot: SLOT });
    tables.set_tunnel(TUNNEL, Some(Tunnel::new(vec![child]).unwrap())).unwrap();
    tables.set_route(INSIDE, site.other().network(), Some(NextHop::Tunnel(TUNNEL))).unwrap();
    let own = Prefix::new(site.private().into(), 32).unwrap();
    tables.set_route(INSIDE, own, Some(NextHop::Local)).unwrap();
    let public = Prefix::new(Ipv4Addr::new(192, 0, 2, 0).into(), 24).unwrap();
    tables.set_route(OUTSIDE, public, Some(NextHop::Connected(WAN))).unwrap();
    tables
}

fn inbound_parts(site: Site, spi: Spi) -> inbound::Parts {
    inbound::Parts {
        spi,
        suite: Suite::AesGcm128,
        mode: Mode::Tunnel,
        window: Window::new(1024, false).unwrap(),
        outer_instance: OUTSIDE,
        inner_instance: INSIDE,
        local: site.endpoint(),
        peer: site.other().endpoint(),
        may_move: inbound::MayMove::Nobody,
        copy_traffic_class: false,
        tcp_mss: None,
        selectors: Box::new(selectors(site)),
        limits: Limits::NONE,
        child: 5,
        activates: None,
    }
}

fn outbound_parts(site: Site, spi: Spi) -> outbound::Parts {
    let encapsulation = Encapsulation {
        df: OuterDf::Clear,
        ..Encapsulation::between(OUTSIDE, site.endpoint(), site.other().endpoint())
    };
    outbound::Parts {
        spi,
        suite: Suite::AesGcm128,
        esn: false,
        last_sequence: 0,
        encapsulation,
        limits: Limits::NONE,
        child: 5,
    }
}

/// The wire between two gateways, with a copy of all that passed.
struct Wire {
    passed: Arc<Mutex<Vec<Vec<u8>>>>,
    rounds: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Wire {
    fn between(a: &Gateway, b: &Gateway) -> Self {
        let (passed, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let rounds = Arc::new(AtomicU64::new(0));
        let (log, until, round) = (Arc::clone(&passed), Arc::clone(&stop), Arc::clone(&rounds));
        let (a, b) = (a.port.clone(), b.port.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for (from, to) in [(&a, &b), (&b, &a)] {
                    while let Some(frame) = from.sent() {
                        log.lock().unwrap().push(frame.data().to_vec());
                        let _ = to.deliver(0, frame);
                    }
                }
                round.fetch_add(1, Ordering::Relaxed);
                breathe();
            }
        });
        Self { passed, rounds, stop, thread }
    }

    /// Waits until all that was sent before has passed: one whole round, and the one under way.
    fn settle(&self) {
        let wanted = self.rounds.load(Ordering::Relaxed) + 2;
        while self.rounds.load(Ordering::Relaxed) < wanted {
            breathe();
        }
    }

    /// Frames that passed so far and satisfy.
    fn count(&self, wanted: impl Fn(&[u8]) -> bool) -> usize {
        self.passed.lock().unwrap().iter().filter(|frame| wanted(frame)).count()
    }

    fn cut(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn is_ipv4(frame: &[u8], protocol: u8) -> bool {
    frame.len() > 34 && frame[12..14] == [8, 0] && frame[23] == protocol
}

const ICMP: u8 = 1;
const UDP: u8 = 17;
const ESP: u8 = 50;

/// An inner packet in clear: any mention of an inside address in an IPv4 header on the wire.
fn is_clear(frame: &[u8]) -> bool {
    frame.len() >= 34 && frame[12..14] == [8, 0] && (frame[26] == 10 || frame[30] == 10)
}

/// An IPv4 packet from the peer to `site` in an Ethernet frame.
fn frame(site: Site, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0];
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    ip.extend(site.other().public().octets());
    ip.extend(site.public().octets());
    let sum: u32 = ip.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [&site.mac()[..], &site.other().mac(), &[8, 0], &ip, payload].concat()
}

fn pair() -> (Gateway, Gateway, Wire) {
    let (mut a, mut b) = (Gateway::new(1), Gateway::new(2));
    let wire = Wire::between(&a, &b);
    a.learn_peer();
    b.learn_peer();
    (a, b, wire)
}

fn end(a: Gateway, b: Gateway, wire: Wire) {
    a.stop();
    b.stop();
    wire.cut();
}

/// Both kernels resolve each other through rings and twins, and a ping is answered exactly once.
#[test]
fn the_kernel_behind_a_worker_answers_a_ping_exactly_once() {
    needs_root!();
    let _turn = alone();
    let (a, b, wire) = pair();
    assert!(a.outside.succeeds("ping -c1 -W5 192.0.2.2"));
    assert_eq!(wire.count(|frame| is_ipv4(frame, ICMP)), 2, "one request and one reply");
    end(a, b, wire);
}

/// ESP without an SA, IKE and its fragments are for us alone: the kernel, which knows neither, would answer
/// with ICMP errors.
#[test]
fn esp_and_ike_never_reach_the_kernel_and_draw_no_icmp() {
    needs_root!();
    let _turn = alone();
    let (mut a, b, wire) = pair();
    let before = (a.twin.to_kernel.read().frames, a.received(), wire.count(|f| is_ipv4(f, ICMP)));
    let esp = [&[0x7f; 4][..], &[0, 0, 0, 1], &[0xee; 64]].concat();
    let mut ike = [&[1, 244, 1, 244, 0, 36, 0, 0][..], &[7; 8], &[0; 8], &[33, 0x20, 34, 8]].concat();
    ike.extend([0, 0, 0, 0, 0, 0, 0, 28]);
    let burst = [(ESP, &esp), (UDP, &ike)].repeat(20);
    for (protocol, payload) in &burst {
        a.receive(&frame(Site(1), *protocol, payload));
    }
    let end_at = Instant::now() + DEADLINE;
    while a.received() < before.1 + burst.len() as u64 {
        assert!(Instant::now() < end_at, "the worker does not receive");
        breathe();
    }
    // A ping after them: when it is answered, the kernel has had its chance to answer those before it.
    assert!(b.outside.succeeds("ping -c1 -W5 192.0.2.1"));
    let after = (a.twin.to_kernel.read().frames, wire.count(|f| is_ipv4(f, ICMP)));
    assert!(after.0 - before.0 <= 4, "{} frames went to the kernel", after.0 - before.0);
    assert_eq!(after.1 - before.2, 2, "an ICMP error left");
    end(a, b, wire);
}

/// A ping from the box through a tunnel, and back; and with the tunnel gone, not one inner packet.
#[test]
fn a_ping_from_inside_passes_the_tunnel_and_without_it_nothing_leaves() {
    needs_root!();
    let _turn = alone();
    let (mut a, mut b, wire) = pair();
    assert!(!a.inside.succeeds("ping -c1 -W1 10.2.0.1"), "there is no tunnel yet");
    assert_eq!(wire.count(|f| is_ipv4(f, ESP)), 0);

    let keys = [[0x11u8; 20], [0x22u8; 20]];
    let (to_a, to_b) = (a.spi(10), b.spi(10));
    a.install(&keys[0], &keys[1], to_b);
    b.install(&keys[1], &keys[0], to_a);
    assert!(a.inside.succeeds("ping -c1 -W5 10.2.0.1"), "through the tunnel");
    assert_eq!(wire.count(|f| is_ipv4(f, ESP)), 2, "one there, one back");

    a.command(Command::RemoveOutbound { slot: SLOT, spi: to_b });
    assert!(!a.inside.succeeds("ping -c2 -i0.2 -W1 10.2.0.1"), "the tunnel is gone");
    assert_eq!(wire.count(|f| is_ipv4(f, ESP)), 2);
    assert_eq!(wire.count(is_clear), 0, "an inner packet left in clear");
    end(a, b, wire);
}

/// With the worker stalled, what the kernel sends waits or is dropped; nothing finds another way out.
#[test]
fn a_stalled_worker_leaks_nothing() {
    needs_root!();
    let _turn = alone();
    let (mut a, b, wire) = pair();
    a.stall();
    wire.settle();
    let is_from_a = |frame: &[u8]| frame[6..12] == Site(1).mac();
    let before = wire.count(is_from_a);
    assert!(!a.inside.succeeds("ping -c1 -W1 10.2.0.1"));
    assert!(!a.outside.succeeds("ping -c1 -W1 192.0.2.2"));
    wire.settle();
    assert_eq!(wire.count(is_from_a), before);
    assert_eq!(wire.count(is_clear), 0);
    end(a, b, wire);
}
