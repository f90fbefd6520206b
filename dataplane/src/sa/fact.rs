//! Level facts about an SA: true from some moment on, told to control once each.
//!
//! They are bits in the SA's cold half, so a full ring delays and never loses them: the worker
//! keeps a list of SAs with untold facts and clears a fact only when control has it.

/// Something control must learn about an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fact {
    /// A soft limit (packets, octets, or three quarters of the sequence numbers) is reached.
    SoftExpiry = 1 << 0,
    /// A hard limit is reached, or the sequence numbers are used up.
    HardExpiry = 1 << 1,
    /// The first packet has verified on this inbound SA.
    FirstInbound = 1 << 2,
    /// A verified packet came from another address or port than the peer's last.
    PeerMoved = 1 << 3,
    /// A packet wanted this slot, and no SA is in it.
    Wanted = 1 << 4,
}

impl Fact {
    /// All facts.
    pub const ALL: [Fact; 5] =
        [Fact::SoftExpiry, Fact::HardExpiry, Fact::FirstInbound, Fact::PeerMoved, Fact::Wanted];
}

/// A set of facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts(u8);

impl Facts {
    /// No facts.
    pub const NONE: Facts = Facts(0);

    /// Adds a fact; true if the set was empty, so that the SA joins the list of untold ones once.
    pub const fn raise(&mut self, fact: Fact) -> bool {
        let was_empty = self.0 == 0;
        self.0 |= fact as u8;
        was_empty
    }

    /// Adds the facts of another set.
    #[inline(always)]
    pub const fn join(&mut self, other: Facts) {
        self.0 |= other.0;
    }

    /// Whether a fact is in the set.
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & fact as u8 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The facts, leaving none: call when control has taken them.
    pub const fn take(&mut self) -> Facts {
        std::mem::replace(self, Facts::NONE)
    }

    /// The facts one by one.
    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().filter(move |fact| self.has(*fact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_raised_once_and_taken_together() {
        let mut facts = Facts::NONE;
        assert!(facts.raise(Fact::FirstInbound));
        assert!(!facts.raise(Fact::SoftExpiry));
        assert!(!facts.raise(Fact::SoftExpiry));
        assert!(facts.take().iter().eq([Fact::SoftExpiry, Fact::FirstInbound]));
        assert!(facts.is_empty() && facts.raise(Fact::SoftExpiry));
        let mut others = Facts::NONE;
        others.raise(Fact::PeerMoved);
        facts.join(others);
        assert!(facts.iter().eq([Fact::SoftExpiry, Fact::PeerMoved]));
    }
}
