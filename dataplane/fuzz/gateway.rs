//! A gateway small enough to be made anew for each run: two workers with a private port (0, instance 1 or 0) and a
//! public port (1, instance 0), one tunnel under static keys of a suite that is chosen, one of GRE without, and one of IP in
//! IPv6 under an SA of that suite in transport mode. Both ports may be in one instance.

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_dataplane::cipher::{Position, Sealer};
use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::ram::{RamDevice, RamFrame, RamPool, RamPort};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::link::snapshot::{Interface, Local, Snapshot};
use ravelin_dataplane::link::{self, ControlEnd, ExceptionEnd, Shape};
use ravelin_dataplane::net::eth::{self, Mac, ethertype};
use ravelin_dataplane::net::{esp, ipv4, ipv6, protocol};
use ravelin_dataplane::node::reassemble;
use ravelin_dataplane::policy::ip_tunnel::{self, IpTunnel, IpTunnels, Kind, Parts};
use ravelin_dataplane::policy::publish::{self, Writer};
use ravelin_dataplane::policy::route::{self, IpTunnelId, NextHop, Prefix, TunnelId};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Action, Entry, Otherwise, Spd};
use ravelin_dataplane::policy::table::{Child, Tables, Tunnel};
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::Encapsulation;
use ravelin_dataplane::sa::replay::Window;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::{Place, Slot, Spi};
use ravelin_dataplane::sa::suite::{Keyed, Suite, nonce};
use ravelin_dataplane::sa::{Endpoint, Mode, SaRef, inbound, outbound};
use ravelin_dataplane::worker::Worker;
use ravelin_gcm::{Kernel, Seal, seal_burst};

/// Second octet of the networks behind us.
pub const SITE: u8 = 1;
/// Second octet of the networks behind the peer.
pub const OTHER: u8 = 2;
/// Second octet of the networks behind the peer's GRE.
const CLEAR: u8 = 3;
/// Second octet of the networks behind the peer's ip-tunnel in transport mode.
pub const GUARDED: u8 = 4;
/// The port to our network.
pub const PRIVATE: u16 = 0;
/// The port to the peer.
pub const PUBLIC: u16 = 1;

const OUTSIDE: u16 = 0;
const TUNNEL: TunnelId = TunnelId(7);
const TRANSPORT: TunnelId = TunnelId(8);
const OWNER: WorkerId = WorkerId(1);
const SLOT: u32 = 3;
/// The slot of the SA in transport mode.
const GUARD: u32 = 4;
/// Every octet of every key.
const KEY: u8 = 0x5a;

thread_local! {
    /// One pool for all runs: each gives back what it took, or fails.
    static POOL: RamPool = RamPool::new(512, 8);
}

pub struct Gateway {
    /// Instance of the private side.
    inside: u16,
    workers: Vec<Worker<RamPool, RamPort>>,
    control: ControlEnd<RamFrame>,
    exception: ExceptionEnd<RamFrame>,
    tables: Writer<Tables>,
    ports: [RamDevice; 2],
    counters: Vec<Arc<Counters>>,
    pool: RamPool,
    now_us: u64,
    /// Of both SAs.
    suite: Suite,
    /// What the peer seals with, and its next sequence number.
    peer: Keyed<Sealer>,
    sequence: u32,
}

/// Reassembly small enough to be made for each run, and to be filled by one.
fn settings() -> Settings {
    let reassembly = reassemble::Limits {
        datagrams: 16,
        frames: 32,
        datagrams_per_source: 8,
        ..reassemble::Limits::default()
    };
    Settings { reassembly, ..Settings::new(7) }
}

fn mac(port: u16) -> Mac {
    Mac([2, 0, 0, 0, SITE, port as u8])
}

fn inside(site: u8, v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([10, site, 0, host]),
        true => IpAddr::from([0xfd00 | u16::from(site), 0, 0, 0, 0, 0, 0, u16::from(host)]),
    }
}

fn public(site: u8, v6: bool) -> IpAddr {
    match v6 {
        false => IpAddr::from([192, 0, 2, site]),
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(site)]),
    }
}

fn network(site: u8, v6: bool) -> Prefix {
    Prefix::new(inside(site, v6, 0), if v6 { 64 } else { 16 }).expect("a prefix")
}

