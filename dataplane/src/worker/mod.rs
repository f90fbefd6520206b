//! One worker: commands, ports, rings, graph, transmit, publish; over and over.
//!
//! A worker never waits on another party, locks, allocates or logs. It owns its ports' queues, its SAs and
//! its graph; everything else it has by way of the [`crate::link`] and of published tables.

mod apply;
mod surge;
mod transmit;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ravelin_gcm::Kernel;
use ravelin_mem::tsc;

use crate::graph::{Clock, Graph, Settings, Station};
use crate::io::{BURST, Burst, Frame, Pool, Port};
use crate::link::WorkerEnd;
use crate::link::counter::Counters;
use crate::policy::publish::Reader;
use crate::policy::table::Tables;
use crate::verdict::Drop;
use surge::Surge;
pub use surge::WAITING;
use transmit::Transmit;

/// Commands applied in one poll, so that a flood of them does not stop the packets.
pub const COMMANDS_A_POLL: usize = 16;

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idle {
    /// Polls on: lowest latency, a whole core.
    #[default]
    Poll,
    /// After a thousand empty polls sleeps up to 50 microseconds at a time: for virtual devices and
    /// machines with few cores.
    Adaptive,
}

/// Polls between two looks at what the ports lost.
const LOOK: u64 = 1024;

/// Empty polls before an adaptive worker sleeps.
const PATIENCE: u32 = 1000;
/// How long it sleeps.
const NAP: Duration = Duration::from_micros(50);

/// One packet-processing worker. Made by control, moved to its thread, polled there.
#[derive(Debug)]
pub struct Worker<P: Pool, O: Port<Frame = P::Frame>> {
    graph: Graph<P>,
    ports: Vec<Transmit<O>>,
    /// By port, as above.
    surges: Vec<Surge<P::Frame>>,
    arrived: Burst<P::Frame>,
    kernel: Kernel,
}

impl<P: Pool, O: Port<Frame = P::Frame>> Worker<P, O> {
    /// A worker at `link`, looking up in `tables`, with frames of `pool` and one queue pair of each of
    /// `ports`. `kernel` is the arithmetic its keys are expanded for.
    pub fn new(
        link: WorkerEnd<P::Frame>,
        tables: Reader<Tables>,
        pool: P,
        ports: Vec<O>,
        kernel: Kernel,
        settings: &Settings,
    ) -> Self {
        // A burst of each port, and one of what is urgent there; of each other worker, from control and from the kernel.
        let inputs = 2 * ports.len() + link.others() + 2;
        Worker {
            graph: Graph::new(link, tables, pool, inputs, settings),
            surges: ports.iter().map(Surge::new).collect(),
            ports: ports.into_iter().map(Transmit::new).collect(),
            arrived: Burst::new(),
            kernel,
        }
    }

    /// Polls until `stop` is set.
    pub fn run(&mut self, stop: &AtomicBool, idle: Idle) {
        let hertz = tsc::frequency().max(1);
        let mut empty = 0u32;
        while !stop.load(Relaxed) {
            let start = tsc::now();
            let worked = self.poll(microseconds(start, hertz));
            self.account(worked, tsc::now().wrapping_sub(start));
            empty = if worked { 0 } else { empty.saturating_add(1) };
            if idle == Idle::Adaptive && empty > PATIENCE {
                std::thread::sleep(NAP);
            }
        }
    }

    /// One round at `now_us` microseconds on a monotonic clock: everything that waits goes as far as it can.
    /// Whether there was anything.
    pub fn poll(&mut self, now_us: u64) -> bool {
        self.graph.clock.start();
        let commanded = self.apply_commands();
        self.graph.refresh();
        self.graph.clock.mark(Station::Rest);
        let taken = self.take_in();
        self.graph.run(now_us);
        self.graph.link.send_handoffs();
        let sent = self.transmit();
        self.graph.clock.mark(Station::Transmit);
        self.publish();
        self.graph.clock.mark(Station::Rest);
        commanded || taken || sent
    }

