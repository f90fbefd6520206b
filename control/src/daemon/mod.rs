//! The daemon: start and stop in order (`start`, `ports`), the control loop (`core`, `wants`,
//! `answers`), what operators read (`view`, `desk`), and the threads that do its slow work
//! (`helpers`).

pub mod datagram;
#[cfg(feature = "dpdk")]
pub mod ports;
