//! IKEv2 (RFC 7296) as arithmetic: datagrams, instants and answers in; datagrams, wants and events out.
//!
//! [`Engine`] is the whole of it. Its caller owns sockets, the clock, private keys, certificates and the data plane,
//! and is asked for what needs them by [`want::Want`].

pub mod account;
mod allowance;
mod collision;
pub mod config;
mod context;
pub mod crypto;
pub mod engine;
pub mod error;
mod error_mode;
mod error_notify;
mod error_second;
mod error_topic;
pub mod event;
pub mod id;
pub mod input;
pub mod key_agreement;
pub mod lockout;
mod narrow;
pub mod recorder;
mod responses;
mod sa;
mod tickets;
pub mod time;
pub mod want;
pub mod watch;
mod window;
pub mod wire;
mod words;

pub use engine::Engine;
