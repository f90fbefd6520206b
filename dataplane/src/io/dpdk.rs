//! Frames, pools and ports on DPDK devices: the only file of this crate that knows DPDK.
//!
//! Exists so that the graph, written against [`super::Frame`] and its fellows, runs on network cards.
//! A frame is one mbuf and its [`Meta`] lies in the mbuf's private area: handing a frame on moves one
//! pointer. A [`QueuePair`] is what one worker polls; when a device has fewer transmit queues than there
//! are workers, some pairs share one and leave their frames unsent when another worker is sending.
//!
//! Order of use, all of it before the workers start: [`Eal::start`], [`Buffers::new`], then for each port
//! [`Eal::claim`] (a card) or [`Eal::probe`] (a virtual device; on a thread in the interface's network
//! namespace) and [`attach`] on the same thread, then [`Lcore::launch`] with each worker's pairs.
//!
//! Left to the caller: sizes, which CPUs, and showing the operator a port's fallbacks. What an operator
//! must know of interfaces that stay with the kernel (offloads, truncation, fragments) is written at
//! [`vdev`].

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

pub use ::dpdk::port::{Counters, Fallback, Link, Port, Refusal, Wish};
pub use ::dpdk::queue::RxDrops;
pub use ::dpdk::{Device, Eal, Errno, Lcore, Started, Vdev, eal, lcore, log, pool, port, vdev};
use ::dpdk::{Mbuf, RxQueue, TxQueue};

use super::{BURST, Burst, Frame, Lost, Meta, Pool};

/// A packet in a DPDK buffer.
pub type MbufFrame = Mbuf<Meta>;

impl Frame for MbufFrame {
    fn data(&self) -> &[u8] {
        Mbuf::data(self)
    }

    fn data_mut(&mut self) -> &mut [u8] {
        Mbuf::data_mut(self)
    }

    fn headroom(&self) -> usize {
        Mbuf::headroom(self)
    }

    fn tailroom(&self) -> usize {
        Mbuf::tailroom(self)
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        Mbuf::prepend(self, n)
    }

    fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        Mbuf::append(self, n)
    }

    fn trim_front(&mut self, n: usize) {
        Mbuf::trim_front(self, n);
    }

    fn truncate(&mut self, len: usize) {
        Mbuf::truncate(self, len);
    }

    fn reshape(&mut self, by: isize, len: usize) -> Option<&mut [u8]> {
        Mbuf::reshape(self, by, len)
    }

    fn surround(&mut self, before: usize, len: usize, spare: usize) -> Option<&mut [u8]> {
        Mbuf::surround(self, before, len, spare)
    }

    fn meta(&self) -> &Meta {
        self.private()
    }

    fn meta_mut(&mut self) -> &mut Meta {
        self.private_mut()
    }

    fn len(&self) -> usize {
        Mbuf::len(self)
    }
}

/// How many buffers, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferSizes {
    /// Usual buffers; see [`pool::Demand`] for how many.
    pub usual: u32,
    /// Octets of packet in a usual buffer: MTU + 22, and for kernel rings [`vdev::Ring::copies`].
    pub room: u16,
    /// Buffers of 65,407 octets for reassembly and chained receives; 0 for none.
    pub jumbo: u32,
    /// Buffers each lcore may keep to itself, at most 512.
    pub cache: u32,
    /// NUMA node, `None` for any.
    pub numa: Option<u32>,
}

/// The gateway's buffers on one NUMA node; copies are handles to the same ones. Any thread may use it:
/// lcores through their caches, other threads through the shared ring.
#[derive(Debug, Clone, Copy)]
pub struct Buffers {
    usual: pool::Pool<Meta>,
    jumbo: Option<pool::Pool<Meta>>,
}

impl Buffers {
    /// Takes the memory. `name` is unique, at most 20 characters.
    ///
    /// # Errors
    /// [`pool::Error`], with the numbers and what to do.
    pub fn new(eal: Eal, name: &str, sizes: &BufferSizes) -> Result<Self, pool::Error> {
        let usual =
            pool::Config { name, mbufs: sizes.usual, cache: sizes.cache, room: sizes.room, numa: sizes.numa };
        let usual = pool::Pool::new(eal, &usual)?;
        let jumbo = match sizes.jumbo {
            0 => None,
            // Rarely used, so no cache keeps them from where they are needed.
            mbufs => Some(pool::Pool::new(
                eal,
                &pool::Config {
                    name: &format!("{name}-big"),
                    mbufs,
                    cache: 0,
                    room: pool::MAX_ROOM,
                    numa: sizes.numa,
                },
            )?),
        };
        Ok(Buffers { usual, jumbo })
    }

    /// Buffers at home now. Walks all caches: for `show` and tests.
    pub fn available(&self) -> u32 {
        self.usual.available().saturating_add(self.jumbo.map_or(0, |jumbo| jumbo.available()))
    }

    /// Buffers there are.
    pub fn capacity(&self) -> u32 {
        self.usual.size().saturating_add(self.jumbo.map_or(0, |jumbo| jumbo.size()))
    }
}

