//! IKEv2 (RFC 7296) as arithmetic: datagrams, instants and answers in; datagrams, wants and events out.

pub mod config;
pub mod crypto;
pub mod error;
pub mod event;
pub mod id;
pub mod input;
pub mod key_agreement;
pub mod recorder;
pub mod time;
pub mod want;
pub mod wire;
