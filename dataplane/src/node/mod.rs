//! The stations of the packet path, one per file: a burst in, a verdict for each packet out.
//!
//! A node decides about packets and changes their bytes; what calls what, and in which order, is said in
//! [`crate::graph`]. Nodes that keep frames (reassembly) or make them (fragmentation, ICMP) say so.

pub mod apart;
pub mod clamp;
pub mod classify;
pub mod ecn;
pub mod exit;
pub mod forward;
pub mod fragment;
pub mod icmp;
pub mod ingress;
pub mod inspect;
pub mod ip_tunnel;
pub mod lookup;
pub mod memo;
pub mod offload;
pub mod open;
pub mod opening;
pub mod policy;
pub mod reassemble;
pub mod seal;
pub mod transport;
pub mod urgent;

use crate::io::{Frame, Meta, Origin};
use crate::net::flow::Summary;

/// An IP packet on its way through the graph.
///
/// The frame's data begins with the IP header and ends with the packet (link padding is cut off).
/// `summary` describes exactly those bytes; whoever changes them keeps it true.
#[derive(Debug)]
pub struct Packet<F> {
    /// The bytes, and where they came from.
    pub frame: F,
    /// What the first look at them told.
    pub summary: Summary,
}

impl<F: Frame> Packet<F> {
    /// Reads the IP packet in `frame` and cuts off what follows it; gives the frame back when there is none.
    pub fn parse(mut frame: F) -> Result<Self, F> {
        match Summary::parse(frame.data()) {
            Ok(summary) => {
                frame.truncate(summary.length());
                Ok(Packet { frame, summary })
            }
            Err(_) => Err(frame),
        }
    }

    /// Where it came from and where it belongs.
    #[inline]
    pub fn meta(&self) -> &Meta {
        self.frame.meta()
    }
}

/// Whether somebody else sent the packet and this machine only passes it on.
pub const fn is_transit(meta: &Meta) -> bool {
    matches!(meta.origin, Origin::Wire | Origin::Tunnel)
}

impl<T> Default for Queue<T> {
    /// A queue that takes nothing and owns no memory: what stands in for one that is being served.
    fn default() -> Self {
        Queue { items: Vec::new() }
    }
}

/// A bounded list between two nodes; its memory is taken when it is made, and is the bound.
#[derive(Debug)]
pub struct Queue<T> {
    items: Vec<T>,
}

impl<T> Queue<T> {
    /// An empty queue for at most `limit` items.
    pub fn new(limit: usize) -> Self {
        Queue { items: Vec::with_capacity(limit) }
    }

    /// Takes the `n` oldest items (all, when there are fewer), oldest first.
    pub fn drain_front(&mut self, n: usize) -> std::vec::Drain<'_, T> {
        let n = n.min(self.items.len());
        self.items.drain(..n)
    }

    /// Items it can still take.
    #[inline]
    pub fn room(&self) -> usize {
        self.items.capacity() - self.items.len()
    }

    /// Drops every item.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Appends `item`, or gives it back when the queue is full.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.items.len() == self.items.capacity() {
            return Err(item);
        }
        self.items.push(item);
        Ok(())
    }

    /// Takes every item, oldest first.
    pub fn drain(&mut self) -> std::vec::Drain<'_, T> {
        self.items.drain(..)
    }

    /// Items in it.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, oldest first, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.items
    }

    /// The items, oldest first.
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }
}
