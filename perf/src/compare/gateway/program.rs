//! Programs that forward between the two devices, and what a packet costs them.
//!
//! All are measured from outside and alike: packets by DPDK's own counters of the second device (telemetry),
//! time by the run time that the scheduler counts for the working thread, so that a core shared with others,
//! or lent to another program meanwhile, counts nothing. Between its turns a program is stopped (SIGSTOP).

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nix::unistd::Pid;

use super::setup::Setup;

/// How long a program may take to come up: associations by the ten thousand, one by one.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time within which run time and counters are read.
const TOGETHER: Duration = Duration::from_micros(150);
/// Attempts at that: on a busy machine the reader itself is interrupted.
const ATTEMPTS: usize = 2000;
/// Unmeasured at the beginning of a turn: caches, predictors, the core's clock.
const WARM: Duration = Duration::from_millis(30);
/// Between two looks at a program of others, which tells nobody when it is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A program that was asked to speak, or has read its last packet, has done so after this.
const SETTLED: Duration = Duration::from_millis(300);
/// Of packets received, how many in one may be missing among those sent: what is on its way, and what
/// comes between reading one counter and the other.
const UNCOUNTED: u64 = 100;

/// A running program.
pub struct Program {
    /// As reports name it.
    pub name: String,
    child: Child,
    log: PathBuf,
    telemetry: OwnedFd,
    /// The file with the run time of the thread that does the work.
    schedule: PathBuf,
}

/// Packets of the two devices, and the processor's time they took so far.
#[derive(Clone, Copy, Debug)]
struct Reading {
    received: u64,
    sent: u64,
    time: Duration,
}

