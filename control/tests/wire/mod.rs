//! An instance on a wire of its own: what it is made of, the host at the other end, and their frames.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ravelin_control::instance::{
    Event, Handle, InstanceSpec, InterfaceSpec, KernelDevice, Namespace, PrivateSpec, Wall,
};

use crate::netns::{DEADLINE, Netns, wait};

pub const TWIN_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

pub fn public(namespace: &Netns) -> InstanceSpec {
    InstanceSpec {
        id: 7,
        name: "pub".into(),
        namespace: Namespace::Named(namespace.0.clone()),
        interfaces: vec![InterfaceSpec {
            port: 3,
            vlan: 0,
            name: "wan0".into(),
            mac: TWIN_MAC,
            mtu: 1400,
            addresses: vec!["192.0.2.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()],
        }],
        private: None,
        caged: Vec::new(),
        receive_buffer: InstanceSpec::RECEIVE_BUFFER,
    }
}

pub fn private(namespace: &Netns) -> InstanceSpec {
    InstanceSpec {
        name: "red".into(),
        interfaces: Vec::new(),
        private: Some(PrivateSpec { mtu: 1380, addresses: vec!["10.0.0.1/32".parse().unwrap()] }),
        ..public(namespace)
    }
}

/// Next frame of a device that satisfies, or `None` at the deadline.
pub fn frame(device: &KernelDevice, deadline: Duration, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let end = Instant::now() + deadline;
    let mut buffer = [0u8; 2048];
    loop {
        let left = end.checked_duration_since(Instant::now())?;
        let mut fds = [PollFd::new(device.device.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        while let Ok(length) = device.device.recv(&mut buffer) {
            if wanted(&buffer[..length]) {
                return Some(buffer[..length].to_vec());
            }
        }
    }
}

/// Plays the peer: waits for an ARP request for `PEER` (RFC 826) and answers it.
pub fn answer_arp(device: &KernelDevice) {
    let is_request =
        |f: &[u8]| f.len() >= 42 && f[12..14] == [8, 6] && f[21] == 1 && f[38..42] == PEER.octets();
    let request = frame(device, DEADLINE, is_request).expect("an ARP request for the peer");
    assert_eq!(request[6..12], TWIN_MAC);
    let mut reply = Vec::new();
    reply.extend(TWIN_MAC);
    reply.extend(PEER_MAC);
    reply.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend(PEER_MAC);
    reply.extend(PEER.octets());
    reply.extend(TWIN_MAC);
    reply.extend(GATEWAY.octets());
    device.device.send(&reply).unwrap();
}

/// An IPv4 ICMP message of this type between these hosts, in an Ethernet frame.
pub fn is_icmp(frame: &[u8], kind: u8, from: Ipv4Addr, to: Ipv4Addr) -> bool {
    frame.len() >= 42
        && frame[12..14] == [8, 0]
        && frame[23] == 1
        && frame[34] == kind
        && frame[26..30] == from.octets()
        && frame[30..34] == to.octets()
}

pub const ECHO_REPLY: u8 = 0;
pub const ECHO_REQUEST: u8 = 8;

/// A gateway's namespace whose device `under` is wired to `host` in another, which holds the address `PEER`
/// and believes `GATEWAY` to be at the MAC of `under`.
pub fn wired() -> (Netns, Netns) {
    let (gateway, host) = (Netns::new(), Netns::new());
    gateway.run(&format!(
        "ip link add under address 02:00:00:00:00:77 type veth peer name host netns {}",
        host.0
    ));
    gateway.run("ip link set under up");
    host.run("ip addr add 192.0.2.2/24 dev host");
    host.run("ip link set host up");
    host.run("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:77 dev host");
    (gateway, host)
}

pub fn mended(handle: &Handle, wanted: Wall) {
    wait(handle, "the end of the fault", |event| {
        matches!(event, Event::Mended(wall) if wall == wanted).then_some(())
    });
}
