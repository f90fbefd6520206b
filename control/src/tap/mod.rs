//! The tap that is on, between the control loop, which lays it and ends it, and the operator who reads it (DP-38,
//! OPS-29). The records of the workers are read and named on the thread of the operator's connection, and his own
//! program writes the file with his own rights: neither the loop nor a worker waits for a disk, and the daemon writes
//! nowhere on anybody's word.
//!
//! One tap at a time. It ends at the first bound it reaches, when it is told to, or when nobody has read it for a while.

pub mod pcapng;
mod row;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::trace::{Reader, Record};

use crate::api::ApiError;
use crate::api::reply::TapPage;
pub use row::Names;

/// A tap that nobody has read for so long is over.
const FORSAKEN: Duration = Duration::from_secs(15);
/// The longest a reader waits for a packet.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Rings wake nobody: they are looked at this often.
const LOOK: Duration = Duration::from_millis(5);
/// Packets and octets of copies in one answer.
const PAGE: (usize, usize) = (512, 1 << 20);

/// When a tap ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// After so many packets.
    pub packets: u64,
    /// After so many octets of copies.
    pub octets: u64,
    /// After so long.
    pub time: Duration,
}

/// What it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets told.
    pub packets: u64,
    /// Octets of copies.
    pub octets: u64,
    /// Packets that found no room.
    pub lost: u64,
}

/// The tap that is on, or was last. Shared by the loop and the desk.
#[derive(Debug, Default)]
pub struct Taps {
    session: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    id: u64,
    readers: Vec<(WorkerId, Reader)>,
    names: Names,
    bounds: Bounds,
    begun: Instant,
    read: Instant,
    tally: Tally,
    /// Why it is over.
    over: Option<&'static str>,
    /// The workers have been told.
    closed: bool,
}

impl Taps {
    /// Begins one, in the place of one that is over; its number.
    pub fn begin(&self, readers: Vec<(WorkerId, Reader)>, names: Names, bounds: Bounds) -> u64 {
        let (mut session, now) = (self.lock(), Instant::now());
        let id = session.as_ref().map_or(1, |last| last.id + 1);
        let tally = Tally::default();
        *session = Some(Session {
            id,
            readers,
            names,
            bounds,
            begun: now,
            read: now,
            tally,
            over: None,
            closed: false,
        });
        id
    }

    /// Why no other can begin.
    pub fn is_taken(&self) -> Option<ApiError> {
        let session = self.lock();
        let on = session.as_ref().filter(|session| !session.closed)?;
        let left = on.bounds.time.saturating_sub(on.begun.elapsed()).as_secs();
        let why = format!("another capture or trace is on, for {left} seconds more at most: wait, or end it");
        Some(ApiError::Refused { why })
    }

    /// What has been seen since the last time, waiting for the first.
    ///
    /// # Errors
    /// When there is no such tap (any more).
    pub fn read(&self, id: u64, wait: Duration) -> Result<TapPage, ApiError> {
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            let page = self.of(id, Session::page)?;
            if !page.packets.is_empty() || page.ended.is_some() || Instant::now() >= until {
                return Ok(page);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends one before its time.
    ///
    /// # Errors
    /// When there is no such tap.
    pub fn end(&self, id: u64) -> Result<(), ApiError> {
        self.of(id, |session| session.over = Some(session.over.unwrap_or("ended by its reader")))
    }

    /// What one that is over came to, and why it is: once, for the loop to tell the workers and the journal.
    pub fn close(&self) -> Option<(Tally, &'static str)> {
        let mut session = self.lock();
        let session = session.as_mut().filter(|session| !session.closed)?;
        session.look_at_time();
        let why = session.over?;
        session.closed = true;
        Some((session.tally, why))
    }

    fn of<T>(&self, id: u64, work: impl FnOnce(&mut Session) -> T) -> Result<T, ApiError> {
        let mut session = self.lock();
        let why =
            || ApiError::Refused { why: "that capture or trace is over, and another has begun".to_owned() };
        Ok(work(session.as_mut().filter(|session| session.id == id).ok_or_else(why)?))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn look_at_time(&mut self) {
        let over = match self.begun.elapsed() >= self.bounds.time {
            true => Some("its time is over"),
            false => (self.read.elapsed() >= FORSAKEN).then_some("nobody reads it"),
        };
        self.over = self.over.or(over);
    }

    fn page(&mut self) -> TapPage {
        self.read = Instant::now();
        self.look_at_time();
        let (mut packets, mut octets) = (Vec::new(), 0);
        while packets.len() < PAGE.0 && octets < PAGE.1 && !self.is_full() {
            let Some((worker, record, copy)) = self.next() else { break };
            (self.tally.packets, self.tally.octets) =
                (self.tally.packets + 1, self.tally.octets + copy.len() as u64);
            octets += copy.len();
            packets.push(self.names.row(worker, &record, &copy));
        }
        self.tally.lost = self.readers.iter().map(|(_, reader)| reader.lost()).sum();
        if self.is_full() {
            self.over = Some(self.over.unwrap_or("it has what was asked for"));
        }
        let ended = self.over.filter(|_| packets.is_empty() || self.is_full()).map(str::to_owned);
        TapPage { packets, lost: self.tally.lost, ended }
    }

    const fn is_full(&self) -> bool {
        self.tally.packets >= self.bounds.packets || self.tally.octets >= self.bounds.octets
    }

    fn next(&mut self) -> Option<(WorkerId, Record, Vec<u8>)> {
        self.readers.iter_mut().find_map(|(worker, reader)| {
            let (record, copy) = reader.next_record()?;
            Some((*worker, record, copy))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(time: Duration) -> (Taps, u64) {
        let taps = Taps::default();
        let bounds = Bounds { packets: 10, octets: 1000, time };
        let id = taps.begin(Vec::new(), Names::default(), bounds);
        (taps, id)
    }

    /// It is closed once, whoever ends it, and then another may begin, whose reader the old one is not.
    #[test]
    fn ends_once() {
        let (taps, id) = taps(Duration::from_secs(60));
        assert!(taps.is_taken().is_some() && taps.close().is_none());
        assert_eq!(taps.read(id, Duration::ZERO).unwrap(), TapPage::default());
        taps.end(id).unwrap();
        assert_eq!(taps.close(), Some((Tally::default(), "ended by its reader")));
        assert!(taps.close().is_none() && taps.is_taken().is_none());
        assert_eq!(taps.read(id, Duration::ZERO).unwrap().ended.as_deref(), Some("ended by its reader"));
        let bounds = Bounds { packets: 1, octets: 1, time: Duration::ZERO };
        let other = taps.begin(Vec::new(), Names::default(), bounds);
        assert!(other != id && taps.read(id, Duration::ZERO).is_err());
    }

    /// A bound in time holds with nobody reading.
    #[test]
    fn time_ends_it() {
        let (taps, id) = taps(Duration::ZERO);
        assert_eq!(taps.close().unwrap().1, "its time is over");
        assert_eq!(taps.read(id, Duration::from_secs(5)).unwrap().ended.as_deref(), Some("its time is over"));
    }
}
