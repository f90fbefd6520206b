//! Every type that crosses between control, the exception thread and the workers, and the rings they
//! cross by.
//!
//! [`build`] makes one [`ControlEnd`], one [`ExceptionEnd`] and a [`WorkerEnd`] per worker. All rings are
//! single-producer, single-consumer and bounded; a full one never makes a worker wait:
//!
//! | ring | when full |
//! | --- | --- |
//! | commands | control keeps the command ([`ControlEnd::send`] gives it back) |
//! | reports | the worker keeps the fact, or leaves the command unapplied |
//! | IKE, IKE_SA_INIT, kernel | the packet is dropped under a counter of its own |
//! | injected packets | the sender keeps the packet |
//! | handoff between workers | the packet is dropped under `handoff-full` |
//!
//! Acknowledgement is not a message: [`ControlEnd::applied`] reads a number the worker publishes.

pub mod askers;
pub mod command;
pub mod counter;
pub mod handoff;
pub mod key;
pub mod packet;
pub mod report;
pub mod snapshot;

mod control;
pub mod waits;
mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ravelin_mem::arena::SlabError;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::sa::shard::{Map, Shard, WorkerId};
use crate::sa::table::{InboundTable, OutboundTable, ShardTable};
use command::{Command, Sequence};
use counter::Counters;
use key::KeyCells;
use packet::{IkePunt, KernelPunt};
use report::Report;

pub use control::{ControlEnd, ExceptionEnd};
pub use worker::WorkerEnd;

/// Sizes, all fixed at start. What is not said otherwise is per worker and in items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Workers, at least 1 and at most 63 (shards are numbered 1 to 63, one per worker at start).
    pub workers: u8,
    /// Ports of the machine; port numbers lie below.
    pub ports: usize,
    /// Slots in the inbound table of each shard.
    pub inbound_slots: usize,
    /// Outbound slots.
    pub outbound_slots: usize,
    /// Commands on their way.
    pub commands: usize,
    /// Reports on their way.
    pub reports: usize,
    /// Keys on their way.
    pub keys: usize,
    /// IKE messages with a responder SPI, or with a cookie.
    pub ike: usize,
    /// Other IKE_SA_INIT requests: 20 ms of a flood of 100,000 a second, which control may take to come back to them.
    pub ike_init: usize,
    /// Packets to the kernel.
    pub kernel: usize,
    /// Packets from control, and as many from the kernel.
    pub injected: usize,
    /// Packets from one worker to one other.
    pub handoff: usize,
}

/// How many tunnels a worker is built for (`tunnel-limit`, TG-07): what its tables are made for at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TunnelLimit {
    /// Eight tunnels.
    T8,
    /// 32 tunnels.
    T32,
    /// 2,048 tunnels.
    T2k,
    /// 32,768 tunnels.
    T32k,
    /// 65,536 tunnels.
    T64k,
}

impl TunnelLimit {
    /// All there are, smallest first.
    pub const ALL: [TunnelLimit; 5] =
        [TunnelLimit::T8, TunnelLimit::T32, TunnelLimit::T2k, TunnelLimit::T32k, TunnelLimit::T64k];

    /// Tunnels a worker takes at most.
    pub const fn tunnels(self) -> u32 {
        match self {
            TunnelLimit::T8 => 8,
            TunnelLimit::T32 => 32,
            TunnelLimit::T2k => 2_048,
            TunnelLimit::T32k => 32_768,
            TunnelLimit::T64k => 65_536,
        }
    }

    /// As the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            TunnelLimit::T8 => "8",
            TunnelLimit::T32 => "32",
            TunnelLimit::T2k => "2k",
            TunnelLimit::T32k => "32k",
            TunnelLimit::T64k => "64k",
        }
    }

    /// Child SAs a worker has room for: one for each tunnel and a quarter more, for tunnels with several;
    /// all that a few tunnels can have where the limit is low.
    pub const fn children(self) -> usize {
        let tunnels = self.tunnels() as usize;
        match self {
            TunnelLimit::T8 | TunnelLimit::T32 => tunnels * crate::policy::tunnel::MAX_CHILDREN,
            TunnelLimit::T2k | TunnelLimit::T32k | TunnelLimit::T64k => tunnels + tunnels / 4,
        }
    }
}

impl Shape {
    /// Sizes for `workers` workers that each take `limit` tunnels, and `ports` ports. Inbound slots are two
    /// for each child: during a rekey both SAs are there, and a slot rests after its SA.
    pub fn for_tunnels(workers: u8, ports: usize, limit: TunnelLimit) -> Self {
        let outbound_slots = limit.children();
        Shape { inbound_slots: 2 * outbound_slots, outbound_slots, ..Shape::usual(workers, ports) }
    }

