//! The loop with real workers between two ports in memory: a host behind us sends, and what leaves on the
//! public side is looked at. No instance thread: the kernel's words are put in by hand.

mod children;
mod clients;
mod enabled;
mod gateways;
mod groups;
mod ip_tunnels;
mod lookup;
mod mobike;
mod own;
mod packets;
mod pair;
mod policy;
mod responder_only;
mod selectors;
mod stall;
mod strangers;
mod strays;
mod transport;
mod watermarks;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant as Clock;

use arc_swap::ArcSwap;
use crossbeam::sync::Parker;
use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::ram::{RamDevice, RamFrame, RamPool, RamPort};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::{self, Shape};
use ravelin_dataplane::net::{icmp, ipv4, ipv6, protocol, udp};
use ravelin_dataplane::node::icmp as errors;
use ravelin_dataplane::policy::publish;
use ravelin_dataplane::worker::Worker;
use ravelin_gcm::Kernel;
use ravelin_ike::time::Instant;

use super::core::Core;
use super::helpers::Helpers;
use super::layout;
use super::reload::Prepared;
use super::service::Service;
use super::view::{Machine, View};
use crate::api::reply::{Applied, Sa, State, Tunnel};
use crate::api::request::{Page, Part, TunnelName};
use crate::api::{ApiError, Reply, Request};
use crate::config::{self, Plan};
use crate::exception::{Exception, Workers as ExceptionLink};
use crate::group::Groups;
use crate::instance::{Change, Event, InstanceError, Wall};
use crate::observe::journal::Journal;
use crate::routing::Outcome;
use crate::tunnel::roster::Roster;
use crate::tunnel::status::Status;
use crate::workers::Workers;

const PLAN: &str = r#"
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:eth2", addresses = ["10.2.0.1/24", "fd00:2::1/64"] }
[tunnel.fixed]
local = "192.0.2.2"
remote = "192.0.2.1"
local-ts = ["10.2.0.0/24", "fd00:2::/64"]
remote-ts = ["10.1.0.0/24", "fd00:1::/64"]
[tunnel.fixed.manual]
suite = "aes128gcm16"
inbound-spi = 0x1001
inbound-key = "000102030405060708090a0b0c0d0e0f10111213"
outbound-spi = 0x1002
outbound-key = "202122232425262728292a2b2c2d2e2f30313233"
[tunnel.called]
local = "192.0.2.2"
remote = "192.0.2.9"
psk = "correct horse"
auto-establish = true
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.9.0.0/24"]
"#;

/// Ports are numbered by the names of their interfaces.
const LAN: usize = 0;
const WAN: usize = 1;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x22];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
const BEHIND6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2);
const OUTBOUND_SPI: u32 = 0x1002;

/// A gateway of two ports, each with a queue for every worker.
struct Bench {
    core: Core<RamPool>,
    workers: Vec<Worker<RamPool, RamPort>>,
    /// The workers that are not polled.
    still: Vec<usize>,
    /// Where frames arrive.
    queue: usize,
    pool: RamPool,
    ports: [RamDevice; 2],
}

/// What the kernel says of the addresses of an interface, of what is on its link, and of its neighbours.
fn facts(
    interface: &str,
    addresses: &[&str],
    links: &[&str],
    neighbours: &[IpAddr],
    mac: [u8; 6],
) -> Vec<Change> {
    let interface: Arc<str> = interface.into();
    let address =
        |network: &&str| Change::Address { interface: interface.clone(), network: network.parse().unwrap() };
    let route = |destination: &&str| {
        let hop = crate::instance::NextHop { interface: interface.clone(), gateway: None, weight: 1 };
        Change::Route(crate::instance::Route {
            destination: destination.parse().unwrap(),
            metric: 0,
            protocol: 2,
            action: crate::instance::RouteAction::Forward(vec![hop]),
        })
    };
    let neighbour =
        |address: &IpAddr| Change::Neighbour { interface: interface.clone(), address: *address, mac };
    let (addresses, links) = (addresses.iter().map(address), links.iter().map(route));
    addresses.chain(links).chain(neighbours.iter().map(neighbour)).collect()
}

