//! Instances against the real kernel: every test makes network namespaces of its own and removes them. They
//! hold the walls of an instance: what the kernel may answer, what it may forward, and that we are told what
//! it knows. They need root; without it each says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod netns;
mod wire;

use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netns::{DEADLINE, Netns, ask, change, device, synced, wait};
use wire::*;

use crossbeam::channel::{Receiver, Sender, unbounded};
use ravelin_control::exception::{Exception, FromWorkers, Rate, ToWorkers};
use ravelin_control::instance::{
    Change, Event, Handle, Instance, InstanceError, InstanceSpec, Namespace, PrivateSpec, Request, Role,
    RouteAction, SyncCause, TunnelRoute, Wall,
};

fn peer_resolved(handle: &Handle) {
    let found = change(handle, "resolved neighbour", |change| matches!(change, Change::Neighbour { .. }));
    let expected = Change::Neighbour { interface: "wan0".into(), address: IpAddr::V4(PEER), mac: PEER_MAC };
    assert_eq!(found, expected);
}

#[test]
fn a_twin_has_the_ports_mac_mtu_and_addresses_and_is_told() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let twin = device(&handle);
    assert_eq!((twin.role, &*twin.name), (Role::Twin { port: 3, vlan: 0 }, "wan0"));
    let shown = namespace.run("ip -d addr show dev wan0");
    for expected in ["02:00:00:00:00:01", "mtu 1400", "192.0.2.1/24", "2001:db8::1/64", "tap", "UP"] {
        assert!(shown.contains(expected), "{expected} is missing in {shown}");
    }
    change(
        &handle,
        "our address",
        |change| matches!(change, Change::Address { network, .. } if network.to_string() == "192.0.2.1/24"),
    );
    change(
        &handle,
        "the connected route",
        |change| matches!(change, Change::Route(route) if route.destination.to_string() == "192.0.2.0/24"),
    );
    synced(&handle, SyncCause::Start);
    let v6 = change(
        &handle,
        "our IPv6 address, after duplicate detection",
        |change| matches!(change, Change::Address { network, .. } if network.to_string() == "2001:db8::1/64"),
    );
    assert!(matches!(v6, Change::Address { interface, .. } if &*interface == "wan0"));
    handle.stop().unwrap();
}

#[test]
fn addresses_and_carrier_follow_requests() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let _twin = device(&handle);
    let addresses = vec!["192.0.2.9/24".parse().unwrap()];
    ask(&handle, Request::SetAddresses { interface: "wan0".into(), addresses }).unwrap();
    let shown = namespace.run("ip addr show dev wan0");
    assert!(shown.contains("192.0.2.9/24") && !shown.contains("192.0.2.1/24"), "{shown}");
    ask(&handle, Request::SetCarrier { interface: "wan0".into(), up: false }).unwrap();
    namespace.until("ip link show dev wan0", |text| text.contains("NO-CARRIER"));
    ask(&handle, Request::RemoveInterface("wan0".into())).unwrap();
    assert!(!namespace.succeeds("ip link show dev wan0"));
    let unknown = ask(&handle, Request::RemoveInterface("wan0".into()));
    assert!(matches!(unknown, Err(InstanceError::UnknownInterface { .. })));
    handle.stop().unwrap();
}

#[test]
fn a_peer_that_answers_arp_is_told_as_neighbour() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let twin = device(&handle);
    let mut ping = Command::new("ip")
        .args(["netns", "exec", &namespace.0, "ping", "-c1", "-W1", "192.0.2.2"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    answer_arp(&twin);
    peer_resolved(&handle);
    namespace.run("ip neigh del 192.0.2.2 dev wan0");
    change(&handle, "the neighbour's end", |change| matches!(change, Change::NeighbourGone { .. }));
    ping.wait().unwrap();
    handle.stop().unwrap();
}

/// Workers forward past the kernel, so nothing else would ever ask for this next hop.
#[test]
fn a_next_hop_in_use_is_resolved_without_traffic_and_resolved_again_after_a_flush() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let twin = device(&handle);
    let keep = || Request::KeepNeighbour { interface: "wan0".into(), address: PEER.into() };
    ask(&handle, keep()).unwrap();
    answer_arp(&twin);
    peer_resolved(&handle);
    let shown = namespace.run("ip neigh show dev wan0");
    assert!(shown.contains("managed"), "{shown}");
    namespace.run("ip link set wan0 down");
    change(&handle, "the flushed neighbour", |change| matches!(change, Change::NeighbourGone { .. }));
    namespace.run("ip link set wan0 up");
    answer_arp(&twin);
    peer_resolved(&handle);
    ask(&handle, Request::ReleaseNeighbour { interface: "wan0".into(), address: PEER.into() }).unwrap();
    // Somebody may still send to it: it stays while it answers.
    assert!(namespace.run("ip neigh show dev wan0").contains("managed"));
    handle.stop().unwrap();
}

