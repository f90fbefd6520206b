//! The ring by which a tap's records go from a worker to whoever reads them: the records, and beside them the octets of
//! copies. One sender, one reader, bounded; what finds no room is lost and counted.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use super::Side;
use super::path::Path;
use crate::sa::counters::Counter;
use crate::verdict::Verdict;

/// Records on their way.
const RECORDS: usize = 1024;
/// Octets of copies on their way: 700 packets of the usual largest size.
const OCTETS: usize = 1 << 20;

/// A copy of a packet, or its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Microseconds on the worker's clock.
    pub at_us: u64,
    /// What a copy shows; `None` for a path.
    pub side: Option<Side>,
    /// Whether it was on its way out of the side that it shows: into a tunnel, or to a port.
    pub outbound: bool,
    /// What has become of it by then.
    pub verdict: Verdict,
    /// Its path by then.
    pub path: Path,
    /// Octets of the packet.
    pub length: u32,
    /// Octets of the copy.
    pub(super) copied: u32,
}

impl Record {
    /// A record with nothing copied yet.
    pub(super) const fn new(at_us: u64, side: Option<Side>, verdict: Verdict, path: Path) -> Record {
        Record { at_us, side, outbound: false, verdict, path, length: 0, copied: 0 }
    }
}

/// A ring.
pub(super) fn ring() -> (Sender, Reader) {
    let ((records, records_out), (octets, octets_out)) = (RingBuffer::new(RECORDS), RingBuffer::new(OCTETS));
    let lost = Arc::new(Counter::default());
    (
        Sender { records, octets, lost: Arc::clone(&lost) },
        Reader { records: records_out, octets: octets_out, lost },
    )
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct Sender {
    records: Producer<Record>,
    octets: Producer<u8>,
    lost: Arc<Counter>,
}

impl Sender {
    /// Sends a record and the octets of its copy, or counts it as lost.
    pub fn send(&mut self, mut record: Record, copy: &[u8]) {
        record.copied = copy.len() as u32;
        // Octets first: who sees the record finds them.
        let sent = !self.records.is_full() && self.octets.push_entire_slice(copy).is_ok();
        if !sent || self.records.push(record).is_err() {
            self.lost.add(1);
        }
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct Reader {
    records: Consumer<Record>,
    octets: Consumer<u8>,
    lost: Arc<Counter>,
}

impl Reader {
    /// The oldest record, and the octets of its copy.
    pub fn next_record(&mut self) -> Option<(Record, Vec<u8>)> {
        let record = self.records.pop().ok()?;
        let mut copy = vec![0; record.copied as usize];
        self.octets.pop_entire_slice(&mut copy).ok()?;
        Some((record, copy))
    }

    /// Gives the oldest record, and the octets of its copy in two parts, to `read`; nothing is allocated.
    pub fn read_next<T>(&mut self, read: impl FnOnce(&Record, [&[u8]; 2]) -> T) -> Option<T> {
        let record = self.records.pop().ok()?;
        let copy = self.octets.read_chunk(record.copied as usize).ok()?;
        let (front, back) = copy.as_slices();
        let found = read(&record, [front, back]);
        copy.commit_all();
        Some(found)
    }

    /// Records that found no room since the start.
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::Paths;
    use super::*;
    use crate::verdict::Drop;

    fn record(at_us: u64) -> Record {
        let path = Paths::new().of(1, true, at_us).unwrap().clone();
        Record::new(at_us, Some(Side::Clear), Verdict::Drop(Drop::NoSa), path)
    }

    /// What does not fit is lost whole and counted, and what comes behind it has its own octets.
    #[test]
    fn a_full_ring_loses_whole_records_and_counts_them() {
        let (mut sender, mut reader) = ring();
        let copy = |n: usize| vec![n as u8; 9000];
        let fit = OCTETS / 9000;
        (0..fit + 3).for_each(|n| sender.send(record(n as u64), &copy(n)));
        assert_eq!(reader.lost(), 3);
        for n in 0..fit {
            let (read, octets) = reader.next_record().unwrap();
            assert_eq!((read.at_us, octets), (n as u64, copy(n)));
        }
        assert!(reader.next_record().is_none());
        (0..RECORDS + 2).for_each(|n| sender.send(record(n as u64), b""));
        assert_eq!(reader.lost(), 5);
        sender.send(record(7), b"x");
        assert_eq!(reader.next_record().unwrap().0.at_us, 0);
        sender.send(record(7), b"y");
        assert_eq!(std::iter::from_fn(|| reader.next_record()).last().unwrap().1, b"y");
    }
}
