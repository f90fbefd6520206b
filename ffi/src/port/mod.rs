//! Devices: claimed by one owner, planned by a pure function, set up, then run.
//!
//! ```text
//! Eal::probe(&vdev) ─┐
//! Eal::claim(name) ──┴─> Device ── info() ──> plan(&info, &wish, room) ──> Plan
//!                          └──── set_up(plan, pools) ──> Port + RxQueues + TxQueues
//! ```
//!
//! A port runs from its set-up until the last of [`Port`] and its queue halves is
//! dropped; then it is stopped, closed and, if it was probed here, removed. So no
//! queue can be polled on a stopped port.
//!
//! Left to the caller: which thread probes and sets up (it must be in the network
//! namespace of the interface, see [`crate::vdev`]), and telling the operator of the
//! [`Fallback`]s.

mod device;
mod fallback;
mod info;
pub mod plan;
mod redirection;
mod running;
mod steer;
mod xstats;

pub use device::{Device, Error, SetUp};
pub use fallback::{Fallback, Refusal, Unredirected};
pub use info::{Descriptors, Info};
pub use plan::{Plan, Rss, Wish, plan};
pub use redirection::RedirectError;
pub(crate) use running::Running;
pub use running::{Counters, Link, Port};
pub use steer::{Form, SpiRule};
