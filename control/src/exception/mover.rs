//! The loop of the exception thread. Sole owner of the descriptors.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, TryRecvError};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::counters::Counters;
use super::police::Rate;
use super::station::{Station, Turn};
use super::{FromWorkers, LONGEST_SLEEP, ToWorkers};
use crate::instance::Role;

/// Frames taken from the workers before the kernel's have their turn.
const DRAIN: usize = 128;
/// First sleep of an idle thread; doubles up to [`LONGEST_SLEEP`].
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
/// Larger than any frame of a device without offloads: 64 KiB of IP and an Ethernet header.
const LARGEST_FRAME: usize = (64 << 10) + 18;

/// What the thread is told.
pub(super) enum Command {
    Attach { role: Role, descriptor: Box<dyn AsFd + Send>, rate: Rate, counters: Arc<Counters> },
    Detach(Role),
}

/// State of the thread.
pub(super) struct Mover<W> {
    workers: W,
    inbox: Receiver<Command>,
    stations: BTreeMap<Role, Station>,
    buffer: Vec<u8>,
    started: Instant,
}

impl<W: FromWorkers + ToWorkers> Mover<W> {
    pub(super) fn new(workers: W, inbox: Receiver<Command>) -> Self {
        Self {
            workers,
            inbox,
            stations: BTreeMap::new(),
            buffer: vec![0; LARGEST_FRAME],
            started: Instant::now(),
        }
    }

    /// Until the other end of the inbox is dropped.
    pub(super) fn run(mut self) {
        let mut sleep = SHORTEST_SLEEP;
        while self.obey() {
            if self.round() > 0 {
                sleep = SHORTEST_SLEEP;
                continue;
            }
            self.wait(sleep);
            sleep = sleep.saturating_mul(2).min(LONGEST_SLEEP);
        }
    }

