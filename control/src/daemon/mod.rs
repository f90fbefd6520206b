//! The daemon: start and stop in order (`start`, `ports`, `layout`), the control loop (`core`, `wants`, `answers`),
//! gateways and their peers (`gateways`), tunnel groups (`groups`) and how full they are (`watermarks`, `group_view`),
//! ip-tunnels (`ip_tunnels`), instances out of service (`service`, `outage`), SAs of single workers (`own`), workers that stand still (`pulse`,
//! `stall`, `spread`), devices (`devices`), other configurations while running (`reload`, `apply`), what operators read
//! (`view`, `gateway_view`, `client_view`, `desk`) and ask (`explain`, `lookup`, `lockout`, `debug`, `pki`, `taps`, `mirrors`, `probe`), and
//! the threads that do its slow work (`helpers`, `revocation`), and what ends soon (`expiry`).

mod accounts;
mod answers;
mod apply;
mod certificate_view;
mod client_view;
pub mod core;
pub mod datagram;
mod debug;
pub mod desk;
pub mod devices;
mod doctor;
mod expiry;
mod explain;
mod flags;
mod gateway_view;
mod gateways;
mod group_view;
mod groups;
pub mod helpers;
mod ike_counters;
mod ip_tunnels;
pub mod layout;
mod lockout;
mod lookup;
mod mirrors;
mod names;
mod outage;
mod own;
mod pki;
mod policy_view;
#[cfg(feature = "dpdk")]
mod ports;
pub mod probe;
pub mod pulse;
pub mod reload;
mod retries;
pub mod revocation;
mod revocation_counters;
pub mod service;
pub mod spread;
pub mod stall;
mod standing;
#[cfg(feature = "dpdk")]
pub mod start;
mod taps;
pub mod view;
mod wants;
pub mod watermarks;

#[cfg(test)]
mod tests;
