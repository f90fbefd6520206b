//! The cage of an instance against the real kernel: under a port it says nothing, and what cannot be held is a
//! fault. They need root; without it each says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod netns;
mod wire;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use netns::{DEADLINE, ask, device, wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use ravelin_control::instance::{Event, Instance, InstanceError, InstanceSpec, Request, Wall};
use wire::*;

/// The next frame a packet socket sees that satisfies, or `None` at the deadline.
fn sees(socket: &OwnedFd, deadline: Duration, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let (end, mut buffer) = (Instant::now() + deadline, [0u8; 2048]);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        while let Ok(length) = nix::unistd::read(socket, &mut buffer) {
            if wanted(&buffer[..length]) {
                return true;
            }
        }
    }
    false
}

/// Linux answers on any device for any of its addresses. Under a port it must not, while the port sees all;
/// and a firewall reload must not open the cage.
#[test]
fn the_kernel_does_not_speak_through_a_caged_device_and_packet_sockets_still_see() {
    needs_root!();
    let (gateway, host) = wired();
    let handle = Instance::start(public(&gateway)).unwrap();
    let twin = device(&handle);
    let open = || {
        let (kind, flags) = (SockType::Raw, SockFlag::SOCK_NONBLOCK);
        socket(AddressFamily::Packet, kind, flags, SockProtocol::EthAll).unwrap()
    };
    let watcher = handle.run_inside(1, open).unwrap().recv_timeout(DEADLINE).unwrap();
    let is_request = |f: &[u8]| is_icmp(f, ECHO_REQUEST, PEER, GATEWAY);
    let is_reply = |f: &[u8]| is_icmp(f, ECHO_REPLY, GATEWAY, PEER);
    let ping = || host.succeeds("ping -c1 -W1 192.0.2.1");

    // Without the cage the kernel does answer: it routes the reply to the twin.
    ping();
    answer_arp(&twin);
    assert!(frame(&twin, DEADLINE, is_reply).is_some(), "this test would prove nothing");
    assert!(sees(&watcher, DEADLINE, is_request));

    ask(&handle, Request::SetCaged(vec!["under".into()])).unwrap();
    assert_eq!(gateway.run("ip -6 addr show dev under"), "");
    assert!(!ping());
    assert!(sees(&watcher, DEADLINE, is_request), "the port must see the frame");
    assert!(frame(&twin, Duration::from_millis(200), is_reply).is_none(), "the kernel answered");

    gateway.run("nft flush ruleset");
    gateway.until("nft list ruleset", |rules| rules.contains("under") && rules.contains("policy drop"));
    assert!(!ping());
    assert!(frame(&twin, Duration::from_millis(200), is_reply).is_none(), "the cage stayed open");

    gateway.run("ip addr add 198.51.100.1/24 dev under");
    wait(&handle, "fault", |event| {
        let carries = |error: &InstanceError| matches!(error, InstanceError::CagedDeviceHasAddress { .. });
        matches!(event, Event::Fault { wall: Wall::Addresses, error } if carries(&error)).then_some(())
    });
    gateway.run("ip addr del 198.51.100.1/24 dev under");
    mended(&handle, Wall::Addresses);

    ask(&handle, Request::SetCaged(Vec::new())).unwrap();
    assert_eq!(gateway.run("nft list ruleset"), "");
    gateway.until("ip -6 addr show dev under", |text| text.contains("fe80::"));
    handle.stop().unwrap();
}

/// A cage whose device is gone, or has another name, holds nothing while the port is still bound to it: a
/// fault, told once, and so is its end.
#[test]
fn a_cage_that_cannot_be_held_is_a_fault_until_it_can() {
    needs_root!();
    let (gateway, _host) = wired();
    let handle = Instance::start(InstanceSpec { caged: vec!["under".into()], ..public(&gateway) }).unwrap();
    gateway.run("ip link set under down");
    gateway.run("ip link set under name elsewhere");
    let error = wait(&handle, "fault", |event| match event {
        Event::Fault { wall: Wall::Cage, error } => Some(error),
        _ => None,
    });
    assert!(matches!(error, InstanceError::CagedDeviceMissing { .. }), "{error}");
    gateway.run("ip link set elsewhere name under");
    mended(&handle, Wall::Cage);
    assert!(gateway.run("nft list ruleset").contains("policy drop"));
    handle.stop().unwrap();
}

#[test]
fn a_device_with_an_address_or_in_another_namespace_is_not_caged_and_stays_as_it_was() {
    needs_root!();
    let (gateway, _host) = wired();
    gateway.run("ip addr add 198.51.100.1/24 dev under");
    let mut spec = public(&gateway);
    spec.caged = vec!["under".into()];
    let refused = Instance::start(spec.clone()).unwrap_err();
    assert!(refused.to_string().contains("198.51.100.1/24"), "{refused}");
    assert_eq!(gateway.run("sysctl -n net.ipv6.conf.under.disable_ipv6").trim(), "0");
    assert!(!gateway.succeeds("ip link show dev wan0"));
    spec.caged = vec!["elsewhere".into()];
    assert!(matches!(Instance::start(spec), Err(InstanceError::CagedDeviceMissing { .. })));
}

/// The cage outlives a daemon that dies, on purpose; the next start must take it over.
#[test]
fn the_cage_of_a_daemon_that_died_is_taken_over() {
    needs_root!();
    let (gateway, _host) = wired();
    // No process has this number (the kernel's limit is 4194304).
    gateway.run("nft add table netdev ravelin-cage-4194305-0");
    gateway.run("nft add chain netdev ravelin-cage-4194305-0 old { type filter hook ingress device lo priority 0 ; policy drop ; }");
    let handle = Instance::start(public(&gateway)).unwrap();
    assert_eq!(gateway.run("nft list ruleset"), "");
    handle.stop().unwrap();
}

/// The public and the private side may live in one namespace; the cage of one is not the other's to touch,
/// not even for a moment.
#[test]
fn instances_that_share_a_namespace_leave_each_others_cage_alone() {
    needs_root!();
    let (gateway, _host) = wired();
    let first = InstanceSpec { caged: vec!["under".into()], ..public(&gateway) };
    let first = Instance::start(first).unwrap();
    // The handles say whether it is the same table; its counters may count meanwhile.
    let rules = || {
        let (mut words, mut former) = (Vec::new(), "");
        let listing = gateway.run("nft -a list ruleset");
        for word in listing.split_whitespace() {
            words.extend((!matches!(former, "packets" | "bytes")).then(|| word.to_owned()));
            former = word;
        }
        words.join(" ")
    };
    let before = rules();
    let second = Instance::start(InstanceSpec { id: 8, ..private(&gateway) }).unwrap();
    assert_eq!(rules(), before);
    second.stop().unwrap();
    assert_eq!(rules(), before);
    assert!(before.contains("handle") && before.contains("under"));
    first.stop().unwrap();
}