/// A gateway that comes back with thousands of tunnels has their routes to install, and a thousand peers calling: the
/// next hop their answers go over does not wait for the routes.
#[test]
fn a_next_hop_does_not_wait_for_the_routes_of_all_tunnels() {
    const ROUTES: u32 = 20_000;
    needs_root!();
    let namespace = Netns::new();
    let private = Some(PrivateSpec { mtu: 1380, addresses: Vec::new() });
    let handle = Instance::start(InstanceSpec { private, ..public(&namespace) }).unwrap();
    let (twin, _tunnels) = (device(&handle), device(&handle));
    for number in 0..ROUTES {
        let destination = IpAddr::from((0x0a00_0001 + number).to_be_bytes()).into();
        let route = TunnelRoute { destination, metric: 0, source: None };
        handle.request(0, Request::AddRoute(route)).unwrap();
    }
    let mut installed = 0;
    let count = |event: &Event, installed: &mut u32| {
        if let Event::Answer { ticket: 0, outcome } = event {
            assert!(outcome.is_ok(), "{outcome:?}");
            *installed += 1;
        }
    };
    wait(&handle, "routes", |event| {
        count(&event, &mut installed);
        (installed == ROUTES / 10).then_some(())
    });
    handle.request(1, Request::KeepNeighbour { interface: "wan0".into(), address: PEER.into() }).unwrap();
    answer_arp(&twin);
    wait(&handle, "next hop", |event| {
        count(&event, &mut installed);
        matches!(event, Event::Changed(Change::Neighbour { .. })).then_some(())
    });
    assert!(installed < ROUTES / 2, "{installed} routes were installed first");
    handle.stop().unwrap();
}

/// The kernel sees no forwarded traffic: what it has learned by itself would go stale and be dropped under
/// that traffic. What an administrator has fixed stays as it is.
#[test]
fn a_neighbour_the_kernel_has_learned_by_itself_is_kept_from_then_on() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let twin = device(&handle);
    namespace.run("ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:99 nud permanent dev wan0");
    // The peer asks for the gateway: the kernel answers, and now knows the peer without having asked.
    let mut arp = [&[0xff; 6][..], &PEER_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &PEER_MAC].concat();
    arp.extend(PEER.octets());
    arp.extend([0; 6]);
    arp.extend(GATEWAY.octets());
    twin.device.send(&arp).unwrap();
    change(&handle, "the peer", |change| matches!(change, Change::Neighbour { mac: PEER_MAC, .. }));
    namespace.until("ip neigh show 192.0.2.2 dev wan0", |text| text.contains("managed"));
    // It was learned stale: the kernel asks for it although nothing of its own is to be sent there.
    let solicits =
        |f: &[u8]| f.len() >= 42 && f[12..14] == [8, 6] && f[21] == 1 && f[38..42] == PEER.octets();
    assert!(frame(&twin, 2 * DEADLINE, solicits).is_some(), "nobody asked for the stale neighbour");
    let shown = namespace.run("ip neigh show 192.0.2.77 dev wan0");
    assert!(shown.contains("PERMANENT") && !shown.contains("managed"), "{shown}");
    handle.stop().unwrap();
}

