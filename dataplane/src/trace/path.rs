//! The way of a packet through a worker, station by station, and the ways of all packets that are under way.

use arrayvec::ArrayVec;

use super::filter::Met;
use crate::net::flow::Flow;
use crate::sa::spi::Spi;

/// A station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Came in by a port.
    Received,
    /// Came from another worker.
    TakenOver,
    /// Came from control or from the kernel.
    Injected,
    /// Judged by policy and routes.
    Policy,
    /// An ESP packet of an SA.
    Decrypt,
    /// Numbered and laid out for its SA.
    Encrypt,
    /// Put before a port.
    Sent,
    /// Given to control or to the kernel.
    Punted,
    /// Used up.
    Absorbed,
    /// Ended.
    Dropped,
}

impl Node {
    /// As the command line writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Node::Received => "received",
            Node::TakenOver => "taken-over",
            Node::Injected => "injected",
            Node::Policy => "policy",
            Node::Decrypt => "decrypt",
            Node::Encrypt => "encrypt",
            Node::Sent => "sent",
            Node::Punted => "punted",
            Node::Absorbed => "absorbed",
            Node::Dropped => "dropped",
        }
    }
}

/// A packet at a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub node: Node,
    /// The packet's octets there, as the station has it: with its Ethernet header where it is received and sent.
    pub octets: u32,
    /// Port and VLAN, where it came in or is to leave; what they say elsewhere is left from there.
    pub interface: (u16, u16),
    /// The instance it is read in.
    pub instance: u16,
}

/// Whose packet it is, as its SA says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of {
    /// The SPI; 0 while there is no SA.
    pub spi: Spi,
    /// Its sequence number; 0 while it has none.
    pub sequence: u64,
    /// Control's name for the child.
    pub child: u32,
}

/// Stations that a path has room for; no packet passes more.
pub const STEPS: usize = 8;

/// The way of a packet so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Microseconds on the worker's clock when it came.
    pub since_us: u64,
    /// Who speaks with whom: in clear, if that is known.
    pub flow: Option<Flow>,
    /// Whose it is.
    pub of: Option<Of>,
    /// Where it has been.
    pub steps: ArrayVec<Step, STEPS>,
    /// What it has met of a filter.
    pub(super) met: Met,
    /// Whether what lies in its frame is an ESP packet.
    pub(super) is_esp: bool,
    /// Whether the last copy of it says already what became of it.
    pub(super) is_told: bool,
}

impl Path {
    fn new(since_us: u64) -> Path {
        let (steps, met) = (ArrayVec::new(), Met::NONE);
        Path { since_us, flow: None, of: None, steps, met, is_esp: false, is_told: false }
    }
}

/// Ways there is room for: many times what a poll has under way.
const PLACES: usize = 2048;
/// Places a way may lie in, from where its frame's identity leads.
const REACH: usize = 8;

/// The ways of all packets that are under way, by the identity of their frames. Ways that nobody ends (their packets
/// were handed over, or wait in reassembly) give their places to others in time.
#[derive(Debug)]
pub(super) struct Paths {
    places: Box<[Option<(usize, Path)>]>,
}

impl Paths {
    pub fn new() -> Paths {
        Paths { places: vec![None; PLACES].into() }
    }

    /// Where the way of a frame may lie.
    fn reach(&mut self, frame: usize) -> &mut [Option<(usize, Path)>] {
        let mixed = (frame as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let start = mixed as usize % (PLACES - REACH);
        self.places.get_mut(start..start + REACH).unwrap_or_default()
    }

    /// The way of a frame, if it is known.
    pub fn get(&mut self, frame: usize) -> Option<&mut Path> {
        let is_its = |place: &&mut Option<(usize, Path)>| place.as_ref().is_some_and(|(of, _)| *of == frame);
        self.reach(frame).iter_mut().find(is_its)?.as_mut().map(|(_, path)| path)
    }

    /// The way of a frame; a new one if it is `fresh` or not known. Where there is no room, the oldest goes for it.
    pub fn of(&mut self, frame: usize, fresh: bool, now_us: u64) -> Option<&mut Path> {
        let rank = |place: &&mut Option<(usize, Path)>| match place {
            Some((of, _)) if *of == frame => (0, 0),
            None => (1, 0),
            Some((_, path)) => (2, path.since_us),
        };
        let place = self.reach(frame).iter_mut().min_by_key(rank)?;
        if fresh || place.as_ref().is_none_or(|(of, _)| *of != frame) {
            *place = Some((frame, Path::new(now_us)));
        }
        place.as_mut().map(|(_, path)| path)
    }

    /// Ends the way of a frame.
    pub fn take(&mut self, frame: usize) -> Option<Path> {
        let is_its = |place: &&mut Option<(usize, Path)>| place.as_ref().is_some_and(|(of, _)| *of == frame);
        self.reach(frame).iter_mut().find(is_its)?.take().map(|(_, path)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as a poll has under way are all found; a frame that comes again has a new way; with far more than there
    /// is room for the oldest go.
    #[test]
    fn ways_are_found_until_they_end_or_give_way() {
        let mut paths = Paths::new();
        let frame = |n: usize| 0x7f00_0000_0000 + n * 2304;
        for n in 0..256 {
            paths.of(frame(n), false, n as u64).unwrap();
        }
        assert!((0..256).all(|n| paths.get(frame(n)).is_some_and(|path| path.since_us == n as u64)));
        assert_eq!(paths.of(frame(3), false, 999).unwrap().since_us, 3);
        assert_eq!(paths.of(frame(3), true, 999).unwrap().since_us, 999);
        assert!(paths.take(frame(3)).is_some() && paths.get(frame(3)).is_none());
        for n in 0..10 * PLACES {
            paths.of(frame(1000 + n), true, 1000 + n as u64).unwrap();
        }
        assert!(paths.get(frame(1000 + 10 * PLACES - 1)).is_some());
        assert!(paths.get(frame(0)).is_none());
    }
}
