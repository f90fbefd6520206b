//! An ESP packet on its way through decryption, from its SPI to what is inside (RFC 4303 §3.4, DP-04).
//!
//! It stays in its place and in its frame while it goes from [`super::lookup`] by [`super::open`] to
//! [`super::inspect`], each of which leaves here how far it has come. What becomes of it in the end is the graph's.

use crate::net::flow::Summary;
use crate::node::classify::EspAt;
use crate::sa::counters::{Counter, InboundCounters};
use crate::sa::inbound::Arrival;
use crate::sa::replay::Guess;
use crate::sa::spi::Place;
use crate::verdict::Drop;

/// An ESP packet.
#[derive(Debug)]
pub struct Opening<F> {
    /// The outer packet, until it goes on; what was in it from [`Stage::Opened`] on.
    pub frame: Option<F>,
    /// What the header of the packet in the frame says: of the outer one, then of the inner one.
    pub summary: Summary,
    /// Where the ESP packet is in the outer one, and which SA it names.
    pub esp: EspAt,
    /// Where that SA is to be.
    pub place: Place,
    /// Whether the packet before it names the same SA: mostly so, and what is looked up once is then good for all.
    pub follows: bool,
    /// How far it has come.
    pub stage: Stage,
    /// Its sequence number, from [`Stage::Found`] on.
    pub guess: Guess,
}

/// How far an ESP packet has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It ends here.
    Refused(Drop),
    /// Nothing that can be asked without the key speaks against it; behind decryption: nor does its tag.
    Found(Arrival),
    /// It has passed every check.
    Opened(Inner),
}

/// What came out of the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// A packet of the private instance.
    Packet,
    /// A dummy packet (RFC 4303 §2.6): "a receiver MUST be prepared to discard" it silently.
    Dummy,
}

impl<F> Opening<F> {
    /// A packet that nobody has asked anything yet.
    #[inline(always)]
    pub fn new(frame: F, outer: Summary, esp: EspAt, place: Place, follows: bool) -> Opening<F> {
        let stage = Stage::Refused(Drop::SaMiss);
        Opening { frame: Some(frame), summary: outer, esp, place, follows, stage, guess: Guess::NONE }
    }

    /// Whether `next`, the packet behind this one, names the same SA.
    #[inline(always)]
    pub fn is_followed_by(&self, next: &Opening<F>) -> bool {
        next.follows
    }
}

/// Whether a packet is refused for `reason` before its tag is checked, and so may come from anybody.
pub const fn is_before_tag(reason: Drop) -> bool {
    use Drop::{EspLength, IpMismatch, ReplayDuplicate, ReplayTooOld, SaMiss};
    matches!(reason, EspLength | SaMiss | IpMismatch | ReplayDuplicate | ReplayTooOld)
}

/// Where an SA counts packets refused for `reason`, if it does.
pub const fn counter(counters: &InboundCounters, reason: Drop) -> Option<&Counter> {
    match reason {
        Drop::IpMismatch => Some(&counters.address),
        Drop::ReplayDuplicate => Some(&counters.duplicate),
        Drop::ReplayTooOld => Some(&counters.too_old),
        Drop::BadIcv => Some(&counters.bad_tag),
        Drop::PolicyError => Some(&counters.policy),
        Drop::BadPadding | Drop::BadNextHeader | Drop::MalformedInner | Drop::EcnInvalid => {
            Some(&counters.malformed)
        }
        _ => None,
    }
}
