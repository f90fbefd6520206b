//! An instance is a network namespace with our devices in it. One thread per instance enters the namespace
//! once and does there everything that touches the kernel: twins and `rv-` TUN, the cage, addresses, tunnel
//! routes, managed neighbours; and mirrors the kernel's state back as events. The control loop talks to it
//! through [`Handle`] and never waits; moving frames is left to `exception`, deciding to the planner.
//!
//! ```text
//!   control loop --Request--> instance thread --netlink, sysctl, nft--> namespace
//!                <--Event---                  <--notifications--------
//! ```

mod alarm;
mod cage;
mod device;
mod error;
mod event;
mod hops;
mod keep;
mod machine;
mod mirror;
mod netlink;
mod outlet;
mod spec;
mod sync;
mod sysctl;
mod thread;
mod translate;
mod walls;

use std::thread::JoinHandle;

use crossbeam::channel::{self, Receiver};
use tokio::sync::mpsc::{self, error::TrySendError};

pub use error::{Fault, InstanceError};
pub use event::{
    Change, DeviceName, Event, KernelDevice, Link, NextHop, Request, Role, Route, RouteAction, SyncCause,
    TunnelRoute,
};
pub use spec::{
    DEVICE_NAME_LIMIT, InstanceSpec, InterfaceSpec, Namespace, PRIVATE_PREFIX, PrivateSpec, ROUTE_PROTOCOL,
};
pub use walls::Wall;

/// Requests that may wait for the thread: routes of as many tunnels as there can be, asked for at once. They take
/// memory only as they wait.
const REQUESTS: usize = 1 << 20;
/// Events that may wait for the reader. Beyond it changes are held back and found again by comparison.
const EVENTS: usize = 16384;

/// Starts instances.
#[derive(Debug)]
pub struct Instance;

impl Instance {
    /// Starts the instance's thread and waits until everything is in place (tens of milliseconds) or refused,
    /// in which case nothing is left behind. Devices, the kernel's state and `Synced { Start }` are waiting
    /// in [`Handle::events`] afterwards.
    pub fn start(spec: InstanceSpec) -> Result<Handle, InstanceError> {
        let (requests, inbox) = mpsc::channel(REQUESTS);
        let (urgent, waiting) = mpsc::channel(REQUESTS);
        let (sender, events) = channel::bounded(EVENTS);
        let (started, outcome) = channel::bounded(1);
        let (id, name) = (spec.id, spec.name.clone());
        let thread = std::thread::Builder::new()
            .name(format!("instance {name}"))
            .spawn(move || {
                thread::run(&spec, thread::Requests { urgent: waiting, others: inbox }, sender, &started)
            })
            .map_err(|e| InstanceError::io("start the instance's thread", e))?;
        outcome.recv().map_err(|_| ended())??;
        Ok(Handle { id, name, requests, urgent, events, thread })
    }
}

/// The caller's end of a running instance. Dropping it stops the instance in its own time; [`Handle::stop`]
/// waits for that.
#[derive(Debug)]
pub struct Handle {
    id: u16,
    name: String,
    requests: mpsc::Sender<thread::Ticketed>,
    urgent: mpsc::Sender<thread::Ticketed>,
    events: Receiver<Event>,
    thread: JoinHandle<Vec<InstanceError>>,
}

impl Handle {
    /// The daemon's number for this instance.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the thread is gone: nobody holds the walls any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Hands a request over without waiting. It is answered by an [`Event::Answer`] with this ticket. What packets wait
    /// for does not queue behind the routes of thirty thousand tunnels; else they are carried out in order.
    pub fn request(&self, ticket: u64, request: Request) -> Result<(), InstanceError> {
        let queue = if request.is_urgent() { &self.urgent } else { &self.requests };
        queue.try_send((ticket, request)).map_err(|e| match e {
            TrySendError::Full(_) => InstanceError::Busy { waiting: REQUESTS },
            TrySendError::Closed(_) => ended(),
        })
    }

    /// Everything the instance tells, in order. Disconnected once the thread has ended.
    #[must_use]
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Runs `work` on the instance's thread, inside its namespace; the result arrives in the receiver. See
    /// [`Request::Run`].
    pub fn run_inside<R, W>(&self, ticket: u64, work: W) -> Result<Receiver<R>, InstanceError>
    where
        R: Send + 'static,
        W: FnOnce() -> R + Send + 'static,
    {
        let (sender, result) = channel::bounded(1);
        let run = move || drop(sender.send(work()));
        self.request(ticket, Request::Run(Box::new(run)))?;
        Ok(result)
    }

    /// Stops the instance in order, waits, and returns what could not be undone.
    pub fn stop(self) -> Result<(), Vec<InstanceError>> {
        drop((self.requests, self.urgent));
        // Nobody reads any more: what waits to be told must not hold the thread.
        drop(self.events);
        let failures = self.thread.join().unwrap_or_else(|_| vec![ended()]);
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }
}

/// Nobody holds the walls of an instance whose thread is gone.
pub(crate) fn ended() -> InstanceError {
    InstanceError::ThreadEnded { reason: "it stopped without an answer".to_owned() }
}
