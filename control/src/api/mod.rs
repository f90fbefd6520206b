//! What an operator may ask and what is answered: one enum of requests, one of replies,
//! one of errors, shared by the daemon and the CLI. On the wire it is JSON-RPC 2.0, one
//! object a line, on a unix socket. Reads are answered from a snapshot and never wait on
//! IKE, or where they grow with the tunnels, in parts; actions are one message to the control loop with a deadline.

pub mod client;
pub mod error;
pub mod list;
pub mod render;
pub mod reply;
pub mod request;
pub mod rpc;
pub mod secret;
pub mod server;

pub use error::ApiError;
pub use reply::Reply;
pub use request::Request;

/// Version of the JSON schema: it only grows within one number.
pub const SCHEMA: u32 = 1;
/// Longest request line in bytes; a longer one ends the connection. Certificates and CRLs come over it.
pub const LONGEST_LINE: usize = 1024 * 1024;
/// Octets of an answer that may be under way: where a machine is busy each turn between writer and reader takes its time,
/// and thousands of tunnels make 20 MB.
pub const AHEAD: usize = 1024 * 1024;
