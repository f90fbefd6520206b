//! An outbound SA: the hot half that every packet touches, the cold half that few do.

use super::fact::{Fact, Facts};
use super::lifetime::{HardExpired, Lifetime, Limits};
use super::pace::Rate;
use super::sequence::{Exhausted, Number, Sequence};
use super::spi::Spi;
use super::suite::{Aad, Keyed, SALT_LEN, Suite};
use super::wrap::{InnerLimits, Wrap};
use super::{Endpoint, Mode};
use crate::cipher::Sealer;
use ravelin_gcm::Key;
use zeroize::Zeroizing;

/// What the outer header's Don't Fragment becomes (DP-27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OuterDf {
    /// Always clear: the public network may fragment.
    Clear,
    /// Always set.
    Set,
    /// As in the inner header; set over inner IPv6.
    Copy,
}

/// What the outer header's DSCP becomes (DP-34); ECN follows RFC 6040 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OuterDscp {
    /// As in the inner header.
    Copy,
    /// Always this value, 0..=63.
    Fixed(u8),
}

/// How packets are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// What is wrapped. In transport mode packets keep the header they come with: of what follows, `instance` and
    /// `outer_mtu` alone count.
    pub mode: Mode,
    /// Instance the ESP packets leave in.
    pub instance: u16,
    /// Our end; port 0 for ESP over IP.
    pub local: Endpoint,
    /// The peer's end; port 0 for ESP over IP.
    pub peer: Endpoint,
    /// TTL or hop limit of the outer header.
    pub hop_limit: u8,
    /// Outer Don't Fragment.
    pub df: OuterDf,
    /// Outer DSCP.
    pub dscp: OuterDscp,
    /// Largest inner packet (`ip-mtu`, DP-23); larger ones are fragmented or refused before
    /// encapsulation. `None` leaves it to the outer sizes.
    pub inner_mtu: Option<u16>,
    /// Largest outer packet (`encapsulated-ip-mtu`, DP-25); larger ones are fragmented after
    /// encapsulation. `None` leaves it to the port.
    pub outer_mtu: Option<u16>,
    /// Clear Don't Fragment of inner IPv4 before encapsulation (DP-24).
    pub clear_inner_df: bool,
    /// Lower the MSS of SYNs that enter the tunnel to this.
    pub tcp_mss: Option<u16>,
    /// Tell nobody whose packet is too large (DP-28, DP-29 turned off).
    pub silent: bool,
    /// Pad shorter inner packets to so many octets, which have to fit (RFC 4303 §2.7, DP-45).
    pub padded_to: Option<u16>,
    /// How many are told in how long whose packets are too large; `None`: as the worker has it for all.
    pub errors: Option<Rate>,
    /// Send dummy packets, so many a second, where the SA carries nothing (RFC 4303 §2.6, DP-45): as long as what is
    /// padded, and none where nothing is.
    pub dummies: Option<u16>,
}

impl Encapsulation {
    /// As most tunnels are wrapped: Don't Fragment and DSCP are the inner packet's, and nothing limits sizes but the
    /// port.
    pub const fn between(instance: u16, local: Endpoint, peer: Endpoint) -> Encapsulation {
        Encapsulation {
            mode: Mode::Tunnel,
            instance,
            local,
            peer,
            hop_limit: 64,
            df: OuterDf::Copy,
            dscp: OuterDscp::Copy,
            inner_mtu: None,
            outer_mtu: None,
            clear_inner_df: false,
            tcp_mss: None,
            silent: false,
            padded_to: None,
            errors: None,
            dummies: None,
        }
    }
}

/// Everything about an outbound SA except its key, as control sends it.
#[derive(Debug)]
pub struct Parts {
    /// The SPI the peer chose.
    pub spi: Spi,
    /// Transform.
    pub suite: Suite,
    /// Extended sequence numbers.
    pub esn: bool,
    /// The last sequence number used elsewhere, 0 for a new SA.
    pub last_sequence: u64,
    /// How packets are wrapped.
    pub encapsulation: Encapsulation,
    /// Limits in packets and octets; three quarters of the sequence numbers are a soft limit too.
    pub limits: Limits,
    /// Control's name for the child SA, repeated in facts.
    pub child: u32,
}

/// Where the packets of an SA leave, as the worker that owns it last found. The link header that belongs to it
/// leads the SA's [`Wrap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departure {
    /// The state of tables and configuration it was found in ([`crate::node::exit::Exits::epoch`]), and is to be
    /// believed in; 0 for none.
    pub epoch: u64,
    /// Port to send by.
    pub port: u16,
    /// Tag of the frame, 0 for none.
    pub vlan: u16,
    /// Largest inner packet whose outer packet leaves here whole; in transport mode, where one packet is both, with ESP in it.
    pub largest: u16,
    /// Largest inner packet of which the SA does not have to be asked either.
    pub unasked: u16,
}

