//! Numbered UDP between two hosts, and what became of each packet: the judge of "nothing
//! was lost" in the demo and the interop scenarios. One side runs it on each host; both
//! send and receive. A packet carries its number and the time it was sent (both hosts are
//! namespaces of one machine and share its clock), so loss, duplicates, order and lateness are
//! counted exactly. The path is judged, not the judge: a packet has arrived when the kernel
//! took it, however long it then waits to be counted; and what was late only because the machine
//! stood still is counted apart ([`witness`]). Who has sent all says how many that were, so that the other need not wait
//! for what has come already. Prints one JSON object.

mod witness;

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use hdrhistogram::Histogram;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use witness::{Span, Stood, Witness};

/// Sends numbered UDP to a peer and counts what comes from it.
#[derive(Parser)]
struct Options {
    /// Address and port of this host.
    #[arg(long)]
    bind: SocketAddr,
    /// Address and port of the other.
    #[arg(long)]
    peer: SocketAddr,
    /// Packets a second.
    #[arg(long, default_value_t = 5000)]
    rate: u64,
    /// Seconds to send.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Stop sending as soon as this file exists; then `seconds` is only the longest time.
    #[arg(long)]
    until: Option<PathBuf>,
    /// Payload bytes; at least 16.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Milliseconds after which a packet counts as late.
    #[arg(long, default_value_t = 50)]
    late: u64,
    /// Milliseconds to wait, after the last packet sent, for what the peer has sent and is not here.
    #[arg(long, default_value_t = 1500)]
    grace: u64,
}

/// What became of the packets.
#[derive(Default, Serialize)]
struct Report {
    sent: u64,
    received: u64,
    duplicates: u64,
    reordered: u64,
    /// Later than [`Options::late`] by what was not the machine's standing still.
    late: u64,
    /// Would have been late too, but the machine stood while they were under way.
    held: u64,
    foreign: u64,
    highest: u64,
    /// The longest time in which a processor ran nothing.
    stood_max_us: u64,
    latency_p50_us: u64,
    latency_p99_us: u64,
    latency_max_us: u64,
}

impl Options {
    fn late_us(&self) -> u64 {
        self.late * 1000
    }
}

impl Report {
    /// Tells what the path delayed from what the machine did.
    fn blame(&mut self, delayed: &[Span], stood: &Stood, late_us: u64) {
        self.stood_max_us = stood.longest();
        let by_path = |way: &&Span| way.to - way.from > late_us + stood.within(**way);
        self.late = delayed.iter().filter(by_path).count() as u64;
        self.held = delayed.len() as u64 - self.late;
    }
}

