//! Routes: lookups hot and at random, changes; lookups beside changes are [`super::beside`]'s.

use std::hint::black_box;
use std::net::IpAddr;

use anyhow::ensure;
use ravelin_dataplane::policy::publish::{self, Reader, Writer};
use ravelin_dataplane::policy::route::{Interface, NextHop, Prefix, PrefixMap, TunnelId};
use ravelin_dataplane::policy::table::Tables;
use ravelin_mem::tsc;

use super::{Rows, beside, best, quantile};
use crate::machine::Pinned;
use crate::random::Random;

pub const INSTANCE: u16 = 1;
/// Lookups of one measured run.
const PROBES: usize = 1 << 20;
/// Lookups timed together: some hundred microseconds.
pub const PIECE: usize = 4096;
/// Routes that are withdrawn and announced, and how often: each change counts at its best.
const CHANGED: usize = 20_000;
const ROUNDS: usize = 5;
/// Lookups between two refreshes, as a worker makes them.
pub const BURST: usize = 32;
/// Addresses of the hot run.
const HOT: usize = 64;

/// Prefix lengths as a full table of the Internet has them, in thousandths.
const LENGTHS_V4: [(u8, usize); 11] = [
    (24, 580),
    (23, 120),
    (22, 120),
    (21, 60),
    (20, 40),
    (19, 30),
    (18, 15),
    (17, 7),
    (16, 15),
    (12, 3),
    (28, 10),
];
const LENGTHS_V6: [(u8, usize); 7] =
    [(48, 470), (32, 130), (40, 100), (44, 100), (36, 60), (29, 40), (64, 100)];

/// A route table of `count` random prefixes of one family.
pub struct World {
    /// All of them.
    pub routes: Vec<(Prefix, NextHop)>,
    /// Addresses that some route covers, at random.
    pub probes: Vec<IpAddr>,
}

/// Figures of one family, in `rows`.
pub fn run(
    v4: bool,
    count: usize,
    repeats: usize,
    pairs: usize,
    pinned: Pinned,
    rows: &mut Rows,
) -> anyhow::Result<()> {
    let family = if v4 { "v4" } else { "v6" };
    let world = world(v4, count)?;
    let (mut writer, mut readers) = publish::channel(Tables::new(), 1);
    let hertz = tsc::frequency() as f64;
    let start = tsc::now();
    for (prefix, hop) in &world.routes {
        writer.tables_mut().set_route(INSTANCE, *prefix, Some(*hop))?;
    }
    rows.add(format!("routes/{family}/{count}/build"), (tsc::now() - start) as f64 / hertz, "seconds");
    writer.publish();
    let Some(mut reader) = readers.pop() else { return Ok(()) };
    reader.refresh();
    prove(&world, &reader)?;
    let (octets, _) = writer.tables().octets();
    rows.add(
        format!("routes/{family}/{count}/memory"),
        octets as f64 / count.max(1) as f64,
        "octets_a_route",
    );

    let random = best(repeats, &world.probes, PIECE, |part| lookups(&mut reader, part));
    rows.add(format!("routes/{family}/{count}/random"), random, "cycles_a_lookup");
    rows.add(format!("routes/{family}/{count}/random-trie"), trie(&world, repeats), "cycles_a_lookup");
    let hot: Vec<IpAddr> = world.probes.iter().cycle().take(HOT).copied().collect();
    let hot = best(repeats * 100, &hot, HOT, |part| lookups(&mut reader, part));
    rows.add(format!("routes/{family}/{count}/hot"), hot, "cycles_a_lookup");
    let ahead = best(repeats, &world.probes, PIECE, |part| lookups_ahead(&mut reader, part));
    rows.add(format!("routes/{family}/{count}/random-prefetched"), ahead, "cycles_a_lookup");
    let chained = best(repeats, &world.probes, PIECE, |part| chained(&reader, part));
    rows.add(format!("routes/{family}/{count}/random-one-by-one"), chained, "cycles_a_lookup");
    changes(&world, &mut writer, &mut reader, &format!("routes/{family}/{count}/change"), rows)?;
    beside::run(&world, writer, reader, pairs, pinned, &format!("routes/{family}/{count}/beside"), rows)
}

