//! The packet path: graph, nodes, security associations, policy, workers.
//!
//! One burst in, a verdict for each packet out. Nothing here allocates after start, waits, locks or logs;
//! nothing here knows DPDK except `io::dpdk`. See `docs/design.md` §2 for how packets flow.

pub mod cipher;
pub mod graph;
pub mod io;
pub mod link;
pub mod net;
pub mod node;
pub mod policy;
pub mod sa;
pub mod trace;
pub mod verdict;
pub mod worker;
