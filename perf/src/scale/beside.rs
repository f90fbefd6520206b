//! Lookups on one core while another changes routes: what the changes cost those who look up, and how long a
//! change takes meanwhile.
//!
//! Lookups are timed in pieces of a millisecond. Two pieces that follow each other make a pair: during one the
//! other core changes routes, ten in a millisecond, during the other it waits for the same moments and changes
//! nothing; which comes first alternates. So whatever else goes on is in both or in few of very many pairs, and
//! the median of the pairs says what the changes do. Between them lie pairs without any changes, taken and
//! reckoned in the same way: if their median is not nothing, the method is at fault and the figure void.
//!
//! A pair does not count if the kernel took the core away during it, or if the other core, itself disturbed,
//! made too few changes.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use anyhow::bail;
use ravelin_dataplane::policy::publish::{Reader, Writer};
use ravelin_dataplane::policy::table::Tables;
use ravelin_mem::tsc;

use super::routes::{BURST, INSTANCE, PIECE, World, lookups_ahead};
use super::{Rows, best, quantile};
use crate::machine::{self, Pinned};
use crate::random::Random;

/// Changes a second.
const RATE: u64 = 10_000;
/// Pieces a second: each has ten changes in it, or none.
const PIECES: u64 = 1_000;
/// How far from their due a piece's changes may be; one may fall to either side of its ends.
const OFF: f64 = 0.2;
/// Pairs tried for each that is asked for, and pairs without which there is no figure.
const ATTEMPTS: usize = 10;
const FEWEST: usize = 100;
/// 95 of 100 values of a normal distribution lie so many deviations about its middle.
const DEVIATIONS: f64 = 1.96;

/// What the two cores say to each other.
#[derive(Default)]
struct Signals {
    /// To change routes.
    go: Apart<AtomicBool>,
    /// To come to an end.
    end: Apart<AtomicBool>,
    /// Changes made.
    made: Apart<AtomicU64>,
}

/// Something in a cache line, and its neighbour's, of its own.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// A millisecond of lookups.
#[derive(Clone, Copy)]
struct Piece {
    /// Cycles of all of it.
    cycles: u64,
    /// Changes made meanwhile.
    changes: u64,
    /// The kernel took the core away.
    interrupted: bool,
}

impl Piece {
    /// Undisturbed, and with as many changes as there should be at this rate.
    fn counts(&self, rate: u64) -> bool {
        let due = (rate * self.cycles) as f64 / tsc::frequency() as f64;
        !self.interrupted && (self.changes as f64 - due).abs() <= (due * OFF).max(1.0)
    }
}

/// A change, in microseconds.
#[derive(Clone, Copy)]
struct Change {
    took: f64,
    /// The kernel took the core away.
    interrupted: bool,
}

/// All figures, of so many pairs.
pub fn run(
    world: &World,
    mut writer: Writer<Tables>,
    reader: Reader<Tables>,
    pairs: usize,
    pinned: Pinned,
    name: &str,
    rows: &mut Rows,
) -> anyhow::Result<()> {
    // There is no beside on one core.
    let Some(other) = pinned.other else { return Ok(()) };
    let signals = Signals::default();
    let (compared, changes) = thread::scope(|scope| {
        let changing = scope.spawn(|| change(world, &mut writer, other, &signals));
        let compared = Looking::new(reader, &world.probes, &signals).compare(pairs);
        signals.end.0.store(true, Relaxed);
        (compared, changing.join().unwrap_or_else(|_| bail!("who changed routes panicked")))
    });
    report(compared, &changes?, name, rows);
    Ok(())
}

fn report(
    Compared { mut beside, mut unchanged, mean }: Compared,
    all: &[Change],
    name: &str,
    rows: &mut Rows,
) {
    let mut took: Vec<f64> = all.iter().map(|change| change.took).collect();
    let mut alone: Vec<f64> =
        all.iter().filter(|change| !change.interrupted).map(|change| change.took).collect();
    rows.add(format!("{name}/changes"), took.len() as f64, "changes");
    for (part, label) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
        rows.add(format!("{name}/change-{label}"), quantile(&mut took, part), "microseconds");
    }
    rows.add(format!("{name}/change-p99-uninterrupted"), quantile(&mut alone, 0.99), "microseconds");
    rows.add(format!("{name}/pairs"), beside.len() as f64, "pairs");
    if beside.len().min(unchanged.len()) < FEWEST {
        eprintln!("{name}: too much else ran on the two cores, no figure for what changes do to lookups");
        return;
    }
    let [low, median, high] = middle(&mut beside);
    rows.add(format!("{name}/slower-median"), median, "percent");
    rows.add(format!("{name}/slower-median-from"), low, "percent");
    rows.add(format!("{name}/slower-median-to"), high, "percent");
    rows.add(format!("{name}/slower-mean"), mean, "percent");
    let [low, median, high] = middle(&mut unchanged);
    rows.add(format!("{name}/without-changes-median"), median, "percent");
    rows.add(format!("{name}/without-changes-from"), low, "percent");
    rows.add(format!("{name}/without-changes-to"), high, "percent");
}

/// The median with the interval it lies in with 95 % certainty, whatever the distribution: between two of the
/// values themselves (order statistics of the binomial distribution).
fn middle(values: &mut [f64]) -> [f64; 3] {
    let count = values.len() as f64;
    let off = DEVIATIONS / (2.0 * count.sqrt());
    [0.5 - off, 0.5, 0.5 + off].map(|part| quantile(values, part.clamp(0.0, 1.0)))
}

