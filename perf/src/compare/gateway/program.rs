//! Programs that forward between the two devices, and what a packet costs them.
//!
//! All are measured from outside and alike: packets by DPDK's own counters of the second device (telemetry),
//! time by the processor time of the process, so that a core shared with others, or lent to another program
//! meanwhile, counts nothing. Between its turns a program is stopped (SIGSTOP).

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::setup::Setup;

/// How long a program may take to come up: associations by the ten thousand, one by one.
const PATIENCE: Duration = Duration::from_secs(120);
/// Unmeasured at the beginning of a turn: caches, predictors, the core's clock.
const WARM: Duration = Duration::from_millis(30);
/// Of packets received, those that may be missing among those sent: what is on its way.
const ON_THE_WAY: u64 = 4096;

/// A running program.
pub struct Program {
    /// As reports name it.
    pub name: String,
    child: Child,
    telemetry: OwnedFd,
    clock: ClockId,
}

/// Packets of the two devices, and the processor's time they took so far.
#[derive(Clone, Copy, Debug)]
struct Reading {
    received: u64,
    sent: u64,
    time: Duration,
}

impl Program {
    /// Starts `command` and waits until packets flow, or all have flowed.
    ///
    /// # Errors
    /// What the program said last.
    pub fn start(name: &str, mut command: Command, setup: &Setup) -> anyhow::Result<Program> {
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
            std::thread::sleep(Duration::from_millis(20));
        };
        let clock = ClockId::pid_cpu_clock_id(pid(&child))?;
        let program = Program { name: name.to_owned(), child, telemetry, clock };
        while program.reading().map_or(0, |reading| reading.sent) == 0 {
            if began.elapsed() > PATIENCE {
                bail!("{name} forwards nothing: {}", tail(&log));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
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
    pub fn turn(&self, window: Duration) -> anyhow::Result<f64> {
        self.resume()?;
        std::thread::sleep(WARM);
        let start = self.reading()?;
        std::thread::sleep(window);
        let end = self.reading()?;
        self.pause()?;
        let (received, sent) = (end.received - start.received, end.sent - start.sent);
        ensure!(sent > 10_000, "{} sent {sent} packets in {window:?}", self.name);
        ensure!(
            received.abs_diff(sent) <= ON_THE_WAY,
            "{} received {received} packets and sent {sent}",
            self.name
        );
        Ok((end.time - start.time).as_secs_f64() / sent as f64)
    }

    /// Waits until `count` packets were received and nothing follows, then ends it in order.
    ///
    /// # Errors
    /// When they do not come.
    pub fn finish(mut self, count: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.reading()?.received < count {
            ensure!(began.elapsed() < PATIENCE, "{} has not read {count} packets", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
        kill(pid(&self.child), Signal::SIGINT)?;
        self.child.wait()?;
        Ok(())
    }

    /// Packets and time, read so close together that what lies between does not matter.
    fn reading(&self) -> anyhow::Result<Reading> {
        loop {
            let before = Duration::from(clock_gettime(self.clock)?);
            let received = self.count(0, "ipackets")?;
            let sent = self.count(1, "opackets")?;
            let after = Duration::from(clock_gettime(self.clock)?);
            if after - before < Duration::from_millis(1) {
                return Ok(Reading { received, sent, time: (before + after) / 2 });
            }
        }
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
fn tail(path: &std::path::Path) -> String {
    let mut text = String::new();
    // Without a log there is nothing to tell.
    let _ = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    let lines: Vec<&str> = text.lines().rev().take(6).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
