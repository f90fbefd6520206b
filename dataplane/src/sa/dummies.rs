//! Which outbound slots send dummy packets (RFC 4303 §2.6, DP-45), and when it is whose turn: so many a second on the
//! average, at instants without a beat, by which nobody could tell them from others. A slot whose SA has carried
//! something since its last turn lets one pass, so that there are never more packets for it than it has to say or is to
//! seem to have.
//!
//! Left to the caller: time, chance, what a slot has sent, and to send.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Slots of a worker that may send dummies; more send none.
pub const SLOTS: usize = 4096;

const SECOND_US: u64 = 1_000_000;

/// The slots that send dummies, whose turn is next first. Their memory is taken once; where none does there is nothing
/// but to see that.
#[derive(Debug)]
pub struct Dummies {
    turns: BinaryHeap<Reverse<Turn>>,
    room: usize,
}

/// When it is a slot's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at_us: u64,
    slot: u32,
    /// Turns a second, at least one.
    rate: u16,
    /// What its SA had carried at the last one; [`NEW`] before the first.
    carried: u64,
}

/// No slot has carried so much.
const NEW: u64 = u64::MAX;

impl Dummies {
    /// Room for as many of `slots` as may.
    pub fn new(slots: usize) -> Dummies {
        let room = slots.min(SLOTS);
        Dummies { turns: BinaryHeap::with_capacity(room), room }
    }

    /// Has a slot send so many a second from now on, or none; one that does already goes on.
    pub fn set(&mut self, slot: u32, rate: Option<u16>) {
        let rate = rate.filter(|rate| *rate > 0);
        let known = self.turns.iter().find(|turn| turn.0.slot == slot).map(|turn| turn.0.rate);
        if known == rate {
            return;
        }
        if known.is_some() {
            self.turns.retain(|turn| turn.0.slot != slot);
        }
        if let Some(rate) = rate.filter(|_| self.turns.len() < self.room) {
            self.turns.push(Reverse(Turn { at_us: 0, slot, rate, carried: NEW }));
        }
    }

    /// Whether it is anybody's turn.
    #[inline(always)]
    pub fn is_due(&self, now_us: u64) -> bool {
        self.turns.peek().is_some_and(|turn| turn.0.at_us <= now_us)
    }

    /// The next slot whose turn it is, and whether it is to send one: not if it has `carried` packets since its last
    /// turn, nor at its first. `chance` says when its next turn is. One that comes late is not made up for.
    pub fn next(&mut self, now_us: u64, chance: u64, carried: impl Fn(u32) -> u64) -> Option<(u32, bool)> {
        if !self.is_due(now_us) {
            return None;
        }
        let mut turn = self.turns.peek_mut()?;
        let Turn { slot, rate, carried: before, .. } = turn.0;
        let now = carried(slot);
        turn.0 = Turn { at_us: now_us.saturating_add(pause(rate, chance)), carried: now, ..turn.0 };
        Some((slot, now == before))
    }
}

/// Microseconds to the next turn: between half and one and a half of what the rate has on the average.
const fn pause(rate: u16, chance: u64) -> u64 {
    let mean = SECOND_US / if rate == 0 { 1 } else { rate as u64 };
    mean / 2 + chance % mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends for `seconds` as a worker that polls every so many microseconds; how many dummies each slot sent.
    fn run(dummies: &mut Dummies, seconds: u64, poll_us: u64, carried: impl Fn(u32, u64) -> u64) -> Vec<u32> {
        let (mut sent, mut chance) = (Vec::new(), 7u64);
        for now in (1..seconds * SECOND_US).step_by(poll_us as usize) {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if let Some((slot, true)) = dummies.next(now, chance >> 16, |slot| carried(slot, now)) {
                sent.push(slot);
            }
        }
        sent
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// A slot that carries nothing sends as many as its rate says, and none has two within half of its time.
        #[test]
        fn what_is_silent_keeps_its_rate(rate in 1u16..=1000, seed: u64) {
            let mut dummies = Dummies::new(8);
            dummies.set(3, Some(rate));
            let (mut sent, mut last, mut chance) = (0u64, 0, seed);
            for now in (1..20 * SECOND_US).step_by(50) {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if let Some((slot, true)) = dummies.next(now, chance >> 16, |_| 0) {
                    prop_assert_eq!(slot, 3);
                    prop_assert!(now - last >= SECOND_US / u64::from(rate) / 2);
                    (sent, last) = (sent + 1, now);
                }
            }
            let wanted = 20 * u64::from(rate);
            prop_assert!(sent * 100 <= wanted * 110 + 200 && sent * 100 + 400 >= wanted * 85, "{} of {}", sent, wanted);
        }
    }

    #[test]
    fn what_carries_something_sends_none_and_others_do() {
        let mut dummies = Dummies::new(8);
        for slot in 0..3 {
            dummies.set(slot, Some(10));
        }
        // Slot 1 carries a packet every fifty milliseconds, slot 2 one every second.
        let carried = |slot: u32, now: u64| match slot {
            0 => 0,
            1 => now / 50_000,
            _ => now / SECOND_US,
        };
        let sent = run(&mut dummies, 20, 50, carried);
        let of = |slot| sent.iter().filter(|sent| **sent == slot).count();
        assert_eq!(of(1), 0);
        assert!((180..=220).contains(&of(0)) && (160..=200).contains(&of(2)), "{} {}", of(0), of(2));
    }

    /// It comes and goes; under the same rate a slot goes on, and what there is no room for sends none.
    #[test]
    fn slots_come_and_go() {
        let mut dummies = Dummies::new(2);
        assert!(!dummies.is_due(NEW));
        dummies.set(0, Some(5));
        assert_eq!(dummies.next(10, 0, |_| 9), Some((0, false)), "the first turn only looks");
        dummies.set(0, Some(5));
        assert!(!dummies.is_due(11) && dummies.is_due(10 + 100_000));
        dummies.set(1, Some(0));
        dummies.set(1, Some(1));
        dummies.set(2, Some(1));
        assert_eq!(dummies.turns.len(), 2, "there is room for two");
        dummies.set(0, None);
        dummies.set(1, Some(1000));
        assert_eq!((dummies.turns.len(), dummies.next(20, 0, |_| 0)), (1, Some((1, false))));
        assert_eq!(dummies.next(NEW - 1, NEW, |_| 0), Some((1, true)), "late, and once");
        assert!(dummies.next(NEW - 1, 0, |_| 0).is_none());
    }
}