fn world(v4: bool, count: usize) -> anyhow::Result<World> {
    let mut random = Random::new(0x5eed_0001);
    let lengths = if v4 { LENGTHS_V4.as_slice() } else { LENGTHS_V6.as_slice() };
    let mut routes = Vec::with_capacity(count);
    let mut hosts: Vec<u128> = Vec::with_capacity(count);
    for number in 0..count {
        let mut at = random.below(1000);
        let pick = lengths.iter().find(|(_, share)| {
            let found = at < *share;
            at = at.saturating_sub(*share);
            found
        });
        let length = pick.map_or(24, |(length, _)| *length);
        let bits = u128::from(random.next()) << 64 | u128::from(random.next());
        // Global unicast: 1.0.0.0 up to 223.255.255.255; 2000::/16 to 2aff::/16, as it is given out.
        let (address, bits): (IpAddr, u128) = match v4 {
            true => {
                let bits = (0x0100_0000 + (bits as u32) % 0xdf00_0000) & u32::MAX << (32 - length);
                (IpAddr::V4(bits.into()), u128::from(bits))
            }
            false => {
                let bits = (0x2000 | ((bits >> 112) % 0x0b00)) << 112 | bits << 16 >> 16;
                (IpAddr::V6(bits.into()), bits)
            }
        };
        let interface = Interface { port: (number % 4) as u16, vlan: 0 };
        let hop = match number % 3 {
            0 => NextHop::Tunnel(TunnelId((number % 32_768) as u32)),
            _ => NextHop::Via(interface, [192, 0, 2, (number % 250) as u8].into()),
        };
        routes.push((Prefix::new(address, length)?, hop));
        hosts.push(bits | if v4 { 0 } else { 1 });
    }
    let probe = |_| {
        let bits = hosts.get(random.below(count)).copied().unwrap_or(0);
        if v4 {
            IpAddr::V4((bits as u32 | random.next() as u32 & 0xff).into())
        } else {
            IpAddr::V6(bits.into())
        }
    };
    let probes = (0..PROBES).map(probe).collect();
    Ok(World { routes, probes })
}

/// A sample of lookups against a search of all routes.
fn prove(world: &World, reader: &Reader<Tables>) -> anyhow::Result<()> {
    let mut last = std::collections::HashMap::new();
    for (prefix, hop) in &world.routes {
        last.insert(*prefix, *hop);
    }
    for probe in world.probes.iter().step_by(PROBES / 5000) {
        let most = if probe.is_ipv4() { 32 } else { 128 };
        let covering = (0..=most).rev().filter_map(|length| Prefix::new(*probe, length).ok());
        let expected = covering.into_iter().find_map(|prefix| last.get(&prefix).copied());
        let found = reader.tables().route(INSTANCE, *probe);
        ensure!(found == expected, "the route to {probe} is {expected:?}, not {found:?}: no figure for that");
    }
    Ok(())
}

/// What the same lookups cost in the persistent trie that neighbours lie in, where routes lay once.
fn trie(world: &World, repeats: usize) -> f64 {
    let mut map = PrefixMap::default();
    for (prefix, hop) in &world.routes {
        map.set(*prefix, Some(*hop));
    }
    best(repeats.min(5), &world.probes, PIECE, |part| {
        part.iter().for_each(|probe| _ = black_box(map.longest(*probe)));
    })
}

fn lookups(reader: &mut Reader<Tables>, probes: &[IpAddr]) {
    for burst in probes.chunks(BURST) {
        reader.refresh();
        let view = reader.tables();
        for probe in burst {
            black_box(view.route(INSTANCE, *probe));
        }
    }
}

/// The same, each burst's memory asked for before it is used.
pub fn lookups_ahead(reader: &mut Reader<Tables>, probes: &[IpAddr]) {
    for burst in probes.chunks(BURST) {
        reader.refresh();
        let view = reader.tables();
        burst.iter().for_each(|probe| view.prefetch_first(INSTANCE, *probe));
        burst.iter().for_each(|probe| view.prefetch_second(INSTANCE, *probe));
        for probe in burst {
            black_box(view.route(INSTANCE, *probe));
        }
    }
}

/// Each lookup waits for the one before: what a packet alone would wait.
fn chained(reader: &Reader<Tables>, probes: &[IpAddr]) {
    let (view, mut missed) = (reader.tables(), 0);
    for at in 0..probes.len() {
        // Where the next address is read from depends on the answer before.
        let found = probes.get(at + missed).and_then(|probe| view.route(INSTANCE, *probe));
        missed &= usize::from(black_box(found).is_none());
    }
}

/// Withdraws and announces routes one by one, each published, and times each.
fn changes(
    world: &World,
    writer: &mut Writer<Tables>,
    reader: &mut Reader<Tables>,
    name: &str,
    rows: &mut Rows,
) -> anyhow::Result<()> {
    let mut random = Random::new(0x5eed_0002);
    let chosen: Vec<_> =
        (0..CHANGED).filter_map(|_| world.routes.get(random.below(world.routes.len()))).collect();
    let mut costs = vec![u64::MAX; 2 * chosen.len()];
    for _ in 0..ROUNDS {
        let changes = chosen.iter().flat_map(|(prefix, hop)| [(prefix, None), (prefix, Some(*hop))]);
        for (cost, (prefix, hop)) in costs.iter_mut().zip(changes) {
            let start = tsc::fenced();
            writer.tables_mut().set_route(INSTANCE, *prefix, hop)?;
            writer.publish();
            *cost = (*cost).min(tsc::fenced() - start);
            reader.refresh();
        }
    }
    let microseconds = 1e6 / tsc::frequency() as f64;
    let mut took: Vec<f64> = costs.iter().map(|cost| *cost as f64 * microseconds).collect();
    for (part, label) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
        rows.add(format!("{name}/{label}"), quantile(&mut took, part), "microseconds");
    }
    Ok(())
}
