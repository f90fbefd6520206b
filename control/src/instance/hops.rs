//! Which next hops are kept resolved, and for how long. Pure: no socket, no clock.
//!
//! Two kinds. A hop is *held* while a route or a tunnel leads over it. A hop is *seen* when the kernel
//! learned it on the link, or a packet wanted it: workers may forward to it without the kernel noticing, so
//! it is kept as well, but only while it answers, and only so many of them, for anybody on the link can make
//! the kernel learn one.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Seen hops of an instance: half of what the kernel's table takes by default (`gc_thresh3`).
pub(super) const SEEN_LIMIT: usize = 512;
/// Ticks after which a seen hop that does not answer is given up: a minute.
const PATIENCE: u32 = 12;

/// Device and address.
pub(super) type Hop = (String, IpAddr);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Held,
    /// For so many ticks it has not answered.
    Seen(u32),
}

/// The hops kept. Sole owner: the instance's thread.
#[derive(Debug, Default)]
pub(super) struct Hops {
    kept: BTreeMap<Hop, Why>,
    seen: usize,
}

impl Hops {
    /// Keeps a hop until it is released.
    pub(super) fn hold(&mut self, hop: Hop) {
        if let Some(Why::Seen(_)) = self.kept.insert(hop, Why::Held) {
            self.seen = self.seen.saturating_sub(1);
        }
    }

    /// Keeps a hop while it answers. True if it was not kept and is now.
    pub(super) fn see(&mut self, hop: &Hop) -> bool {
        if self.kept.contains_key(hop) || self.seen >= SEEN_LIMIT {
            return false;
        }
        self.kept.insert(hop.clone(), Why::Seen(0));
        self.seen = self.seen.saturating_add(1);
        true
    }

    /// Nothing leads over it any more; whoever still sends to it keeps it while it answers.
    pub(super) fn release(&mut self, hop: &Hop) {
        if self.kept.get(hop) == Some(&Why::Held) {
            self.kept.remove(hop);
            self.see(hop);
        }
    }

    /// Forgets all hops of a device.
    pub(super) fn forget(&mut self, device: &str) {
        self.kept.retain(|(interface, _), _| interface != device);
        self.seen = self.kept.values().filter(|why| **why != Why::Held).count();
    }

    /// Whether a hop is kept.
    pub(super) fn contains(&self, hop: &Hop) -> bool {
        self.kept.contains_key(hop)
    }

    /// One tick has passed: takes out and returns the seen hops that have not answered for too long.
    pub(super) fn age(&mut self, answers: impl Fn(&Hop) -> bool) -> Vec<Hop> {
        let is_over = |hop: &Hop, why: &mut Why| match why {
            Why::Held => false,
            Why::Seen(silent) => {
                *silent = if answers(hop) { 0 } else { silent.saturating_add(1) };
                *silent > PATIENCE
            }
        };
        let over: Vec<Hop> = self.kept.extract_if(.., is_over).map(|(hop, _)| hop).collect();
        self.seen = self.seen.saturating_sub(over.len());
        over
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Hop> {
        self.kept.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(number: usize) -> Hop {
        ("wan0".into(), IpAddr::from([10, 0, (number >> 8) as u8, number as u8]))
    }

    /// What a route leads over stays, answer or not; what was only seen goes when it is silent.
    #[test]
    fn held_hops_stay_and_silent_ones_go() {
        let mut hops = Hops::default();
        hops.hold(hop(1));
        assert!(hops.see(&hop(2)) && !hops.see(&hop(2)) && !hops.see(&hop(1)));
        let over: Vec<Vec<Hop>> = (0..PATIENCE + 2).map(|_| hops.age(|_| false)).collect();
        assert_eq!(over.concat(), [hop(2)]);
        assert!(hops.contains(&hop(1)));
        hops.release(&hop(1));
        assert!(hops.contains(&hop(1)), "somebody may still send to it");
        assert!((0..100).all(|_| hops.age(|_| true).is_empty()), "it answers");
        assert!((0..=PATIENCE).any(|_| hops.age(|_| false) == [hop(1)]));
    }

    /// A host that claims many addresses takes neither our memory nor the kernel's table, nor the place of
    /// what routes need.
    #[test]
    fn a_flood_of_neighbours_is_bounded() {
        let mut hops = Hops::default();
        let kept = (0..4 * SEEN_LIMIT).filter(|number| hops.see(&hop(*number))).count();
        assert_eq!(kept, SEEN_LIMIT);
        hops.hold(hop(5000));
        hops.hold(hop(0));
        assert!(hops.contains(&hop(5000)) && hops.see(&hop(6000)) && !hops.see(&hop(6001)));
        hops.forget("wan0");
        assert!(hops.iter().next().is_none() && hops.see(&hop(1)));
    }
}
