//! Workers on threads of their own, and what CPU time they spend on the packets before them.
//!
//! A run is a number of rounds, which all threads begin together: each lays its share of packets before its worker's
//! queue, polls until the worker has sent all that it owns, takes away and checks what that was, and waits for the
//! others. One that owns little would else be rounds ahead, and have the frames of all of them. A worker's CPU time (`CLOCK_THREAD_CPUTIME_ID`) is counted from its first poll to the poll that
//! finds nothing, and again from the poll that finds something: a worker that waits for another's packets is
//! not at work, and one that is interrupted is not counted meanwhile. The first round of a run warms caches
//! and counts nothing. Frames come from a pool for each queue, as they do from a core's cache of a NIC's pool.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use anyhow::{Context, anyhow, ensure};
use core_affinity::CoreId;
use nix::time::{ClockId, clock_gettime};
use ravelin_dataplane::io::ram::{RamDevice, RamPool, RamPort};
use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::worker::Worker;
use ravelin_mem::tsc;

use super::load::{Check, Load, PACKETS, Queues};
use crate::gateway::deliver;

/// What workers did, and how long it took them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// Nanoseconds of CPU time.
    pub spent: u64,
    /// Packets that left.
    pub packets: u64,
}

impl Served {
    /// Cycles of the time stamp counter a packet.
    pub fn cycles(self) -> f64 {
        self.spent as f64 * tsc::frequency() as f64 / 1e9 / self.packets.max(1) as f64
    }

    /// Million packets a second.
    pub fn rate(self) -> f64 {
        self.packets as f64 * 1e3 / self.spent.max(1) as f64
    }
}

/// What all workers do in so many rounds, together. `turn` says which core the first worker gets, so that no core is
/// always the only one.
pub fn run(load: &mut Load, rounds: usize, turn: usize) -> anyhow::Result<Served> {
    let add = |a: Served, b: Served| Served { spent: a.spent + b.spent, packets: a.packets + b.packets };
    Ok(run_each(load, rounds, turn)?.into_iter().fold(Served::default(), add))
}

/// The same, worker by worker.
pub fn run_each(load: &mut Load, rounds: usize, turn: usize) -> anyhow::Result<Vec<Served>> {
    let (due, check, queues) = (load.due(), load.check(), load.rounds(rounds + 1)?);
    let (gateway, input, output) = load.measured();
    let counters: Vec<Arc<Counters>> = gateway.counters().cloned().collect();
    let shared = Shared {
        start: Barrier::new(due.len()),
        failed: AtomicBool::new(false),
        finished: due.iter().map(|_| AtomicUsize::new(0)).collect(),
        queues: &queues,
        rounds: rounds + 1,
        reading: cost_of_reading(),
    };
    let served = std::thread::scope(|scope| {
        let spawn = |(((queue, worker), counters), due)| {
            let seat = Seat::new(worker, queue, counters, due, (&input, &output), &check);
            let shared = &shared;
            scope.spawn(move || seat.serve(queue + turn, shared))
        };
        let seats = gateway.workers_mut().iter_mut().enumerate().zip(counters).zip(due);
        let threads: Vec<_> = seats.map(spawn).collect();
        let served = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread ended")));
        served.collect::<Vec<_>>()
    });
    gateway.listen();
    let served = served.into_iter().map(Result::flatten).collect::<anyhow::Result<Vec<Served>>>();
    served.with_context(|| format!("dropped: {}", gateway.dropped()))
}

/// Pins this thread to a worker's core.
pub fn sit(worker: usize) -> anyhow::Result<()> {
    let core = core(worker)?;
    ensure!(core_affinity::set_for_current(core), "could not pin to core {}", core.id);
    Ok(())
}

/// The core of a worker: the last one there is for the first.
fn core(worker: usize) -> anyhow::Result<CoreId> {
    let mut cores = core_affinity::get_core_ids().context("the system does not tell its cores")?;
    cores.reverse();
    cores.get(worker % cores.len().max(1)).copied().context("there is no core")
}

/// What all threads of a run see.
struct Shared<'r> {
    start: Barrier,
    /// Somebody has lost packets: there is nothing to wait for.
    failed: AtomicBool,
    /// Rounds that each has finished.
    finished: Vec<AtomicUsize>,
    /// What arrives, round by round and then from the first again.
    queues: &'r [Queues],
    rounds: usize,
    /// What a reading of the clock costs.
    reading: u64,
}