fn plan(text: &str) -> Plan {
    let none = |_: &std::path::Path| Err(std::io::Error::other("no file"));
    config::parse("test", text, std::path::Path::new("/"), &none).unwrap()
}

impl Bench {
    fn new() -> Self {
        Self::of(PLAN)
    }

    /// What the kernel knows once everybody has spoken.
    fn of(text: &str) -> Self {
        let mut bench = Self::bare(text, 1, 64);
        let peers = [PEER.into(), Ipv4Addr::new(192, 0, 2, 9).into()];
        bench.learn(facts("wan", &["192.0.2.2/24"], &["192.0.2.0/24"], &peers, PEER_MAC));
        let networks = (["10.2.0.1/24", "fd00:2::1/64"], ["10.2.0.0/24", "fd00:2::/64"]);
        bench.learn(facts("lan", &networks.0, &networks.1, &[HOST.into(), HOST6.into()], HOST_MAC));
        bench
    }

    /// A gateway of `count` workers, with so many outbound slots each, whose kernel has said nothing yet.
    fn bare(text: &str, count: u8, outbound_slots: usize) -> Self {
        let plan = plan(text);
        let roster = Roster::new(&plan);
        let shape = Shape { inbound_slots: 64, outbound_slots, ..Shape::usual(count, 2) };
        let link = link::build::<RamFrame>(&shape).unwrap();
        let (tables, readers) = publish::channel(layout::tables(&plan), usize::from(count));
        let pool = RamPool::new(4096, 16);
        let groups = Groups::new(&plan.groups);
        let mut workers = Workers::new(link.control, tables, pool.clone(), 64, 7, &roster, groups);
        workers.open_tunnels(&roster).unwrap();
        workers.install_manual(&roster, Instant(0)).unwrap();
        layout::routes(&mut workers, &plan, &roster, &MACS);
        let ports = [0, 1].map(|number| RamDevice::new(number, usize::from(count), 512));
        let threads = link.workers.into_iter().zip(readers).enumerate().map(|(queue, (end, reader))| {
            let ends = ports.iter().map(|port| port.port(queue).unwrap()).collect();
            Worker::new(end, reader, pool.clone(), ends, Kernel::detect(), &Settings::new(7))
        });
        let threads = threads.collect();
        let parker = Parker::new();
        // Tests take out as they put in; a rekey of everything at once is no test.
        let (inputs, receiver) = crate::post::bounded(4096, parker.unparker());
        let revocation = super::revocation::start(&plan, None, &inputs).unwrap();
        let secrets = layout::Secrets { seed: [7; 32], crash: None, tickets: None };
        let core = Core {
            started: Clock::now(),
            engine: layout::engine(&plan, &roster, secrets).unwrap(),
            workers,
            instances: Vec::new(),
            exception: Exception::start(ExceptionLink::new(link.exception, pool.clone())).unwrap(),
            helpers: Helpers::start(&plan, &roster, 1, &inputs, revocation).unwrap(),
            status: Status::default(),
            service: Service::new(&plan),
            devices: Box::new(super::devices::None),
            ports: vec![super::devices::State::default(); plan.ports.len()],
            journal: Arc::new(Journal::default()),
            view: Arc::new(ArcSwap::from_pointee(View::default())),
            machine: Machine::default(),
            inputs: receiver,
            asked: crossbeam::channel::never(),
            parker,
            retries: super::retries::Retries::default(),
            looked: 0,
            pulse: super::pulse::Pulse::default(),
            moving: super::stall::Moving::default(),
            own_sas: super::own::OwnSas::default(),
            last_look: std::collections::HashMap::new(),
            gateways: super::gateways::Gateways::default(),
            next_hops: Vec::new(),
            watermarks: super::watermarks::Watermarks::default(),
            believed: super::revocation::Believed::default(),
            certificates: super::expiry::Watch::new(&plan),
            taps: Arc::default(),
            roster,
            plan,
        };
        Self { core, workers: threads, still: Vec::new(), queue: 0, pool, ports }
    }

    fn learn(&mut self, facts: Vec<Change>) {
        facts.into_iter().for_each(|fact| self.tell(Event::Changed(fact)));
    }