/// GRE to the peer, which asks more of packets than IP in IP does.
fn unkeyed(private: u16) -> IpTunnel {
    let end = |site| Endpoint { address: public(site, false), port: 0 };
    let encapsulation = Encapsulation {
        outer_mtu: Some(1400),
        tcp_mss: Some(1200),
        ..Encapsulation::between(OUTSIDE, end(SITE), end(OTHER))
    };
    let kind = Kind::Gre { send: Some(7), receive: None };
    let (backup, leaving_mss) = (Some(public(9, false)), Some(1200));
    let parts =
        Parts { private, kind, encapsulation, backup, copy_traffic_class: true, leaving_mss, up: true };
    IpTunnel::new(parts, ip_tunnel::counters(2))
}

/// IP in IPv6 to the peer, under an SA in transport mode.
fn guarded(private: u16) -> IpTunnel {
    let end = |site| Endpoint { address: public(site, true), port: 0 };
    let encapsulation =
        Encapsulation { outer_mtu: Some(1400), ..Encapsulation::between(OUTSIDE, end(SITE), end(OTHER)) };
    let (kind, copy_traffic_class) = (Kind::Ip, false);
    let parts =
        Parts { private, kind, encapsulation, backup: None, copy_traffic_class, leaving_mss: None, up: true };
    IpTunnel::new(parts, ip_tunnel::counters(2))
}

/// All that is between the two gateways over IPv6.
fn between() -> SelectorSet {
    let side = |site| [Selector::addresses_only(AddressRange::prefix(public(site, true), 128))];
    SelectorSet::new(&side(SITE), &side(OTHER)).expect("one selector a side")
}

fn selectors(site: u8) -> [Selector; 2] {
    [false, true].map(|v6| {
        let network = network(site, v6);
        Selector::addresses_only(AddressRange::prefix(network.address(), network.length()))
    })
}

fn set() -> SelectorSet {
    SelectorSet::new(&selectors(SITE), &selectors(OTHER)).expect("two selectors a side")
}

/// Keying material, with the seed behind it.
/// One octet again and again, but for Triple-DES, which refuses keys that are one (RFC 2451 §2.3).
fn material(suite: Suite) -> Vec<u8> {
    let octet = |at: usize| match suite {
        Suite::TripleDes(_) => KEY ^ (at / 8 * 2) as u8,
        _ => KEY,
    };
    (0..suite.keymat_length() + suite.seed_length()).map(octet).collect()
}

fn place(slot: u32) -> Place {
    Place { shard: Shard::new(OWNER.0 + 1).expect("a shard"), slot: Slot::new(slot).expect("a slot") }
}

impl Gateway {
    /// With the private side in an instance, and a tunnel of the suite of this number; there is no end to numbers.
    pub fn new(inside: u16, suite: usize) -> Gateway {
        let suites: Vec<Suite> = Suite::all().collect();
        let suite = *suites.get(suite % suites.len()).expect("one of them");
        let shape = Shape {
            inbound_slots: 8,
            outbound_slots: 8,
            commands: 8,
            reports: 64,
            keys: 4,
            ike: 8,
            ike_init: 8,
            kernel: 8,
            injected: 8,
            handoff: 8,
            ..Shape::usual(2, 2)
        };
        let link = link::build(&shape).expect("memory for the tables");
        let (tables, readers) = publish::channel(Tables::new(), 2);
        let pool = POOL.with(RamPool::clone);
        let ports = [PRIVATE, PUBLIC].map(|port| RamDevice::new(port, 2, 128));
        let counters = link.control.workers().filter_map(|id| link.control.counters(id).cloned()).collect();
        let ends = link.workers.into_iter().zip(readers).enumerate();
        let workers = ends.map(|(queue, (end, reader))| {
            let pairs = ports.iter().filter_map(|device| device.port(queue)).collect();
            Worker::new(end, reader, pool.clone(), pairs, Kernel::portable(), &settings())
        });
        let workers = workers.collect();
        let (peer, _) = suite.sealer(Kernel::portable(), &material(suite)).expect("a key of its length");
        let (control, exception) = (link.control, link.exception);
        let now_us = 1_000_000;
        let mut gateway = Gateway {
            inside,
            workers,
            control,
            exception,
            tables,
            ports,
            counters,
            pool,
            now_us,
            suite,
            peer,
            sequence: 0,
        };
        gateway.route();
        gateway.install();
        gateway.settle();
        gateway
    }