    /// Carries out what we are told; false at the end.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.carry_out(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Attach { role, descriptor, rate, counters } => {
                let station = Station::new(descriptor, rate, counters, self.now());
                self.stations.insert(role, station);
            }
            Command::Detach(role) => drop(self.stations.remove(&role)),
        }
    }

    /// Moves what is waiting, both ways; returns how many frames.
    fn round(&mut self) -> usize {
        let now = self.now();
        let stations = &mut self.stations;
        let drained = self.workers.drain(DRAIN, &mut |role, bytes| {
            if let Some(station) = stations.get_mut(&role) {
                station.deliver(bytes, now);
            }
        });
        drained.saturating_add(self.collect(now))
    }

    /// One turn for each device; a device that is gone leaves.
    fn collect(&mut self, now: u64) -> usize {
        let (workers, buffer) = (&mut self.workers, &mut self.buffer);
        let mut moved = 0usize;
        self.stations.retain(|role, station| {
            match station.collect(buffer, now, |bytes| workers.offer(*role, bytes)) {
                Turn::Moved(frames) => {
                    moved = moved.saturating_add(frames);
                    true
                }
                Turn::Gone => {
                    tracing::info!(?role, "kernel device is gone");
                    false
                }
            }
        });
        moved
    }

    /// Sleeps until a device has a frame or the time is over. An error of the call ends the sleep early, and
    /// the next round finds its cause.
    fn wait(&mut self, longest: Duration) {
        let now = self.now();
        let mut descriptors: Vec<PollFd<'_>> = self
            .stations
            .values_mut()
            .filter_map(|station| station.pollable(now))
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        let _ = ppoll(&mut descriptors, Some(TimeSpec::from_duration(longest)), None);
    }

    /// Microseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Exception, FromWorkers, Rate, ToWorkers};
    use crate::instance::Role;
    use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use nix::unistd::{read, write};
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    const DEADLINE: Duration = Duration::from_secs(10);
    const TWIN: Role = Role::Twin { port: 1, vlan: 7 };
    const OTHER: Role = Role::Private(2);
    const OPEN: Rate = Rate { frames_per_second: 1_000_000, burst: 100_000 };

    /// What the workers would be: channels.
    struct Rings(Receiver<(Role, Vec<u8>)>, Sender<(Role, Vec<u8>)>);

    impl FromWorkers for Rings {
        fn drain(&mut self, limit: usize, deliver: &mut dyn FnMut(Role, &[u8])) -> usize {
            self.0.try_iter().take(limit).map(|(role, bytes)| deliver(role, &bytes)).count()
        }
    }

    impl ToWorkers for Rings {
        fn offer(&mut self, role: Role, bytes: &[u8]) -> bool {
            self.1.try_send((role, bytes.to_vec())).is_ok()
        }
    }

    /// The in-memory twin of a TAP: one end for the thread, one to play the kernel.
    fn device() -> (Box<OwnedFd>, OwnedFd) {
        let flags = SockFlag::SOCK_NONBLOCK;
        let (ours, kernel) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        (Box::new(ours), kernel)
    }

    type Workers = (Sender<(Role, Vec<u8>)>, Receiver<(Role, Vec<u8>)>);

    fn start(ring: usize) -> (Exception, Workers) {
        let (to_kernel, source) = bounded(65536);
        let (sink, from_kernel) = bounded(ring);
        (Exception::start(Rings(source, sink)).unwrap(), (to_kernel, from_kernel))
    }

    /// Reads of the kernel's end until it has seen `wanted` frames.
    fn frames(kernel: &OwnedFd, wanted: usize) -> Vec<Vec<u8>> {
        let (mut seen, end, mut buffer) = (Vec::new(), Instant::now() + DEADLINE, [0u8; 128]);
        while seen.len() < wanted && Instant::now() < end {
            match read(kernel, &mut buffer) {
                Ok(length) => seen.push(buffer[..length].to_vec()),
                Err(_) => std::thread::yield_now(),
            }
        }
        seen
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !holds() {
            assert!(Instant::now() < end, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn frames_reach_the_device_they_are_for_and_come_back_with_its_role() {
        let (exception, (to_kernel, from_kernel)) = start(16);
        let ((tap, tap_kernel), (tun, tun_kernel)) = (device(), device());
        let counters = exception.attach_descriptor(TWIN, tap, OPEN);
        exception.attach_descriptor(OTHER, tun, OPEN);
        to_kernel.send((OTHER, b"packet".to_vec())).unwrap();
        to_kernel.send((TWIN, b"frame".to_vec())).unwrap();
        assert_eq!(frames(&tap_kernel, 1), [b"frame"]);
        assert_eq!(frames(&tun_kernel, 1), [b"packet"]);
        write(&tap_kernel, b"answer").unwrap();
        assert_eq!(from_kernel.recv_timeout(DEADLINE).unwrap(), (TWIN, b"answer".to_vec()));
        until("counted", || counters.from_kernel.read().frames == 1);
        let down = counters.to_kernel.read();
        assert_eq!((down.frames, down.octets, down.policed, down.refused), (1, 5, 0, 0));
        assert!(exception.stop());
    }

    /// One device flooded beyond its rate; the other still gets through, both ways.
    #[test]
    fn a_flood_on_one_device_does_not_starve_another() {
        let (exception, (to_kernel, from_kernel)) = start(1024);
        let ((tap, tap_kernel), (tun, tun_kernel)) = (device(), device());
        let flooded = exception.attach_descriptor(TWIN, tap, Rate { frames_per_second: 1, burst: 10 });
        exception.attach_descriptor(OTHER, tun, OPEN);
        for _ in 0..20_000 {
            to_kernel.send((TWIN, vec![0; 64])).unwrap();
        }
        to_kernel.send((OTHER, b"calm".to_vec())).unwrap();
        while write(&tap_kernel, &[0; 64]).is_ok() {}
        write(&tun_kernel, b"calm").unwrap();
        assert_eq!(frames(&tun_kernel, 1), [b"calm"]);
        let calm = || loop {
            let (role, bytes) = from_kernel.recv_timeout(DEADLINE).unwrap();
            if role == OTHER {
                return bytes;
            }
        };
        assert_eq!(calm(), b"calm");
        let down = flooded.to_kernel.read();
        assert_eq!(down.frames + down.policed + down.refused, 20_000);
        assert!(down.frames <= 12 && down.policed >= 19_000, "{down:?}");
        assert!(flooded.from_kernel.read().frames <= 12);
        assert!(exception.stop());
    }

    #[test]
    fn a_full_ring_and_an_unknown_device_drop_and_a_dead_device_leaves() {
        let (exception, (to_kernel, from_kernel)) = start(1);
        let (tap, kernel) = device();
        let counters = exception.attach_descriptor(TWIN, tap, OPEN);
        to_kernel.send((OTHER, b"nobody".to_vec())).unwrap();
        write(&kernel, b"first").unwrap();
        write(&kernel, b"second").unwrap();
        until("refused", || counters.from_kernel.read().refused == 1);
        assert_eq!(from_kernel.recv_timeout(DEADLINE).unwrap().1, b"first");
        drop(kernel);
        let after = from_kernel.recv_timeout(Duration::from_millis(10));
        assert_eq!(after, Err(RecvTimeoutError::Timeout));
        assert!(exception.stop());
    }
}