impl Program {
    /// Starts `command` and waits until packets flow and, with `ready`, until it says that word: packets may
    /// flow before everything is in place.
    ///
    /// # Errors
    /// What the program said last.
    pub fn start(
        name: &str,
        mut command: Command,
        ready: Option<&str>,
        setup: &Setup,
    ) -> anyhow::Result<Program> {
        let log = setup.input.with_extension(format!("{}.log", setup.prefix));
        let file = std::fs::File::create(&log)?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().with_context(|| format!("{name} could not be started"))?;
        let began = Instant::now();
        let telemetry = loop {
            if let Some(status) = child.try_wait()? {
                bail!("{name} has ended ({status}): {}", tail(&log));
            }
            if let Ok(telemetry) = dial(setup) {
                break telemetry;
            }
            ensure!(began.elapsed() < PATIENCE, "{name} has no telemetry: {}", tail(&log));
            std::thread::sleep(LOOK_AGAIN);
        };
        let mut program = Program { name: name.to_owned(), child, log, telemetry, schedule: PathBuf::new() };
        let said = |word| std::fs::read_to_string(&program.log).is_ok_and(|text| text.contains(word));
        while program.count(1, "opackets").unwrap_or(0) == 0 || !ready.is_none_or(said) {
            if began.elapsed() > PATIENCE {
                bail!("{name} forwards nothing: {}", tail(&program.log));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        program.schedule = busiest(&program.child)?;
        Ok(program)
    }

    /// Stops it where it is.
    ///
    /// # Errors
    /// When it has gone.
    pub fn pause(&self) -> anyhow::Result<()> {
        kill(pid(&self.child), Signal::SIGSTOP).with_context(|| format!("{} has gone", self.name))
    }

    fn resume(&self) -> anyhow::Result<()> {
        kill(pid(&self.child), Signal::SIGCONT).with_context(|| format!("{} has gone", self.name))
    }

    /// One turn: seconds of processor time a packet sent, over `window`.
    ///
    /// # Errors
    /// When it loses packets: then it does not do what it is measured for.
    pub fn turn(&mut self, window: Duration) -> anyhow::Result<f64> {
        self.resume()?;
        std::thread::sleep(WARM);
        let start = self.reading()?;
        std::thread::sleep(window);
        let end = self.reading()?;
        self.pause()?;
        let (received, sent) = (end.received - start.received, end.sent - start.sent);
        ensure!(sent > 10_000, "{} sent {sent} packets in {window:?}", self.name);
        if received.abs_diff(sent) > received / UNCOUNTED {
            let words = self.last_words();
            bail!("{} received {received} packets and sent {sent}: {words}", self.name);
        }
        Ok((end.time - start.time).as_secs_f64() / sent as f64)
    }

    /// Waits until `count` packets were received and nothing follows, then ends it in order.
    ///
    /// # Errors
    /// When they do not come.
    pub fn finish(mut self, count: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.count(0, "ipackets")? < count {
            ensure!(began.elapsed() < PATIENCE, "{} has not read {count} packets", self.name);
            std::thread::sleep(LOOK_AGAIN);
        }
        std::thread::sleep(SETTLED);
        kill(pid(&self.child), Signal::SIGINT)?;
        self.child.wait()?;
        Ok(())
    }

    /// What it says when it is asked by an empty line: our worker its drops, testpmd its counters.
    fn last_words(&mut self) -> String {
        // It may have gone; then the log says why.
        let _ = self.resume();
        let _ = self.child.stdin.take().map(|mut to| to.write_all(b"\n"));
        std::thread::sleep(SETTLED);
        tail(&self.log)
    }

    /// Packets and time, read so close together that what lies between does not matter. The scheduler brings
    /// the run time up to date from time to time only: it is exact when it has just changed.
    fn reading(&self) -> anyhow::Result<Reading> {
        for _ in 0..ATTEMPTS {
            let before = run_time(&self.schedule)?;
            let (mut time, mut changed) = (before, Instant::now());
            while time == before && changed.elapsed() < Duration::from_millis(10) {
                time = run_time(&self.schedule)?;
                if time != before {
                    changed = Instant::now();
                }
            }
            let (received, sent) = (self.count(0, "ipackets")?, self.count(1, "opackets")?);
            if time != before && changed.elapsed() < TOGETHER {
                return Ok(Reading { received, sent, time });
            }
        }
        bail!("this machine is too busy to read what {} does", self.name)
    }

    fn count(&self, port: u16, name: &str) -> anyhow::Result<u64> {
        let request = format!("/ethdev/stats,{port}");
        send(self.telemetry.as_raw_fd(), request.as_bytes(), MsgFlags::empty())?;
        let answer = answer(&self.telemetry)?;
        let value = answer.get("/ethdev/stats").and_then(|stats| stats.get(name)?.as_u64());
        value.with_context(|| format!("{}'s telemetry has no {name}", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing is left running, whatever state it is in; it may have gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run time of a thread so far.
fn run_time(schedule: &Path) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(schedule).context("the kernel keeps no run times")?;
    let first = text.split(' ').next().context("a run time")?;
    Ok(Duration::from_nanos(first.parse()?))
}

/// The thread of a process that works: the one that ran longest in the last moment.
fn busiest(child: &Child) -> anyhow::Result<PathBuf> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id()))?;
    let threads: Vec<PathBuf> = threads.flatten().map(|thread| thread.path().join("schedstat")).collect();
    let times = || threads.iter().map(|thread| run_time(thread).unwrap_or_default()).collect::<Vec<_>>();
    let before = times();
    // Long enough that the one that polls stands out from those that wait.
    std::thread::sleep(Duration::from_millis(100));
    let ran = times().into_iter().zip(before).map(|(after, before)| after.saturating_sub(before));
    let most = ran.zip(&threads).max_by_key(|(ran, _)| *ran).context("a process has threads")?;
    Ok(most.1.clone())
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

fn dial(setup: &Setup) -> anyhow::Result<OwnedFd> {
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(&setup.telemetry())?)?;
    answer(&socket)?; // its greeting
    Ok(socket)
}

fn answer(socket: &OwnedFd) -> anyhow::Result<serde_json::Value> {
    let mut octets = vec![0; 16_384];
    let length = recv(socket.as_raw_fd(), &mut octets, MsgFlags::empty())?;
    Ok(serde_json::from_slice(octets.get(..length).unwrap_or_default())?)
}

/// The end of a log file.
fn tail(path: &Path) -> String {
    let mut text = String::new();
    // Without a log there is nothing to tell.
    let _ = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    let lines: Vec<&str> = text.lines().rev().take(6).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
