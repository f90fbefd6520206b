//! Tunnels: the plan's tunnels as the IKE engine and the workers know them (`roster`,
//! `connection`, `scheme`, `suite`), the SAs of their children (`sas`), and how they are, for
//! operators (`status`, `session`, `explain`, `attempts`, `keys`, `words`); a packet that wants one is in `trigger`,
//! tunnels without keys are in `ip_tunnel`, how long whose fragments wait in `waits`.

pub mod askers;
pub mod attempts;
pub mod connection;
pub mod explain;
pub mod gateway;
pub mod ip_tunnel;
pub mod keys;
pub mod outbox;
pub mod pmtu;
pub mod regime;
pub mod reverse;
pub mod roster;
pub mod sas;
pub mod scheme;
pub mod session;
pub mod status;
pub mod suite;
pub mod trigger;
pub mod waits;
pub mod words;
pub mod wrapping;
