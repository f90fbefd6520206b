//! The roof: configuration, tunnels, the control loop, the socket, the daemon.

pub mod instance;
