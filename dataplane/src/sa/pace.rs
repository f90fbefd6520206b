//! How many messages may be sent in how long (DP-28, DP-29): so many at once, and as many again in each interval. Small,
//! because a tunnel may have one of its own; the clock is the caller's, in microseconds.

/// So many messages in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    messages: u16,
    /// Microseconds that earn a message, rounded up: never more than was said.
    cost_us: u32,
}

/// What was taken out of an allowance, at some moment: of a new one nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Microseconds' worth of messages.
    pub spent_us: u32,
    /// When that was.
    pub last_us: u64,
}

impl Rate {
    /// At least one message in at least a microsecond; an interval has less than 71 minutes.
    pub const fn new(messages: u16, interval_us: u32) -> Rate {
        let messages = if messages == 0 { 1 } else { messages };
        let cost_us = interval_us.div_ceil(messages as u32);
        // What a full allowance is must fit.
        let most = u32::MAX / messages as u32;
        let cost_us = if cost_us == 0 {
            1
        } else if cost_us > most {
            most
        } else {
            cost_us
        };
        Rate { messages, cost_us }
    }

    const fn most_us(self) -> u32 {
        self.cost_us * self.messages as u32
    }

    /// Takes one message out of what is left, if there is one.
    pub fn take(self, taken: &mut Taken, now_us: u64) -> bool {
        let elapsed = now_us.saturating_sub(taken.last_us).min(u64::from(u32::MAX)) as u32;
        taken.last_us = taken.last_us.max(now_us);
        taken.spent_us = taken.spent_us.saturating_sub(elapsed);
        let after = taken.spent_us.saturating_add(self.cost_us);
        let may = after <= self.most_us();
        if may {
            taken.spent_us = after;
        }
        may
    }
}

/// Slots with a rate of their own that a worker takes; more go by the worker's.
const PACES: usize = 1024;

/// What is left to the slots that have a rate of their own. They are few, and looked for only where an error is to be sent,
/// so that nobody's SA is larger for them; their memory is taken once.
#[derive(Debug)]
pub struct Paces(Vec<(u32, Rate, Taken)>);

impl Default for Paces {
    fn default() -> Self {
        Paces(Vec::with_capacity(PACES))
    }
}

impl Paces {
    /// Gives a slot a rate of its own, or none; one that has it already keeps what is left.
    pub fn set(&mut self, slot: u32, rate: Option<Rate>) {
        let at = self.0.binary_search_by_key(&slot, |(slot, ..)| *slot);
        match (at, rate) {
            (Ok(at), None) => {
                self.0.remove(at);
            }
            (Ok(at), Some(rate)) => {
                if let Some(entry) = self.0.get_mut(at).filter(|(_, known, _)| *known != rate) {
                    *entry = (slot, rate, Taken::default());
                }
            }
            (Err(at), Some(rate)) if self.0.len() < PACES => {
                self.0.insert(at, (slot, rate, Taken::default()))
            }
            (Err(_), _) => {}
        }
    }

    /// Whether a slot may send an error now, if it has a rate of its own.
    pub fn take(&mut self, slot: u32, now_us: u64) -> Option<bool> {
        let at = self.0.binary_search_by_key(&slot, |(slot, ..)| *slot).ok()?;
        let (_, rate, taken) = self.0.get_mut(at)?;
        Some(rate.take(taken, now_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No span of time sees more than the allowance plus what the span earns.
        #[test]
        fn the_rate_holds_over_every_span(messages in 1u16..20, interval in 1u32..1000, gaps in proptest::collection::vec(0u64..300, 1..200)) {
            let rate = Rate::new(messages, interval);
            let (mut left, mut now, mut sent) = (Taken::default(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                if rate.take(&mut left, now) {
                    sent.push(now);
                }
            }
            for (i, from) in sent.iter().enumerate() {
                for (j, to) in sent.iter().enumerate().skip(i) {
                    let earned = u64::from(messages) * (to - from) / u64::from(interval);
                    prop_assert!((j - i) as u64 <= u64::from(messages) + earned);
                }
            }
            prop_assert!(rate.take(&mut left, now + u64::from(interval)));
        }
    }

    /// Whatever is asked for, nothing overflows, and one message is always to be had in time.
    #[test]
    fn the_ends_of_the_range_hold() {
        for (messages, interval) in [(0, 0), (1, u32::MAX), (u16::MAX, u32::MAX), (1000, 60_000_000), (1, 1)]
        {
            let rate = Rate::new(messages, interval);
            let mut taken = Taken::default();
            assert!(rate.take(&mut taken, 0), "{messages} in {interval}");
            assert!(rate.take(&mut taken, u64::from(u32::MAX) + 1), "{messages} in {interval}");
        }
    }

    /// A slot keeps what is left under the same rate, and is full under another; what there is no room for has none.
    #[test]
    fn slots_have_rates_of_their_own() {
        let (mut paces, ten) = (Paces::default(), Some(Rate::new(10, 60_000_000)));
        let count =
            |paces: &mut Paces, slot| (0..50).filter(|_| paces.take(slot, 1 << 40) == Some(true)).count();
        for slot in (0..2 * PACES as u32).rev() {
            paces.set(slot, ten);
        }
        let last = 2 * PACES as u32 - 1;
        assert_eq!((count(&mut paces, last), paces.take(0, 1 << 40)), (10, None));
        paces.set(last, ten);
        assert_eq!(count(&mut paces, last), 0);
        paces.set(last, Some(Rate::new(20, 60_000_000)));
        assert_eq!(count(&mut paces, last), 20);
        paces.set(last, None);
        paces.set(0, ten);
        assert_eq!((paces.take(last, 1 << 40), count(&mut paces, 0)), (None, 10));
    }

    /// A hundred at once, then one each tenth of a second.
    #[test]
    fn the_usual_rate() {
        let rate = Rate::new(100, 10_000_000);
        let mut left = Taken::default();
        assert_eq!((0..200).filter(|_| rate.take(&mut left, 5)).count(), 100);
        assert!(!rate.take(&mut left, 99_999) && rate.take(&mut left, 100_005));
    }
}
