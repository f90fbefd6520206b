//! What an operator is shown of single packets (DP-38, OPS-29): the paths they took (`ravelin trace`), copies of them
//! (`ravelin capture`), and copies sent on as packets ([`mirror`]).
//!
//! A worker that is to show packets holds a [`Tap`], which control made, with all the memory it will ever need; without
//! one, stations ask a single question a burst. A station shows the tap what lies before it; the tap keeps the path of
//! every packet on its way ([`path`]), because what a packet is, and whose, is often known only later than where it
//! came from, and sends what was asked for by a ring of its own ([`ring`]). A ring without room loses the record and
//! counts it: a worker waits for nobody.
//!
//! Left to the caller: when a station shows something ([`crate::graph`]), names of tunnels and interfaces, bounds in
//! time, and files.

pub mod filter;
pub mod mirror;
pub mod path;
pub mod ring;
mod tap;

pub use filter::Filter;
pub use path::{Node, Of, Path, Step};
pub use ring::{Reader, Record};
pub use tap::{Seen, Tap};

use crate::io::Frame;

/// Which side of encryption a copy shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The packet as hosts send and receive it.
    Clear,
    /// ESP, from the outer IP header on.
    Encrypted,
    /// The frame as a port received it or is to send it.
    Wire,
}

impl Side {
    /// All there are.
    pub const ALL: [Side; 3] = [Side::Clear, Side::Encrypted, Side::Wire];

    /// As the command line writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Clear => "clear",
            Side::Encrypted => "encrypted",
            Side::Wire => "wire",
        }
    }
}

/// What a tap is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The path of each packet, once it has ended.
    Paths,
    /// Copies of at most `snap` octets.
    Copies {
        /// Of packets in clear.
        clear: bool,
        /// Of ESP packets.
        encrypted: bool,
        /// Of frames.
        wire: bool,
        /// Octets of each.
        snap: usize,
    },
}

impl Wish {
    /// Octets of a copy of this side; none if it is not asked for.
    pub const fn snap(self, side: Side) -> Option<usize> {
        let Wish::Copies { clear, encrypted, wire, snap } = self else { return None };
        let wanted = match side {
            Side::Clear => clear,
            Side::Encrypted => encrypted,
            Side::Wire => wire,
        };
        if wanted { Some(snap) } else { None }
    }
}

/// What tells one frame from all others that are on their way: where its buffer begins.
#[inline]
pub fn identity<F: Frame>(frame: &F) -> usize {
    frame.data().as_ptr().addr().wrapping_sub(frame.headroom())
}