    fn route(&mut self) {
        let instance = self.inside;
        let interface =
            |port: u16, instance| Interface { port, vlan: 0, instance, mac: mac(port), mtu: 1500 };
        let mut locals = Vec::new();
        for v6 in [false, true] {
            let (private, outer) = (inside(SITE, v6, 1), public(SITE, v6));
            locals.push(Local { instance, address: private, interface: Some((PRIVATE, 0)) });
            locals.push(Local { instance: OUTSIDE, address: outer, interface: Some((PUBLIC, 0)) });
        }
        let interfaces = vec![interface(PRIVATE, instance), interface(PUBLIC, OUTSIDE)];
        let snapshot = Arc::new(Snapshot::new(interfaces, locals));
        for worker in [WorkerId(0), WorkerId(1)] {
            assert!(self.control.send(worker, Command::Configure(Arc::clone(&snapshot))).is_ok());
        }
        let sa = SaRef { worker: OWNER, slot: SLOT };
        let tunnel = Tunnel::new(vec![Child::new(set(), sa)]).expect("one child");
        let [near, far] = [PRIVATE, PUBLIC].map(|port| route::Interface { port, vlan: 0 });
        let tables = self.tables.tables_mut();
        tables.set_tunnel(TUNNEL, Some(tunnel)).expect("room for a tunnel");
        let ip_tunnels = [unkeyed(instance), guarded(instance)];
        tables.set_ip_tunnels(IpTunnels::new(ip_tunnels.map(|one| Some(Arc::new(one))).to_vec()));
        let guard = Child::new(between(), SaRef { worker: OWNER, slot: GUARD });
        let guard = Tunnel::new(vec![guard]).expect("one child");
        tables.set_tunnel(TRANSPORT, Some(guard)).expect("room for a tunnel");
        let entry = Entry { selectors: between(), action: Action::Protect(TRANSPORT) };
        let spd = Spd::around(vec![entry], vec![], Otherwise::Discard, 2).expect("one entry");
        // Where both sides are one instance, what is in clear is asked for as before.
        if instance != OUTSIDE {
            tables.set_spd(OUTSIDE, spd).expect("room for a policy");
        }
        for v6 in [false, true] {
            let wan = Prefix::new(public(0, v6), if v6 { 64 } else { 24 }).expect("a prefix");
            tables
                .set_route(instance, network(SITE, v6), Some(NextHop::Connected(near)))
                .expect("room for a route");
            tables
                .set_route(instance, network(OTHER, v6), Some(NextHop::Tunnel(TUNNEL)))
                .expect("room for a route");
            tables
                .set_route(instance, network(CLEAR, v6), Some(NextHop::IpTunnel(IpTunnelId(0))))
                .expect("room for a route");
            tables
                .set_route(instance, network(GUARDED, v6), Some(NextHop::IpTunnel(IpTunnelId(1))))
                .expect("room for a route");
            tables.set_route(OUTSIDE, wan, Some(NextHop::Connected(far))).expect("room for a route");
            tables.set_neighbour(instance, near, inside(SITE, v6, 9), Some(Mac([2, 0, 0, 9, 9, 9])));
            tables.set_neighbour(OUTSIDE, far, public(OTHER, v6), Some(Mac([2, 0, 0, 0, OTHER, 1])));
        }
        self.tables.publish();
    }

    fn install(&mut self) {
        self.install_one(SLOT, Mode::Tunnel, set());
        self.install_one(GUARD, Mode::Transport, between());
    }

