//! Which sizes to ask for next, and what the answers mean. Pure.
//!
//! What is larger than a size that does not pass does not pass either: two bounds close in on each other, from below by
//! answers alone. Eight sizes at a time make four rounds of 9000 octets.

use std::net::IpAddr;

/// Sizes asked for at a time, besides those that somebody named.
const AT_A_TIME: u16 = 8;
/// Rounds in which nothing at all is heard.
const DEAF: u32 = 2;

/// Somebody on the way has answered for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub by: IpAddr,
    /// The largest packet it lets pass, if it is size.
    pub mtu: Option<u16>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was answered.
    Passed,
    /// Somebody on the way refused it.
    Refused(Told),
    /// This machine's interface takes none so large.
    Here,
    /// No answer came.
    Nothing,
}

/// What keeps larger packets back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: the largest that was to be asked for passes.
    Asked,
    /// Our own interface.
    Here,
    /// A router, which says so.
    Router(IpAddr),
    /// Somebody who says nothing: larger ones are lost without a word.
    Silence,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Octets of the largest packet that passes.
    pub mtu: u16,
    /// Octets of the smallest that does not: one more, unless the time was over before that was known.
    pub above: Option<u16>,
    /// Why no larger one does.
    pub limit: Limit,
}

/// A search under way.
#[derive(Debug)]
pub struct Search {
    least: u16,
    most: u16,
    /// The largest that was answered.
    passes: Option<u16>,
    /// The smallest that was not, and what was heard of it.
    fails: Option<(u16, Heard)>,
    /// What somebody on the way said, smallest first.
    told: Option<Told>,
    rounds: u32,
}

impl Search {
    /// For the largest packet between these sizes, both included.
    pub fn new(least: u16, most: u16) -> Self {
        Self { least, most: most.max(least), passes: None, fails: None, told: None, rounds: 0 }
    }

    /// What to ask for next, smallest first; nothing when all is known.
    pub fn sizes(&mut self) -> Vec<u16> {
        self.rounds += 1;
        let Some(low) = self.passes else {
            let both = if self.least < self.most { vec![self.least, self.most] } else { vec![self.most] };
            return if self.rounds > DEAF { Vec::new() } else { both };
        };
        let high = self.fails.map_or(self.most.saturating_add(1), |(size, _)| size);
        let step = (high - low).div_ceil(AT_A_TIME + 1).max(1);
        let spread = (1..=AT_A_TIME).map(|n| low.saturating_add(step.saturating_mul(n)));
        // Whoever names a size is asked for it, and for one octet more.
        let named =
            self.told.and_then(|told| told.mtu).into_iter().flat_map(|mtu| [mtu, mtu.saturating_add(1)]);
        let mut sizes: Vec<u16> = spread.chain(named).filter(|size| low < *size && *size < high).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// Notes what became of a size.
    pub fn heard(&mut self, size: u16, heard: Heard) {
        if let Heard::Refused(told) = heard
            && self
                .told
                .is_none_or(|before| told.mtu.is_some_and(|mtu| before.mtu.is_none_or(|than| mtu < than)))
        {
            self.told = Some(told);
        }
        match heard {
            Heard::Passed => self.passes = self.passes.max(Some(size)),
            _ if self.fails.is_none_or(|(than, _)| size < than) => self.fails = Some((size, heard)),
            _ => {}
        }
        // Of several ways one may be narrower: what passes counts.
        if self.fails.is_some_and(|(fails, _)| Some(fails) <= self.passes) {
            self.fails = None;
        }
    }

    /// What is known by now.
    pub fn found(&self) -> Option<Found> {
        let mtu = self.passes?;
        let above = self.fails.map(|(size, _)| size);
        Some(Found { mtu, above, limit: self.limit(mtu) })
    }

    /// Who was in the way, if anybody said so.
    pub const fn obstacle(&self) -> Option<Told> {
        self.told
    }

    fn limit(&self, mtu: u16) -> Limit {
        match (self.fails, self.told) {
            (None, _) => Limit::Asked,
            // Routers do not answer for every packet: one that has named this very size is believed.
            (_, Some(Told { by, mtu: Some(named) })) if named == mtu => Limit::Router(by),
            (Some((_, Heard::Refused(told))), _) => Limit::Router(told.by),
            (Some((_, Heard::Here)), _) => Limit::Here,
            (Some(_), _) => Limit::Silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

    /// Searches a path that takes packets of up to `path` octets, and whose router says so as `tells` has it: of packets
    /// of this size and more.
    fn search(least: u16, most: u16, path: u16, tells: impl Fn(u16) -> Option<u16>) -> (Option<Found>, u32) {
        let mut search = Search::new(least, most);
        loop {
            let sizes = search.sizes();
            if sizes.is_empty() {
                return (search.found(), search.rounds);
            }
            for size in sizes {
                let refused = || match tells(size) {
                    Some(mtu) => Heard::Refused(Told { by: ROUTER, mtu: Some(mtu) }),
                    None => Heard::Nothing,
                };
                search.heard(size, if size <= path { Heard::Passed } else { refused() });
            }
        }
    }

    /// Two rounds where the way is as wide as it may be, or the router speaks; who limits it is named.
    #[test]
    fn what_is_told_is_asked_for_first() {
        let (found, rounds) = search(68, 1500, 1500, |_| None);
        assert_eq!((found.unwrap().limit, found.unwrap().mtu, rounds), (Limit::Asked, 1500, 2));
        let (found, rounds) = search(68, 1500, 1300, |_| Some(1300));
        assert_eq!(found, Some(Found { mtu: 1300, above: Some(1301), limit: Limit::Router(ROUTER) }));
        assert!(rounds <= 3, "{rounds}");
    }

    /// A router that answers one packet of a few, and one that lies.
    #[test]
    fn a_router_that_says_little_or_the_wrong_thing_does_not_lead_astray() {
        let (found, _) = search(68, 1500, 1300, |size| (size == 1500).then_some(1300));
        assert_eq!(found.unwrap().limit, Limit::Router(ROUTER));
        for lie in [0, 68, 1200, 1400, 9000] {
            let (found, _) = search(68, 1500, 1300, |size| (size == 1500).then_some(lie));
            assert_eq!(found, Some(Found { mtu: 1300, above: Some(1301), limit: Limit::Silence }), "{lie}");
        }
    }

    /// Nobody is asked without end.
    #[test]
    fn who_answers_nothing_is_left_alone() {
        assert_eq!(search(68, 1500, 0, |_| None), (None, DEAF + 1));
    }

    /// Two ways of one path: what passes counts, whatever else is said of it.
    #[test]
    fn what_passes_counts() {
        let mut search = Search::new(68, 1500);
        search.heard(1300, Heard::Nothing);
        search.heard(1400, Heard::Passed);
        assert_eq!(search.found().unwrap(), Found { mtu: 1400, above: None, limit: Limit::Asked });
    }

    proptest! {
        /// The size is found to the octet, in few rounds, whether anybody speaks or not.
        #[test]
        fn every_size_is_found(path in 68u16..=9000, most in 68u16..=9000, speaks: bool) {
            let (found, rounds) = search(68, most, path, |_| speaks.then_some(path));
            let found = found.unwrap();
            prop_assert_eq!(found.mtu, path.min(most));
            prop_assert_eq!(found.above, (path < most).then_some(path + 1));
            prop_assert!(rounds <= 7, "{} rounds", rounds);
        }
    }
}
