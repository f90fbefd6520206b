//! How full something is, against thresholds: each crossing is told once, and a level that was reached is left only below
//! a lower threshold, so that what swings about one tells nothing (TG-05, TG-06). Pure.

/// Thresholds, in percent of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Below this, what was high is normal again.
    pub low: u64,
    /// From here on it is high.
    pub high: u64,
    /// From here on there is no more to be had, until it is below `high` again.
    pub max: u64,
}

/// Of a worker's tables of SAs (TG-05; the values are ours).
pub const MEMORY: Marks = Marks { low: 80, high: 90, max: 95 };
/// Of the tunnels a group may have (TG-06).
pub const TUNNELS: Marks = Marks { low: 90, high: 95, max: 100 };

/// So much of so much is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In use.
    pub used: u64,
    /// There are.
    pub capacity: u64,
}

impl Usage {
    /// Whether at least so many percent are in use. Of nothing, all is.
    pub fn reaches(self, percent: u64) -> bool {
        self.used.saturating_mul(100) >= self.capacity.saturating_mul(percent)
    }

    /// In percent, for people.
    pub fn percent(self) -> u64 {
        self.used.saturating_mul(100).checked_div(self.capacity).unwrap_or(100)
    }
}

/// How full it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    #[default]
    Normal,
    /// Somebody should see to it.
    High,
    /// No more is taken.
    Max,
}

/// What was crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// `high`, upwards.
    High,
    /// `max`, upwards.
    Max,
    /// From max below `high`: more is taken again.
    Relieved,
    /// Below `low`.
    Normal,
}

impl Crossing {
    /// As events have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Max => "max",
            Self::Relieved => "relieved",
            Self::Normal => "normal",
        }
    }
}

impl Level {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
            Self::Max => "max",
        }
    }

    /// What follows on this level.
    fn next(self, marks: Marks, usage: Usage) -> Self {
        let is_high = usage.reaches(marks.high);
        match self {
            _ if usage.reaches(marks.max) => Self::Max,
            Self::Max if is_high => Self::Max,
            _ if is_high || self != Self::Normal && usage.reaches(marks.low) => Self::High,
            _ => Self::Normal,
        }
    }
}

/// One thing that is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watermark {
    level: Level,
    last: Option<(Crossing, u64)>,
}

impl Watermark {
    /// How full it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What was crossed last, and when, in microseconds of the loop's clock.
    pub fn last(&self) -> Option<(Crossing, u64)> {
        self.last
    }

    /// Looks again; what was crossed since, in order.
    pub fn look(&mut self, marks: Marks, usage: Usage, now: u64) -> Vec<Crossing> {
        let next = self.level.next(marks, usage);
        let crossed: &[Crossing] = match (self.level, next) {
            (Level::Normal, Level::High) => &[Crossing::High],
            (Level::Normal, Level::Max) => &[Crossing::High, Crossing::Max],
            (Level::High, Level::Max) => &[Crossing::Max],
            (Level::Max, Level::High) => &[Crossing::Relieved],
            (_, Level::Normal) if self.level != Level::Normal => &[Crossing::Normal],
            _ => &[],
        };
        self.level = next;
        self.last = crossed.last().map(|crossing| (*crossing, now)).or(self.last);
        crossed.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is told when these numbers of a hundred follow each other.
    fn told(marks: Marks, numbers: &[u64]) -> Vec<(u64, &'static str)> {
        let mut watermark = Watermark::default();
        let look = |used: &u64| {
            let crossed = watermark.look(marks, Usage { used: *used, capacity: 100 }, *used);
            crossed.into_iter().map(|crossing| (*used, crossing.name())).collect::<Vec<_>>()
        };
        numbers.iter().flat_map(look).collect()
    }

    /// TG-05: exactly one word at each crossing, none while it swings about a threshold.
    #[test]
    fn each_crossing_is_told_once() {
        let up = [79, 89, 90, 89, 90, 81, 90, 94, 95, 94, 95, 91, 100];
        assert_eq!(told(MEMORY, &up), [(90, "high"), (95, "max")]);
        let down = [100, 90, 89, 90, 94, 95, 80, 79, 80, 89, 79];
        let expected =
            [(100, "high"), (100, "max"), (89, "relieved"), (95, "max"), (80, "relieved"), (79, "normal")];
        assert_eq!(told(MEMORY, &down), expected);
        assert_eq!(told(MEMORY, &[96, 10, 96]).len(), 5, "it begins anew");
    }

    /// TG-06.
    #[test]
    fn tunnels_have_marks_of_their_own() {
        assert_eq!(
            told(TUNNELS, &[94, 95, 99, 100, 99, 95, 94, 90, 89]),
            [(95, "high"), (100, "max"), (94, "relieved"), (89, "normal")]
        );
    }

    proptest! {
        /// Whatever the numbers are: a level is entered at its threshold, left below the one under it, and the words
        /// that are told lead from each level to the next.
        #[test]
        fn words_and_levels_agree(numbers in proptest::collection::vec(0u64..=120, 0..200)) {
            let (mut watermark, mut level) = (Watermark::default(), Level::Normal);
            for used in numbers {
                for crossing in watermark.look(MEMORY, Usage { used, capacity: 100 }, used) {
                    let (from, to) = match crossing {
                        Crossing::High => (Level::Normal, Level::High),
                        Crossing::Max => (Level::High, Level::Max),
                        Crossing::Relieved => (Level::Max, Level::High),
                        Crossing::Normal => (level, Level::Normal),
                    };
                    prop_assert!(level == from && from != to);
                    level = to;
                    prop_assert_eq!(watermark.last(), watermark.last().map(|(last, _)| (last, used)));
                }
                prop_assert_eq!(watermark.level(), level);
                let range = match level {
                    Level::Normal => 0..90,
                    Level::High => 80..95,
                    Level::Max => 90..121,
                };
                prop_assert!(range.contains(&used), "{used} at {level:?}");
            }
        }
    }

    /// Where there is nothing, nothing more is to be had.
    #[test]
    fn of_nothing_all_is_used() {
        assert_eq!(Watermark::default().look(TUNNELS, Usage::default(), 0), [Crossing::High, Crossing::Max]);
        assert_eq!((Usage::default().percent(), Usage { used: 1, capacity: 3 }.percent()), (100, 33));
    }
}
