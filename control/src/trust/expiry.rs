//! Warnings before certificates and CRLs end, when they have ended, and when all is well again (PKI-29, PKI-30). Pure: what
//! there is and the time come in, what is to be told goes out, each once or again after so long.

use std::collections::BTreeMap;

use ravelin_pki::UnixTime;

/// How early and how often it is warned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Seconds before the end; 0: only when it has come.
    pub before: i64,
    /// Seconds after which it is told again, while nobody has done anything; `None`: it is told once.
    pub repeat: Option<i64>,
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is, for people; two of one name are one.
    pub name: String,
    /// From when it is good.
    pub from: UnixTime,
    /// Until when.
    pub until: UnixTime,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is good, and will be for longer than is warned of.
    Good,
    /// It will be good.
    NotYet,
    /// It ends soon.
    Ending,
    /// It has ended.
    Ended,
}

/// Things that end, as they were told of last.
#[derive(Clone, Debug)]
pub struct Expiry {
    warning: Warning,
    told: BTreeMap<String, (Stage, UnixTime)>,
}

impl Expiry {
    /// Nothing told yet.
    pub const fn new(warning: Warning) -> Self {
        Self { warning, told: BTreeMap::new() }
    }

    /// Looks at everything there is: what is to be told now.
    pub fn look(&mut self, items: impl IntoIterator<Item = Item>, now: UnixTime) -> Vec<(Stage, Item)> {
        let mut former = std::mem::take(&mut self.told);
        let mut telling = Vec::new();
        for item in items {
            let stage = self.stage(&item, now);
            let before = former.remove(&item.name);
            let told = match before {
                Some((was, at)) if was == stage && !self.is_due(stage, at, now) => at,
                None if stage == Stage::Good => now,
                _ => {
                    telling.push((stage, item.clone()));
                    now
                }
            };
            self.told.insert(item.name, (stage, told));
        }
        telling
    }

    /// What does not stand well.
    pub fn troubles(&self) -> impl Iterator<Item = (&str, Stage)> {
        let bad = self.told.iter().filter(|(_, (stage, _))| *stage != Stage::Good);
        bad.map(|(name, (stage, _))| (name.as_str(), *stage))
    }

    fn stage(&self, item: &Item, now: UnixTime) -> Stage {
        if now < item.from {
            Stage::NotYet
        } else if item.until < now {
            Stage::Ended
        } else if self.warning.before > 0 && item.until.0.saturating_sub(now.0) <= self.warning.before {
            Stage::Ending
        } else {
            Stage::Good
        }
    }

    fn is_due(&self, stage: Stage, told: UnixTime, now: UnixTime) -> bool {
        let waited = now.0.saturating_sub(told.0);
        stage != Stage::Good && self.warning.repeat.is_some_and(|repeat| waited >= repeat)
    }
}

impl Stage {
    /// What an event about it ends in: `certificate-expired`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "valid",
            Self::NotYet => "not-yet-valid",
            Self::Ending => "expiring",
            Self::Ended => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn item(name: &str, from: i64, until: i64) -> Item {
        Item { name: name.to_owned(), from: UnixTime(from), until: UnixTime(until) }
    }

    /// Each stage is told when it begins, again after the time for that, and the return to health once.
    #[test]
    fn each_stage_is_told_once_and_again() {
        let mut expiry = Expiry::new(Warning { before: 3 * DAY, repeat: Some(DAY) });
        let mut told = |days: i64, until: i64| {
            let told = expiry.look([item("gw", 0, until * DAY)], UnixTime(days * DAY));
            told.first().map(|(stage, _)| stage.word())
        };
        assert_eq!((told(-1, 10), told(-1, 10)), (Some("not-yet-valid"), None));
        assert_eq!((told(1, 10), told(2, 10)), (Some("valid"), None));
        assert_eq!((told(7, 10), told(7, 10), told(8, 10)), (Some("expiring"), None, Some("expiring")));
        assert_eq!((told(11, 10), told(11, 10)), (Some("expired"), None));
        assert_eq!((told(11, 100), told(12, 100)), (Some("valid"), None), "it was renewed");
    }

    #[test]
    fn what_is_well_is_not_told_of_and_what_is_gone_is_forgotten() {
        let mut expiry = Expiry::new(Warning { before: DAY, repeat: None });
        assert_eq!(expiry.look([item("a", 0, 9 * DAY)], UnixTime(0)), []);
        let ended = item("b", 0, DAY);
        assert_eq!(expiry.look([ended.clone()], UnixTime(2 * DAY)), [(Stage::Ended, ended.clone())]);
        assert_eq!(expiry.look([ended.clone()], UnixTime(900 * DAY)), [], "once is enough");
        assert_eq!(expiry.troubles().collect::<Vec<_>>(), [("b", Stage::Ended)]);
        assert_eq!(expiry.look([], UnixTime(900 * DAY)), []);
        assert_eq!(expiry.troubles().count(), 0);
    }
}
