//! The daemon: start and stop in order (`start`, `ports`), the control loop (`core`, `wants`,
//! `answers`), what operators read (`view`, `desk`), and the threads that do its slow work
//! (`helpers`).

mod answers;
pub mod core;
pub mod datagram;
pub mod desk;
mod doctor;
pub mod helpers;
#[cfg(feature = "dpdk")]
pub mod ports;
pub mod pulse;
#[cfg(feature = "dpdk")]
pub mod start;
pub mod view;
mod wants;