    /// Sizes for `workers` workers and `ports` ports that suit a few thousand tunnels.
    pub fn usual(workers: u8, ports: usize) -> Self {
        Shape {
            workers,
            ports,
            inbound_slots: 16_384,
            outbound_slots: 8_192,
            commands: 1024,
            reports: 4096,
            keys: 256,
            ike: 1024,
            ike_init: 2048,
            kernel: 1024,
            injected: 1024,
            handoff: 1024,
        }
    }
}

/// The last command a worker has applied, in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Applied(AtomicU64);

/// The three ends of the link.
#[derive(Debug)]
pub struct Link<F> {
    /// For the control loop.
    pub control: ControlEnd<F>,
    /// For the exception thread.
    pub exception: ExceptionEnd<F>,
    /// One for each worker, in order.
    pub workers: Vec<WorkerEnd<F>>,
}

/// Makes the rings, the SA tables and the key cells. Worker `n` starts with shard `n + 1`.
pub fn build<F>(shape: &Shape) -> Result<Link<F>, SlabError> {
    let shards = Arc::new(Map::one_each(shape.workers));
    let mut control = ControlEnd::new(Arc::clone(&shards));
    let mut exception = ExceptionEnd::new(Arc::clone(&shards));
    let mut workers = Vec::new();
    for number in 0..shape.workers {
        workers.push(worker(shape, WorkerId(number), &shards, &mut control, &mut exception)?);
    }
    join(&mut workers, shape.handoff);
    Ok(Link { control, exception, workers })
}

/// Makes one worker's end and adds the opposite ends to the others'.
fn worker<F>(
    shape: &Shape,
    id: WorkerId,
    shards: &Arc<Map>,
    control: &mut ControlEnd<F>,
    exception: &mut ExceptionEnd<F>,
) -> Result<WorkerEnd<F>, SlabError> {
    let applied = Arc::new(Applied::default());
    let counters = Arc::new(Counters::new(shape.ports));
    let keys = Arc::new(KeyCells::new(shape.keys)?);
    let mut inbound = InboundTable::new();
    let mut inbound_counters = None;
    if let Some(shard) = Shard::new(id.0 + 1) {
        let table = ShardTable::new(shard, shape.inbound_slots)?;
        inbound_counters = Some((shard, table.counters()));
        inbound.attach(Box::new(table));
    }
    let outbound = OutboundTable::new(shape.outbound_slots)?;
    let (command_in, commands) = RingBuffer::new(shape.commands);
    let (reports, report_out) = RingBuffer::new(shape.reports);
    let (ike, ike_out) = RingBuffer::new(shape.ike);
    let (ike_init, ike_init_out) = RingBuffer::new(shape.ike_init);
    let (kernel, kernel_out) = RingBuffer::new(shape.kernel);
    let (from_control_in, from_control) = RingBuffer::new(shape.injected);
    let (from_kernel_in, from_kernel) = RingBuffer::new(shape.injected);
    control.add(
        control::ToWorker {
            commands: command_in,
            sent: Sequence(0),
            applied: Arc::clone(&applied),
            reports: report_out,
            keys: Arc::clone(&keys),
            ike: ike_out,
            ike_init: ike_init_out,
            inject: from_control_in,
            counters: Arc::clone(&counters),
            outbound: outbound.shared_counters(),
            dummies: outbound.shared_dummies(),
        },
        inbound_counters,
    );
    exception.add(kernel_out, from_kernel_in);
    Ok(WorkerEnd {
        id,
        shards: Arc::clone(shards),
        commands,
        taken: Sequence(0),
        applied,
        reports,
        keys,
        ike,
        ike_init,
        kernel,
        from_control,
        from_kernel,
        handoff_out: Vec::new(),
        handoff_in: Vec::new(),
        counters,
        inbound,
        outbound,
        untold: worker::Untold::new(shape.inbound_slots + shape.outbound_slots),
        newest: vec![None; shape.outbound_slots].into(),
    })
}

/// Joins every worker with every other by two handoff rings.
fn join<F>(workers: &mut [WorkerEnd<F>], depth: usize) {
    let count = workers.len();
    for from in 0..count {
        for to in 0..count {
            let (sender, receiver) = match from == to {
                true => (None, None),
                false => {
                    let (sender, receiver) = handoff::ring(depth);
                    (Some(sender), Some(receiver))
                }
            };
            if let Some(worker) = workers.get_mut(from) {
                worker.handoff_out.push(sender);
            }
            if let (Some(worker), Some(receiver)) = (workers.get_mut(to), receiver) {
                worker.handoff_in.push(receiver);
            }
        }
    }
}

type Out<T> = Producer<T>;
type In<T> = Consumer<T>;
type HandoffOut<F> = Option<handoff::Sender<F>>;
type HandoffIn<F> = handoff::Receiver<F>;
type KernelOut<F> = Out<KernelPunt<F>>;
type IkeOut<F> = Out<IkePunt<F>>;
type CommandIn = In<Command>;
type ReportOut = Out<Report>;