fn main() -> Result<()> {
    let options = Arc::new(Options::parse());
    let socket = open(options.bind).with_context(|| format!("binding {}", options.bind))?;
    let done = Arc::new(AtomicBool::new(false));
    let receiver = {
        let (socket, options, done) = (socket.try_clone()?, Arc::clone(&options), Arc::clone(&done));
        thread::spawn(move || receive(&socket, &options, &done))
    };
    rendezvous(&socket, &options)?;
    let witness = Witness::begin();
    let sent = send(&socket, &options)?;
    take_leave(&socket, &options, sent);
    done.store(true, Ordering::Relaxed);
    let (mut report, delayed) = receiver.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
    report.sent = sent;
    report.blame(&delayed, &witness.end(), options.late_us());
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Holds what comes while this program waits for a processor: the usual 200 kB are 20 ms of packets.
const RECEIVE_BUFFER: usize = 128 << 20;

/// A socket that loses nothing itself and says when a packet came. Needs root, for the buffer.
fn open(bind: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(bind)?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("making the receive buffer larger")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(socket)
}

/// Microseconds of the clock that the kernel stamps packets with, the same in every namespace.
fn now() -> u64 {
    micros(clock_gettime(ClockId::CLOCK_REALTIME).unwrap_or(TimeSpec::new(0, 0)))
}

fn micros(time: TimeSpec) -> u64 {
    Duration::from(time).as_micros() as u64
}

/// Nothing counts until the peer has been heard: sends number 0 until a packet comes.
fn rendezvous(socket: &UdpSocket, options: &Options) -> Result<()> {
    let until = now() + 20_000_000;
    while !HEARD.load(Ordering::Relaxed) {
        anyhow::ensure!(now() < until, "the peer {} was not heard for 20 s", options.peer);
        // Refused or unreachable: it is not there yet.
        let _ = socket.send_to(&packet(0, options.size), options.peer);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

static HEARD: AtomicBool = AtomicBool::new(false);

/// Says how many were sent, until all that the peer says it has sent are here, or the time for that is over. Copies of the
/// last ones have a moment to come, too.
fn take_leave(socket: &UdpSocket, options: &Options, sent: u64) {
    let until = now() + options.grace * 1000;
    while now() < until && MISSING.load(Ordering::Relaxed) > 0 {
        let _ = socket.send_to(&words(LEAVE, sent, options.size), options.peer);
        thread::sleep(TURN);
    }
    // The peer may have heard none of them.
    for _ in 0..COPIES {
        let _ = socket.send_to(&words(LEAVE, sent, options.size), options.peer);
        thread::sleep(TURN);
    }
}

/// The number of a packet whose second word says how many were sent.
const LEAVE: u64 = u64::MAX;
/// Between two such packets.
const TURN: Duration = Duration::from_millis(20);
/// How many follow when all is here.
const COPIES: u32 = 10;
/// Packets of the peer's that are not here; unknown until it has said how many it has sent.
static MISSING: AtomicU64 = AtomicU64::new(u64::MAX);

fn packet(number: u64, size: usize) -> Vec<u8> {
    words(number, now(), size)
}

fn words(number: u64, second: u64, size: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(second.to_be_bytes());
    bytes.resize(size.max(16), 0x5a);
    bytes
}

/// Sends in slices of a millisecond, so that the rate holds without spinning.
fn send(socket: &UdpSocket, options: &Options) -> Result<u64> {
    let (start, total) = (now(), options.rate * options.seconds);
    let mut sent = 0;
    let ended = || options.until.as_ref().is_some_and(|file| file.exists());
    while sent < total && !ended() {
        let due = (now().saturating_sub(start)) * options.rate / 1_000_000;
        while sent < due.min(total) {
            sent += 1;
            match socket.send_to(&packet(sent, options.size), options.peer) {
                Ok(_) => {}
                // An ICMP error of the rendezvous may still be pending on the socket.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => sent -= 1,
                Err(error) => return Err(error.into()),
            }
        }
        thread::sleep(Duration::from_micros(500));
    }
    Ok(sent)
}

/// The report but for whose fault what came too late is, and the ways of those packets.
fn receive(socket: &UdpSocket, options: &Options, done: &AtomicBool) -> Result<(Report, Vec<Span>)> {
    let mut seen = vec![false; (options.rate * options.seconds + 1) as usize];
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let (mut report, mut delayed, mut expected) = (Report::default(), Vec::new(), None);
    let mut bytes = [0; 65536];
    while !done.load(Ordering::Relaxed) {
        let Some((from, length, arrived)) = next(socket, &mut bytes) else { continue };
        if from != options.peer || length < 16 {
            report.foreign += 1;
            continue;
        }
        HEARD.store(true, Ordering::Relaxed);
        let (number, second) = read(&bytes);
        if number == LEAVE {
            expected = Some(second);
        }
        let way = account((number, second), arrived, &mut seen, &mut report);
        expected.into_iter().for_each(|all: u64| {
            MISSING.store(all.saturating_sub(report.received), Ordering::Relaxed);
        });
        let Some(way) = way else { continue };
        let age = way.to - way.from;
        latency.saturating_record(age.max(1));
        if age > options.late_us() {
            delayed.push(way);
        }
    }
    report.latency_p50_us = latency.value_at_quantile(0.5);
    report.latency_p99_us = latency.value_at_quantile(0.99);
    report.latency_max_us = latency.max();
    Ok((report, delayed))
}

/// Who sent the next packet, its length, and when the kernel took it; `None` when none came for a while.
fn next(socket: &UdpSocket, bytes: &mut [u8]) -> Option<(SocketAddr, usize, u64)> {
    let mut control = cmsg_space!(TimeSpec);
    let mut buffers = [IoSliceMut::new(bytes)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut control), MsgFlags::empty())
            .ok()?;
    let arrived = message.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(micros(time)),
        _ => None,
    })?;
    let from = message.address?;
    let from = from
        .as_sockaddr_in()
        .map(|v4| SocketAddr::from(std::net::SocketAddrV4::from(*v4)))
        .or_else(|| from.as_sockaddr_in6().map(|v6| SocketAddr::from(std::net::SocketAddrV6::from(*v6))))?;
    Some((from, message.bytes, arrived))
}

/// A packet's first two words.
fn read(bytes: &[u8]) -> (u64, u64) {
    let mut words =
        bytes.chunks_exact(8).map(|word| word.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)));
    (words.next().unwrap_or(0), words.next().unwrap_or(0))
}

/// Counts a packet by its number and the time it was sent; from when to when it was under way, if it is one that has not
/// come before.
fn account((number, sent): (u64, u64), arrived: u64, seen: &mut [bool], report: &mut Report) -> Option<Span> {
    match seen.get_mut(number as usize) {
        _ if number == 0 || number == LEAVE => None,
        None => {
            report.foreign += 1;
            None
        }
        Some(true) => {
            report.duplicates += 1;
            None
        }
        Some(first) => {
            *first = true;
            report.received += 1;
            report.reordered += u64::from(number < report.highest);
            report.highest = report.highest.max(number);
            Some(Span { from: sent, to: arrived.max(sent) })
        }
    }
}