impl Shared<'_> {
    /// Notes that this one has finished so many rounds, and waits until all have, or somebody has failed.
    fn finish(&self, queue: usize, rounds: usize) {
        if let Some(finished) = self.finished.get(queue) {
            finished.store(rounds, Ordering::Release);
        }
        let is_over = || self.finished.iter().all(|finished| finished.load(Ordering::Acquire) >= rounds);
        while !is_over() && !self.failed.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }
}

/// A worker with its queue, and whoever plays the wire before it.
struct Seat<'g> {
    worker: &'g mut Worker<RamPool, RamPort>,
    queue: usize,
    counters: Arc<Counters>,
    /// Packets the worker owns of each round.
    due: usize,
    /// Packets it had sent and dropped before.
    before: (u64, u64),
    /// Packets that were taken off the wire.
    taken: usize,
    pool: RamPool,
    input: &'g RamDevice,
    output: &'g RamDevice,
    check: &'g Check,
    clock: u64,
}

impl<'g> Seat<'g> {
    fn new(
        worker: &'g mut Worker<RamPool, RamPort>,
        queue: usize,
        counters: Arc<Counters>,
        due: usize,
        (input, output): (&'g RamDevice, &'g RamDevice),
        check: &'g Check,
    ) -> Self {
        let before = (counters.transmitted.get(), counters.dropped.get());
        // A round's, as many that others have not sent yet, and those of a hash that is uneven.
        let pool = RamPool::new(4 * PACKETS, 1);
        Seat { worker, queue, counters, due, before, taken: 0, pool, input, output, check, clock: 0 }
    }

    /// All rounds. The first is not counted.
    fn serve(mut self, core: usize, shared: &Shared) -> anyhow::Result<Served> {
        let seated = sit(core);
        shared.start.wait();
        let served = self.rounds(shared).inspect_err(|_| shared.failed.store(true, Ordering::Release));
        seated.and(served)
    }

    fn rounds(&mut self, shared: &Shared) -> anyhow::Result<Served> {
        self.round(0, shared)?;
        let warm = self.counters.transmitted.get();
        let mut spent = 0;
        for round in 1..shared.rounds {
            spent += self.round(round, shared)?;
        }
        let all = self.due * shared.rounds;
        ensure!(self.taken == all, "{} packets left, not {all}", self.taken);
        Ok(Served { spent, packets: self.counters.transmitted.get() - warm })
    }

    fn round(&mut self, round: usize, shared: &Shared) -> anyhow::Result<u64> {
        let queues = shared.queues.get(round % shared.queues.len()).context("a round has its packets")?;
        let packets = queues.get(self.queue).context("a queue for each worker")?;
        deliver(&mut self.pool, self.input, self.queue, packets)?;
        let spent = self.carry(round, shared);
        self.take_away()?;
        let due = self.due * (round + 1);
        ensure!(self.taken == due, "{} of {due} packets left", self.taken);
        shared.finish(self.queue, round + 1);
        Ok(spent)
    }

    /// Polls until the round is over; the CPU time of polls with work between them.
    fn carry(&mut self, round: usize, shared: &Shared) -> u64 {
        let mut spent = 0;
        let mut start = cpu_time();
        loop {
            while self.poll() {}
            spent += (cpu_time() - start).saturating_sub(shared.reading);
            loop {
                if self.is_over(round) || shared.failed.load(Ordering::Acquire) {
                    return spent;
                }
                start = cpu_time();
                if self.poll() {
                    break;
                }
            }
        }
    }

    /// Whether every packet of this round and those before has left, or one was dropped.
    fn is_over(&self, round: usize) -> bool {
        let (sent, dropped) = self.before;
        let all = sent + (self.due * (round + 1)) as u64;
        self.counters.transmitted.get() >= all || self.counters.dropped.get() > dropped
    }

    fn poll(&mut self) -> bool {
        self.clock += 1;
        self.worker.poll(self.clock)
    }

    /// Takes what the worker sent off the wire, checked.
    fn take_away(&mut self) -> anyhow::Result<()> {
        while let Some(frame) = self.output.sent_by(self.queue) {
            self.check.frame(&frame)?;
            self.taken += 1;
        }
        Ok(())
    }
}

/// CPU time of this thread, in nanoseconds.
fn cpu_time() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// What a reading of the clock adds to a difference of two: the least of many.
fn cost_of_reading() -> u64 {
    let once = |_| {
        let start = cpu_time();
        cpu_time() - start
    };
    (0..1000).map(once).min().unwrap_or(0)
}
