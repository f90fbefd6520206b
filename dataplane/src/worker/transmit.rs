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
    backlog: VecDeque<O::Frame>,
    burst: Burst<O::Frame>,
}

impl<O: Port> Transmit<O> {
    pub fn new(port: O) -> Self {
        Transmit { port, backlog: VecDeque::with_capacity(BACKLOG), burst: Burst::new() }
    }

    /// Frames that wait.
    pub fn backlog(&self) -> usize {
        self.backlog.len() + self.burst.len()
    }

    /// Puts a frame behind those that wait, or drops it.
    pub fn queue(&mut self, frame: O::Frame, counters: &Counters) {
        if self.backlog.len() < BACKLOG {
            return self.backlog.push_back(frame);
        }
        // The device may have room that was not asked for yet.
        self.flush(counters);
        match self.backlog.len() < BACKLOG {
            true => self.backlog.push_back(frame),
            false => counters.dropped(Drop::TxFull),
        }
    }

    /// Gives the device as much as it takes; how many frames that was.
    pub fn flush(&mut self, counters: &Counters) -> usize {
        let mut sent = 0;
        loop {
            while self.burst.room() > 0 {
                let Some(frame) = self.backlog.pop_front() else { break };
                if self.burst.push(frame).is_err() {
                    break;
                }
            }
            let gone = self.send(counters);
            sent += gone;
            if gone == 0 || !self.burst.is_empty() {
                return sent;
            }
        }
    }

    fn send(&mut self, counters: &Counters) -> usize {
        let (frames, octets) = (self.burst.len(), octets(&self.burst));
        if frames > 0 {
            self.port.tx_burst(&mut self.burst);
        }
        let gone = frames - self.burst.len();
        counters.transmitted.add(gone as u64);
        if let Some(port) = counters.port(self.port.id()) {
            port.tx_packets.add(gone as u64);
            port.tx_bytes.add(octets - self::octets(&self.burst));
        }
        gone
    }
}

fn octets<F: Frame>(burst: &Burst<F>) -> u64 {
    burst.iter().map(|frame| frame.len() as u64).sum()
}
