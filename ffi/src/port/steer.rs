//! ESP packets to queues by their SPI (`rte_flow`): which rules a port is to have.
//!
//! A rule is a masked SPI and a queue; a card gets it once for each [`Form`] of packet. What a card can do it
//! tells only when it is asked for each rule, so the plan says what to ask, and set-up what was refused.

use super::fallback::Fallback;
use super::info::Info;

/// ESP packets whose SPI has these bits arrive on this queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiRule {
    /// The SPI, where `mask` is set.
    pub value: u32,
    /// Bits of the SPI that count.
    pub mask: u32,
    /// The queue.
    pub queue: u16,
}

/// What carries an ESP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// UDP port 4500 (RFC 3948) over IPv4.
    Ipv4Udp,
    /// UDP port 4500 over IPv6.
    Ipv6Udp,
}

impl Form {
    /// All there are.
    pub const ALL: [Form; 4] = [Form::Ipv4, Form::Ipv6, Form::Ipv4Udp, Form::Ipv6Udp];

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Form::Ipv4 => "IPv4",
            Form::Ipv6 => "IPv6",
            Form::Ipv4Udp => "IPv4/UDP",
            Form::Ipv6Udp => "IPv6/UDP",
        }
    }

    pub(super) const fn v6(self) -> bool {
        matches!(self, Form::Ipv6 | Form::Ipv6Udp)
    }

    pub(super) const fn udp(self) -> bool {
        matches!(self, Form::Ipv4Udp | Form::Ipv6Udp)
    }
}

/// The rules to ask for of those wished: none where there is nothing to choose between, or where the kernel
/// spreads; none for queues that the device does not have.
pub(super) fn rules(
    info: &Info,
    wished: &[SpiRule],
    rx_queues: u16,
    fallbacks: &mut Vec<Fallback>,
) -> Vec<SpiRule> {
    if rx_queues == 1 || wished.is_empty() {
        return Vec::new();
    }
    if info.kernel.is_some() {
        fallbacks.push(Fallback::SpiFlow { missing: Form::ALL.to_vec() });
        return Vec::new();
    }
    wished.iter().copied().filter(|rule| rule.queue < rx_queues).collect()
}
