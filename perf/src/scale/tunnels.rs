//! Tunnels: what policy costs a packet on its way out, and the SA table one on its way in.

use std::hint::black_box;
use std::net::IpAddr;

use anyhow::{Context, ensure};
use ravelin_dataplane::net::flow::{Flow, Upper};
use ravelin_dataplane::policy::publish::{self, Reader};
use ravelin_dataplane::policy::route::{NextHop, Prefix, TunnelId};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Action, Entry, Otherwise, Spd};
use ravelin_dataplane::policy::table::{Child, Decision, Tables, Tunnel};
use ravelin_dataplane::sa::SaRef;
use ravelin_dataplane::sa::shard::WorkerId;

use super::{Rows, best};
use crate::random::Random;

const INSTANCE: u16 = 2;
const PROBES: usize = 1 << 16;
/// Packets between two refreshes.
const BURST: usize = 32;

/// How a packet finds its tunnel.
#[derive(Clone, Copy)]
enum By {
    /// A route, the usual way.
    Route,
    /// An entry of the ordered policy for each tunnel.
    Entry,
}

/// Figures for each number of tunnels.
pub fn run(counts: &[u32], repeats: usize, rows: &mut Rows) -> anyhow::Result<()> {
    for count in counts {
        for (by, name) in [(By::Route, "route"), (By::Entry, "entry")] {
            let mut reader = reader(by, *count)?;
            let flows = flows(*count);
            prove(&reader, &flows, *count)?;
            let cycles = best(repeats, &flows, 4096, |part| decide(&mut reader, part));
            rows.add(format!("outbound/{name}/{count}"), cycles, "cycles_a_packet");
        }
    }
    Ok(())
}

/// The network behind tunnel `n`, and of which tunnel an address is.
const fn network(n: u32) -> [u8; 4] {
    [10 + (n >> 16) as u8, (n >> 8) as u8, n as u8, 0]
}

fn reader(by: By, count: u32) -> anyhow::Result<Reader<Tables>> {
    let mut tables = Tables::new();
    let local = [Selector::addresses_only(AddressRange::prefix([192, 168, 0, 0].into(), 16))];
    let mut entries = Vec::new();
    for n in 0..count {
        let remote = [Selector::addresses_only(AddressRange::prefix(network(n).into(), 24))];
        let selectors = SelectorSet::new(&local, &remote)?;
        let sa = SaRef { worker: WorkerId(0), slot: n };
        tables.set_tunnel(TunnelId(n), Some(Tunnel::new(vec![Child::new(selectors.clone(), sa)])?))?;
        match by {
            By::Route => {
                let to = Some(NextHop::Tunnel(TunnelId(n)));
                tables.set_route(INSTANCE, Prefix::new(network(n).into(), 24)?, to)?;
            }
            By::Entry => entries.push(Entry { selectors, action: Action::Protect(TunnelId(n)) }),
        }
    }
    tables.set_spd(INSTANCE, Spd::new(entries, Otherwise::Discard)?)?;
    let (_, mut readers) = publish::channel(tables, 1);
    readers.pop().context("one reader was asked for")
}

fn flows(count: u32) -> Vec<Flow> {
    let mut random = Random::new(0x5eed_0004);
    let flow = |_| {
        let [a, b, c, _] = network(random.below(count as usize) as u32);
        Flow {
            source: [192, 168, 0, random.next() as u8].into(),
            destination: [a, b, c, random.next() as u8].into(),
            protocol: 17,
            upper: Upper::Ports { source: 1000, destination: 2000 },
        }
    };
    (0..PROBES).map(flow).collect()
}

fn prove(reader: &Reader<Tables>, flows: &[Flow], count: u32) -> anyhow::Result<()> {
    for flow in flows {
        let IpAddr::V4(destination) = flow.destination else { continue };
        let n = (destination.to_bits() >> 8) - (10 << 16);
        ensure!(n < count);
        let (tunnel, sa) = (TunnelId(n), SaRef { worker: WorkerId(0), slot: n });
        let found = reader.tables().decide(sa.worker, INSTANCE, flow);
        ensure!(found == Decision::Protect { tunnel, sa }, "{flow:?} goes {found:?}: no figure for that");
    }
    Ok(())
}

fn decide(reader: &mut Reader<Tables>, flows: &[Flow]) {
    for burst in flows.chunks(BURST) {
        reader.refresh();
        let view = reader.tables();
        for flow in burst {
            black_box(view.decide(WorkerId(0), INSTANCE, flow));
        }
    }
}
