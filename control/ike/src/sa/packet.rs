//! The packet that a CHILD_SA is made for (RFC 7296 §2.9): "the initiator ... SHOULD include as the first Traffic
//! Selector in each of TSi and TSr a very specific Traffic Selector including the addresses in the packet triggering
//! the request". It goes in front of what is configured, in a child's first offer and in no rekey (§2.9.2); what is kept
//! is what the peer answers. Which packet wants which child is the caller's to know.

use crate::config::{ChildConfig, ChildId, Selector};
use crate::input::Packet;
use crate::narrow;

/// Packets that want children which are not up: the first of each child, until the child is made or refused.
#[derive(Debug, Default)]
pub(crate) struct Packets(Vec<(ChildId, Packet)>);

impl Packets {
    /// A packet wants a child.
    pub(crate) fn note(&mut self, child: ChildId, packet: Packet) {
        if !self.0.iter().any(|(known, _)| *known == child) {
            self.0.push((child, packet));
        }
    }

    /// The one that wants this child, to be told to the peer.
    pub(crate) fn take(&mut self, child: ChildId) -> Option<Packet> {
        let at = self.0.iter().position(|(known, _)| *known == child)?;
        let (_, packet) = self.0.swap_remove(at);
        if self.0.is_empty() {
            // Tunnels are many, and few of them wait.
            self.0 = Vec::new();
        }
        Some(packet)
    }
}

impl Packet {
    /// What of a child's selectors carries it: no more is claimed than is configured.
    pub(crate) fn within(&self, child: &ChildConfig) -> Option<Packet> {
        let local = part(&child.local, &self.local)?;
        Some(Packet { local, remote: part(&child.remote, &self.remote)? })
    }

    /// All that its two addresses may say to each other by a child's selectors.
    pub(crate) fn pair(&self, child: &ChildConfig) -> Option<Packet> {
        let of = |all: &[Selector], packet: &Selector| {
            let carrying = all.iter().find(|selector| selector.overlaps(packet))?;
            carrying.intersection(&Selector::addresses(packet.start, packet.end))
        };
        let (local, remote) = (of(&child.local, &self.local)?, of(&child.remote, &self.remote)?);
        Some(Packet { local, remote })
    }
}

fn part(all: &[Selector], packet: &Selector) -> Option<Selector> {
    all.iter().find_map(|selector| narrow::intersect(packet, selector))
}

/// These selectors, behind the packet's if there is one.
pub(crate) fn behind(first: Option<Selector>, all: &[Selector]) -> Vec<Selector> {
    let others = all.iter().copied().filter(|selector| Some(*selector) != first);
    first.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(last: u8) -> std::net::IpAddr {
        std::net::IpAddr::from([10, 0, 0, last])
    }

    fn small() -> impl Strategy<Value = Selector> {
        let ports = prop_oneof![
            Just((0, u16::MAX)),
            Just((u16::MAX, 0)),
            (0u16..4, 0u16..4).prop_map(|(a, b)| (a.min(b), a.max(b))),
        ];
        (0u8..6, 0u8..6, 0u8..3, ports).prop_map(|(a, b, protocol, (start_port, end_port))| Selector {
            start: at(a.min(b)),
            end: at(a.max(b)),
            protocol,
            start_port,
            end_port,
        })
    }

    fn list() -> impl Strategy<Value = Vec<Selector>> {
        prop::collection::vec(small(), 1..5)
    }

    proptest! {
        /// Whatever the peer's policy is: the packet is in what is agreed on if both sides' policies have it, and for the
        /// rest the agreement is what it would be without it.
        #[test]
        fn what_is_agreed_on_has_the_packet_and_no_less(
            ours in list(),
            theirs in list(),
            (address, protocol, port) in (0u8..6, 1u8..3, 0u16..4),
        ) {
            let packet = Selector::host(at(address)).with_ports(protocol, port, port);
            let offer = behind(part(&ours, &packet), &ours);
            let carried = |list: &[Selector]| list.iter().any(|selector| narrow::contains(selector, &packet));
            let agreed = narrow::narrow(&offer, &theirs).unwrap_or_default();
            let without = narrow::narrow(&ours, &theirs).unwrap_or_default();
            prop_assert_eq!(carried(&agreed), carried(&ours) && carried(&theirs));
            prop_assert!(narrow::all_within(&agreed, &without) && narrow::all_within(&without, &agreed));
            prop_assert_eq!(agreed.len(), without.len(), "the narrow selector is not kept beside a wider one");
            if let Some(first) = part(&ours, &packet) {
                prop_assert_eq!(offer.first(), Some(&first));
                prop_assert!(narrow::contains(&packet, &first));
            }
        }
    }

    /// One packet a child, the first; it is told once.
    #[test]
    fn the_first_packet_counts() {
        let packet = |last| Packet { local: Selector::host(at(last)), remote: Selector::host(at(9)) };
        let mut packets = Packets::default();
        for (child, last) in [(1, 1), (1, 2), (2, 3)] {
            packets.note(ChildId(child), packet(last));
        }
        assert_eq!(
            [1, 2, 1].map(|child| packets.take(ChildId(child))),
            [Some(packet(1)), Some(packet(3)), None]
        );
    }
}
