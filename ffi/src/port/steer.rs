//! ESP packets to queues by their SPI (`rte_flow`): which rules a port is to have, and those it has.
//!
//! A rule is a masked SPI and a queue; a card gets it once for each [`Form`] of packet. What a card can do it
//! tells only when it is asked for each rule, so the plan says what to ask, and set-up what was refused. A rule
//! gives way while its queue is not used ([`super::redirection`]), and comes back with it.

use std::ptr::NonNull;

use super::fallback::Fallback;
use super::info::Info;
use crate::error::Errno;

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

    const fn v6(self) -> bool {
        matches!(self, Form::Ipv6 | Form::Ipv6Udp)
    }

    const fn udp(self) -> bool {
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

/// A rule that a device has taken. While it gives way, the device knows nothing of it.
#[derive(Debug)]
pub(super) struct Steered {
    /// What it catches, and where that goes.
    pub(super) rule: SpiRule,
    /// Over what.
    pub(super) form: Form,
    flow: Option<Flow>,
}

/// A rule as the driver knows it.
#[derive(Debug)]
struct Flow(NonNull<dpdk_sys::rte_flow>);

// SAFETY: only ever given back to DPDK, which ties a rule to its port and to no thread.
unsafe impl Send for Flow {}

impl Steered {
    /// Asks device `port`, which is started, for a rule. It removes its rules when it is closed.
    pub(super) fn new(port: u16, form: Form, rule: SpiRule) -> Result<Self, Errno> {
        Ok(Self { rule, form, flow: Some(add(port, form, rule)?) })
    }

    /// Has the device follow the rule, or not.
    pub(super) fn follow(&mut self, port: u16, follows: bool) -> Result<(), Errno> {
        match (&self.flow, follows) {
            (None, true) => self.flow = Some(add(port, self.form, self.rule)?),
            (Some(flow), false) => {
                remove(port, flow)?;
                self.flow = None;
            }
            (None, false) | (Some(_), true) => {}
        }
        Ok(())
    }
}

fn add(port: u16, form: Form, rule: SpiRule) -> Result<Flow, Errno> {
    let (v6, udp) = (form.v6().into(), form.udp().into());
    // SAFETY: takes numbers; the port is started.
    let flow = unsafe { dpdk_sys::shim_steer_spi(port, v6, udp, rule.value, rule.mask, rule.queue) };
    NonNull::new(flow).map(Flow).ok_or_else(Errno::last)
}

fn remove(port: u16, flow: &Flow) -> Result<(), Errno> {
    // SAFETY: the rule is this port's and was not removed before: whoever removes one forgets it, and the port is
    // neither stopped nor closed while its owner lives.
    Errno::check(unsafe { dpdk_sys::shim_steer_no_more(port, flow.0.as_ptr()) }).map(|_| ())
}