#[test]
fn routes_of_the_main_table_are_mirrored_but_not_ours() {
    needs_root!();
    let namespace = Netns::new();
    let mut spec = public(&namespace);
    spec.private = Some(PrivateSpec { mtu: 1380, addresses: Vec::new() });
    let handle = Instance::start(spec).unwrap();
    let _devices = (device(&handle), device(&handle));
    synced(&handle, SyncCause::Start);
    let tunnel = TunnelRoute { destination: "10.0.0.0/8".parse().unwrap(), metric: 0, source: None };
    ask(&handle, Request::AddRoute(tunnel)).unwrap();
    ask(&handle, Request::AddRoute(tunnel)).unwrap();
    let shown = namespace.run("ip route show 10.0.0.0/8");
    assert!(shown.contains("dev rv-pub proto 82"), "{shown}");
    namespace.run("ip route add 198.51.100.0/24 via 192.0.2.2 metric 5");
    let is_v4 = |route: &ravelin_control::instance::Route| route.destination.addr().is_ipv4();
    let told = change(&handle, "the route", |change| matches!(change, Change::Route(r) if is_v4(r)));
    let Change::Route(route) = told else { panic!() };
    assert_eq!((route.destination.to_string().as_str(), route.metric), ("198.51.100.0/24", 5));
    let RouteAction::Forward(hops) = route.action else { panic!("{:?}", route.action) };
    assert_eq!((&*hops[0].interface, hops[0].gateway), ("wan0", Some(IpAddr::V4(PEER))));
    namespace.run("ip -6 route add 2001:db8:1::/48 via 2001:db8::2 dev wan0");
    change(
        &handle,
        "the IPv6 route",
        |change| matches!(change, Change::Route(route) if route.destination.to_string() == "2001:db8:1::/48"),
    );
    namespace.run("ip route add blackhole 203.0.113.0/24");
    change(
        &handle,
        "the blackhole",
        |change| matches!(change, Change::Route(route) if route.action == RouteAction::Blackhole),
    );
    namespace.run("ip route del 198.51.100.0/24");
    change(
        &handle,
        "the removal",
        |change| matches!(change, Change::RouteGone { destination, metric: 5 } if destination.to_string() == "198.51.100.0/24"),
    );
    ask(&handle, Request::RemoveRoute(tunnel)).unwrap();
    assert_eq!(namespace.run("ip route show 10.0.0.0/8"), "");
    handle.stop().unwrap();
}

/// The kernel removes IPv4 routes without a word when their link goes down.
#[test]
fn routes_that_vanish_silently_with_their_link_are_told() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let _twin = device(&handle);
    namespace.run("ip route add 198.51.100.0/24 via 192.0.2.2");
    change(
        &handle,
        "the route",
        |change| matches!(change, Change::Route(route) if route.destination.to_string() == "198.51.100.0/24"),
    );
    namespace.run("ip link set wan0 down");
    change(
        &handle,
        "the removal",
        |change| matches!(change, Change::RouteGone { destination, .. } if destination.to_string() == "198.51.100.0/24"),
    );
    handle.stop().unwrap();
}

/// Every way the kernel tells parts of a multipath route must end in the whole of it: what is told is folded
/// as a reader would, and compared with what the kernel holds.
#[test]
fn multipath_routes_and_next_hop_objects_end_as_the_kernel_has_them() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let _twin = device(&handle);
    let mut told = std::collections::BTreeMap::new();
    let mut expect = |command: &str, destination: &str, gateways: &[(&str, u16)]| {
        namespace.run(command);
        let wanted: Vec<(IpAddr, u16)> = gateways.iter().map(|(g, w)| (g.parse().unwrap(), *w)).collect();
        wait(&handle, command, |event| {
            match event {
                Event::Changed(Change::Route(route)) => {
                    told.insert(route.destination.to_string(), route.action);
                }
                Event::Changed(Change::RouteGone { destination, .. }) => {
                    told.remove(&destination.to_string());
                }
                _ => return None,
            }
            let hops = match told.get(destination) {
                Some(RouteAction::Forward(hops)) => hops.as_slice(),
                _ => &[],
            };
            let found: Vec<_> = hops.iter().map(|hop| (hop.gateway.unwrap(), hop.weight)).collect();
            (found == wanted).then_some(())
        });
    };
    let (v4, v6, by_id) = ("198.51.100.0/24", "2001:db8:1::/48", "203.0.113.0/24");
    let (a, b) = ("192.0.2.2", "192.0.2.3");
    let add = format!("ip route add {v4} nexthop via {a} nexthop via {b} weight 3");
    expect(&add, v4, &[(a, 1), (b, 3)]);
    expect(&format!("ip route replace {v4} via {b}"), v4, &[(b, 1)]);
    expect(&format!("ip route del {v4}"), v4, &[]);
    let (c, d) = ("2001:db8::2", "2001:db8::3");
    expect(&format!("ip -6 route add {v6} via {c} dev wan0"), v6, &[(c, 1)]);
    expect(&format!("ip -6 route append {v6} via {d} dev wan0"), v6, &[(c, 1), (d, 1)]);
    expect(&format!("ip -6 route del {v6} via {c} dev wan0"), v6, &[(d, 1)]);
    namespace.run(&format!("ip nexthop add id 10 via {a} dev wan0"));
    expect(&format!("ip route add {by_id} nhid 10"), by_id, &[(a, 1)]);
    expect(&format!("ip nexthop replace id 10 via {b} dev wan0"), by_id, &[(b, 1)]);
    expect("ip nexthop del id 10", by_id, &[]);
    handle.stop().unwrap();
}

