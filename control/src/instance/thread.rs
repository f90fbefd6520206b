//! The thread of an instance: enters the namespace once, raises the instance, serves requests and
//! notifications until the handle is dropped or stopped, and undoes everything.

use std::fs::File;
use std::io;
use std::time::Duration;

use crossbeam::channel::Sender;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use nix::sched::{CloneFlags, setns};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::alarm::Alarm;
use super::error::InstanceError;
use super::event::{Event, Request, SyncCause};
use super::machine::Machine;
use super::netlink::{self, Heard};
use super::outlet::Outlet;
use super::spec::{InstanceSpec, Namespace};
use super::walls::Wall;

/// Between looks at what the kernel does not tell of: well below the 30 s after which a neighbour goes stale.
const TICK: Duration = Duration::from_secs(5);

/// Of what the kernel tells, so much before a request that waits has its turn.
const HEARD_IN_A_ROW: u32 = 64;

/// A request with the caller's ticket.
pub(super) type Ticketed = (u64, Request);

/// Sockets that tell of changes.
struct Watch {
    kernel: BoxStream<'static, Heard>,
    forwarding: Alarm,
    /// Absent on a kernel without nf_tables; the tick still looks at the cage.
    nftables: Option<Alarm>,
    /// Absent on a kernel before 5.3, which has no next hop objects.
    next_hops: Option<Alarm>,
}

/// What the daemon asks for: in two queues, each in order.
pub(super) struct Requests {
    pub(super) urgent: Receiver<Ticketed>,
    pub(super) others: Receiver<Ticketed>,
}

impl Requests {
    /// Whether nobody waits.
    fn are_none(&self) -> bool {
        self.urgent.is_empty() && self.others.is_empty()
    }

    /// The next one; `None` when nobody asks any more.
    async fn next(&mut self) -> Option<Ticketed> {
        tokio::select! {
            biased;
            Some(request) = self.urgent.recv() => Some(request),
            request = self.others.recv() => request,
        }
    }
}

enum Wake {
    Request(Option<Ticketed>),
    Heard(Option<Heard>),
    Forwarding,
    Nftables,
    NextHops,
    Tick,
    Due,
}

/// Body of the thread. `started` gets exactly one message. Returns what could not be undone.
pub(super) fn run(
    spec: &InstanceSpec,
    requests: Requests,
    events: Sender<Event>,
    started: &Sender<Result<(), InstanceError>>,
) -> Vec<InstanceError> {
    let prepared = spec.check().and_then(|()| enter(&spec.namespace)).and_then(|()| runtime());
    match prepared {
        Ok(runtime) => runtime.block_on(live(spec, requests, events, started)),
        Err(error) => {
            let _ = started.send(Err(error));
            Vec::new()
        }
    }
}

/// Enters the namespace, for good.
fn enter(namespace: &Namespace) -> Result<(), InstanceError> {
    let (Namespace::Named(name), Some(path)) = (namespace, namespace.path()) else { return Ok(()) };
    let shown = path.display().to_string();
    let file = File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            InstanceError::NamespaceMissing { name: name.clone(), path: shown.clone() }
        }
        _ => InstanceError::io(format!("open {shown}"), e),
    })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| InstanceError::io(format!("enter {shown}"), e.into()))
}

fn runtime() -> Result<Runtime, InstanceError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| InstanceError::io("start the instance's runtime", e))
}

async fn live(
    spec: &InstanceSpec,
    mut requests: Requests,
    events: Sender<Event>,
    started: &Sender<Result<(), InstanceError>>,
) -> Vec<InstanceError> {
    let opened = netlink::open_requests().and_then(|handle| Ok((handle, Watch::open(spec)?)));
    let (handle, mut watch) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let _ = started.send(Err(error));
            return Vec::new();
        }
    };
    let mut machine = Machine::new(spec.id, handle, Outlet::new(events));
    let raised = machine.raise(spec).await;
    let is_raised = raised.is_ok();
    if !is_raised {
        // Before the answer, so that whoever sees the refusal finds the machine as it was.
        let _ = machine.undo().await;
    }
    let _ = started.send(raised);
    if !is_raised {
        return Vec::new();
    }
    serve(&mut machine, &mut requests, &mut watch).await;
    machine.undo().await
}

impl Watch {
    /// Opened before the first dump, so that no change falls between.
    fn open(spec: &InstanceSpec) -> Result<Self, InstanceError> {
        Ok(Self {
            kernel: netlink::open_watch(spec.receive_buffer)?,
            forwarding: Alarm::forwarding()?,
            nftables: optional(Alarm::nftables()),
            next_hops: optional(Alarm::next_hops()),
        })
    }
}

fn optional(alarm: Result<Alarm, InstanceError>) -> Option<Alarm> {
    alarm.inspect_err(|error| tracing::warn!(%error, "doing without")).ok()
}

/// What is not there never rings.
async fn rings(alarm: &mut Option<Alarm>) {
    match alarm {
        Some(alarm) => alarm.rings().await,
        None => std::future::pending().await,
    }
}

/// What guards the walls comes first, then what the kernel tells, for workers wait for its neighbours; requests of which
/// there may be thirty thousand come last, but not never.
async fn serve(machine: &mut Machine, requests: &mut Requests, watch: &mut Watch) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_in_a_row = 0;
    loop {
        let due = machine.wake_at();
        let listens = heard_in_a_row < HEARD_IN_A_ROW || requests.are_none();
        let wake = tokio::select! {
            biased;
            () = watch.forwarding.rings() => Wake::Forwarding,
            () = rings(&mut watch.nftables) => Wake::Nftables,
            () = rings(&mut watch.next_hops) => Wake::NextHops,
            _ = tick.tick() => Wake::Tick,
            () = async { sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await }, if due.is_some() => Wake::Due,
            heard = watch.kernel.next(), if listens => Wake::Heard(heard),
            request = requests.next(), if machine.outlet.has_room() => Wake::Request(request),
        };
        heard_in_a_row = if matches!(wake, Wake::Heard(_)) { heard_in_a_row + 1 } else { 0 };
        match wake {
            Wake::Request(Some(request)) => answer(machine, request).await,
            Wake::Request(None) => return,
            Wake::Heard(Some(heard)) => machine.observe(&heard).await,
            Wake::Heard(None) => return machine.fallen(Wall::Kernel, deaf()),
            Wake::Forwarding => drop(machine.hold_forwarding()),
            Wake::Nftables => machine.hold_cage(),
            Wake::NextHops => machine.ask_comparison(SyncCause::Unclear),
            Wake::Tick => machine.tick().await,
            Wake::Due => machine.compare_if_due().await,
        }
    }
}

async fn answer(machine: &mut Machine, (ticket, request): Ticketed) {
    let outcome = machine.carry_out(request).await;
    machine.outlet.must(Event::Answer { ticket, outcome });
}

fn deaf() -> InstanceError {
    InstanceError::ThreadEnded { reason: "the netlink socket failed".to_owned() }
}
