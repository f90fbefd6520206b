//! Tunnels and their children: which outbound slot carries a packet that goes into a tunnel.
//!
//! Nearly every tunnel of a large gateway has one child between two address ranges. Such a child also lies
//! as a line of 64 octets that is found by the tunnel's number in two steps and says all that a packet needs;
//! other tunnels, such as those of which workers have SAs of their own, have a line that sends the asker to their
//! children. Lines are changed in place ([`super::pool`]), so a million of them cost the memory of those that exist.

use super::array::{CAPACITY, OutOfRange};
use super::pool::{Pool, TableFull, unit};
use super::publish::Version;
use super::route::TunnelId;
use super::selector::{ANY_PROTOCOL, AddressRange, Ports, Selector, SelectorSet};
use crate::net::flow::Flow;
use crate::sa::SaRef;
use crate::sa::shard::WorkerId;
use ravelin_mem::words::Words;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Child SAs a tunnel can have: they are compared for every packet.
pub const MAX_CHILDREN: usize = 64;

/// One child SA of a tunnel: what it carries, and the slot that sends for it (whether or not an
/// SA is in the slot just now). Beside that one, which any worker may use, some workers may have an SA of
/// their own (RFC 9611).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// What it carries.
    pub selectors: SelectorSet,
    /// The outbound slot.
    pub sa: SaRef,
    /// Slots of workers that have an SA of their own, one each.
    own: Box<[SaRef]>,
}

impl Child {
    /// One whose packets all go by one slot.
    pub fn new(selectors: SelectorSet, sa: SaRef) -> Child {
        Child { selectors, sa, own: Box::default() }
    }

    /// The same, with slots of workers that have an SA of their own, in which SAs are.
    pub fn with_own(self, own: impl IntoIterator<Item = SaRef>) -> Child {
        Child { own: own.into_iter().collect(), ..self }
    }

    /// Slots of workers that have an SA of their own.
    pub fn own(&self) -> &[SaRef] {
        &self.own
    }

    /// The slot by which a packet goes that a worker has: that worker's own, so that no other sees it; else the one
    /// of all.
    pub fn slot_for(&self, worker: WorkerId) -> SaRef {
        self.own.iter().find(|own| own.worker == worker).copied().unwrap_or(self.sa)
    }
}

/// A tunnel's children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    children: Arc<[Child]>,
}

/// More children than [`MAX_CHILDREN`]: the operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} child SAs in one tunnel: at most {MAX_CHILDREN}")]
pub struct TooManyChildren {
    /// How many there were.
    pub found: usize,
}

/// A tunnel found no place in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Its number is beyond the tables.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// There are too many.
    #[error(transparent)]
    Full(#[from] TableFull),
}

impl Tunnel {
    /// A tunnel with these children.
    pub fn new(children: Vec<Child>) -> Result<Tunnel, TooManyChildren> {
        if children.len() > MAX_CHILDREN {
            return Err(TooManyChildren { found: children.len() });
        }
        Ok(Tunnel { children: children.into() })
    }

    /// Its children.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The child that matches a packet most narrowly (DP-19); of equals the first.
    pub fn choose(&self, flow: &Flow) -> Option<&Child> {
        let matching =
            self.children.iter().filter_map(|child| Some((child.selectors.narrowness(flow)?, child)));
        matching.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, child)| child)
    }
}

/// Words of a line.
const LINE: usize = 8;

// Kinds of lines, in the lowest octet of the first word; worker and slot are above.
const ASK: u64 = 1;
const ALL: u64 = 2;
const V4: u64 = 3;
const V6: u64 = 4;

/// What a line says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes by this slot.
    Slot(SaRef),
    /// No child takes it, or there is no such tunnel.
    Nothing,
    /// Ask the children ([`Tunnel::choose`]).
    Ask,
}

/// The lines: the writer's end.
#[derive(Debug)]
pub struct Lines {
    /// By tunnel: the number of its line.
    cells: Arc<Words>,
    lines: Pool,
}

/// The lines: a reader's end.
#[derive(Clone, Debug)]
pub struct LineView {
    cells: Arc<Words>,
    lines: Arc<Words>,
}

impl Lines {
    /// No tunnel, room for [`CAPACITY`] of them, taken as they come.
    pub fn new() -> Lines {
        let cells = Words::reserve(CAPACITY as usize).unwrap_or_else(|_| Words::none());
        Lines { cells: Arc::new(cells), lines: Pool::new("tunnels", LINE, CAPACITY as usize + 1) }
    }

    /// For readers.
    pub fn view(&self) -> LineView {
        LineView { cells: Arc::clone(&self.cells), lines: Arc::clone(self.lines.words()) }
    }

    /// See [`Pool::publish`].
    pub fn publish(&mut self, version: Version, settled: Version) {
        self.lines.publish(version, settled);
    }

    /// Octets used at most so far.
    pub const fn octets(&self) -> usize {
        self.lines.octets()
    }

