//! Two gateways of one make, joined by a wire: us with as many workers as wanted, and the peer with one.

use std::time::Duration;

use super::*;

/// Host 2 of a network on a side: ours is 2, the peer's 1.
pub(super) fn host(side: u8, network: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, side, network, 2)
}

/// One side of a tunnel between two gateways, ours 2 and the peer 1; `lines` end the tunnel's table.
pub(super) fn one_tunnel(ours: u8, lines: &str) -> String {
    let theirs = 3 - ours;
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.{ours}/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.{ours}.0.1/16"] }}
[tunnel.net]
local = "192.0.2.{ours}"
remote = "192.0.2.{theirs}"
psk = "correct horse"
{lines}
"#
    )
}

impl Bench {
    /// Lets time pass as the loop sees it, a look at the workers at a time.
    pub(super) fn pass(&mut self, looks: u64) {
        for _ in 0..looks {
            self.core.started -= Duration::from_micros(crate::daemon::pulse::EVERY_US);
            self.settle();
        }
    }
}

/// Us and the peer.
pub(super) struct Pair {
    pub(super) us: Bench,
    pub(super) peer: Bench,
    /// ESP packets of the peer, as they passed.
    pub(super) passed: Vec<Vec<u8>>,
    /// Which of our packets the wire loses.
    pub(super) loses: fn(&[u8]) -> bool,
}

impl Pair {
    /// Both know their hosts in the networks 1 to 6, and each other.
    pub(super) fn joined(mut us: Bench, mut peer: Bench) -> Self {
        for (bench, side, other) in [(&mut us, 2, PEER), (&mut peer, 1, OURS)] {
            let own = format!("192.0.2.{side}/24");
            bench.learn(facts("wan", &[&own], &["192.0.2.0/24"], &[other.into()], PEER_MAC));
            let (lan, link) = (format!("10.{side}.0.1/16"), format!("10.{side}.0.0/16"));
            let hosts: Vec<IpAddr> = (1..=6).map(|network| host(side, network).into()).collect();
            bench.learn(facts("lan", &[&lan], &[&link], &hosts, HOST_MAC));
        }
        Self { us, peer, passed: Vec::new(), loses: |_| false }
    }

    /// Both work, and the wire carries what they send, once.
    pub(super) fn exchange(&mut self) {
        self.us.settle();
        self.peer.settle();
        let loses = self.loses;
        for packet in self.us.left(WAN).into_iter().filter(|packet| !loses(packet)) {
            self.peer.arrive(WAN, &packet);
        }
        for packet in self.peer.left(WAN) {
            if is_esp(&packet) {
                self.passed.push(packet.clone());
            }
            self.us.arrive(WAN, &packet);
        }
    }

    /// Until something holds; helpers' threads have a part in it.
    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&mut Self) -> bool) {
        let end = Clock::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(Clock::now() < end, "{what}: {:#?}", self.us.events());
            std::thread::yield_now();
            self.exchange();
        }
    }

    /// A packet of a tunnel, from our host to the peer's or back; how many arrived.
    pub(super) fn carry(&mut self, tunnel: u8, outward: bool) -> usize {
        let (from, to) = if outward { (2, 1) } else { (1, 2) };
        self.carry_packet(&v4(host(from, tunnel), host(to, tunnel), 100, false), outward)
    }

    /// The same with this packet.
    pub(super) fn carry_packet(&mut self, packet: &[u8], outward: bool) -> usize {
        let sender = if outward { &mut self.us } else { &mut self.peer };
        sender.arrive(LAN, packet);
        self.exchange();
        let receiver = if outward { &self.peer } else { &self.us };
        receiver.left(LAN).len()
    }

    /// Lets time pass for us.
    pub(super) fn pass(&mut self, looks: u64, mut each: impl FnMut(&mut Self)) {
        for _ in 0..looks {
            self.us.pass(1);
            self.exchange();
            each(self);
        }
    }

    pub(super) fn has_event(&self, wanted: &str) -> bool {
        self.us.events().iter().any(|event| event.starts_with(wanted))
    }
}