    /// Everything that came in since the last poll, a burst of each source.
    fn take_in(&mut self) -> bool {
        let mut taken = 0;
        for (Transmit { port, .. }, surge) in self.ports.iter_mut().zip(&mut self.surges) {
            surge.take(port, &mut self.arrived);
            self.graph.clock.mark(Station::Receive);
            if self.arrived.is_empty() {
                continue;
            }
            taken += self.arrived.len();
            self.graph.receive(&mut self.arrived);
            self.graph.clock.mark(Station::Ingress);
            if surge.is_on() {
                surge.look_ahead(port, &mut self.arrived, self.graph.link.counters());
                if !self.arrived.is_empty() {
                    self.graph.receive(&mut self.arrived);
                }
            }
        }
        taken += self.take_over();
        taken += drain(&mut self.graph, |graph| graph.link.next_from_control(), Graph::send_for_control);
        taken += drain(&mut self.graph, |graph| graph.link.next_from_kernel(), Graph::send_for_kernel);
        taken > 0
    }

    /// Exchanges packets with the other workers: theirs go over before this one works on its own.
    fn take_over(&mut self) -> usize {
        self.graph.link.send_handoffs();
        let mut rings = std::mem::take(self.graph.link.handoffs());
        let taken = rings.iter_mut().map(|ring| self.graph.take_over(ring)).sum();
        *self.graph.link.handoffs() = rings;
        taken
    }

    /// Sends what the graph put out, and what an earlier poll could not.
    fn transmit(&mut self) -> bool {
        if self.graph.is_tapped() {
            self.graph.show_departing();
        }
        let (departing, counters) = self.graph.departing();
        let mut last: Option<&mut Transmit<O>> = None;
        for frame in departing.drain() {
            let port = frame.meta().port;
            if last.as_ref().is_none_or(|last| last.id() != port) {
                last = self.ports.iter_mut().find(|transmit| transmit.id() == port);
            }
            match &mut last {
                Some(transmit) => transmit.queue(frame, counters),
                // An interface on a port this worker has no queue of.
                None => counters.dropped(Drop::UnknownInterface),
            }
        }
        self.ports.iter_mut().map(|transmit| transmit.flush(counters)).sum::<usize>() > 0
    }

    /// Cycles spent by station since the start, if they are counted ([`Clock::COUNTS`]).
    pub fn clock(&self) -> Clock {
        self.graph.clock
    }

    /// Tells everybody what they may know: facts, commands applied, counters.
    fn publish(&mut self) {
        let backlog: usize = self.ports.iter().map(Transmit::backlog).sum();
        let counters = self.graph.link.counters();
        counters.held.set((backlog + self.graph.held()) as u64);
        counters.polls.add(1);
        if counters.polls.get().is_multiple_of(LOOK) {
            self.ports.iter().for_each(|transmit| publish_lost(&transmit.port, counters));
        }
        self.graph.link.tell();
        self.graph.link.publish_applied();
    }

    fn account(&self, worked: bool, cycles: u64) {
        let counters = self.graph.link.counters();
        let counter = if worked { &counters.busy_cycles } else { &counters.idle_cycles };
        counter.add(cycles);
    }
}

fn publish_lost<O: Port>(port: &O, counters: &Counters) {
    let Some(counters) = counters.port(port.id()) else { return };
    let lost = port.lost();
    counters.rx_truncated.set(lost.truncated);
    counters.rx_unlinear.set(lost.unlinear);
}

/// Takes up to a burst of what `next` gives into the graph; how much that was.
fn drain<G, T>(
    graph: &mut G,
    mut next: impl FnMut(&mut G) -> Option<T>,
    mut take: impl FnMut(&mut G, T),
) -> usize {
    for taken in 0..BURST {
        let Some(item) = next(graph) else { return taken };
        take(graph, item);
    }
    BURST
}

/// The workers' clock: microseconds, from some moment on.
pub fn clock_us() -> u64 {
    microseconds(tsc::now(), tsc::frequency().max(1))
}

/// Cycles as microseconds, without overflow for centuries of uptime.
fn microseconds(cycles: u64, hertz: u64) -> u64 {
    (u128::from(cycles) * 1_000_000 / u128::from(hertz)) as u64
}