    /// Writes the line of a tunnel, or takes it away. Readers see it at once.
    pub fn set(&mut self, tunnel: TunnelId, value: Option<&Tunnel>) -> Result<(), NoPlace> {
        if tunnel.0 as usize >= self.cells.len() {
            return Err(OutOfRange { index: tunnel.0 }.into());
        }
        let number = match value {
            Some(value) => self.write(value)?,
            None => 0,
        };
        let Some(cell) = self.cells.get(tunnel.0 as usize) else { return Ok(()) };
        let former = cell.load(Relaxed) as u32;
        cell.store(u64::from(number), Release);
        if former != 0 {
            self.lines.retire(former);
        }
        Ok(())
    }

    fn write(&mut self, tunnel: &Tunnel) -> Result<u32, TableFull> {
        let number = self.lines.take()?;
        let line = line_of(tunnel).unwrap_or([ASK, 0, 0, 0, 0, 0, 0, 0]);
        self.lines.unit(number).iter().zip(line).for_each(|(word, value)| word.store(value, Relaxed));
        Ok(number)
    }
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::new()
    }
}

/// The line of a tunnel that has one child and needs to say no more than a line can.
fn line_of(tunnel: &Tunnel) -> Option<[u64; LINE]> {
    let [child] = tunnel.children() else { return None };
    if !child.own.is_empty() {
        return None;
    }
    let meta = |kind: u64| kind | u64::from(child.sa.worker.0) << 8 | u64::from(child.sa.slot) << 32;
    if child.selectors == SelectorSet::any() {
        return Some([meta(ALL), 0, 0, 0, 0, 0, 0, 0]);
    }
    match (range(child.selectors.local())?, range(child.selectors.remote())?) {
        (AddressRange::V4 { first: a, last: b }, AddressRange::V4 { first: c, last: d }) => {
            let pair = |low: u32, high: u32| u64::from(low) << 32 | u64::from(high);
            let (local, remote) = (pair(a.to_bits(), b.to_bits()), pair(c.to_bits(), d.to_bits()));
            Some([meta(V4), local, remote, 0, 0, 0, 0, 0])
        }
        (AddressRange::V6 { first: a, last: b }, AddressRange::V6 { first: c, last: d }) => {
            let (local, own) = prefix(a.to_bits(), b.to_bits())?;
            let (remote, other) = prefix(c.to_bits(), d.to_bits())?;
            let [high, low] = [local >> 64, local].map(|half| half as u64);
            let [far_high, far_low] = [remote >> 64, remote].map(|half| half as u64);
            Some([meta(V6), high, low, far_high, far_low, own << 8 | other, 0, 0])
        }
        _ => None,
    }
}

/// The addresses of a side that admits everything between them, and nothing else.
fn range(side: &[Selector]) -> Option<AddressRange> {
    let [only] = side else { return None };
    (only.protocol() == ANY_PROTOCOL && only.ports() == Ports::Any).then_some(only.addresses())
}

/// A range as the first address and the length of a prefix, if it is one.
fn prefix(first: u128, last: u128) -> Option<(u128, u64)> {
    let length = (first ^ last).leading_zeros();
    let host = u128::MAX.checked_shr(length).unwrap_or(0);
    (first & host == 0 && last & host == host).then_some((first, u64::from(length)))
}

impl LineView {
    /// What the line of a tunnel says of a packet on its way out.
    #[inline]
    pub fn ask(&self, tunnel: TunnelId, flow: &Flow) -> Answer {
        let number = self.cells.get(tunnel.0 as usize).map_or(0, |cell| cell.load(Acquire)) as u32;
        let [meta, rest @ ..] = unit(&self.lines, LINE, number) else { return Answer::Nothing };
        let meta = meta.load(Relaxed);
        let admitted = match (meta & 0xff, flow.source, flow.destination) {
            (ASK, ..) => return Answer::Ask,
            (ALL, ..) => true,
            (V4, IpAddr::V4(source), IpAddr::V4(destination)) => {
                let [local, remote, ..] = rest else { return Answer::Nothing };
                between(local, source.to_bits()) && between(remote, destination.to_bits())
            }
            (V6, IpAddr::V6(source), IpAddr::V6(destination)) => {
                let [high, low, far_high, far_low, lengths, ..] = rest else { return Answer::Nothing };
                let lengths = lengths.load(Relaxed) as u32;
                shared_bits(high, low, source.to_bits()) >= lengths >> 8
                    && shared_bits(far_high, far_low, destination.to_bits()) >= lengths & 0xff
            }
            _ => false,
        };
        let sa = SaRef { worker: WorkerId((meta >> 8) as u8), slot: (meta >> 32) as u32 };
        if admitted { Answer::Slot(sa) } else { Answer::Nothing }
    }

    /// The number of a tunnel's line, as something to prefetch.
    pub fn cell(&self, tunnel: TunnelId) -> Option<&AtomicU64> {
        self.cells.get(tunnel.0 as usize)
    }
}

#[inline(always)]
fn between(pair: &AtomicU64, address: u32) -> bool {
    let pair = pair.load(Relaxed);
    (pair >> 32) as u32 <= address && address <= pair as u32
}

#[inline(always)]
fn shared_bits(high: &AtomicU64, low: &AtomicU64, address: u128) -> u32 {
    let first = u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed));
    (first ^ address).leading_zeros()
}

#[cfg(test)]
mod tests;
