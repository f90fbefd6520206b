//! Security associations: what exactly one worker owns of each, and the numbers control gives out.
//!
//! Control builds [`inbound::Inbound`] and [`outbound::Outbound`] values and sends them down the
//! link; from then on the worker is their sole owner. The rules of RFC 4303 live here (sequence
//! numbers, replay window, lifetimes), packets and crypto do not. Tables allocate once, at start.

pub mod allocator;
pub mod counters;
pub mod dummies;
pub mod fact;
pub mod inbound;
pub mod lifetime;
pub mod outbound;
pub mod pace;
pub mod replay;
pub mod sequence;
pub mod shard;
pub mod spi;
pub mod suite;
pub mod table;
pub mod wrap;

use std::net::IpAddr;

/// An address and UDP port of a tunnel endpoint; port 0 is ESP directly over IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Outer address.
    pub address: IpAddr,
    /// UDP port, or 0 for ESP over IP (protocol 50).
    pub port: u16,
}

/// What ESP is put around (RFC 4301 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A whole packet, which gets outer headers.
    #[default]
    Tunnel,
    /// What follows a packet's own IP header: both ends of the packet are the ends of the SA.
    Transport,
}

impl Mode {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Tunnel => "tunnel",
            Mode::Transport => "transport",
        }
    }
}

/// Where an outbound SA is found: its worker and the slot in that worker's outbound table.
///
/// The slot belongs to a child SA for as long as policy names it; rekeying changes what is in the
/// slot and nothing else (see [`table::OutboundTable`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaRef {
    /// The worker that owns the slot.
    pub worker: shard::WorkerId,
    /// Index into its outbound table.
    pub slot: u32,
}