/// The half that every packet touches, its expanded key last.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Hot {
    spi: Spi,
    salt: Zeroizing<[u8; SALT_LEN]>,
    /// How packets are wrapped; control changes it on the move of a peer or a learned path MTU.
    pub wrap: Wrap,
    suite: Suite,
    esn: bool,
    soft_told: bool,
    departure: Departure,
    sequence: Sequence,
    lifetime: Lifetime,
    key: Keyed<Apart>,
}

/// What an SA has whose suite is not AES-GCM.
#[derive(Debug)]
pub struct Apart {
    /// Encrypts its packets.
    pub sealer: Sealer,
    /// What fits into its tunnel; of the ordinary way nothing does ([`Wrap::set_apart`]).
    pub limits: InnerLimits,
}

/// The half that few packets touch.
#[derive(Debug)]
pub struct Cold {
    /// Control's name for the child SA.
    pub child: u32,
    /// Facts control has not taken yet.
    pub facts: Facts,
}

/// Both halves, on their way into a table or out of it.
#[derive(Debug)]
pub struct Outbound {
    /// The hot half.
    pub hot: Hot,
    /// The cold half.
    pub cold: Cold,
}

/// The SA sends nothing more; a replacement is the only remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Its sequence numbers are used up (RFC 4303 §3.3.3).
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Its hard lifetime is reached.
    #[error(transparent)]
    HardExpired(#[from] HardExpired),
}

impl Outbound {
    /// Joins what control sent with the key the worker expanded.
    pub fn new(parts: Parts, key: impl Into<Keyed<Sealer>>, salt: [u8; SALT_LEN]) -> Outbound {
        let mut wrap = Wrap::new(&parts.encapsulation, parts.suite.framing());
        let key = match key.into() {
            Keyed::Gcm(key) => Keyed::Gcm(key),
            Keyed::Apart(sealer) => Keyed::Apart(Apart { sealer, limits: wrap.set_apart() }),
        };
        let hot = Hot {
            spi: parts.spi,
            salt: Zeroizing::new(salt),
            wrap,
            suite: parts.suite,
            esn: parts.esn,
            soft_told: false,
            departure: Departure::default(),
            sequence: Sequence::after(parts.last_sequence, parts.esn),
            lifetime: Lifetime::new(parts.limits),
            key,
        };
        Outbound { hot, cold: Cold { child: parts.child, facts: Facts::NONE } }
    }
}

impl Hot {
    /// The SPI the peer chose.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// Its transform.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether numbers have 64 bits.
    pub const fn esn(&self) -> bool {
        self.esn
    }

    /// Its expanded key, where it is one of AES-GCM.
    #[inline(always)]
    pub const fn key(&self) -> Option<&Key> {
        self.key.gcm()
    }

    /// What it has instead of one.
    #[inline(always)]
    pub const fn apart(&self) -> Option<&Apart> {
        self.key.apart()
    }

    /// What fits into its tunnel.
    pub fn limits(&self) -> InnerLimits {
        self.apart().map_or(self.wrap.limits, |apart| apart.limits)
    }

    /// The implicit part of the nonce.
    pub fn salt(&self) -> [u8; SALT_LEN] {
        *self.salt
    }

    /// What it has carried.
    pub const fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// Last sequence number used, 0 before the first.
    pub const fn last_sequence(&self) -> u64 {
        self.sequence.last()
    }

    /// Wraps packets another way from now on.
    pub fn wrap_as(&mut self, encapsulation: &Encapsulation) {
        (self.wrap, self.departure) = (Wrap::new(encapsulation, self.suite.framing()), Departure::default());
        if let Keyed::Apart(apart) = &mut self.key {
            apart.limits = self.wrap.set_apart();
        }
    }

    /// Notes where packets leave: in a state of the tables, by a port with a tag (0 for none) and a largest
    /// packet, behind a link header.
    pub fn leaves_by(&mut self, epoch: u64, (port, vlan, mtu): (u16, u16, u16), link: &[u8]) {
        self.departure = match self.wrap.lead_with(link) {
            true => {
                let outer = mtu.min(self.wrap.outer_mtu);
                let largest = match self.wrap.is_transport() {
                    true => outer,
                    false => self.wrap.largest_within(outer, self.suite.framing()),
                };
                let unasked = self.wrap.unasked().min(largest);
                Departure { epoch, port, vlan, largest, unasked }
            }
            false => Departure::default(),
        };
    }

