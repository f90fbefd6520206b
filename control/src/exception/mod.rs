//! The exception thread: moves frames between the workers' rings and the kernel's twins and `rv-` devices. One
//! thread for all instances; it decides nothing. Frames from a twin pass the policy in the workers before they
//! leave; frames for the kernel were chosen by the workers. Each device and direction has a rate, so that a
//! flood of one starves no other, and counters. The control loop is not in this path.
//!
//! Descriptors are created by `instance` inside their namespaces and handed over here; the thread itself
//! enters none. Rings cannot wake a sleeper, so an idle thread sleeps on the descriptors for at most
//! [`LONGEST_SLEEP`].

mod counters;
mod link;
mod mover;
mod police;
mod station;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{self, Sender};

pub use counters::{Counters, Direction, DirectionCount};
pub use link::Workers;
pub use police::Rate;

use crate::instance::{InstanceError, KernelDevice, Role};
use mover::{Command, Mover};

/// The longest an idle thread keeps a frame of the workers waiting.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// Where frames for the kernel come from.
pub trait FromWorkers: Send {
    /// Hands up to `limit` waiting frames to `deliver`: the device each is for, and its bytes (a twin:
    /// Ethernet; `rv-`: IP). Returns how many. Never waits.
    fn drain(&mut self, limit: usize, deliver: &mut dyn FnMut(Role, &[u8])) -> usize;
}

/// Where frames of the kernel go.
pub trait ToWorkers: Send {
    /// Offers one frame that the kernel sent on `role`. False if it was not taken (ring full, no buffer).
    /// Never waits.
    fn offer(&mut self, role: Role, bytes: &[u8]) -> bool;
}

/// The caller's end. Dropping it ends the thread.
#[derive(Debug)]
pub struct Exception {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
}

impl Exception {
    /// Starts the thread, without devices.
    pub fn start<W: FromWorkers + ToWorkers + 'static>(workers: W) -> Result<Self, InstanceError> {
        let (commands, inbox) = channel::unbounded();
        let thread = std::thread::Builder::new()
            .name("exception".to_owned())
            .spawn(move || Mover::new(workers, inbox).run())
            .map_err(|e| InstanceError::io("start the exception thread", e))?;
        Ok(Self { commands, thread })
    }

    /// Takes a device into service, in the place of one with the same role.
    pub fn attach(&self, device: KernelDevice, rate: Rate) -> Arc<Counters> {
        self.attach_descriptor(device.role, Box::new(device.device), rate)
    }

    /// The same for any non-blocking descriptor with one frame a read.
    pub fn attach_descriptor(
        &self,
        role: Role,
        descriptor: Box<dyn AsFd + Send>,
        rate: Rate,
    ) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        let attach = Command::Attach { role, descriptor, rate, counters: Arc::clone(&counters) };
        // A thread that is gone moves nothing; its end shows in `stop`.
        let _ = self.commands.send(attach);
        counters
    }

    /// Takes a device out of service and closes it.
    pub fn detach(&self, role: Role) {
        let _ = self.commands.send(Command::Detach(role));
    }

    /// Ends the thread and waits; false if it had panicked.
    #[must_use]
    pub fn stop(self) -> bool {
        drop(self.commands);
        self.thread.join().is_ok()
    }
}
