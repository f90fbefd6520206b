//! Whether the machine stood still while a packet was under way. A virtual machine that its host
//! does not run for 50 ms makes every packet late, and no gateway could help it; such packets are
//! told apart, not counted as the gateway's. The witness is a thread on each processor that asks
//! to run every millisecond: when it did not for longer than [`STOOD`], nothing on that processor
//! did that the kernel owed its turn. A gateway whose worker is busy with something else than
//! packets does not hinder the witness, so that what Ravelin itself delays stays late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::now;

/// Microseconds that a processor may leave the witness waiting: several turns of others.
const STOOD: u64 = 15_000;

/// Watches until it is told to end.
pub struct Witness {
    done: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<Vec<Span>>>,
}

/// From when to when, in microseconds of the clock that packets are stamped with.
#[derive(Clone, Copy)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

impl Witness {
    /// Begins to watch every processor this program may use.
    pub fn begin() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let processors = core_affinity::get_core_ids().unwrap_or_default();
        let watchers = processors
            .into_iter()
            .map(|processor| {
                let done = Arc::clone(&done);
                thread::spawn(move || {
                    core_affinity::set_for_current(processor);
                    watch(&done)
                })
            })
            .collect();
        Self { done, watchers }
    }

    /// When the machine stood.
    pub fn end(self) -> Stood {
        self.done.store(true, Ordering::Relaxed);
        Stood::new(self.watchers.into_iter().flat_map(|watcher| watcher.join().unwrap_or_default()))
    }
}

fn watch(done: &AtomicBool) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = now();
    while !done.load(Ordering::Relaxed) {
        // How late this ends is what is measured.
        thread::sleep(Duration::from_millis(1));
        let to = now();
        if to.saturating_sub(from) > STOOD {
            spans.push(Span { from, to });
        }
        from = to;
    }
    spans
}

/// The spans in which any processor stood, in order, none touching another.
pub struct Stood(Vec<Span>);

impl Stood {
    fn new(spans: impl Iterator<Item = Span>) -> Self {
        let mut spans: Vec<Span> = spans.collect();
        spans.sort_by_key(|span| span.from);
        let mut union: Vec<Span> = Vec::new();
        for span in spans {
            match union.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => union.push(span),
            }
        }
        Self(union)
    }

    /// How much of a packet's way fell into the machine's standing still, in microseconds.
    pub fn within(&self, way: Span) -> u64 {
        let shared = |span: &Span| span.to.min(way.to).saturating_sub(span.from.max(way.from));
        self.0.iter().map(shared).sum()
    }

    /// The longest span, in microseconds; 0 when the machine never stood.
    pub fn longest(&self) -> u64 {
        self.0.iter().map(|span| span.to - span.from).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What two processors stood at the same time counts once, and only as far as the way goes.
    #[test]
    fn what_processors_stood_together_counts_once() {
        let span = |from, to| Span { from, to };
        let stood = Stood::new([span(100, 200), span(500, 600), span(150, 300)].into_iter());
        assert_eq!(stood.within(span(0, 1000)), 300);
        assert_eq!(stood.within(span(250, 550)), 100);
        assert_eq!(stood.within(span(310, 490)), 0);
        assert_eq!(stood.longest(), 200);
        assert_eq!(Stood::new([].into_iter()).longest(), 0);
    }
}
