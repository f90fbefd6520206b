//! What was decided about a flow, so that policy, routes and neighbours are asked once for a flow and not for
//! each of its packets.
//!
//! A memo is the answer of [`super::policy::decide`] for one key: everything that function looks at, namely
//! where the packet came from and its selectors. It is believed only while the tables are the same
//! ([`Memo::forget`]), and only for exactly that key. Of what is not remembered (refusals, packets for the
//! kernel) or was pushed out nothing is lost but time. Whoever aims flows at one place makes them miss, not
//! err, and the places are secret.

use std::num::NonZeroU64;

use ravelin_mem::arena::Slab;
use ravelin_mem::prefetch;

use super::exit::ExitRef;
use crate::io::Meta;
use crate::net::flow::Summary;
use crate::policy::route::IpTunnelId;
use crate::sa::SaRef;
use crate::sa::shard::WorkerId;

/// Flows of IPv4 remembered: two in a line, found in one of two neighbouring lines.
const LINES_V4: usize = 1 << 15;
/// Flows of IPv6 remembered: one in a line.
const LINES_V6: usize = 1 << 14;

/// A [`Way`] as it is remembered: one word, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed(NonZeroU64);

/// Epochs are told apart by what [`Summary::selectors`] leave of a word.
const EPOCH_AT: u32 = Summary::SELECTOR_BITS;
const EPOCHS: u32 = 1 << (64 - EPOCH_AT);

/// Where packets of a flow go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Under the SA in this slot, or not at all.
    Seal(SaRef),
    /// In clear, by this exit.
    Clear(ExitRef),
    /// Into this ip-tunnel.
    Enter(IpTunnelId),
}

/// A flow, and where its packets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Of IPv4.
    V4([u64; 3]),
    /// Of IPv6.
    V6([u64; 7]),
}

/// Where a flow would be remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place(u64);

/// The flows one worker remembers.
#[derive(Debug)]
pub struct Memo {
    v4: Table<4, 2>,
    v6: Table<8, 1>,
    /// Part of every key: what was remembered in another epoch is another key. Never 0.
    epoch: u32,
    secret: [u64; 2],
}

impl Memo {
    /// Nothing remembered. `secret` chooses the places.
    pub fn new(secret: u64) -> Memo {
        let secret = [secret, secret.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15];
        Memo { v4: Table::new(LINES_V4), v6: Table::new(LINES_V6), epoch: 1, secret }
    }

    /// Believes nothing any more: a table has changed.
    pub fn forget(&mut self) {
        self.epoch = (self.epoch + 1) % EPOCHS;
        if self.epoch == 0 {
            self.v4.clear();
            self.v6.clear();
            self.epoch = 1;
        }
    }

    /// The key of the flow a packet belongs to.
    #[inline(always)]
    pub fn key(&self, meta: &Meta, packet: &Summary) -> Key {
        let ([[a, b], [c, d]], selectors) = (packet.ends(), packet.selectors());
        let shown = u64::from(self.epoch) << EPOCH_AT | selectors;
        let arrival = meta.word();
        match packet.is_v4() {
            true => Key::V4([b << 32 | d, shown, arrival]),
            false => Key::V6([a, b, c, d, shown, arrival, 0]),
        }
    }

    /// Asks for the line in which a flow would be first, to look it up soon; [`Memo::find`] wants to know where that is.
    #[inline(always)]
    pub fn prefetch(&self, key: &Key) -> Place {
        match key {
            Key::V4(key) => {
                let hash = hash(key, self.secret);
                self.v4.prefetch(hash);
                Place(hash)
            }
            Key::V6(key) => {
                let hash = hash(key, self.secret);
                self.v6.prefetch(hash);
                Place(hash)
            }
        }
    }

    /// Where packets of a flow go, if that is remembered in the place of the flow.
    #[inline(always)]
    pub fn find(&self, key: &Key, Place(hash): Place) -> Option<Packed> {
        let word = match key {
            Key::V4(key) => self.v4.find(hash, key)?,
            Key::V6(key) => self.v6.find(hash, key)?,
        };
        NonZeroU64::new(word).map(Packed)
    }

    /// Remembers where packets of a flow go.
    pub fn remember(&mut self, key: &Key, way: Way) {
        let value = packed(way);
        match key {
            Key::V4([a, b, c]) => {
                self.v4.put(hash(&[*a, *b, *c], self.secret), [*a, *b, *c, value], self.epoch);
            }
            Key::V6(key) => {
                let [a, b, c, d, e, f, g] = *key;
                self.v6.put(hash(key, self.secret), [a, b, c, d, e, f, g, value], self.epoch);
            }
        }
    }
}

