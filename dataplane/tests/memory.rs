//! A tunnel with one child takes less than 2 KiB: its slots in a worker's tables, both directions, keys,
//! counters and a place to rekey in included, and what control allocates for its SAs.
//!
//! Tables that are not a tunnel's own (routes, the line of its number) are reported by `ravelin-perf scale`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::sa::replay::{DEFAULT, SMALLEST, Window};
use ravelin_dataplane::sa::table::{OutboundTable, ShardTable};
use ravelin_mem::counting::{Counting, allocations, octets};
use std::net::IpAddr;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What an allocator may add to each allocation: a word of its own, and what rounding to 16 octets takes.
const OVERHEAD: u64 = 8 + 15;

/// What `make` takes of the heap for what it makes, at most.
fn heap<T>(make: impl FnOnce() -> T) -> usize {
    let before = (allocations(), octets());
    let made = std::hint::black_box(make());
    let took = octets() - before.1 + (allocations() - before.0) * OVERHEAD;
    drop(made);
    took as usize
}

fn side(address: &str, length: u8) -> [Selector; 1] {
    let address: IpAddr = address.parse().unwrap();
    [Selector::addresses_only(AddressRange::prefix(address, length))]
}

#[test]
fn a_tunnel_with_one_child_takes_less_than_2_kib() {
    let (inbound, outbound) = (ShardTable::OCTETS, OutboundTable::OCTETS);
    let slots = inbound.hot + inbound.rest + outbound.hot + outbound.rest;
    for (local, remote) in
        [(side("192.168.0.0", 16), side("10.0.0.0", 24)), (side("2001:db8::", 32), side("2001:db8:1::", 48))]
    {
        let window = heap(|| Window::new(DEFAULT, true).unwrap());
        let selectors = heap(|| Box::new(SelectorSet::new(&local, &remote).unwrap()));
        assert!(
            window >= DEFAULT as usize / 8 && selectors >= size_of::<SelectorSet>(),
            "nothing was counted"
        );
        assert!(
            slots + window + selectors < 2048,
            "{slots} of slots, {window} of window, {selectors} of selectors"
        );
    }
}

/// A window takes a bit for each number it holds, and no more than rounding adds.
#[test]
fn a_window_takes_as_many_bits_as_it_holds_numbers() {
    for size in [SMALLEST, 33, 64, 65, 1000, 1024, 1025, 8192] {
        let took = heap(|| Window::new(size, true).unwrap());
        let bits = size.next_power_of_two().max(64) as usize;
        assert!(took <= bits / 8 + OVERHEAD as usize, "{size} took {took}");
        assert_eq!(Window::octets(size), bits / 8);
    }
}
