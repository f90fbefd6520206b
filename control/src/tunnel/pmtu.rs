//! Path MTUs that routers on the way told us (RFC 4301 §8.2, RFC 1191, RFC 8201; DP-30). Pure: the clock
//! comes in. Nobody authenticates an ICMP error, so a told size counts only downwards, never below what
//! every link must carry, and not for long. That it quotes an SA of ours is the caller's to see.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_ike::time::Instant;

/// What every IPv4 path is expected to carry (RFC 791 §3.1: every host takes 576 octets); less is not
/// believed.
const LEAST_V4: u32 = 576;
/// RFC 8200 §5, RFC 8201 §4: a smaller one is to be discarded.
const LEAST_V6: u32 = 1280;
/// A path: all SAs between two ends share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey {
    /// Instance of the outer packets.
    pub instance: u16,
    /// Our end.
    pub local: IpAddr,
    /// The peer's end.
    pub peer: IpAddr,
}

/// What was learned of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The largest packet that passes.
    pub mtu: u16,
    /// Until when it is believed.
    pub until: Instant,
}

/// The paths of which something was learned: at most one for each path an SA is on.
#[derive(Debug, Default)]
pub struct PathMtus {
    learned: BTreeMap<PathKey, Learned>,
}

impl PathMtus {
    /// Takes in a told size where packets may have `current` octets now, to be believed `until` then. True if that changes
    /// anything.
    pub fn learn(&mut self, path: PathKey, told: u32, current: u16, until: Instant) -> bool {
        let least = if path.peer.is_ipv4() { LEAST_V4 } else { LEAST_V6 };
        let Some(mtu) = u16::try_from(told).ok().filter(|mtu| told >= least && *mtu < current) else {
            return false;
        };
        self.learned.insert(path, Learned { mtu, until });
        true
    }

    /// What was learned of a path.
    pub fn get(&self, path: &PathKey) -> Option<&Learned> {
        self.learned.get(path)
    }

    /// Forgets what is too old, and says of which paths.
    pub fn age(&mut self, now: Instant) -> Vec<PathKey> {
        self.learned.extract_if(.., |_, learned| learned.until <= now).map(|(path, _)| path).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(peer: &str) -> PathKey {
        let peer: IpAddr = peer.parse().unwrap();
        PathKey { instance: 0, local: peer, peer }
    }

    /// RFC 4301 §8.2 with the floors of RFC 791 and RFC 8200.
    #[test]
    fn only_a_sane_and_lower_size_is_believed() {
        let now = Instant(5);
        for (peer, told, current, believed) in [
            ("192.0.2.1", 1300, 1500, true),
            ("192.0.2.1", 576, 1500, true),
            ("192.0.2.1", 575, 1500, false),
            ("192.0.2.1", 0, 1500, false),
            ("192.0.2.1", 1500, 1500, false),
            ("192.0.2.1", 66_000, 1500, false),
            ("2001:db8::1", 1280, 1500, true),
            ("2001:db8::1", 1279, 1500, false),
        ] {
            let mut paths = PathMtus::default();
            assert_eq!(paths.learn(path(peer), told, current, now), believed, "{peer} {told}");
            assert_eq!(paths.get(&path(peer)).is_some(), believed);
        }
    }

    /// A path that has become wider is found out in time (RFC 1191 §6.3 and RFC 8201 §4 suggest ten minutes); one that was
    /// narrowed again is remembered anew.
    #[test]
    fn what_was_learned_is_forgotten() {
        let (mut paths, one) = (PathMtus::default(), path("192.0.2.1"));
        assert!(paths.learn(one, 1400, 1500, Instant(600)));
        assert!(paths.learn(one, 1300, 1400, Instant(900)));
        assert!(paths.age(Instant(600)).is_empty());
        assert_eq!(paths.age(Instant(900)), [one]);
        assert_eq!(paths.get(&one), None);
    }

    proptest! {
        /// Whatever is told, the size never rises before its time and never falls below the floor.
        #[test]
        fn sizes_only_fall(told in prop::collection::vec(any::<u32>(), 0..50)) {
            let (mut paths, one) = (PathMtus::default(), path("192.0.2.1"));
            let mut current = 1500;
            for told in told {
                let changed = paths.learn(one, told % 2000, current, Instant(0));
                let next = paths.get(&one).map_or(1500, |learned| learned.mtu);
                prop_assert!(next >= 576 && next <= current && changed == (next < current));
                current = next;
            }
        }
    }
}
