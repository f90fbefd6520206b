//! The worker under a load, and the clock that is its own.
//!
//! A round of the bench: what has come by now is counted into the queue; up to a burst of it is laid before the
//! worker; the worker polls, between two readings of the TSC, and by so much the clock goes on; what it sent is
//! checked and each packet's time is recorded. Nothing else moves the clock. A poll sees what came before it
//! began and departs with its end, so a figure is too long by what a poll costs before its first receive and
//! after its last transmit, which is less than an empty poll.
//!
//! Time is cut into windows, so that those in which the scheduler took the core away can be thrown away: what
//! the figures are of is the worker. Hypervisors and interrupts are not noticed and are in the figures; how long
//! they hold up a thread that does nothing says `latency/stalls.rs`.

use anyhow::ensure;
use hdrhistogram::Histogram;
use ravelin_mem::tsc;

use super::arrivals::{Poisson, Queue};
use crate::gcm::Direction;
use crate::measure::cost_of_reading;
use crate::traffic::BURST;
use crate::tunnel::Tunnel;

/// Any number but 0: every run has the same arrivals.
const SEED: u64 = 0x5eed_1a7e;
/// Bursts before the first measurement, for caches, predictors and the core's clock.
const WARM_BURSTS: usize = 2000;
/// Windows of which the capacity is the median, and bursts in each.
const CAPACITY: (usize, usize) = (201, 20);
/// At the head of each window this part of a second goes unrecorded, so that queues find their length...
const SETTLE: u64 = 10_000;
/// ...and of the rest, this part is recorded: 0.5 ms.
const WINDOW: u64 = 2_000;
/// The longest time a histogram tells, in cycles: some 15 s.
const LONGEST: u64 = 1 << 35;
/// Windows thrown away for each that is kept, at the most.
const PATIENCE: u64 = 50;

/// A load.
#[derive(Debug)]
pub struct Trial {
    /// Mean cycles between arrivals.
    pub gap: f64,
    /// Packets to record.
    pub packets: u64,
    /// Frames the receive queue holds.
    pub descriptors: usize,
}

/// What a trial saw in the windows that were kept.
#[derive(Debug)]
pub struct Measured {
    /// Cycles from the receive queue to transmit, a packet.
    pub latencies: Histogram<u32>,
    /// Cycles of recorded time.
    pub cycles: u64,
    /// Packets that came.
    pub offered: u64,
    /// Packets that found the queue full.
    pub lost: u64,
    /// Windows thrown away.
    pub interrupted: u64,
}

impl Measured {
    fn new() -> anyhow::Result<Measured> {
        Ok(Measured { latencies: histogram()?, cycles: 0, offered: 0, lost: 0, interrupted: 0 })
    }

    /// Packets that left.
    pub fn carried(&self) -> u64 {
        self.latencies.len()
    }
}

/// Bounds are fixed, so all memory is taken here and none while packets run.
fn histogram() -> anyhow::Result<Histogram<u32>> {
    Ok(Histogram::new_with_bounds(1, LONGEST, 3)?)
}

/// A tunnel of which one end is measured.
pub struct Bench {
    tunnel: Tunnel,
    direction: Direction,
    /// The clock: cycles spent in the measured worker's polls.
    now: u64,
    reading: u64,
    hertz: u64,
    switches: Switches,
}

/// Tells how often the scheduler took the core away from this thread so far.
pub type Switches = fn() -> i64;

impl Bench {
    /// Warm, and proved to carry packets unchanged.
    pub fn new(tunnel: Tunnel, direction: Direction, switches: Switches) -> anyhow::Result<Bench> {
        let (reading, hertz) = (cost_of_reading(), tsc::frequency());
        let mut bench = Bench { tunnel, direction, now: 0, reading, hertz, switches };
        bench.tunnel.prove()?;
        for _ in 0..WARM_BURSTS {
            bench.poll(BURST)?;
        }
        bench.tunnel.listen();
        Ok(bench)
    }

