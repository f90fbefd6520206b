//! How long fragments for tunnels wait for the rest of their datagram, where that is other than usual (DP-31). A fragment
//! shows its ends and its protocol, and not whose it is: what an operator says of groups and ip-tunnels comes down to
//! that.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// How long fragments wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(u16);

impl Wait {
    /// Nothing is put together: every fragment is dropped.
    pub const NONE: Wait = Wait(0);
    /// Two seconds, where nobody says otherwise.
    pub const USUAL: Wait = Wait(2000);

    /// So many milliseconds, at least one.
    pub const fn milliseconds(milliseconds: u16) -> Wait {
        if milliseconds == 0 { Wait(1) } else { Wait(milliseconds) }
    }

    /// In microseconds; nothing where nothing waits.
    pub const fn microseconds(self) -> Option<u64> {
        if self.0 == 0 { None } else { Some(self.0 as u64 * 1000) }
    }
}

/// Whose fragments: those of ESP (in UDP or bare, and IKE), or those of ip-tunnels, from an address, or from any, to one of
/// ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Between {
    /// Instance they arrive in.
    pub instance: u16,
    /// Our end.
    pub local: IpAddr,
    /// The peer's; `None`: any.
    pub remote: Option<IpAddr>,
    /// Of an ip-tunnel.
    pub ip_tunnel: bool,
}

/// Those that wait otherwise than usual, to be searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits(Box<[(Between, Wait)]>);

impl Waits {
    /// Of two that are said of the same ends the longer counts.
    pub fn new(said: impl IntoIterator<Item = (Between, Wait)>) -> Waits {
        let mut waits: BTreeMap<Between, Wait> = BTreeMap::new();
        for (between, wait) in said {
            let known = waits.entry(between).or_insert(wait);
            *known = wait.max(*known);
        }
        Waits(waits.into_iter().collect())
    }

    /// Whether all wait as usual.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long a fragment between these ends waits; what is said of a peer counts before what is said of all.
    pub fn of(&self, between: Between) -> Wait {
        let find = |between: &Between| {
            let at = self.0.binary_search_by_key(between, |(known, _)| *known).ok()?;
            self.0.get(at).map(|(_, wait)| *wait)
        };
        let of_any = || find(&Between { remote: None, ..between });
        find(&between).or_else(of_any).unwrap_or(Wait::USUAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(remote: Option<u8>, ip_tunnel: bool) -> Between {
        let address = |n| IpAddr::from([192, 0, 2, n]);
        Between { instance: 1, local: address(2), remote: remote.map(address), ip_tunnel }
    }

    #[test]
    fn a_peer_counts_before_all_and_the_longer_of_two() {
        let said = [
            (between(Some(1), false), Wait::milliseconds(500)),
            (between(Some(1), false), Wait::milliseconds(900)),
            (between(None, false), Wait::NONE),
            (between(Some(1), true), Wait::milliseconds(0)),
        ];
        let waits = Waits::new(said);
        assert_eq!(waits.of(between(Some(1), false)).microseconds(), Some(900_000));
        assert_eq!(waits.of(between(Some(9), false)).microseconds(), None);
        assert_eq!(waits.of(between(Some(1), true)).microseconds(), Some(1000));
        assert_eq!(waits.of(between(Some(9), true)), Wait::USUAL);
        assert_eq!(waits.of(Between { instance: 0, ..between(Some(1), false) }), Wait::USUAL);
        assert!(Waits::default().is_empty() && !waits.is_empty());
    }
}