    /// Both SAs of a slot.
    fn install_one(&mut self, slot: u32, mode: Mode, carried: SelectorSet) {
        let transport = mode == Mode::Transport;
        let endpoint = |site| Endpoint { address: public(site, transport), port: 0 };
        let spi = Spi::new(place(slot), 1);
        let parts = inbound::Parts {
            spi,
            suite: self.suite,
            mode,
            window: Window::new(64, false).expect("a window"),
            outer_instance: OUTSIDE,
            inner_instance: if transport { OUTSIDE } else { self.inside },
            local: endpoint(SITE),
            peer: endpoint(OTHER),
            may_move: inbound::MayMove::Nobody,
            copy_traffic_class: false,
            tcp_mss: Some(1200),
            selectors: Box::new(carried),
            limits: Limits::NONE,
            child: slot,
            activates: Some(slot),
        };
        let key = self.control.put_key(OWNER, &material(self.suite)).expect("a free cell");
        assert!(self.control.send(OWNER, Command::InstallInbound { place: place(slot), parts, key }).is_ok());
        let parts = outbound::Parts {
            spi: Spi(0x1234_5678),
            suite: self.suite,
            esn: true,
            last_sequence: 0,
            encapsulation: Encapsulation {
                mode,
                inner_mtu: Some(1400),
                outer_mtu: Some(1500),
                tcp_mss: Some(1200),
                ..Encapsulation::between(OUTSIDE, endpoint(SITE), endpoint(OTHER))
            },
            limits: Limits::NONE,
            child: slot,
        };
        let key = self.control.put_key(OWNER, &material(self.suite)).expect("a free cell");
        let install = Command::InstallOutbound { slot, parts, key, turn: Turn::Now };
        assert!(self.control.send(OWNER, install).is_ok());
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            self.now_us += 1;
            let now = self.now_us;
            if self.workers.iter_mut().map(|worker| u8::from(worker.poll(now))).sum::<u8>() == 0 {
                return;
            }
        }
        panic!("the workers never come to rest");
    }

    /// A frame on the wire before a port.
    pub fn arrive(&mut self, port: u16, queue: usize, frame: &[u8]) {
        let frame = self.pool.copy_of(frame).expect("the pool ran dry: frames were lost");
        let device = self.ports.get(usize::from(port)).expect("one of two");
        assert!(device.deliver(queue, frame).is_ok(), "a worker left frames lying");
        self.settle();
        self.serve();
    }

    /// The frame around a packet for our MAC address.
    pub fn framed(&self, port: u16, packet: &[u8]) -> Vec<u8> {
        let six = packet.first().is_some_and(|octet| octet >> 4 == 6);
        let ethertype = if six { ethertype::IPV6 } else { ethertype::IPV4 };
        let header = eth::Repr { destination: mac(port), source: Mac([2, 0, 0, 9, 9, 9]), ethertype };
        let mut frame = vec![0; eth::Repr::LEN];
        header.emit(&mut frame).expect("fourteen octets");
        [frame, packet.to_vec()].concat()
    }

    /// What the peer sends: `text` as the payload of an ESP packet, with the trailer that `style` asks for, in tunnel mode or
    /// in transport mode.
    pub fn sealed(&mut self, style: u8, text: &[u8]) -> Vec<u8> {
        // A number now and then that was there before, or is far ahead.
        self.sequence = match style >> 5 {
            0 => self.sequence,
            1 => self.sequence.saturating_add(100),
            _ => self.sequence.saturating_add(1),
        };
        let six = text.first().is_some_and(|octet| octet >> 4 == 6);
        let transport = style & 4 > 0;
        let next_header = match style & 3 {
            0 if transport => protocol::GRE,
            0 => protocol::NONE,
            1 => protocol::UDP,
            _ if six => protocol::IPV6,
            _ => protocol::IPV4,
        };
        let framing = self.suite.framing();
        let trailer = framing.trailer(text.len(), next_header);
        let mut padding = vec![0; trailer.length()];
        trailer.emit(&mut padding).expect("its own length");
        let mut packet = vec![0; framing.front()];
        let slot = if transport { GUARD } else { SLOT };
        let header = esp::Repr { spi: Spi::new(place(slot), 1).0, sequence: self.sequence };
        header.emit(&mut packet).expect("eight octets");
        packet.extend([text, padding.as_slice(), &vec![0; framing.icv]].concat());
        self.seal(&mut packet);
        self.framed(PUBLIC, &if transport { outer_v6(&packet) } else { outer(&packet) })
    }

    /// Encrypts an ESP packet whose text is in clear.
    fn seal(&self, packet: &mut [u8]) {
        let sequence = u64::from(self.sequence);
        match &self.peer {
            Keyed::Apart(sealer) => {
                assert!(sealer.seal(Position { sequence, esn: false }, packet).is_ok(), "its own framing");
            }
            Keyed::Gcm(key) => {
                let (aad, rest) = packet.split_first_chunk_mut::<{ esp::Repr::LEN }>().expect("a header");
                let (iv, rest) = rest.split_first_chunk_mut().expect("an IV");
                let (text, tag) = rest.split_last_chunk_mut::<16>().expect("an ICV");
                *iv = sequence.to_be_bytes();
                seal_burst(&mut [Seal::new(key, nonce([KEY; 4], *iv), &aad[..], text, tag)]);
            }
        }
    }

    /// From the twin of a port, or from `rv-`.
    pub fn kernel_sends(&mut self, argument: u8, content: &[u8]) {
        // The public twin of an instance of its own speaks for itself: no policy of ours is in its way.
        let port = if self.inside == OUTSIDE { u16::from(argument >> 2 & 1) } else { PRIVATE };
        let worker = WorkerId(argument >> 3 & 1);
        let frame = self.pool.copy_of(content).expect("the pool ran dry: frames were lost");
        drop(match argument & 1 {
            0 => self.exception.inject_twin(worker, frame, port, 0),
            _ => self.exception.inject_tun(worker, frame, u16::from(argument >> 1 & 1)),
        });
        self.settle();
        self.serve();
    }

    /// A packet of the control loop's.
    pub fn control_sends(&mut self, content: &[u8]) {
        let frame = self.pool.copy_of(content).expect("the pool ran dry: frames were lost");
        drop(self.control.inject(WorkerId(0), frame, OUTSIDE));
        self.settle();
        self.serve();
    }

    /// Time goes by.
    pub fn sleep(&mut self, us: u64) {
        self.now_us += us;
        self.settle();
    }

    /// What a port has sent.
    pub fn sent(&mut self, port: u16) -> Vec<Vec<u8>> {
        let Some(device) = self.ports.get(usize::from(port)) else { return Vec::new() };
        std::iter::from_fn(|| device.sent()).map(|frame| frame.data().to_vec()).collect()
    }

    /// Control and kernel take what is theirs.
    fn serve(&mut self) {
        while self.control.next_ike().is_some() || self.control.next_ike_init().is_some() {}
        while self.exception.next_punt().is_some() {}
        for worker in [WorkerId(0), WorkerId(1)] {
            while self.control.next_report(worker).is_some() {}
        }
        for counters in &self.counters {
            assert!(counters.ledger().is_even(), "{:?}", counters.ledger());
        }
    }

    /// After the longest time-out every buffer is at home.
    pub fn comes_to_rest(&mut self) {
        self.sleep(3_000_000);
        self.serve();
        self.sent(PRIVATE);
        self.sent(PUBLIC);
        assert!(self.counters.iter().all(|counters| counters.held.get() == 0));
        assert_eq!(self.pool.available(), self.pool.capacity(), "a buffer did not come home");
    }
}

/// The same over IPv6.
fn outer_v6(esp: &[u8]) -> Vec<u8> {
    let address = |site| match public(site, true) {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    };
    let repr = ipv6::Repr {
        traffic_class: 0,
        flow_label: 0,
        payload_length: esp.len() as u16,
        next_header: protocol::ESP,
        hop_limit: 64,
        source: address(OTHER),
        destination: address(SITE),
    };
    let mut out = vec![0; ipv6::Repr::LEN];
    repr.emit(&mut out).expect("forty octets");
    [out, esp.to_vec()].concat()
}

/// The packet around ESP from the peer.
fn outer(esp: &[u8]) -> Vec<u8> {
    let repr = ipv4::Repr {
        traffic_class: 0,
        total_length: (ipv4::Repr::LEN + esp.len()) as u16,
        id: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: protocol::ESP,
        source: std::net::Ipv4Addr::new(192, 0, 2, OTHER),
        destination: std::net::Ipv4Addr::new(192, 0, 2, SITE),
    };
    let mut out = vec![0; ipv4::Repr::LEN];
    repr.emit(&mut out).expect("twenty octets");
    [out, esp.to_vec()].concat()
}
