//! What tests with namespaces share: namespaces that go away, and waiting for an instance's events.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ravelin_control::instance::{Change, Event, Handle, InstanceError, KernelDevice, Request, SyncCause};

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Leaves the test, saying so, without root.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root for network namespaces");
            return;
        }
    };
}

/// A namespace that goes away with the test.
pub struct Netns(pub String);

impl Netns {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rvt{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run(&["ip", "netns", "add", &name]);
        Self(name)
    }

    /// Output of a command in here, which must succeed.
    pub fn run(&self, command: &str) -> String {
        run(&self.words(command))
    }

    fn words<'a>(&'a self, command: &'a str) -> Vec<&'a str> {
        ["ip", "netns", "exec", &self.0].into_iter().chain(command.split_whitespace()).collect()
    }

    pub fn succeeds(&self, command: &str) -> bool {
        output(&self.words(command)).status.success()
    }

    /// Waits until a command's output satisfies.
    pub fn until(&self, command: &str, holds: impl Fn(&str) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            let out = output(&self.words(command));
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            if holds(&text) {
                return;
            }
            assert!(Instant::now() < end, "`{command}` still says: {text}");
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        output(&["ip", "netns", "del", &self.0]);
    }
}

pub fn output(words: &[&str]) -> std::process::Output {
    Command::new(words[0]).args(&words[1..]).output().unwrap()
}

/// Output of a command, which must succeed.
pub fn run(words: &[&str]) -> String {
    let out = output(words);
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Waits for the event that `pick` wants, dropping those before it.
pub fn wait<T>(handle: &Handle, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        let event = handle.events().recv_deadline(end).unwrap_or_else(|e| panic!("no {what}: {e}"));
        if let Some(found) = pick(event) {
            return found;
        }
    }
}

pub fn device(handle: &Handle) -> KernelDevice {
    wait(handle, "device", |event| match event {
        Event::Device(device) => Some(device),
        _ => None,
    })
}

pub fn synced(handle: &Handle, wanted: SyncCause) -> usize {
    wait(handle, "sync", |event| match event {
        Event::Synced { cause, changes } if cause == wanted => Some(changes),
        _ => None,
    })
}

pub fn change(handle: &Handle, what: &str, wanted: impl Fn(&Change) -> bool) -> Change {
    wait(handle, what, |event| match event {
        Event::Changed(change) if wanted(&change) => Some(change),
        _ => None,
    })
}

/// Sends a request and waits for its answer.
pub fn ask(handle: &Handle, request: Request) -> Result<(), InstanceError> {
    static TICKET: AtomicU32 = AtomicU32::new(1);
    let mine = u64::from(TICKET.fetch_add(1, Ordering::Relaxed));
    handle.request(mine, request).unwrap();
    wait(handle, "answer", |event| match event {
        Event::Answer { ticket, outcome } if ticket == mine => Some(outcome),
        _ => None,
    })
}