    /// The instance says something.
    fn tell(&mut self, event: Event) {
        let mut outcome = Outcome::default();
        self.core.instance_event(self.core.now(), 0, event, &mut outcome);
        self.core.publish(&outcome);
        self.settle();
    }

    /// Lets loop and workers work until nobody has anything left.
    fn settle(&mut self) {
        for _ in 0..50 {
            while let Ok(input) = self.core.inputs.try_recv() {
                self.core.input(input);
            }
            self.core.turn();
            let now = self.core.now().0;
            for (number, worker) in self.workers.iter_mut().enumerate() {
                if !self.still.contains(&number) {
                    worker.poll(now);
                }
            }
        }
    }

    /// A packet for us arrives at a port.
    fn arrive(&mut self, port: usize, packet: &[u8]) {
        let (to, from) = if port == WAN { (MACS[WAN], PEER_MAC) } else { (MACS[LAN], HOST_MAC) };
        let kind: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
        let frame = [&to[..], &from, &kind, packet].concat();
        let frame = self.pool.copy_of(&frame).unwrap();
        self.ports[port].deliver(self.queue, frame).unwrap();
        self.settle();
    }

    /// Waits for a packet on the public side; the helpers' threads may have a part in it.
    fn awaits(&mut self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        let end = Clock::now() + std::time::Duration::from_secs(20);
        while Clock::now() < end {
            if self.left(WAN).iter().any(|packet| wanted(packet)) {
                return true;
            }
            std::thread::yield_now();
            self.settle();
        }
        false
    }

    /// The IP packets that have left by a port.
    fn left(&self, port: usize) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.ports[port].sent()).map(|frame| frame.data()[14..].to_vec()).collect()
    }

    /// Lets the host send, and gives back what leaves on both sides.
    fn send(&mut self, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        self.left(WAN);
        self.left(LAN);
        self.arrive(LAN, packet);
        (self.left(WAN), self.left(LAN))
    }

    /// Applies another configuration.
    fn apply(&mut self, text: &str) -> Applied {
        let prepared = Prepared { plan: plan(text), keys: BTreeMap::new(), profiles: BTreeMap::new() };
        let applied = self.core.apply(self.core.now(), prepared);
        self.settle();
        applied
    }

    fn events(&self) -> Vec<String> {
        let events = self.core.journal.read(0, std::time::Duration::ZERO);
        events.into_iter().map(|event| format!("{}: {}", event.what, event.text)).collect()
    }

    fn explain(&self, tunnel: &str) -> crate::api::reply::Explain {
        match self.core.explain(&TunnelName { tunnel: tunnel.into() }) {
            Ok(Reply::Explain(explain)) => explain,
            other => panic!("{other:?}"),
        }
    }

    /// What an operator sees.
    fn view(&mut self) -> Seen {
        self.core.renew_view();
        let Reply::Tunnels { tunnels, next: None } = self.core.tunnel_rows(Page::default()) else { panic!() };
        let Reply::Sas { sas, next: None } = self.core.sa_rows(Page::default()) else { panic!() };
        Seen { view: self.core.view.load_full(), tunnels, sas }
    }
}

/// What an operator sees of a moment.
struct Seen {
    view: Arc<View>,
    tunnels: Vec<Tunnel>,
    sas: Vec<Sa>,
}

