//! The ends of the link outside the workers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use rtrb::{Consumer, Producer, PushError};

use super::Applied;
use super::command::{Command, Sequence};
use super::counter::Counters;
use super::key::{KeyCells, KeyError, KeyIndex};
use super::packet::{IkePunt, KernelPunt};
use super::report::Report;
use crate::io::{Frame, Meta, Origin};
use crate::sa::counters::{Counter, InboundCounters, OutboundCounters};
use crate::sa::shard::{Map, Shard, WorkerId};
use crate::sa::spi::Place;

/// What control holds of one worker.
#[derive(Debug)]
pub(super) struct ToWorker<F> {
    pub commands: Producer<Command>,
    pub sent: Sequence,
    pub applied: Arc<Applied>,
    pub reports: Consumer<Report>,
    pub keys: Arc<KeyCells>,
    pub ike: Consumer<IkePunt<F>>,
    pub ike_init: Consumer<IkePunt<F>>,
    pub inject: Producer<F>,
    pub counters: Arc<Counters>,
    pub outbound: Arc<[OutboundCounters]>,
    pub dummies: Arc<[Counter]>,
}

/// A command ring was full, or there is no such worker: the command comes back.
#[derive(Debug)]
pub struct NotSent(pub Command);

/// The control loop's end of the link. One owner.
#[derive(Debug)]
pub struct ControlEnd<F> {
    workers: Vec<ToWorker<F>>,
    inbound: Vec<(Shard, Arc<[InboundCounters]>)>,
    shards: Arc<Map>,
}

impl<F> ControlEnd<F> {
    pub(super) fn new(shards: Arc<Map>) -> Self {
        ControlEnd { workers: Vec::new(), inbound: Vec::new(), shards }
    }

    pub(super) fn add(&mut self, worker: ToWorker<F>, inbound: Option<(Shard, Arc<[InboundCounters]>)>) {
        self.workers.push(worker);
        self.inbound.extend(inbound);
    }

    /// The workers there are.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> + use<F> {
        (0..self.workers.len() as u8).map(WorkerId)
    }

    /// Which worker owns which shard; control may change it, after the shard's table has moved, or because
    /// its worker stands still.
    pub fn shards(&self) -> &Arc<Map> {
        &self.shards
    }

    fn worker(&self, worker: WorkerId) -> Option<&ToWorker<F>> {
        self.workers.get(worker.index())
    }

    fn worker_mut(&mut self, worker: WorkerId) -> Option<&mut ToWorker<F>> {
        self.workers.get_mut(worker.index())
    }

    /// Sends a command. It is carried out once [`ControlEnd::applied`] has reached the number returned,
    /// unless a [`Report::Refused`] with that number says otherwise.
    #[expect(clippy::result_large_err, reason = "the command goes back whole; this is not the packet path")]
    pub fn send(&mut self, worker: WorkerId, command: Command) -> Result<Sequence, NotSent> {
        let Some(worker) = self.worker_mut(worker) else { return Err(NotSent(command)) };
        match worker.commands.push(command) {
            Ok(()) => {
                worker.sent.0 += 1;
                Ok(worker.sent)
            }
            Err(PushError::Full(command)) => Err(NotSent(command)),
        }
    }

    /// The last command the worker has applied; everything before it is applied too.
    pub fn applied(&self, worker: WorkerId) -> Sequence {
        Sequence(self.worker(worker).map_or(0, |worker| worker.applied.0.load(Acquire)))
    }

    /// The last command sent to the worker.
    pub fn sent(&self, worker: WorkerId) -> Sequence {
        self.worker(worker).map_or(Sequence(0), |worker| worker.sent)
    }

    /// Lays key material into a cell for the worker; the index goes into the command.
    pub fn put_key(&self, worker: WorkerId, material: &[u8]) -> Result<KeyIndex, KeyError> {
        match self.worker(worker) {
            Some(worker) => worker.keys.put(material),
            None => Err(KeyError::Full { cells: 0 }),
        }
    }

    /// Wipes a cell whose command was not sent.
    pub fn discard_key(&self, worker: WorkerId, index: KeyIndex) {
        if let Some(worker) = self.worker(worker) {
            worker.keys.discard(index);
        }
    }

    /// The oldest report of a worker that was not taken yet.
    pub fn next_report(&mut self, worker: WorkerId) -> Option<Report> {
        self.worker_mut(worker)?.reports.pop().ok()
    }

    /// An IKE message of any worker that names an IKE SA. Take these before [`Self::next_ike_init`].
    pub fn next_ike(&mut self) -> Option<IkePunt<F>> {
        self.workers.iter_mut().find_map(|worker| worker.ike.pop().ok())
    }

    /// An IKE message of any worker that begins an IKE SA.
    pub fn next_ike_init(&mut self) -> Option<IkePunt<F>> {
        self.workers.iter_mut().find_map(|worker| worker.ike_init.pop().ok())
    }

    /// Whether anything waits in a ring towards control, so that the loop should not sleep.
    pub fn has_work(&self) -> bool {
        let waits = |worker: &ToWorker<F>| {
            !(worker.reports.is_empty() && worker.ike.is_empty() && worker.ike_init.is_empty())
        };
        self.workers.iter().any(waits)
    }

    /// What a worker counts.
    pub fn counters(&self, worker: WorkerId) -> Option<&Arc<Counters>> {
        Some(&self.worker(worker)?.counters)
    }

    /// The counters of an inbound slot.
    pub fn inbound(&self, place: Place) -> Option<&InboundCounters> {
        let (_, slab) = self.inbound.iter().find(|(shard, _)| *shard == place.shard)?;
        slab.get(place.slot.index())
    }

    /// Outbound slots a worker has.
    pub fn outbound_slots(&self, worker: WorkerId) -> usize {
        self.worker(worker).map_or(0, |worker| worker.outbound.len())
    }

    /// The counters of an outbound slot of a worker.
    pub fn outbound(&self, worker: WorkerId, slot: u32) -> Option<&OutboundCounters> {
        self.worker(worker)?.outbound.get(slot as usize)
    }

    /// Dummy packets that an outbound slot of a worker has sent; they are among its packets.
    pub fn sent_dummies(&self, worker: WorkerId, slot: u32) -> u64 {
        self.worker(worker).and_then(|worker| worker.dummies.get(slot as usize)).map_or(0, Counter::get)
    }
}

