//! What longest-prefix match in place must hold: the naive answer after every change, nothing left behind,
//! and for a reader beside the writer an answer that was right at some moment of the lookup.

use super::*;
use crate::policy::publish::{self, Reader, Source, Version};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

/// Small, so that pools run dry in a test if anything leaks.
fn small() -> Memory {
    Memory::with_room(1, 600, 300, 0)
}

fn naive(model: &BTreeMap<Bits, Code>, address: u128) -> Code {
    let covering = model.iter().filter(|(key, _)| Bits::new(address, key.length()) == **key);
    covering.max_by_key(|(key, _)| key.length()).map_or(0, |(_, code)| *code)
}

fn lookup(shared: &Shared, root: Root, v4: bool, address: u128) -> Code {
    match v4 {
        true => shared.longest(root, &((address >> 96) as u32).to_be_bytes()),
        false => shared.longest(root, &address.to_be_bytes()),
    }
}

/// Prefixes that nest and neighbour each other at every boundary of a level.
fn any_key(v4: bool) -> impl Strategy<Value = Bits> {
    let most = if v4 { 32u8 } else { 128 };
    let edges = prop_oneof![
        Just(0),
        1u8..=most,
        prop::sample::select(vec![15, 16, 17, 23, 24, 25, 31, 32]),
        most - 9..=most
    ];
    (0u128..4, 0u128..4, 0u128..4, edges).prop_map(move |(high, middle, low, length)| {
        let low = if v4 { low << 96 } else { low };
        Bits::new(high << 118 | middle << 104 | low, length)
    })
}

/// Addresses at both ends of every prefix, and one beyond.
fn probes(model: &BTreeMap<Bits, Code>, keys: &[Bits]) -> Vec<u128> {
    let ends = |key: &Bits| {
        let host = u128::MAX.checked_shr(u32::from(key.length())).unwrap_or(0);
        [key.bits(), key.bits() | host, (key.bits() | host).wrapping_add(1)]
    };
    model.keys().chain(keys).flat_map(ends).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn every_change_gives_the_naive_answer(
        v4: bool,
        steps in any::<bool>().prop_flat_map(|_| proptest::collection::vec((any_key(true), any_key(false), proptest::option::of(1u32..1000)), 1..40)),
    ) {
        let mut memory = small();
        let mut prefixes = Prefixes::new(&mut memory).unwrap();
        let (shared, root) = (memory.shared(), prefixes.root());
        let mut model = BTreeMap::new();
        let keys: Vec<Bits> = steps.iter().map(|(four, six, _)| if v4 { *four } else { *six }).collect();
        for (key, (_, _, code)) in keys.iter().zip(&steps) {
            let former = match code {
                Some(code) => model.insert(*key, *code),
                None => model.remove(key),
            };
            prop_assert_eq!(prefixes.set(&mut memory, *key, *code), Ok(former));
            // Nobody reads: everything retired is free at the next publication.
            memory.publish(Version(1), Version(1));
            for address in probes(&model, &keys) {
                let address = if v4 { address >> 96 << 96 } else { address };
                prop_assert_eq!(lookup(&shared, root, v4, address), naive(&model, address), "{:x}", address);
            }
        }
        for key in keys {
            prefixes.set(&mut memory, key, None).unwrap();
        }
        memory.publish(Version(2), Version(2));
        prop_assert_eq!((memory.nodes.used(), memory.bunches.used()), (0, 0));
    }
}

/// Few prefixes are a bunch, more make nodes, and all of it goes with them.
#[test]
fn memory_follows_the_prefixes() {
    let key = |low: u128| Bits::new(10 << 120 | low << 96, 32);
    let mut memory = small();
    let mut prefixes = Prefixes::new(&mut memory).unwrap();
    let used = |memory: &Memory| (memory.nodes.used(), memory.bunches.used());
    for low in 1..=4 {
        prefixes.set(&mut memory, key(low), Some(low as Code)).unwrap();
        assert_eq!(used(&memory), (0, 1));
    }
    prefixes.set(&mut memory, key(5), Some(5)).unwrap();
    assert_eq!(used(&memory), (2, 0));
    for low in 1..=2 {
        prefixes.set(&mut memory, key(low), None).unwrap();
        assert_eq!(used(&memory), (2, 0));
    }
    prefixes.set(&mut memory, key(3), None).unwrap();
    assert_eq!(used(&memory), (0, 1));
    prefixes.end(&mut memory);
    assert_eq!((memory.roots.used(), memory.nodes.used(), memory.bunches.used()), (0, 0, 0));
}

#[test]
fn a_full_table_refuses_and_changes_nothing() {
    let mut memory = Memory::with_room(1, 3, 3, 0);
    let mut prefixes = Prefixes::new(&mut memory).unwrap();
    let (shared, root) = (memory.shared(), prefixes.root());
    let key = |low: u128| Bits::new(10 << 120 | low, 128);
    for low in 1..=4 {
        prefixes.set(&mut memory, key(low), Some(low as Code)).unwrap();
        memory.publish(Version(low as u64), Version(low as u64));
    }
    // Fourteen nodes would be needed to tell five apart.
    let full = prefixes.set(&mut memory, key(5), Some(5)).unwrap_err();
    assert_eq!((full.what, full.capacity), ("route nodes", 4));
    assert_eq!((memory.nodes.used(), memory.bunches.used(), prefixes.all().len()), (0, 1, 4));
    for low in 1..=5 {
        let expected = if low < 5 { low as Code } else { 0 };
        assert_eq!(shared.longest(root, &key(low).bits().to_be_bytes()), expected);
    }
    assert!(Prefixes::new(&mut memory).is_err());
}

