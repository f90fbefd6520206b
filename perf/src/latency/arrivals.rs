//! The receive queue of an open loop: packets come when they come, and what finds the queue full is lost.
//!
//! Instants are cycles of a clock that the caller keeps.

use std::collections::VecDeque;

use crate::random::Random;

/// A Poisson stream: gaps are independent and exponential, so that packets come in bunches by chance.
#[derive(Debug)]
pub struct Poisson {
    /// Of the next packet. A fraction, or short gaps would be rounded to another rate.
    next: f64,
    gap: f64,
    random: Random,
}

impl Poisson {
    /// A stream with a mean of `gap` cycles between packets, the same for the same `seed`, which is not 0.
    pub fn new(gap: f64, seed: u64) -> Poisson {
        Poisson { next: 0.0, gap, random: Random::new(seed) }
    }

    /// Draws the packet after one at `from`.
    fn after(&mut self, from: f64) {
        // 53 random bits, from 2^-53 to 1: none has the logarithm of nothing.
        let uniform = ((self.random.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        self.next = from - self.gap * uniform.ln();
    }
}

/// Frames that wait for the worker: when each came, oldest first.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<u64>,
    descriptors: usize,
    arrivals: Poisson,
    /// Packets that came since the last [`Queue::restart`], those lost among them.
    pub offered: u64,
    /// Packets that found the queue full.
    pub lost: u64,
}

impl Queue {
    /// An empty queue of so many descriptors before a stream that has not begun.
    pub fn new(descriptors: usize, arrivals: Poisson) -> Queue {
        Queue { waiting: VecDeque::with_capacity(descriptors), descriptors, arrivals, offered: 0, lost: 0 }
    }

    /// Forgets what waits and begins anew at `now`.
    pub fn restart(&mut self, now: u64) {
        self.waiting.clear();
        self.arrivals.after(now as f64);
        (self.offered, self.lost) = (0, 0);
    }

    /// Everything that has come by `now` lies in the queue, or is lost.
    pub fn fill(&mut self, now: u64) {
        while self.arrivals.next <= now as f64 {
            self.offered += 1;
            if self.waiting.len() < self.descriptors {
                self.waiting.push_back(self.arrivals.next as u64);
            } else {
                self.lost += 1;
            }
            self.arrivals.after(self.arrivals.next);
        }
    }

    /// Frames that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the oldest `count`: when they came.
    pub fn take(&mut self, count: usize) -> impl Iterator<Item = u64> {
        self.waiting.drain(..count.min(self.waiting.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate is the one asked for, and gaps spread as exponential ones do: their deviation is their mean.
    #[test]
    fn the_stream_is_poisson() {
        let mut poisson = Poisson::new(100.0, 7);
        let (mut sum, mut squares, mut last) = (0.0, 0.0, 0.0);
        for _ in 0..100_000 {
            poisson.after(poisson.next);
            let gap = poisson.next - last;
            assert!(gap >= 0.0);
            (sum, squares, last) = (sum + gap, squares + gap * gap, poisson.next);
        }
        let mean = sum / 1e5;
        let deviation = (squares / 1e5 - mean * mean).sqrt();
        assert!((mean - 100.0).abs() < 1.5 && (deviation - 100.0).abs() < 3.0, "{mean} {deviation}");
    }

    /// What comes while nobody looks waits in order, and behind a full queue it is lost and counted.
    #[test]
    fn arrivals_wait_for_nobody() {
        let mut queue = Queue::new(4, Poisson::new(10.0, 7));
        queue.restart(1000);
        queue.fill(1000);
        assert_eq!((queue.waiting(), queue.offered), (0, 0));
        queue.fill(2000);
        assert_eq!(queue.waiting(), 4);
        assert!(queue.offered > 50 && queue.lost == queue.offered - 4);
        let came: Vec<u64> = queue.take(64).collect();
        assert!(came.len() == 4 && came.is_sorted() && came[0] >= 1000);
        queue.restart(5000);
        assert_eq!((queue.waiting(), queue.offered, queue.lost), (0, 0, 0));
    }
}