/// Two words a step, each step a product of twice the width whose halves are laid over each other.
#[inline(always)]
fn hash<const N: usize>(key: &[u64; N], [secret, other]: [u64; 2]) -> u64 {
    let (pairs, last) = key.as_chunks::<2>();
    let state = pairs.iter().fold(secret, |state, [a, b]| mix(state ^ a, other ^ b));
    last.iter().fold(state, |state, word| mix(state ^ word, other))
}

#[inline(always)]
const fn mix(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

const SEAL: u64 = 1 << 56;
const CLEAR: u64 = 2 << 56;
const ENTER: u64 = 4 << 56;

/// Kind in 8 bits, index in 24, slot, stamp or number in 32.
const fn packed(way: Way) -> u64 {
    match way {
        Way::Seal(SaRef { worker, slot }) => SEAL | (worker.0 as u64) << 32 | slot as u64,
        Way::Clear(ExitRef { index, stamp }) => CLEAR | (index as u64 & 0xff_ffff) << 32 | stamp as u64,
        Way::Enter(IpTunnelId(number)) => ENTER | number as u64,
    }
}

impl Packed {
    /// As it can be asked.
    #[inline(always)]
    pub const fn way(self) -> Way {
        let word = self.0.get();
        match word & (SEAL | CLEAR) {
            SEAL => Way::Seal(SaRef { worker: WorkerId((word >> 32) as u8), slot: word as u32 }),
            CLEAR => Way::Clear(ExitRef { index: (word >> 32) as u32 & 0xff_ffff, stamp: word as u32 }),
            _ => Way::Enter(IpTunnelId(word as u32)),
        }
    }
}

/// `N` entries of `W` words, the last of which is the value: a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line<const W: usize, const N: usize>([[u64; W]; N]);

/// A table of lines; an entry is in the line its hash names or in that one's neighbour.
#[derive(Debug)]
struct Table<const W: usize, const N: usize> {
    /// Absent where the machine had no memory for it: then nothing is remembered.
    lines: Option<Slab<Line<W, N>>>,
    /// Where the next entry goes that finds no room: each time another.
    victim: usize,
}

impl<const W: usize, const N: usize> Table<W, N> {
    /// `lines` (a power of two) lines with nothing in them.
    fn new(lines: usize) -> Self {
        Table { lines: Slab::in_clear(lines, |_| Line([[0; W]; N])).ok(), victim: 0 }
    }

    #[inline]
    fn lines(&self) -> &[Line<W, N>] {
        self.lines.as_deref().unwrap_or_default()
    }

    fn lines_mut(&mut self) -> &mut [Line<W, N>] {
        self.lines.as_deref_mut().unwrap_or_default()
    }

    fn clear(&mut self) {
        self.lines_mut().iter_mut().for_each(|line| line.0 = [[0; W]; N]);
    }

    #[inline]
    fn at(&self, hash: u64) -> usize {
        hash as usize & self.lines().len().wrapping_sub(1)
    }

    #[inline]
    fn prefetch(&self, hash: u64) {
        // Most entries are where their hash names; the neighbour would cost a line more of every packet.
        if let Some(line) = self.lines().get(self.at(hash)) {
            prefetch::read(line);
        }
    }

    #[inline(always)]
    fn find<const K: usize>(&self, hash: u64, key: &[u64; K]) -> Option<u64> {
        let at = self.at(hash);
        found(self.lines().get(at)?, key).or_else(|| found(self.lines().get(at ^ 1)?, key))
    }

    /// Puts an entry in the place of itself, of one from another epoch, or of whoever's turn it is.
    fn put(&mut self, hash: u64, entry: [u64; W], epoch: u32) {
        let at = self.at(hash);
        let places = [at, at ^ 1].into_iter().flat_map(|line| (0..N).map(move |place| (line, place)));
        let usable = |(line, place): &(usize, usize)| {
            let held = self.lines().get(*line).and_then(|line| line.0.get(*place));
            held.is_none_or(|held| key_of(held) == key_of(&entry) || epoch_of(held) != epoch)
        };
        let chosen = places.clone().find(usable).or_else(|| places.clone().nth(self.victim % (2 * N)));
        self.victim = self.victim.wrapping_add(1);
        let place = chosen.and_then(|(line, place)| self.lines_mut().get_mut(line)?.0.get_mut(place));
        if let Some(place) = place {
            *place = entry;
        }
    }
}

#[inline(always)]
fn found<const W: usize, const N: usize, const K: usize>(line: &Line<W, N>, key: &[u64; K]) -> Option<u64> {
    for entry in &line.0 {
        // Word by word: a key that was just put together word by word is slow to load in larger pieces.
        let differ = entry.iter().zip(key).fold(0, |differ, (held, word)| differ | (held ^ word));
        if differ == 0 {
            return entry.last().copied();
        }
    }
    None
}

fn key_of<const W: usize>(entry: &[u64; W]) -> Option<&[u64]> {
    entry.split_last().map(|(_, key)| key)
}

/// The epoch an entry was put in: it lies highest in the word of selectors.
const fn epoch_of<const W: usize>(entry: &[u64; W]) -> u32 {
    let word = if W == 4 { entry.as_slice().split_at(1).1 } else { entry.as_slice().split_at(4).1 };
    match word.first() {
        Some(word) => (*word >> EPOCH_AT) as u32,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Origin;
    use crate::net::flow::{Flow, Upper};
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::net::IpAddr;

    fn packet(v6: bool, source: u32, host: u8, port: u16, upper: u8) -> Summary {
        let address =
            |n: u128| -> IpAddr { if v6 { IpAddr::V6(n.into()) } else { IpAddr::V4((n as u32).into()) } };
        let upper = match upper {
            0 => Upper::Ports { source: 1, destination: port },
            1 => Upper::Icmp { kind: 8, code: port as u8 },
            2 => Upper::Opaque,
            _ => Upper::Portless,
        };
        let (source, destination) = (address(u128::from(source)), address(u128::from(host)));
        Summary::of(&Flow { source, destination, protocol: 17, upper })
    }

    fn meta(instance: u16, origin: Origin) -> Meta {
        Meta { port: 1, vlan: 5, instance, origin, framed: false }
    }

    fn way(n: u32) -> Way {
        match n % 3 {
            0 => Way::Seal(SaRef { worker: WorkerId(n as u8), slot: n }),
            1 => Way::Clear(ExitRef { index: n % 4096, stamp: n }),
            _ => Way::Enter(IpTunnelId(n)),
        }
    }

    proptest! {
        /// Against a map that is emptied at each change of the tables: a memo answers rightly or not at all,
        /// and as long as places are plenty it does answer.
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec(
            (any::<bool>(), 0u8..6, 0u16..4, 0u8..4, 0u16..3, any::<bool>(), 0u8..10, any::<u32>()), 1..120)
        ) {
            let (mut memo, mut model) = (Memo::new(7), HashMap::new());
            for (v6, host, port, upper, instance, tunnel, step, value) in steps {
                let (packet, origin) = (packet(v6, 1, host, port, upper), if tunnel { Origin::Tunnel } else { Origin::Wire });
                let (meta, flow) = (meta(instance, origin), packet.flow());
                let key = memo.key(&meta, &packet);
                let place = memo.prefetch(&key);
                prop_assert_eq!(memo.find(&key, place).map(Packed::way), model.get(&(instance, tunnel, flow)).copied());
                match step {
                    0 => {
                        memo.forget();
                        model.clear();
                    }
                    _ => {
                        memo.remember(&key, way(value));
                        model.insert((instance, tunnel, flow), way(value));
                        prop_assert_eq!(memo.find(&key, place).map(Packed::way), Some(way(value)));
                    }
                }
            }
        }
    }

    #[test]
    fn a_full_line_pushes_out_and_never_confuses() {
        let mut memo = Memo::new(3);
        let keys: Vec<_> = (0..200_000u32)
            .map(|n| {
                let packet = packet(false, n, 9, 1, 0);
                memo.key(&meta(0, Origin::Wire), &packet)
            })
            .collect();
        for (n, key) in keys.iter().enumerate() {
            memo.remember(key, way(n as u32));
        }
        let found = keys.iter().enumerate().filter(|(n, key)| match memo.find(key, memo.prefetch(key)) {
            Some(found) => {
                assert_eq!(found.way(), way(*n as u32));
                true
            }
            None => false,
        });
        let found = found.count();
        assert!(found > LINES_V4 && found <= 2 * LINES_V4, "{found} flows are remembered");
    }

    #[test]
    fn nothing_outlives_the_count_of_epochs() {
        let mut memo = Memo::new(3);
        memo.epoch = EPOCHS - 1;
        let key = memo.key(&meta(0, Origin::Wire), &packet(true, 1, 9, 1, 0));
        memo.remember(&key, way(4));
        memo.forget();
        let key = memo.key(&meta(0, Origin::Wire), &packet(true, 1, 9, 1, 0));
        assert_eq!(memo.find(&key, memo.prefetch(&key)), None);
        assert!(memo.v6.lines().iter().all(|line| line.0.as_flattened().iter().all(|word| *word == 0)));
    }
}