/// How much slower the second of two was, in percent: of pairs with changes and of pairs without.
struct Compared {
    beside: Vec<f64>,
    unchanged: Vec<f64>,
    /// Of all pieces with changes against all without, which a few long stalls would show in.
    mean: f64,
}

/// Who looks up.
struct Looking<'a> {
    reader: Reader<Tables>,
    pieces: std::iter::Cycle<std::iter::Take<std::slice::ChunksExact<'a, IpAddr>>>,
    signals: &'a Signals,
}

impl<'a> Looking<'a> {
    fn new(mut reader: Reader<Tables>, probes: &'a [IpAddr], signals: &'a Signals) -> Looking<'a> {
        let cycles = best(3, probes, PIECE, |part| lookups_ahead(&mut reader, part));
        let lookups = (tsc::frequency() as f64 / PIECES as f64 / cycles) as usize;
        let lookups = lookups.next_multiple_of(BURST).clamp(BURST, probes.len());
        // An odd number of them, so that each has every part in turn.
        let odd = (probes.len() / lookups).saturating_sub(1) | 1;
        let pieces = probes.chunks_exact(lookups).take(odd).cycle();
        Looking { reader, pieces, signals }
    }

    /// Pairs with and without changes in turn, until there are so many that count.
    fn compare(mut self, pairs: usize) -> Compared {
        let (mut beside, mut unchanged) = (Vec::new(), Vec::new());
        let (mut with, mut without) = (0, 0);
        for attempt in 0..pairs * ATTEMPTS {
            if let Some([changing, quiet]) = self.pair(true, attempt % 2 == 0) {
                beside.push(slower(changing, quiet));
                (with, without) = (with + changing, without + quiet);
            }
            if let Some([first, second]) = self.pair(false, attempt % 2 == 0) {
                unchanged.push(slower(first, second));
            }
            if beside.len() >= pairs {
                break;
            }
        }
        Compared { beside, unchanged, mean: slower(with, without) }
    }

    /// Cycles of a piece with changes, or none, and of one without; the one that is to come first does.
    fn pair(&mut self, changing: bool, first: bool) -> Option<[u64; 2]> {
        let [one, two] = [first, !first].map(|now| self.piece(changing && now));
        let [disturbed, quiet] = if first { [one, two] } else { [two, one] };
        let rate = if changing { RATE } else { 0 };
        let counts = disturbed.counts(rate) && quiet.counts(0);
        counts.then_some([disturbed.cycles, quiet.cycles])
    }

    fn piece(&mut self, changing: bool) -> Piece {
        let Some(part) = self.pieces.next() else {
            return Piece { cycles: 0, changes: 0, interrupted: true };
        };
        self.signals.go.0.store(changing, Relaxed);
        let before = (machine::switches(), self.signals.made.0.load(Relaxed));
        let start = tsc::fenced();
        lookups_ahead(&mut self.reader, part);
        let cycles = tsc::fenced().saturating_sub(start);
        let changes = self.signals.made.0.load(Relaxed) - before.1;
        Piece { cycles, changes, interrupted: machine::switches() != before.0 }
    }
}

fn slower(one: u64, other: u64) -> f64 {
    (one as f64 / other as f64 - 1.0) * 100.0
}

/// Withdraws and announces routes at random at [`RATE`] while it is told to, and waits for the same moments
/// while it is not.
fn change(
    world: &World,
    writer: &mut Writer<Tables>,
    core: usize,
    signals: &Signals,
) -> anyhow::Result<Vec<Change>> {
    machine::pin_to(core)?;
    let mut random = Random::new(0x5eed_0003);
    let interval = tsc::frequency() / RATE;
    let (mut all, mut due) = (Vec::new(), tsc::now());
    while !signals.end.0.load(Relaxed) {
        while tsc::now() < due {
            std::hint::spin_loop();
        }
        // What was missed while the core was away is not made up for at once: that would be another rate.
        due = (due + interval).max(tsc::now());
        if signals.go.0.load(Relaxed) {
            all.extend(once(world, writer, &mut random));
            signals.made.0.store(all.len() as u64, Relaxed);
        }
    }
    Ok(all)
}

/// One route withdrawn or announced, and published.
fn once(world: &World, writer: &mut Writer<Tables>, random: &mut Random) -> Option<Change> {
    let (prefix, hop) = world.routes.get(random.below(world.routes.len()))?;
    let hop = (random.next() & 1 == 0).then_some(*hop);
    let before = machine::switches();
    let start = tsc::fenced();
    writer.tables_mut().set_route(INSTANCE, *prefix, hop).ok()?;
    writer.publish();
    let cycles = tsc::fenced().saturating_sub(start);
    let took = cycles as f64 * 1e6 / tsc::frequency() as f64;
    Some(Change { took, interrupted: machine::switches() != before })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The median of the numbers from 0 to 999 is 500, and the interval 31 to either side of it.
    #[test]
    fn the_middle_and_how_sure_it_is() {
        let mut values: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        assert_eq!(middle(&mut values), [469.0, 500.0, 530.0]);
        assert_eq!(middle(&mut [7.0]), [7.0; 3]);
    }
}