#[test]
fn another_ones_route_is_never_replaced_nor_removed() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(private(&namespace)).unwrap();
    let _tun = device(&handle);
    namespace.run("ip route add blackhole 10.0.0.0/8");
    let tunnel = TunnelRoute { destination: "10.0.0.0/8".parse().unwrap(), metric: 0, source: None };
    let refused = ask(&handle, Request::AddRoute(tunnel));
    assert!(matches!(refused, Err(InstanceError::RouteTaken { .. })), "{refused:?}");
    ask(&handle, Request::RemoveRoute(tunnel)).unwrap();
    assert!(namespace.run("ip route show 10.0.0.0/8").contains("blackhole"));
    handle.stop().unwrap();
}

/// DP-50: two instances with the same private addresses share nothing.
#[test]
fn two_private_instances_with_the_same_network_do_not_leak_into_each_other() {
    needs_root!();
    let (red, blue) = (Netns::new(), Netns::new());
    let handles = [Instance::start(private(&red)).unwrap(), Instance::start(private(&blue)).unwrap()];
    let tuns = [device(&handles[0]), device(&handles[1])];
    let tunnel = TunnelRoute { destination: "10.0.0.0/8".parse().unwrap(), metric: 0, source: None };
    for handle in &handles {
        ask(handle, Request::AddRoute(tunnel)).unwrap();
    }
    assert!(!red.succeeds("ping -c1 -W1 10.1.1.1"));
    let is_ping = |p: &[u8]| p.len() >= 28 && p[0] >> 4 == 4 && p[9] == 1;
    let packet = frame(&tuns[0], DEADLINE, is_ping).expect("the ping in its own tunnel device");
    assert_eq!((&packet[12..16], &packet[16..20]), (&[10, 0, 0, 1][..], &[10, 1, 1, 1][..]));
    let none = frame(&tuns[1], Duration::from_millis(100), |_| true);
    assert_eq!(none, None, "the other instance saw something");
    for (mine, other) in [(0, 1), (1, 0)] {
        // The same ping comes back through a tunnel: swapped addresses, an echo request for the box.
        let mut request = packet.clone();
        request[12..16].copy_from_slice(&[10, 1, 1, 1]);
        request[16..20].copy_from_slice(&[10, 0, 0, 1]);
        tuns[mine].device.send(&request).unwrap();
        let reply = frame(&tuns[mine], DEADLINE, |p| is_ping(p) && p[20] == 0).expect("an echo reply");
        assert_eq!(reply[16..20], [10, 1, 1, 1]);
        assert_eq!(frame(&tuns[other], Duration::from_millis(100), |_| true), None);
    }
    handles.into_iter().for_each(|handle| handle.stop().unwrap());
}

