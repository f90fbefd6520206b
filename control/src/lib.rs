//! The roof: configuration, tunnels, the control loop, the socket, the daemon.

pub mod api;
pub mod config;
pub mod exception;
pub mod instance;
pub mod observe;
pub mod pool;
