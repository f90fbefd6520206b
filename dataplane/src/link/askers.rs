//! Whose pings are answered at the ends of static tunnels (DP-39). At an address that nothing but such tunnels has, who
//! asks is one of their peers, or gets no answer: the address is not to be found by whoever tries. All others answer anybody,
//! as far as policy lets them.

use std::net::IpAddr;

/// An end of ours, by its instance.
pub type End = (u16, IpAddr);

/// The ends that answer their peers alone, and these peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Askers(Box<[(End, IpAddr)]>);

impl Askers {
    /// Those of these tunnels.
    pub fn new(tunnels: impl IntoIterator<Item = (End, IpAddr)>) -> Askers {
        let mut ends: Vec<_> = tunnels.into_iter().collect();
        ends.sort_unstable();
        ends.dedup();
        Askers(ends.into())
    }

    /// Whether `from` gets an answer of this end.
    pub fn may_ask(&self, end: End, from: IpAddr) -> bool {
        let start = self.0.partition_point(|(known, _)| *known < end);
        let mut peers = self.0.get(start..).unwrap_or_default().iter().take_while(|(known, _)| *known == end);
        match peers.next() {
            None => true,
            Some((_, first)) => *first == from || peers.any(|(_, peer)| *peer == from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_answered_where_strangers_are_not_and_others_answer_all() {
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let end = (1, address(2));
        let askers = Askers::new([
            (end, address(9)),
            (end, address(7)),
            ((1, address(4)), address(9)),
            (end, address(7)),
        ]);
        let of = |end, from| askers.may_ask(end, address(from));
        assert_eq!([7, 8, 9].map(|from| of(end, from)), [true, false, true]);
        assert_eq!([7, 9].map(|from| of((1, address(4)), from)), [false, true]);
        assert!(of((0, address(2)), 8) && of((1, address(3)), 8), "another instance, another address");
        assert!(Askers::default().may_ask(end, address(8)));
    }
}
