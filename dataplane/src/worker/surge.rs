//! More frames on a port than its worker can carry (IKE-50).
//!
//! A device whose queue is full drops whatever comes next, a request of IKE like anything else. So where a worker has
//! taken full bursts for longer than a queue is long, and has not once seen its end, it takes more frames than it works on:
//! what is urgent ([`crate::node::urgent`]) goes on at once, the rest waits in order, and what would have to wait behind too
//! many is dropped under a name of its own. The queue is so emptied, and the device drops nothing, up to [`AHEAD`] times
//! more than the worker carries. A port that keeps its frames is never overrun. Where queues are emptied anyhow a
//! comparison a burst is all that this costs.

use std::collections::VecDeque;

use ravelin_mem::prefetch;

use crate::io::{Burst, Frame, Port};
use crate::link::counter::Counters;
use crate::node::urgent::is_urgent;
use crate::verdict::Drop;

/// Full bursts in a row that are no passing burst: 2048 frames, as many as the longest queue holds.
const PATIENCE: u32 = 32;
/// Frames that may wait: as many as the queue of a card holds.
pub const WAITING: usize = 512;
/// Bursts that are looked through beyond the one that is worked on.
const AHEAD: usize = 3;

/// What of one queue waits, and whether it is overrun.
#[derive(Debug)]
pub(super) struct Surge<F> {
    /// Full bursts in a row.
    full: u32,
    /// Nothing is lost of this port.
    keeps: bool,
    /// Frames that are not urgent, oldest first.
    waiting: VecDeque<F>,
    /// Being looked through.
    ahead: Burst<F>,
}

impl<F: Frame> Surge<F> {
    pub fn new<O: Port<Frame = F>>(port: &O) -> Self {
        Surge { full: 0, keeps: port.keeps(), waiting: VecDeque::with_capacity(WAITING), ahead: Burst::new() }
    }

    /// The next frames of `port` to be worked on: those that wait, then what has arrived.
    #[inline]
    pub fn take<O: Port<Frame = F>>(&mut self, port: &mut O, burst: &mut Burst<F>) {
        while burst.room() > 0
            && let Some(frame) = self.waiting.pop_front()
        {
            // There is room.
            let _ = burst.push(frame);
        }
        if burst.room() > 0 {
            port.rx_burst(burst);
        }
        self.full = if burst.room() == 0 { self.full.saturating_add(1) } else { 0 };
    }

    /// Whether more arrives than is carried.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.full >= PATIENCE && !self.keeps
    }

    /// Looks further into the queue of `port`: what is urgent there is to go on now.
    #[cold]
    pub fn look_ahead<O: Port<Frame = F>>(
        &mut self,
        port: &mut O,
        urgent: &mut Burst<F>,
        counters: &Counters,
    ) {
        for _ in 0..AHEAD {
            port.rx_burst(&mut self.ahead);
            let is_end = self.ahead.room() > 0;
            self.ahead.iter().for_each(|frame| prefetch::read(frame.data()));
            for frame in self.ahead.drain() {
                match is_urgent(frame.data()) && urgent.room() > 0 {
                    true => drop(urgent.push(frame)),
                    false if self.waiting.len() < WAITING => self.waiting.push_back(frame),
                    false => refuse(&frame, counters),
                }
            }
            if is_end {
                return self.calm();
            }
        }
    }

    /// The end of the queue is here: where nothing waits either, all is carried.
    fn calm(&mut self) {
        if self.waiting.is_empty() {
            self.full = 0;
        }
    }
}

/// Counts a frame that is neither worked on nor kept.
fn refuse<F: Frame>(frame: &F, counters: &Counters) {
    counters.received.add(1);
    if let Some(port) = counters.port(frame.meta().port) {
        port.rx_packets.add(1);
        port.rx_bytes.add(frame.len() as u64);
    }
    counters.dropped(Drop::Overload);
}