#[test]
fn forwarding_is_switched_off_and_held_off() {
    needs_root!();
    let namespace = Netns::new();
    let settings = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.lo.forwarding"];
    for setting in settings {
        namespace.run(&format!("sysctl -qw {setting}=1"));
    }
    let handle = Instance::start(public(&namespace)).unwrap();
    for setting in settings {
        assert_eq!(namespace.run(&format!("sysctl -n {setting}")).trim(), "0", "{setting}");
        namespace.run(&format!("sysctl -qw {setting}=1"));
        namespace.until(&format!("sysctl -n {setting}"), |value| value.trim() == "0");
    }
    namespace.run("sysctl -qw net.ipv4.conf.wan0.forwarding=1");
    namespace.until("sysctl -n net.ipv4.conf.wan0.forwarding", |value| value.trim() == "0");
    handle.stop().unwrap();
}

/// The kernel drops notifications when we are slower than its changes; nothing may stay unknown.
#[test]
fn an_overflow_of_notifications_leads_to_a_full_comparison() {
    needs_root!();
    const ROUTES: usize = 3000;
    let namespace = Netns::new();
    let handle = Instance::start(InstanceSpec { receive_buffer: 4096, ..public(&namespace) }).unwrap();
    let _twin = device(&handle);
    synced(&handle, SyncCause::Start);
    // The flood runs on the instance's own thread, so that nobody reads notifications meanwhile.
    let flood = || {
        let mut batch = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut lines = String::new();
        for n in 0..ROUTES {
            lines += &format!("route add 10.{}.{}.0/24 via 192.0.2.2\n", n / 250, n % 250);
        }
        batch.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        batch.wait().unwrap().success()
    };
    let done = handle.run_inside(1, flood).unwrap();
    assert!(done.recv_timeout(DEADLINE).unwrap());
    let mut told = 0;
    let changes = wait(&handle, "sync after the overflow", |event| match event {
        Event::Changed(Change::Route(_)) => {
            told += 1;
            None
        }
        Event::Synced { cause: SyncCause::Overflow, changes } => Some(changes),
        _ => None,
    });
    assert!(told >= ROUTES && changes > 0, "{told} of {ROUTES} routes told, {changes} by the comparison");
    handle.stop().unwrap();
}

#[test]
fn a_namespace_that_is_missing_and_a_device_that_exists_are_refused_by_name() {
    needs_root!();
    let namespace = Netns::new();
    namespace.run("ip tuntap add dev wan0 mode tap");
    let exists = Instance::start(public(&namespace)).unwrap_err();
    assert!(matches!(exists, InstanceError::DeviceExists { .. }), "{exists}");
    assert!(namespace.succeeds("ip link show dev wan0"), "somebody else's device was removed");
    let mut spec = public(&namespace);
    spec.namespace = Namespace::Named("rvt-no-such".into());
    let missing = Instance::start(spec).unwrap_err();
    assert!(missing.to_string().contains("ip netns add rvt-no-such"), "{missing}");
}

#[test]
fn a_stopped_instance_leaves_nothing_behind() {
    needs_root!();
    let namespace = Netns::new();
    namespace.run("ip link add under type veth peer name other");
    namespace.run("ip link set lo up");
    let state = "ip -o link; ip route; ip -6 route; ip neigh; nft list ruleset; sysctl net.ipv6.conf.under.disable_ipv6";
    let script = |all: &str| -> String { all.split("; ").map(|one| namespace.run(one)).collect() };
    let before = script(state);
    let mut spec = public(&namespace);
    spec.private = Some(PrivateSpec { mtu: 1380, addresses: vec!["10.0.0.1/32".parse().unwrap()] });
    spec.caged = vec!["under".into()];
    let handle = Instance::start(spec).unwrap();
    let devices = [device(&handle), device(&handle)];
    let tunnel = TunnelRoute { destination: "10.0.0.0/8".parse().unwrap(), metric: 0, source: None };
    ask(&handle, Request::AddRoute(tunnel)).unwrap();
    ask(&handle, Request::KeepNeighbour { interface: "wan0".into(), address: PEER.into() }).unwrap();
    assert_ne!(script(state), before);
    handle.stop().unwrap();
    assert_eq!(script(state), before);
    drop(devices);
}

