//! One port of a worker and the frames that wait for it.

use std::collections::VecDeque;

use crate::io::{Burst, Frame, Port};
use crate::link::counter::Counters;
use crate::verdict::Drop;

/// Frames that may wait for a port; more means that the link is slower than the traffic. A few bursts, so
/// that waiting costs little latency.
const BACKLOG: usize = 256;

/// A queue pair and its backlog.
#[derive(Debug)]
pub(super) struct Transmit<O: Port> {
    /// The queue pair.
    pub port: O,
    id: u16,
    /// The oldest frames: what the device is given next.
    burst: Burst<O::Frame>,
    /// Frames behind them; empty as long as the device keeps up.
    backlog: VecDeque<O::Frame>,
}

impl<O: Port> Transmit<O> {
    pub fn new(port: O) -> Self {
        let id = port.id();
        Transmit { port, id, burst: Burst::new(), backlog: VecDeque::with_capacity(BACKLOG) }
    }

    /// The device's number.
    #[inline]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Frames that wait.
    pub fn backlog(&self) -> usize {
        self.backlog.len() + self.burst.len()
    }

    /// Puts a frame behind those that wait, or drops it.
    #[inline]
    pub fn queue(&mut self, frame: O::Frame, counters: &Counters) {
        if self.backlog.is_empty() {
            match self.burst.push(frame) {
                Ok(()) => {}
                Err(frame) => self.queue_behind(frame, counters),
            }
        } else {
            self.queue_behind(frame, counters);
        }
    }

    /// The burst is full: the device may take it, else the frame waits behind. It is asked once when frames
    /// begin to wait, and again before one is dropped.
    fn queue_behind(&mut self, frame: O::Frame, counters: &Counters) {
        if self.backlog.is_empty() || self.backlog.len() >= BACKLOG {
            self.flush(counters);
        }
        if self.backlog.len() >= BACKLOG {
            counters.dropped(Drop::TxFull);
        } else if self.backlog.is_empty() && self.burst.room() > 0 {
            // There is room.
            let _ = self.burst.push(frame);
        } else {
            self.backlog.push_back(frame);
        }
    }

    /// Gives the device as much as it takes; how many frames that was.
    pub fn flush(&mut self, counters: &Counters) -> usize {
        let mut sent = 0;
        loop {
            while self.burst.room() > 0 {
                let Some(frame) = self.backlog.pop_front() else { break };
                // There is room.
                let _ = self.burst.push(frame);
            }
            let gone = self.send(counters);
            sent += gone;
            if gone == 0 || !self.burst.is_empty() || self.backlog.is_empty() {
                return sent;
            }
        }
    }

    fn send(&mut self, counters: &Counters) -> usize {
        let frames = self.burst.len();
        if frames == 0 {
            return 0;
        }
        let octets = octets(&self.burst);
        self.port.tx_burst(&mut self.burst);
        let gone = frames - self.burst.len();
        counters.transmitted.add(gone as u64);
        if let Some(port) = counters.port(self.id) {
            port.tx_packets.add(gone as u64);
            port.tx_bytes.add(octets - self::octets(&self.burst));
        }
        gone
    }
}

fn octets<F: Frame>(burst: &Burst<F>) -> u64 {
    burst.iter().map(|frame| frame.len() as u64).sum()
}