impl<F: Frame> ControlEnd<F> {
    /// Gives a worker a complete outer IP packet (IKE) to be routed and sent in `instance`. The frame comes
    /// back when the ring is full.
    pub fn inject(&mut self, worker: WorkerId, mut frame: F, instance: u16) -> Result<(), F> {
        let Some(worker) = self.worker_mut(worker) else { return Err(frame) };
        *frame.meta_mut() = Meta { instance, origin: Origin::Control, ..Meta::default() };
        give(&mut worker.inject, frame)
    }
}

fn give<T>(ring: &mut Producer<T>, item: T) -> Result<(), T> {
    ring.push(item).map_err(|PushError::Full(item)| item)
}

/// The exception thread's end of the link: packets to and from the kernel. One owner.
#[derive(Debug)]
pub struct ExceptionEnd<F> {
    workers: Vec<(Consumer<KernelPunt<F>>, Producer<F>)>,
    /// Where the next search for a packet begins, so that every worker gets its turn.
    turn: usize,
    shards: Arc<Map>,
}

impl<F> ExceptionEnd<F> {
    pub(super) fn new(shards: Arc<Map>) -> Self {
        ExceptionEnd { workers: Vec::new(), turn: 0, shards }
    }

    pub(super) fn add(&mut self, punted: Consumer<KernelPunt<F>>, inject: Producer<F>) {
        self.workers.push((punted, inject));
    }

    /// The workers there are.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> + use<F> {
        (0..self.workers.len() as u8).map(WorkerId)
    }

    /// Who takes packets that are `worker`'s to take: see [`Map::stand_in`].
    pub fn stand_in(&self, worker: WorkerId) -> WorkerId {
        self.shards.stand_in(worker, self.workers.len())
    }

    /// A packet for the kernel, of any worker.
    pub fn next_punt(&mut self) -> Option<KernelPunt<F>> {
        let count = self.workers.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Some(punt) = self.workers.get_mut(at).and_then(|(punted, _)| punted.pop().ok()) {
                self.turn = at + 1;
                return Some(punt);
            }
        }
        None
    }

    /// Whether a packet for the kernel waits.
    pub fn has_work(&self) -> bool {
        self.workers.iter().any(|(punted, _)| !punted.is_empty())
    }
}

impl<F: Frame> ExceptionEnd<F> {
    /// Gives a worker an Ethernet frame (no tag) that the kernel sent by the twin of `(port, vlan)`. It
    /// passes the policy, then leaves by that interface. The frame comes back when the ring is full.
    pub fn inject_twin(&mut self, worker: WorkerId, mut frame: F, port: u16, vlan: u16) -> Result<(), F> {
        *frame.meta_mut() = Meta { port, vlan, origin: Origin::Twin, ..Meta::default() };
        self.inject(worker, frame)
    }

    /// Gives a worker an IP packet that the kernel sent to the `rv-` device of `instance`. It enters the
    /// outbound path as clear traffic. The frame comes back when the ring is full.
    pub fn inject_tun(&mut self, worker: WorkerId, mut frame: F, instance: u16) -> Result<(), F> {
        *frame.meta_mut() = Meta { instance, origin: Origin::Tun, ..Meta::default() };
        self.inject(worker, frame)
    }

    fn inject(&mut self, worker: WorkerId, frame: F) -> Result<(), F> {
        match self.workers.get_mut(worker.index()) {
            Some((_, inject)) => give(inject, frame),
            None => Err(frame),
        }
    }
}