/// A removal needs no room: without any, what was removed is muted where it lies.
#[test]
fn a_full_table_still_lets_go() {
    let mut memory = Memory::with_room(1, 1, 1, 0);
    let mut prefixes = Prefixes::new(&mut memory).unwrap();
    let (shared, root) = (memory.shared(), prefixes.root());
    let key = |low: u128| Bits::new(10 << 120 | low << 96, 32);
    prefixes.set(&mut memory, key(1), Some(1)).unwrap();
    assert!(prefixes.set(&mut memory, key(2), Some(2)).is_err(), "two bunches are not there at once");
    assert_eq!(shared.longest(root, &[10, 0, 0, 1]), 1);
    assert_eq!(prefixes.set(&mut memory, key(1), None), Ok(Some(1)));
    memory.publish(Version(1), Version(1));
    assert_eq!((shared.longest(root, &[10, 0, 0, 1]), memory.bunches.used()), (0, 0));

    let mut memory = Memory::with_room(1, 1, 2, 0);
    let mut prefixes = Prefixes::new(&mut memory).unwrap();
    let (shared, root) = (memory.shared(), prefixes.root());
    prefixes.set(&mut memory, key(1), Some(1)).unwrap();
    prefixes.set(&mut memory, key(2), Some(2)).unwrap();
    assert_eq!(prefixes.set(&mut memory, key(2), None), Ok(Some(2)), "the first bunch still rests");
    assert_eq!([1, 2].map(|low| shared.longest(root, &[10, 0, 0, low])), [1, 0]);
    memory.publish(Version(1), Version(1));
    prefixes.set(&mut memory, key(3), Some(3)).unwrap();
    assert_eq!([1, 2, 3].map(|low| shared.longest(root, &[10, 0, 0, low])), [1, 0, 3]);
}

/// A table whose addresses always have one of two codes, for a reader that checks.
struct Flapping {
    memory: Memory,
    root: Root,
}

impl Source for Flapping {
    type View = (Shared, Root);

    fn view(&mut self, version: Version, settled: Version) -> (Shared, Root) {
        self.memory.publish(version, settled);
        (self.memory.shared(), self.root)
    }
}

/// Counts its rounds where the writer sees them.
fn watch(mut reader: Reader<Flapping>, rounds: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        reader.refresh();
        let (shared, root) = reader.tables();
        for low in 0..=255u32 {
            // 10.0.0.0/24 is always there with code 1, and 10.0.0.n/32, when it is there, has code 1000 + n.
            let code = shared.longest(*root, &(10 << 24 | low).to_be_bytes());
            assert!(code == 1 || code == 1000 + low, "10.0.0.{low} has code {code}");
        }
        rounds.fetch_add(1, Relaxed);
    }
}

/// The publication protocol under stress: nodes and slips come, go, and are used again for other
/// addresses while readers are on their way through them.
#[test]
fn readers_beside_the_writer_see_before_or_after() {
    let mut memory = Memory::with_room(1, 200, 2000, 0);
    let mut prefixes = Prefixes::new(&mut memory).unwrap();
    prefixes.set(&mut memory, Bits::new(10 << 120, 24), Some(1)).unwrap();
    let (mut writer, readers) = publish::channel(Flapping { memory, root: prefixes.root() }, 2);
    let (stop, rounds) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 2]);
    thread::scope(|scope| {
        let stop = &stop;
        for (reader, rounds) in readers.into_iter().zip(&rounds) {
            scope.spawn(move || watch(reader, rounds, stop));
        }
        // However busy the machine, both sides have had their turns.
        let enough = || rounds.iter().all(|rounds| rounds.load(Relaxed) > 100);
        for round in (0u32..).take_while(|round| *round < 20_000 || !enough()) {
            let memory = &mut writer.tables_mut().memory;
            // One host, then another beside it (slip to node), then none (node to slip to nothing); and the
            // freed memory is taken by prefixes elsewhere whose codes would be wrong here.
            for (low, code) in [(round, true), (round + 7, true), (round, false), (round + 7, false)] {
                let (low, other) = (low & 255, low.wrapping_mul(2_654_435_761));
                let host = Bits::new(u128::from(10 << 24 | low) << 96, 32);
                // A refusal is right: readers may be asleep on what was retired.
                let _ = prefixes.set(memory, host, code.then_some(1000 + low));
                let elsewhere = Bits::new(u128::from(other | 1 << 31) << 96, 32);
                let _ = prefixes.set(memory, elsewhere, code.then_some(77));
            }
            writer.publish();
        }
        stop.store(true, Relaxed);
    });
}
