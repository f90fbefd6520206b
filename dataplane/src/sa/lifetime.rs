//! Lifetimes in packets and octets: soft asks for a replacement once, hard refuses (RFC 4301
//! §4.4.2.1). Lifetimes in time are kept by IKE.

/// No limit.
pub const UNLIMITED: u64 = u64::MAX;

/// When an SA asks for its replacement and when it ends. [`UNLIMITED`] is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets after which a replacement is due.
    pub soft_packets: u64,
    /// Packets the SA carries at most.
    pub hard_packets: u64,
    /// Inner octets after which a replacement is due.
    pub soft_octets: u64,
    /// Inner octets the SA carries at most.
    pub hard_octets: u64,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Limits = Limits {
        soft_packets: UNLIMITED,
        hard_packets: UNLIMITED,
        soft_octets: UNLIMITED,
        hard_octets: UNLIMITED,
    };
}

/// What one SA has carried, against its limits. One owner: its worker.
#[derive(Debug)]
pub struct Lifetime {
    packets: u64,
    octets: u64,
    /// While fewer packets were carried no limit can be near, whatever their size: nothing else is compared.
    calm: u64,
    /// The soft ones are lifted once they were told.
    limits: Limits,
}

/// Octets of the largest packet that [`Lifetime::calm`] reckons with.
const LARGEST: u64 = 1 << 17;

/// The SA has reached its hard limit and carries nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SA has reached its hard lifetime after {packets} packets and {octets} octets")]
pub struct HardExpired {
    /// Packets carried.
    pub packets: u64,
    /// Octets carried.
    pub octets: u64,
}

impl Lifetime {
    /// Nothing carried yet.
    pub const fn new(limits: Limits) -> Lifetime {
        Lifetime { packets: 0, octets: 0, calm: 0, limits }
    }

    /// Counts a packet of `octets`, unless it would exceed a hard limit. `Ok(true)` once, when a
    /// soft limit is reached.
    #[inline]
    pub fn spend(&mut self, octets: usize) -> Result<bool, HardExpired> {
        if self.spend_calmly(octets) {
            return Ok(false);
        }
        let soft = self.spend_asked(octets)?;
        self.calm_down(u64::MAX);
        Ok(soft)
    }

    /// Counts a packet of `octets` if no limit can be near; else nothing, and [`Lifetime::spend_asked`] is to be
    /// asked.
    #[inline(always)]
    pub const fn spend_calmly(&mut self, octets: usize) -> bool {
        let calm = self.packets < self.calm && octets as u64 <= LARGEST;
        if calm {
            self.packets += 1;
            self.octets += octets as u64;
        }
        calm
    }

    /// [`Lifetime::spend`], all limits compared.
    pub fn spend_asked(&mut self, octets: usize) -> Result<bool, HardExpired> {
        let (packets, octets) = (self.packets.saturating_add(1), self.octets.saturating_add(octets as u64));
        if packets > self.limits.hard_packets || octets > self.limits.hard_octets {
            return Err(HardExpired { packets: self.packets, octets: self.octets });
        }
        (self.packets, self.octets) = (packets, octets);
        let soft = packets >= self.limits.soft_packets || octets >= self.limits.soft_octets;
        if soft {
            (self.limits.soft_packets, self.limits.soft_octets) = (UNLIMITED, UNLIMITED);
        }
        Ok(soft)
    }

    /// Reckons anew how many packets can be counted calmly: at most so many.
    pub fn calm_down(&mut self, most: u64) {
        let Limits { soft_packets, hard_packets, soft_octets, hard_octets } = self.limits;
        let packets = soft_packets.saturating_sub(1).min(hard_packets).saturating_sub(self.packets);
        let octets = soft_octets.saturating_sub(1).min(hard_octets).saturating_sub(self.octets);
        self.calm = self.packets.saturating_add(packets.min(octets / LARGEST).min(most));
    }

    /// Packets carried.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Inner octets carried.
    pub const fn octets(&self) -> u64 {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn soft_is_told_once_and_hard_is_final(
            soft_packets in 0u64..20, hard_packets in 0u64..30, soft_octets in 0u64..2000, hard_octets in 0u64..3000,
            sizes in proptest::collection::vec(0usize..300, 1..40), large: bool,
        ) {
            // Small limits are always near, large ones come after calm.
            let unit = if large { 1 << 14 } else { 1 };
            let (soft_octets, hard_octets) = (soft_octets * unit, hard_octets * unit);
            let sizes = sizes.into_iter().map(|size| size * unit as usize);
            let limits = Limits { soft_packets, hard_packets, soft_octets, hard_octets };
            let mut lifetime = Lifetime::new(limits);
            let (mut packets, mut octets, mut told) = (0, 0, 0);
            for size in sizes {
                let fits = packets < hard_packets && octets + size as u64 <= hard_octets;
                let answer = lifetime.spend(size);
                prop_assert_eq!(answer.is_ok(), fits);
                if let Ok(soft) = answer {
                    packets += 1;
                    octets += size as u64;
                    told += u32::from(soft);
                    let reached = packets >= soft_packets || octets >= soft_octets;
                    prop_assert_eq!(told, u32::from(reached));
                }
                prop_assert_eq!((lifetime.packets(), lifetime.octets()), (packets, octets));
            }
        }
    }

    #[test]
    fn without_limits_nothing_expires() {
        let mut lifetime = Lifetime::new(Limits::NONE);
        assert_eq!(lifetime.spend(1 << 60), Ok(false));
    }
}