    /// Whether it is known in this state of the tables where an inner packet of `octets` leaves whole.
    #[inline(always)]
    pub const fn departs(&self, epoch: u64, octets: usize) -> bool {
        self.departure.epoch == epoch && octets <= self.departure.largest as usize
    }

    /// Where packets leave, as last found.
    #[inline(always)]
    pub const fn departure(&self) -> &Departure {
        &self.departure
    }

    /// Whether nothing is to be asked of an inner packet of `octets`, as long as its departure is to be believed: the
    /// tunnel takes it as it is and it leaves whole.
    #[inline(always)]
    pub const fn takes(&self, octets: usize) -> bool {
        octets <= self.departure.unasked as usize
    }

    /// A sequence number for one packet of `octets` inner octets, and the facts this makes true
    /// (for [`Cold::facts`]). Nothing is counted when it is refused.
    #[inline(always)]
    pub fn number(&mut self, octets: usize) -> Result<(Number, Facts), Stopped> {
        match self.lifetime.spend_calmly(octets) {
            true => Ok((self.sequence.take()?, Facts::NONE)),
            false => self.number_asked(octets),
        }
    }

    #[inline(never)]
    fn number_asked(&mut self, octets: usize) -> Result<(Number, Facts), Stopped> {
        // Both are asked before either counts a packet that will not be sent.
        self.sequence.left()?;
        let by_lifetime = self.lifetime.spend_asked(octets)?;
        let number = self.sequence.take()?;
        let mut facts = Facts::NONE;
        let soft = by_lifetime || number.get() >= self.sequence.soft_limit();
        if soft && !std::mem::replace(&mut self.soft_told, true) {
            facts.raise(Fact::SoftExpiry);
        }
        let next = if self.soft_told { u64::MAX } else { self.sequence.soft_limit() };
        self.lifetime.calm_down(self.sequence.calm(next).min(self.sequence.left().unwrap_or(0)));
        Ok((number, facts))
    }

    /// The associated data of the packet with this number.
    #[inline]
    pub const fn aad(&self, number: u64) -> Aad {
        Aad::new(self.spi, number, self.esn)
    }
}

const _: () = assert!(std::mem::offset_of!(Hot, key) <= 192, "the hot half outgrew three cache lines");
const _: () = assert!(size_of::<Cold>() <= 64);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ravelin_gcm::Kernel;

    pub fn parts(spi: u32) -> Parts {
        let local = Endpoint { address: [192, 0, 2, 1].into(), port: 0 };
        Parts {
            spi: Spi(spi),
            suite: Suite::AesGcm128,
            esn: false,
            last_sequence: 0,
            encapsulation: Encapsulation {
                df: OuterDf::Clear,
                ..Encapsulation::between(0, local, Endpoint { address: [192, 0, 2, 2].into(), port: 0 })
            },
            limits: Limits::NONE,
            child: 7,
        }
    }

    pub fn outbound(parts: Parts) -> Outbound {
        Outbound::new(parts, Key::new(Kernel::portable(), &[0; 16]).unwrap(), [1; 4])
    }

    #[test]
    fn a_replacement_is_asked_for_once_and_the_end_is_final() {
        let three_quarters = u64::from(u32::MAX) / 4 * 3;
        let mut hot = outbound(Parts { last_sequence: three_quarters - 2, ..parts(256) }).hot;
        let facts: Vec<bool> = (0..3).map(|_| hot.number(10).unwrap().1.has(Fact::SoftExpiry)).collect();
        assert_eq!(facts, [false, true, false]);
        let mut hot = outbound(Parts { last_sequence: u64::from(u32::MAX) - 1, ..parts(256) }).hot;
        assert_eq!(hot.number(10).unwrap().0.low(), u32::MAX);
        for _ in 0..3 {
            assert!(matches!(hot.number(10), Err(Stopped::Exhausted(_))));
        }
        assert_eq!(hot.lifetime().packets(), 1);
    }

    #[test]
    fn a_hard_lifetime_takes_no_number() {
        let limits = Limits { hard_packets: 1, ..Limits::NONE };
        let mut hot = outbound(Parts { limits, ..parts(256) }).hot;
        assert!(hot.number(10).is_ok());
        assert!(matches!(hot.number(10), Err(Stopped::HardExpired(_))));
        assert_eq!(hot.last_sequence(), 1);
    }
}