    /// Cycles a packet when there is always a burst to take: the median of windows nothing interrupted.
    pub fn capacity(&mut self) -> anyhow::Result<f64> {
        let (windows, bursts) = CAPACITY;
        let mut means = Vec::with_capacity(windows);
        let mut interrupted = 0;
        while means.len() < windows {
            let (switches, start) = ((self.switches)(), self.now);
            for _ in 0..bursts {
                self.poll(BURST)?;
            }
            self.tunnel.listen();
            if (self.switches)() == switches {
                means.push((self.now - start) as f64 / (bursts * BURST) as f64);
            } else {
                interrupted += 1;
                patient(interrupted, means.len() as u64)?;
            }
        }
        means.sort_by(f64::total_cmp);
        Ok(means.get(windows / 2).copied().unwrap_or(f64::NAN))
    }

    /// Windows at a load until enough packets are recorded, or one is lost.
    pub fn measure(&mut self, trial: &Trial) -> anyhow::Result<Measured> {
        let (mut all, mut window) = (Measured::new()?, Measured::new()?);
        let mut queue = Queue::new(trial.descriptors, Poisson::new(trial.gap, SEED));
        let mut kept = 0;
        while all.carried() < trial.packets && all.lost == 0 {
            let switches = (self.switches)();
            self.window(&mut queue, &mut window)?;
            if (self.switches)() == switches {
                kept += 1;
                all.latencies.add(&window.latencies)?;
                all.cycles += window.cycles;
                all.offered += window.offered;
                all.lost += window.lost;
            } else {
                all.interrupted += 1;
                patient(all.interrupted, kept)?;
            }
        }
        Ok(all)
    }

    /// One window from an empty queue on. What was lost while it settled counts as well.
    fn window(&mut self, queue: &mut Queue, seen: &mut Measured) -> anyhow::Result<()> {
        seen.latencies.reset();
        queue.restart(self.now);
        self.load(queue, self.hertz / SETTLE, |_| ())?;
        let (start, offered) = (self.now, queue.offered);
        self.load(queue, self.hertz / WINDOW, |cycles| seen.latencies.saturating_record(cycles))?;
        (seen.cycles, seen.offered, seen.lost) = (self.now - start, queue.offered - offered, queue.lost);
        self.tunnel.listen();
        Ok(())
    }

    /// Polls for `cycles`, and tells of each packet that left how long it was there.
    fn load(&mut self, queue: &mut Queue, cycles: u64, mut left: impl FnMut(u64)) -> anyhow::Result<()> {
        let end = self.now + cycles;
        while self.now < end {
            queue.fill(self.now);
            let packets = queue.waiting().min(BURST);
            self.poll(packets)?;
            queue.take(packets).for_each(|came| left(self.now - came));
        }
        Ok(())
    }

    /// One poll of the worker with so many frames before it, all of which leave by it.
    fn poll(&mut self, packets: usize) -> anyhow::Result<()> {
        self.lay(packets)?;
        let worker = match self.direction {
            Direction::Seal => &mut self.tunnel.left,
            Direction::Open => &mut self.tunnel.right,
        };
        let start = tsc::fenced();
        worker.poll();
        let spent = tsc::fenced().saturating_sub(start);
        self.now += spent.saturating_sub(self.reading).max(1);
        match self.direction {
            _ if packets == 0 => Ok(()),
            Direction::Seal => self.tunnel.check_order(),
            Direction::Open => self.tunnel.check_inner(),
        }
    }

    fn lay(&mut self, packets: usize) -> anyhow::Result<()> {
        if packets == 0 {
            return Ok(());
        }
        self.tunnel.lay_inner(packets)?;
        if self.direction == Direction::Open {
            self.tunnel.left.poll();
            self.tunnel.carry()?;
        }
        Ok(())
    }
}