impl std::ops::Deref for Seen {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

fn v4(source: Ipv4Addr, destination: Ipv4Addr, length: usize, dont_fragment: bool) -> Vec<u8> {
    let mut packet = vec![0; length];
    let header = ipv4::Repr {
        traffic_class: 0,
        total_length: length as u16,
        id: 7,
        dont_fragment,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: protocol::UDP,
        source,
        destination,
    };
    header.emit(&mut packet).unwrap();
    let datagram =
        udp::Repr { source: 7000, destination: 7000, length: (length - ipv4::Repr::LEN) as u16, checksum: 0 };
    datagram.emit(&mut packet[ipv4::Repr::LEN..]).unwrap();
    packet
}

fn v6(length: usize) -> Vec<u8> {
    let mut packet = vec![0; length];
    let header = ipv6::Repr {
        traffic_class: 0,
        flow_label: 0,
        payload_length: (length - ipv6::Repr::LEN) as u16,
        next_header: protocol::UDP,
        hop_limit: 64,
        source: HOST6,
        destination: BEHIND6,
    };
    header.emit(&mut packet).unwrap();
    let length = (length - ipv6::Repr::LEN) as u16;
    udp::Repr { source: 7000, destination: 7000, length, checksum: 0 }
        .emit(&mut packet[ipv6::Repr::LEN..])
        .unwrap();
    packet
}

fn is_esp(packet: &[u8]) -> bool {
    ipv4::Header::parse(packet).is_ok_and(|header| header.protocol() == protocol::ESP)
}

fn is_ike(packet: &[u8]) -> bool {
    packet[9] == protocol::UDP && packet[20..22] == 500u16.to_be_bytes()
}

/// A router on the way answers one of our packets: at most so many octets pass.
fn too_big(about: &[u8], mtu: usize) -> Vec<u8> {
    let mut error = [0; errors::LONGEST_V6];
    let router = Ipv4Addr::new(192, 0, 2, 254);
    let report = errors::Report::TooBig { mtu };
    let length = errors::compose(report, about, router.into(), 1, &mut error).unwrap();
    error[..length].to_vec()
}

fn no_nft() -> Event {
    Event::Fault { wall: Wall::Cage, error: InstanceError::NftMissing }
}

/// The walls of an instance fall: not one frame passes its ports, its tunnels refuse by name, and everybody
/// who asks is told in one line. They stand again: all of it works as before.
#[test]
fn an_instance_whose_walls_fall_forwards_nothing_until_they_stand_again() {
    let mut bench = Bench::new();
    let packet = v4(HOST, BEHIND, 100, false);
    assert!(bench.awaits(is_ike), "what is to be up is called");
    let (out, _) = bench.send(&packet);
    assert!(out.iter().any(|packet| is_esp(packet)), "the tunnel carries: {:?}", bench.events());

    bench.tell(no_nft());
    let (out, back) = bench.send(&packet);
    assert!(out.is_empty() && back.is_empty(), "a frame left a port that is out of service");
    // To the peer in clear, which its route would allow; and from outside, ours by address.
    let (out, back) = bench.send(&v4(HOST, PEER, 100, false));
    assert!(out.is_empty() && back.is_empty());
    bench.arrive(WAN, &v4(PEER, OURS, 100, false));
    assert!(bench.left(WAN).is_empty() && bench.left(LAN).is_empty());

    let view = bench.view();
    for tunnel in view.tunnels.iter() {
        assert_eq!((tunnel.state, tunnel.reason_code.as_str()), (State::Down, "RV-INST-002"), "{tunnel:?}");
        assert!(tunnel.reason.starts_with("instance default is out of service: the program `nft`"));
        assert!(tunnel.children.iter().all(|child| child.state == State::Down));
        let explain = bench.explain(&tunnel.name);
        assert_eq!((explain.code.as_str(), &explain.verdict), ("RV-INST-002", &tunnel.reason));
    }
    assert!(view.findings.iter().any(|finding| finding.severity == "error"));
    let name = Part { tunnel: "called".into(), child: None };
    let refused = bench.core.answer(&Request::Initiate(name.clone()));
    assert!(matches!(&refused, Err(ApiError::Refused { why }) if why.contains("RV-INST-002")), "{refused:?}");
    let events = bench.events();
    assert_eq!(events.iter().filter(|event| event.starts_with("instance-")).count(), 2, "{events:?}");

    bench.tell(Event::Mended(Wall::Cage));
    assert!(bench.awaits(is_ike), "what is to be up is called again");
    let (out, _) = bench.send(&packet);
    assert!(out.iter().any(|packet| is_esp(packet)), "the tunnel carries again");
    assert!(bench.core.answer(&Request::Initiate(name)).is_ok());
    assert_eq!(bench.view().tunnels[1].state, State::Up);
    assert!(bench.events().iter().any(|event| event == "instance-in: default: in service again"));
}

/// A port without a link has twins without a carrier; another device's link is nobody's concern.
#[test]
fn the_link_of_a_device_is_the_link_of_its_port() {
    let mut bench = Bench::new();
    let link = |device: &str, carrier| {
        Event::Changed(Change::Link(crate::instance::Link {
            interface: device.into(),
            index: 3,
            mac: None,
            mtu: 1500,
            up: true,
            carrier,
        }))
    };
    bench.tell(link("eth1", true));
    bench.tell(link("eth9", false));
    assert!(bench.view().ports.iter().all(|port| port.link_up));
    bench.tell(link("eth1", false));
    bench.tell(link("eth1", false));
    let up: Vec<bool> = bench.view().ports.iter().map(|port| port.link_up).collect();
    assert_eq!((up[LAN], up[WAN]), (true, false));
    bench.tell(link("eth1", true));
    let events: Vec<_> = bench.events().into_iter().filter(|event| event.starts_with("port-")).collect();
    assert_eq!(events, ["port-down: port wan has lost its link", "port-up: port wan has its link again"]);
}

/// The outer sequence number of the ESP packet that left.
fn sequence(left: &[Vec<u8>]) -> u32 {
    let esp = left.iter().find(|packet| is_esp(packet)).expect("an ESP packet");
    u32::from_be_bytes(esp[24..28].try_into().unwrap())
}

fn spi(left: &[Vec<u8>]) -> Option<u32> {
    let esp = left.iter().find(|packet| is_esp(packet))?;
    Some(u32::from_be_bytes(esp[20..24].try_into().unwrap()))
}

const MORE: &str = r#"
[tunnel.more]
local = "192.0.2.2"
remote = "192.0.2.1"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.7.0.0/24"]
[tunnel.more.manual]
suite = "aes128gcm16"
inbound-spi = 0x2001
inbound-key = "000102030405060708090a0b0c0d0e0f10111213"
outbound-spi = 0x2002
outbound-key = "202122232425262728292a2b2c2d2e2f30313233"
"#;

/// A tunnel comes, another is changed, one goes; what nobody touched goes on with its next sequence number,
/// and what is gone is dropped, not sent in clear.
#[test]
fn another_configuration_touches_only_what_is_other() {
    let mut bench = Bench::new();
    let (old, new) = (v4(HOST, BEHIND, 100, false), v4(HOST, Ipv4Addr::new(10, 7, 0, 2), 100, false));
    let first = sequence(&bench.send(&old).0);
    assert_eq!(spi(&bench.send(&new).0), None, "not configured yet");

    let applied = bench.apply(&format!("{}{MORE}", PLAN.replace("correct horse", "battery staple")));
    assert_eq!((applied.added, applied.changed), (vec!["more".to_owned()], vec!["called".to_owned()]));
    assert_eq!((applied.untouched, applied.removed.len(), applied.replaced.len()), (1, 0, 0));
    assert_eq!(spi(&bench.send(&new).0), Some(0x2002));
    assert_eq!(sequence(&bench.send(&old).0), first + 1, "its SA was not touched");
    assert_eq!(bench.view().tunnels.len(), 3);

    let rest = PLAN.find("[tunnel.called]").unwrap();
    let fixed = PLAN.find("[tunnel.fixed]").unwrap();
    let applied = bench.apply(&format!("{}{}{MORE}", &PLAN[..fixed], &PLAN[rest..]));
    assert_eq!((applied.removed, applied.untouched), (vec!["fixed".to_owned()], 1));
    let (out, back) = bench.send(&old);
    assert!(!out.iter().any(|packet| is_esp(packet)) && back.is_empty());
    assert!(out.iter().all(|packet| is_ike(packet)), "nothing in clear: {out:?}");
    assert_eq!(sequence(&bench.send(&new).0), 2, "the other goes on");
    let name = Part { tunnel: "fixed".into(), child: None };
    assert!(matches!(bench.core.answer(&Request::Terminate(name)), Err(ApiError::NotFound { .. })));

    // It comes back with other keys, under a number that nobody uses any more.
    let applied = bench.apply(&format!("{}{MORE}", PLAN.replace("0x1002", "0x1009")));
    assert_eq!(applied.added, ["fixed"]);
    let (out, _) = bench.send(&old);
    assert_eq!((spi(&out), sequence(&out)), (Some(0x1009), 1));
    let counted = bench.view().tunnels.iter().find(|t| t.name == "fixed").unwrap().children[0].out_packets;
    assert_eq!(counted, 1, "what its last owner sent is not its own");
}

/// A tunnel whose SAs cannot stay is closed and opened anew; and one that comes while its instance is out of
/// service waits for it.
#[test]
fn a_replaced_tunnel_and_one_that_waits_for_its_instance() {
    let mut bench = Bench::new();
    let old = v4(HOST, BEHIND, 100, false);
    assert_eq!(sequence(&bench.send(&old).0), 1);
    let applied = bench.apply(&PLAN.replace("20212223", "30313233"));
    assert_eq!(applied.replaced, ["fixed"]);
    assert_eq!(sequence(&bench.send(&old).0), 1, "another key, another count");
    bench.tell(no_nft());
    bench.apply(&format!("{PLAN}{MORE}"));
    let new = v4(HOST, Ipv4Addr::new(10, 7, 0, 2), 100, false);
    assert!(bench.send(&new).0.is_empty());
    bench.tell(Event::Mended(Wall::Cage));
    assert_eq!(spi(&bench.send(&new).0), Some(0x2002));
}

/// A dry run changes nothing.
#[test]
fn comparing_changes_nothing() {
    let mut bench = Bench::new();
    let report = bench.core.compare(&plan(&format!("workers.count = 2\n{PLAN}{MORE}")));
    assert!(report.dry_run && report.added == ["more"] && report.needs_restart == ["workers"]);
    assert_eq!(bench.view().tunnels.len(), 2);
}

/// A second wall that falls and stands again does not bring an instance back whose first is still down.
#[test]
fn an_instance_returns_when_all_its_walls_stand() {
    let mut bench = Bench::new();
    bench.tell(no_nft());
    let error = InstanceError::CagedDeviceHasAddress { device: "eth1".into(), addresses: Vec::new() };
    bench.tell(Event::Fault { wall: Wall::Addresses, error });
    bench.tell(Event::Mended(Wall::Addresses));
    assert!(bench.send(&v4(HOST, BEHIND, 100, false)).0.is_empty());
    bench.tell(Event::Mended(Wall::Cage));
    assert!(!bench.send(&v4(HOST, BEHIND, 100, false)).0.is_empty());
}

/// A narrower path: senders whose packets may not be cut are told what fits, other packets are cut to fit,
/// and an IPv6 packet that every link must carry gets through in pieces (RFC 2473 §7.1).
#[test]
fn a_narrow_path_is_learned_and_senders_are_told() {
    let mut bench = Bench::new();
    let (out, back) = bench.send(&v4(HOST, BEHIND, 1400, true));
    let esp = out.into_iter().find(|packet| is_esp(packet)).expect("it fits as yet");
    assert!(back.is_empty() && esp.len() > 1400);

    bench.arrive(WAN, &too_big(&esp, 1300));
    let (out, back) = bench.send(&v4(HOST, BEHIND, 1400, true));
    assert!(!out.iter().any(|packet| is_esp(packet)), "too large for the path");
    let told = ipv4::Header::parse(back.first().expect("the sender is told")).unwrap();
    let message = icmp::Header::parse(told.payload()).unwrap();
    let mtu = usize::from(message.mtu_v4());
    assert!((1200..1300).contains(&mtu), "{mtu}");
    assert_eq!(told.destination(), HOST);
    let (out, _) = bench.send(&v4(HOST, BEHIND, mtu, true));
    let whole = out.iter().find(|packet| is_esp(packet)).expect("what was told fits");
    assert!(whole.len() <= 1300 && whole.len() > 1280);

    let (out, _) = bench.send(&v4(HOST, BEHIND, 1400, false));
    let pieces: Vec<_> = out.iter().filter(|packet| is_esp(packet)).map(Vec::len).collect();
    assert!(pieces.len() == 2 && pieces.iter().all(|length| *length <= 1300), "{pieces:?}");
    let (out, _) = bench.send(&v6(1280));
    let pieces: Vec<_> = out.iter().filter(|packet| is_esp(packet)).map(Vec::len).collect();
    assert!(pieces.len() == 2 && pieces.iter().all(|length| *length <= 1300), "{pieces:?}");

    let view = bench.view();
    let tunnel = view.tunnels.iter().find(|tunnel| tunnel.name == "fixed").unwrap();
    assert_eq!((tunnel.path_mtu, tunnel.path_mtu_learned), (1300, true));
    let rungs = bench.explain("fixed").rungs;
    assert!(rungs.iter().any(|rung| rung.seen.starts_with("1300 octets, learned")), "{rungs:?}");
    assert!(bench.events().contains(&"path-narrowed: from 192.0.2.2 to 192.0.2.1: 1300 octets".to_owned()));

    let later = Instant(bench.core.now().0 + 600_000_000);
    assert_eq!(bench.core.workers.age_paths(later).len(), 1);
    bench.settle();
    let (out, back) = bench.send(&v4(HOST, BEHIND, 1400, true));
    assert!(out.iter().any(|packet| is_esp(packet)) && back.is_empty(), "more is tried again");
}

/// Behind a NAT the SPI is quoted behind the ports; a quote that ends before it proves nothing.
#[test]
fn a_narrow_path_is_learned_from_quoted_udp_too() {
    let text = PLAN.replace("suite =", "udp-encapsulation = true\nsuite =");
    let mut bench = Bench::of(&text);
    let (out, _) = bench.send(&v4(HOST, BEHIND, 1400, true));
    let datagram = out.into_iter().find(|packet| packet[20..22] == 4500u16.to_be_bytes()).unwrap();
    let mut error = too_big(&datagram, 1300);
    bench.arrive(WAN, &shortened(&error, 20 + 8 + 20 + 8));
    assert_eq!(bench.view().tunnels[1].path_mtu, 1500, "ports alone are no proof");
    error = shortened(&error, 20 + 8 + 20 + 8 + 4);
    bench.arrive(WAN, &error);
    assert_eq!(bench.view().tunnels[1].path_mtu, 1300);
}

/// An ICMP error over IPv4 that quotes less.
fn shortened(error: &[u8], length: usize) -> Vec<u8> {
    let header = ipv4::Header::parse(error).unwrap();
    let (source, destination) = (header.source(), header.destination());
    let mut packet = error[..length].to_vec();
    let header = ipv4::Repr {
        traffic_class: 0,
        total_length: length as u16,
        id: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: protocol::ICMP,
        source,
        destination,
    };
    header.emit(&mut packet).unwrap();
    let message = &mut packet[ipv4::Repr::LEN..];
    message[2..4].fill(0);
    let sum = ravelin_dataplane::net::checksum::internet(message);
    icmp::set_checksum(message, sum);
    packet
}

/// RFC 4301 §8.2: whoever has not seen a packet of ours cannot make us believe anything, and nobody can make
/// a path wider, or narrower than any link.
#[test]
fn forged_path_errors_change_nothing() {
    let mut bench = Bench::new();
    let (out, _) = bench.send(&v4(HOST, BEHIND, 1400, true));
    let esp = out.into_iter().find(|packet| is_esp(packet)).unwrap();
    let other_spi = {
        let mut packet = esp.clone();
        packet[20..24].copy_from_slice(&(OUTBOUND_SPI + 1).to_be_bytes());
        packet
    };
    let inbound_spi = {
        let mut packet = esp.clone();
        packet[20..24].copy_from_slice(&0x1001u32.to_be_bytes());
        packet
    };
    let other_peer = {
        let mut packet = esp.clone();
        packet[16..20].copy_from_slice(&[192, 0, 2, 9]);
        packet
    };
    for (about, mtu) in
        [(&other_spi, 1300), (&inbound_spi, 1300), (&other_peer, 1300), (&esp, 1500), (&esp, 500), (&esp, 68)]
    {
        bench.arrive(WAN, &too_big(about, mtu));
        let (out, back) = bench.send(&v4(HOST, BEHIND, 1400, true));
        assert!(out.iter().any(|packet| is_esp(packet)) && back.is_empty(), "{mtu} was believed");
    }
}
