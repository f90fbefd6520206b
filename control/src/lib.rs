//! The roof: configuration, tunnels, the control loop, the socket, the daemon.

#[cfg(all(feature = "stall", not(debug_assertions)))]
compile_error!(
    "the feature `stall` is for tests: a worker of a gateway that serves must not be told to stand still"
);

pub mod api;
pub mod bench;
pub mod config;
pub mod daemon;
pub mod exception;
pub mod group;
pub mod instance;
pub mod keeper;
pub mod observe;
pub mod pool;
pub mod post;
pub mod probe;
pub mod routing;
pub mod secret_directory;
pub mod state;
pub mod store;
pub mod tap;
pub mod trust;
pub mod tunnel;
pub mod workers;
