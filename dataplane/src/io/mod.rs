//! Where frames come from and go to: the traits the graph is generic over.
//!
//! The graph is monomorphised once for the in-memory twin ([`ram`]) and once for DPDK mbufs, so that
//! everything above this file builds and is tested without a device. A frame is linear: one contiguous
//! run of bytes with room before and after it. A [`Pool`] hands frames out, dropping a frame gives it
//! back, on whatever thread that happens. A [`Port`] here is *one queue pair* of a device and belongs to
//! one worker.
//!
//! Left to the caller: which port is polled by whom, and what to do with frames a full queue refused.

mod burst;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod pcap;
pub mod ram;

pub use burst::{Burst, Drain};

/// Most frames one [`Burst`] holds; also the most a port is asked for at a time.
pub const BURST: usize = 64;

/// How a frame came into the graph. Part of every verdict that differs between strangers and ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Received on a port.
    #[default]
    Wire,
    /// Sent by the kernel through the twin of `(port, vlan)`: a complete Ethernet frame without its tag.
    Twin,
    /// Sent by the kernel through the `rv-` device of an instance: a complete IP packet.
    Tun,
    /// Built by control (IKE): a complete outer IP packet.
    Control,
    /// Came out of a tunnel: a complete inner IP packet.
    Tunnel,
    /// Built by a worker itself (ICMP errors): a complete IP packet.
    Worker,
    /// An ESP packet a worker built: a complete outer IP packet.
    Sealed,
}

/// What travels with a frame besides its bytes. Small: it moves with the handle through every ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Meta {
    /// The device the frame came in on, or is to leave by: an index into the configuration's ports.
    pub port: u16,
    /// VLAN id of the interface, 0 when untagged. The tag itself is stripped from the data at ingress.
    pub vlan: u16,
    /// The instance (VRF) whose addresses, routes and policy the packet is to be read with.
    pub instance: u16,
    /// Where it came from.
    pub origin: Origin,
    /// The Ethernet header it arrived with, without tag, lies right in front of the data: [`Frame::prepend`]
    /// brings it back.
    pub framed: bool,
}

const _: () = assert!(size_of::<Meta>() == 8, "read and written as one word");

impl Meta {
    /// All that says where a packet came from, as one word, in the order in which it lies in memory.
    #[inline(always)]
    pub const fn word(&self) -> u64 {
        self.port as u64
            | (self.vlan as u64) << 16
            | (self.instance as u64) << 32
            | (self.origin as u64) << 48
            | (self.framed as u64) << 56
    }
}

/// One packet buffer: a handle to a linear run of bytes with headroom and tailroom.
///
/// Dropping the handle returns the buffer to its pool.
pub trait Frame: Send {
    /// The packet's bytes.
    fn data(&self) -> &[u8];
    /// The packet's bytes, to be changed in place.
    fn data_mut(&mut self) -> &mut [u8];
    /// Octets that [`Frame::prepend`] can still give.
    fn headroom(&self) -> usize;
    /// Octets that [`Frame::append`] can still give.
    fn tailroom(&self) -> usize;
    /// Grows the packet by `n` octets at its front; the new octets are returned, with what lay there: what
    /// [`Frame::trim_front`] took off and nobody wrote to, or anything.
    fn prepend(&mut self, n: usize) -> Option<&mut [u8]>;
    /// Grows the packet by `n` octets at its end; the new octets are returned, with unspecified content.
    fn append(&mut self, n: usize) -> Option<&mut [u8]>;
    /// Removes `n` octets from the front; all of them when there are fewer.
    fn trim_front(&mut self, n: usize);
    /// Shortens the packet to `len` octets; does nothing when it is shorter already.
    fn truncate(&mut self, len: usize);
    /// Moves the packet's start by `by` octets, towards the head of the buffer where negative, and makes it `len`
    /// octets long: all the above in one. The packet is returned, new octets as in [`Frame::prepend`]; `None` (and
    /// no change) when the buffer has no such octets.
    fn reshape(&mut self, by: isize, len: usize) -> Option<&mut [u8]>;
    /// Moves the packet's start `before` octets towards the head of the buffer and makes it `len` octets long, of which
    /// the first `spare` are returned with it, to be written to at will, and are then no part of it. New octets as in
    /// [`Frame::prepend`]; `None` (and no change) when the buffer has no such octets.
    fn surround(&mut self, before: usize, len: usize, spare: usize) -> Option<&mut [u8]>;
    /// What travels with the packet.
    fn meta(&self) -> &Meta;
    /// What travels with the packet, to be changed.
    fn meta_mut(&mut self) -> &mut Meta;

    /// Length of the packet in octets.
    fn len(&self) -> usize {
        self.data().len()
    }

    /// True when the packet has no octet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Gives out empty frames. Cloning it gives another handle to the same buffers, for another thread.
pub trait Pool: Clone + Send {
    /// The frames it gives out.
    type Frame: Frame;

    /// An empty frame with the pool's usual headroom, or `None` when all buffers are out.
    fn alloc(&mut self) -> Option<Self::Frame>;

    /// An empty frame that can hold `len` octets behind its headroom (reassembly, large IKE messages);
    /// `None` when no buffer is left or none is that large.
    fn alloc_for(&mut self, len: usize) -> Option<Self::Frame> {
        self.alloc().filter(|frame| frame.tailroom() >= len)
    }

    /// A frame holding a copy of `bytes`, or `None` as for [`Pool::alloc_for`].
    fn copy_of(&mut self, bytes: &[u8]) -> Option<Self::Frame> {
        let mut frame = self.alloc_for(bytes.len())?;
        frame.append(bytes.len())?.copy_from_slice(bytes);
        Some(frame)
    }
}

/// Frames a receive queue took from its device and did not hand out, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Cut by the kernel, or longer than the port's longest frame.
    pub truncated: u64,
    /// In pieces that no buffer could hold together.
    pub unlinear: u64,
}

/// One queue pair of a device, owned and polled by one worker.
pub trait Port: Send {
    /// The frames it carries.
    type Frame: Frame;

    /// The device's number, the same for all queues of one device; what [`Meta::port`] says.
    fn id(&self) -> u16;

    /// Adds what has arrived to `burst`, as much as there is room for, and sets [`Meta::port`].
    /// Never waits.
    fn rx_burst(&mut self, burst: &mut Burst<Self::Frame>);

    /// Whether what nobody takes stays until somebody does, as packets in a file do; of a device it is lost.
    fn keeps(&self) -> bool;

    /// What arrived and was dropped before anybody saw it. Costs nothing: the queue counts as it goes.
    fn lost(&self) -> Lost {
        Lost::default()
    }

    /// Sends from the front of `burst` and leaves in it what the device did not take. Never waits.
    fn tx_burst(&mut self, burst: &mut Burst<Self::Frame>);
}