impl Pool for Buffers {
    type Frame = MbufFrame;

    fn alloc(&mut self) -> Option<MbufFrame> {
        self.usual.alloc()
    }

    fn alloc_for(&mut self, len: usize) -> Option<MbufFrame> {
        let fits = len <= usize::from(self.usual.room());
        let pool = if fits { Some(self.usual) } else { self.jumbo };
        pool?.alloc().filter(|frame| frame.tailroom() >= len)
    }
}

/// Why a device did not become a port.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It cannot do what is configured.
    #[error("port {device}: {reason}")]
    Refused {
        /// DPDK's name of the device.
        device: String,
        /// With both numbers.
        reason: Refusal,
    },
    /// DPDK failed.
    #[error(transparent)]
    Failed(#[from] port::Error),
}

/// A port in use: control's handle and one pair for each worker.
#[derive(Debug)]
pub struct Attached {
    /// Address, link, counters, fallbacks.
    pub port: Port,
    /// As many as [`Wish::queues`], in the workers' order.
    pub pairs: Vec<QueuePair>,
}

/// Plans and sets up `device` as the configuration's port `id`, with one pair for each of
/// `wish.queues` workers.
///
/// # Errors
/// [`AttachError`]; the device is closed.
pub fn attach(device: Device, id: u16, wish: &Wish, buffers: Buffers) -> Result<Attached, AttachError> {
    let name = device.name().to_owned();
    let info = device.info()?;
    let keeps = KEEPING.contains(&info.driver.as_str());
    let plan = port::plan(&info, wish, buffers.usual.room())
        .map_err(|reason| AttachError::Refused { device: name, reason })?;
    let up = device.set_up(&plan, buffers.usual, buffers.jumbo)?;
    let queues = (usize::from(wish.queues.max(1)), up.rx, up.tx);
    Ok(Attached { port: up.port, pairs: pairs(id, keeps, queues) })
}

/// Drivers whose packets wait to be taken: those of files, and of nothing.
const KEEPING: [&str; 2] = ["net_pcap", "net_null"];

/// Deals the queues out: worker n gets receive queue n if there is one, and transmit queue n, or shares
/// one with the workers whose number leaves the same remainder.
fn pairs(
    id: u16,
    keeps: bool,
    (workers, rx, tx): (usize, Vec<RxQueue<Meta>>, Vec<TxQueue<Meta>>),
) -> Vec<QueuePair> {
    let mut rx = rx.into_iter();
    let pair = |sender| QueuePair { id, keeps, receiver: rx.next(), sender };
    senders(workers, tx).into_iter().map(pair).collect()
}

fn senders(workers: usize, tx: Vec<TxQueue<Meta>>) -> Vec<Sender> {
    if tx.len() >= workers {
        return tx.into_iter().take(workers).map(Sender::Own).collect();
    }
    let shared: Vec<_> = tx.into_iter().map(|queue| Arc::new(Mutex::new(queue))).collect();
    shared.iter().cycle().take(workers).cloned().map(Sender::Shared).collect()
}

/// One worker's queues of one device.
#[derive(Debug)]
pub struct QueuePair {
    id: u16,
    keeps: bool,
    /// Absent when the device has fewer receive queues than there are workers.
    receiver: Option<RxQueue<Meta>>,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Own(TxQueue<Meta>),
    /// Only ever tried, never waited for.
    Shared(Arc<Mutex<TxQueue<Meta>>>),
}

impl Sender {
    fn send(&mut self, frames: &mut ::dpdk::Burst<Meta>) {
        match self {
            Sender::Own(queue) => queue.send(frames),
            Sender::Shared(queue) => match queue.try_lock() {
                Ok(mut queue) => queue.send(frames),
                Err(TryLockError::Poisoned(queue)) => PoisonError::into_inner(queue).send(frames),
                Err(TryLockError::WouldBlock) => 0,
            },
        };
    }
}

impl QueuePair {
    /// True when frames arrive on it; false when the device has fewer receive queues than there are workers.
    pub fn receives(&self) -> bool {
        self.receiver.is_some()
    }
}

impl super::Port for QueuePair {
    type Frame = MbufFrame;

    fn id(&self) -> u16 {
        self.id
    }

    fn rx_burst(&mut self, burst: &mut Burst<MbufFrame>) {
        let Some(receiver) = &mut self.receiver else { return };
        let held = burst.len();
        receiver.receive(burst.frames_mut(), BURST);
        for frame in burst.iter_mut().skip(held) {
            *frame.meta_mut() = Meta { port: self.id, ..Meta::default() };
        }
    }

    fn keeps(&self) -> bool {
        self.keeps
    }

    fn lost(&self) -> Lost {
        let RxDrops { truncated, unlinear } = self.receiver.as_ref().map(RxQueue::drops).unwrap_or_default();
        Lost { truncated, unlinear }
    }

    fn tx_burst(&mut self, burst: &mut Burst<MbufFrame>) {
        self.sender.send(burst.frames_mut());
    }
}