/// Somebody who sets forwarding as often as we take it back is a fault, and stays one until he stops.
#[test]
fn forwarding_that_is_fought_over_is_a_fault_until_it_is_not() {
    needs_root!();
    let namespace = Netns::new();
    let handle = Instance::start(public(&namespace)).unwrap();
    let _twin = device(&handle);
    synced(&handle, SyncCause::Start);
    let fault = |event| match event {
        Event::Fault { wall: Wall::Forwarding, error } => Some(error),
        _ => None,
    };
    let end = Instant::now() + 6 * DEADLINE;
    let error = loop {
        namespace.run("sysctl -qw net.ipv4.ip_forward=1");
        namespace.until("sysctl -n net.ipv4.ip_forward", |value| value.trim() == "0");
        if let Some(error) = handle.events().try_iter().find_map(fault) {
            break error;
        }
        assert!(Instant::now() < end, "no fault");
    };
    assert!(matches!(error, InstanceError::ForwardingNotHeld { .. }), "{error}");
    // A whole tick without a correction, and up to one before it.
    let wide = Instant::now() + 3 * DEADLINE;
    while !matches!(handle.events().recv_deadline(wide).unwrap(), Event::Mended(Wall::Forwarding)) {}
    handle.stop().unwrap();
}

/// What the workers would be: channels.
struct Rings(Receiver<(Role, Vec<u8>)>, Sender<(Role, Vec<u8>)>);

impl FromWorkers for Rings {
    fn drain(&mut self, limit: usize, deliver: &mut dyn FnMut(Role, &[u8])) -> usize {
        self.0.try_iter().take(limit).map(|(role, bytes)| deliver(role, &bytes)).count()
    }
}

impl ToWorkers for Rings {
    fn offer(&mut self, role: Role, bytes: &[u8]) -> bool {
        self.1.send((role, bytes.to_vec())).is_ok()
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let sum: u32 =
        bytes.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], *c.get(1).unwrap_or(&0)]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(((sum & 0xffff) + (sum >> 16)) as u16)).to_be_bytes()
}

fn echo_request() -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0];
    ip.extend(PEER.octets());
    ip.extend(GATEWAY.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut icmp = vec![ECHO_REQUEST, 0, 0, 0, 0, 7, 0, 1];
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    [&TWIN_MAC[..], &PEER_MAC, &[8, 0], &ip, &icmp].concat()
}

/// DESIGN: exactly one echo reply. Through the exception thread, with everything in place at once.
#[test]
fn a_punted_echo_request_is_answered_exactly_once_through_the_exception_thread() {
    needs_root!();
    let (gateway, _host) = wired();
    let mut spec = public(&gateway);
    spec.caged = vec!["under".into()];
    let handle = Instance::start(spec).unwrap();
    let ((punt, rings), (out, inject)) = (unbounded(), unbounded());
    let exception = Exception::start(Rings(rings, out)).unwrap();
    let twin = device(&handle);
    let role = twin.role;
    let counters = exception.attach(twin, Rate::default());
    let next = |wanted: &dyn Fn(&[u8]) -> bool| {
        let end = Instant::now() + DEADLINE;
        loop {
            let (from, bytes): (Role, Vec<u8>) = inject.recv_deadline(end).unwrap();
            assert_eq!(from, role);
            if wanted(&bytes) {
                return bytes;
            }
        }
    };
    // The peer asks for the gateway, as it would before a ping (RFC 826).
    let mut arp = [&[0xff; 6][..], &PEER_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &PEER_MAC].concat();
    arp.extend(PEER.octets());
    arp.extend([0; 6]);
    arp.extend(GATEWAY.octets());
    punt.send((role, arp)).unwrap();
    let reply = next(&|f| f[12..14] == [8, 6] && f[21] == 2);
    assert_eq!(reply[22..28], TWIN_MAC);
    let is_reply = |f: &[u8]| is_icmp(f, ECHO_REPLY, GATEWAY, PEER);
    punt.send((role, echo_request())).unwrap();
    assert_eq!(next(&is_reply)[..6], PEER_MAC);
    let end = Instant::now() + Duration::from_millis(200);
    while let Ok((_, bytes)) = inject.recv_deadline(end) {
        assert!(!is_reply(&bytes), "a second echo reply");
    }
    assert!(counters.to_kernel.read().frames >= 2 && counters.from_kernel.read().frames >= 2);
    // The device vanishes under the thread; it must not mind.
    handle.stop().unwrap();
    assert!(exception.stop());
}