/// An error once far more windows were interrupted than kept.
pub fn patient(interrupted: u64, kept: u64) -> anyhow::Result<()> {
    ensure!(
        interrupted <= PATIENCE * (kept + 1),
        "other programs took the core away in {interrupted} windows of {}: nothing can be measured here; free a \
         core (--core)",
        interrupted + kept
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

    use crate::traffic::Mix;
    use ravelin_gcm::{Kernel, KeySize};

    fn bench(switches: Switches) -> Bench {
        let tunnel = Tunnel::new(Kernel::detect(), KeySize::Aes128, Mix::Imix, 1).unwrap();
        Bench::new(tunnel, Direction::Seal, switches).unwrap()
    }

    /// Cycles a packet of the cheapest of some full bursts: nothing carries more.
    fn cheapest(bench: &mut Bench) -> f64 {
        let mut poll = || {
            let start = bench.now;
            bench.poll(BURST).unwrap();
            bench.now - start
        };
        (0..100).map(|_| poll()).min().unwrap() as f64 / BURST as f64
    }

    /// Every packet that came has left with a time of its own, waits, or was lost, in both directions.
    #[test]
    fn every_packet_is_accounted_for() {
        for direction in [Direction::Seal, Direction::Open] {
            let mut bench = Bench { direction, ..bench(|| 0) };
            let mut queue = Queue::new(512, Poisson::new(cheapest(&mut bench) * 2.0, SEED));
            let (start, mut left) = (bench.now, 0);
            queue.restart(start);
            bench.load(&mut queue, bench.hertz / 100, |cycles| left += u64::from(cycles > 0)).unwrap();
            assert!(left > 0 && bench.now - start >= bench.hertz / 100);
            assert_eq!(queue.offered, left + queue.lost + queue.waiting() as u64);
            for gateway in [&bench.tunnel.left, &bench.tunnel.right] {
                assert_eq!(gateway.pool.available(), gateway.pool.capacity());
            }
        }
    }

    /// Arrivals do not wait for departures: of three times what the worker carries, what leaves in the end has
    /// been there most of the time; and a queue of the usual depth loses some.
    #[test]
    fn too_much_queues_up_and_is_lost() {
        let mut bench = bench(|| 0);
        let gap = cheapest(&mut bench) / 3.0;
        let mut queue = Queue::new(1 << 20, Poisson::new(gap, SEED));
        let (start, mut last) = (bench.now, 0);
        queue.restart(start);
        bench.load(&mut queue, bench.hertz / 100, |cycles| last = cycles).unwrap();
        assert!(last > (bench.now - start) / 2, "{last} of {} cycles", bench.now - start);
        let measured = bench.measure(&Trial { gap, packets: u64::MAX, descriptors: 512 }).unwrap();
        assert!(measured.lost > 0, "a lost packet ends the trial");
    }

    /// A window the scheduler interrupted counts for nothing but its number, and there is an end to patience.
    #[test]
    fn interrupted_windows_are_thrown_away() {
        static CALLS: AtomicI64 = AtomicI64::new(0);
        // Two calls a window: in the first two windows they differ.
        let mut bench = bench(|| CALLS.fetch_add(1, Relaxed).min(3));
        let trial = Trial { gap: cheapest(&mut bench) * 100.0, packets: 1, descriptors: 1 << 20 };
        let measured = bench.measure(&trial).unwrap();
        assert_eq!(measured.interrupted, 2);
        assert!(measured.carried() > 0 && measured.offered > 0);
        bench.switches = || CALLS.fetch_add(1, Relaxed);
        assert!(bench.measure(&trial).unwrap_err().to_string().contains("other programs"));
    }

    /// What the worker carries is no more than its cheapest burst says.
    #[test]
    fn the_capacity_is_a_cost_a_packet() {
        let mut bench = bench(|| 0);
        let cheapest = cheapest(&mut bench);
        assert!(bench.capacity().unwrap() > cheapest / 2.0);
    }
}
