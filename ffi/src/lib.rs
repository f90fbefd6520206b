//! Safe DPDK: EAL, pools, mbufs, bursts, ports. Knows nothing of IPsec.
//!
//! One file for each concept of DPDK:
//!
//! | file | concept | what its value proves |
//! | --- | --- | --- |
//! | [`eal`] | the environment | an [`Eal`] exists only after `rte_eal_init` succeeded |
//! | [`lcore`] | worker threads | an [`Lcore`] runs one closure at a time |
//! | [`pool`] | mbuf memory | a [`Pool`] lives as long as the process |
//! | [`mbuf`] | one packet | a [`Mbuf`] is linear, has one owner, and goes home when dropped |
//! | [`burst`] | up to 64 mbufs | no allocation |
//! | [`vdev`] | virtual devices | arguments that cannot smuggle in others |
//! | [`port`] | devices | a [`Device`] is claimed by one owner; [`port::plan()`] is pure |
//! | [`queue`] | receive and transmit halves | one poller each, and a started port beneath |
//!
//! **What is never undone.** EAL starts once in a process and pools are never freed:
//! both end with the process. That is what makes a mbuf safe on any thread at any
//! time without counting references. Ports are stopped and closed when their last
//! half is dropped.
//!
//! **One private type.** Each mbuf carries a value of type `M` beside its bytes; a
//! process uses one `M` for all its pools (checked in [`Pool::new`]), because devices
//! such as `net_ring` hand mbufs of one pool to the queues of another.
//!
//! Left to the caller: which CPUs, which pools, which queue is polled by whom.

mod affinity;
pub mod eal;
pub mod error;
pub mod lcore;
pub mod log;
pub mod mbuf;
pub mod pool;
pub mod port;
pub mod queue;
pub mod vdev;

pub use eal::{Eal, Started};
pub use error::Errno;
pub use lcore::Lcore;
pub use mbuf::{Mbuf, Private};
pub use pool::Pool;
pub use port::{Device, Port};
pub use queue::{BURST, Burst};
pub use queue::{RxQueue, TxQueue};
pub use vdev::Vdev;
